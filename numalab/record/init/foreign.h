/* Processes that run another program, /foreign. */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "program.h"

extern const struct way foreign_processes;

#endif
