/* Pareto fronts: throughput per device against speed per user, over splits and batches. */
#ifndef RAFTER_ANALYSE_PARETO_H
#define RAFTER_ANALYSE_PARETO_H

#include "analyse/parallel_search.h"

struct pareto_point {
    struct candidate candidate;
    double batch;
    double tokens_per_s_per_user; /* 1 / tpot */
    double tokens_per_s_per_device;
};

struct pareto {
    struct pareto_point *front; /* fastest per user first */
    size_t count;
    struct pareto_point *all; /* every point that keeps the limits, for charts */
    size_t all_count;
    size_t evaluated;
};

/* Over all splits of `devices` and batches 1, 2, 4 ... batch_most. A point is on the front when no other is
 * as good in both and better in one. Results live in the arena. */
bool pareto_front(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                  const struct question *question, int devices, double batch_most,
                  const struct limits *limits, struct pareto *pareto);

#endif
