/* The runner against the oracle, and against itself: chunks, batches, mixes, pages used again. */
#include "support/small_models.h"

#include "exec/runner.h"
#include "exec/runner_check.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 24, SEQUENCES = 3, CONTEXT = 64 };

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(exec_runner, .init = set_up, .fini = tear_down);

static struct runner_options options_of(enum kv_type kv)
{
    return (struct runner_options){.threads = 2,
                                   .isa = cpu_isa(),
                                   .kv = kv,
                                   .page_tokens = 8,
                                   .sequences = SEQUENCES,
                                   .context_tokens = CONTEXT,
                                   .step_tokens = SEQUENCES * CONTEXT};
}

static struct runner *runner_of(const struct weights *weights, const struct runner_options *options)
{
    struct runner *runner = runner_new(arena, &diag, weights, options);
    cr_assert(runner != NULL, "%s", diag_first_error(&diag));
    return runner;
}

static void fill_tokens(int *tokens, int count, unsigned seed)
{
    for (int t = 0; t < count; t++)
        tokens[t] = (int)((seed += 2654435761U) >> 16) % 320;
}

/* Runs tokens in chunks of the given sizes (0 ends) on one sequence; logits of every token. */
static float *run_chunks(struct runner *runner, int sequence, const int *tokens, const int *chunks)
{
    size_t vocab = (size_t)weights_model(runner_weights(runner))->vocab, done = 0;
    float *logits = ARENA_ARRAY(arena, float, CONTEXT *vocab);
    for (int i = 0; chunks[i] > 0; i++) {
        const struct step_part part = {sequence, tokens + done, chunks[i], chunks[i]};
        cr_assert(runner_step(runner, &diag, &part, 1, logits + done * vocab), "%s", diag_first_error(&diag));
        done += (size_t)chunks[i];
    }
    return logits;
}

/* Root of the mean squared difference over that of b. */
static double relative_error(const float *a, const double *b, size_t n)
{
    double difference = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        squares += b[i] * b[i];
    }
    return sqrt(difference / squares);
}

static double *oracle_of(const struct weights *weights, const int *tokens, int count)
{
    size_t vocab = (size_t)weights_model(weights)->vocab;
    double *logits = ARENA_ARRAY(arena, double, (size_t)count *vocab);
    struct arena *own = arena_new(0); /* for matrices in double */
    cr_assert(oracle_logits(weights, own, &diag, tokens, count, logits), "%s", diag_first_error(&diag));
    arena_free(own);
    return logits;
}

/* Prefill, then a chunk on cached context, then decodes. */
static const int mixed_chunks[] = {10, 8, 1, 1, 1, 1, 1, 1, 0};

static void expect_oracle(const struct small_model *small, enum weight_type type, enum kv_type kv, bool pack,
                          double bound)
{
    struct weights *weights = small_model_weights(arena, small, type, 7);
    struct runner_options options = options_of(kv);
    options.copy = pack;
    struct runner *runner = runner_of(weights, &options);
    int tokens[PROMPT];
    fill_tokens(tokens, PROMPT, 5);
    const double *expected = oracle_of(weights, tokens, PROMPT);
    const float *logits = run_chunks(runner, 1, tokens, mixed_chunks);
    size_t vocab = (size_t)weights_model(weights)->vocab;
    double error = relative_error(logits, expected, PROMPT * vocab);
    cr_expect(error < bound, "%s in %s: error %.3g, bound %.3g", small->name, weight_layouts[type].name,
              error, bound);
    runner_free(runner);
    weights_close(weights);
}

/* Rounding of fp32 sums of up to 512 terms is near 2^-24 sqrt(512) of a value. Errors of about 40 such sums
 * in a row (10 a layer) are independent and add up as their root. */
static const double fp32_bound = 0x1p-24 * 22.6 * 6.3;

Test(exec_runner, every_architecture_agrees_with_the_oracle_in_fp32)
{
    for (int i = 0; i < small_model_count; i++)
        expect_oracle(&small_models[i], WEIGHT_F32, KV_F32, false, fp32_bound);
}

Test(exec_runner, packed_weights_give_the_same)
{
    for (int i = 0; i < small_model_count; i++)
        expect_oracle(&small_models[i], WEIGHT_F32, KV_F32, true, fp32_bound);
}

/* Activations are rounded to bf16 (2^-9 of a value at most, a third of that in the mean) or to int8 in blocks
 * of 32 (1/254 of the block's greatest, which is some 2.2 deviations: half a percent in the mean); weights
 * are the oracle's, but that fp16 is rounded to bf16. 40 such roundings add up as their root, and 2.5 times
 * that covers how it scatters (gated DeltaNet, which norms its keys once more, comes to 2.05 times); experts
 * that change places at a tie are what models with routers leave out here. */
Test(exec_runner, other_types_agree_within_their_rounding)
{
    static const struct {
        enum weight_type type;
        double bound;
    } types[] = {{WEIGHT_F16, 6.3 / 512},          {WEIGHT_BF16, 6.3 / 512},
                 {WEIGHT_Q8_0, 6.3 * 0.005 * 2.5}, {WEIGHT_Q4_0, 6.3 * 0.005 * 2.5},
                 {WEIGHT_Q4_K, 6.3 * 0.005 * 2.5}, {WEIGHT_Q6_K, 6.3 * 0.005 * 2.5},
                 {WEIGHT_Q5_0, 6.3 / 512},         {WEIGHT_Q5_K, 6.3 / 512}};
    static const char *const names[] = {"llama", "qk-norm", "gpt2", "mla", "mamba2", "deltanet"};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            expect_oracle(small_model_find(names[i]), types[t].type, KV_F32, false, types[t].bound);
            expect_oracle(small_model_find(names[i]), types[t].type, KV_F32, true, types[t].bound);
        }
}

/* Errors of a key or value, relative to it, in the mean: fp16 2^-12; q8_0 and q4_0 a uniform error of 1/127
 * and 1/8 of a block's greatest value, some 2.2 deviations: 0.5% and 8%. Keys' and values' come together in
 * each of up to four layers: three times that is where the bounds are. */
Test(exec_runner, caches_of_every_type_agree_within_their_rounding)
{
    static const double bounds[] = {[KV_F32] = 1e-5, [KV_F16] = 1e-3, [KV_Q8_0] = 0.02, [KV_Q4_0] = 0.3};
    static const char *const names[] = {"llama", "qk-norm", "mla", "mla-whole-query", "deltanet"};
    for (int kv = 0; kv < KV_TYPE_COUNT; kv++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            expect_oracle(small_model_find(names[i]), WEIGHT_F32, (enum kv_type)kv, false, bounds[kv]);
}

/* ---- constants of the formulas ---- */

static void expect_oracle_with(const char *name, void (*change)(struct hyper *hyper))
{
    struct weights *weights = small_model_weights(arena, small_model_find(name), WEIGHT_F32, 11);
    change((struct hyper *)(uintptr_t)weights_hyper(weights)); /* as a file would have it */
    struct runner_options options = options_of(KV_F32);
    struct runner *runner = runner_of(weights, &options);
    int tokens[PROMPT];
    fill_tokens(tokens, PROMPT, 6);
    size_t vocab = (size_t)weights_model(weights)->vocab;
    double error = relative_error(run_chunks(runner, 0, tokens, mixed_chunks),
                                  oracle_of(weights, tokens, PROMPT), PROMPT * vocab);
    cr_expect(error < fp32_bound, "%s: error %.3g", name, error);
    runner_free(runner);
    weights_close(weights);
}

static void gemma(struct hyper *hyper)
{
    hyper->attention_softcap = 5;
    hyper->logit_softcap = 3;
    hyper->embedding_scale = 16;
    hyper->norm_plus_one = true;
    hyper->activation = ACTIVATION_GELU_TANH;
    hyper->rope_theta_local = 100;
    hyper->rope_scaling = ROPE_LINEAR;
    hyper->rope_factor = 8;
    hyper->attention_scale = 0.2F;
}

static void granite(struct hyper *hyper)
{
    hyper->residual_scale = 0.22F;
    hyper->logit_scale = 0.125F;
    hyper->rope_interleaved = true;
    hyper->activation = ACTIVATION_RELU2;
}

static void yarn(struct hyper *hyper)
{
    hyper->rope_scaling = ROPE_YARN;
    hyper->rope_factor = 4;
    hyper->rope_original_context = 16;
}

static void llama3(struct hyper *hyper)
{
    hyper->rope_scaling = ROPE_LLAMA3;
    hyper->rope_factor = 8;
    hyper->rope_original_context = 16;
    hyper->rope_low = 1;
    hyper->rope_high = 4;
}

static void deepseek(struct hyper *hyper)
{
    hyper->route_sigmoid = true;
    hyper->route_groups = 4;
    hyper->route_top_groups = 2;
    hyper->route_scale = 2.5F;
    hyper->rope_interleaved = true;
}

static void deepseek_v2(struct hyper *hyper)
{
    hyper->route_normalise = false;
    hyper->route_groups = 4;
    hyper->route_top_groups = 3;
}

Test(exec_runner, constants_of_published_models_agree_with_the_oracle)
{
    expect_oracle_with("qk-norm", gemma);
    expect_oracle_with("llama", granite);
    expect_oracle_with("mqa", granite);
    expect_oracle_with("llama", yarn);
    expect_oracle_with("mla", yarn);
    expect_oracle_with("llama", llama3);
    expect_oracle_with("shared", deepseek);
    expect_oracle_with("moe", deepseek_v2);
    expect_oracle_with("mla-whole-query", deepseek);
}

/* ---- the runner against itself ---- */

static void expect_close(const char *what, const char *name, const float *a, const float *b, size_t n)
{
    double *exact = ARENA_ARRAY(arena, double, n);
    for (size_t i = 0; i < n; i++)
        exact[i] = b[i];
    double error = relative_error(a, exact, n);
    cr_expect(error < fp32_bound, "%s: %s: difference %.3g", name, what, error);
}

Test(exec_runner, chunks_give_what_the_whole_prompt_gives)
{
    static const int whole[] = {PROMPT, 0}, chunks[] = {7, 1, 9, 1, 6, 0}, single[] = {17, 7, 0};
    for (int i = 0; i < small_model_count; i++) {
        struct weights *weights = small_model_weights(arena, &small_models[i], WEIGHT_F32, 3);
        struct runner_options options = options_of(KV_F32);
        struct runner *runner = runner_of(weights, &options);
        int tokens[PROMPT];
        fill_tokens(tokens, PROMPT, 9);
        const float *expected = run_chunks(runner, 0, tokens, whole);
        size_t n = PROMPT * (size_t)weights_model(weights)->vocab;
        expect_close("chunks", small_models[i].name, run_chunks(runner, 1, tokens, chunks), expected, n);
        expect_close("large chunks", small_models[i].name, run_chunks(runner, 2, tokens, single), expected,
                     n);
        cr_expect(runner_context(runner, 1) == PROMPT);
        runner_free(runner);
        weights_close(weights);
    }
}

/* A step of a decode, a chunk on cached context and a whole prompt, each against what it gives alone; logits
 * of the last rows only. */
static void expect_mix(const struct small_model *small)
{
    enum { A = 9, B = 20, C = 13 };
    static const int alone_a[] = {A - 1, 1, 0}, alone_b[] = {2, B - 2, 0}, alone_c[] = {C, 0};
    static const int before_a[] = {A - 1, 0}, before_b[] = {2, 0};
    struct weights *weights = small_model_weights(arena, small, WEIGHT_F32, 4);
    struct runner_options options = options_of(KV_F32);
    struct runner *alone = runner_of(weights, &options), *mixed = runner_of(weights, &options);
    size_t vocab = (size_t)weights_model(weights)->vocab;
    int a[A], b[B], c[C];
    fill_tokens(a, A, 21);
    fill_tokens(b, B, 22);
    fill_tokens(c, C, 23);
    const float *rows_a = run_chunks(alone, 0, a, alone_a), *rows_b = run_chunks(alone, 1, b, alone_b);
    const float *rows_c = run_chunks(alone, 2, c, alone_c);
    run_chunks(mixed, 2, a, before_a);
    run_chunks(mixed, 0, b, before_b);
    const struct step_part parts[] = {{0, b + 2, B - 2, 2}, {2, a + A - 1, 1, 1}, {1, c, C, 0}};
    float *logits = ARENA_ARRAY(arena, float, 3 * vocab);
    cr_assert(runner_step(mixed, &diag, parts, 3, logits), "%s", diag_first_error(&diag));
    expect_close("the chunk", small->name, logits, rows_b + (B - 2) * vocab, 2 * vocab);
    expect_close("the decode", small->name, logits + 2 * vocab, rows_a + (A - 1) * vocab, vocab);
    const struct step_part next = {1, a, 1, 1};
    const struct step_part same = {2, a, 1, 1};
    float *more = ARENA_ARRAY(arena, float, vocab);
    cr_assert(runner_step(mixed, &diag, &next, 1, logits) && runner_step(alone, &diag, &same, 1, more));
    expect_close("behind the prompt without logits", small->name, logits, more, vocab);
    cr_expect(rows_c != NULL);
    runner_free(alone);
    runner_free(mixed);
    weights_close(weights);
}

Test(exec_runner, a_mixed_step_gives_what_its_sequences_give_alone)
{
    for (int i = 0; i < small_model_count; i++)
        expect_mix(&small_models[i]);
}

Test(exec_runner, a_forgotten_sequence_leaves_nothing_behind)
{
    static const int chunks[] = {PROMPT - 1, 1, 0};
    for (int i = 0; i < small_model_count; i++) {
        struct weights *weights = small_model_weights(arena, &small_models[i], WEIGHT_F32, 5);
        struct runner_options options = options_of(KV_F32);
        struct runner *runner = runner_of(weights, &options);
        int tokens[PROMPT], others[PROMPT];
        fill_tokens(tokens, PROMPT, 31);
        fill_tokens(others, PROMPT, 32);
        const float *expected = run_chunks(runner, 0, tokens, chunks);
        run_chunks(runner, 1, others, chunks);
        runner_forget(runner, 0);
        cr_expect(runner_context(runner, 0) == 0);
        run_chunks(runner, 2, others, chunks); /* on pages of the first */
        runner_forget(runner, 1);
        const float *again = run_chunks(runner, 1, tokens, chunks);
        expect_close("pages used again", small_models[i].name, again, expected,
                     PROMPT * (size_t)weights_model(weights)->vocab);
        runner_free(runner);
        weights_close(weights);
    }
}

/* ---- what is refused ---- */

static void expect_refused(struct runner *runner, const struct step_part *parts, int count,
                           const char *message)
{
    float logits[320 * 4];
    struct diag own = {.arena = arena};
    cr_expect(!runner_step(runner, &own, parts, count, logits));
    cr_expect(strstr(diag_first_error(&own), message) != NULL, "%s", diag_first_error(&own));
}

Test(exec_runner, steps_that_cannot_be_are_refused_and_change_nothing)
{
    static const int before[] = {CONTEXT - 2, 0};
    struct weights *weights = small_model_weights(arena, small_model_find("llama"), WEIGHT_F32, 5);
    struct runner_options options = options_of(KV_F32);
    struct runner *runner = runner_of(weights, &options);
    int tokens[CONTEXT] = {0}, bad[] = {320}, negative[] = {-1};
    run_chunks(runner, 0, tokens, before);
    const struct step_part too_long[] = {{1, tokens, 5, 1}, {0, tokens, 3, 1}};
    expect_refused(runner, too_long, 2, "no room in the cache for 3 tokens of sequence 0 behind its 62");
    cr_expect(runner_context(runner, 0) == CONTEXT - 2 && runner_context(runner, 1) == 0);
    expect_refused(runner, &(struct step_part){1, bad, 1, 1}, 1, "token 320 is not one of the model's 320");
    expect_refused(runner, &(struct step_part){1, negative, 1, 1}, 1, "token -1");
    expect_refused(runner, &(struct step_part){3, tokens, 1, 1}, 1, "sequence 3 of 3");
    expect_refused(runner, &(struct step_part){-1, tokens, 1, 1}, 1, "sequence -1 of 3");
    expect_refused(runner, &(struct step_part){1, tokens, 0, 0}, 1, "a part of 0 tokens");
    expect_refused(runner, &(struct step_part){1, tokens, 1, 2}, 1, "logits of 2");
    expect_refused(runner, NULL, 0, "a step of 0 parts");
    const struct step_part twice[] = {{1, tokens, 1, 1}, {1, tokens, 1, 1}};
    expect_refused(runner, twice, 2, "sequence 1 is twice in a step");
    cr_expect(runner_context(runner, 1) == 0);
    const struct step_part last = {0, tokens, 2, 0};
    float none[1];
    cr_expect(runner_step(runner, &diag, &last, 1, none), "the last two tokens fit");
    runner_free(runner);
    weights_close(weights);
}

Test(exec_runner, a_small_pool_of_pages_runs_out)
{
    struct weights *weights = small_model_weights(arena, small_model_find("llama"), WEIGHT_F32, 5);
    struct runner_options options = options_of(KV_F32);
    struct cache_policy cache;
    cr_assert(cache_paged(arena, &diag, SEQUENCES, CONTEXT, options.page_tokens, 3, &cache));
    options.cache = &cache;
    struct runner *runner = runner_of(weights, &options);
    int tokens[CONTEXT] = {0};
    static const int two_pages[] = {16, 0}, one_page[] = {8, 0};
    run_chunks(runner, 0, tokens, two_pages);
    run_chunks(runner, 1, tokens, one_page);
    expect_refused(runner, &(struct step_part){1, tokens, 1, 1}, 1, "no room in the cache");
    runner_forget(runner, 0);
    run_chunks(runner, 1, tokens, two_pages);
    cr_expect(runner_context(runner, 1) == 24);
    runner_free(runner);
    weights_close(weights);
}

static void expect_model_refused(const char *yaml, const char *message)
{
    struct small_model small = {"refused", yaml};
    struct arena *own = arena_new(0);
    struct diag errors = {.arena = own};
    cr_expect(!runner_check_model(small_model_read(own, &small), &errors));
    cr_expect(strstr(diag_first_error(&errors), message) != NULL, "%s", diag_first_error(&errors));
    arena_free(own);
}

Test(exec_runner, models_that_are_not_run_are_refused_by_name)
{
    const char *head = "hidden: 64\nvocab: 100\nnorm: rms\nweight_type: bf16\nactivation_type: bf16\n";
    static const struct {
        const char *rest, *message;
    } models[] = {
        {"blocks:\n  l:\n    mlstm: {heads: 2, qk_head_dim: 16, v_head_dim: 32}\nlayers: 1\n", "mLSTM"},
        {"blocks:\n  l:\n    attention: {heads: 2, kv_heads: 2, head_dim: 32, sub_norm: true}\nlayers: 1\n",
         "a norm between attention and its output projection"},
        {"blocks:\n  l:\n    mamba1: {inner: 128, state: 16, dt_rank: 4, conv_width: 4, norm_dt_bc: true}\n"
         "layers: 1\n",
         "norms on dt, B and C"},
        {"architecture: BloomForCausalLM\nblocks:\n  l:\n    attention: {heads: 2, kv_heads: 2, head_dim: "
         "32}\nlayers: 1\n",
         "ALiBi"},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        expect_model_refused(arena_printf(arena, "%s%s", head, models[i].rest), models[i].message);
}
