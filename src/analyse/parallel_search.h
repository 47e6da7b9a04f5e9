/* Search over the ways to use a pool: every TP x PP x EP x DP split, and whole replicas beside each other. */
#ifndef RAFTER_ANALYSE_PARALLEL_SEARCH_H
#define RAFTER_ANALYSE_PARALLEL_SEARCH_H

#include "analyse/evaluate.h"
#include "analyse/objective.h"

/* One way: `replicas` independent deployments of tp * pp * dp devices each share the batch. Figures of the
 * answer are of the whole pool: throughput, energy and cost of all replicas; times and memory of one. */
struct candidate {
    struct parallelism parallel;
    int replicas;
    struct answer answer;
    double strain; /* limits_strain */
    enum limit tightest;
};

struct search {
    struct candidate *list; /* those that keep the limits first, each part best first by the objective */
    size_t count;           /* evaluated with an answer */
    size_t kept;            /* of them, that keep the limits */
    size_t refused;         /* splits that do not divide */
    int devices;
};

/* All splits that use all `devices` of the question's device. The question's own degrees are ignored; its
 * batch is of the whole pool, and replicas beyond it are left out. Results live in the arena; false with diag
 * when nothing has an answer. */
bool search_parallelism(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                        const struct question *question, int devices, const struct limits *limits,
                        enum objective objective, struct search *search);

#endif
