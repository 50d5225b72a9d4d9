/* The sections that say how a run began and ended. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "report.h"
#include "trace.h"

#define MAPPINGS "/tmp/mappings.%d"

static int slower(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Latencies of timed touches, slowest first, at a few ranks for the host to pick from. */
static void report_latency(void)
{
	u64 n = shared->latency_count;
	size_t bytes;
	char *text;
	FILE *out;

	if (!n)
		return;
	n = n < MAX_LATENCIES ? n : MAX_LATENCIES;
	qsort(shared->latency, n, sizeof(shared->latency[0]), slower);
	out = open_memstream(&text, &bytes);
	fprintf(out, "%lu %lu\n", shared->latency_count, n);
	for (u64 i = 0; i < n; i += i < 64 ? 1 : i / 64)
		fprintf(out, "%lu %u\n", i, shared->latency[i]);
	fclose(out);
	section("latency", text, bytes);
	free(text);
}

/* When each was, and how long it took. */
static void report_zaps(void)
{
	size_t bytes;
	char *text;
	FILE *out;

	if (!shared->zap_count)
		return;
	out = open_memstream(&text, &bytes);
	for (u64 i = 0; i < shared->zap_count; i++)
		fprintf(out, "%lu %lu\n", shared->zap[i].at, shared->zap[i].took);
	fclose(out);
	section("zaps", text, bytes);
	free(text);
}

static void report_process(int process, const char *file, const char *when)
{
	char path[64], name[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", processes[process].pid, file);
	snprintf(name, sizeof(name), "%s %.31s %s", file, processes[process].name, when);
	section_file(name, path);
}

static void report_threads(const char *name, const char *file, int whole)
{
	char path[96], title[128], *text, *all;
	size_t bytes, all_bytes;
	FILE *out = open_memstream(&all, &all_bytes);

	for (int i = 0; i < n_threads; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s",
			 processes[threads[i].process].pid, shared->thread[i].tid, file);
		text = read_file(path, &bytes);
		if (whole) {
			snprintf(title, sizeof(title), "%s %.31s", name, threads[i].name);
			section(title, text, bytes);
		} else {
			text[strcspn(text, "\n")] = 0;
			fprintf(out, "%s %d %lu %lu %s\n", threads[i].name, shared->thread[i].tid,
				shared->thread[i].created, shared->thread[i].touches, text);
		}
		free(text);
	}
	fclose(out);
	if (!whole)
		section(name, all, all_bytes);
	free(all);
}

void report_setup(u64 switched_on)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	for (int p = 0; p < n_processes; p++)
		fprintf(out, "process %s %d %lu\n", processes[p].name, processes[p].pid,
			processes[p].forked);
	fprintf(out, "balancing %lu\nstart %lu\n", switched_on, shared->start);
	fclose(out);
	section("setup", text, bytes);
	free(text);
}

/* What KVM counted for each guest; a file that is missing reads as -1. */
static void report_guests(void)
{
	const char *const counters[] = {
		"pf_fixed", "pf_taken", "remote_tlb_flush_requests", "exits",
	};
	char path[96], *text, *all;
	size_t bytes;
	FILE *out = open_memstream(&all, &bytes);

	for (int i = 0; i < n_vmas; i++) {
		if (!vmas[i].kvm)
			continue;
		fprintf(out, "%s", vmas[i].name);
		for (unsigned j = 0; j < sizeof(counters) / sizeof(counters[0]); j++) {
			size_t n;

			snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s",
				 processes[vmas[i].process].pid, shared->vm_fd[i], counters[j]);
			text = read_file(path, &n);
			fprintf(out, " %ld", n ? strtol(text, NULL, 10) : -1);
			free(text);
		}
		fprintf(out, "\n");
	}
	fclose(out);
	if (n_guests)
		section("guests", all, bytes);
	free(all);
}

static void report_mappings(int process)
{
	char path[64], name[64];

	snprintf(path, sizeof(path), MAPPINGS, process);
	snprintf(name, sizeof(name), "mappings %.31s", processes[process].name);
	section_file(name, path);
}

/* Leave for the parent where the mappings of this process are. */
void write_mappings(int process)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), MAPPINGS, process);
	file = fopen(path, "w");
	for (int i = 0; i < n_vmas; i++)
		for (u64 j = 0; vmas[i].process == process && j < vmas[i].count; j++)
			fprintf(file, "%s %lx %lx\n", vmas[i].name, (u64)vmas[i].base[j],
				(u64)vmas[i].base[j] + vmas[i].pages * PAGE);
	fclose(file);
}

/* Where the memory is before the threads are made. */
void report_layout(void)
{
	for (int p = 0; p < n_processes; p++) {
		report_process(p, "numa_maps", "start");
		report_mappings(p);
	}
}

void report_start(void)
{
	for (int p = 0; p < n_processes; p++)
		report_process(p, "maps", "start");
	report_threads("threads start", "schedstat", 0);
}

/* What there is to say after the run, except for its samples. */
void report_end(void)
{
	report_threads("threads end", "schedstat", 0);
	report_threads("sched", "sched", 1);
	for (int p = 0; p < n_processes; p++) {
		report_process(p, "maps", "end");
		report_process(p, "numa_maps", "end");
	}
	report_guests();
	report_trace(n_guests);
	report_latency();
	report_zaps();
	section_file("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}
