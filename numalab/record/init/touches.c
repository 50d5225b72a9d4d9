/* Touches of mappings, in patterns and at the deadlines of a rate; and the draws of a thread. */
#define _GNU_SOURCE
#include "touches.h"
#include "vmm.h"

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

double draw_unit(struct thread *t) /* in (0, 1) */
{
	return ((draw(t) >> 11) + 0.5) / 9007199254740992.0;
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

void touch_pages(struct thread *t, struct access *a, u64 n)
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
void touch_rated(struct thread *t, struct access *a, u64 end)
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
