/* What a task does: its accesses, flat out or when they are due, and its changes of CPU. */
#define _GNU_SOURCE
#include <math.h>

#include "mappings.h"
#include "tasks.h"
#include "touches.h"

#define GUEST_BATCH 4096 /* touches of a vCPU between two looks at the clock */

static int active(const struct access *a, u64 now)
{
	return shared->start + a->start <= now && now < shared->start + a->stop;
}

static void move_when_due(struct thread *t, u64 now)
{
	for (; t->moves && now >= shared->start + moves[t->first_move].at; t->moves--)
		bind_cpu(moves[t->first_move++].cpu);
}

/* How many touches are due: the first when the access begins, the others 1/rate apart. */
static u64 due(const struct access *a, u64 now)
{
	u64 at = now - shared->start;

	at = at < a->stop ? at : a->stop;
	return at > a->start ? (u64)ceil((at - a->start) * a->rate / 1e9) : 0;
}

/* Make the touches that are due, at most CHECK of each access; 0 if none was. */
static int touch_due(struct thread *t, u64 now)
{
	struct access *first = accesses + t->first_access, *a;
	int touched = 0;

	for (a = first; a < first + t->accesses; a++) {
		u64 n = a->rate > 0 ? due(a, now) - a->made : 0;

		if (!n)
			continue;
		n = n < CHECK ? n : CHECK;
		touch_pages(t, a, n);
		a->made += n;
		touched = 1;
	}
	return touched;
}

/* The rated touches of the deadlines that have passed. Return the next deadline. */
static u64 touch_deadlines(struct thread *t, u64 next, u64 now)
{
	struct access *first = accesses + t->first_access, *a;

	for (; next <= now && next < shared->end; next += STEP_NS) {
		for (a = first; a < first + t->accesses; a++)
			if (a->rate > 0 && active(a, next))
				touch_rated(t, a, shared->end);
		if (t->moves)
			move_when_due(t, now_ns());
	}
	return next;
}

static int touch_flat_out(struct thread *t, u64 now)
{
	struct access *first = accesses + t->first_access, *a;
	int rounds = t->vcpu ? 1 : CHECK / BATCH, batch = t->vcpu ? GUEST_BATCH : BATCH;
	int touched = 0;

	for (int i = 0; i < rounds; i++)
		for (a = first; a < first + t->accesses; a++)
			if (a->rate == 0 && active(a, now)) {
				touch_pages(t, a, batch);
				touched = 1;
			}
	return touched;
}

/* A busy task, or one without accesses, never sleeps; others do where nothing is due. */
void run_task(struct thread *t)
{
	u64 end = shared->end, next = shared->start, now;

	if (t->waits)
		sleep_until(end);
	while ((now = now_ns()) < end) {
		int touched = 0;

		move_when_due(t, now);
		if (t->busy)
			touched = touch_due(t, now);
		else
			next = touch_deadlines(t, next, now);
		if (touch_flat_out(t, now) || touched)
			continue;
		if (!t->accesses)
			for (int i = 0; i < CHECK; i++)
				asm volatile("pause");
		else if (t->busy)
			asm volatile("pause");
		else
			sleep_until(next < end ? next : end);
	}
}
