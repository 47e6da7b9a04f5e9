/* A result: one estimate with all that reports show of it. */
#ifndef RAFTER_REPORT_RESULT_H
#define RAFTER_REPORT_RESULT_H

#include "estimate/estimate.h"

struct result {
    const struct resolved *resolved;
    struct answer answer;
    struct breakdown breakdown; /* its operator tables live in the resolved question's arena */
    const char **warnings;
    size_t warning_count;
    const char **empirical; /* "speculative_decoding.acceptance = 0.7" */
    size_t empirical_count;
};

/* Estimates a resolved question into result. false with an error when memory is out. */
bool result_make(struct result *result, const struct resolved *resolved, struct diag *diag);

/* The plan that answers: the first pool's model. */
const struct plan *result_plan(const struct result *result);

/* The type that linear layers take their inputs in: the activations' own, or what they are quantised to. */
const char *result_linear_inputs(const struct result *result);

/* Whether the answer is yes: it fits, and no objective of the workload is missed. */
bool result_accepted(const struct result *result);

#endif
