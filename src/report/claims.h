/* Reports of claims: one line each, then what they come to by family. */
#ifndef RAFTER_REPORT_CLAIMS_H
#define RAFTER_REPORT_CLAIMS_H

#include "analyse/claims.h"
#include "report/json.h"
#include "report/table.h"

struct table *claims_table(const struct claim_result *results, size_t count, struct arena *arena);
struct table *tally_table(const struct claim_tally *tallies, size_t count, struct arena *arena);

/* [{id, technique, family, metric, form, unit, kind, status, published, predicted, interval, ratio, verdict,
 * reason}] */
json_t *claims_json(const struct claim_result *results, size_t count);

#endif
