/* Reports of fits: what each block's scalars became, and what that did to the errors. */
#ifndef RAFTER_REPORT_CALIBRATED_H
#define RAFTER_REPORT_CALIBRATED_H

#include "fit/calibrate.h"
#include "report/json.h"
#include "report/table.h"

struct table *calibrated_table(const struct calibrated *calibrated, struct arena *arena);
/* {device, samples ..., blocks: [{family, dtype, source, format, operand, n, mape_before, mape_after,
 * residual, parameters, scalars: {name: {value, standard_error}}}], refused: [{.., reason}], written} */
json_t *calibrated_json(const struct sample_set *set, const struct calibrated *calibrated,
                        const char *written);

#endif
