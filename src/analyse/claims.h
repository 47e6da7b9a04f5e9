/* Claims put to the test: each is asked again, with the technique and without, and held against what its
 * paper says. */
#ifndef RAFTER_ANALYSE_CLAIMS_H
#define RAFTER_ANALYSE_CLAIMS_H

#include "analyse/claim_metric.h"

enum claim_verdict {
    CLAIM_NOT_SCORED, /* input, baseline, not computable */
    CLAIM_WITHIN_10,
    CLAIM_WITHIN_25,
    CLAIM_WITHIN_50,
    CLAIM_OFF,         /* by more, for a cause that was tested */
    CLAIM_UNEXPLAINED, /* by more, or refused, and nobody knows why */
    CLAIM_VERDICT_COUNT
};

const char *claim_verdict_name(enum claim_verdict verdict); /* "within 10%" */

struct claim_result {
    const struct technique *technique;
    const struct claim *claim;
    double predicted; /* in the claim's unit; NAN: refused, or nothing to compute */
    double low, high; /* 90% interval; NAN: not drawn */
    double ratio;     /* predicted / published; NAN without a prediction */
    enum claim_verdict verdict;
    const char *reason; /* what stands behind the verdict: a refusal, a tested cause, why it is not
                           computable; NULL: nothing */
    int points;         /* of the grid */
};

/* Where claims are tried. draws: answers that intervals are drawn from; 0: none. name: what `with` is left
 * out for: the technique's id or file. */
struct claim_trial {
    struct evaluator *evaluator;
    struct arena *arena; /* results live here */
    const char *name;
    int draws;
};

/* Computes the claim, unless it is not computable; inputs and baselines with a query are computed and not
 * scored. A question without an answer is a result too. false with diag: an option, metric or unit that there
 * is not, a grid of an exact claim, memory. */
bool claim_try(const struct claim_trial *trial, struct diag *diag, const struct technique *technique,
               const struct claim *claim, struct claim_result *result);

/* Counts of a group of results. */
struct claim_tally {
    const char *family;
    int claims, status[4]; /* by enum claim_status */
    int verdicts[CLAIM_VERDICT_COUNT];
    double median_error; /* of |predicted / published - 1| over scored claims; NAN: none */
};

/* One tally a family in order of appearance, and a last one over all: at most `count` + 1. NULL: memory. */
struct claim_tally *claims_tally(struct arena *arena, const struct claim_result *results, size_t count,
                                 size_t *tallies);

#endif
