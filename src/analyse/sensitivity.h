/* Sensitivity: what one percent more of each figure buys. */
#ifndef RAFTER_ANALYSE_SENSITIVITY_H
#define RAFTER_ANALYSE_SENSITIVITY_H

#include "analyse/evaluate.h"
#include "analyse/scale.h"

enum metric { METRIC_TTFT, METRIC_TPOT, METRIC_THROUGHPUT, METRIC_COST, METRIC_COUNT };
const char *metric_name(enum metric metric); /* "ttft_s" */

/* d ln(metric) / d ln(figure), by central differences of one percent (one-sided at a bound). NAN: unknown. */
struct elasticity {
    struct device_figure figure;
    double value; /* of the figure */
    double by_metric[METRIC_COUNT];
    const char
        *bound; /* what an operator is bound by where the figure limits it; NULL: no operator waits for it */
    double prefill_bound,
        decode_bound; /* share of the phase's time in operators bound by what the figure feeds */
};

struct sensitivity {
    struct answer answer;
    struct elasticity
        *list; /* largest effect on any of the metrics first; figures without effect are left out */
    size_t count;
    size_t without_effect;
    const char *prefill_bound_by, *decode_bound_by; /* the bound that takes most of the phase */
    double prefill_share, decode_share;             /* of the phase's time; 0: it does not run */
};

/* The question's `system` is varied and must be given; false with diag. Results live in the arena. */
bool sensitivity(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                 const struct question *question, struct sensitivity *result);

/* The answer with the figure times `factor`. false when memory is out or the scaled question has no answer.
 */
bool answer_scaled(struct evaluator *evaluator, struct arena *arena, const struct question *question,
                   const struct device_figure *figure, double factor, struct answer *answer);
double metric_of(const struct answer *answer, enum metric metric);

#endif
