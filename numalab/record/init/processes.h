/* The recorder's own processes. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "program.h"

extern const struct way own_processes;

#endif
