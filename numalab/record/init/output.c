/*
 * Results leave by I/O port 0xe9 (QEMU's isa-debugcon) as sections "@section BYTES NAME\n"
 * + text, then "@done\n"; "@error TEXT\n" ends a bad run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "output.h"

#define RESULT_PORT 0xe9

static struct { char *text; size_t room; } parent; /* where a child leaves its error */

static void emit(const char *text, size_t bytes)
{
	asm volatile("rep outsb" : "+S"(text), "+c"(bytes) : "d"(RESULT_PORT) : "memory");
}

/* 0, or -1 without the right to use the port. */
int output_begin(void)
{
	if (ioperm(RESULT_PORT, 1, 1))
		return -1;
	emit("numalab-guest 1\n", 16);
	return 0;
}

void output_done(void)
{
	emit("@done\n", 6);
	reboot(RB_AUTOBOOT);
}

/* From here on this process is a child: it leaves its error for its parent and exits. */
void output_errors_to(char *text, size_t room)
{
	parent.text = text;
	parent.room = room;
}

void die(const char *format, ...)
{
	char text[240], line[256];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (parent.text) {
		snprintf(parent.text, parent.room, "%s", text);
		_exit(1);
	}
	emit(line, snprintf(line, sizeof(line), "@error %s\n", text));
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

void section(const char *name, const char *text, size_t bytes)
{
	char line[160];

	emit(line, snprintf(line, sizeof(line), "@section %zu %s\n", bytes, name));
	emit(text, bytes);
}

/* A whole file, read to its end; the caller frees it. */
char *read_file(const char *path, size_t *bytes)
{
	size_t room = 1 << 16, used = 0;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY);
	ssize_t got;

	while (fd >= 0 && (got = read(fd, text + used, room - used - 1)) > 0) {
		used += got;
		if (room - used < 8192)
			text = realloc(text, room *= 2);
	}
	if (fd >= 0)
		close(fd);
	text[used] = 0;
	*bytes = used;
	return text;
}

void section_file(const char *name, const char *path)
{
	size_t bytes;
	char *text = read_file(path, &bytes);

	section(name, text, bytes);
	free(text);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC); /* clears tracefs' trace */
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return done < 0 ? -1 : 0;
}

void sleep_until(u64 ns)
{
	struct timespec t = { ns / 1000000000ULL, ns % 1000000000ULL };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}
