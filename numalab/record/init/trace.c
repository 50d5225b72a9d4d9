/*
 * The kernel's trace of a run: what is switched on, and how it is reported.
 *
 * The section "trace" is the kernel's own text. With a KVM guest there is one notification
 * and one mm_migrate_pages event for every page that migrates, too many to send as text:
 * the section "migrations" has a line for each migration by a hint fault that notified,
 *
 *   US TID PAGE PAGES CALLS
 *
 * US (when, at its first notification) and PAGE (address / 4096) as differences from the
 * line before, CALLS: how often in a row the same range was notified.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "trace.h"

#define TRACING "/sys/kernel/tracing/"
#define NOTIFIED "kvm_unmap_hva_range"
#define MIGRATED "mm_migrate_pages"
#define MAX_TIDS 1024
#define BUFFER_KB "8192"
#define GUEST_BUFFER_KB "32768" /* for each CPU: some 300 000 migrated pages */

static const char *const probes[] = {
	"p:numalab/chunk change_prot_numa start=%si end=%dx vm_start=+0(%di):x64 vm_end=+8(%di):x64",
	"r64:numalab/chunk_end change_prot_numa n=$retval:x64",
	"p:numalab/scan task_numa_work",
	"r64:numalab/scan_end task_numa_work",
};
static const char *const events[] = {
	"numalab/enable", "sched/sched_skip_vma_numa/enable", "sched/sched_skip_cpuset_numa/enable",
};
static const char *const guest_events[] = {
	"kvm/" NOTIFIED "/enable", "migrate/" MIGRATED "/enable",
};

static void enable(const char *const *names, int n)
{
	char path[128];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), TRACING "events/%s", names[i]);
		if (write_file(path, "1"))
			section("missing", names[i], strlen(names[i]));
	}
}

static void add_probes(void)
{
	for (unsigned i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		int fd = open(TRACING "kprobe_events", O_WRONLY | O_APPEND);

		if (fd < 0 || write(fd, probes[i], strlen(probes[i])) < 0)
			section("missing", probes[i], strlen(probes[i]));
		if (fd >= 0)
			close(fd);
	}
}

/* What is switched on stays on: the first run needs it, and the first one with guests. */
void start_tracing(int guests)
{
	static int ready, ready_for_guests;

	write_file(TRACING "tracing_on", "0");
	write_file(TRACING "trace", "");
	if (!ready) {
		add_probes();
		enable(events, sizeof(events) / sizeof(events[0]));
		write_file(TRACING "trace_clock", "mono");
		write_file(TRACING "buffer_size_kb", BUFFER_KB);
		write_file(TRACING "saved_cmdlines_size", "1024");
	}
	if (guests && !ready_for_guests) {
		enable(guest_events, sizeof(guest_events) / sizeof(guest_events[0]));
		write_file(TRACING "buffer_size_kb", GUEST_BUFFER_KB);
		ready_for_guests = 1;
	}
	ready = 1;
	write_file(TRACING "tracing_on", "1");
}

void stop_tracing(void)
{
	write_file(TRACING "tracing_on", "0");
}

/* Notifications of one thread outside of chunks, until it is known what they were for. */
struct pending {
	int tid, in_chunk, calls;
	u64 us, start, end;
	char *text; /* their lines, as the kernel wrote them */
	size_t bytes;
};

static struct pending *all; /* MAX_TIDS, and one for all threads beyond */
static int n_tids;

static struct pending *pending_of(int tid)
{
	int i = 0;

	while (i < n_tids && all[i].tid != tid)
		i++;
	if (i == n_tids && n_tids < MAX_TIDS)
		all[n_tids++].tid = tid;
	return all + i;
}

static void keep(struct pending *p, const char *line, u64 us, u64 start, u64 end)
{
	size_t bytes = strlen(line);

	p->text = realloc(p->text, p->bytes + bytes + 1);
	memcpy(p->text + p->bytes, line, bytes + 1);
	p->bytes += bytes;
	if (!p->calls++)
		p->us = us, p->start = start, p->end = end;
}

static void forget(struct pending *p, FILE *out)
{
	if (p->bytes && out)
		fwrite(p->text, 1, p->bytes, out);
	p->bytes = p->calls = 0;
}

/* Thread, time and name of the event in a line of the trace; 0 if there is none. */
static int event_of(const char *line, int *tid, u64 *us, const char **name)
{
	const char *bracket = strstr(line, " ["), *dash = bracket, *colon;
	unsigned long seconds, fraction;

	if (!bracket)
		return 0;
	while (dash > line && *dash != '-')
		dash--;
	colon = strchr(bracket, ':');
	if (!colon || sscanf(dash, "-%d", tid) != 1 ||
	    sscanf(bracket, " [%*d] %*s %lu.%lu:", &seconds, &fraction) != 2)
		return 0;
	*us = seconds * 1000000 + fraction;
	*name = colon + 2;
	return 1;
}

static int is(const char *name, const char *wanted)
{
	size_t n = strlen(wanted);

	return !strncmp(name, wanted, n) && name[n] == ':';
}

static void split_trace(FILE *in, FILE *trace, FILE *migrations)
{
	u64 us, start, end, last_us = 0, last_page = 0;
	size_t room = 0;
	char *line = NULL;
	const char *name;
	int tid;

	all = calloc(MAX_TIDS + 1, sizeof(*all));
	while (getline(&line, &room, in) > 0) {
		struct pending *p;
		char *range = strstr(line, "unmap range: ");

		if (!event_of(line, &tid, &us, &name)) {
			fputs(line, trace);
			continue;
		}
		p = pending_of(tid);
		if (is(name, NOTIFIED) && !p->in_chunk && range &&
		    sscanf(range, "unmap range: %lx -- %lx", &start, &end) == 2) {
			if (p->calls && (p->start != start || p->end != end))
				forget(p, trace); /* of something else */
			keep(p, line, us, start, end);
		} else if (is(name, MIGRATED)) {
			if (p->calls && strstr(line, "reason=numa_misplaced")) {
				fprintf(migrations, "%ld %d %ld %lu %d\n", (long)(p->us - last_us), tid,
					(long)(p->start / PAGE - last_page), (p->end - p->start) / PAGE,
					p->calls);
				last_us = p->us, last_page = p->start / PAGE;
				forget(p, NULL);
			}
			forget(p, trace);
		} else {
			forget(p, trace);
			if (is(name, "chunk"))
				p->in_chunk = 1;
			if (is(name, "chunk_end"))
				p->in_chunk = 0;
			fputs(line, trace);
		}
	}
	for (int i = 0; i <= n_tids; i++)
		forget(all + i, trace);
	free(line);
}

static void report_split_trace(void)
{
	char *text[2];
	size_t bytes[2];
	FILE *in = fopen(TRACING "trace", "r");
	FILE *trace = open_memstream(&text[0], &bytes[0]);
	FILE *migrations = open_memstream(&text[1], &bytes[1]);

	if (!in)
		die("the trace cannot be read");
	split_trace(in, trace, migrations);
	fclose(in);
	fclose(trace);
	fclose(migrations);
	section("trace", text[0], bytes[0]);
	section("migrations", text[1], bytes[1]);
}

void report_trace(int guests)
{
	char path[128], name[32];

	if (guests)
		report_split_trace();
	else
		section_file("trace", TRACING "trace");
	section_file("kprobe_profile", TRACING "kprobe_profile");
	for (int cpu = 0, n = sysconf(_SC_NPROCESSORS_ONLN); cpu < n; cpu++) {
		snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/stats", cpu);
		snprintf(name, sizeof(name), "trace_stats %d", cpu);
		section_file(name, path);
	}
}
