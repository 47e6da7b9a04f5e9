/* Reports of techniques and stacks of them beside the baseline. */
#ifndef RAFTER_REPORT_RECOMMENDED_H
#define RAFTER_REPORT_RECOMMENDED_H

#include "analyse/recommend.h"
#include "report/asked.h"

/* The baseline, then at most `top` stacks. The last column is what the papers say of quality. */
struct table *stacks_table(const struct recommendation *recommendation, enum objective objective, size_t top,
                           struct arena *arena);
/* Techniques without an answer here, and why. */
struct table *unfit_table(const struct recommendation *recommendation, struct arena *arena);

/* "N questions put, ...": how many, and whether that was all there is. */
void recommended_summary(const struct recommendation *recommendation, int depth, size_t shown,
                         struct text *out);

/* asked_json with {objective, evaluated, exhaustive, tried, helpful, baseline, stacks[], unfit[]} */
json_t *recommended_json(const struct asked *asked, const struct recommendation *recommendation,
                         enum objective objective, size_t top);

#endif
