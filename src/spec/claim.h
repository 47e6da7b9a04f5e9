/* Claims: what a technique's paper says it measured, as questions that can be put again. */
#ifndef RAFTER_SPEC_CLAIM_H
#define RAFTER_SPEC_CLAIM_H

#include "spec/technique.h"

/* How a value stands for the points of a question's grid. */
enum claim_kind {
    CLAIM_EXACT,    /* one point */
    CLAIM_UP_TO,    /* the largest over the grid */
    CLAIM_AT_LEAST, /* an inequality: the smallest over the grid is no smaller */
    CLAIM_AVERAGE   /* the mean over the grid */
};

enum claim_status { CLAIM_COMPUTED, CLAIM_INPUT, CLAIM_BASELINE, CLAIM_NOT_COMPUTABLE };

/* Why a claim cannot be computed: this list is closed. */
enum claim_reason {
    REASON_NONE,
    REASON_QUALITY,
    REASON_HARDWARE,
    REASON_MODEL,
    REASON_WORKLOAD,
    REASON_ARRIVALS
};

/* What is made of the metric with the technique, t, and that of the baseline, b. */
enum claim_form {
    FORM_VALUE,     /* t */
    FORM_RATIO,     /* t / b */
    FORM_SPEEDUP,   /* b / t: of times, bytes, energy */
    FORM_REDUCTION, /* 1 - t / b */
    FORM_INCREASE   /* t / b - 1 */
};

enum claim_phase { CLAIM_ANY_PHASE, CLAIM_PREFILL, CLAIM_DECODE };

/* An option of `rafter estimate` without its dashes and what is given for it. More than one value is an axis
 * of a grid, but for `with` and `set`, which take several. */
struct query_option {
    const char *key;
    struct string_list values;
    struct source_location where;
};

struct claim_query {
    struct query_option *options;
    size_t count;
    bool zip;   /* axes are walked together instead of each with each */
    bool given; /* the claim has the key */
    struct source_location where;
};

struct claim {
    const char *id;         /* "qserve#3": the third claim of the card */
    const char *says;       /* in a line, what was measured */
    const char *metric;     /* analyse/claim_metric.h */
    struct string_list ops; /* op_time, op_flops, op_bytes: operators or kinds of them */
    int phase;              /* enum claim_phase, for those */
    const char *unit;
    double value; /* in the unit */
    int kind, status, reason, form;
    struct claim_query query, baseline; /* baseline: what differs from query, besides the technique */
    const char *cause;                  /* tested: why prediction and paper differ */
    const char *where_from;             /* table or figure of the paper */
    struct source_location where;
};

extern const struct enum_name claim_kind_names[], claim_status_names[], claim_reason_names[],
    claim_form_names[];
extern const struct schema claim_schema;

struct claim_list {
    struct claim *items;
    size_t count;
};

/* The technique's claims, with the setups that their queries start from laid under them. false with errors: a
 * query without its keys, a setup that is not there, a claim told twice. */
bool claims_read(struct arena *arena, struct diag *diag, const struct technique *technique,
                 struct claim_list *claims);

/* The option's values; NULL: not given. */
const struct query_option *query_find(const struct claim_query *query, const char *key);

#endif
