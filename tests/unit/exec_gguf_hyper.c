/* What a GGUF file's metadata and its architecture's name come to. The facts are those of llama.cpp
 * (https://github.com/ggml-org/llama.cpp, src/llama-model.cpp and src/models). */
#include "exec/formats/gguf_hyper.h"
#include "exec/rope_scaling.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MOST = 32 };

static struct arena *arena;
static struct diag diag;
static struct gguf_pair pairs[PAIRS_MOST];
static struct gguf_tensor tensors[2];
static struct gguf_header header;
static struct block_spec block;
static struct model model;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    header = (struct gguf_header){.name = "a.gguf", .pairs = pairs, .tensors = tensors};
    block = (struct block_spec){.mixer = MIXER_ATTENTION, .attention = {.heads = 8, .head_dim = 64}};
    model =
        (struct model){.hidden = 512, .layers = 2, .max_context = 4096, .blocks = &block, .block_count = 1};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(exec_gguf_hyper, .init = set_up, .fini = tear_down);

static void text(const char *key, const char *value)
{
    pairs[header.pair_count++] =
        (struct gguf_pair){.key = key, .type = GGUF_STRING, .string = value, .length = strlen(value)};
}

static void number(const char *key, double value)
{
    pairs[header.pair_count++] = (struct gguf_pair){.key = key, .type = GGUF_F32, .number = value};
}

static void begin(const char *architecture)
{
    header.pair_count = 0;
    text("general.architecture", architecture);
    number(arena_printf(arena, "%s.attention.layer_norm_rms_epsilon", architecture), 1e-5);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct gguf_pair *)a)->key, ((const struct gguf_pair *)b)->key);
}

static struct hyper read(void)
{
    struct hyper hyper;
    qsort(pairs, header.pair_count, sizeof *pairs, by_key); /* as the header's reader leaves them */
    cr_assert(gguf_hyper(&hyper, &diag, &header, &model), "%s", diag_first_error(&diag));
    return hyper;
}

/* llama_model_rope_type: NORM turns neighbours, NEOX halves. */
Test(exec_gguf_hyper, pairs_that_rope_turns)
{
    static const char *const neighbours[] = {"llama",      "internlm2", "deepseek", "deepseek2", "granite",
                                             "granitemoe", "smollm3",   "chatglm",  "glm4"};
    static const char *const halves[] = {"qwen2",  "qwen2moe", "qwen3",     "qwen3moe", "phi2",
                                         "phi3",   "gemma",    "gemma2",    "gemma3",   "olmoe",
                                         "exaone", "glm4moe",  "minimax-m2"};
    for (size_t i = 0; i < sizeof neighbours / sizeof *neighbours; i++) {
        begin(neighbours[i]);
        cr_expect(read().rope_interleaved, "%s", neighbours[i]);
    }
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        begin(halves[i]);
        cr_expect_not(read().rope_interleaved, "%s", halves[i]);
    }
}

/* build_moe_ffn's norm_w: of qwen2moe, olmoe, deepseek false; deepseek2 reads expert_weights_norm. */
Test(exec_gguf_hyper, experts_whose_weights_are_normalised)
{
    static const struct {
        const char *name;
        bool normalise;
    } cases[] = {{"llama", true},     {"qwen3moe", true}, {"granitemoe", true}, {"qwen2moe", false},
                 {"deepseek", false}, {"olmoe", false},   {"deepseek2", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(cases[i].name);
        cr_expect_eq(read().route_normalise, cases[i].normalise, "%s", cases[i].name);
    }
    begin("deepseek2");
    pairs[header.pair_count++] =
        (struct gguf_pair){.key = "deepseek2.expert_weights_norm", .type = GGUF_BOOL, .number = 1};
    number("deepseek2.expert_weights_scale", 2.5);
    number("deepseek2.expert_gating_func", 2);
    struct hyper hyper = read();
    cr_expect(hyper.route_normalise && hyper.route_sigmoid);
    cr_expect_eq(hyper.route_scale, 2.5F);
}

/* llama_model_glm4_moe::load_arch_hparams: sigmoids where the file says nothing (0 too). */
Test(exec_gguf_hyper, how_experts_are_scored)
{
    begin("deepseek2");
    cr_expect_not(read().route_sigmoid);
    begin("glm4moe");
    cr_expect(read().route_sigmoid);
    number("glm4moe.expert_gating_func", 0);
    cr_expect(read().route_sigmoid);
    begin("glm4moe");
    number("glm4moe.expert_gating_func", 1);
    cr_expect_not(read().route_sigmoid);
}

/* A factor without a type is a linear scaling, also by its old key; 0 and the type none are no scaling. */
Test(exec_gguf_hyper, linear_scaling_is_the_default)
{
    static const char *const keys[] = {"llama.rope.scaling.factor", "llama.rope.scale_linear"};
    for (int i = 0; i < 2; i++) {
        begin("llama");
        number(keys[i], 4);
        struct hyper hyper = read();
        cr_expect_eq(hyper.rope_scaling, ROPE_LINEAR);
        cr_expect_eq(hyper.rope_factor, 4.0F);
    }
    begin("llama");
    number("llama.rope.scaling.factor", 0);
    cr_expect_eq(read().rope_scaling, ROPE_PLAIN);
    begin("llama");
    number("llama.rope.scaling.factor", 4);
    text("llama.rope.scaling.type", "none");
    struct hyper hyper = read();
    cr_expect_eq(hyper.rope_scaling, ROPE_PLAIN);
    cr_expect_eq(hyper.rope_theta, 10000.0F, "where there is no rope.freq_base");
}

/* n_ctx_orig_yarn is the context where the file does not say; cosines and sines are multiplied by
 * 1 + 0.1 ln(factor). */
Test(exec_gguf_hyper, yarn_of_the_whole_context)
{
    double frequencies[32];
    begin("qwen2");
    text("qwen2.rope.scaling.type", "yarn");
    number("qwen2.rope.scaling.factor", 4);
    struct hyper hyper = read();
    cr_expect_eq(hyper.rope_scaling, ROPE_YARN);
    cr_expect_eq(hyper.rope_original_context, 4096.0F);
    cr_expect_float_eq(rope_frequencies(&hyper, 64, false, NULL, frequencies), 1 + 0.1 * log(4), 1e-6);
    cr_expect_float_eq(frequencies[0], 1, 1e-12, "turns often");
    cr_expect_float_eq(frequencies[31], pow(10000, -62.0 / 64) / 4, 1e-12, "turns less than once");
}

/* Phi-3's longrope: frequencies are divided by tensors, cosines and sines multiplied by attn_factor. */
Test(exec_gguf_hyper, longrope_is_known_by_its_tensors)
{
    double frequencies[32];
    float factors[32];
    begin("phi3");
    tensors[0] = (struct gguf_tensor){.name = "rope_factors_short.weight"};
    header.tensor_count = 1;
    number("phi3.rope.scaling.attn_factor", 1.19);
    number("phi3.rope.scaling.original_context_length", 2048);
    struct hyper hyper = read();
    for (int i = 0; i < 32; i++)
        factors[i] = (float)(i + 1);
    cr_expect_float_eq(rope_frequencies(&hyper, 64, false, factors, frequencies), 1.19, 1e-6);
    cr_expect_float_eq(frequencies[3], pow(10000, -6.0 / 64) / 4, 1e-12);
    cr_expect_eq(hyper.rope_original_context, 2048.0F);
}

/* Gemma: embeddings times sqrt(hidden). Gemma 2: softcaps 50 and 30 unless the file says otherwise; scores by
 * hidden / heads in its 27B (46 layers), else by the heads' size. Gemma 3: layers with a window have base
 * 10000 unless rope.freq_base_swa. */
Test(exec_gguf_hyper, gemmas)
{
    begin("gemma2");
    struct hyper hyper = read();
    cr_expect_float_eq(hyper.embedding_scale, sqrtf(512), 1e-5F);
    cr_expect_eq(hyper.attention_softcap, 50.0F);
    cr_expect_eq(hyper.logit_softcap, 30.0F);
    cr_expect_eq(hyper.attention_scale, 0.0F, "1 / sqrt(head size)");
    cr_expect_eq(hyper.activation, ACTIVATION_GELU_TANH);
    number("gemma2.final_logit_softcapping", 20);
    model.layers = 46;
    hyper = read();
    cr_expect_eq(hyper.logit_softcap, 20.0F);
    cr_expect_float_eq(hyper.attention_scale, 1 / sqrtf(512.0F / 8), 1e-7F);
    model.layers = 26;
    begin("gemma3");
    number("gemma3.rope.freq_base", 1e6);
    hyper = read();
    cr_expect_eq(hyper.attention_softcap, 0.0F);
    cr_expect_eq(hyper.rope_theta, 1e6F);
    cr_expect_eq(hyper.rope_theta_local, 10000.0F);
    number("gemma3.rope.freq_base_swa", 20000);
    cr_expect_eq(read().rope_theta_local, 20000.0F);
}

/* Logits are divided by theirs; 0 and no key are no scale. */
Test(exec_gguf_hyper, multipliers_of_granite)
{
    begin("granite");
    number("granite.embedding_scale", 12);
    number("granite.residual_scale", 0.22);
    number("granite.logit_scale", 8);
    number("granite.attention.scale", 0.015625);
    struct hyper hyper = read();
    cr_expect_eq(hyper.embedding_scale, 12.0F);
    cr_expect_eq(hyper.residual_scale, 0.22F);
    cr_expect_eq(hyper.logit_scale, 0.125F);
    cr_expect_eq(hyper.attention_scale, 0.015625F);
    begin("granite");
    hyper = read();
    cr_expect_eq(hyper.embedding_scale, 1.0F);
    cr_expect_eq(hyper.residual_scale, 1.0F);
    cr_expect_eq(hyper.logit_scale, 1.0F);
}

/* Command R's logits are multiplied by it. */
Test(exec_gguf_hyper, logit_scale_of_command_r)
{
    model.norm = NORM_LAYER;
    begin("command-r");
    number("command-r.attention.layer_norm_epsilon", 1e-5);
    cr_expect_eq(read().logit_scale, 1.0F);
    number("command-r.logit_scale", 0.0625);
    cr_expect_eq(read().logit_scale, 0.0625F);
}

/* kq_scale and attn_factor of src/models/deepseek2.cpp: yarn_log_multiplier is 0.1 mscale_all_dim. */
Test(exec_gguf_hyper, deepseek_scales_scores)
{
    block = (struct block_spec){.mixer = MIXER_MLA,
                                .mla = {.heads = 16, .qk_nope_head_dim = 128, .qk_rope_head_dim = 64}};
    begin("deepseek2"); /* DeepSeek-V2-Lite */
    text("deepseek2.rope.scaling.type", "yarn");
    number("deepseek2.rope.scaling.factor", 40);
    number("deepseek2.rope.scaling.original_context_length", 4096);
    number("deepseek2.rope.scaling.yarn_log_multiplier", 0.0707);
    struct hyper hyper = read();
    double scale = 1 + 0.0707 * log(40);
    cr_expect_float_eq(hyper.attention_scale, (float)(scale * scale / sqrt(192)), 1e-7F);
    cr_expect_eq(hyper.rope_magnitude, 1.0F);
}
