/* What this machine does at best: the roofs that runs are held against. */
#ifndef RAFTER_EXEC_PROBE_RATES_H
#define RAFTER_EXEC_PROBE_RATES_H

#include "exec/cpu.h"

/* Bandwidth of reading `bytes` of a buffer over and over (far larger than the caches: DRAM; smaller ones: the
 * cache that holds it): byte/s, the best of `rounds` passes. buffer: from buffer_new, written once before. */
double read_bandwidth(struct team *team, const void *buffer, size_t bytes, int rounds);
/* Bytes of a buffer whose reading measures memory: four times the last cache, 256 MiB at least, an eighth of
 * the memory that is left at most. */
size_t probe_bytes(void);
double write_bandwidth(struct team *team, void *buffer, size_t bytes, int rounds);
double copy_bandwidth(struct team *team, void *to, const void *from, size_t bytes, int rounds);

/* Bandwidth of reading once what all threads have just written once: each its own share, or the next
 * thread's.
 */
double written_read_bandwidth(struct team *team, void *buffer, size_t bytes, bool of_peer);

enum arithmetic { ARITHMETIC_F32, ARITHMETIC_BF16, ARITHMETIC_INT8, ARITHMETIC_COUNT };

/* FLOP/s (OP/s) of independent multiply-adds in registers on all the team's threads, 2 each, in the
 * instruction set's widest form; 0 where it has none (bf16 without dot products). The best of `rounds` of
 * about 20 ms. */
double arithmetic_peak(struct team *team, enum isa isa, enum arithmetic arithmetic, int rounds);

/* Seconds that an empty team_run takes, the median of many. */
double team_start_seconds(struct team *team);

#endif
