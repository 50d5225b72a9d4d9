/* The counters of the kernel, read at the sampling times. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappings.h"
#include "sampling.h"

static const char *const counter_names[] = {
	"numa_pte_updates", "numa_huge_pte_updates", "numa_hint_faults",
	"numa_hint_faults_local", "numa_pages_migrated", "pgmigrate_success",
	"pgmigrate_fail",
};
#define COUNTERS (int)(sizeof(counter_names) / sizeof(counter_names[0]))

static void read_counters(int fd, u64 *values)
{
	static char text[1 << 15];
	ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);
	char *p = text;

	text[bytes > 0 ? bytes : 0] = 0;
	memset(values, 0, COUNTERS * sizeof(*values));
	while (*p) {
		if (!strncmp(p, "numa_", 5) || !strncmp(p, "pgmigrate_", 10))
			for (int i = 0; i < COUNTERS; i++) {
				size_t n = strlen(counter_names[i]);

				if (!strncmp(p, counter_names[i], n) && p[n] == ' ')
					values[i] = strtoull(p + n, NULL, 10);
			}
		p = strchrnul(p, '\n');
		p += *p == '\n';
	}
}

static long read_scan_seq(int fd)
{
	static char text[1 << 15];
	ssize_t bytes = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	char *p;

	if (bytes <= 0)
		return -1;
	text[bytes] = 0;
	p = strstr(text, "mm->numa_scan_seq");
	p = p ? strchr(p, ':') : NULL;
	return p ? strtol(p + 1, NULL, 10) : -1;
}

/*
 * QEMU's software TLB starts at 256 entries, doubles at most once a flush, and shrinks
 * while faults keep a task from touching much; too small, it makes touches several times
 * slower. A visit to each CPU flushes it: many at the start, one with each sample.
 */
static void visit_cpus(void)
{
	for (int cpu = 0, n = sysconf(_SC_NPROCESSORS_ONLN); cpu < n; cpu++)
		bind_cpu(cpu);
	bind_cpu(-1);
}

static void warm_up_emulation(u64 most_ns)
{
	int steps_ms[] = { 3, 3, 3, 3, 4, 6, 10, 15, 25, 40, 40, 40 };

	most_ns = most_ns < 500000000 ? most_ns / 2 : 250000000;
	for (unsigned i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
		if (now_ns() > shared->start + most_ns)
			break;
		visit_cpus();
		sleep_until(now_ns() + steps_ms[i] * 1000000);
	}
}

/*
 * One line of counters, scan sequences and touches for each sample, until the end of the run.
 * A foreign program tells its touches at the end only: they are not in the lines.
 */
void sample(FILE *out)
{
	u64 values[COUNTERS], first[COUNTERS], n = run.duration / run.sample;
	int vmstat = open("/proc/vmstat", O_RDONLY), sched[MAX_PROCESSES];
	char path[64];

	for (int p = 0; p < n_processes; p++) {
		snprintf(path, sizeof(path), "/proc/%d/sched", processes[p].pid);
		sched[p] = open(path, O_RDONLY);
	}
	fprintf(out, "ns");
	for (int i = 0; i < COUNTERS; i++)
		fprintf(out, " %s", counter_names[i]);
	fprintf(out, "\n");
	read_counters(vmstat, first);
	for (u64 k = 0; k <= n; k++) {
		sleep_until(shared->start + k * run.sample);
		fprintf(out, "%lu", now_ns() - shared->start);
		read_counters(vmstat, values);
		for (int i = 0; i < COUNTERS; i++)
			fprintf(out, " %lu", values[i] - first[i]);
		for (int p = 0; p < n_processes; p++)
			fprintf(out, " %ld", read_scan_seq(sched[p]));
		for (int t = 0; t < n_threads && !run.foreign; t++)
			fprintf(out, " %lu", shared->thread[t].touches);
		fprintf(out, "\n");
		if (k)
			visit_cpus();
		else
			warm_up_emulation(run.sample);
	}
	for (int p = 0; p < n_processes; p++)
		close(sched[p]);
	close(vmstat);
}
