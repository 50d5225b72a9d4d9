/*
 * Processes that run another program: /foreign, of which nothing is known here but the lines
 * that it reads and writes (foreign/bench.c). It has one process for each of the workload,
 * whose first thread is its main thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "foreign.h"
#include "mappings.h"
#include "report.h"

static struct { FILE *to, *from; } pipes[MAX_PROCESSES];

static void __attribute__((format(printf, 2, 3))) say(int process, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(pipes[process].to, format, list);
	va_end(list);
	fflush(pipes[process].to);
}

static int thread_named(int process, const char *name)
{
	for (int i = 0; i < n_threads; i++)
		if (threads[i].process == process && !strcmp(threads[i].name, name))
			return i;
	die("/foreign: process %s: speaks of a thread %s", processes[process].name, name);
}

static void take_mapping(int process, const char *name, u64 address)
{
	for (int i = 0; i < n_vmas; i++)
		if (vmas[i].process == process && !strcmp(vmas[i].name, name)) {
			for (u64 j = 0; j < vmas[i].count; j++)
				if (!vmas[i].base[j]) {
					vmas[i].base[j] = (char *)address;
					return;
				}
		}
	die("/foreign: process %s: one mapping too many: %s", processes[process].name, name);
}

/* Take in what it says, up to "ready". */
static void listen(int process)
{
	const char *who = processes[process].name;
	char line[256], name[32];
	u64 one, two;

	while (fgets(line, sizeof(line), pipes[process].from)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "ready"))
			return;
		if (sscanf(line, "mapping %31s %lx", name, &one) == 2) {
			take_mapping(process, name, one);
		} else if (sscanf(line, "thread %31s %lu %lu", name, &one, &two) == 3) {
			shared->thread[thread_named(process, name)].tid = one;
			shared->thread[thread_named(process, name)].created = two;
		} else if (sscanf(line, "touches %31s %lu", name, &one) == 2) {
			shared->thread[thread_named(process, name)].touches = one;
		} else {
			die("/foreign: process %s: %s", who, line);
		}
	}
	die("/foreign: process %s ended too early", who);
}

static void start(int process)
{
	int to[2], from[2];

	if (pipes[process].to) { /* of the run before */
		fclose(pipes[process].to);
		fclose(pipes[process].from);
	}
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	processes[process].forked = now_ns();
	processes[process].pid = fork();
	if (processes[process].pid < 0)
		die("fork: %s", strerror(errno));
	if (!processes[process].pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		task_policy(processes[process].policy); /* as numactl does */
		execl("/foreign", "foreign", processes[process].name, NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	pipes[process].to = fdopen(to[1], "w");
	pipes[process].from = fdopen(from[0], "r");
}

static void describe_thread(int process, const struct thread *t)
{
	say(process, "thread %s %d %d %d %lu\n", t->name, t->cpu, t->busy, t->waits, t->random);
	for (int i = 0; i < t->accesses; i++) {
		const struct access *a = accesses + t->first_access + i;

		say(process, "access %s %lu %lu %d %.17g %d %lu %.17g %lu %lu\n", vmas[a->vma].name,
		    a->lo, a->hi, a->pattern, a->rate, a->write, a->hot, a->share, a->start, a->stop);
	}
	for (int i = 0; i < t->moves; i++)
		say(process, "move %lu %d\n", moves[t->first_move + i].at,
		    moves[t->first_move + i].cpu);
}

static void lay_out(int process)
{
	int first = 1;

	start(process);
	say(process, "stack %lu\n", processes[process].stack);
	for (int i = 0; i < n_vmas; i++) {
		struct vma *v = vmas + i;

		if (v->process != process)
			continue;
		v->base = calloc(v->count, sizeof(*v->base));
		say(process, "region %s %lu %lu %d %d %d %lu %lu\n", v->name, v->pages, v->count,
		    v->kind == SHMEM, v->thp, v->node * run.node_cpus, v->populated, v->pinned);
	}
	for (int i = 0; i < n_threads; i++) {
		if (threads[i].process != process)
			continue;
		if (!first) {
			describe_thread(process, threads + i);
			continue;
		}
		say(process, "main %d\n", threads[i].cpu);
		shared->thread[i].tid = processes[process].pid;
		shared->thread[i].created = processes[process].forked;
		first = 0;
	}
	say(process, "fill\n");
	listen(process);
	write_mappings(process);
}

static void to_all(const char *line)
{
	for (int p = 0; p < n_processes; p++)
		say(p, "%s\n", line);
}

static void make_threads(void)
{
	to_all("threads");
	for (int p = 0; p < n_processes; p++)
		listen(p);
	for (int i = 0; i < n_threads; i++)
		if (!shared->thread[i].tid)
			die("/foreign: no thread %s", threads[i].name);
}

static void let_go(void)
{
	char line[64];

	snprintf(line, sizeof(line), "go %lu %lu", shared->start, shared->end);
	to_all(line);
}

/* Its threads stay until it is killed, so that /proc still shows them. */
static void finish(void)
{
	for (int p = 0; p < n_processes; p++)
		listen(p);
}

const struct way foreign_processes = { lay_out, make_threads, let_go, finish };
