/* The processors that this process may run on. */
#ifndef RAFTER_BASE_PROCESSORS_H
#define RAFTER_BASE_PROCESSORS_H

#include <sched.h>
#include <stdbool.h>

/* With OMP_PROC_BIND or OMP_PLACES in the environment OpenMP's library binds the first thread to one place
 * before main() runs, and the thread's own mask no longer tells what the process was given: then the union of
 * the places does. Needs _GNU_SOURCE. False where neither is known: more processors than a cpu_set_t holds.
 */
bool processors_allowed(cpu_set_t *allowed);

/* How many they are, at least 1. */
int processors_count(void);

#endif
