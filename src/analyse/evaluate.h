/* Questions asked many times over: one evaluation after another in a scratch arena, counted. */
#ifndef RAFTER_ANALYSE_EVALUATE_H
#define RAFTER_ANALYSE_EVALUATE_H

#include "estimate/estimate.h"

struct evaluator {
    struct catalogue *catalogue;
    struct arena *scratch; /* reset before each evaluation */
    long evaluations;
    /* Called before each evaluation with the share of the work done, 0..1, where that is known; NULL: nobody
     * watches. */
    void (*watch)(void *watcher, double share);
    void *watcher;
    double share;
};

/* What the question's workload says, --set workload.* included; batch, prompt and output of the question
 * itself not yet laid over it. NULL with diag; the default's when none is named. It lives in the arena. */
const struct workload *question_workload(struct arena *arena, struct diag *diag,
                                         const struct catalogue *catalogue, const struct question *question);

/* Resolves and answers a question; false when it cannot be (a count that does not divide, a context too
 * long), with the first reason in `reason`, which lives until the next evaluation. */
struct evaluated {
    const struct resolved *resolved; /* until the next evaluation */
    struct answer answer;
    struct breakdown breakdown;
};
bool evaluate_whole(struct evaluator *evaluator, const struct question *question, struct evaluated *evaluated,
                    const char **reason);

/* The answer alone, or with its breakdown. */
bool evaluate(struct evaluator *evaluator, const struct question *question, struct answer *answer,
              struct breakdown *breakdown, const char **reason);

/* What an answer must keep to; 0: no limit. Memory must always fit unless any_memory. */
struct limits {
    double ttft, tpot, latency; /* s, at most */
    double usd_per_million;     /* per million output tokens, at most */
    double throughput;          /* tokens/s over the system, at least */
    double memory;              /* bytes of a device, at most; 0: all it has */
    bool any_memory;
};

enum limit {
    LIMIT_NONE,
    LIMIT_MEMORY,
    LIMIT_TTFT,
    LIMIT_TPOT,
    LIMIT_LATENCY,
    LIMIT_COST,
    LIMIT_THROUGHPUT,
    LIMIT_REFUSED, /* the question has no answer there: a context too long, a split that does not divide */
    LIMIT_COUNT
};

const char *limit_name(enum limit limit); /* "memory", "ttft" */

/* The limit's bound (memory: the answer's capacity; 0: none) and the answer's figure that is held against it.
 */
double limit_bound(const struct limits *limits, const struct answer *answer, enum limit limit);
double limit_figure(const struct answer *answer, enum limit limit);

/* How far the answer is from its tightest limit: the largest of metric / limit (limit / metric for
 * throughput); up to 1: all are kept. *tightest says which. Unknown figures (no price) break their limit. */
double limits_strain(const struct limits *limits, const struct answer *answer, enum limit *tightest);

#endif
