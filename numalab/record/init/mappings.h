/* Mappings between guard pages: where they lie, what is in them, and pins. */
#ifndef MAPPINGS_H
#define MAPPINGS_H

#include "program.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MPOL_F_NUMA_BALANCING
#define MPOL_F_NUMA_BALANCING (1 << 13)
#endif

void bind_cpu(int cpu);
void task_policy(int policy);
char *map_guarded(u64 bytes, int kind, int thp, const char *name, char **area, u64 *area_bytes);
void map_vma(struct vma *v);
void populate(const char *name, char *start, u64 pages, int advice);
int pin_ring(const char *name);
void pin_head(const char *name, int ring, char *start, u64 bytes);
void unpin(const char *name, int ring);

#endif
