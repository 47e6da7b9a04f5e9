/* Reports of sensitivity: what a percent more of each figure changes. */
#ifndef RAFTER_REPORT_ELASTICITIES_H
#define RAFTER_REPORT_ELASTICITIES_H

#include "analyse/sensitivity.h"
#include "report/asked.h"

/* What a tenth more (of a time: a tenth less) of a figure buys. */
struct purchase {
    const struct elasticity *of;
    double factor;
    double ratios[METRIC_COUNT]; /* to the answer; NAN: unknown */
};
enum { PURCHASES_MOST = 3 };

struct sensitivity_report {
    const struct sensitivity *sensitivity;
    struct purchase purchases[PURCHASES_MOST];
    size_t purchase_count;
};

void sensitivity_text(const struct asked *asked, const struct sensitivity_report *report, size_t top,
                      struct arena *arena, struct text *out);
struct table *sensitivity_table(const struct sensitivity_report *report, size_t top, struct arena *arena);
json_t *sensitivity_json(const struct asked *asked, const struct sensitivity_report *report, size_t top);

#endif
