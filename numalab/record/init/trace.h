/* The kernel's trace of a run. */
#ifndef TRACE_H
#define TRACE_H

void start_tracing(int guests);
void stop_tracing(void);
void report_trace(int guests);

#endif
