/* What this processor can do, and the threads that do it. */
#ifndef RAFTER_EXEC_CPU_H
#define RAFTER_EXEC_CPU_H

#include "base/arena.h"
#include "base/diag.h"

/* Each includes the one before. */
enum isa {
    ISA_PORTABLE,
    ISA_AVX2,        /* AVX2, FMA, F16C */
    ISA_AVX512,      /* AVX-512 F, BW, DQ, VL and VNNI */
    ISA_AVX512_BF16, /* and BF16 dot products */
    ISA_COUNT
};

enum isa cpu_isa(void);             /* the best that this processor and its system have */
const char *isa_name(enum isa isa); /* "avx512-bf16" */

/* A team of OpenMP threads, each pinned to a processor of those this process may run on. */
struct team;

/* threads 0: one a processor. NULL with diag: memory, more threads than 1024. */
struct team *team_new(struct arena *arena, struct diag *diag, int threads);
int team_threads(const struct team *team);

/* Runs work(context, thread, threads) once on each thread and returns when all are done. */
void team_run(struct team *team, void (*work)(void *context, int thread, int threads), void *context);

/* Waits until all threads of the running team are here; only inside work(). */
void team_barrier(struct team *team);

/* [*from, *to) of `count` items for one thread: even shares in multiples of `grain`. */
void team_share(size_t count, size_t grain, int thread, int threads, size_t *from, size_t *to);

/* Memory for big buffers: zeroed, aligned to 2 MiB with huge pages asked for where it is that large, else to
 * 64 bytes. NULL with diag when there is none. Freed by buffer_free. */
void *buffer_new(struct diag *diag, size_t bytes);
void buffer_free(void *buffer, size_t bytes);

/* Seconds on a monotonic clock. */
double clock_seconds(void);

#endif
