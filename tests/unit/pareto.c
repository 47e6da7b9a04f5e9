/* The front: nothing on it is beaten, nothing off it is unbeaten. */
#include "analyse/pareto.h"
#include "support/analyst.h"

#include <criterion/criterion.h>

static bool beats(const struct pareto_point *a, const struct pareto_point *b)
{
    return a->tokens_per_s_per_user >= b->tokens_per_s_per_user &&
           a->tokens_per_s_per_device >= b->tokens_per_s_per_device &&
           (a->tokens_per_s_per_user > b->tokens_per_s_per_user ||
            a->tokens_per_s_per_device > b->tokens_per_s_per_device);
}

static bool is_on_front(const struct pareto *pareto, const struct pareto_point *point)
{
    for (size_t i = 0; i < pareto->count; i++)
        if (pareto->front[i].tokens_per_s_per_user == point->tokens_per_s_per_user &&
            pareto->front[i].tokens_per_s_per_device == point->tokens_per_s_per_device)
            return true;
    return false;
}

Test(pareto, non_dominated_and_complete)
{
    static const struct limits cases[] = {{0}, {.ttft = 2, .tpot = 0.02}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct analyst analyst;
        struct pareto pareto;
        struct question question = {
            .model = "llama-3.1-8b", .device = "h100-sxm", .prompt = 512, .output = 64};
        analyst_open(&analyst);
        cr_assert(pareto_front(&analyst.evaluator, analyst.arena, &analyst.diag, &question, 4, 64, &cases[c],
                               &pareto),
                  "%s", diag_first_error(&analyst.diag));
        cr_assert(pareto.count > 2 && pareto.all_count > pareto.count &&
                  pareto.evaluated >= pareto.all_count);
        for (size_t i = 0; i < pareto.all_count; i++) {
            const struct pareto_point *point = &pareto.all[i];
            bool beaten = false;
            cr_expect_leq(point->candidate.strain, 1);
            for (size_t j = 0; j < pareto.all_count; j++)
                beaten = beaten || beats(&pareto.all[j], point);
            cr_expect(beaten != is_on_front(&pareto, point), "point %zu", i);
        }
        for (size_t i = 1; i < pareto.count; i++)
            cr_expect(pareto.front[i].tokens_per_s_per_user < pareto.front[i - 1].tokens_per_s_per_user &&
                      pareto.front[i].tokens_per_s_per_device > pareto.front[i - 1].tokens_per_s_per_device);
        analyst_close(&analyst);
    }
}

Test(pareto, nothing_keeps_an_impossible_limit)
{
    struct analyst analyst;
    struct pareto pareto;
    struct limits limits = {.tpot = 1e-6};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm"};
    analyst_open(&analyst);
    cr_assert(
        pareto_front(&analyst.evaluator, analyst.arena, &analyst.diag, &question, 2, 4, &limits, &pareto));
    cr_expect(pareto.count == 0 && pareto.all_count == 0 && pareto.evaluated > 0);
    analyst_close(&analyst);
}
