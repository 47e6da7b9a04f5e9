/* The executor's validation matrix: groups of runs, each the product of its lists, and the errors allowed. */
#ifndef RAFTER_VALIDATE_EXECUTOR_SUITE_H
#define RAFTER_VALIDATE_EXECUTOR_SUITE_H

#include "spec/schema.h"

struct int_list {
    int *items;
    size_t count;
};

/* Every combination of its lists is one run. */
struct executor_group {
    const char *name;
    struct string_list models;  /* catalogue names, or files from the suite's folder */
    struct string_list weights; /* element types */
    struct string_list kv;
    struct int_list prompts, outputs, batches;
    struct int_list chunks; /* tokens of a prefill step at most; 0: all prompts in one */
    struct int_list threads;
    struct source_location where;
};

struct executor_suite {
    const char *name, *path;
    struct object_list groups; /* struct executor_group */
    int repeats;               /* of each run, of which the median counts */
    double noise;              /* brackets of a run may differ by so much */
    double max_phase_mape;     /* of prefill, and of decode */
    double max_op_mape;        /* of each operator's times */
    double op_share;           /* operators below this share of their phase are not judged */
    struct source_location where;
};

extern const struct schema executor_suite_schema;

/* NULL with errors. */
const struct executor_suite *executor_suite_read(struct arena *arena, struct diag *diag, const char *path);

/* One run. */
struct executor_case {
    const struct executor_group *group;
    const char *model; /* as the catalogue takes it */
    const char *weights, *kv;
    int prompt, output, batch, chunk, threads;
};

enum { EXECUTOR_CASES_MOST = 10000 };

/* All runs of the suite, those of one model and type of weights together. NULL with diag. */
struct executor_case *executor_cases(const struct executor_suite *suite, struct arena *arena,
                                     struct diag *diag, size_t *count);

#endif
