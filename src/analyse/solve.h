/* Inverse questions: the most, or the least, that keeps the limits. */
#ifndef RAFTER_ANALYSE_SOLVE_H
#define RAFTER_ANALYSE_SOLVE_H

#include "analyse/parallel_search.h"
#include "analyse/scale.h"

enum unknown {
    UNKNOWN_BATCH,     /* largest: sequences at once over the system; also called concurrency */
    UNKNOWN_PROMPT,    /* largest prompt, tokens; also called context */
    UNKNOWN_OUTPUT,    /* largest output, tokens */
    UNKNOWN_DEVICES,   /* fewest, each count with its best split */
    UNKNOWN_BANDWIDTH, /* least main memory bandwidth of a device, byte/s */
    UNKNOWN_COMPUTE,   /* least matrix peak of a device, FLOP/s of its fastest format */
    UNKNOWN_MEMORY,    /* least memory capacity of a device, bytes */
    UNKNOWN_COUNT
};

const char *unknown_name(enum unknown unknown);

struct solution {
    bool found;
    double value;
    double given;                /* what the question or device has now; 0: nothing */
    struct answer answer;        /* at value */
    struct parallelism parallel; /* DEVICES: the split */
    int replicas;
    enum limit binding; /* what stops it from being larger (or smaller) */
    const char *reason; /* binding REFUSED, or not found: why */
    long evaluations;
};

/* Solves for the unknown. Results live in the arena. false with diag on a question that has no answer at all
 * or a limit that is missing (a least bandwidth needs one on time). found is false when nothing keeps the
 * limits, with the tightest limit in binding. */
bool solve(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
           const struct question *question, const struct limits *limits, enum unknown unknown,
           struct solution *solution);

#endif
