/* Mechanisms of the KV cache: off they change nothing, more of them never costs more of what they save, they
 * compose, no token is lost or read twice, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { SETTINGS_MOST = 8 };

/* A mechanism with its settings, or none. */
struct use {
    const char *mechanism;
    const char *settings[SETTINGS_MOST];
};

struct outcome {
    bool ok;
    char *error;
    double prefill_s, decode_s, kv, weights;
    double read; /* KV bytes that decode attention reads, all layers */
    int ops;
};

static const struct use nothing[2];

static struct question llama(const char *software, int tp)
{
    return (struct question){.model = "llama-3.1-8b",
                             .device = "a100-80gb-sxm",
                             .software = software,
                             .devices = tp,
                             .batch = 8,
                             .prompt = 8000,
                             .output = 200};
}

static void measure(struct asked *asked, const struct plan *plan, struct outcome *outcome)
{
    const struct request *request = &asked->resolved.request;
    size_t count = (size_t)plan->graph.op_count;
    struct step_cost cost = {.ops = ARENA_ARRAY(asked->arena, struct step_op, count)};
    struct step prefill = {.segments = {{.sequences = 2, .new_tokens = 4000, .context = 4000, .sampled = 1}},
                           .count = 1};
    struct step decode = {.segments = {{.sequences = 8, .new_tokens = 1, .context = 8000, .sampled = 1}},
                          .count = 1};
    struct memory_plan memory;
    plan_step(plan, &prefill, false, &cost);
    outcome->prefill_s = cost.device_time;
    plan_step(plan, &decode, false, &cost);
    outcome->decode_s = cost.device_time;
    for (size_t i = 0; i < count; i++)
        if (plan->graph.ops[i].kind == OP_ATTENTION)
            outcome->read += cost.ops[i].count * cost.ops[i].each.bytes[BYTES_KV_READ];
    plan_memory(plan, request, &memory);
    outcome->kv = memory.kv;
    outcome->weights = memory.weights;
    outcome->ops = plan->graph.op_count;
}

/* The question's plan with these mechanisms. */
static struct outcome run(const struct question *question, const struct use uses[2])
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct outcome outcome = {.ok = true};
    struct stack stack = asked.resolved.deployment.stack;
    const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
    for (int i = 0; i < 2 && uses[i].mechanism; i++) {
        size_t count = 0;
        while (count < SETTINGS_MOST && uses[i].settings[count])
            count++;
        outcome.ok = outcome.ok && stack_add(&stack, asked.arena, &asked.diag, uses[i].mechanism,
                                             uses[i].settings, count, "--test");
    }
    struct plan again;
    struct plan_request request = {.system = asked.resolved.system,
                                   .model = plan->model,
                                   .software = plan->software,
                                   .parallel = plan->parallel,
                                   .stack = &stack,
                                   .role = ROLE_SERVE,
                                   .request = &asked.resolved.request};
    outcome.ok = outcome.ok && plan_resolve(&again, asked.arena, &asked.diag, &request);
    if (outcome.ok)
        measure(&asked, &again, &outcome);
    else
        outcome.error = strdup(diag_first_error(&asked.diag));
    asked_free(&asked);
    return outcome;
}

static struct outcome good(const struct question *question, const struct use uses[2])
{
    struct outcome outcome = run(question, uses);
    cr_assert(outcome.ok, "%s: %s", uses[0].mechanism, outcome.error ? outcome.error : "");
    return outcome;
}

static void expect_same(const struct outcome *a, const struct outcome *b, const char *what)
{
    cr_expect_float_eq(a->prefill_s, b->prefill_s, 0, "%s", what);
    cr_expect_float_eq(a->decode_s, b->decode_s, 0, "%s", what);
    cr_expect_float_eq(a->kv, b->kv, 0, "%s", what);
    cr_expect_float_eq(a->weights, b->weights, 0, "%s", what);
    cr_expect_eq(a->ops, b->ops, "%s", what);
}

Test(mechanism_kv, off_is_the_baseline)
{
    static const struct use off[][2] = {
        {{"kv_quantization", {"type=bf16"}}},
        {{"kv_quantization", {"keys=bf16", "values=bf16"}}},
        {{"kv_eviction", {NULL}}},
        {{"kv_eviction", {"tokens=9000"}}},
        {{"kv_eviction", {"tokens=100", "full_heads=1"}}},
        {{"kv_eviction", {"share=1", "when=decode", "scores=all"}}},
        {{"kv_merging", {NULL}}},
        {{"kv_sparsity", {NULL}}},
        {{"kv_low_rank", {NULL}}},
        {{"auxiliary_model", {NULL}}},
    };
    static const char *const stacks[] = {"vllm", "hf-eager"};
    for (int s = 0; s < 2; s++) {
        struct question question = llama(stacks[s], 1);
        struct outcome plain = good(&question, nothing);
        for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
            struct outcome same = good(&question, off[i]);
            expect_same(&plain, &same, off[i][0].mechanism);
        }
    }
}

Test(mechanism_kv, less_of_the_cache_is_less_memory_and_no_slower_decoding)
{
    static const struct use rising[][4][2] = {
        {{{"kv_eviction", {"tokens=4000"}}},
         {{"kv_eviction", {"tokens=2000"}}},
         {{"kv_eviction", {"tokens=500"}}},
         {{"kv_eviction", {"tokens=100"}}}},
        {{{"kv_eviction", {"tokens=320", "when=chunk", "full_heads=0.8"}}},
         {{"kv_eviction", {"tokens=320", "when=chunk", "full_heads=0.5"}}},
         {{"kv_eviction", {"tokens=320", "when=chunk", "full_heads=0.2"}}},
         {{"kv_eviction", {"tokens=320", "when=chunk"}}}},
        {{{"kv_merging", {"keep=0.8"}}},
         {{"kv_merging", {"keep=0.5"}}},
         {{"kv_merging", {"keep=0.2"}}},
         {{"kv_merging", {"keep=0.1"}}}},
        {{{"kv_sparsity", {"keys=0.3", "values=0.3"}}},
         {{"kv_sparsity", {"keys=0.5", "values=0.5"}}},
         {{"kv_sparsity", {"keys=0.7", "values=0.7"}}},
         {{"kv_sparsity", {"keys=0.9", "values=0.9"}}}},
        {{{"kv_quantization", {"type=int8-g64", "residual_tokens=64"}}},
         {{"kv_quantization", {"type=int4-g64", "residual_tokens=64"}}},
         {{"kv_quantization", {"type=int3-g64", "residual_tokens=64"}}},
         {{"kv_quantization", {"type=int2-g64", "residual_tokens=64"}}}},
        {{{"kv_low_rank", {"keys=0.9"}}},
         {{"kv_low_rank", {"keys=0.5"}}},
         {{"kv_low_rank", {"keys=0.5", "values=0.5"}}},
         {{"kv_low_rank", {"keys=0.1", "values=0.1"}}}},
        {{{"kv_rematerialization", {"type=int8-g128", "latents=true"}}},
         {{"kv_rematerialization", {"type=int4-g128", "latents=true"}}},
         {{"kv_rematerialization", {"type=int3-g128", "latents=true"}}},
         {{"kv_rematerialization", {"type=int2-g128", "latents=true"}}}},
    };
    struct question question = llama("vllm", 1);
    for (size_t family = 0; family < sizeof rising / sizeof *rising; family++) {
        struct outcome last = good(&question, nothing);
        last.decode_s = INFINITY;
        for (int i = 0; i < 4; i++) {
            struct outcome now = good(&question, rising[family][i]);
            cr_expect(now.kv < last.kv, "%s %d: %g after %g", rising[family][i][0].mechanism, i, now.kv,
                      last.kv);
            cr_expect(now.decode_s <= last.decode_s * (1 + 1e-9), "%s %d: %g after %g",
                      rising[family][i][0].mechanism, i, now.decode_s, last.decode_s);
            last = now;
        }
    }
}

Test(mechanism_kv, tokens_are_conserved)
{
    struct question question = llama("vllm", 1);
    struct outcome all = good(&question, nothing);
    /* the last 64 tokens apart, in the same type: read once each, but for the new one, which both kernels see
     */
    static const struct use apart[2] = {{"kv_quantization", {"type=bf16", "residual_tokens=64"}}};
    struct outcome parted = good(&question, apart);
    cr_expect(close_to(parted.read, all.read * 8002 / 8001, 1e-9), "%g against %g", parted.read, all.read);
    cr_expect(close_to(parted.kv, all.kv, 0.002), "%g against %g", parted.kv, all.kv); /* pages */
    /* a quarter of the heads keeps all, the others 320 tokens */
    static const struct use heads[2] = {{"kv_eviction", {"tokens=320", "full_heads=0.25", "when=chunk"}}};
    struct outcome mixed = good(&question, heads);
    cr_expect(close_to(mixed.read, all.read * (0.25 + 0.75 * 321 / 8001), 1e-9));
    /* of 32 layers two keep all */
    static const struct use layers[2] = {{"kv_eviction", {"tokens=320", "full_layers=2", "when=chunk"}}};
    mixed = good(&question, layers);
    cr_expect(close_to(mixed.read, all.read * (2 + 30 * 321.0 / 8001) / 32, 1e-9));
    /* after the prompt of 8000: what decoding adds is kept */
    static const struct use once[2] = {{"kv_eviction", {"tokens=1000", "when=prefill"}}};
    mixed = good(&question, once);
    cr_expect(close_to(mixed.read, all.read * 1001 / 8001, 1e-9));
}

Test(mechanism_kv, chunks_of_a_prompt_meet_what_is_kept)
{
    struct question question = llama("vllm", 1);
    static const struct use later[2] = {{"kv_eviction", {"tokens=320", "when=decode"}}};
    static const struct use chunk[2] = {{"kv_eviction", {"tokens=320", "when=chunk"}}};
    struct outcome all = good(&question, nothing), kept = good(&question, chunk);
    struct outcome prefill = good(&question, later);
    cr_expect(kept.prefill_s < all.prefill_s);
    cr_expect_float_eq(prefill.prefill_s, all.prefill_s, 1e-9);
    cr_expect_float_eq(kept.decode_s, prefill.decode_s, 1e-12);
}

Test(mechanism_kv, choosing_and_encoding_cost_time)
{
    static const struct use free_choice[2] = {{"kv_eviction", {"tokens=1000"}}};
    static const struct use window[2] = {{"kv_eviction", {"tokens=1000", "scores=window"}}};
    static const struct use shared[2] = {
        {"kv_eviction", {"tokens=1000", "scores=window", "choosing_layers=0.125"}}};
    static const struct use every[2] = {{"kv_eviction", {"tokens=1000", "scores=all"}}};
    static const struct use merged[2] = {{"kv_eviction", {"tokens=1000", "scores=all", "merge=true"}}};
    struct question question = llama("vllm", 1);
    double none = good(&question, free_choice).prefill_s, some = good(&question, window).prefill_s;
    double fewer = good(&question, shared).prefill_s, most = good(&question, every).prefill_s;
    static const struct use gathered[2] = {{"kv_eviction", {"tokens=1000", "gather=true"}}};
    double moved = good(&question, gathered).prefill_s;
    cr_expect(none < moved && moved < fewer, "%g %g %g", none, moved, fewer);
    cr_expect(none < fewer && fewer < some && some < most, "%g %g %g %g", none, fewer, some, most);
    cr_expect(most < good(&question, merged).prefill_s);
    static const struct use codes[2] = {{"kv_quantization", {"code_bits=8", "exact_prefill=true"}}};
    static const struct use fused[2] = {
        {"kv_quantization", {"code_bits=8", "exact_prefill=true", "encode_fused=true"}}};
    static const struct use beside[2] = {
        {"kv_quantization", {"code_bits=8", "exact_prefill=true", "async_encode=true"}}};
    struct outcome plain = good(&question, nothing), encoded = good(&question, codes);
    cr_expect(encoded.prefill_s > good(&question, fused).prefill_s);
    cr_expect(good(&question, fused).prefill_s > plain.prefill_s);
    cr_expect(good(&question, beside).decode_s < encoded.decode_s);
    cr_expect(close_to(encoded.kv, plain.kv / 4, 1e-9), "8 bits for two values");
}

Test(mechanism_kv, bits_add_up)
{
    struct question question = llama("vllm", 1);
    struct outcome plain = good(&question, nothing);
    static const struct {
        struct use uses[2];
        double bits;
    } cases[] = {
        {{{"kv_quantization", {"keys=fp8", "values=bf16"}}}, 12},
        {{{"kv_quantization", {"type=fp8", "sparse_share=0.01"}}}, 8.32},
        {{{"kv_quantization", {"type=fp8", "rank=4"}}}, 8.5},
        {{{"kv_sparsity", {"keys=0.5", "values=0.5", "window_tokens=0"}}}, 8 + 96.0 / 64 + 56.0 / 64},
        {{{"kv_sparsity", {"keys=0.01", "values=0.01", "window_tokens=0"}}}, 16},
        {{{"kv_low_rank", {"keys=0.25"}}}, 10},
        {{{"kv_merging", {"layers=2", "fused_restore=true"}}}, 16 * 0.775 + 16 * 2.0 / 2048 / 2},
        {{{"kv_rematerialization", {"type=fp8"}}}, 16}, /* 4096 inputs for 2048 keys and values */
        {{{"kv_merging", {"layers=2"}}, {"kv_quantization", {"type=fp8"}}}, 8 * 0.775 + 16 * 2.0 / 2048 / 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome now = good(&question, cases[i].uses);
        cr_expect(close_to(now.kv, plain.kv * cases[i].bits / 16, 1e-6), "%zu: %g bits", i,
                  now.kv / plain.kv * 16);
    }
}

Test(mechanism_kv, they_compose)
{
    static const struct use stacks[][2] = {
        {{"kv_eviction", {"tokens=1000"}}, {"kv_quantization", {"type=int4-g128", "residual_tokens=128"}}},
        {{"kv_quantization", {"type=int4-g128", "residual_tokens=128"}}, {"kv_eviction", {"tokens=1000"}}},
        {{"kv_eviction", {"tokens=320", "full_heads=0.5"}}, {"kv_sparsity", {"keys=0.5"}}},
        {{"kv_eviction", {"tokens=1000", "when=chunk"}}, {"auxiliary_model", {"hidden=1024"}}},
        {{"kv_merging", {"keep=0.2"}}, {"weight_quantization", {"type=int4-g128"}}},
    };
    for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) {
        struct use first[2] = {stacks[i][0]};
        struct question question = llama("vllm", 1);
        struct outcome plain = good(&question, nothing), one = good(&question, first);
        struct outcome both = good(&question, stacks[i]);
        cr_expect(both.kv <= one.kv && one.kv < plain.kv, "%zu", i);
        question = llama("vllm", 4);
        struct outcome ranks = good(&question, stacks[i]);
        cr_expect(close_to(ranks.kv, both.kv / 4, 0.02), "%zu: %g of %g", i, ranks.kv, both.kv);
    }
    struct question question = llama("vllm", 1);
    cr_expect(close_to(good(&question, stacks[0]).kv, good(&question, stacks[1]).kv, 0.01),
              "in either order");
    cr_expect(close_to(good(&question, stacks[0]).read, good(&question, stacks[1]).read, 1e-9));
}

Test(mechanism_kv, networks_beside_the_model_have_weights)
{
    static const struct use heads[2] = {{"auxiliary_model", {"hidden=1024"}}};
    static const struct use reader[2] = {{"auxiliary_model", {"parameters=110000000"}}};
    static const struct use gate[2] = {{"auxiliary_model", {"gate_width=512"}}};
    struct question question = llama("vllm", 1);
    struct outcome plain = good(&question, nothing), with = good(&question, heads);
    double parameters = 32 * (6144.0 * 1024 + 1024 * 8);
    cr_expect(close_to(with.weights - plain.weights, 2 * parameters, 1e-9));
    cr_expect(with.decode_s > plain.decode_s);
    with = good(&question, reader);
    cr_expect(close_to(with.weights - plain.weights, 2 * 1.1e8, 1e-6));
    cr_expect(with.prefill_s > plain.prefill_s);
    cr_expect_float_eq(with.decode_s, plain.decode_s, 1e-12);
    with = good(&question, gate);
    cr_expect(close_to(with.weights - plain.weights, 2.0 * 32 * 3 * 512 * 4096, 1e-9));
}

static void expect_refused(const struct question *question, const struct use uses[2], const char *reason)
{
    struct outcome outcome = run(question, uses);
    cr_expect_not(outcome.ok, "accepted, but expected \"%s\"", reason);
    if (!outcome.ok)
        cr_expect(strstr(outcome.error, reason) != NULL, "\"%s\" has no \"%s\"", outcome.error, reason);
    free(outcome.error);
}

Test(mechanism_kv, what_makes_no_sense_is_refused)
{
    static const struct {
        struct use uses[2];
        const char *reason;
    } cases[] = {
        {{{"kv_quantization", {NULL}}}, "give type"},
        {{{"kv_quantization", {"type=fp8", "code_bits=8"}}}, "not both"},
        {{{"kv_quantization", {"keys=fp8"}}}, "give keys and values"},
        {{{"kv_quantization", {"type=fp8", "sparse_share=2"}}}, "sparse_share"},
        {{{"kv_eviction", {"share=1.5"}}}, "share"},
        {{{"kv_eviction", {"when=always"}}}, "when"},
        {{{"kv_merging", {"keep=0"}}}, "keep"},
        {{{"kv_eviction", {"tokens=100"}}, {"kv_merging", {"keep=0.5"}}}, "chooses which tokens"},
        {{{"kv_sparsity", {"keys=1"}}}, "keys"},
        {{{"kv_low_rank", {"keys=0"}}}, "keys"},
        {{{"kv_rematerialization", {NULL}}}, "type"},
        {{{"auxiliary_model", {"gate_head=1"}}}, "gate_head"},
    };
    struct question question = llama("vllm", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(&question, cases[i].uses, cases[i].reason);
    static const struct use latents[2] = {{"kv_low_rank", {"keys=0.5"}}};
    static const struct use inputs[2] = {{"kv_rematerialization", {"type=int8"}}};
    question.model = "deepseek-v2-lite";
    expect_refused(&question, latents, "caches latents already");
    expect_refused(&question, inputs, "latents");
    static const struct use by_head[2] = {{"kv_eviction", {"tokens=100", "full_heads=0.5"}}};
    expect_refused(&question, by_head, "share one latent cache");
    question.model = "falcon-mamba-7b";
    expect_refused(&question, latents, "no attention over a cache");
    static const struct use heads[2] = {{"kv_eviction", {"tokens=100", "full_heads=0.5"}}};
    question = llama("kvquant", 1);
    expect_refused(&question, heads, "fused attention only");
    static const struct use prefix[2] = {{"kv_eviction", {"tokens=100"}}};
    static const char *const shared[] = {"shared-prefix"}, *const length[] = {
                                                               "shared_prefix.prefix_tokens=1000"};
    question = llama("vllm", 1);
    question.techniques = (struct string_list){(const char **)shared, 1};
    question.settings = (struct string_list){(const char **)length, 1};
    expect_refused(&question, prefix, "cannot be shared");
    question = llama("hf-eager", 1);
    question.model = "llada-8b";
    question.software = "hf-eager";
    question.prompt = 1000;
    expect_refused(&question, heads, "masked-diffusion");
}
