/* Offloading: switched off it leaves the baseline as it is; bytes that live elsewhere cross a link or are
 * worked on there, count there and not here; more of it takes longer; it composes, and what cannot be is
 * refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct question host_question(const char *model, double batch)
{
    return (struct question){
        .model = model, .device = "a100-epyc-7313", .batch = batch, .prompt = 512, .output = 32};
}

/* The same question with a technique and at most three settings, NULL where there are fewer. */
static struct question with(struct question question, const char *technique, const char *const settings[3],
                            const char *one[1], const char *copy[3])
{
    one[0] = technique;
    question.techniques = (struct string_list){one, 1};
    size_t count = 0;
    for (int i = 0; i < 3 && settings[i]; i++)
        copy[count++] = settings[i];
    question.settings = (struct string_list){copy, count};
    return question;
}

static struct answer answer_with(struct question question, const char *technique, const char *a,
                                 const char *b, const char *c)
{
    const char *one[1], *copy[3], *const settings[3] = {a, b, c};
    struct question asked = with(question, technique, settings, one, copy);
    return answer_to(&asked);
}

static void expect_refused(struct question question, const char *technique, const char *a, const char *b,
                           const char *reason)
{
    const char *one[1], *copy[3], *const settings[3] = {a, b, NULL};
    struct question with_it = with(question, technique, settings, one, copy);
    struct asked asked = ask(&with_it);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", reason);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}

static void expect_same(const struct answer *a, const struct answer *b)
{
    cr_expect_float_eq(a->ttft_s, b->ttft_s, 0);
    cr_expect_float_eq(a->tpot_s, b->tpot_s, 0);
    cr_expect_float_eq(a->latency_s, b->latency_s, 0);
    cr_expect_float_eq(a->memory.total, b->memory.total, 0);
}

/* ---- off ---- */

Test(mechanism_offload, off_is_the_baseline)
{
    struct question dense = host_question("llama-3.1-8b", 8), mixture = host_question("mixtral-8x7b", 4);
    struct answer plain = answer_to(&dense), plain_mixture = answer_to(&mixture), off;
    off = answer_with(dense, "weights-in-host-memory", "weight_offload.resident=1",
                      "weight_offload.staged_layers=0", NULL);
    expect_same(&plain, &off);
    off = answer_with(dense, "kv-in-host-memory", "kv_offload.share=0", NULL, NULL);
    expect_same(&plain, &off);
    off = answer_with(dense, "attention-on-host", "operator_offload.share=0", NULL, NULL);
    expect_same(&plain, &off);
    off = answer_with(mixture, "experts-in-host-memory", "expert_offload.cached=1", NULL, NULL);
    expect_same(&plain_mixture, &off);
    off = answer_with(mixture, "read-me", "moe_routing.experts=0", "moe_routing.top_k=0",
                      "moe_routing.one_router=false");
    expect_same(&plain_mixture, &off);
}

/* ---- more of it takes longer, and takes less here ---- */

static void expect_grows(struct question question, const char *technique, const char *const *settings,
                         int count)
{
    double before = 0;
    for (int i = 0; i < count; i++) {
        struct answer answer = answer_with(question, technique, settings[i], NULL, NULL);
        cr_expect_geq(answer.tpot_s, before * (1 - 1e-12), "%s", settings[i]);
        before = answer.tpot_s;
    }
}
#define GROWS(question, technique, ...)                                                                      \
    expect_grows(question, technique, (const char *const[]){__VA_ARGS__},                                    \
                 (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)))

Test(mechanism_offload, more_away_takes_longer)
{
    struct question dense = host_question("llama-3.1-8b", 8), mixture = host_question("mixtral-8x7b", 4);
    GROWS(dense, "weights-in-host-memory", "weight_offload.resident=0.9", "weight_offload.resident=0.5",
          "weight_offload.resident=0");
    GROWS(dense, "kv-in-host-memory", "kv_offload.share=0.1", "kv_offload.share=0.5", "kv_offload.share=1");
    GROWS(dense, "kv-in-host-memory", "kv_offload.read_share=0.1", "kv_offload.read_share=1");
    GROWS(mixture, "experts-in-host-memory", "expert_offload.cached=0.9", "expert_offload.cached=0.5",
          "expert_offload.cached=0");
    GROWS(mixture, "experts-in-host-memory", "expert_offload.skipped=0.5", "expert_offload.low_share=0.5",
          "expert_offload.low_share=0");
}

Test(mechanism_offload, prefetch_hides_loads_and_never_costs)
{
    struct question question = host_question("llama-3.1-8b", 64);
    struct answer ahead = answer_with(question, "weights-in-host-memory", NULL, NULL, NULL);
    struct answer late =
        answer_with(question, "weights-in-host-memory", "weight_offload.prefetch=false", NULL, NULL);
    struct answer plain = answer_to(&question);
    cr_expect_lt(ahead.tpot_s, late.tpot_s);
    cr_expect_gt(ahead.tpot_s, plain.tpot_s);
    cr_expect_leq(late.tpot_s, ahead.tpot_s + 1.05 * plain.tpot_s, "at most one of the two can hide");
}

/* ---- where bytes are ---- */

Test(mechanism_offload, what_is_away_counts_there_and_not_here)
{
    struct question question = host_question("llama-3.1-8b", 8);
    struct answer plain = answer_to(&question);
    struct answer kv = answer_with(question, "kv-in-host-memory", NULL, NULL, NULL);
    cr_expect_float_eq(kv.memory.kv, 0, 0);
    cr_assert_eq(kv.memory.elsewhere_count, 1);
    cr_expect_float_eq(kv.memory.elsewhere[0].bytes, plain.memory.kv, 1);
    struct answer there = answer_with(question, "attention-on-host", NULL, NULL, NULL);
    cr_expect_float_eq(there.memory.elsewhere[0].bytes, plain.memory.kv, 1);
    struct answer half =
        answer_with(question, "weights-in-host-memory", "weight_offload.resident=0.5", NULL, NULL);
    cr_expect_float_eq(half.memory.weights + half.memory.elsewhere[0].bytes, plain.memory.weights,
                       1e-9 * plain.memory.weights);
}

Test(mechanism_offload, another_memory_can_be_too_small)
{
    struct question question = host_question("llama-3.1-8b", 4096);
    question.prompt = 8192;
    struct answer answer = answer_with(question, "kv-in-host-memory", NULL, NULL, NULL);
    cr_expect_gt(answer.memory.elsewhere[0].bytes, answer.memory.elsewhere[0].capacity);
    cr_expect_not(answer.memory.fits);
}

/* ---- what is moved ---- */

Test(mechanism_offload, each_layer_moves_its_weights_once_a_step)
{
    struct question question = host_question("llama-3.1-8b", 8);
    const char *one[] = {"weights-in-host-memory"};
    struct answer plain = answer_to(&question);
    question.techniques = (struct string_list){one, 1};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    const struct op *op;
    const struct step_op *load = phase_op(&asked, "decode", "weight_load", &op);
    cr_assert_not_null(load);
    double steps = question.output - 1, layers = 32;
    cr_expect_float_eq(load->count, steps * layers, 1e-6);
    double moved = load->each.bytes[BYTES_WIRE] * layers;
    cr_expect(moved < plain.memory.weights && moved > 0.8 * plain.memory.weights);
    /* nothing is faster than the link */
    cr_expect_geq(asked.answer.tpot_s, moved / 31.5e9);
    asked_free(&asked);
}

Test(mechanism_offload, attention_works_on_the_same_tokens_there)
{
    struct question question = host_question("llama-3.1-8b", 8);
    const char *one[] = {"attention-on-host"};
    struct asked here = ask(&question);
    question.techniques = (struct string_list){one, 1};
    struct asked there = ask(&question);
    cr_assert(here.ok && there.ok);
    const struct op *op;
    const struct step_op *a = phase_op(&here, "decode", "attention", NULL);
    const struct step_op *b = NULL;
    const struct phase_cost *decode = phase_of(&there, "decode");
    for (int i = 0; i < decode->plan->graph.op_count; i++) {
        op = &decode->plan->graph.ops[i];
        if (op->device > 0 && op->kind == OP_ATTENTION)
            b = &decode->step.ops[i];
    }
    cr_assert(a && b);
    cr_expect(close_to(a->each.flops, b->each.flops, 1e-9));
    cr_expect(close_to(a->each.bytes[BYTES_KV_READ], b->each.bytes[BYTES_KV_READ], 1e-9));
    asked_free(&here);
    asked_free(&there);
}

Test(mechanism_offload, sub_batches_keep_the_tokens)
{
    struct question question = host_question("llama-3.1-8b", 64);
    struct answer whole = answer_with(question, "attention-on-host", NULL, NULL, NULL);
    struct answer halves =
        answer_with(question, "attention-on-host", "operator_offload.sub_batches=2", NULL, NULL);
    cr_expect_lt(halves.tpot_s, whole.tpot_s, "host and GPU work at once");
    cr_expect_float_eq(halves.ttft_s, whole.ttft_s, 0.05 * whole.ttft_s);
}

Test(mechanism_offload, random_reads_are_slower_than_bulk)
{
    struct question question = {.model = "opt-6.7b",
                                .device = "m1-max-cpu",
                                .software = "hf-eager",
                                .batch = 1,
                                .prompt = 64,
                                .output = 8};
    struct answer bulk =
        answer_with(question, "llm-in-a-flash", "weight_offload.bandwidth=0 GB/s", NULL, NULL);
    struct answer pieces = answer_with(question, "llm-in-a-flash", "weight_offload.bandwidth=0 GB/s",
                                       "weight_offload.request_bytes=32 KiB", "weight_offload.queue=10");
    struct answer small = answer_with(question, "llm-in-a-flash", "weight_offload.bandwidth=0 GB/s",
                                      "weight_offload.request_bytes=16 KiB", "weight_offload.queue=10");
    cr_expect_lt(bulk.tpot_s, pieces.tpot_s);
    cr_expect_lt(pieces.tpot_s, small.tpot_s);
}

Test(mechanism_offload, a_cold_start_delays_the_first_token_only)
{
    struct question question = {.model = "llama-3-8b",
                                .device = "orange-pi-5-plus",
                                .weights = "q8_0",
                                .software = "llama-cpp",
                                .batch = 1,
                                .prompt = 64,
                                .output = 8};
    struct answer warm = answer_with(question, "attention-on-cpu", NULL, NULL, NULL);
    struct answer cold = answer_with(question, "tz-llm", NULL, NULL, NULL);
    struct answer slow = answer_with(question, "tz-llm", "weight_offload.prefetch=false", NULL, NULL);
    cr_expect_gt(cold.ttft_s, warm.ttft_s);
    cr_expect_gt(slow.ttft_s, cold.ttft_s);
    cr_expect_float_eq(cold.tpot_s, warm.tpot_s, 1e-9 * warm.tpot_s);
}

/* ---- together with others ---- */

Test(mechanism_offload, composes_with_quantised_weights_and_tensor_parallelism)
{
    struct question question = host_question("llama-3.1-8b", 8);
    struct answer wide = answer_with(question, "weights-in-host-memory", NULL, NULL, NULL);
    question.weights = "int4-g128";
    struct answer narrow = answer_with(question, "weights-in-host-memory", NULL, NULL, NULL);
    cr_expect(narrow.tpot_s < 0.4 * wide.tpot_s, "a quarter of the bytes cross the link");
    struct question two = {.model = "opt-30b",
                           .device = "2xa6000-host-1csd",
                           .software = "hf-eager",
                           .batch = 8,
                           .prompt = 256,
                           .output = 8};
    struct answer plain = answer_to(&two);
    struct answer drive = answer_with(two, "instinfer", NULL, NULL, NULL);
    cr_expect_gt(drive.tpot_s, plain.tpot_s);
    cr_expect_float_eq(drive.memory.elsewhere[0].bytes, 2 * plain.memory.kv, 1e-6 * plain.memory.kv);
}

/* ---- refused ---- */

Test(mechanism_offload, what_cannot_be_is_refused)
{
    struct question alone = host_question("llama-3.1-8b", 1), host = alone;
    alone.device = "a100-80gb-sxm";
    expect_refused(alone, "kv-in-host-memory", NULL, NULL, "has no \"host\"");
    expect_refused(host, "kv-in-host-memory", "kv_offload.tier=ssd", NULL, "only host");
    expect_refused(host, "experts-in-host-memory", NULL, NULL, "has no routed experts");
    expect_refused(host, "weights-in-host-memory", "weight_offload.active=0.1", NULL, "scope: ffn");
    expect_refused(host, "attention-on-host", "operator_offload.share=0.5", NULL, "moves as a whole");
    expect_refused(host, "read-me", "moe_routing.top_k=7", NULL, "7 of 6 experts");
    expect_refused(host, "weights-in-host-memory", "weight_offload.resident=1.5", NULL, "resident");
    struct question twice = host;
    const char *both[] = {"kv-in-host-memory", "attention-on-host"};
    twice.techniques = (struct string_list){both, 2};
    struct asked asked = ask(&twice);
    cr_expect_not(asked.ok, "the cache cannot be moved twice");
    asked_free(&asked);
}
