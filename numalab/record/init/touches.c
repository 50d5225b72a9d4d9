/* What the threads do: touch mappings in patterns and at rates, map and unmap, notify. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mappings.h"
#include "touches.h"
#include "vmm.h"

#define STEP_NS 10000000ULL /* rated accesses act on deadlines this far apart */
#define BATCH 64            /* touches of one flat-out access before its neighbour's turn */
#define CHECK 1024          /* touches between two looks at the clock */
#define GUEST_BATCH 4096    /* touches of a vCPU between two looks at the clock */

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
			if (i < MAX_LATENCIES)
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
