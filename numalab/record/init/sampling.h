/* The counters of the kernel, read at the sampling times. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include <stdio.h>

void sample(FILE *out);

#endif
