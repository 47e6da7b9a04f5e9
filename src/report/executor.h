/* Reports of the executor's validation. */
#ifndef RAFTER_REPORT_EXECUTOR_H
#define RAFTER_REPORT_EXECUTOR_H

#include "report/json.h"
#include "report/table.h"
#include "validate/executor_check.h"

/* A row for each phase of each run. */
struct table *executor_runs_table(const struct executor_result *result, struct arena *arena);
/* A row for each phase and each judged operator: n, MAPE, bias, verdict. */
struct table *executor_errors_table(const struct executor_result *result, struct arena *arena);
/* Every row, operators too, for CSV. */
struct table *executor_rows_table(const struct executor_result *result, struct arena *arena);
/* "24 runs, 1 of them noisy: prefill MAPE 6.1% of 10% allowed, decode 4.0% of 10%; passed" */
void executor_summary(const struct executor_result *result, struct arena *arena, struct text *out);
/* {suite, runs, noisy, passed, errors: [{phase, op, n, mape, median, p90, bias, share, allowed}], rows:
 * [{model, weights, kv, batch, prompt, output, chunk, threads, phase, op, measured_s, predicted_s, error,
 * share, noisy}]} */
json_t *executor_json(const struct executor_result *result);

#endif
