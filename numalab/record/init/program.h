/* The nouns of /program, and what the processes of a run share with their parent. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "output.h"

#define HUGE (512 * PAGE)
#define MAX_PROCESSES 64
#define MAX_VMAS 256
#define MAX_THREADS 512
#define MAX_ACCESSES 1024
#define MAX_MOVES 256
#define MAX_ZAPS 4096
#define MAX_LATENCIES (1 << 20)

enum { WALK, RAND, HOT, TIMED };
enum { ANON, SHMEM, FILE_RO, FILE_RW, HUGETLB };
enum { DEFAULT, BIND, BIND_BALANCING, INTERLEAVE };
enum { FIXED, EXPONENTIAL, UNIFORM, LOGNORMAL, PARETO };

struct access {
	int vma, pattern, write;
	u64 lo, hi, hot, start, stop, pages, count, position;
	u64 made; /* touches of a busy task */
	double rate, share, carry;
	char **base;
};

struct vma {
	char name[32];
	int kind, thp, node, scattered, policy, process, kvm;
	u64 pages, count, populated, pinned;
	char **base; /* start of each mapping; filled in the child */
	struct vm *vm;
};

struct thread {
	char name[32];
	int cpu, process, accesses, first_access, churns;
	int busy, waits, moves, first_move; /* the moves that are still to come */
	int ring; /* of io_uring, to pin with; made by the thread itself */
	struct { int thp, distribution, node, pinned; u64 pages, life, gap; double shape; } churn;
	struct { int vma; u64 start, period; } zap;
	u64 random;
	struct vcpu *vcpu; /* of a guest; made by the thread itself */
};

struct move {
	u64 at;
	int cpu;
};

struct run {
	char name[32];
	u64 duration, sample, seed;
	int node_cpus, balancing, foreign;
};

struct process {
	char name[32], mems[64];
	int pid;
	u64 forked, stack;
	int policy; /* of its tasks */
};

struct shared {
	int phase, ready, done;
	char error[256];
	u64 start, end;
	struct { int tid; u64 created, touches; } __attribute__((aligned(64))) thread[MAX_THREADS];
	u64 latency_count, zap_count;
	uint32_t latency[MAX_LATENCIES]; /* of the touches of a TIMED access, in ns */
	int vm_fd[MAX_VMAS];
	struct { u64 at, took; } zap[MAX_ZAPS];
};

extern struct shared *shared;
extern struct run run;
extern struct process processes[MAX_PROCESSES];
extern struct vma vmas[MAX_VMAS];
extern struct thread threads[MAX_THREADS];
extern struct access accesses[MAX_ACCESSES];
extern struct move moves[MAX_MOVES];
extern int n_processes, n_vmas, n_threads, n_accesses, n_moves, n_guests;

/* What the processes of a run do with it, step by step; each returns when all are ready. */
struct way {
	void (*lay_out)(int process); /* start it, map and fill its memory */
	void (*make_threads)(void);
	void (*let_go)(void); /* from shared->start to shared->end */
	void (*finish)(void);
};

int program_next(char **rest);
struct vma *guest_of(const struct thread *t);

#endif
