/* Runs of the executor with the clock running, bracketed by probes of the memory and of arithmetic: both are
 * lower while others use the machine, on a virtual one also unseen. */
#ifndef RAFTER_VALIDATE_EXECUTOR_RUN_H
#define RAFTER_VALIDATE_EXECUTOR_RUN_H

#include "exec/generate.h"
#include "validate/executor_suite.h"

/* What the machine gave on the run's threads around the runs. */
struct pace {
    double bandwidth; /* byte/s read from memory */
    double flops;     /* fp32 FLOP/s */
};

struct executor_times {
    struct phase_times prefill, decode;
    struct pace pace;
    int runs;  /* that were quiet, of which these are the medians */
    int noisy; /* whose brackets differed too much; they count only where runs is 0 */
};

/* The bench keeps weights, threads and a buffer for probes from one run to the next. */
struct executor_bench;
struct executor_bench *executor_bench_new(struct arena *arena, struct diag *diag);
void executor_bench_free(struct executor_bench *bench);

/* Makes `count` runs of one model and type of weights (told apart by isa: the best there is), each `repeats`
 * times, in turn, so that what disturbs the machine for a while disturbs all alike. times [count]. watch:
 * called before each run; NULL: nobody. false with diag. */
bool executor_bench_run(struct executor_bench *bench, struct diag *diag, const struct model *model,
                        const struct executor_case *cases, size_t count, int repeats, double noise,
                        struct executor_times *times, void (*watch)(void *context), void *watcher);

/* The operator's times in a phase; NULL: it was not run. */
const struct op_time *phase_time(const struct phase_times *phase, const char *name);

#endif
