/* What the threads do: the tasks' part, or to map and unmap, or to notify. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mappings.h"
#include "tasks.h"
#include "threads.h"
#include "touches.h"

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

/*
 * Fill a churn's mapping: its head, which is pinned as it is populated, so that no scan comes
 * between; and the rest too if it begins on a node that its thread may be far from. A scan that
 * runs meanwhile goes by the task's policy, and would pass over every VMA if that did not allow
 * balancing.
 */
static void fill_churn(struct thread *t, char *base)
{
	u64 mask = 1UL << t->churn.node, pinned = t->churn.pinned;
	int placed = t->churn.node >= 0;

	if (placed && syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_NUMA_BALANCING, &mask, 65))
		die("churn %s: set_mempolicy: %s", t->name, strerror(errno));
	if (pinned)
		pin_head(t->name, t->ring, base, pinned * PAGE);
	if (!placed)
		return;
	populate(t->name, base + pinned * PAGE, t->churn.pages - pinned, MADV_POPULATE_WRITE);
	task_policy(processes[t->process].policy);
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
		fill_churn(t, base);
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
		if (t->churn.pinned)
			unpin(t->name, t->ring);
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

/* Do what the thread of the program does, until the end of the run. */
void run_thread(struct thread *t)
{
	if (t->churns)
		run_churn(t);
	else if (t->zap.period)
		run_zaps(t);
	else
		run_task(t);
}
