#include "support/small_models.h"

#include <criterion/criterion.h>
#include <string.h>

#define HEAD                                                                                                 \
    "hidden: 256\nvocab: 320\nmax_context: 512\nnorm: rms\nweight_type: bf16\nactivation_type: bf16\n"
#define LAYER_HEAD                                                                                           \
    "hidden: 256\nvocab: 320\nmax_context: 512\nnorm: layer\nnorm_bias: true\nweight_type: bf16\n"           \
    "activation_type: bf16\n"

const struct small_model small_models[] = {
    {"llama", HEAD "blocks:\n"
                   "  layer:\n"
                   "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 32}\n"
                   "    dense: {intermediate: 512, gated: true}\n"
                   "layers: 3\n"},
    {"mqa", HEAD "tied_embeddings: true\nblocks:\n"
                 "  layer:\n"
                 "    attention: {heads: 8, kv_heads: 1, head_dim: 64, rotary_dim: 32, qkv_bias: true, "
                 "o_bias: true}\n"
                 "    dense: {intermediate: 512, gated: true, bias: true}\n"
                 "layers: 2\n"},
    {"qk-norm", HEAD "blocks:\n"
                     "  local:\n"
                     "    attention: {heads: 4, kv_heads: 4, head_dim: 64, rotary_dim: 64, qk_norm: true, "
                     "window: 7}\n"
                     "    dense: {intermediate: 512, gated: true}\n"
                     "    norms: 4\n"
                     "  global:\n"
                     "    like: local\n"
                     "    attention: {window: 0}\n"
                     "layers: {blocks: [local, global], times: 2}\n"},
    {"sinks", HEAD "blocks:\n"
                   "  layer:\n"
                   "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 32, sinks: true, "
                   "window: 5, qk_norm: true, qk_norm_all_heads: true}\n"
                   "    dense: {intermediate: 512, gated: true}\n"
                   "layers: 2\n"},
    {"gpt2", LAYER_HEAD "tied_embeddings: true\nlearned_positions: 512\nblocks:\n"
                        "  layer:\n"
                        "    attention: {heads: 8, kv_heads: 8, head_dim: 32, qkv_bias: true, o_bias: true}\n"
                        "    dense: {intermediate: 512, bias: true}\n"
                        "layers: 2\n"},
    {"opt", LAYER_HEAD "learned_positions: 514\nembedding_norm: true\nhead_bias: true\nblocks:\n"
                       "  layer:\n"
                       "    attention: {heads: 8, kv_heads: 8, head_dim: 32, qkv_bias: true, o_bias: true}\n"
                       "    dense: {intermediate: 512, bias: true}\n"
                       "layers: 2\n"},
    {"falcon", LAYER_HEAD "blocks:\n"
                          "  layer:\n"
                          "    attention: {heads: 8, kv_heads: 1, head_dim: 32, rotary_dim: 32, parallel: "
                          "true}\n"
                          "    dense: {intermediate: 512}\n"
                          "    norms: 1\n"
                          "layers: 2\n"},
    {"two-norms", LAYER_HEAD "blocks:\n"
                             "  layer:\n"
                             "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 16, "
                             "parallel: true}\n"
                             "    dense: {intermediate: 512}\n"
                             "    norms: 2\n"
                             "layers: 2\n"},
    {"moe", HEAD "blocks:\n"
                 "  dense:\n"
                 "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 32}\n"
                 "    dense: {intermediate: 512, gated: true}\n"
                 "  sparse:\n"
                 "    like: dense\n"
                 "    dense: null\n"
                 "    moe: {experts: 8, top_k: 2, intermediate: 256, gated: true}\n"
                 "layers: [{block: dense}, {block: sparse, times: 2}]\n"},
    {"shared", HEAD "blocks:\n"
                    "  layer:\n"
                    "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 32}\n"
                    "    moe: {experts: 16, top_k: 4, intermediate: 256, shared_intermediate: 512, gated: "
                    "true, shared_gate: true, router_bias: true}\n"
                    "layers: 2\n"},
    {"mla", HEAD "blocks:\n"
                 "  layer:\n"
                 "    mla: {heads: 4, q_lora_rank: 256, kv_lora_rank: 256, qk_nope_head_dim: 32, "
                 "qk_rope_head_dim: 32, v_head_dim: 64}\n"
                 "    dense: {intermediate: 512, gated: true}\n"
                 "layers: 2\n"},
    {"mla-whole-query", HEAD "blocks:\n"
                             "  layer:\n"
                             "    mla: {heads: 4, kv_lora_rank: 256, qk_nope_head_dim: 64, "
                             "qk_rope_head_dim: 32, v_head_dim: 64}\n"
                             "    moe: {experts: 8, top_k: 2, intermediate: 256, shared_intermediate: 256, "
                             "gated: true}\n"
                             "layers: 2\n"},
    {"mamba1", HEAD "blocks:\n"
                    "  layer:\n"
                    "    mamba1: {inner: 512, state: 16, dt_rank: 16, conv_width: 4, conv_bias: true}\n"
                    "layers: 3\n"},
    {"mamba2", HEAD "blocks:\n"
                    "  layer:\n"
                    "    mamba2: {inner: 512, state: 32, heads: 8, groups: 2, conv_width: 4, conv_bias: "
                    "true}\n"
                    "layers: 3\n"},
    {"hybrid", HEAD "blocks:\n"
                    "  mamba:\n"
                    "    mamba2: {inner: 512, state: 32, heads: 8, groups: 1, conv_width: 4}\n"
                    "  mlp:\n"
                    "    dense: {intermediate: 512}\n"
                    "  attention:\n"
                    "    attention: {heads: 8, kv_heads: 2, head_dim: 32}\n"
                    "layers: {blocks: [mamba, mlp, attention, mlp], times: 1}\n"},
    {"deltanet", HEAD "blocks:\n"
                      "  linear:\n"
                      "    gated_deltanet: {key_heads: 2, value_heads: 4, key_head_dim: 32, value_head_dim: "
                      "64, conv_width: 4}\n"
                      "    dense: {intermediate: 512, gated: true}\n"
                      "  full:\n"
                      "    like: linear\n"
                      "    gated_deltanet: null\n"
                      "    attention: {heads: 8, kv_heads: 2, head_dim: 32, rotary_dim: 16, qk_norm: true, "
                      "output_gate: true}\n"
                      "layers: {blocks: [linear, full], times: 2}\n"},
};
const int small_model_count = sizeof small_models / sizeof small_models[0];

const struct model *small_model_read(struct arena *arena, const struct small_model *small)
{
    struct diag diag = {.arena = arena};
    struct reader reader = {arena, &diag};
    const char *text = arena_printf(arena, "name: %s\n%s", small->name, small->yaml);
    struct model *model = ARENA_NEW(arena, struct model);
    cr_assert(model != NULL && text != NULL);
    const struct yaml_node *root = yaml_parse(arena, &diag, small->name, text, strlen(text));
    cr_assert(root != NULL && model_read(&reader, root, small->name, model), "%s: %s", small->name,
              diag_first_error(&diag));
    return model;
}

struct weights *small_model_weights(struct arena *arena, const struct small_model *small,
                                    enum weight_type type, uint64_t seed)
{
    struct diag diag = {.arena = arena};
    struct weights *weights = weights_random(arena, &diag, small_model_read(arena, small), type, seed);
    cr_assert(weights != NULL, "%s: %s", small->name, diag_first_error(&diag));
    return weights;
}

const struct small_model *small_model_find(const char *name)
{
    for (int i = 0; i < small_model_count; i++)
        if (strcmp(small_models[i].name, name) == 0)
            return &small_models[i];
    cr_assert(false, "no small model %s", name);
    return NULL;
}
