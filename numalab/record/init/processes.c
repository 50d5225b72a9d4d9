/* The recorder's own processes: forks of init, whose threads do what threads.c says. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mappings.h"
#include "processes.h"
#include "report.h"
#include "threads.h"
#include "vmm.h"

static void wait_phase(int phase)
{
	int seen;

	while ((seen = __atomic_load_n(&shared->phase, __ATOMIC_ACQUIRE)) < phase)
		syscall(SYS_futex, &shared->phase, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void set_phase(int phase)
{
	__atomic_store_n(&shared->phase, phase, __ATOMIC_RELEASE);
	syscall(SYS_futex, &shared->phase, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void *thread_main(void *argument)
{
	struct thread *t = argument;
	int i = t - threads;

	prctl(PR_SET_NAME, t->name);
	shared->thread[i].tid = syscall(SYS_gettid);
	bind_cpu(t->cpu);
	if (guest_of(t))
		t->vcpu = vmm_vcpu(guest_of(t)->vm);
	if (t->churn.pinned)
		t->ring = pin_ring(t->name);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	wait_phase(2);
	sleep_until(shared->start);
	run_thread(t);
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_ACQ_REL);
	for (;;)
		pause();
	return NULL;
}

static void join_cpuset(int process)
{
	char path[128], self[16];

	snprintf(path, sizeof(path), "/cgroup/%s", processes[process].name);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "/cgroup/%s/cpuset.mems", processes[process].name);
	if (write_file("/cgroup/cgroup.subtree_control", "+cpuset") ||
	    write_file(path, processes[process].mems))
		die("process %s: cpuset: %s", processes[process].name, strerror(errno));
	snprintf(path, sizeof(path), "/cgroup/%s/cgroup.procs", processes[process].name);
	snprintf(self, sizeof(self), "%d", getpid());
	if (write_file(path, self))
		die("process %s: cpuset: %s", processes[process].name, strerror(errno));
}

static void __attribute__((noreturn)) process_main(int process)
{
	struct thread *first = NULL;
	pthread_attr_t attributes;
	pthread_t ignored;

	output_errors_to(shared->error, sizeof(shared->error));
	if (strcmp(processes[process].mems, "-"))
		join_cpuset(process);
	for (int i = 0; i < n_vmas; i++)
		if (vmas[i].process == process) {
			map_vma(vmas + i);
			if (vmas[i].kvm) {
				vmas[i].vm = vmm_create(vmas[i].name, vmas[i].base[0],
							vmas[i].pages * PAGE);
				shared->vm_fd[i] = vmm_fd(vmas[i].vm);
			}
		}
	for (int i = 0; i < n_threads; i++)
		for (int j = 0; j < threads[i].accesses; j++) {
			struct access *a = accesses + threads[i].first_access + j;

			if (threads[i].process == process && !threads[i].churns) {
				a->base = vmas[a->vma].base;
				a->pages = vmas[a->vma].pages;
				a->count = vmas[a->vma].count;
			}
		}
	bind_cpu(-1);
	write_mappings(process);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	wait_phase(1);
	task_policy(processes[process].policy);
	pthread_attr_init(&attributes);
	if (pthread_attr_setstacksize(&attributes, processes[process].stack))
		die("process %s: stacks of %lu bytes: too small", processes[process].name,
		    processes[process].stack);
	for (int i = 0; i < n_threads; i++) {
		if (threads[i].process != process)
			continue;
		if (!first) {
			first = threads + i;
			shared->thread[i].created = processes[process].forked;
			continue;
		}
		shared->thread[i].created = now_ns();
		if (pthread_create(&ignored, &attributes, thread_main, threads + i))
			die("thread %s: pthread_create failed", threads[i].name);
	}
	thread_main(first);
	_exit(0);
}

static void wait_ready(int *counter, int wanted)
{
	int status;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < wanted) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (shared->error[0])
			die("%s", shared->error);
		if (pid > 0 && WIFSIGNALED(status))
			die("process %d was killed by signal %d (out of memory?)", pid, WTERMSIG(status));
		sleep_until(now_ns() + 1000000);
	}
}

static void lay_out(int process)
{
	processes[process].forked = now_ns();
	processes[process].pid = fork();
	if (processes[process].pid < 0)
		die("fork: %s", strerror(errno));
	if (!processes[process].pid)
		process_main(process);
	wait_ready(&shared->ready, process + 1);
}

static void make_threads(void)
{
	shared->ready = 0;
	set_phase(1);
	wait_ready(&shared->ready, n_threads);
}

static void let_go(void)
{
	set_phase(2);
}

static void finish(void)
{
	wait_ready(&shared->done, n_threads);
}

const struct way own_processes = { lay_out, make_threads, let_go, finish };
