/* What the files of the benchmark share: its regions of memory and its workers. */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdint.h>

#define PAGE_SIZE 4096
#define NAME_SIZE 32
#define MAX_REGIONS 256
#define MAX_WORKERS 512
#define MAX_STEPS 16

struct region {
	char name[NAME_SIZE];
	uint64_t pages;		/* of each mapping */
	uint64_t count;		/* mappings */
	int shared, thp, cpu;	/* cpu: that fills it */
	uint64_t filled, pinned; /* pages of each mapping */
	unsigned char **mapping;
};

enum pattern { IN_ORDER, AT_RANDOM, HOT_AND_COLD };

/* What a worker touches: pages [first, end) of all mappings of a region, one after another. */
struct access {
	struct region *region;
	uint64_t first, end, hot_pages;
	int pattern, write;
	double per_second; /* 0: as fast as it can */
	double hot_share;
	uint64_t begin_ns, stop_ns; /* from the start */
	uint64_t next, done;
};

struct move {
	uint64_t at_ns;
	int cpu;
};

struct worker {
	char name[NAME_SIZE];
	int cpu, busy, waits, tid;
	uint64_t random, created_ns, touches;
	int accesses, moves;
	struct access access[MAX_STEPS];
	struct move move[MAX_STEPS];
};

/* Set by the main thread before it lets the workers go. */
extern uint64_t start_ns, end_ns;
/* All workers and the main thread meet here: created, about to start, finished, leaving. */
extern pthread_barrier_t meeting;

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
uint64_t clock_ns(void);
void sleep_until_ns(uint64_t when);
void run_on_cpu(int cpu);

void region_create(struct region *r);
void *worker_main(void *argument);

#endif
