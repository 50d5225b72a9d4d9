/* What leaves the guest: sections, the word that ends a bad run; and files and the clock. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PAGE 4096UL

typedef uint64_t u64;

int output_begin(void);
void output_done(void);
void output_errors_to(char *text, size_t room);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void section(const char *name, const char *text, size_t bytes);
void section_file(const char *name, const char *path);
char *read_file(const char *path, size_t *bytes);
int write_file(const char *path, const char *text);
void sleep_until(u64 ns);

static inline u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

#endif
