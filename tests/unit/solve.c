/* Inverse questions: the value found keeps the limits, and one more (or one percent less) breaks them. */
#include "analyse/solve.h"
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void find(struct analyst *analyst, const struct question *question, const struct limits *limits,
                 enum unknown unknown, struct solution *solution)
{
    analyst_open(analyst);
    struct question asked = unknown >= UNKNOWN_BANDWIDTH ? with_system(analyst, *question) : *question;
    cr_assert(solve(&analyst->evaluator, analyst->arena, &analyst->diag, &asked, limits, unknown, solution),
              "%s", diag_first_error(&analyst->diag));
}

static double strain_of(const struct question *question, const struct limits *limits)
{
    struct asked asked = ask(question);
    enum limit tightest;
    double strain = asked.ok ? limits_strain(limits, &asked.answer, &tightest) : INFINITY;
    asked_free(&asked);
    return strain;
}

Test(solve, largest_batch)
{
    static const struct limits cases[] = {
        {.any_memory = false}, {.ttft = 0.5}, {.tpot = 0.015}, {.latency = 5, .ttft = 3}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct analyst analyst;
        struct solution solution;
        struct question question = {
            .model = "llama-3.1-8b", .device = "h100-sxm", .prompt = 1024, .output = 256};
        find(&analyst, &question, &cases[c], UNKNOWN_BATCH, &solution);
        cr_assert(solution.found);
        question.batch = solution.value;
        cr_expect_leq(strain_of(&question, &cases[c]), 1, "batch %g", question.batch);
        question.batch++;
        cr_expect_gt(strain_of(&question, &cases[c]), 1, "batch %g", question.batch);
        cr_expect(solution.binding != LIMIT_NONE && solution.evaluations > 3 && solution.evaluations < 60);
        analyst_close(&analyst);
    }
}

Test(solve, longest_prompt_ends_at_the_context)
{
    struct analyst analyst;
    struct solution solution;
    struct limits limits = {0};
    struct question question = {.model = "llama-3-8b", .device = "h100-sxm", .output = 100};
    find(&analyst, &question, &limits, UNKNOWN_PROMPT, &solution);
    cr_expect(solution.found && solution.value == 8192 - 100, "%g", solution.value);
    cr_expect(solution.binding == LIMIT_REFUSED && strstr(solution.reason, "context"), "%s", solution.reason);
    analyst_close(&analyst);
}

Test(solve, longest_output_under_a_latency)
{
    struct analyst analyst;
    struct solution solution;
    struct limits limits = {.latency = 2};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm"};
    find(&analyst, &question, &limits, UNKNOWN_OUTPUT, &solution);
    cr_assert(solution.found && solution.binding == LIMIT_LATENCY);
    question.output = solution.value;
    cr_expect_leq(strain_of(&question, &limits), 1);
    question.output++;
    cr_expect_gt(strain_of(&question, &limits), 1);
    analyst_close(&analyst);
}

/* At the least rate the limit is met to 0.1%, and one percent less breaks it. */
Test(solve, least_rates)
{
    static const struct {
        enum unknown unknown;
        struct limits limits;
        const char *key;
    } cases[] = {
        {UNKNOWN_BANDWIDTH, {.tpot = 0.02}, "hardware.tiers.gddr.bandwidth=%.6f GB/s"},
        {UNKNOWN_BANDWIDTH, {.latency = 3}, "hardware.tiers.gddr.bandwidth=%.6f GB/s"},
        {UNKNOWN_COMPUTE, {.ttft = 0.1}, NULL},
        {UNKNOWN_MEMORY, {.any_memory = false}, NULL},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct analyst analyst;
        struct solution solution;
        enum limit tightest;
        struct question question = {.model = "llama-3.1-8b", .device = "l40s"};
        find(&analyst, &question, &cases[c].limits, cases[c].unknown, &solution);
        cr_assert(solution.found, "case %zu", c);
        double strain = limits_strain(&cases[c].limits, &solution.answer, &tightest);
        cr_expect(strain <= 1 && strain > 1 - 1e-3, "case %zu: strain %g", c, strain);
        cr_expect(tightest == solution.binding);
        if (cases[c].key) { /* the same by --set */
            char setting[128];
            const char *settings[] = {setting};
            question.settings = (struct string_list){settings, 1};
            snprintf(setting, sizeof setting, cases[c].key, solution.value * 1.00001 / 1e9);
            cr_expect_leq(strain_of(&question, &cases[c].limits), 1);
            snprintf(setting, sizeof setting, cases[c].key, solution.value * 0.99 / 1e9);
            double less = strain_of(&question, &cases[c].limits);
            cr_expect(less > 1 && isfinite(less), "%g", less);
        }
        analyst_close(&analyst);
    }
}

Test(solve, fewest_devices)
{
    struct analyst analyst;
    struct solution solution;
    struct limits limits = {.tpot = 0.03};
    struct question question = {.model = "llama-3-70b", .device = "h100-sxm", .batch = 16};
    find(&analyst, &question, &limits, UNKNOWN_DEVICES, &solution);
    cr_assert(solution.found && solution.value >= 2, "%g", solution.value);
    cr_expect(solution.parallel.tp * solution.parallel.pp * solution.parallel.dp * solution.replicas ==
              (int)solution.value);
    for (int n = 1; n < (int)solution.value; n++) {
        struct search search;
        struct diag quiet = {.arena = analyst.arena};
        bool any = search_parallelism(&analyst.evaluator, analyst.arena, &quiet, &question, n, &limits,
                                      OBJECTIVE_THROUGHPUT, &search);
        cr_expect(!any || search.kept == 0, "%d devices would do", n);
    }
    analyst_close(&analyst);
}

Test(solve, says_no)
{
    struct analyst analyst;
    struct solution solution;
    struct limits limits = {.ttft = 1e-4};
    struct question question = {.model = "llama-3.1-8b", .device = "h100-sxm"};
    for (int u = UNKNOWN_BATCH; u < UNKNOWN_PROMPT; u++) {
        find(&analyst, &question, &limits, (enum unknown)u, &solution);
        cr_expect(!solution.found && solution.binding == LIMIT_TTFT, "%s", unknown_name((enum unknown)u));
        analyst_close(&analyst);
    }
    limits = (struct limits){.ttft = 1e-6}; /* fixed costs alone take longer */
    find(&analyst, &question, &limits, UNKNOWN_BANDWIDTH, &solution);
    cr_expect(!solution.found && solution.binding == LIMIT_TTFT);
    analyst_close(&analyst);
}

Test(solve, refuses_what_has_no_answer)
{
    struct analyst analyst;
    struct solution solution;
    struct limits none = {0};
    analyst_open(&analyst);
    struct question question =
        with_system(&analyst, (struct question){.model = "llama-3.1-8b", .device = "h100-sxm"});
    cr_expect_not(solve(&analyst.evaluator, analyst.arena, &analyst.diag, &question, &none, UNKNOWN_BANDWIDTH,
                        &solution));
    cr_expect(strstr(diag_first_error(&analyst.diag), "needs a limit"));
    question = (struct question){.model = "no-such-model", .device = "h100-sxm"};
    cr_expect_not(
        solve(&analyst.evaluator, analyst.arena, &analyst.diag, &question, &none, UNKNOWN_BATCH, &solution));
    analyst_close(&analyst);
}
