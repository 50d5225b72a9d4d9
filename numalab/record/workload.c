/*
 * The init of the recorder's guest: runs the workloads of /program and reports.
 *
 * /program is a flat text, one word list a line, made by program.py:
 *
 *   run NAME DURATION_NS SAMPLE_NS SEED CPUS_PER_NODE BALANCING
 *   write PATH VALUE                       before anything is forked
 *   process NAME MEMS                      MEMS: nodes of a cpuset, or -
 *   vma NAME KIND THP PAGES COUNT NODE POPULATED PINNED SCATTERED POLICY KVM
 *   thread NAME CPU
 *   access VMA LO HI PATTERN RATE WRITE HOT SHARE START_NS STOP_NS
 *   churn PAGES THP LIFE_NS DISTRIBUTION SHAPE GAP_NS PATTERN RATE WRITE NODE
 *   zap VMA START_NS PERIOD_NS             only for calibration; instead of access
 *   go
 *
 * vma and thread lines belong to the process above them, access, churn and zap lines to
 * the thread. KVM: the VMA is the memory of a guest (vmm.c), and a thread that touches it
 * is a vCPU that touches nothing else. Results leave by I/O port 0xe9 (QEMU's
 * isa-debugcon) as sections "@section BYTES NAME\n" + text, then "@done\n"; "@error
 * TEXT\n" ends a bad run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13)
#endif

#define HUGE (512 * PAGE)
#define STEP_NS 10000000ULL /* rated accesses act on deadlines this far apart */
#define BATCH 64            /* touches of one flat-out access before its neighbour's turn */
#define CHECK 1024          /* touches between two looks at the clock */
#define GUEST_BATCH 4096    /* touches of a vCPU between two looks at the clock */
#define MAX_PROCESSES 64
#define MAX_VMAS 256
#define MAX_THREADS 512
#define MAX_ACCESSES 1024
#define MAX_IOVECS 16384
#define MAX_COUNTERS 8
#define MAX_ZAPS 4096
#define RESULT_PORT 0xe9

enum { ANON, SHMEM, FILE_RO, FILE_RW, HUGETLB };
enum { DEFAULT, BIND, BIND_BALANCING, INTERLEAVE };
enum { FIXED, EXPONENTIAL, UNIFORM, LOGNORMAL, PARETO };

struct vma {
	char name[32];
	int kind, thp, node, scattered, policy, process, kvm;
	u64 pages, count, populated, pinned;
	char **base; /* start of each mapping; filled in the child */
	struct vm *vm;
};

struct thread {
	char name[32];
	int cpu, process, accesses, first_access, churns;
	struct { int thp, distribution, node; u64 pages, life, gap; double shape; } churn;
	struct { int vma; u64 start, period; } zap;
	u64 random;
	struct vcpu *vcpu; /* of a guest; made by the thread itself */
};

/* What the processes and their parent share. */
static struct shared {
	int phase, ready, done;
	char error[256];
	u64 start, end;
	struct { int tid; u64 created, touches; } __attribute__((aligned(64))) thread[MAX_THREADS];
	u64 latency_count, zap_count;
	uint32_t latency[1 << 20]; /* of the touches of a TIMED access, in ns */
	int vm_fd[MAX_VMAS];
	struct { u64 at, took; } zap[MAX_ZAPS];
} *shared;

static struct { char name[32]; u64 duration, sample, seed; int node_cpus, balancing; } run;
static struct { char name[32], mems[64]; int pid; u64 forked; } processes[MAX_PROCESSES];
static struct vma vmas[MAX_VMAS];
static struct thread threads[MAX_THREADS];
static struct access accesses[MAX_ACCESSES];
static int n_processes, n_vmas, n_threads, n_accesses, n_guests, is_child;

static void emit(const char *text, size_t bytes)
{
	asm volatile("rep outsb" : "+S"(text), "+c"(bytes) : "d"(RESULT_PORT) : "memory");
}

void die(const char *format, ...)
{
	char text[240], line[256];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (is_child) {
		snprintf(shared->error, sizeof(shared->error), "%s", text);
		_exit(1);
	}
	emit(line, snprintf(line, sizeof(line), "@error %s\n", text));
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void sleep_until(u64 ns)
{
	struct timespec t = { ns / 1000000000ULL, ns % 1000000000ULL };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC); /* clears tracefs' trace */
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return done < 0 ? -1 : 0;
}

void section(const char *name, const char *text, size_t bytes)
{
	char line[160];

	emit(line, snprintf(line, sizeof(line), "@section %zu %s\n", bytes, name));
	emit(text, bytes);
}

/* A whole file, read to its end; the caller frees it. */
static char *slurp(const char *path, size_t *bytes)
{
	size_t room = 1 << 16, used = 0;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY);
	ssize_t got;

	while (fd >= 0 && (got = read(fd, text + used, room - used - 1)) > 0) {
		used += got;
		if (room - used < 8192)
			text = realloc(text, room *= 2);
	}
	if (fd >= 0)
		close(fd);
	text[used] = 0;
	*bytes = used;
	return text;
}

void section_file(const char *name, const char *path)
{
	size_t bytes;
	char *text = slurp(path, &bytes);

	section(name, text, bytes);
	free(text);
}

/* --- draws ------------------------------------------------------------------ */

static u64 draw(struct thread *t) /* xorshift64* */
{
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return t->random * 0x2545F4914F6CDD1DULL;
}

static u64 draw_below(struct thread *t, u64 n)
{
	return (u64)(((unsigned __int128)draw(t) * n) >> 64);
}

static double draw_unit(struct thread *t) /* in (0, 1) */
{
	return ((draw(t) >> 11) + 0.5) / 9007199254740992.0;
}

static u64 draw_life(struct thread *t)
{
	double mean = t->churn.life, shape = t->churn.shape, life = mean, u = draw_unit(t);

	switch (t->churn.distribution) {
	case EXPONENTIAL:
		life = -mean * log(u);
		break;
	case UNIFORM:
		life = mean * (1 - shape + 2 * shape * u);
		break;
	case LOGNORMAL: /* Box-Muller */
		life = sqrt(-2 * log(u)) * cos(2 * M_PI * draw_unit(t));
		life = mean * exp(shape * life - shape * shape / 2);
		break;
	case PARETO:
		life = mean * (shape - 1) / shape * pow(u, -1 / shape);
		break;
	}
	return life < 1e6 ? 1000000 : life > 1e18 ? (u64)1e18 : (u64)life;
}

/* --- mappings --------------------------------------------------------------- */

static void bind_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < 1024; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %d: sched_setaffinity: %s", cpu, strerror(errno));
}

static int backing_file(const char *name, u64 bytes)
{
	static char zeros[1 << 16];
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/tmp/%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die("vma %s: open: %s", name, strerror(errno));
	while (bytes) {
		ssize_t done = write(fd, zeros, bytes < sizeof(zeros) ? bytes : sizeof(zeros));

		if (done <= 0)
			die("vma %s: write: %s", name, strerror(errno));
		bytes -= done;
	}
	return fd;
}

/* One mapping with PROT_NONE on both sides. *area and *area_bytes: what to unmap. */
static char *map_guarded(u64 bytes, int kind, int thp, const char *name, char **area,
			 u64 *area_bytes)
{
	int aligned = thp || kind == HUGETLB, fd = -1, prot = PROT_READ | PROT_WRITE, flags;
	char *start;

	*area_bytes = bytes + 2 * PAGE + (aligned ? HUGE : 0);
	*area = mmap(NULL, *area_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*area == MAP_FAILED)
		die("vma %s: mmap: %s", name, strerror(errno));
	start = *area + PAGE;
	if (aligned)
		start = (char *)(((u64)start + HUGE - 1) & ~(HUGE - 1));
	if (kind == ANON) {
		if (mprotect(start, bytes, prot))
			die("vma %s: mprotect: %s", name, strerror(errno));
	} else {
		flags = MAP_FIXED | MAP_SHARED;
		if (kind == SHMEM || kind == HUGETLB)
			flags |= MAP_ANONYMOUS;
		if (kind == HUGETLB)
			flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
		if (kind == FILE_RO)
			flags = MAP_FIXED | MAP_PRIVATE, prot = PROT_READ;
		if (kind == FILE_RO || kind == FILE_RW)
			fd = backing_file(name, bytes);
		if (mmap(start, bytes, prot, flags, fd, 0) == MAP_FAILED)
			die("vma %s: mmap: %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (kind != HUGETLB && kind != FILE_RO && kind != FILE_RW)
		madvise(start, bytes, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return start;
}

static void set_policy(struct vma *v, char *start)
{
	u64 all = 0, mask = 1UL << v->node;
	int mode = MPOL_BIND;

	if (v->policy == DEFAULT)
		return;
	for (int cpu = 0, n = sysconf(_SC_NPROCESSORS_ONLN); cpu < n; cpu += run.node_cpus)
		all |= 1UL << (cpu / run.node_cpus);
	if (v->policy == INTERLEAVE)
		mode = MPOL_INTERLEAVE, mask = all;
	if (v->policy == BIND_BALANCING)
		mode = MPOL_BIND | MPOL_F_NUMA_BALANCING, mask = all;
	if (syscall(SYS_mbind, start, v->pages * PAGE, mode, &mask, 65, 0))
		die("vma %s: mbind: %s", v->name, strerror(errno));
}

static void pin(struct vma *v, char *start)
{
	static struct iovec vector[MAX_IOVECS];
	struct io_uring_params parameters = { 0 };
	u64 unit = v->thp || v->kind == HUGETLB ? 512 : 1;
	u64 pinned = v->pinned / unit, populated = v->populated / unit, n, i;
	int ring;

	if (!pinned)
		return;
	if (v->scattered) {
		n = pinned < MAX_IOVECS ? pinned : MAX_IOVECS;
		for (i = 0; i < n; i++) {
			u64 length = pinned * (i + 1) / n - pinned * i / n;

			vector[i].iov_base = start + populated * i / n * unit * PAGE;
			vector[i].iov_len = length * unit * PAGE;
		}
	} else {
		u64 left = pinned * unit * PAGE, most = 1UL << 30;

		for (n = 0; left; n++) {
			vector[n].iov_base = start + n * most;
			vector[n].iov_len = left < most ? left : most;
			left -= vector[n].iov_len;
		}
	}
	ring = syscall(SYS_io_uring_setup, 1, &parameters);
	if (ring < 0)
		die("vma %s: io_uring_setup: %s", v->name, strerror(errno));
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, vector, n))
		die("vma %s: pinning %llu pages: %s", v->name, (unsigned long long)v->pinned,
		    strerror(errno));
}

static void populate(struct vma *v, char *start)
{
	int advice = v->kind == FILE_RO ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;

	if (v->populated && madvise(start, v->populated * PAGE, advice))
		die("vma %s: populating: %s (is the node's memory large enough?)", v->name,
		    strerror(errno));
}

static void map_vma(struct vma *v)
{
	char *area;
	u64 bytes;

	v->base = malloc(v->count * sizeof(*v->base));
	bind_cpu(v->node * run.node_cpus);
	for (u64 i = 0; i < v->count; i++) {
		v->base[i] = map_guarded(v->pages * PAGE, v->kind, v->thp, v->name, &area, &bytes);
		set_policy(v, v->base[i]);
		populate(v, v->base[i]);
		pin(v, v->base[i]);
	}
}

/* The guest's memory, if the thread is a vCPU. */
static struct vma *guest_of(const struct thread *t)
{
	struct vma *v = vmas + accesses[t->first_access].vma;

	return t->accesses && !t->churns && v->kvm ? v : NULL;
}

/* --- touches ---------------------------------------------------------------- */

static inline void touch(struct access *a, u64 page)
{
	volatile char *p;

	if (a->count == 1)
		p = a->base[0] + page * PAGE;
	else
		p = a->base[page / a->pages] + page % a->pages * PAGE;
	p += page % 64 * 64; /* the same byte of each page would share a few cache sets */
	if (a->write)
		*p = 1;
	else
		(void)*p;
}

static void touch_pages(struct thread *t, struct access *a, u64 n)
{
	u64 span = a->hi - a->lo;

	if (t->vcpu) {
		shared->thread[t - threads].touches += vmm_touch(t->vcpu, a, n);
		return;
	}
	shared->thread[t - threads].touches += n;
	switch (a->pattern) {
	case WALK:
		while (n--) {
			touch(a, a->lo + a->position);
			if (++a->position == span)
				a->position = 0;
		}
		break;
	case RAND:
		while (n--)
			touch(a, a->lo + draw_below(t, span));
		break;
	case HOT:
		while (n--) {
			if (draw_unit(t) < a->share || a->hot == span)
				touch(a, a->lo + draw_below(t, a->hot));
			else
				touch(a, a->lo + a->hot + draw_below(t, span - a->hot));
		}
		break;
	case TIMED: /* a walk over every page (4 KiB) or every 2 MiB (hot = 512), timed */
		while (n--) {
			u64 before = now_ns(), i;

			touch(a, a->lo + a->position);
			i = shared->latency_count++;
			if (i < sizeof(shared->latency) / sizeof(shared->latency[0]))
				shared->latency[i] = now_ns() - before;
			a->position += a->hot;
			if (a->position >= span)
				a->position = 0;
		}
		break;
	}
}

/* The touches of one deadline, unless the time is over. */
static void touch_rated(struct thread *t, struct access *a, u64 end)
{
	double due = a->rate * (STEP_NS / 1e9) + a->carry;
	u64 n = due, some;

	a->carry = due - n;
	while (n && now_ns() < end) {
		some = n < CHECK ? n : CHECK;
		touch_pages(t, a, some);
		n -= some;
	}
}

static int active(const struct access *a, u64 now)
{
	return shared->start + a->start <= now && now < shared->start + a->stop;
}

static void run_task(struct thread *t)
{
	struct access *first = accesses + t->first_access, *last = first + t->accesses, *a;
	u64 end = shared->end, next = shared->start, now;
	int rounds = t->vcpu ? 1 : CHECK / BATCH, batch = t->vcpu ? GUEST_BATCH : BATCH;

	while ((now = now_ns()) < end) {
		int busy = !t->accesses;

		for (; next <= now && next < end; next += STEP_NS)
			for (a = first; a < last; a++)
				if (a->rate > 0 && active(a, next))
					touch_rated(t, a, end);
		for (int i = 0; i < rounds; i++)
			for (a = first; a < last; a++)
				if (a->rate == 0 && active(a, now)) {
					touch_pages(t, a, batch);
					busy = 1;
				}
		if (!busy)
			sleep_until(next < end ? next : end);
		else if (!t->accesses)
			for (int i = 0; i < CHECK; i++)
				asm volatile("pause");
	}
}

/*
 * Fill a churn's mapping on a node that its thread may be far from. A scan that runs meanwhile
 * goes by the task's policy, and would pass over every VMA if that did not allow balancing.
 */
static void fill_on(struct thread *t, char *base)
{
	u64 mask = 1UL << t->churn.node;

	if (syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_NUMA_BALANCING, &mask, 65))
		die("churn %s: set_mempolicy: %s", t->name, strerror(errno));
	if (madvise(base, t->churn.pages * PAGE, MADV_POPULATE_WRITE))
		die("churn %s: populating: %s (is the node's memory large enough?)", t->name,
		    strerror(errno));
	if (syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0))
		die("churn %s: set_mempolicy: %s", t->name, strerror(errno));
}

static void run_churn(struct thread *t)
{
	struct access *a = accesses + t->first_access;
	u64 end = shared->end, death, next, now, area_bytes;
	char *area, *base;

	while ((now = now_ns()) < end) {
		u64 life = draw_life(t);

		next = now;
		death = life < end - now ? now + life : end;
		base = map_guarded(t->churn.pages * PAGE, ANON, t->churn.thp, t->name, &area,
				   &area_bytes);
		a->base = &base;
		a->position = 0;
		if (t->churn.node >= 0)
			fill_on(t, base);
		while ((now = now_ns()) < death) {
			if (a->rate == 0) {
				touch_pages(t, a, BATCH);
				continue;
			}
			for (; next <= now && next < death; next += STEP_NS)
				touch_rated(t, a, death);
			sleep_until(next < death ? next : death);
		}
		if (now >= end)
			break; /* left mapped: the end state shows it */
		munmap(area, area_bytes);
		now = now_ns() + t->churn.gap;
		if (t->churn.gap)
			sleep_until(now < end ? now : end);
	}
}

/* Make the kernel notify the whole of a VMA: a change of PROT_EXEC, which no touch notices. */
static void run_zaps(struct thread *t)
{
	struct vma *v = vmas + t->zap.vma;
	int prot = PROT_READ | PROT_WRITE;
	u64 n = 0, before;

	for (u64 next = shared->start + t->zap.start; next < shared->end && n < MAX_ZAPS;
	     next += t->zap.period) {
		if (next < now_ns())
			continue; /* the one before took long */
		sleep_until(next - 1000000);
		while (now_ns() < next) /* a CPU that was idle is slow at first */
			;
		before = now_ns();
		prot ^= PROT_EXEC;
		if (mprotect(v->base[0], v->pages * PAGE, prot))
			die("vma %s: mprotect: %s", v->name, strerror(errno));
		shared->zap[n].at = before - shared->start;
		shared->zap[n].took = now_ns() - before;
		shared->zap_count = ++n;
	}
}

/* --- processes and their threads -------------------------------------------- */

static void wait_phase(int phase)
{
	int seen;

	while ((seen = __atomic_load_n(&shared->phase, __ATOMIC_ACQUIRE)) < phase)
		syscall(SYS_futex, &shared->phase, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void set_phase(int phase)
{
	__atomic_store_n(&shared->phase, phase, __ATOMIC_RELEASE);
	syscall(SYS_futex, &shared->phase, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void *thread_main(void *argument)
{
	struct thread *t = argument;
	int i = t - threads;

	prctl(PR_SET_NAME, t->name);
	shared->thread[i].tid = syscall(SYS_gettid);
	bind_cpu(t->cpu);
	if (guest_of(t))
		t->vcpu = vmm_vcpu(guest_of(t)->vm);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	wait_phase(2);
	sleep_until(shared->start);
	if (t->churns)
		run_churn(t);
	else if (t->zap.period)
		run_zaps(t);
	else
		run_task(t);
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_ACQ_REL);
	for (;;)
		pause();
	return NULL;
}

static void join_cpuset(int process)
{
	char path[128], self[16];

	snprintf(path, sizeof(path), "/cgroup/%s", processes[process].name);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "/cgroup/%s/cpuset.mems", processes[process].name);
	if (write_file("/cgroup/cgroup.subtree_control", "+cpuset") ||
	    write_file(path, processes[process].mems))
		die("process %s: cpuset: %s", processes[process].name, strerror(errno));
	snprintf(path, sizeof(path), "/cgroup/%s/cgroup.procs", processes[process].name);
	snprintf(self, sizeof(self), "%d", getpid());
	if (write_file(path, self))
		die("process %s: cpuset: %s", processes[process].name, strerror(errno));
}

static void __attribute__((noreturn)) process_main(int process)
{
	struct thread *first = NULL;
	pthread_attr_t attributes;
	pthread_t ignored;

	is_child = 1;
	if (strcmp(processes[process].mems, "-"))
		join_cpuset(process);
	for (int i = 0; i < n_vmas; i++)
		if (vmas[i].process == process) {
			map_vma(vmas + i);
			if (vmas[i].kvm) {
				vmas[i].vm = vmm_create(vmas[i].name, vmas[i].base[0],
							vmas[i].pages * PAGE);
				shared->vm_fd[i] = vmm_fd(vmas[i].vm);
			}
		}
	for (int i = 0; i < n_threads; i++)
		for (int j = 0; j < threads[i].accesses; j++) {
			struct access *a = accesses + threads[i].first_access + j;

			if (threads[i].process == process && !threads[i].churns) {
				a->base = vmas[a->vma].base;
				a->pages = vmas[a->vma].pages;
				a->count = vmas[a->vma].count;
			}
		}
	bind_cpu(-1);
	/* The parent reads where the mappings are from this file. */
	{
		char path[64];
		FILE *file;

		snprintf(path, sizeof(path), "/tmp/mappings.%d", process);
		file = fopen(path, "w");
		for (int i = 0; i < n_vmas; i++)
			for (u64 j = 0; vmas[i].process == process && j < vmas[i].count; j++)
				fprintf(file, "%s %lx %lx\n", vmas[i].name, (u64)vmas[i].base[j],
					(u64)vmas[i].base[j] + vmas[i].pages * PAGE);
		fclose(file);
	}
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	wait_phase(1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 1 << 17);
	for (int i = 0; i < n_threads; i++) {
		if (threads[i].process != process)
			continue;
		if (!first) {
			first = threads + i;
			shared->thread[i].created = processes[process].forked;
			continue;
		}
		shared->thread[i].created = now_ns();
		if (pthread_create(&ignored, &attributes, thread_main, threads + i))
			die("thread %s: pthread_create failed", threads[i].name);
	}
	thread_main(first);
	_exit(0);
}

static void wait_ready(int *counter, int wanted)
{
	int status;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < wanted) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (shared->error[0])
			die("%s", shared->error);
		if (pid > 0 && WIFSIGNALED(status))
			die("process %d was killed by signal %d (out of memory?)", pid, WTERMSIG(status));
		sleep_until(now_ns() + 1000000);
	}
}

/* --- sampling --------------------------------------------------------------- */

static const char *const counter_names[] = {
	"numa_pte_updates", "numa_huge_pte_updates", "numa_hint_faults",
	"numa_hint_faults_local", "numa_pages_migrated", "pgmigrate_success",
	"pgmigrate_fail",
};
#define COUNTERS (int)(sizeof(counter_names) / sizeof(counter_names[0]))

static void read_counters(int fd, u64 *values)
{
	static char text[1 << 15];
	ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);
	char *p = text;

	text[bytes > 0 ? bytes : 0] = 0;
	memset(values, 0, COUNTERS * sizeof(*values));
	while (*p) {
		if (!strncmp(p, "numa_", 5) || !strncmp(p, "pgmigrate_", 10))
			for (int i = 0; i < COUNTERS; i++) {
				size_t n = strlen(counter_names[i]);

				if (!strncmp(p, counter_names[i], n) && p[n] == ' ')
					values[i] = strtoull(p + n, NULL, 10);
			}
		p = strchrnul(p, '\n');
		p += *p == '\n';
	}
}

static long read_scan_seq(int fd)
{
	static char text[1 << 15];
	ssize_t bytes = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	char *p;

	if (bytes <= 0)
		return -1;
	text[bytes] = 0;
	p = strstr(text, "mm->numa_scan_seq");
	p = p ? strchr(p, ':') : NULL;
	return p ? strtol(p + 1, NULL, 10) : -1;
}

/*
 * QEMU's software TLB starts at 256 entries, doubles at most once a flush, and shrinks
 * while faults keep a task from touching much; too small, it makes touches several times
 * slower. A visit to each CPU flushes it: many at the start, one with each sample.
 */
static void visit_cpus(void)
{
	for (int cpu = 0, n = sysconf(_SC_NPROCESSORS_ONLN); cpu < n; cpu++)
		bind_cpu(cpu);
	bind_cpu(-1);
}

static void warm_up_emulation(u64 most_ns)
{
	int steps_ms[] = { 3, 3, 3, 3, 4, 6, 10, 15, 25, 40, 40, 40 };

	most_ns = most_ns < 500000000 ? most_ns / 2 : 250000000;
	for (unsigned i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
		if (now_ns() > shared->start + most_ns)
			break;
		visit_cpus();
		sleep_until(now_ns() + steps_ms[i] * 1000000);
	}
}

static void sample(FILE *out)
{
	u64 values[MAX_COUNTERS], first[MAX_COUNTERS], n = run.duration / run.sample;
	int vmstat = open("/proc/vmstat", O_RDONLY), sched[MAX_PROCESSES];
	char path[64];

	for (int p = 0; p < n_processes; p++) {
		snprintf(path, sizeof(path), "/proc/%d/sched", processes[p].pid);
		sched[p] = open(path, O_RDONLY);
	}
	fprintf(out, "ns");
	for (int i = 0; i < COUNTERS; i++)
		fprintf(out, " %s", counter_names[i]);
	fprintf(out, "\n");
	read_counters(vmstat, first);
	for (u64 k = 0; k <= n; k++) {
		sleep_until(shared->start + k * run.sample);
		fprintf(out, "%lu", now_ns() - shared->start);
		read_counters(vmstat, values);
		for (int i = 0; i < COUNTERS; i++)
			fprintf(out, " %lu", values[i] - first[i]);
		for (int p = 0; p < n_processes; p++)
			fprintf(out, " %ld", read_scan_seq(sched[p]));
		for (int t = 0; t < n_threads; t++)
			fprintf(out, " %lu", shared->thread[t].touches);
		fprintf(out, "\n");
		if (k)
			visit_cpus();
		else
			warm_up_emulation(run.sample);
	}
	for (int p = 0; p < n_processes; p++)
		close(sched[p]);
	close(vmstat);
}

/* --- one run ---------------------------------------------------------------- */

static int slower(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Latencies of timed touches, slowest first, at a few ranks for the host to pick from. */
static void report_latency(void)
{
	u64 n = shared->latency_count, most = sizeof(shared->latency) / sizeof(shared->latency[0]);
	size_t bytes;
	char *text;
	FILE *out;

	if (!n)
		return;
	n = n < most ? n : most;
	qsort(shared->latency, n, sizeof(shared->latency[0]), slower);
	out = open_memstream(&text, &bytes);
	fprintf(out, "%lu %lu\n", shared->latency_count, n);
	for (u64 i = 0; i < n; i += i < 64 ? 1 : i / 64)
		fprintf(out, "%lu %u\n", i, shared->latency[i]);
	fclose(out);
	section("latency", text, bytes);
	free(text);
}

/* When each was, and how long it took. */
static void report_zaps(void)
{
	size_t bytes;
	char *text;
	FILE *out;

	if (!shared->zap_count)
		return;
	out = open_memstream(&text, &bytes);
	for (u64 i = 0; i < shared->zap_count; i++)
		fprintf(out, "%lu %lu\n", shared->zap[i].at, shared->zap[i].took);
	fclose(out);
	section("zaps", text, bytes);
	free(text);
}

static void report_process(int process, const char *file, const char *when)
{
	char path[64], name[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", processes[process].pid, file);
	snprintf(name, sizeof(name), "%s %.31s %s", file, processes[process].name, when);
	section_file(name, path);
}

static void report_threads(const char *name, const char *file, int whole)
{
	char path[96], title[128], *text, *all;
	size_t bytes, all_bytes;
	FILE *out = open_memstream(&all, &all_bytes);

	for (int i = 0; i < n_threads; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s",
			 processes[threads[i].process].pid, shared->thread[i].tid, file);
		text = slurp(path, &bytes);
		if (whole) {
			snprintf(title, sizeof(title), "%s %.31s", name, threads[i].name);
			section(title, text, bytes);
		} else {
			text[strcspn(text, "\n")] = 0;
			fprintf(out, "%s %d %lu %lu %s\n", threads[i].name, shared->thread[i].tid,
				shared->thread[i].created, shared->thread[i].touches, text);
		}
		free(text);
	}
	fclose(out);
	if (!whole)
		section(name, all, all_bytes);
	free(all);
}

static void report_setup(u64 switched_on)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	for (int p = 0; p < n_processes; p++)
		fprintf(out, "process %s %d %lu\n", processes[p].name, processes[p].pid,
			processes[p].forked);
	fprintf(out, "balancing %lu\nstart %lu\n", switched_on, shared->start);
	fclose(out);
	section("setup", text, bytes);
	free(text);
}

/* What KVM counted for each guest; a file that is missing reads as -1. */
static void report_guests(void)
{
	const char *const counters[] = {
		"pf_fixed", "pf_taken", "remote_tlb_flush_requests", "exits",
	};
	char path[96], *text, *all;
	size_t bytes;
	FILE *out = open_memstream(&all, &bytes);

	for (int i = 0; i < n_vmas; i++) {
		if (!vmas[i].kvm)
			continue;
		fprintf(out, "%s", vmas[i].name);
		for (unsigned j = 0; j < sizeof(counters) / sizeof(counters[0]); j++) {
			size_t n;

			snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s",
				 processes[vmas[i].process].pid, shared->vm_fd[i], counters[j]);
			text = slurp(path, &n);
			fprintf(out, " %ld", n ? strtol(text, NULL, 10) : -1);
			free(text);
		}
		fprintf(out, "\n");
	}
	fclose(out);
	if (n_guests)
		section("guests", all, bytes);
	free(all);
}

/* A policy without migrate-on-fault makes every VMA of this process unsuitable. */
static void scan_me(int yes)
{
	u64 node0 = 1;

	if (syscall(SYS_set_mempolicy, yes ? MPOL_DEFAULT : MPOL_BIND, yes ? NULL : &node0,
		    yes ? 0 : 65))
		die("set_mempolicy: %s", strerror(errno));
}

static void run_workload(void)
{
	struct sched_param priority = { .sched_priority = 1 };
	char *samples, path[64], name[64];
	size_t sample_bytes;
	u64 switched_on;
	FILE *out;

	section("run", run.name, strlen(run.name));
	start_tracing(n_guests);
	memset(shared, 0, offsetof(struct shared, latency));
	scan_me(1);
	write_file("/proc/sys/kernel/numa_balancing", "0"); /* no scan while pages are laid out */
	for (int p = 0; p < n_processes; p++) {
		processes[p].forked = now_ns();
		processes[p].pid = fork();
		if (processes[p].pid < 0)
			die("fork: %s", strerror(errno));
		if (!processes[p].pid)
			process_main(p);
		wait_ready(&shared->ready, p + 1);
	}
	for (int p = 0; p < n_processes; p++) {
		report_process(p, "numa_maps", "start");
		snprintf(path, sizeof(path), "/tmp/mappings.%d", p);
		snprintf(name, sizeof(name), "mappings %.31s", processes[p].name);
		section_file(name, path);
	}
	shared->ready = 0;
	switched_on = now_ns();
	if (run.balancing && write_file("/proc/sys/kernel/numa_balancing", "1"))
		die("kernel.numa_balancing cannot be switched on (CONFIG_NUMA_BALANCING?)");
	set_phase(1);
	wait_ready(&shared->ready, n_threads);
	for (int p = 0; p < n_processes; p++)
		report_process(p, "maps", "start");
	report_threads("threads start", "schedstat", 0);
	sched_setscheduler(0, SCHED_FIFO, &priority); /* to be on time beside busy threads */
	scan_me(0);
	shared->start = now_ns() + 5000000;
	shared->end = shared->start + run.duration;
	report_setup(switched_on);
	out = open_memstream(&samples, &sample_bytes);
	set_phase(2);
	sample(out);
	sleep_until(shared->end);
	stop_tracing();
	for (int i = 0; i < n_threads; i++)
		if (guest_of(threads + i)) /* calls the vCPU back */
			syscall(SYS_tgkill, processes[threads[i].process].pid, shared->thread[i].tid,
				SIGUSR1);
	fclose(out);
	priority.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &priority);
	wait_ready(&shared->done, n_threads);
	section("samples", samples, sample_bytes);
	free(samples);
	report_threads("threads end", "schedstat", 0);
	report_threads("sched", "sched", 1);
	for (int p = 0; p < n_processes; p++) {
		report_process(p, "maps", "end");
		report_process(p, "numa_maps", "end");
	}
	report_guests();
	report_trace(n_guests);
	report_latency();
	report_zaps();
	section_file("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	for (int p = 0; p < n_processes; p++) {
		kill(processes[p].pid, SIGKILL);
		waitpid(processes[p].pid, NULL, 0);
	}
	section("end", run.name, strlen(run.name));
	n_processes = n_vmas = n_threads = n_accesses = n_guests = 0;
}

/* --- the program ------------------------------------------------------------ */

static void read_line(const char *line)
{
	struct vma *v = vmas + n_vmas;
	struct thread *t = threads + n_threads - 1;
	struct access *a = accesses + n_accesses;
	char word[16] = "", path[128], value[64];
	int ok = 1;

	sscanf(line, "%15s", word);
	if (n_processes >= MAX_PROCESSES || n_vmas >= MAX_VMAS || n_threads >= MAX_THREADS ||
	    n_accesses >= MAX_ACCESSES)
		die("program: more processes, VMAs, threads or accesses than %d, %d, %d, %d",
		    MAX_PROCESSES, MAX_VMAS, MAX_THREADS, MAX_ACCESSES);
	if (!strcmp(word, "run")) {
		ok = sscanf(line, "run %31s %lu %lu %lu %d %d", run.name, &run.duration, &run.sample,
			    &run.seed, &run.node_cpus, &run.balancing) == 6;
	} else if (!strcmp(word, "write")) {
		ok = sscanf(line, "write %127s %63s", path, value) == 2;
		if (ok && write_file(path, value))
			die("%s: writing %s: %s", path, value, strerror(errno));
	} else if (!strcmp(word, "process")) {
		ok = sscanf(line, "process %31s %63s", processes[n_processes].name,
			    processes[n_processes].mems) == 2;
		n_processes++;
	} else if (!strcmp(word, "vma")) {
		memset(v, 0, sizeof(*v));
		v->process = n_processes - 1;
		ok = sscanf(line, "vma %31s %d %d %lu %lu %d %lu %lu %d %d %d", v->name, &v->kind,
			    &v->thp, &v->pages, &v->count, &v->node, &v->populated, &v->pinned,
			    &v->scattered, &v->policy, &v->kvm) == 11;
		if (v->kvm)
			vmm_prepare();
		n_guests += v->kvm;
		n_vmas++;
	} else if (!strcmp(word, "thread")) {
		memset(++t, 0, sizeof(*t));
		t->process = n_processes - 1;
		t->first_access = n_accesses;
		t->random = (run.seed * MAX_THREADS + n_threads + 1) * 0x9E3779B97F4A7C15ULL;
		ok = sscanf(line, "thread %31s %d", t->name, &t->cpu) == 2;
		n_threads++;
	} else if (!strcmp(word, "access")) {
		memset(a, 0, sizeof(*a));
		ok = sscanf(line, "access %d %lu %lu %d %lf %d %lu %lf %lu %lu", &a->vma, &a->lo, &a->hi,
			    &a->pattern, &a->rate, &a->write, &a->hot, &a->share, &a->start,
			    &a->stop) == 10;
		t->accesses++;
		n_accesses++;
	} else if (!strcmp(word, "churn")) {
		memset(a, 0, sizeof(*a));
		ok = sscanf(line, "churn %lu %d %lu %d %lf %lu %d %lf %d %d", &t->churn.pages,
			    &t->churn.thp, &t->churn.life, &t->churn.distribution, &t->churn.shape,
			    &t->churn.gap, &a->pattern, &a->rate, &a->write, &t->churn.node) == 10;
		a->hi = a->pages = t->churn.pages;
		a->count = 1;
		t->accesses = t->churns = 1;
		n_accesses++;
	} else if (!strcmp(word, "zap")) {
		ok = sscanf(line, "zap %d %lu %lu", &t->zap.vma, &t->zap.start, &t->zap.period) == 3;
	} else if (!strcmp(word, "go")) {
		run_workload();
	} else {
		ok = !*word;
	}
	if (!ok)
		die("program: bad line: %s", line);
}

static void prepare_guest(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct utsname name;
	char text[256];

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, "size=100%");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("cgroup2", "/cgroup", "cgroup2", 0, NULL);
	setrlimit(RLIMIT_MEMLOCK, &all);
	write_file("/proc/sys/vm/overcommit_memory", "1");
	uname(&name);
	section("uname", text, snprintf(text, sizeof(text), "%s %s", name.release, name.version));
	section_file("cmdline", "/proc/cmdline");
}

int main(void)
{
	size_t bytes;
	char *program, *line, *save;

	if (ioperm(RESULT_PORT, 1, 1))
		return 1;
	emit("numalab-guest 1\n", 16);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	prepare_guest();
	program = slurp("/program", &bytes);
	for (line = strtok_r(program, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_line(line);
	emit("@done\n", 6);
	reboot(RB_AUTOBOOT);
	return 0;
}
