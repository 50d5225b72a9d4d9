/* What the threads do. */
#ifndef THREADS_H
#define THREADS_H

#include "program.h"

void run_thread(struct thread *t);

#endif
