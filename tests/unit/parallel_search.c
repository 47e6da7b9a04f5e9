/* The search over splits: complete, equal to brute force, sorted. */
#include "analyse/parallel_search.h"
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>

static void search_all(struct analyst *analyst, const struct question *question, int devices,
                       const struct limits *limits, enum objective objective, struct search *search)
{
    analyst_open(analyst);
    cr_assert(search_parallelism(&analyst->evaluator, analyst->arena, &analyst->diag, question, devices,
                                 limits, objective, search),
              "%s", diag_first_error(&analyst->diag));
}

Test(parallel_search, uses_all_devices)
{
    struct analyst analyst;
    struct search search;
    struct limits limits = {0};
    struct question question = {.model = "mixtral-8x7b", .device = "h100-sxm", .batch = 32};
    search_all(&analyst, &question, 8, &limits, OBJECTIVE_THROUGHPUT, &search);
    cr_assert_gt(search.count, 20);
    for (size_t i = 0; i < search.count; i++) {
        const struct candidate *one = &search.list[i];
        cr_expect(one->parallel.tp * one->parallel.pp * one->parallel.dp * one->replicas == 8);
        cr_expect(one->answer.devices == 8, "%d", one->answer.devices);
        cr_expect(i < search.kept ? one->strain <= 1 : one->strain > 1);
        cr_expect(i == 0 || i >= search.kept ||
                  one->answer.throughput_tokens_per_s <= search.list[i - 1].answer.throughput_tokens_per_s);
    }
    analyst_close(&analyst);
}

/* Every split there is, asked one by one: whole replicas aside, since a question has none. */
static double brute_force(const struct question *question, int devices, size_t *count)
{
    double best = 0;
    *count = 0;
    for (int pp = 1; pp <= devices; pp++)
        for (int dp = 1; dp <= devices; dp++)
            for (int ep = 1; ep <= devices; ep++) {
                struct question one = *question;
                if (devices % (pp * dp) != 0 || dp > question->batch)
                    continue;
                one.devices = devices;
                one.parallel = (struct parallelism){.tp = devices / (pp * dp), .pp = pp, .dp = dp, .ep = ep};
                struct asked asked = ask(&one);
                *count += asked.ok;
                if (asked.ok && asked.answer.memory.fits)
                    best = fmax(best, asked.answer.throughput_tokens_per_s);
                asked_free(&asked);
            }
    return best;
}

Test(parallel_search, is_brute_force)
{
    static const struct {
        const char *model;
        int devices;
    } cases[] = {{"mixtral-8x7b", 4}, {"llama-3.1-8b", 4}, {"mixtral-8x7b", 6}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct analyst analyst;
        struct search search;
        struct limits limits = {0};
        struct question question = {
            .model = cases[c].model, .device = "h100-sxm", .batch = 8, .prompt = 256, .output = 16};
        size_t expected, found = 0;
        double best = 0, most = brute_force(&question, cases[c].devices, &expected);
        search_all(&analyst, &question, cases[c].devices, &limits, OBJECTIVE_THROUGHPUT, &search);
        for (size_t i = 0; i < search.count; i++) {
            if (search.list[i].replicas > 1)
                continue;
            found++;
            if (search.list[i].strain <= 1)
                best = fmax(best, search.list[i].answer.throughput_tokens_per_s);
        }
        cr_expect(found == expected, "%s on %d: %zu splits, %zu expected", cases[c].model, cases[c].devices,
                  found, expected);
        cr_expect(best == most, "%s on %d: %g, %g expected", cases[c].model, cases[c].devices, best, most);
        analyst_close(&analyst);
    }
}

/* Two replicas of half the batch are two of the one device with that half. */
Test(parallel_search, replicas_add_up)
{
    struct analyst analyst;
    struct search search;
    struct limits limits = {0};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm", .batch = 8}, half = question;
    half.batch = 4;
    struct asked asked = ask(&half);
    search_all(&analyst, &question, 2, &limits, OBJECTIVE_THROUGHPUT, &search);
    const struct candidate *pair = NULL;
    for (size_t i = 0; i < search.count; i++)
        if (search.list[i].replicas == 2)
            pair = &search.list[i];
    cr_assert_not_null(pair);
    cr_expect(
        close_to(pair->answer.throughput_tokens_per_s, 2 * asked.answer.throughput_tokens_per_s, 1e-12));
    cr_expect(close_to(pair->answer.cost_usd, 2 * asked.answer.cost_usd, 1e-12));
    cr_expect(close_to(pair->answer.energy_j_per_output_token, asked.answer.energy_j_per_output_token, 1e-9));
    cr_expect(close_to(pair->answer.cost_usd_per_million_output_tokens,
                       asked.answer.cost_usd_per_million_output_tokens, 1e-9));
    cr_expect(pair->answer.ttft_s == asked.answer.ttft_s);
    asked_free(&asked);
    analyst_close(&analyst);
}

Test(parallel_search, refuses_with_a_reason)
{
    struct analyst analyst;
    struct search search;
    struct limits limits = {0};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm", .prompt = 1e6};
    analyst_open(&analyst);
    cr_expect_not(search_parallelism(&analyst.evaluator, analyst.arena, &analyst.diag, &question, 2, &limits,
                                     OBJECTIVE_TTFT, &search));
    cr_expect(analyst.diag.errors == 1);
    analyst_close(&analyst);
}
