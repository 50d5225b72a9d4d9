/* What the files of the guest's init share: nouns, results, and how to give up. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL

typedef uint64_t u64;
enum { WALK, RAND, HOT, TIMED };

struct vm;
struct vcpu;

struct access {
	int vma, pattern, write;
	u64 lo, hi, hot, start, stop, pages, count, position;
	double rate, share, carry;
	char **base;
};

/* workload.c */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
int write_file(const char *path, const char *text);
void section(const char *name, const char *text, size_t bytes);
void section_file(const char *name, const char *path);

/* vmm.c */
void vmm_prepare(void);
struct vm *vmm_create(const char *name, char *memory, u64 bytes);
int vmm_fd(const struct vm *vm);
struct vcpu *vmm_vcpu(struct vm *vm);
u64 vmm_touch(struct vcpu *vcpu, struct access *a, u64 n);

/* trace.c */
void start_tracing(int guests);
void stop_tracing(void);
void report_trace(int guests);

#endif
