/*
 * The init of the recorder's guest: runs the workloads of /program (program.c) and reports
 * (output.c). Every file calls only files that are listed after it in initramfs.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foreign.h"
#include "processes.h"
#include "report.h"
#include "sampling.h"
#include "trace.h"
#include "vmm.h"

/* A policy without migrate-on-fault makes every VMA of this process unsuitable. */
static void scan_me(int yes)
{
	u64 node0 = 1;

	if (syscall(SYS_set_mempolicy, yes ? MPOL_DEFAULT : MPOL_BIND, yes ? NULL : &node0,
		    yes ? 0 : 65))
		die("set_mempolicy: %s", strerror(errno));
}

static void run_workload(void)
{
	const struct way *way = run.foreign ? &foreign_processes : &own_processes;
	struct sched_param priority = { .sched_priority = 1 };
	char *samples;
	size_t sample_bytes;
	u64 switched_on;
	FILE *out;

	section("run", run.name, strlen(run.name));
	if (run.foreign)
		section("program", "foreign", 7);
	start_tracing(n_guests);
	memset(shared, 0, offsetof(struct shared, latency));
	scan_me(1);
	write_file("/proc/sys/kernel/numa_balancing", "0"); /* no scan while pages are laid out */
	for (int p = 0; p < n_processes; p++)
		way->lay_out(p);
	report_layout();
	switched_on = now_ns();
	if (run.balancing && write_file("/proc/sys/kernel/numa_balancing", "1"))
		die("kernel.numa_balancing cannot be switched on (CONFIG_NUMA_BALANCING?)");
	way->make_threads();
	report_start();
	sched_setscheduler(0, SCHED_FIFO, &priority); /* to be on time beside busy threads */
	scan_me(0);
	shared->start = now_ns() + (run.foreign ? 50000000 : 5000000); /* pipes are slow */
	shared->end = shared->start + run.duration;
	report_setup(switched_on);
	out = open_memstream(&samples, &sample_bytes);
	way->let_go();
	sample(out);
	sleep_until(shared->end);
	stop_tracing();
	for (int i = 0; i < n_threads; i++)
		if (guest_of(threads + i)) /* calls the vCPU back */
			syscall(SYS_tgkill, processes[threads[i].process].pid, shared->thread[i].tid,
				SIGUSR1);
	fclose(out);
	priority.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &priority);
	way->finish();
	section("samples", samples, sample_bytes);
	free(samples);
	report_end();
	for (int p = 0; p < n_processes; p++) {
		kill(processes[p].pid, SIGKILL);
		waitpid(processes[p].pid, NULL, 0);
	}
	section("end", run.name, strlen(run.name));
}

static void prepare_guest(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct utsname name;
	char text[256];

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, "size=100%");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("cgroup2", "/cgroup", "cgroup2", 0, NULL);
	setrlimit(RLIMIT_MEMLOCK, &all);
	write_file("/proc/sys/vm/overcommit_memory", "1");
	uname(&name);
	section("uname", text, snprintf(text, sizeof(text), "%s %s", name.release, name.version));
	section_file("cmdline", "/proc/cmdline");
}

int main(void)
{
	size_t bytes;
	char *rest;

	if (output_begin())
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	prepare_guest();
	rest = read_file("/program", &bytes);
	while (program_next(&rest)) {
		if (n_guests)
			vmm_prepare();
		run_workload();
	}
	output_done();
	return 0;
}
