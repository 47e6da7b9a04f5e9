/* Repeated questions: the same answer as asked once, reasons that last, limits that say which is tightest. */
#include "support/analyst.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct question plain = {
    .model = "llama-3.1-8b", .device = "h100-sxm", .batch = 4, .prompt = 512, .output = 64};

Test(evaluate, is_the_estimate)
{
    struct analyst analyst;
    struct answer answer;
    const char *reason;
    analyst_open(&analyst);
    struct asked asked = ask(&plain);
    for (int i = 0; i < 3; i++) { /* what one leaves behind changes no other */
        cr_assert(evaluate(&analyst.evaluator, &plain, &answer, NULL, &reason));
        cr_expect(answer.ttft_s == asked.answer.ttft_s && answer.latency_s == asked.answer.latency_s);
        cr_expect(answer.energy_j == asked.answer.energy_j &&
                  answer.memory.total == asked.answer.memory.total);
    }
    cr_expect(analyst.evaluator.evaluations == 3);
    asked_free(&asked);
    analyst_close(&analyst);
}

Test(evaluate, says_why_not)
{
    struct analyst analyst;
    struct answer answer;
    const char *reason;
    struct question split = plain;
    analyst_open(&analyst);
    split.devices = 7;
    cr_assert_not(evaluate(&analyst.evaluator, &split, &answer, NULL, &reason));
    cr_expect(strstr(reason, "divide") && strncmp(reason, "error", 5) != 0, "%s", reason);
    split.devices = 1;
    cr_expect(evaluate(&analyst.evaluator, &split, &answer, NULL, &reason));
    analyst_close(&analyst);
}

Test(evaluate, strain_is_the_tightest_limit)
{
    struct answer answer = {.ttft_s = 2,
                            .tpot_s = 0.05,
                            .latency_s = 10,
                            .throughput_tokens_per_s = 100,
                            .cost_usd_per_million_output_tokens = NAN,
                            .memory = {.total = 40, .capacity = 80}};
    enum limit tightest;
    struct limits limits = {0};
    cr_expect(limits_strain(&limits, &answer, &tightest) == 0.5 && tightest == LIMIT_MEMORY);
    limits.any_memory = true;
    cr_expect(limits_strain(&limits, &answer, &tightest) == 0 && tightest == LIMIT_NONE);
    limits.ttft = 4;
    limits.latency = 8;
    cr_expect(limits_strain(&limits, &answer, &tightest) == 1.25 && tightest == LIMIT_LATENCY);
    limits.throughput = 200;
    cr_expect(limits_strain(&limits, &answer, &tightest) == 2 && tightest == LIMIT_THROUGHPUT);
    limits.usd_per_million = 5; /* a price nobody knows keeps no limit */
    cr_expect(isinf(limits_strain(&limits, &answer, &tightest)) && tightest == LIMIT_COST);
    limits = (struct limits){.tpot = 0.01, .any_memory = true};
    answer.tpot_s = NAN; /* a single token has no time between tokens */
    cr_expect(limits_strain(&limits, &answer, &tightest) == 0);
}

Test(evaluate, workload_is_the_question_s)
{
    struct analyst analyst;
    analyst_open(&analyst);
    const char *settings[] = {"workload.batch=48", "site.pue=1.1"};
    struct question question = {.workload = "chat", .settings = {settings, 2}};
    const struct workload *workload =
        question_workload(analyst.arena, &analyst.diag, &analyst.catalogue, &question);
    cr_assert_not_null(workload, "%s", diag_first_error(&analyst.diag));
    cr_expect(workload->batch == 48 && workload->slo.ttft > 0);
    question.workload = NULL;
    cr_expect(question_workload(analyst.arena, &analyst.diag, &analyst.catalogue, &question)->batch == 1);
    question.workload = "chta";
    cr_expect_null(question_workload(analyst.arena, &analyst.diag, &analyst.catalogue, &question));
    analyst_close(&analyst);
}
