/* sparse_attention_reads and block_sparse_prefill in whole estimates: off is the baseline, more of them costs
 * less of what they are for, they compose, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <string.h>

static struct question asked_about(double batch, double prompt)
{
    return (struct question){.model = "llama-3.1-8b",
                             .device = "a100-80gb-sxm",
                             .software = "vllm",
                             .batch = batch,
                             .prompt = prompt,
                             .output = 17};
}

static struct answer answered(struct question question)
{
    return answer_to(&question);
}

static void expect_same(struct answer a, struct answer b)
{
    cr_expect_float_eq(a.ttft_s, b.ttft_s, 0);
    cr_expect_float_eq(a.tpot_s, b.tpot_s, 0);
    cr_expect_float_eq(a.energy_j, b.energy_j, 0);
    cr_expect_float_eq(a.memory.total, b.memory.total, 0);
}

#define READS  "sparse_attention_reads."
#define BLOCKS "block_sparse_prefill."

Test(mechanism_sparse, off_is_the_baseline_exactly)
{
    struct question plain = asked_about(4, 20000);
    expect_same(answered(question_with(plain, LIST("token-select"),
                                       LIST(READS "budget_tokens=0", READS "chunk_tokens=0"))),
                answered(plain));
    expect_same(
        answered(question_with(plain, LIST("lserve"),
                               LIST(READS "budget_tokens=0", READS "streaming_heads=0",
                                    BLOCKS "keys_per_query=0", "weight_quantization.type=bf16",
                                    "activation_quantization.type=bf16", "kv_quantization.type=bf16"))),
        answered(question_with(plain, LIST("lserve"),
                               LIST(READS "budget_tokens=0", READS "streaming_heads=0",
                                    BLOCKS "from_tokens=1000000", "weight_quantization.type=bf16",
                                    "activation_quantization.type=bf16", "kv_quantization.type=bf16"))));
    expect_same(answered(question_with(plain, LIST("pbs-attn"), LIST(BLOCKS "density=1"))), answered(plain));
}

Test(mechanism_sparse, a_smaller_budget_is_never_slower)
{
    double before = 0;
    static const char *const budgets[] = {READS "budget_tokens=512", READS "budget_tokens=2048",
                                          READS "budget_tokens=8192", READS "budget_tokens=32768"};
    for (int i = 0; i < 4; i++) {
        double tpot =
            answered(question_with(asked_about(16, 30000), LIST("token-select"), &budgets[i], 1)).tpot_s;
        cr_expect_geq(tpot, before, "%s", budgets[i]);
        before = tpot;
    }
}

Test(mechanism_sparse, selection_costs_what_it_reads)
{
    struct question question = asked_about(16, 60000);
    double every = answered(question_with(question, LIST("lserve"), LIST(READS "select_every=1"))).tpot_s;
    double fourth = answered(question_with(question, LIST("lserve"), LIST(READS "select_every=4"))).tpot_s;
    double hit = answered(question_with(question, LIST("lserve"), LIST(READS "select_hit=0.9"))).tpot_s;
    double coarse = answered(question_with(question, LIST("lserve"),
                                           LIST(READS "select_every=1", READS "index_tokens=64")))
                        .tpot_s;
    cr_expect(hit < fourth && fourth < every && coarse < every, "%g %g %g %g", hit, fourth, every, coarse);
}

/* The operator of that name that decoding runs: others of it may be prefill's. */
static const struct step_op *decoding(const struct asked *asked, const char *name)
{
    const struct phase_cost *phase = phase_of(asked, "decode");
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        if (phase->step.ops[i].each.time > 0 && strcmp(phase->plan->graph.ops[i].name, name) == 0)
            return &phase->step.ops[i];
    cr_assert_fail("decoding runs no %s", name);
    return NULL;
}

/* A step reads its budget, the tokens of always, and its own. */
Test(mechanism_sparse, budget_and_index_are_the_bytes_that_are_read)
{
    struct question question = question_with(asked_about(1, 60000), LIST("token-select"), NO_LIST);
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    const double token = 2 * 8 * 128 * 2; /* K and V of 8 heads of 128 values, bf16 */
    const struct step_op *attention = decoding(&asked, "attention");
    const struct step_op *scores = decoding(&asked, "sparse_scores");
    cr_expect(close_to(attention->each.bytes[BYTES_KV_READ], token * (2048 + 640 + 1), 1e-9), "%g",
              attention->each.bytes[BYTES_KV_READ] / token);
    cr_expect(close_to(scores->each.bytes[BYTES_KV_READ], token / 2 * (60000 + 8.5), 1e-3), "%g",
              scores->each.bytes[BYTES_KV_READ] / token);
    asked_free(&asked);
}

Test(mechanism_sparse, streaming_heads_keep_only_what_they_see)
{
    struct question question = asked_about(1, 60000);
    double half = answered(question_with(question, LIST("lserve"), NO_LIST)).memory.kv;
    double none =
        answered(question_with(question, LIST("lserve"), LIST(READS "streaming_heads=0"))).memory.kv;
    cr_expect(half > 0.5 * none && half < 0.53 * none, "%g of %g", half, none);
}

Test(mechanism_sparse, a_cache_on_the_host_leaves_the_device)
{
    struct question question = asked_about(8, 60000);
    question.software = "static-cache";
    struct answer dense = answered(question),
                  shadow = answered(question_with(question, LIST("shadowkv"), NO_LIST));
    cr_expect(shadow.memory.kv < dense.memory.kv / 5, "%g of %g", shadow.memory.kv, dense.memory.kv);
    /* more of the tokens found on the device: less to fetch */
    double all = answered(question_with(question, LIST("shadowkv"), LIST(READS "fetch_hit=0"))).tpot_s;
    double some = answered(question_with(question, LIST("shadowkv"), LIST(READS "fetch_hit=0.9"))).tpot_s;
    cr_expect(some < all, "%g against %g", some, all);
    /* beside the rebuilding it takes no longer than after it */
    double serial = answered(question_with(question, LIST("shadowkv"), LIST(READS "overlap=none"))).tpot_s;
    cr_expect_leq(shadow.tpot_s, serial);
}

Test(mechanism_sparse, the_host_attends_and_searches)
{
    struct question question = {.model = "llama-3.1-8b",
                                .device = "rtx-4090-i9-10900x",
                                .software = "static-cache",
                                .batch = 1,
                                .prompt = 100000,
                                .output = 17};
    double few =
        answered(question_with(question, LIST("retrieval-attention"), LIST(READS "index_scan=0.01"))).tpot_s;
    double all =
        answered(question_with(question, LIST("retrieval-attention"), LIST(READS "index_scan=1"))).tpot_s;
    cr_expect(few < all);
    question.device = "rtx-4090";
    expect_refusal(question_with(question, LIST("retrieval-attention"), NO_LIST), "no host to attend on");
}

Test(mechanism_sparse, density_scales_prefill_attention_alone)
{
    struct question question = asked_about(1, 32768);
    struct question sparse = question_with(question, LIST("delta-llm"), LIST(BLOCKS "density=0.25"));
    struct asked a = ask(&question), b = ask(&sparse);
    cr_assert(a.ok && b.ok);
    const struct step_op *dense = phase_op(&a, "prefill", "attention", NULL);
    const struct step_op *quarter = phase_op(&b, "prefill", "attention", NULL);
    cr_expect(close_to(quarter->count * quarter->each.flops, 0.25 * dense->count * dense->each.flops, 1e-6));
    cr_expect_float_eq(a.answer.tpot_s, b.answer.tpot_s, 0);
    cr_expect_float_eq(a.answer.memory.kv, b.answer.memory.kv, 0);
    asked_free(&a);
    asked_free(&b);
}

Test(mechanism_sparse, patterns_matter_for_long_prompts)
{
    double before = 0;
    static const double prompts[] = {4096, 16384, 65536, 131000};
    for (int i = 0; i < 4; i++) {
        struct question question = asked_about(1, prompts[i]);
        double dense = answered(question).ttft_s;
        double sparse =
            answered(question_with(question, LIST("minference"), LIST(BLOCKS "first_use=0"))).ttft_s;
        cr_expect_geq(dense / sparse, before, "%g tokens", prompts[i]);
        before = dense / sparse;
    }
    cr_expect_gt(before, 2);
}

Test(mechanism_sparse, composes_with_types_ranks_and_each_other)
{
    struct question question = asked_about(8, 30000);
    question.weights = "int4-g128";
    question.kv = "fp8";
    struct answer one = answered(question_with(question, LIST("loopserve"), NO_LIST));
    question.devices = question.parallel.tp = 2;
    struct answer two = answered(question_with(question, LIST("loopserve"), NO_LIST));
    cr_expect(two.tpot_s < one.tpot_s && two.ttft_s < one.ttft_s && two.memory.kv < one.memory.kv);
    struct question shadow = asked_about(8, 30000);
    shadow.devices = shadow.parallel.tp = 2;
    answered(question_with(shadow, LIST("shadowkv", "minference"), NO_LIST));
}

Test(mechanism_sparse, the_first_layers_may_read_all)
{
    struct question question = asked_about(16, 60000);
    double none = answered(question_with(question, LIST("squeezed-attention"), NO_LIST)).tpot_s;
    double two =
        answered(question_with(question, LIST("squeezed-attention"), LIST(READS "dense_layers=2"))).tpot_s;
    double often =
        answered(question_with(question, LIST("squeezed-attention"), LIST(READS "dense_every=4"))).tpot_s;
    double dense = answered(question).tpot_s;
    cr_expect(none < two && two < dense, "%g %g %g", none, two, dense);
    cr_expect(none < often && often < dense, "%g %g %g", none, often, dense);
}

Test(mechanism_sparse, what_makes_no_sense_is_refused)
{
    struct question question = asked_about(1, 30000);
    expect_refusal(question_with(question, LIST("lserve"), LIST(READS "sparse_heads=0.5")),
                   "streaming_heads or sparse_heads");
    expect_refusal(question_with(question, LIST("lserve"), LIST(READS "streaming_heads=1")), "expected less");
    expect_refusal(question_with(question, LIST("shadowkv"), LIST(READS "host=cache")), "rebuild_rank needs");
    expect_refusal(question_with(question, LIST("token-select"), LIST(READS "overlap=layer")),
                   "nothing is fetched");
    expect_refusal(question_with(question, LIST("retrieval-attention"), LIST(READS "always_tokens=0")),
                   "needs always_tokens");
    expect_refusal(question_with(question, LIST("delta-llm"), LIST(BLOCKS "density=0")), "nothing else");
    expect_refusal(question_with(question, LIST("token-select"), LIST(READS "budget_share=1.5")),
                   "budget_share");
    question.model = "falcon-mamba-7b";
    expect_refusal(question_with(question, LIST("token-select"), NO_LIST), "no fused attention");
    expect_refusal(question_with(question, LIST("minference"), NO_LIST), "no fused attention");
    question.model = "deepseek-v2-lite";
    expect_refusal(question_with(question, LIST("shadowkv"), NO_LIST), "no values apart from keys");
    question.model = "deepseek-v3.2";
    question.devices = question.parallel.tp = 8;
    expect_refusal(question_with(question, LIST("token-select"), NO_LIST), "indexer of its own");
}
