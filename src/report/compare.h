/* Comparisons: several answers side by side, with ratios to the first. */
#ifndef RAFTER_REPORT_COMPARE_H
#define RAFTER_REPORT_COMPARE_H

#include "report/answer.h"

struct comparison {
    const struct result **results;
    const char **labels; /* what sets each apart: "h100-sxm", "h100-sxm fp8" */
    size_t count;
    const char **refused_labels; /* variants without an answer, and why; only where there are many */
    const char **refused_reasons;
    size_t refused_count;
};

enum { COMPARE_COLUMNS_MOST = 8 }; /* variants that fit side by side; more are a row each */

/* A row a figure, a column a variant, each but the first followed by its ratio to the first. CSV: answer_csv.
 */
struct table *compare_table(const struct comparison *comparison, struct arena *arena);
/* A row a variant: the figures that decide, the throughput's ratio to the first. */
struct table *compare_rows_table(const struct comparison *comparison, struct arena *arena);
/* {schema_version, variants: [{label, ratios{}, answer{}}], refused: [{label, reason}]} */
json_t *compare_json(const struct comparison *comparison);

#endif
