/* Touches of mappings. */
#ifndef TOUCHES_H
#define TOUCHES_H

#include "program.h"

#define STEP_NS 10000000ULL /* rated accesses act on deadlines this far apart */
#define BATCH 64            /* touches of one flat-out access before its neighbour's turn */
#define CHECK 1024          /* touches between two looks at the clock */

double draw_unit(struct thread *t);
void touch_pages(struct thread *t, struct access *a, u64 n);
void touch_rated(struct thread *t, struct access *a, u64 end);

#endif
