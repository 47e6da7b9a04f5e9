/* What a search calls best. */
#ifndef RAFTER_ANALYSE_OBJECTIVE_H
#define RAFTER_ANALYSE_OBJECTIVE_H

#include "estimate/estimate.h"

enum objective {
    OBJECTIVE_THROUGHPUT,
    OBJECTIVE_LATENCY,
    OBJECTIVE_TTFT,
    OBJECTIVE_TPOT,
    OBJECTIVE_COST,
    OBJECTIVE_MEMORY,
    OBJECTIVE_ENERGY,
    OBJECTIVE_COUNT
};
const char *objective_name(enum objective objective); /* "throughput" */

/* Smaller is better; INFINITY where the answer does not know. */
double objective_score(const struct answer *answer, enum objective objective);

#endif
