/*
 * A small memory benchmark: a main thread that fills memory and waits, and workers that touch
 * it. It is told what to do on stdin, one word list a line:
 *
 *   stack BYTES                  of each worker
 *   region NAME PAGES COUNT SHARED THP CPU FILLED PINNED
 *   main CPU                     where the main thread runs; -1: anywhere
 *   thread NAME CPU BUSY WAITS SEED
 *   access REGION FIRST END PATTERN PER_SECOND WRITE HOT_PAGES HOT_SHARE BEGIN_NS STOP_NS
 *   move AT_NS CPU               access and move lines belong to the thread above them
 *   fill                         answers "mapping NAME ADDRESS" for each, and "ready"
 *   threads                      answers "thread NAME TID CREATED_NS" for each, and "ready"
 *   go START_NS END_NS           (CLOCK_MONOTONIC) answers, after the end, "touches NAME N" for
 *                                each, and "ready"
 *
 * It leaves when stdin ends. What goes wrong is one line on stdout.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

uint64_t start_ns, end_ns;
pthread_barrier_t meeting;

static struct region regions[MAX_REGIONS + 1];
static struct worker *workers[MAX_WORKERS];
static int n_regions, n_workers, main_cpu = -1;
static size_t stack_bytes;

void fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
	exit(1);
}

uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sleep_until_ns(uint64_t when)
{
	struct timespec t = { .tv_sec = when / 1000000000, .tv_nsec = when % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

void run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (i == cpu || cpu < 0)
			CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("CPU %d: %s", cpu, strerror(errno));
}

static struct worker *new_worker(void)
{
	if (n_workers == MAX_WORKERS)
		fail("more than %d threads", MAX_WORKERS);
	workers[n_workers] = calloc(1, sizeof(struct worker));
	if (!workers[n_workers])
		fail("out of memory");
	return workers[n_workers++];
}

static struct region *find_region(const char *name)
{
	for (int i = 0; i < n_regions; i++)
		if (!strcmp(regions[i].name, name))
			return &regions[i];
	fail("no region %s", name);
}

/* A line that describes memory or a thread. */
static void describe(const char *line)
{
	struct worker *w = n_workers ? workers[n_workers - 1] : NULL;
	struct region *r = &regions[n_regions];
	char name[NAME_SIZE];
	struct access a;
	struct move m;

	memset(&a, 0, sizeof(a));
	if (sscanf(line, "stack %zu", &stack_bytes) == 1 || sscanf(line, "main %d", &main_cpu) == 1)
		return;
	if (sscanf(line, "region %31s %" SCNu64 " %" SCNu64 " %d %d %d %" SCNu64 " %" SCNu64, r->name,
		   &r->pages, &r->count, &r->shared, &r->thp, &r->cpu, &r->filled, &r->pinned) == 8) {
		if (n_regions++ == MAX_REGIONS)
			fail("more than %d regions", MAX_REGIONS);
	} else if (!strncmp(line, "thread ", 7)) {
		w = new_worker();
		if (sscanf(line, "thread %31s %d %d %d %" SCNu64, w->name, &w->cpu, &w->busy,
			   &w->waits, &w->random) != 5)
			fail("not understood: %s", line);
	} else if (w && sscanf(line, "move %" SCNu64 " %d", &m.at_ns, &m.cpu) == 2) {
		if (w->moves == MAX_STEPS)
			fail("thread %s: more than %d moves", w->name, MAX_STEPS);
		w->move[w->moves++] = m;
	} else if (w && sscanf(line, "access %31s %" SCNu64 " %" SCNu64 " %d %lf %d %" SCNu64
			       " %lf %" SCNu64 " %" SCNu64, name, &a.first, &a.end, &a.pattern,
			       &a.per_second, &a.write, &a.hot_pages, &a.hot_share, &a.begin_ns,
			       &a.stop_ns) == 10) {
		if (w->accesses == MAX_STEPS)
			fail("thread %s: more than %d accesses", w->name, MAX_STEPS);
		a.region = find_region(name);
		w->access[w->accesses++] = a;
	} else {
		fail("not understood: %s", line);
	}
}

static void ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

static void fill(void)
{
	for (int i = 0; i < n_regions; i++) {
		region_create(&regions[i]);
		for (uint64_t j = 0; j < regions[i].count; j++)
			printf("mapping %s %" PRIxPTR "\n", regions[i].name,
			       (uintptr_t)regions[i].mapping[j]);
	}
	run_on_cpu(main_cpu);
	ready();
}

static void create_threads(void)
{
	pthread_attr_t attributes;
	size_t usual;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_getstacksize(&attributes, &usual);
	if (stack_bytes && stack_bytes != usual &&
	    pthread_attr_setstacksize(&attributes, stack_bytes))
		fail("stacks of %zu bytes: too small", stack_bytes);
	pthread_barrier_init(&meeting, NULL, n_workers + 1);
	for (int i = 0; i < n_workers; i++) {
		workers[i]->created_ns = clock_ns();
		if (pthread_create(&thread, &attributes, worker_main, workers[i]))
			fail("thread %s cannot be created", workers[i]->name);
	}
	pthread_barrier_wait(&meeting);
	for (int i = 0; i < n_workers; i++)
		printf("thread %s %d %" PRIu64 "\n", workers[i]->name, workers[i]->tid,
		       workers[i]->created_ns);
	ready();
}

static void run(void)
{
	pthread_barrier_wait(&meeting);
	sleep_until_ns(end_ns);
	pthread_barrier_wait(&meeting);
	for (int i = 0; i < n_workers; i++)
		printf("touches %s %" PRIu64 "\n", workers[i]->name, workers[i]->touches);
	ready();
}

int main(void)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "fill"))
			fill();
		else if (!strcmp(line, "threads"))
			create_threads();
		else if (sscanf(line, "go %" SCNu64 " %" SCNu64, &start_ns, &end_ns) == 2)
			run();
		else
			describe(line);
	}
	if (end_ns)
		pthread_barrier_wait(&meeting);
	return 0;
}
