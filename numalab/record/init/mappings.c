/* Mappings between guard pages: where they lie, what is in them, and pins. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mappings.h"

#define MAX_PIECES 16384	/* that one ring can pin */
#define PIECE (1UL << 30)	/* the largest */
#define MAX_HEAD_PIECES 16

/* The memory policy of the calling thread, over all nodes; threads that it makes inherit it. */
void task_policy(int policy)
{
	u64 all = ~0UL;
	int mode = policy == BIND_BALANCING ? MPOL_BIND | MPOL_F_NUMA_BALANCING : MPOL_BIND;

	if (policy == DEFAULT ? syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0) :
				syscall(SYS_set_mempolicy, mode, &all, 65))
		die("set_mempolicy: %s", strerror(errno));
}

void bind_cpu(int cpu)
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
char *map_guarded(u64 bytes, int kind, int thp, const char *name, char **area,
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

/* A ring of io_uring: its registered buffers are under a long-term pin (FOLL_LONGTERM). */
int pin_ring(const char *name)
{
	struct io_uring_params parameters = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &parameters);

	if (ring < 0)
		die("vma %s: io_uring_setup: %s", name, strerror(errno));
	return ring;
}

static void pin_pieces(const char *name, int ring, struct iovec *pieces, u64 n)
{
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, pieces, n))
		die("vma %s: pinning: %s", name, strerror(errno));
}

/* Pin the first bytes of a mapping. The pieces are on the stack: threads pin side by side. */
void pin_head(const char *name, int ring, char *start, u64 bytes)
{
	struct iovec pieces[MAX_HEAD_PIECES];
	u64 n;

	for (n = 0; bytes; n++) {
		if (n == MAX_HEAD_PIECES)
			die("vma %s: pinning: more than %d GiB", name, MAX_HEAD_PIECES);
		pieces[n].iov_base = start + n * PIECE;
		pieces[n].iov_len = bytes < PIECE ? bytes : PIECE;
		bytes -= pieces[n].iov_len;
	}
	pin_pieces(name, ring, pieces, n);
}

void unpin(const char *name, int ring)
{
	if (syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0))
		die("vma %s: unpinning: %s", name, strerror(errno));
}

static void pin_vma(struct vma *v, char *start)
{
	static struct iovec pieces[MAX_PIECES];
	u64 unit = v->thp || v->kind == HUGETLB ? 512 : 1;
	u64 pinned = v->pinned / unit, populated = v->populated / unit, n;
	int ring;

	if (!pinned)
		return;
	ring = pin_ring(v->name);
	if (!v->scattered) {
		pin_head(v->name, ring, start, pinned * unit * PAGE);
		return;
	}
	n = pinned < MAX_PIECES ? pinned : MAX_PIECES;
	for (u64 i = 0; i < n; i++) {
		u64 length = pinned * (i + 1) / n - pinned * i / n;

		pieces[i].iov_base = start + populated * i / n * unit * PAGE;
		pieces[i].iov_len = length * unit * PAGE;
	}
	pin_pieces(v->name, ring, pieces, n);
}

void populate(const char *name, char *start, u64 pages, int advice)
{
	if (pages && madvise(start, pages * PAGE, advice))
		die("vma %s: populating: %s (is the node's memory large enough?)", name,
		    strerror(errno));
}

void map_vma(struct vma *v)
{
	char *area;
	u64 bytes;

	v->base = malloc(v->count * sizeof(*v->base));
	bind_cpu(v->node * run.node_cpus);
	for (u64 i = 0; i < v->count; i++) {
		v->base[i] = map_guarded(v->pages * PAGE, v->kind, v->thp, v->name, &area, &bytes);
		set_policy(v, v->base[i]);
		populate(v->name, v->base[i], v->populated,
			 v->kind == FILE_RO ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
		pin_vma(v, v->base[i]);
	}
}
