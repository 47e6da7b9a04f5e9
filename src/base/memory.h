/* How much memory the machine has left. */
#ifndef RAFTER_BASE_MEMORY_H
#define RAFTER_BASE_MEMORY_H

/* Bytes that may be had without swapping: the least of what the kernel calls available and what the control
 * group may still take. Infinity where neither is told. */
double memory_available(void);

#endif
