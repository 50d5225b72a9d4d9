/* What the threads do. */
#ifndef TOUCHES_H
#define TOUCHES_H

#include "program.h"

void run_thread(struct thread *t);

#endif
