/* Figures: the numbers of an answer, one table for everything that lists them (CSV, comparisons). */
#ifndef RAFTER_REPORT_FIGURES_H
#define RAFTER_REPORT_FIGURES_H

#include "estimate/estimate.h"
#include "report/human.h"

struct figure {
    const char *key;   /* as in CSV and JSON paths: "ttft_s", "memory_weights_bytes" */
    const char *label; /* for people */
    enum human_kind kind;
    size_t offset; /* of the double in struct answer */
    bool compared; /* worth a row of a comparison */
};

extern const struct figure figures[];
extern const size_t figure_count;

double answer_figure(const struct figure *figure, const struct answer *answer);

#endif
