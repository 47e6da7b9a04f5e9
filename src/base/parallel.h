/* Loops over all processors. Threads that wait sleep: on a machine that others use too, OpenMP's spin on a
 * thread that is not running, which made fits six times slower. */
#ifndef RAFTER_BASE_PARALLEL_H
#define RAFTER_BASE_PARALLEL_H

#include <stddef.h>

/* Calls work(context, from, to) for ranges of at most `chunk` that cover 0 .. count once, several at a time
 * and in any order, and returns when all are done. In this thread alone where there is one processor, one
 * chunk, or no thread can be had. */
void parallel_for(size_t count, size_t chunk, void (*work)(void *context, size_t from, size_t to),
                  void *context);

#endif
