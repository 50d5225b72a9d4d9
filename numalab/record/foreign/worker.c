/* A worker: touches its pages at its pace until the end. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

#define AT_ONCE 256 /* touches before the clock is read again */
#define NAP_NS 2000000 /* a sleeper takes the touches of this time together */

static uint64_t random_below(struct worker *w, uint64_t limit)
{
	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->random >> 32) * limit >> 32;
}

static uint64_t choose_page(struct worker *w, struct access *a)
{
	uint64_t span = a->end - a->first, page;

	switch (a->pattern) {
	case AT_RANDOM:
		return a->first + random_below(w, span);
	case HOT_AND_COLD:
		if (a->hot_pages >= span || random_below(w, 1 << 30) < a->hot_share * (1 << 30))
			return a->first + random_below(w, a->hot_pages);
		return a->first + a->hot_pages + random_below(w, span - a->hot_pages);
	default:
		page = a->first + a->next;
		a->next = a->next + 1 < span ? a->next + 1 : 0;
		return page;
	}
}

static void touch(struct worker *w, struct access *a, uint64_t n)
{
	const struct region *r = a->region;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t page = choose_page(w, a);
		volatile unsigned char *byte = r->mapping[page / r->pages];

		byte += page % r->pages * PAGE_SIZE + page * 64 % PAGE_SIZE;
		if (a->write)
			*byte = i; /* not ++: the emulation would fault twice, to read and to write */
		else
			(void)*byte;
	}
	a->done += n;
	w->touches += n;
}

/* When touch number k of an access is due: they come at equal distances. */
static uint64_t due_ns(const struct access *a, uint64_t k)
{
	return start_ns + a->begin_ns + (uint64_t)(k * 1e9 / a->per_second);
}

/* Do what is due now, but not for long. Return when there is more to do. */
static uint64_t advance(struct worker *w, struct access *a, uint64_t now)
{
	uint64_t from = start_ns + a->begin_ns, stop = start_ns + a->stop_ns, n = 0, due, nap;

	if (now < from)
		return from;
	if (a->per_second == 0) {
		if (now >= stop)
			return end_ns;
		touch(w, a, AT_ONCE);
		return now;
	}
	while (n < AT_ONCE && (due = due_ns(a, a->done + n)) <= now && due < stop)
		n++;
	touch(w, a, n);
	due = due_ns(a, a->done);
	if (due >= stop)
		return end_ns;
	nap = w->busy ? 0 : a->per_second * NAP_NS / 1e9;
	return due <= now ? now : due_ns(a, a->done + nap);
}

static void work(struct worker *w)
{
	int moved = 0;

	for (;;) {
		uint64_t now = clock_ns(), next = end_ns, when;

		if (now >= end_ns)
			return;
		while (moved < w->moves && start_ns + w->move[moved].at_ns <= now)
			run_on_cpu(w->move[moved++].cpu);
		if (moved < w->moves && start_ns + w->move[moved].at_ns < next)
			next = start_ns + w->move[moved].at_ns;
		for (int i = 0; i < w->accesses; i++) {
			when = advance(w, &w->access[i], now);
			if (when < next)
				next = when;
		}
		if (next > now && !w->busy && (w->accesses || w->waits))
			sleep_until_ns(next);
	}
}

void *worker_main(void *argument)
{
	struct worker *w = argument;

	pthread_setname_np(pthread_self(), w->name);
	w->tid = gettid();
	run_on_cpu(w->cpu);
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	sleep_until_ns(start_ns);
	work(w);
	pthread_barrier_wait(&meeting);
	pthread_barrier_wait(&meeting);
	return NULL;
}
