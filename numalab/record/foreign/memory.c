/* The regions: mapped, filled by a CPU of the node that they shall begin on, and pinned. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

#define HUGE_PAGE (2UL << 20)
#define GIGABYTE (1UL << 30) /* io_uring takes no larger buffer */
#define MAX_BUFFERS 64

/*
 * Map a region with room on both sides that nobody may touch: the kernel would make one of
 * two neighbours.
 */
static unsigned char *map_alone(const struct region *r)
{
	size_t bytes = r->pages * PAGE_SIZE, slack = r->thp ? HUGE_PAGE : 0;
	int flags = r->shared ? MAP_SHARED : MAP_PRIVATE;
	unsigned char *room, *start;

	room = mmap(NULL, bytes + slack + 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (room == MAP_FAILED)
		fail("region %s: mmap: %s", r->name, strerror(errno));
	start = room + PAGE_SIZE;
	if (r->thp)
		start = (unsigned char *)(((uintptr_t)start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	if (mmap(start, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		fail("region %s: mmap: %s", r->name, strerror(errno));
	if (r->thp && madvise(start, bytes, MADV_HUGEPAGE))
		fail("region %s: madvise: %s", r->name, strerror(errno));
	return start;
}

/* A ring of io_uring that is never used: its buffers are pinned as long as it is open. */
static void pin(const struct region *r, unsigned char *start)
{
	struct io_uring_params parameters;
	struct iovec buffers[MAX_BUFFERS];
	size_t left = r->pinned * PAGE_SIZE;
	int ring, n;

	memset(&parameters, 0, sizeof(parameters));
	ring = syscall(SYS_io_uring_setup, 1, &parameters);
	if (ring < 0)
		fail("region %s: io_uring_setup: %s", r->name, strerror(errno));
	for (n = 0; left > 0 && n < MAX_BUFFERS; n++) {
		buffers[n].iov_base = start + n * GIGABYTE;
		buffers[n].iov_len = left < GIGABYTE ? left : GIGABYTE;
		left -= buffers[n].iov_len;
	}
	if (left > 0)
		fail("region %s: more than %d GiB cannot be pinned", r->name, MAX_BUFFERS);
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, buffers, n) < 0)
		fail("region %s: pinning: %s", r->name, strerror(errno));
}

void region_create(struct region *r)
{
	r->mapping = malloc(r->count * sizeof(r->mapping[0]));
	if (!r->mapping)
		fail("region %s: out of memory", r->name);
	run_on_cpu(r->cpu);
	for (uint64_t i = 0; i < r->count; i++) {
		r->mapping[i] = map_alone(r);
		memset(r->mapping[i], 1, r->filled * PAGE_SIZE);
		if (r->pinned > 0)
			pin(r, r->mapping[i]);
	}
}
