/* Prompts' parts beside decodes: the baseline without them, what a steady state conserves, what more of a
 * parameter does, what composes and what is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct question serving(void)
{
    return (struct question){.model = "llama-3.1-8b",
                             .device = "h100-sxm",
                             .software = "vllm",
                             .batch = 32,
                             .prompt = 1024,
                             .output = 128};
}

static struct asked asked_of(struct question question, const char *technique, const char *setting)
{
    const char *techniques[] = {technique}, *settings[] = {setting};
    if (technique)
        question.techniques = (struct string_list){techniques, 1};
    if (setting)
        question.settings = (struct string_list){settings, 1};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct answer answer_of(struct question question, const char *technique, const char *setting)
{
    struct asked asked = asked_of(question, technique, setting);
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static void expect_refused(struct question question, const char *technique, const char *setting,
                           const char *why)
{
    question.techniques = (struct string_list){&technique, 1};
    if (setting)
        question.settings = (struct string_list){&setting, 1};
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", why);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), why) != NULL, "%s", diag_first_error(&asked.diag));
    asked_free(&asked);
}

/* ---- tokens ---- */

/* Rows that the down projection multiplied, all steps. */
static double rows_passed(const struct asked *asked)
{
    double flops = 0, per_row = 0;
    for (int p = 0; p < asked->breakdown.count; p++) {
        const struct phase_cost *phase = &asked->breakdown.phases[p];
        for (int i = 0; i < phase->plan->graph.op_count; i++) {
            const struct op *op = &phase->plan->graph.ops[i];
            if (strcmp(op->name, OP_NAME_DOWN_PROJ) != 0)
                continue;
            flops += phase->step.ops[i].count * phase->step.ops[i].each.flops;
            per_row = 2 * op->gemm.n * op->gemm.k * phase->plan->model->layers;
        }
    }
    return flops / per_row;
}

Test(mixed, every_token_passes_once)
{
    static const struct {
        const char *technique, *setting;
    } cases[] = {{"chunked-prefill", NULL},
                 {"chunked-prefill", "mixed_batch_scheduling.chunk_tokens=2048"},
                 {"chunked-prefill", "mixed_batch_scheduling.chunk_tokens=8192"},
                 {"chunked-prefill", "mixed_batch_scheduling.within_budget=false"},
                 {"sarathi", NULL},
                 {"sarathi", "mixed_batch_scheduling.chunk_tokens=300"},
                 {"layered-prefill", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asked asked = asked_of(serving(), cases[i].technique, cases[i].setting);
        double expected = 32 * (1024 + 127.0);
        cr_expect(close_to(rows_passed(&asked), expected, 1e-6), "%s %s: %g rows, not %g", cases[i].technique,
                  cases[i].setting ? cases[i].setting : "", rows_passed(&asked), expected);
        asked_free(&asked);
    }
}

Test(mixed, lengths_that_vary_pass_once_too)
{
    struct question question = serving();
    question.prompt = question.output = 0;
    question.workload = "chat";
    struct asked asked = asked_of(question, "chunked-prefill", NULL);
    const struct request *request = &asked.resolved.request;
    double prompts = 0;
    for (int i = 0; i < request->strata; i++)
        prompts += request->prompt[i] / request->strata;
    cr_expect(close_to(rows_passed(&asked), request->batch * (prompts + request->output - 1), 1e-6));
    asked_free(&asked);
}

/* ---- figures ---- */

Test(mixed, little_s_law_holds)
{
    struct asked asked = asked_of(serving(), "chunked-prefill", NULL);
    const struct answer *a = &asked.answer;
    double phases = 0;
    for (int i = 0; i < asked.breakdown.count; i++)
        phases += asked.breakdown.phases[i].time_s;
    double host = asked.breakdown.phases[0].plan->software->host_per_request;
    cr_expect(close_to(a->latency_s, a->ttft_s + 127 * a->tpot_s, 1e-12));
    cr_expect(close_to(phases + host, a->latency_s, 1e-9), "%g of %g", phases, a->latency_s);
    cr_expect(a->ttft_s > 0 && a->tpot_s > 0);
    asked_free(&asked);
}

Test(mixed, one_request_has_nobody_to_mix_with)
{
    struct question question = serving();
    question.batch = 1;
    struct answer mixed =
        answer_of(question, "chunked-prefill", "mixed_batch_scheduling.within_budget=false");
    struct answer alone = answer_of(question, NULL, "software.prefill_chunk_tokens=512");
    cr_expect(close_to(mixed.ttft_s, alone.ttft_s, 1e-9), "%g %g", mixed.ttft_s, alone.ttft_s);
    cr_expect(close_to(mixed.tpot_s, alone.tpot_s, 1e-3), "%g %g", mixed.tpot_s, alone.tpot_s);
}

Test(mixed, decodes_beside_chunks_cost_less_than_by_themselves)
{
    struct answer mixed = answer_of(serving(), "chunked-prefill", "mixed_batch_scheduling.chunk_tokens=2048");
    struct answer apart = answer_of(serving(), NULL, NULL);
    cr_expect(mixed.throughput_tokens_per_s > apart.throughput_tokens_per_s);
    cr_expect(mixed.ttft_s < apart.ttft_s);
    cr_expect(mixed.tpot_s > apart.tpot_s, "each token waits for a chunk");
}

Test(mixed, longer_takes_longer)
{
    double prompts[] = {64, 512, 1000, 1024, 2000, 6000}, last = 0;
    for (int i = 0; i < 6; i++) {
        struct question question = serving();
        question.prompt = prompts[i];
        double latency = answer_of(question, "sarathi", NULL).latency_s;
        cr_expect(latency > last, "%g tokens", prompts[i]);
        last = latency;
    }
    last = 0;
    for (int i = 0; i < 6; i++) {
        struct question question = serving();
        question.output = prompts[i];
        double latency = answer_of(question, "layered-prefill", NULL).latency_s;
        cr_expect(latency > last, "%g tokens of output", prompts[i]);
        last = latency;
    }
}

Test(mixed, groups_of_layers_read_experts_once)
{
    struct question question = serving();
    question.model = "qwen3-30b-a3b";
    question.batch = 4;
    question.prompt = 8192;
    struct asked layers = asked_of(question, "layered-prefill", NULL);
    struct asked chunks = asked_of(question, "chunked-prefill", NULL);
    double read[2] = {0};
    const struct asked *both[] = {&layers, &chunks};
    for (int b = 0; b < 2; b++) {
        const struct step_op *op = phase_op(both[b], "prefill", OP_NAME_MOE_GATE_UP, NULL);
        read[b] = op->count * op->each.bytes[BYTES_WEIGHTS];
    }
    cr_expect(read[0] < 0.7 * read[1], "%g %g", read[0], read[1]);
    asked_free(&layers);
    asked_free(&chunks);
}

/* ---- stacks ---- */

Test(mixed, composes)
{
    struct question question = serving();
    double plain = answer_of(question, "chunked-prefill", NULL).latency_s;
    question.weights = "int4-g128";
    question.kv = "fp8";
    cr_expect(answer_of(question, "chunked-prefill", NULL).latency_s > 0);
    question = serving();
    question.devices = 4;
    cr_expect(answer_of(question, "chunked-prefill", NULL).latency_s < plain);
    question.parallel.pp = 4;
    cr_expect(answer_of(question, "chunked-prefill", NULL).latency_s > 0);
    question = serving();
    const char *stack[] = {"chunked-prefill", "shared-prefix"}, *prefix = "shared_prefix.prefix_tokens=512";
    question.techniques = (struct string_list){stack, 2};
    question.settings = (struct string_list){&prefix, 1};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    cr_expect(asked.answer.latency_s < plain, "half of the prompt is there already");
    asked_free(&asked);
}

Test(mixed, refuses)
{
    struct question question = serving();
    expect_refused(question, "chunked-prefill", "mixed_batch_scheduling.chunk_tokens=0", "chunk_tokens");
    expect_refused(question, "chunked-prefill", "mixed_batch_scheduling.chunk_tokens=32", "leave nothing");
    expect_refused(question, "chunked-prefill", "mixed_batch_scheduling.axis=layers", "whole prompts");
    question.model = "llada-8b";
    expect_refused(question, "sarathi", NULL, "masked-diffusion");
    question = serving();
    const char *stack[] = {"chunked-prefill", "speculative-chain"};
    question.techniques = (struct string_list){stack, 2};
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok);
    asked_free(&asked);
}

/* ---- pools ---- */

Test(pools, prompts_and_decodes_do_not_wait_for_each_other)
{
    struct question question = serving();
    question.model = "llama-3-70b";
    question.device = "8xh100";
    struct answer one = answer_of(question, NULL, NULL), two = answer_of(question, "splitwise", NULL);
    cr_expect_eq(two.devices, 2 * one.devices);
    cr_expect(two.ttft_s < one.ttft_s, "a prompt does not wait for the others");
    cr_expect(two.throughput_tokens_per_s > one.throughput_tokens_per_s);
    cr_expect(two.throughput_tokens_per_s < 2 * one.throughput_tokens_per_s + 1e-9);
    cr_expect(close_to(two.latency_s, two.ttft_s + 127 * two.tpot_s, 1e-12));
    double last = 0;
    for (int pools = 1; pools <= 4; pools++) {
        char setting[64];
        snprintf(setting, sizeof setting, "disaggregation.prefill_pools=%d", pools);
        double rate = answer_of(question, "splitwise", setting).requests_per_s;
        cr_expect(rate >= last);
        last = rate;
    }
}

Test(pools, what_is_sent_at_once_is_waited_for)
{
    struct question question = serving();
    question.prompt = 4096;
    double layers = answer_of(question, "splitwise", NULL).latency_s;
    double whole = answer_of(question, "splitwise", "disaggregation.by_layer=false").latency_s;
    double slow = answer_of(question, "splitwise", "disaggregation.bandwidth=1 GB/s").latency_s;
    cr_expect(layers < whole);
    cr_expect(layers < slow);
}

Test(pools, refuses)
{
    struct question question = serving();
    expect_refused(question, "splitwise", "disaggregation.prefill_pools=0", "prefill_pools");
    expect_refused(question, "splitwise", "disaggregation.decode_device=no-such-device", "no-such-device");
    const char *stack[] = {"chunked-prefill", "splitwise"};
    question.techniques = (struct string_list){stack, 2};
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok);
    asked_free(&asked);
}
