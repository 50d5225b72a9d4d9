/*
 * /program is a flat text, one word list a line, made by program.py:
 *
 *   run NAME DURATION_NS SAMPLE_NS SEED CPUS_PER_NODE BALANCING
 *   foreign                                the processes run /foreign (foreign.c)
 *   write PATH VALUE                       before anything is forked
 *   process NAME MEMS                      MEMS: nodes of a cpuset, or -
 *   stack BYTES                            of each thread of the process; else DEFAULT_STACK
 *   policy POLICY                          of the tasks of the process, over all nodes
 *   vma NAME KIND THP PAGES COUNT NODE POPULATED PINNED SCATTERED POLICY KVM
 *   thread NAME CPU
 *   busy                                   it never sleeps; its rated touches are 1/RATE apart
 *   waits                                  it sleeps until the end
 *   move AT_NS CPU                         it binds itself to that CPU
 *   access VMA LO HI PATTERN RATE WRITE HOT SHARE START_NS STOP_NS
 *   churn PAGES THP LIFE_NS DISTRIBUTION SHAPE GAP_NS PATTERN RATE WRITE NODE PINNED
 *   zap VMA START_NS PERIOD_NS             only for calibration; instead of access
 *   go
 *
 * stack, policy, vma and thread lines belong to the process above them; busy, waits, move, access,
 * churn and zap lines to the thread. KVM: the VMA is the memory of a guest (vmm.c), and a
 * thread that touches it is a vCPU that touches nothing else. PINNED pages are the first ones of a churn's mapping.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

#define DEFAULT_STACK (1UL << 17)

struct shared *shared;
struct run run;
struct process processes[MAX_PROCESSES];
struct vma vmas[MAX_VMAS];
struct thread threads[MAX_THREADS];
struct access accesses[MAX_ACCESSES];
struct move moves[MAX_MOVES];
int n_processes, n_vmas, n_threads, n_accesses, n_moves, n_guests;

/* Take in a line that belongs to the last thread; -1 if it is none, else whether it is good. */
static int read_thread_line(const char *word, const char *line)
{
	struct thread *t = threads + n_threads - 1;
	struct access *a = accesses + n_accesses;
	struct move *m = moves + n_moves;

	if (!strcmp(word, "busy")) {
		t->busy = 1;
	} else if (!strcmp(word, "waits")) {
		t->waits = 1;
	} else if (!strcmp(word, "move")) {
		t->moves++;
		n_moves++;
		return sscanf(line, "move %lu %d", &m->at, &m->cpu) == 2;
	} else if (!strcmp(word, "access")) {
		memset(a, 0, sizeof(*a));
		t->accesses++;
		n_accesses++;
		return sscanf(line, "access %d %lu %lu %d %lf %d %lu %lf %lu %lu", &a->vma, &a->lo,
			      &a->hi, &a->pattern, &a->rate, &a->write, &a->hot, &a->share, &a->start,
			      &a->stop) == 10;
	} else if (!strcmp(word, "churn")) {
		int found;

		memset(a, 0, sizeof(*a));
		found = sscanf(line, "churn %lu %d %lu %d %lf %lu %d %lf %d %d %d", &t->churn.pages,
			       &t->churn.thp, &t->churn.life, &t->churn.distribution,
			       &t->churn.shape, &t->churn.gap, &a->pattern, &a->rate, &a->write,
			       &t->churn.node, &t->churn.pinned);
		a->hi = a->pages = t->churn.pages;
		a->count = 1;
		t->accesses = t->churns = 1;
		n_accesses++;
		return found == 11;
	} else if (!strcmp(word, "zap")) {
		return sscanf(line, "zap %d %lu %lu", &t->zap.vma, &t->zap.start, &t->zap.period) == 3;
	} else {
		return -1;
	}
	return 1;
}

/* Take in one line; 1 if it is "go". */
static int read_line(const char *line)
{
	struct process *p = processes + n_processes;
	struct vma *v = vmas + n_vmas;
	struct thread *t = threads + n_threads;
	char word[16] = "", path[128], value[64];
	int ok = 1;

	sscanf(line, "%15s", word);
	if (n_processes >= MAX_PROCESSES || n_vmas >= MAX_VMAS || n_threads >= MAX_THREADS ||
	    n_accesses >= MAX_ACCESSES || n_moves >= MAX_MOVES)
		die("program: more processes, VMAs, threads, accesses or moves than "
		    "%d, %d, %d, %d, %d", MAX_PROCESSES, MAX_VMAS, MAX_THREADS, MAX_ACCESSES, MAX_MOVES);
	if (!strcmp(word, "run")) {
		run.foreign = 0;
		ok = sscanf(line, "run %31s %lu %lu %lu %d %d", run.name, &run.duration, &run.sample,
			    &run.seed, &run.node_cpus, &run.balancing) == 6;
	} else if (!strcmp(word, "foreign")) {
		run.foreign = 1;
	} else if (!strcmp(word, "write")) {
		ok = sscanf(line, "write %127s %63s", path, value) == 2;
		if (ok && write_file(path, value))
			die("%s: writing %s: %s", path, value, strerror(errno));
	} else if (!strcmp(word, "process")) {
		ok = sscanf(line, "process %31s %63s", p->name, p->mems) == 2;
		p->stack = DEFAULT_STACK;
		p->policy = DEFAULT;
		n_processes++;
	} else if (!strcmp(word, "policy")) {
		ok = n_processes && sscanf(line, "policy %d", &p[-1].policy) == 1;
	} else if (!strcmp(word, "stack")) {
		ok = n_processes && sscanf(line, "stack %lu", &p[-1].stack) == 1;
	} else if (!strcmp(word, "vma")) {
		memset(v, 0, sizeof(*v));
		v->process = n_processes - 1;
		ok = sscanf(line, "vma %31s %d %d %lu %lu %d %lu %lu %d %d %d", v->name, &v->kind,
			    &v->thp, &v->pages, &v->count, &v->node, &v->populated, &v->pinned,
			    &v->scattered, &v->policy, &v->kvm) == 11;
		n_guests += v->kvm;
		n_vmas++;
	} else if (!strcmp(word, "thread")) {
		memset(t, 0, sizeof(*t));
		t->process = n_processes - 1;
		t->first_access = n_accesses;
		t->first_move = n_moves;
		t->random = (run.seed * MAX_THREADS + n_threads + 1) * 0x9E3779B97F4A7C15ULL;
		ok = sscanf(line, "thread %31s %d", t->name, &t->cpu) == 2;
		n_threads++;
	} else if (!strcmp(word, "go")) {
		return 1;
	} else {
		ok = !*word || (n_threads && read_thread_line(word, line) > 0);
	}
	if (!ok)
		die("program: bad line: %s", line);
	return 0;
}

/* Read the lines of the next run; 0 if there is none. */
int program_next(char **rest)
{
	char *line;

	n_processes = n_vmas = n_threads = n_accesses = n_moves = n_guests = 0;
	while ((line = strsep(rest, "\n")))
		if (read_line(line))
			return 1;
	return 0;
}

/* The guest's memory, if the thread is a vCPU. */
struct vma *guest_of(const struct thread *t)
{
	struct vma *v = vmas + accesses[t->first_access].vma;

	return t->accesses && !t->churns && v->kvm ? v : NULL;
}
