/* The sections that say how a run began and ended. */
#ifndef REPORT_H
#define REPORT_H

#include "output.h"

void write_mappings(int process);
void report_layout(void);
void report_start(void);
void report_setup(u64 switched_on);
void report_end(void);

#endif
