/* The threads that are tasks. */
#ifndef TASKS_H
#define TASKS_H

#include "program.h"

void run_task(struct thread *t);

#endif
