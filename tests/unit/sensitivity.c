/* Elasticities: signs, sums that dimensions force, what they predict. */
#include "analyse/sensitivity.h"
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct elasticity *of(const struct sensitivity *result, const char *name)
{
    for (size_t i = 0; i < result->count; i++)
        if (strcmp(result->list[i].figure.name, name) == 0)
            return &result->list[i];
    return NULL;
}

static void measure(struct analyst *analyst, struct question *question, struct sensitivity *result)
{
    analyst_open(analyst);
    *question = with_system(analyst, *question);
    cr_assert(sensitivity(&analyst->evaluator, analyst->arena, &analyst->diag, question, result), "%s",
              diag_first_error(&analyst->diag));
}

Test(sensitivity, decode_is_bound_by_memory_prefill_by_compute)
{
    struct analyst analyst;
    struct sensitivity result;
    struct question question = {
        .model = "llama-3.1-8b", .device = "h100-sxm", .batch = 1, .prompt = 2048, .output = 128};
    measure(&analyst, &question, &result);
    const struct elasticity *memory = of(&result, "tiers.hbm.bandwidth"), *compute = of(&result, "matrix");
    cr_assert(memory && compute);
    cr_expect(memory->by_metric[METRIC_TPOT] > -1.0 && memory->by_metric[METRIC_TPOT] < -0.5, "%g",
              memory->by_metric[METRIC_TPOT]);
    cr_expect(memory->by_metric[METRIC_THROUGHPUT] > 0 && memory->by_metric[METRIC_COST] < 0);
    cr_expect(compute->by_metric[METRIC_TTFT] < -0.5 && fabs(compute->by_metric[METRIC_TPOT]) < 0.02);
    cr_expect_str_eq(result.decode_bound_by, "memory");
    cr_expect_str_eq(result.prefill_bound_by, "compute");
    cr_expect(result.decode_share > 0.5 && result.decode_share <= 1 + 1e-9);
    cr_expect(memory->decode_bound > 0.5 && strcmp(memory->bound, "memory") == 0);
    analyst_close(&analyst);
}

/* All rates twice as fast halve every time when nothing else takes time: Euler's theorem for a function that
 * is homogeneous of degree -1. */
Test(sensitivity, rates_sum_to_minus_one_without_fixed_costs)
{
    static const struct question questions[] = {
        {.model = "llama-3.1-8b", .device = "h100-sxm", .software = "ideal", .batch = 8},
        {.model = "mixtral-8x7b", .device = "a100-80gb-sxm", .software = "ideal", .devices = 2, .batch = 4},
    };
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
        struct analyst analyst;
        struct sensitivity result;
        struct question question = questions[q];
        double sums[2] = {0, 0};
        measure(&analyst, &question, &result);
        for (size_t i = 0; i < result.count; i++) {
            const struct elasticity *one = &result.list[i];
            bool rate = one->figure.kind == FIGURE_COMPUTE || one->figure.kind == FIGURE_VECTOR ||
                        one->figure.kind == FIGURE_TIER_BANDWIDTH ||
                        one->figure.kind == FIGURE_LINK_BANDWIDTH;
            for (int m = 0; m < 2 && rate; m++)
                sums[m] += one->by_metric[m];
        }
        cr_expect_float_eq(sums[METRIC_TTFT], -1, 0.01, "%s: %g", question.model, sums[METRIC_TTFT]);
        cr_expect_float_eq(sums[METRIC_TPOT], -1, 0.01, "%s: %g", question.model, sums[METRIC_TPOT]);
        analyst_close(&analyst);
    }
}

Test(sensitivity, rent_is_all_of_the_cost)
{
    struct analyst analyst;
    struct sensitivity result;
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm"};
    measure(&analyst, &question, &result);
    const struct elasticity *rent = of(&result, "price.usd_per_hour");
    cr_assert_not_null(rent);
    cr_expect_float_eq(rent->by_metric[METRIC_COST], 1, 1e-9);
    cr_expect_float_eq(rent->by_metric[METRIC_TTFT], 0, 1e-12);
    analyst_close(&analyst);
}

Test(sensitivity, sorted_and_as_signs_must_be)
{
    struct analyst analyst;
    struct sensitivity result;
    struct question question = {
        .model = "llama-3.1-8b", .device = "a100-80gb-sxm", .devices = 4, .batch = 16};
    double last = INFINITY;
    measure(&analyst, &question, &result);
    for (size_t i = 0; i < result.count; i++) {
        const struct elasticity *one = &result.list[i];
        double largest = 0;
        for (int m = 0; m < METRIC_COUNT; m++)
            largest = fmax(largest, fabs(one->by_metric[m]));
        cr_expect_leq(largest, last, "%s", one->figure.name);
        last = largest;
        bool rate = one->figure.kind == FIGURE_COMPUTE || one->figure.kind == FIGURE_TIER_BANDWIDTH ||
                    one->figure.kind == FIGURE_LINK_BANDWIDTH;
        bool time = one->figure.kind == FIGURE_LAUNCH_HOST || one->figure.kind == FIGURE_LINK_LATENCY;
        cr_expect(!rate || one->by_metric[METRIC_TPOT] <= 1e-9, "%s", one->figure.name);
        cr_expect(!time || one->by_metric[METRIC_TPOT] >= -1e-9, "%s", one->figure.name);
    }
    analyst_close(&analyst);
}

/* One percent more changes what the elasticity says, to second order. */
Test(sensitivity, predicts_a_percent)
{
    struct analyst analyst;
    struct sensitivity result;
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm", .batch = 8};
    measure(&analyst, &question, &result);
    const struct elasticity *memory = of(&result, "tiers.hbm.bandwidth");
    struct answer more;
    cr_assert(memory &&
              answer_scaled(&analyst.evaluator, analyst.arena, &question, &memory->figure, 1.01, &more));
    cr_expect_float_eq(more.tpot_s / result.answer.tpot_s, pow(1.01, memory->by_metric[METRIC_TPOT]), 1e-3);
    analyst_close(&analyst);
}
