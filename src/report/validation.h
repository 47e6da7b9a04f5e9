/* Reports of validations on measured samples. */
#ifndef RAFTER_REPORT_VALIDATION_H
#define RAFTER_REPORT_VALIDATION_H

#include "report/json.h"
#include "report/table.h"
#include "validate/validation.h"

/* A line for each group, below it one for each of its variants; MAPEs above max_mape (0: none) stand out. */
struct table *validation_table(const struct validation *validation, double max_mape, struct arena *arena);
/* The worst rows of each group. */
struct table *worst_table(const struct validation *validation, struct arena *arena);
/* Every row that was tested: line, family, source, dtype, measured_s, predicted_s, ratio, low, high, variant,
 * fold, file. */
struct table *validation_rows(const struct validation *validation, struct arena *arena);

/* "folds: fitted on ..., tested on ...": what the mode did; "" as calibrated. */
const char *validation_mode_words(const struct validation_plan *plan, struct arena *arena);

/* {device, samples ..., mode, families: [{family, dtype, source, calibration, n, mape, median, p90, bias,
 * coverage, skipped, bands, variants, worst, refused}]} */
json_t *validation_json(const struct validation *validation);

#endif
