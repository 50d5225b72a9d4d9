/*
 * The init of the recorder's guest: runs the workloads of /program (program.c) and reports
 * (output.c). Every file calls only files that are listed after it in initramfs.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mappings.h"
#include "report.h"
#include "sampling.h"
#include "touches.h"
#include "trace.h"
#include "vmm.h"

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
	if (t->churn.pinned)
		t->ring = pin_ring(t->name);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	wait_phase(2);
	sleep_until(shared->start);
	run_thread(t);
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

	output_errors_to(shared->error, sizeof(shared->error));
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
	write_mappings(process);
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
	char *samples;
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
	report_layout();
	shared->ready = 0;
	switched_on = now_ns();
	if (run.balancing && write_file("/proc/sys/kernel/numa_balancing", "1"))
		die("kernel.numa_balancing cannot be switched on (CONFIG_NUMA_BALANCING?)");
	set_phase(1);
	wait_ready(&shared->ready, n_threads);
	report_start();
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
	report_end();
	for (int p = 0; p < n_processes; p++) {
		kill(processes[p].pid, SIGKILL);
		waitpid(processes[p].pid, NULL, 0);
	}
	section("end", run.name, strlen(run.name));
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
	char *rest;

	if (output_begin())
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	prepare_guest();
	rest = read_file("/program", &bytes);
	while (program_next(&rest)) {
		if (n_guests)
			vmm_prepare();
		run_workload();
	}
	output_done();
	return 0;
}
