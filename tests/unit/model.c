#include "spec/model.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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

TestSuite(model, .init = set_up, .fini = tear_down);

static bool read_tree(const struct yaml_node *root, const char *id, struct model *model)
{
    struct reader reader = {arena, &diag};
    return root != NULL && model_read(&reader, root, id, model);
}

static bool read_text(const char *text, struct model *model)
{
    return read_tree(yaml_parse(arena, &diag, "test.yaml", text, strlen(text)), "test", model);
}

static struct model load_text(const char *text)
{
    struct model model = {0};
    cr_assert(read_text(text, &model), "%s", diag_first_error(&diag));
    return model;
}

static struct model load(const char *id)
{
    struct model model = {0};
    const char *path = arena_printf(arena, "models/%s.yaml", id);
    cr_assert(read_tree(yaml_parse_file(arena, &diag, path), id, &model), "%s", diag_first_error(&diag));
    return model;
}

/* A model of one block around `block`, whose keys start at line 5. */
static struct model load_block(const char *block)
{
    return load_text(
        arena_printf(arena, "name: t\nhidden: 64\nvocab: 100\nblocks:\n  layer:\n%s\nlayers: 1\n", block));
}

static void expect_error(const char *text, const char *line)
{
    struct model model;
    diag = (struct diag){.arena = arena};
    cr_expect_not(read_text(text, &model), "accepted, expected %s", line);
    cr_expect_str_eq(diag_first_error(&diag), line);
}

#define HEAD "name: t\nhidden: 64\nvocab: 100\n" /* three lines */
#define PLAIN                                                                                                \
    "blocks: {layer: {attention: {heads: 4, kv_heads: 2, head_dim: 16}, dense: {intermediate: 8}}}\n"        \
    "layers: 2\n" /* two more */

static void expect_block_error(const char *block, const char *line)
{
    expect_error(arena_printf(arena, HEAD "blocks:\n  a: %s\nlayers: 1\n", block), line);
}

/* Counts made apart from this program, from each checkpoint's own tensors or its published total. */
static const struct known {
    const char *id;
    int layers;
    double published; /* in the scope that the file names */
    double active;
} known[] = {
    {"bitnet-b1.58-2b-4t", 30, 2412820480, 2412820480},
    {"deepseek-v2-lite", 27, 15706484224, 2661150208},
    {"deepseek-v3", 61, 684489845504, 37552297472},
    {"falcon-7b", 32, 6921720704, 6921720704},
    {"gemma-3-27b", 62, 27432406640, 27009346304},
    {"gpt-oss-120b", 36, 116829156672, 5711982912},
    {"gpt3-175b", 96, 174.6e9, 174604259328},
    {"jamba-v0.1", 32, 51570323328, 12110311296},
    {"llada-8b", 32, 8015581184, 8015581184},
    {"llama-2-13b", 40, 13015864320, 13015864320},
    {"llama-2-70b", 80, 68976648192, 68976648192},
    {"llama-2-7b", 32, 6738415616, 6738415616},
    {"llama-3-70b", 80, 70553706496, 70553706496},
    {"llama-3-8b", 32, 8030261248, 8030261248},
    {"llama-3.1-70b", 80, 70553706496, 70553706496},
    {"llama-3.1-8b", 32, 8030261248, 8030261248},
    {"llama-3.2-1b", 16, 1235814400, 1235814400},
    {"llama-7b", 32, 6738415616, 6738415616},
    {"llava-1.5-7b", 32, 7063427072, 6738939904},
    {"mamba-2.8b", 64, 2768345600, 2768345600},
    {"mistral-7b", 32, 7241732096, 7241732096},
    {"mixtral-8x22b", 56, 140620634112, 39152031744},
    {"mixtral-8x7b", 32, 46702792704, 12879925248},
    {"nemotron-h-8b", 52, 8100852736, 8100852736},
    {"opt-6.7b", 32, 6658473984, 6658473984},
    {"qwen2.5-7b", 28, 7615616512, 7615616512},
    {"qwen3-30b-a3b", 48, 30532122624, 3353032704},
    {"qwen3-8b", 36, 8190735360, 8190735360},
    {"qwen3-next-80b-a3b", 48, 81324862720, 3874929408},
    {"tinyllama-1.1b", 22, 1100048384, 1100048384},
    {"xlstm-7b", 32, 6865424896, 6865424896},
};

/* The count in the scope of the published one. */
static double in_scope(const struct model *model, const struct parameter_count *count)
{
    return count->text + (model->published.includes_mtp ? count->mtp : 0) +
           (model->published.includes_vision ? count->vision : 0);
}

Test(model, counts_agree_with_published)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct model model = load(known[i].id);
        struct parameter_count count;
        model_parameters(&model, &count);
        double tolerance = model.published.rounded ? 0.005 * known[i].published : 0;
        cr_expect_float_eq(in_scope(&model, &count), known[i].published, tolerance, "%s: %.0f", known[i].id,
                           in_scope(&model, &count));
        cr_expect_eq(model.published.parameters, known[i].published, "%s", known[i].id);
        cr_expect_eq(count.active, known[i].active, "%s: active %.0f", known[i].id, count.active);
        cr_expect_eq(model.layers, known[i].layers, "%s", known[i].id);
    }
}

/* Half a unit of the second digit of a figure of two digits, 0.5% of any other. */
static double published_slack(const struct published *published)
{
    double figure = published->parameters;
    return published->two_digits ? 0.5 * pow(10, floor(log10(figure)) - 1) : 0.005 * figure;
}

/* Every file of the catalogue that stands alone, those without a row above included;
 * tests/unit/catalogue_models.c reads those that extend another, too. */
Test(model, files_load_and_count)
{
    glob_t files;
    cr_assert_eq(glob("models/*.yaml", 0, NULL, &files), 0, "run from the top of the repository");
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct model model;
        const struct yaml_node *root = yaml_parse_file(arena, &diag, files.gl_pathv[i]);
        if (root != NULL && yaml_get(root, "extends") != NULL)
            continue;
        bool ok = read_tree(root, files.gl_pathv[i], &model);
        cr_assert(ok, "%s", diag_first_error(&diag));
        struct parameter_count count;
        model_parameters(&model, &count);
        double published = model.published.parameters;
        cr_expect(published > 0, "%s: no published count", files.gl_pathv[i]);
        cr_expect(fabs(in_scope(&model, &count) - published) <= published_slack(&model.published),
                  "%s: %.0f, published %.0f", files.gl_pathv[i], in_scope(&model, &count), published);
        cr_expect(model.source_count >= 2, "%s: no sources", files.gl_pathv[i]);
        cr_expect(model.weight_type.format != FORMAT_NONE && model.activation_type.format != FORMAT_NONE,
                  "%s", files.gl_pathv[i]);
    }
    globfree(&files);
}

Test(model, parts_sum_to_the_whole)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct model model = load(known[i].id);
        struct parameter_count count;
        model_parameters(&model, &count);
        double parts = count.embedding + count.head + count.mixers + count.ffns + count.experts + count.norms;
        cr_expect_eq(parts, count.text, "%s", known[i].id);
        double blocks = 0, experts = 0;
        for (size_t b = 0; b < model.block_count; b++) {
            const struct block_spec *block = &model.blocks[b];
            blocks += model.block_layers[b] *
                      (block_mixer_parameters(&model, block) + block_ffn_parameters(&model, block));
            experts += model.block_layers[b] * block->moe.experts * block_expert_parameters(&model, block);
        }
        double final_norm = model.hidden * (model.norm_bias ? 2.0 : 1.0);
        cr_expect_eq(blocks, count.mixers + count.ffns + count.norms - final_norm, "%s", known[i].id);
        cr_expect_eq(experts, count.experts, "%s", known[i].id);
    }
}

/* 331,196,416 parameters: a 512-wide embedding projected in and out, no final norm. */
Test(model, narrow_embedding)
{
    struct model model =
        load_text("name: OPT 350M\nhidden: 1024\nembedding_dim: 512\nvocab: 50272\n"
                  "max_context: 2048\nlearned_positions: 2050\ntied_embeddings: true\n"
                  "norm: layer\nnorm_bias: true\nno_final_norm: true\n"
                  "blocks: {layer: {attention: {heads: 16, kv_heads: 16, head_dim: 64, "
                  "qkv_bias: true, o_bias: true}, dense: {intermediate: 4096, bias: true}}}\n"
                  "layers: 24\n");
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect_eq(count.total, 331196416, "%.0f", count.total);
}

/* 176,247,271,424 parameters: a norm after the embedding. */
Test(model, embedding_norm)
{
    struct model model =
        load_text("name: BLOOM\nhidden: 14336\nvocab: 250880\nmax_context: 2048\n"
                  "tied_embeddings: true\nnorm: layer\nnorm_bias: true\nembedding_norm: true\n"
                  "blocks: {layer: {attention: {heads: 112, kv_heads: 112, head_dim: 128, "
                  "qkv_bias: true, o_bias: true}, dense: {intermediate: 57344, bias: true}}}\n"
                  "layers: 70\n");
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect_eq(count.total, 176247271424, "%.0f", count.total);
}

/* 6,050,882,784 parameters: a head with a bias, one norm for both branches. */
Test(model, head_bias)
{
    struct model model =
        load_text("name: GPT-J\nhidden: 4096\nvocab: 50400\nmax_context: 2048\n"
                  "norm: layer\nnorm_bias: true\nhead_bias: true\n"
                  "blocks: {layer: {attention: {heads: 16, kv_heads: 16, head_dim: 256, "
                  "rotary_dim: 64, parallel: true}, dense: {intermediate: 16384, bias: true}, "
                  "norms: 1}}\nlayers: 28\n");
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect_eq(count.total, 6050882784, "%.0f", count.total);
}

Test(model, kinds_follow_from_keys)
{
    static const struct {
        const char *block;
        int mixer, ffn;
    } cases[] = {
        {"    attention: {heads: 4, kv_heads: 2, head_dim: 16}", MIXER_ATTENTION, FFN_NONE},
        {"    mla: {heads: 4, kv_lora_rank: 8, qk_nope_head_dim: 8, qk_rope_head_dim: 4, v_head_dim: 8}",
         MIXER_MLA, FFN_NONE},
        {"    mamba1: {inner: 128, state: 16, dt_rank: 4, conv_width: 4}", MIXER_MAMBA1, FFN_NONE},
        {"    mamba2: {inner: 128, state: 16, heads: 8, groups: 2, conv_width: 4}", MIXER_MAMBA2, FFN_NONE},
        {"    gated_deltanet: {key_heads: 2, value_heads: 4, key_head_dim: 8, value_head_dim: 8, conv_width: "
         "4}",
         MIXER_GATED_DELTANET, FFN_NONE},
        {"    mlstm: {heads: 4, qk_head_dim: 8, v_head_dim: 16}", MIXER_MLSTM, FFN_NONE},
        {"    dense: {intermediate: 8}", MIXER_NONE, FFN_DENSE},
        {"    moe: {experts: 4, top_k: 4, intermediate: 8}", MIXER_NONE, FFN_MOE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model model = load_block(cases[i].block);
        cr_expect_eq(model.blocks[0].mixer, cases[i].mixer, "%s", cases[i].block);
        cr_expect_eq(model.blocks[0].ffn, cases[i].ffn, "%s", cases[i].block);
    }
}

Test(model, left_out_means_default)
{
    struct model model = load_block("    attention: {heads: 4, kv_heads: 2, head_dim: 16}");
    cr_expect_str_eq(model.weight_type.name, "bf16");
    cr_expect_str_eq(model.activation_type.name, "bf16");
    cr_expect_eq(model.expert_type.format, FORMAT_NONE);
    cr_expect_eq(model.norm, NORM_RMS);
    cr_expect_eq(model.generation, GENERATION_AUTOREGRESSIVE);
    cr_expect_null(model.vision);
    cr_expect_null(model.mtp);
}

Test(model, like_merges_and_null_takes_away)
{
    struct model model = load_text(HEAD "blocks:\n"
                                        "  third: {like: second, attention: {window: 0}}\n"
                                        "  first:\n"
                                        "    attention: {heads: 4, kv_heads: 2, head_dim: 16, window: 32}\n"
                                        "    dense: {intermediate: 8}\n"
                                        "  second:\n"
                                        "    like: first\n"
                                        "    dense: null\n"
                                        "    moe: {experts: 4, top_k: 2, intermediate: 8}\n"
                                        "layers: {blocks: [first, second, third]}\n");
    const struct block_spec *third = &model.blocks[0], *second = &model.blocks[2];
    cr_expect_str_eq(third->name, "third");
    cr_expect_eq(second->ffn, FFN_MOE);
    cr_expect_eq(second->attention.window, 32);
    cr_expect_eq(third->ffn, FFN_MOE);
    cr_expect_eq(third->moe.experts, 4);
    cr_expect_eq(third->attention.heads, 4);
    cr_expect_eq(third->attention.window, 0);
    cr_expect_eq(third->where.line, 5);
}

/* letters: of the blocks, in the file's order. */
static void expect_pattern(const char *id, const char *letters, const char *pattern)
{
    struct model model = load(id);
    cr_assert_eq(model.block_count, strlen(letters), "%s", id);
    cr_assert_eq((size_t)model.layers, strlen(pattern), "%s", id);
    for (int i = 0; i < model.layers; i++)
        cr_expect_eq(letters[model.pattern[i]], pattern[i], "%s: layer %d", id, i);
}

Test(model, patterns)
{
    expect_pattern("gemma-3-27b", "LG", "LLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLLLLLGLL");
    /* hybrid_override_pattern of its config.json */
    expect_pattern("nemotron-h-8b", "M-*", "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-");
    expect_pattern("gpt-oss-120b", "LG", "LGLGLGLGLGLGLGLGLGLGLGLGLGLGLGLGLGLG");
    expect_pattern("deepseek-v3", "DM", "DDDMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM");
    expect_pattern("qwen3-next-80b-a3b", "LF", "LLLFLLLFLLLFLLLFLLLFLLLFLLLFLLLFLLLFLLLFLLLFLLLF");
    expect_pattern("jamba-v0.1", "MEA", "MEMEAEMEMEMEAEMEMEMEAEMEMEMEAEME");
}

Test(model, layers_of_each_kind)
{
    struct model gemma = load("gemma-3-27b"), nemotron = load("nemotron-h-8b"), jamba = load("jamba-v0.1");
    cr_expect_eq(gemma.block_layers[0], 52);
    cr_expect_eq(gemma.block_layers[1], 10);
    cr_expect_eq(nemotron.block_layers[0], 24);
    cr_expect_eq(nemotron.block_layers[1], 24);
    cr_expect_eq(nemotron.block_layers[2], 4);
    cr_expect_eq(jamba.block_layers[0], 12);
    cr_expect_eq(jamba.block_layers[1], 16);
    cr_expect_eq(jamba.block_layers[2], 4);
    cr_expect_eq(jamba.pattern[4], 2);
    cr_expect_eq(jamba.pattern[31], 1);
}

Test(model, what_the_files_say)
{
    struct model llada = load("llada-8b"), mistral = load("mistral-7b"), bitnet = load("bitnet-b1.58-2b-4t");
    cr_expect_eq(llada.generation, GENERATION_MASKED_DIFFUSION);
    cr_expect_eq(llada.diffusion_block_tokens, 32);
    cr_expect_eq(llada.diffusion_steps_per_block, 32);
    cr_expect_eq(mistral.blocks[0].attention.window, 4096);
    cr_expect_str_eq(bitnet.weight_type.name, "ternary");
    cr_expect_str_eq(bitnet.activation_type.name, "int8");
    cr_expect_str_eq(load("gpt-oss-120b").expert_type.name, "mxfp4");
    cr_expect_str_eq(load("deepseek-v3").weight_type.name, "fp8-block");
    cr_expect_eq(load("llava-1.5-7b").vision->tokens_per_image, 576);
}

Test(model, attention_errors)
{
    expect_block_error(
        "{attention: {heads: 4, kv_heads: 3, head_dim: 16}}",
        "test.yaml:5:39: error: blocks.a.attention.kv_heads: found 3, expected a divisor of heads (4)");
    expect_block_error(
        "{attention: {heads: 4, kv_heads: 2, head_dim: 16, rotary_dim: 32}}",
        "test.yaml:5:68: error: blocks.a.attention.rotary_dim: found 32, expected at most head_dim (16)");
    expect_block_error(
        "{attention: {heads: 4, kv_heads: 2, head_dim: 16, rotary_dim: 7}}",
        "test.yaml:5:68: error: blocks.a.attention.rotary_dim: found 7, expected an even number: RoPE "
        "turns pairs");
    expect_block_error("{attention: {heads: 4, kv_heads: 2, head_dim: 16, qk_norm_all_heads: true}}",
                       "test.yaml:5:75: error: blocks.a.attention.qk_norm_all_heads: there is no qk_norm");
    expect_block_error(
        "{attention: {heads: 4, kv_heads: 2, head_dim: 16, parallel: true}}",
        "test.yaml:5:66: error: blocks.a.attention.parallel: the block has no feed-forward to run in "
        "parallel with");
}

Test(model, other_mixer_errors)
{
    expect_block_error(
        "{mla: {heads: 4, kv_lora_rank: 8, qk_nope_head_dim: 8, qk_rope_head_dim: 3, v_head_dim: 8}}",
        "test.yaml:5:79: error: blocks.a.mla.qk_rope_head_dim: found 3, expected an even number: RoPE "
        "turns pairs");
    expect_block_error(
        "{mla: {heads: 4, kv_lora_rank: 8, qk_nope_head_dim: 8, qk_rope_head_dim: 4, v_head_dim: 8, "
        "indexer: {heads: 2, head_dim: 16, top_k: 64}}}",
        "test.yaml:5:106: error: blocks.a.mla.indexer: its queries come from the compressed query; give "
        "q_lora_rank");
    expect_block_error(
        "{mla: {heads: 4, q_lora_rank: 8, kv_lora_rank: 8, qk_nope_head_dim: 8, qk_rope_head_dim: 4, "
        "v_head_dim: 8, indexer: {heads: 2, head_dim: 2, top_k: 64}}}",
        "test.yaml:5:143: error: blocks.a.mla.indexer.head_dim: found 2, expected at least qk_rope_head_dim "
        "(4): RoPE turns that part of it");
    expect_block_error(
        "{mla: {heads: 4, q_lora_rank: 8, kv_lora_rank: 8, qk_nope_head_dim: 8, qk_rope_head_dim: 4, "
        "v_head_dim: 8, indexer: {heads: 2, head_dim: 4, topk: 64}}}",
        "test.yaml:5:146: error: unknown key \"blocks.a.mla.indexer.topk\"; did you mean \"top_k\"?");
    expect_block_error(
        "{mamba2: {inner: 100, state: 16, heads: 8, groups: 2, conv_width: 4}}",
        "test.yaml:5:46: error: blocks.a.mamba2.heads: found 8, expected a divisor of inner (100)");
    expect_block_error(
        "{mamba2: {inner: 128, state: 16, heads: 8, groups: 3, conv_width: 4}}",
        "test.yaml:5:57: error: blocks.a.mamba2.groups: found 3, expected a divisor of heads (8)");
    expect_block_error(
        "{gated_deltanet: {key_heads: 3, value_heads: 4, key_head_dim: 8, value_head_dim: 8, conv_width: 4}}",
        "test.yaml:5:35: error: blocks.a.gated_deltanet.key_heads: found 3, expected a divisor of "
        "value_heads (4)");
}

Test(model, moe_errors)
{
    expect_block_error("{moe: {experts: 4, top_k: 5, intermediate: 8}}",
                       "test.yaml:5:32: error: blocks.a.moe.top_k: found 5, expected at most experts (4)");
    expect_block_error("{moe: {experts: 4, top_k: 2, intermediate: 8, shared_gate: yes}}",
                       "test.yaml:5:65: error: blocks.a.moe.shared_gate: there are no shared experts; give "
                       "shared_intermediate");
    expect_block_error("{moe: {experts: 4, top_k: 2, intermediate: 8, latent: 65}}",
                       "test.yaml:5:60: error: blocks.a.moe.latent: found 65, expected at most hidden (64)");
    expect_block_error(
        "{moe: {experts: 4, top_k: 2, intermediate: 8, latent: -1}}",
        "test.yaml:5:60: error: blocks.a.moe.latent: found \"-1\", which is negative, expected a "
        "whole number such as 32");
}

/* Experts [16 x 8] and [8 x 16], the latent's projections [64 x 16] and [16 x 64], the router [64 x 4], the
 * shared expert [64 x 32] and back; then all of the routed experts' and the latent's with biases. */
Test(model, experts_of_a_latent)
{
    static const char *const block =
        "    moe: {experts: 4, top_k: 2, intermediate: 8, shared_intermediate: 32, latent: 16%s}";
    struct model model = load_block(arena_printf(arena, block, ""));
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect_eq(block_expert_parameters(&model, &model.blocks[0]), 2 * 16 * 8);
    cr_expect_eq(count.experts, 4 * 2 * 16 * 8);
    cr_expect_eq(count.ffns, 2 * 64 * 16 + 64 * 4 + 2 * 64 * 32);
    cr_expect_eq(count.text - count.active, 2 * 2 * 16 * 8);
    model = load_block(arena_printf(arena, block, ", bias: true"));
    model_parameters(&model, &count);
    cr_expect_eq(count.experts, 4 * (2 * 16 * 8 + 8 + 16));
    cr_expect_eq(count.ffns, 2 * 64 * 16 + 16 + 64 + 64 * 4 + 2 * 64 * 32);
}

Test(model, block_errors)
{
    expect_block_error("{norms: 2}",
                       "test.yaml:5:6: error: blocks.a: found neither a mixer nor a feed-forward, "
                       "expected at least one");
    expect_block_error(
        "{dense: {intermediate: 8}, moe: {experts: 4, top_k: 2, intermediate: 8}}",
        "test.yaml:5:6: error: blocks.a: found dense and moe, expected at most one feed-forward");
    expect_block_error(
        "{attention: {heads: 1, kv_heads: 1, head_dim: 2}, mlstm: {heads: 1, qk_head_dim: 1, "
        "v_head_dim: 1}}",
        "test.yaml:5:6: error: blocks.a: found 2 mixers, expected at most one of attention, mla, "
        "mamba1, mamba2, gated_deltanet, mlstm");
    expect_error(HEAD "blocks: {}\nlayers: 1\n",
                 "test.yaml:4:9: error: blocks: expected a map of names to blocks");
    expect_error(HEAD "blocks: [a]\nlayers: 1\n",
                 "test.yaml:4:9: error: blocks: expected a map of names to blocks");
}

Test(model, like_errors)
{
    expect_error(HEAD "blocks:\n  local: {dense: {intermediate: 8}}\n  b: {like: locel}\nlayers: 1\n",
                 "test.yaml:6:13: error: blocks.b.like: unknown block \"locel\", did you mean \"local\"?");
    expect_error(HEAD "blocks:\n  a: {like: b}\n  b: {like: a}\nlayers: 1\n",
                 "test.yaml:5:13: error: blocks.a.like: more than 8 steps, or a circle");
    expect_error(HEAD "blocks:\n  a: {like: a}\nlayers: 1\n",
                 "test.yaml:5:13: error: blocks.a.like: more than 8 steps, or a circle");
}

#define TWO_BLOCKS "blocks:\n  local: {dense: {intermediate: 8}}\n  global: {dense: {intermediate: 16}}\n"

Test(model, layer_errors)
{
    expect_error(HEAD TWO_BLOCKS "layers:\n  - {block: global}\n  - {blocks: [local, locale], times: 2}\n",
                 "test.yaml:9:22: error: layers: unknown block \"locale\", did you mean \"local\"?");
    expect_error(HEAD TWO_BLOCKS "layers: {block: xyz}\n",
                 "test.yaml:7:17: error: layers: unknown block \"xyz\"");
    expect_error(
        HEAD TWO_BLOCKS "layers: 4\n",
        "test.yaml:7:9: error: layers: a bare number needs a model with one block, found 2; write runs "
        "such as {block: local, times: 4}");
    expect_error(HEAD TWO_BLOCKS "layers: {block: local}\n",
                 "test.yaml:6:11: error: blocks.global: no layer uses it");
    expect_error(HEAD TWO_BLOCKS "layers: {blocks: [local, global], times: 501}\n",
                 "test.yaml:7:9: error: layers: more than 1000 in all");
    expect_error(HEAD TWO_BLOCKS "layers: {block: local, blocks: [global]}\n",
                 "test.yaml:7:9: error: layers: found block and blocks, expected one of them");
    expect_error(HEAD TWO_BLOCKS "layers: {times: 2}\n",
                 "test.yaml:7:9: error: layers: a run without blocks; give block or blocks");
    expect_error(HEAD TWO_BLOCKS "layers: []\n",
                 "test.yaml:7:9: error: layers: found 0 runs, expected 1 to 1000");
    expect_error(
        HEAD TWO_BLOCKS "layers: 1001\n",
        "test.yaml:7:9: error: layers: found \"1001\", expected a number from 1 to 1000 or runs such as "
        "{block: name, times: 32}");
    expect_error(
        HEAD TWO_BLOCKS "layers: many\n",
        "test.yaml:7:9: error: layers: found \"many\", expected a number from 1 to 1000 or runs such as "
        "{block: name, times: 32}");
}

Test(model, position_and_norm_errors)
{
    expect_error(HEAD PLAIN "max_context: 4096\nlearned_positions: 2048\n",
                 "test.yaml:6:14: error: max_context: found 4096, expected 1 to learned_positions (2048)");
    expect_error(HEAD PLAIN "norm_bias: true\n",
                 "test.yaml:6:12: error: norm_bias: an RMS norm has none; norm: layer has");
}

Test(model, generation_errors)
{
    expect_error(
        HEAD PLAIN "generation: masked-diffusion\n",
        "test.yaml:6:13: error: diffusion_block_tokens: missing, expected the tokens of a block, such as 32");
    expect_error(HEAD PLAIN "diffusion_block_tokens: 32\n",
                 "test.yaml:6:25: error: diffusion_block_tokens: only for generation: masked-diffusion");
    expect_error(HEAD PLAIN "generation: masked-diffusion\ndiffusion_block_tokens: 32\n"
                            "diffusion_steps_per_block: 33\n",
                 "test.yaml:8:28: error: diffusion_steps_per_block: found 33, expected at most "
                 "diffusion_block_tokens (32): a step unmasks a token at least");
}

#define VISION "vision: {layers: 2, hidden: 64, heads: 4, intermediate: 8, patch_in: 12, tokens_per_image: 4"

Test(model, part_errors)
{
    expect_error(HEAD PLAIN VISION ", layers_used: 3}\n",
                 "test.yaml:6:108: error: vision.layers_used: found 3, expected at most layers (2)");
    expect_error(HEAD PLAIN "vision: {layers: 2, hidden: 64, heads: 5, intermediate: 8, patch_in: 12, "
                            "tokens_per_image: 4}\n",
                 "test.yaml:6:40: error: vision.heads: found 5, expected a divisor of hidden (64)");
    expect_error(HEAD PLAIN "mtp: {layers: 1, block: layers}\n",
                 "test.yaml:6:25: error: mtp.block: unknown block \"layers\", did you mean \"layer\"?");
    expect_error(HEAD PLAIN "published: {parameters: 5, includes_mtp: true}\n",
                 "test.yaml:6:42: error: published.includes_mtp: the model has no mtp");
    expect_error(HEAD PLAIN "published: {parameters: 5, includes_vision: true}\n",
                 "test.yaml:6:45: error: published.includes_vision: the model has no vision");
    expect_error(
        HEAD PLAIN "published: {parameters: 5, active_parameters: 6}\n",
        "test.yaml:6:47: error: published.active_parameters: found 6, expected at most parameters (5)");
}

/* A block that only the multi-token-prediction layers are of is used. */
Test(model, mtp_block_needs_no_layer)
{
    struct model model = load_text(HEAD TWO_BLOCKS "layers: {block: local, times: 3}\n"
                                                   "mtp: {layers: 1, block: global}\n");
    struct parameter_count count;
    model_parameters(&model, &count);
    /* up and down [64 x 16], a norm, a projection [128 x 64], three norms */
    cr_expect_eq(count.mtp, 2 * 64 * 16 + 64 + 128 * 64 + 3 * 64, "%.0f", count.mtp);
}

/* All problems of a file are told, not only the first. */
Test(model, several_errors)
{
    struct model model;
    cr_expect_not(
        read_text(HEAD PLAIN "norm_bias: true\nmtp: {layers: 1, block: x}\nlearned_positions: 8\n", &model));
    cr_expect_eq(diag.errors, 3);
}

/* The largest dimensions that are let through keep every count finite. */
Test(model, largest_dimensions_stay_finite)
{
    struct model model =
        load_text("name: t\nhidden: 1000000\nvocab: 100000000\nblocks:\n"
                  "  layer:\n"
                  "    attention: {heads: 100000, kv_heads: 100000, head_dim: 10000000}\n"
                  "    moe: {experts: 100000, top_k: 100000, intermediate: 10000000, gated: true}\n"
                  "layers: 1000\n");
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect(isfinite(count.total) && count.total > 0);
}

Test(model, absurd_dimensions_are_refused)
{
    static const char *const blocks[] = {
        "{attention: {heads: 0, kv_heads: 1, head_dim: 16}}",
        "{attention: {heads: -4, kv_heads: 1, head_dim: 16}}",
        "{attention: {heads: 4, kv_heads: 0, head_dim: 16}}",
        "{attention: {heads: 4, kv_heads: 4, head_dim: 2147483648}}",
        "{attention: {heads: nan, kv_heads: 4, head_dim: 8}}",
        "{dense: {intermediate: 1e99}}",
        "{moe: {experts: 999999999, top_k: 1, intermediate: 8}}",
        "{mamba2: {inner: 128, state: 16, heads: 0, groups: 0, conv_width: 4}}",
        "{dense: 8}",
        "8",
        "null",
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        struct model model;
        diag = (struct diag){.arena = arena};
        cr_expect_not(read_text(arena_printf(arena, HEAD "blocks: {a: %s}\nlayers: 1\n", blocks[i]), &model),
                      "%s", blocks[i]);
        cr_expect(diag.errors > 0, "%s", blocks[i]);
    }
}

/* ---- encoders ---- */

#define ENCODER "e: {attention: {heads: 4, kv_heads: 4, head_dim: 32}, dense: {intermediate: 8}}"
#define DECODER "d: {like: e, cross_attention: {heads: 4, head_dim: 32}}"
#define STACKS  "encoder_layers: {block: e, times: 3}\nlayers: {block: d, times: 2}\n"

Test(model, an_encoder_comes_before_the_decoder)
{
    struct model model = load_text(HEAD "tied_embeddings: true\nrelative_buckets: 16\nblocks: {" DECODER
                                        ", " ENCODER "}\n" STACKS);
    struct parameter_count count;
    model_parameters(&model, &count);
    cr_expect_eq(model.encoder_layers, 3);
    cr_expect_eq(model.layers, 5);
    cr_expect(model_encodes(&model, 1) && !model_encodes(&model, 0) && !model_encodes(&model, -1));
    for (int i = 0; i < 5; i++)
        cr_expect_eq(model.pattern[i], i < 3 ? 1 : 0);
    cr_expect_eq(count.embedding, 100 * 64 + 2 * 16 * 4);
    cr_expect_eq(count.mixers, 3 * 4 * 64 * 128 + 2 * 8 * 64 * 128);
    cr_expect_eq(count.norms, (3 * 2 + 2 * 3 + 2) * 64);
    cr_expect_eq(count.total, count.embedding + count.mixers + count.norms + 5 * 2 * 64 * 8);
    cr_expect_eq(block_mixer_parameters(&model, &model.blocks[0]), 8 * 64 * 128 + 2 * 64);
    cr_expect_eq(block_ffn_parameters(&model, &model.blocks[0]), 2 * 64 * 8 + 64);
    cr_expect_eq(model_context_needed(&model, 300, 200), 300);
    cr_expect_eq(model_context_needed(&model, 300, 400), 400);
}

Test(model, one_table_of_biases_without_an_encoder)
{
    struct model model = load_text(HEAD "relative_buckets: 16\n" PLAIN);
    cr_expect_eq(model_relative_values(&model), 16 * 4);
    cr_expect_eq(model_context_needed(&model, 300, 200), 500);
}

Test(model, biases_of_cross_attention)
{
    struct model model = load_text(HEAD "blocks: {" ENCODER ", d: {like: e, cross_attention: "
                                        "{heads: 4, head_dim: 32, qkv_bias: true, o_bias: true}}}\n" STACKS);
    cr_expect_eq(block_mixer_parameters(&model, &model.blocks[1]), 8 * 64 * 128 + 3 * 128 + 64 + 2 * 64);
}

static void expect_stack_error(const char *blocks, const char *rest, const char *line)
{
    expect_error(arena_printf(arena, HEAD "blocks:\n%s%s", blocks, rest), line);
}

Test(model, encoders_that_do_not_hold_together)
{
    static const char *const both = "  " ENCODER "\n  " DECODER "\n"; /* lines 5 and 6 */
    expect_stack_error(
        "  " ENCODER "\n  d: {like: e}\n", STACKS,
        "test.yaml:7:17: error: encoder_layers: no block has cross_attention, so nothing reads "
        "the encoder's output");
    expect_stack_error(both, "layers: [{block: e}, {block: d}]\n",
                       "test.yaml:6:33: error: blocks.d.cross_attention: the model has no encoder; give "
                       "encoder_layers");
    expect_stack_error(both, "encoder_layers: {block: e}\nlayers: {blocks: [d, e]}\n",
                       "test.yaml:5:6: error: blocks.e: a layer of the encoder and of the decoder, expected "
                       "two blocks");
    expect_stack_error(both, "encoder_layers: {blocks: [e, d]}\nlayers: {block: d}\n",
                       "test.yaml:6:6: error: blocks.d: a layer of the encoder and of the decoder, expected "
                       "two blocks");
    expect_stack_error(both, "encoder_layers: {block: d}\nlayers: {block: e}\n",
                       "test.yaml:6:33: error: blocks.d.cross_attention: a layer of the encoder has no other "
                       "output to attend to");
    expect_stack_error(
        "  e: {like: d, cross_attention: null, attention: {window: 7}}\n"
        "  d: {attention: {heads: 4, kv_heads: 4, head_dim: 32}, cross_attention: {heads: 4, "
        "head_dim: 32}}\n",
        STACKS,
        "test.yaml:5:59: error: blocks.e.attention.window: found 7, expected none: a layer of the "
        "encoder attends to all tokens");
    expect_stack_error("  e: {dense: {intermediate: 8}}\n"
                       "  d: {attention: {heads: 4, kv_heads: 4, head_dim: 32}, cross_attention: {heads: 4, "
                       "head_dim: 32}}\n",
                       STACKS,
                       "test.yaml:5:6: error: blocks.e: a layer of the encoder without attention, expected "
                       "attention");
    expect_stack_error(
        both, "encoder_layers: 3\nlayers: {block: d}\n",
        "test.yaml:7:17: error: encoder_layers: a bare number needs a model with one block, found "
        "2; write runs such as {block: e, times: 3}");
    expect_stack_error(both, "encoder_layers: {block: f}\nlayers: {block: d}\n",
                       "test.yaml:7:25: error: encoder_layers: unknown block \"f\"");
    expect_stack_error(both, "encoder_layers: {block: e, times: 600}\nlayers: {block: d, times: 500}\n",
                       "test.yaml:8:9: error: layers: more than 1000 in all");
    expect_stack_error(both, STACKS "learned_positions: 9\nmax_context: 9\n",
                       "test.yaml:9:20: error: learned_positions: not modelled with encoder_layers");
    expect_stack_error("  " ENCODER
                       "\n  d: {like: e, attention: {parallel: true}, cross_attention: {heads: 4, "
                       "head_dim: 32}}\n",
                       STACKS,
                       "test.yaml:6:38: error: blocks.d.attention.parallel: cross_attention comes between "
                       "attention and feed-forward, so they cannot run in parallel");
    expect_stack_error(
        "  " ENCODER "\n  d: {like: e, cross_attention: {heads: 0, head_dim: 32}}\n", STACKS,
        "test.yaml:6:41: error: blocks.d.cross_attention.heads: found \"0\", expected from 1 to 100000");
}

Test(model, layers_that_share_biases_have_as_many_heads)
{
    expect_error(
        HEAD "relative_buckets: 16\nblocks:\n  a: {attention: {heads: 4, kv_heads: 4, head_dim: 8}}\n"
             "  b: {attention: {heads: 2, kv_heads: 2, head_dim: 8}}\nlayers: {blocks: [a, b]}\n",
        "test.yaml:7:26: error: blocks.b.attention.heads: found 2, expected 4 as in the layers before, "
        "which share the biases of relative_buckets");
    expect_error(HEAD "relative_buckets: 16\nblocks:\n  a: {dense: {intermediate: 4}}\nlayers: 2\n",
                 "test.yaml:4:19: error: relative_buckets: found 16, but the layers have no attention to add "
                 "biases to");
}
