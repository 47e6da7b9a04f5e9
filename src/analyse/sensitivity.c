#include "analyse/sensitivity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double step = 0.01; /* relative */

const char *metric_name(enum metric metric)
{
    static const char *const names[METRIC_COUNT] = {"ttft_s", "tpot_s", "throughput_tokens_per_s",
                                                    "cost_usd"};
    return names[metric];
}

double metric_of(const struct answer *answer, enum metric metric)
{
    switch (metric) {
    case METRIC_TTFT:
        return answer->ttft_s;
    case METRIC_TPOT:
        return answer->tpot_s;
    case METRIC_THROUGHPUT:
        return answer->throughput_tokens_per_s;
    case METRIC_COST:
        return answer->cost_usd;
    case METRIC_COUNT:
        break;
    }
    return NAN;
}

/* What an operator is bound by when the figure is what limits it. */
static enum bound bound_fed_by(const struct device *device, const struct device_figure *figure)
{
    switch (figure->kind) {
    case FIGURE_COMPUTE:
    case FIGURE_VECTOR:
        return BOUND_COMPUTE;
    case FIGURE_TIER_BANDWIDTH:
        return device->tiers[figure->index].cache ? BOUND_CACHE : BOUND_MEMORY;
    case FIGURE_LINK_BANDWIDTH:
        return device->links[figure->index].kind == LINK_NETWORK ? BOUND_NETWORK : BOUND_LINK;
    case FIGURE_LINK_LATENCY:
        return BOUND_LATENCY;
    case FIGURE_LAUNCH_HOST:
        return BOUND_HOST;
    case FIGURE_SCALAR:
        break;
    default:
        return BOUND_COUNT;
    }
    const struct scalar_declaration *scalar = &families[figure->family].scalars[figure->scalar];
    if (scalar->dimension == DIM_SECONDS)
        return BOUND_LATENCY;
    if (strcmp(scalar->name, "beta") == 0)
        return figure->family == FAMILY_COLLECTIVE || figure->family == FAMILY_ALL_REDUCE_KERNEL ||
                       figure->family == FAMILY_TRANSFER
                   ? BOUND_LINK
                   : BOUND_MEMORY;
    if (strcmp(scalar->name, "flagged") == 0 || strcmp(scalar->name, "in_switch") == 0)
        return BOUND_LINK;
    return strcmp(scalar->name, "lambda") == 0 ? BOUND_CACHE : BOUND_COMPUTE;
}

/* Shares of a phase's time by what binds its operators. */
struct shares {
    double by_bound[BOUND_COUNT];
};

static void add_shares(const struct breakdown *breakdown, const char *name, struct shares *shares)
{
    *shares = (struct shares){{0}};
    for (int p = 0; p < breakdown->count; p++) {
        const struct phase_cost *phase = &breakdown->phases[p];
        if (strcmp(phase->name, name) != 0 || !(phase->time_s > 0))
            continue;
        double whole = phase->step.time;
        for (int i = 0; i < phase->plan->graph.op_count; i++) {
            const struct step_op *op = &phase->step.ops[i];
            if (op->count > 0)
                shares->by_bound[op->each.bound] += op->exposed / whole;
        }
        shares->by_bound[BOUND_HOST] += phase->step.host_gap / whole;
    }
}

static const char *largest_share(const struct shares *shares, double *share)
{
    int largest = 0;
    for (int b = 1; b < BOUND_COUNT; b++)
        if (shares->by_bound[b] > shares->by_bound[largest])
            largest = b;
    *share = shares->by_bound[largest];
    return bound_name((enum bound)largest);
}

bool answer_scaled(struct evaluator *evaluator, struct arena *arena, const struct question *question,
                   const struct device_figure *figure, double factor, struct answer *answer)
{
    struct question scaled = *question;
    const char *reason;
    scaled.system = system_scaled(arena, question->system, figure, factor);
    return scaled.system && evaluate(evaluator, &scaled, answer, NULL, &reason);
}

/* Relative change that the figure really makes: efficiencies stop at their bounds. */
static double real_factor(const struct device *device, const struct device_figure *figure, double factor)
{
    if (figure->kind != FIGURE_SCALAR)
        return factor;
    const struct scalar_declaration *declared = &families[figure->family].scalars[figure->scalar];
    double value = figure_value(device, figure);
    return fmin(fmax(value * factor, declared->min), declared->max) / value;
}

static bool measure(struct evaluator *evaluator, struct arena *arena, const struct question *question,
                    struct elasticity *elasticity)
{
    const struct device *device = question->system->members[0].device;
    struct answer up, down;
    if (!answer_scaled(evaluator, arena, question, &elasticity->figure, 1 + step, &up) ||
        !answer_scaled(evaluator, arena, question, &elasticity->figure, 1 / (1 + step), &down))
        return false;
    double width = log(real_factor(device, &elasticity->figure, 1 + step)) -
                   log(real_factor(device, &elasticity->figure, 1 / (1 + step)));
    for (int m = 0; m < METRIC_COUNT; m++)
        elasticity->by_metric[m] =
            (log(metric_of(&up, (enum metric)m)) - log(metric_of(&down, (enum metric)m))) / width;
    return true;
}

static double effect(const struct elasticity *elasticity)
{
    double largest = 0;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (fabs(elasticity->by_metric[m]) > largest) /* false for NAN */
            largest = fabs(elasticity->by_metric[m]);
    return largest;
}

static int by_effect(const void *a, const void *b)
{
    double x = effect(a), y = effect(b);
    return (x < y) - (x > y);
}

bool sensitivity(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                 const struct question *question, struct sensitivity *result)
{
    static const double least_effect = 1e-4; /* a hundredth of a percent for a percent */
    struct device_figure figures[FIGURES_MOST];
    struct breakdown breakdown;
    struct shares prefill, decode;
    const char *reason;
    *result = (struct sensitivity){.list = ARENA_ARRAY(arena, struct elasticity, FIGURES_MOST)};
    if (!result->list)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!evaluate(evaluator, question, &result->answer, &breakdown, &reason))
        return diag_error(diag, NOWHERE, "%s", reason);
    add_shares(&breakdown, "prefill", &prefill);
    add_shares(&breakdown, "decode", &decode);
    result->prefill_bound_by = largest_share(&prefill, &result->prefill_share);
    result->decode_bound_by = largest_share(&decode, &result->decode_share);

    const struct device *device = question->system->members[0].device;
    size_t count = device_figures(arena, device, figures);
    for (size_t i = 0; i < count; i++) {
        struct elasticity *one = &result->list[result->count];
        *one = (struct elasticity){.figure = figures[i], .value = figure_value(device, &figures[i])};
        evaluator->share = (double)i / (double)count;
        if (!measure(evaluator, arena, question, one))
            return diag_error(diag, NOWHERE, "%s cannot be varied: out of memory", figures[i].name);
        enum bound bound = bound_fed_by(device, &figures[i]);
        one->bound = bound < BOUND_COUNT ? bound_name(bound) : NULL;
        one->prefill_bound = bound < BOUND_COUNT ? prefill.by_bound[bound] : 0;
        one->decode_bound = bound < BOUND_COUNT ? decode.by_bound[bound] : 0;
        if (effect(one) >= least_effect)
            result->count++;
        else
            result->without_effect++;
    }
    qsort(result->list, result->count, sizeof *result->list, by_effect);
    return true;
}
