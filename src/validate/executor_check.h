/* The executor's times against what an estimate says of the same runs: row by row, and what that amounts to.
 */
#ifndef RAFTER_VALIDATE_EXECUTOR_CHECK_H
#define RAFTER_VALIDATE_EXECUTOR_CHECK_H

#include "analyse/evaluate.h"
#include "fit/fit.h"
#include "validate/executor_run.h"

/* The device that runs are predicted for. */
struct executor_device {
    const char *name;     /* as the catalogue takes it: hardware/local.yaml */
    const char *software; /* the profile of the executor */
    struct catalogue *catalogue;
    struct evaluator *evaluator;
};

/* Predicts a case on the machine as the probes around its runs found it: memory as fast, arithmetic and the
 * cores' own caches by as much faster or slower than the description says. `times` has no runs. false with
 * diag. */
bool executor_predict(const struct executor_device *device, struct arena *arena, struct diag *diag,
                      const struct executor_case *run, const struct pace *pace, struct executor_times *times);

/* A phase of a case, or one operator in it. */
struct executor_row {
    const struct executor_case *run;
    bool decode;
    const char *op;             /* NULL: the whole phase */
    double measured, predicted; /* s, all steps of the phase */
    double share;               /* of the phase's measured time */
    struct pace pace;           /* of the machine around its runs */
    bool noisy;                 /* none of its runs was quiet: listed and counted, not judged */
};

/* predicted / measured - 1 */
double executor_row_error(const struct executor_row *row);

/* Errors of rows that go together. */
struct executor_group_error {
    const char *op; /* NULL: whole phases */
    bool decode;
    struct error_summary error; /* of the quiet rows above the share that is judged */
    double share;               /* mean share of the phase, of these rows */
};

struct executor_result {
    const struct executor_suite *suite;
    struct executor_row *rows;
    size_t count, capacity;
    size_t runs, noisy_runs;             /* cases */
    struct executor_group_error *groups; /* phases first, then operators, those with most time first */
    size_t group_count;
    bool passed; /* every group is within its bar, and at least one phase was judged */
};

/* Adds a case's rows: its phases, and the operators of them that either side knows. */
bool executor_result_add(struct executor_result *result, struct arena *arena, struct diag *diag,
                         const struct executor_case *run, const struct executor_times *measured,
                         const struct executor_times *predicted);
/* Sums up what was added. */
bool executor_result_close(struct executor_result *result, struct arena *arena, struct diag *diag);

/* The error allowed of a group. */
double executor_allowed(const struct executor_suite *suite, const struct executor_group_error *group);

#endif
