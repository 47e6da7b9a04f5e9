/* The whole decode from a few evaluations against every step summed. */
#include "support/ask.h"
#include "estimate/integrate.h"

#include <criterion/criterion.h>
#include <math.h>

static double every_step(struct asked *asked)
{
    const struct plan *plan = asked->resolved.deployment.pools[0].plans[0];
    const struct request *request = &asked->resolved.request;
    struct step_cost cost = {.ops = ARENA_ARRAY(asked->arena, struct step_op, (size_t)plan->graph.op_count)};
    double sum = 0;
    for (int i = 0; i < request->output - 1; i++) {
        struct step step = {.count = request->strata};
        for (int s = 0; s < request->strata; s++)
            step.segments[s] = (struct segment){.sequences = request->batch / request->strata,
                                                .new_tokens = 1,
                                                .context = request->prompt[s] + i,
                                                .sampled = 1};
        plan_step(plan, &step, false, &cost);
        sum += cost.time;
    }
    return sum;
}

static void expect_sum(struct question question)
{
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    double sum = every_step(&asked), integral = asked.answer.latency_s - asked.answer.ttft_s;
    cr_expect(close_to(sum, integral, 1e-3), "%s on %s, batch %g, %g + %g: %.9g against %.9g (%.4f%%)",
              question.model, question.device, question.batch, question.prompt, question.output, integral,
              sum, 100 * (integral / sum - 1));
    asked_free(&asked);
}

Test(decode_sum, within_a_tenth_of_a_percent)
{
    static const char *const models[] = {"llama-3.1-8b", "mistral-7b", "gemma-3-27b", "deepseek-v3",
                                         "gpt-oss-120b", "mamba-2.8b", "opt-6.7b",    "qwen3-next-80b-a3b"};
    static const char *const devices[] = {"h100-sxm", "rtx-4090", "epyc-9654"};
    static const char *const stacks[] = {"vllm", "ideal", "hf-eager"};
    struct dice dice = {7};
    for (int m = 0; m < 8; m++)
        for (int trial = 0; trial < 6; trial++)
            expect_sum((struct question){.model = models[m],
                                         .device = devices[dice_int(&dice, 0, 2)],
                                         .software = stacks[dice_int(&dice, 0, 2)],
                                         .batch = dice_int(&dice, 1, 64),
                                         .prompt = dice_int(&dice, 1, 900),
                                         .output = dice_int(&dice, 2, 1100)});
}

Test(decode_sum, windows_that_fill_up_on_the_way)
{
    /* 4000 + 1500 tokens cross mistral's window of 4096 and end beyond it */
    expect_sum((struct question){.model = "mistral-7b",
                                 .device = "a100-80gb-sxm",
                                 .software = "vllm",
                                 .batch = 64,
                                 .prompt = 4000,
                                 .output = 1500});
    /* 2000 + 300 tokens cross the 2048 that the indexer picks */
    expect_sum((struct question){.model = "deepseek-v3.2",
                                 .device = "8xh200",
                                 .software = "ideal",
                                 .batch = 64,
                                 .prompt = 2000,
                                 .output = 300});
    expect_sum((struct question){.model = "gpt-oss-120b",
                                 .device = "h100-sxm",
                                 .software = "ideal",
                                 .batch = 256,
                                 .prompt = 100,
                                 .output = 500});
}

static double line(void *context, double x)
{
    const double *slope = context;
    return 3 + *slope * x;
}

Test(decode_sum, linear_costs_are_exact)
{
    struct node nodes[NODES_MOST];
    double slope = 0.25, sum;
    int points = sum_over_cycles(line, &slope, 1000, NULL, 0, nodes, &sum);
    cr_expect(close_to(sum, 3 * 1000 + 0.25 * 999 * 1000 / 2, 1e-12));
    cr_expect(points <= 3);
    sum_over_cycles(line, &slope, 0, NULL, 0, nodes, &sum);
    cr_expect_float_eq(sum, 0, 0);
    sum_over_cycles(line, &slope, 5, NULL, 0, nodes, &sum);
    cr_expect_float_eq(sum, 15 + 0.25 * 10, 1e-12);
}

static double kinked(void *context, double x)
{
    (void)context;
    return 1 + fmin(x, 300);
}

Test(decode_sum, kinks_are_where_pieces_meet)
{
    struct node nodes[NODES_MOST];
    double breaks[] = {300}, sum, exact = 0;
    for (int i = 0; i < 1000; i++)
        exact += kinked(NULL, i);
    sum_over_cycles(kinked, NULL, 1000, breaks, 1, nodes, &sum);
    cr_expect(close_to(sum, exact, 1e-6), "%.9g against %.9g", sum, exact);
}
