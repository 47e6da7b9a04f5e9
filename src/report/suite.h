/* Reports of validation suites. */
#ifndef RAFTER_REPORT_SUITE_H
#define RAFTER_REPORT_SUITE_H

#include "report/json.h"
#include "report/table.h"
#include "validate/suite.h"

const char *verdict_name(enum verdict verdict); /* "passed", "FAILED" */

struct table *suite_table(const struct check_result *results, size_t count, struct arena *arena);
/* "12 passed, 3 failed, 2 not here: skipped, 1 without rows" */
void suite_summary(const struct check_result *results, size_t count, struct text *out);
/* {checks: [{suite, check, verdict, n, mape, allowed, mape_above_100us, coverage: [least, most], source,
 * dtype, note}], passed, failed, not_here, nothing} */
json_t *suite_json(const struct check_result *results, size_t count);

#endif
