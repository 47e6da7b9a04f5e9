/* What claims are about: figures of an answer by name, and the units that papers give them in. */
#ifndef RAFTER_ANALYSE_CLAIM_METRIC_H
#define RAFTER_ANALYSE_CLAIM_METRIC_H

#include "analyse/evaluate.h"
#include "spec/claim.h"

struct claim_metric {
    const char *name;
    enum dimension dimension; /* what units it takes: none is a plain number */
    const char *doc;
    double (*of)(const struct evaluated *evaluated, const struct claim *claim);
};

extern const struct claim_metric claim_metrics[];
extern const size_t claim_metric_count;

/* NULL with an error that names the nearest. */
const struct claim_metric *claim_metric_find(struct diag *diag, const struct claim *claim);

struct claim_unit {
    const char *name;
    enum dimension dimension;
    double si; /* of one */
};

extern const struct claim_unit claim_units[];
extern const size_t claim_unit_count;

/* The claim's unit, which must be one of its metric's dimension (forms other than a value: a plain number).
 * NULL with an error that lists those that are. */
const struct claim_unit *claim_unit_find(struct diag *diag, const struct claim *claim,
                                         const struct claim_metric *metric);

#endif
