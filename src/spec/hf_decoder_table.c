#include "spec/hf_decoder.h"

/* Names and defaults as in the configuration classes of transformers and of the models' own repositories. */

static const struct hf_names usual_names = {
    .hidden = "hidden_size",
    .layers = "num_hidden_layers",
    .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads",
    .head_dim = "head_dim",
    .intermediate = "intermediate_size",
    .vocab = "vocab_size",
    .context = "max_position_embeddings",
};
static const struct hf_names gpt_names = {
    .hidden = "n_embd|hidden_size",
    .layers = "n_layer|num_hidden_layers",
    .heads = "n_head|num_attention_heads",
    .intermediate = "n_inner",
    .vocab = "vocab_size",
    .context = "n_positions|n_ctx|max_position_embeddings",
};
static const struct hf_names opt_names = {
    .hidden = "hidden_size",
    .layers = "num_hidden_layers",
    .heads = "num_attention_heads",
    .intermediate = "ffn_dim",
    .vocab = "vocab_size",
    .context = "max_position_embeddings",
};
static const struct hf_names bloom_names = {
    .hidden = "hidden_size|n_embed",
    .layers = "n_layer|num_hidden_layers",
    .heads = "n_head|num_attention_heads",
    .intermediate = "n_inner",
    .vocab = "vocab_size",
    .context = "seq_length",
};
/* kv_heads: read by the builder, since multi_query stands for them in the first generation. */
static const struct hf_names falcon_names = {
    .hidden = "hidden_size",
    .layers = "num_hidden_layers|n_layer",
    .heads = "num_attention_heads|n_head",
    .intermediate = "ffn_hidden_size",
    .vocab = "vocab_size",
    .context = "max_position_embeddings",
};
static const struct hf_names chatglm_names = {
    .hidden = "hidden_size",
    .layers = "num_layers",
    .heads = "num_attention_heads",
    .kv_heads = "multi_query_group_num",
    .head_dim = "kv_channels",
    .intermediate = "ffn_hidden_size",
    .vocab = "padded_vocab_size|vocab_size",
    .context = "seq_length",
};
static const struct hf_names dbrx_names = {
    .hidden = "d_model",
    .layers = "n_layers",
    .heads = "n_heads",
    .vocab = "vocab_size",
    .context = "max_seq_len",
};
static const struct hf_names llada_names = {
    .hidden = "d_model",
    .layers = "n_layers",
    .heads = "n_heads",
    .kv_heads = "n_kv_heads",
    .intermediate = "mlp_hidden_size",
    .vocab = "embedding_size|vocab_size",
    .context = "max_sequence_length",
};
static const struct hf_names llama4_names = {
    .hidden = "hidden_size",
    .layers = "num_hidden_layers",
    .heads = "num_attention_heads",
    .kv_heads = "num_key_value_heads",
    .head_dim = "head_dim",
    .intermediate = "intermediate_size_mlp",
    .vocab = "vocab_size",
    .context = "max_position_embeddings",
};

static const struct hf_sizes llama_usual = {
    .hidden = 4096, .layers = 32, .heads = 32, .intermediate = 11008, .vocab = 32000, .context = 2048};
static const struct hf_sizes mistral_usual = {.hidden = 4096,
                                              .layers = 32,
                                              .heads = 32,
                                              .kv_heads = 8,
                                              .intermediate = 14336,
                                              .vocab = 32000,
                                              .context = 131072};
static const struct hf_sizes gemma3_usual = {.hidden = 2304,
                                             .layers = 26,
                                             .heads = 8,
                                             .kv_heads = 4,
                                             .head_dim = 256,
                                             .intermediate = 9216,
                                             .vocab = 262208,
                                             .context = 131072,
                                             .window = 4096};

static const struct hf_experts local_experts = {.rule = HF_EXPERTS_ALL,
                                                .experts = "num_local_experts|num_experts",
                                                .top_k = "num_experts_per_tok|experts_per_token",
                                                .intermediate = "intermediate_size"};
static const struct hf_experts gpt_oss_experts = {.rule = HF_EXPERTS_ALL,
                                                  .experts = "num_local_experts|num_experts",
                                                  .top_k = "num_experts_per_tok|experts_per_token",
                                                  .intermediate = "intermediate_size",
                                                  .traits = HF_EXPERT_BIAS | HF_ROUTER_BIAS};
static const struct hf_experts minimax_experts = {.rule = HF_EXPERTS_ALL,
                                                  .experts = "num_local_experts",
                                                  .top_k = "num_experts_per_tok",
                                                  .intermediate = "intermediate_size",
                                                  .traits = HF_ROUTER_BIAS};
static const struct hf_experts qwen_experts = {.rule = HF_EXPERTS_STEP,
                                               .experts = "num_experts|num_local_experts",
                                               .top_k = "num_experts_per_tok",
                                               .intermediate = "moe_intermediate_size"};
static const struct hf_experts qwen_shared_experts = {.rule = HF_EXPERTS_STEP,
                                                      .experts = "num_experts|num_local_experts",
                                                      .top_k = "num_experts_per_tok",
                                                      .intermediate = "moe_intermediate_size",
                                                      .shared_intermediate =
                                                          "shared_expert_intermediate_size",
                                                      .traits = HF_SHARED_GATE};
static const struct hf_experts deepseek_experts = {.rule = HF_EXPERTS_AFTER,
                                                   .experts = "n_routed_experts",
                                                   .top_k = "num_experts_per_tok",
                                                   .intermediate = "moe_intermediate_size",
                                                   .shared_count = "n_shared_experts"};
/* e_score_correction_bias: one value an expert */
static const struct hf_experts corrected_experts = {.rule = HF_EXPERTS_AFTER,
                                                    .experts = "n_routed_experts",
                                                    .top_k = "num_experts_per_tok",
                                                    .intermediate = "moe_intermediate_size",
                                                    .shared_count = "n_shared_experts",
                                                    .traits = HF_ROUTER_BIAS};
/* The shared expert is as wide as a routed one. */
static const struct hf_experts llama4_experts = {.rule = HF_EXPERTS_INTERLEAVED,
                                                 .experts = "num_local_experts",
                                                 .top_k = "num_experts_per_tok",
                                                 .intermediate = "intermediate_size",
                                                 .shared_intermediate = "intermediate_size"};
/* In ffn_config. */
static const struct hf_experts dbrx_experts = {.rule = HF_EXPERTS_ALL,
                                               .experts = "moe_num_experts",
                                               .top_k = "moe_top_k",
                                               .intermediate = "ffn_hidden_size"};

#define ROW(class, kind, keys) .architecture = class, .type = kind, .names = &(keys)
#define LLAMA_BIASES           .qkv_bias = "attention_bias", .o_bias = "attention_bias", .mlp_bias = "mlp_bias"
enum { LAYER_NORMS = HF_LAYER_NORM | HF_NORM_BIAS, ALL_BIASES = HF_QKV_BIAS | HF_O_BIAS | HF_MLP_BIAS };

const struct hf_decoder hf_decoders[] = {
    {ROW("GPT2LMHeadModel", "gpt2", gpt_names),
     .traits = LAYER_NORMS | ALL_BIASES | HF_TIED | HF_FOUR_TIMES | HF_NO_ROPE | HF_LEARNED},
    {ROW("GPTJForCausalLM", "gptj", gpt_names),
     .traits = LAYER_NORMS | HF_MLP_BIAS | HF_HEAD_BIAS | HF_PARALLEL | HF_FOUR_TIMES, .norms = 1},
    {ROW("OPTForCausalLM", "opt", opt_names),
     .traits = LAYER_NORMS | ALL_BIASES | HF_TIED | HF_NO_ROPE | HF_LEARNED, .qkv_bias = "enable_bias",
     .o_bias = "enable_bias", .mlp_bias = "enable_bias"},
    {ROW("BloomForCausalLM", "bloom", bloom_names),
     .traits = LAYER_NORMS | ALL_BIASES | HF_TIED | HF_FOUR_TIMES | HF_NO_ROPE | HF_EMBEDDING_NORM,
     .context = 2048},
    {ROW("FalconForCausalLM", "falcon", falcon_names), .traits = LAYER_NORMS | HF_TIED | HF_FOUR_TIMES,
     .context = 2048, .qkv_bias = "bias", .o_bias = "bias", .mlp_bias = "bias"},
    {ROW("LlamaForCausalLM", "llama", usual_names), .usual = &llama_usual, .traits = HF_GATED, LLAMA_BIASES},
    {ROW("MistralForCausalLM", "mistral", usual_names), .usual = &mistral_usual, .traits = HF_GATED,
     .windows = HF_WINDOW_ALL},
    {ROW("MixtralForCausalLM", "mixtral", usual_names), .experts = &local_experts, .traits = HF_GATED,
     .windows = HF_WINDOW_ALL},
    {ROW("Llama4ForCausalLM", "llama4_text", llama4_names), .head_dim = 128, .experts = &llama4_experts,
     .traits = HF_GATED, .windows = HF_WINDOW_CHUNKS, .qkv_bias = "attention_bias",
     .o_bias = "attention_bias"},
    {ROW("YiForCausalLM", "Yi", usual_names), .traits = HF_GATED},
    {ROW("Qwen2ForCausalLM", "qwen2", usual_names), .traits = HF_GATED | HF_QKV_BIAS,
     .windows = HF_WINDOW_LATE},
    {ROW("Qwen2MoeForCausalLM", "qwen2_moe", usual_names), .experts = &qwen_shared_experts,
     .traits = HF_GATED | HF_QKV_BIAS, .windows = HF_WINDOW_LATE, .qkv_bias = "qkv_bias"},
    {ROW("Qwen3ForCausalLM", "qwen3", usual_names), .head_dim = 128, .traits = HF_GATED | HF_QK_NORM,
     .windows = HF_WINDOW_LATE, .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("Qwen3MoeForCausalLM", "qwen3_moe", usual_names), .experts = &qwen_experts,
     .traits = HF_GATED | HF_QK_NORM, .windows = HF_WINDOW_LATE, .qkv_bias = "attention_bias",
     .o_bias = "attention_bias"},
    /* The released checkpoints hold one multi-token-prediction layer, which their config does not name. */
    {ROW("Qwen3NextForCausalLM", "qwen3_next", usual_names), .head_dim = 256, .experts = &qwen_shared_experts,
     .traits = HF_GATED | HF_QK_NORM | HF_OUTPUT_GATE | HF_DELTANET, .mtp = 1, .rotary = 0.25,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("Qwen3_5ForCausalLM", "qwen3_5_text", usual_names), .head_dim = 256,
     .traits = HF_GATED | HF_QK_NORM | HF_OUTPUT_GATE | HF_DELTANET, .rotary = 0.25,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("Qwen3_5MoeForCausalLM", "qwen3_5_moe_text", usual_names), .head_dim = 256,
     .experts = &qwen_shared_experts, .traits = HF_GATED | HF_QK_NORM | HF_OUTPUT_GATE | HF_DELTANET,
     .rotary = 0.25, .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("PhiForCausalLM", "phi", usual_names),
     .traits = LAYER_NORMS | ALL_BIASES | HF_HEAD_BIAS | HF_PARALLEL, .norms = 1, .rotary = 0.5},
    {ROW("Phi3ForCausalLM", "phi3", usual_names), .traits = HF_GATED, .windows = HF_WINDOW_ALL},
    {ROW("PhiMoEForCausalLM", "phimoe", usual_names), .experts = &local_experts,
     .traits = LAYER_NORMS | HF_GATED, .windows = HF_WINDOW_ALL, .qkv_bias = "attention_bias",
     .o_bias = "attention_bias"},
    {ROW("PhimoeForCausalLM", "phimoe", usual_names), .experts = &local_experts,
     .traits = LAYER_NORMS | HF_GATED, .windows = HF_WINDOW_ALL, .qkv_bias = "attention_bias",
     .o_bias = "attention_bias"},
    {ROW("GemmaForCausalLM", "gemma", usual_names), .head_dim = 256, .traits = HF_GATED | HF_TIED,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("Gemma2ForCausalLM", "gemma2", usual_names), .head_dim = 256, .traits = HF_GATED | HF_TIED,
     .windows = HF_WINDOW_ALTERNATE, .norms = 4, .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("Gemma3ForCausalLM", "gemma3_text", usual_names), .head_dim = 256, .usual = &gemma3_usual,
     .traits = HF_GATED | HF_TIED | HF_QK_NORM, .windows = HF_WINDOW_PATTERN, .norms = 4,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("ChatGLMModel", "chatglm", chatglm_names), .traits = HF_GATED, .rotary = 0.5,
     .qkv_bias = "add_qkv_bias", .o_bias = "add_bias_linear", .mlp_bias = "add_bias_linear"},
    {ROW("ChatGLMForConditionalGeneration", "chatglm", chatglm_names), .traits = HF_GATED, .rotary = 0.5,
     .qkv_bias = "add_qkv_bias", .o_bias = "add_bias_linear", .mlp_bias = "add_bias_linear"},
    {ROW("GlmForCausalLM", "glm", usual_names), .head_dim = 128, .traits = HF_GATED | HF_QKV_BIAS,
     .rotary = 0.5, .qkv_bias = "attention_bias"},
    {ROW("Glm4ForCausalLM", "glm4", usual_names), .head_dim = 128, .traits = HF_GATED, .norms = 4,
     .rotary = 0.5, .qkv_bias = "attention_bias"},
    {ROW("Glm4MoeForCausalLM", "glm4_moe", usual_names), .experts = &corrected_experts,
     .traits = HF_GATED | HF_OWN_MTP_HEAD, .rotary = 0.5, .qkv_bias = "attention_bias"},
    {ROW("GlmMoeDsaForCausalLM", "glm_moe_dsa", usual_names), .experts = &corrected_experts,
     .traits = HF_GATED | HF_MLA},
    {ROW("InternLMForCausalLM", "internlm", usual_names), .traits = HF_GATED | HF_QKV_BIAS | HF_O_BIAS,
     .qkv_bias = "bias", .o_bias = "bias"},
    {ROW("InternLM2ForCausalLM", "internlm2", usual_names), .traits = HF_GATED, .qkv_bias = "bias",
     .o_bias = "bias"},
    {ROW("DeepseekForCausalLM", "deepseek", usual_names), .experts = &deepseek_experts, .traits = HF_GATED,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("DeepseekV2ForCausalLM", "deepseek_v2", usual_names), .experts = &deepseek_experts,
     .traits = HF_GATED | HF_MLA},
    {ROW("DeepseekV3ForCausalLM", "deepseek_v3", usual_names), .experts = &corrected_experts,
     .traits = HF_GATED | HF_MLA | HF_OWN_MTP_HEAD},
    {ROW("DeepseekV32ForCausalLM", "deepseek_v32", usual_names), .experts = &corrected_experts,
     .traits = HF_GATED | HF_MLA | HF_OWN_MTP_HEAD},
    {ROW("KimiK2ForCausalLM", "kimi_k2", usual_names), .experts = &corrected_experts,
     .traits = HF_GATED | HF_MLA | HF_OWN_MTP_HEAD},
    {ROW("GptOssForCausalLM", "gpt_oss", usual_names), .head_dim = 64, .experts = &gpt_oss_experts,
     .traits = HF_GATED | HF_QKV_BIAS | HF_O_BIAS | HF_SINKS, .windows = HF_WINDOW_ALTERNATE,
     .qkv_bias = "attention_bias", .o_bias = "attention_bias"},
    {ROW("MiniMaxM2ForCausalLM", "minimax_m2", usual_names), .experts = &minimax_experts,
     .traits = HF_GATED | HF_QK_NORM | HF_QK_NORM_ALL},
    {ROW("DbrxForCausalLM", "dbrx", dbrx_names), .experts = &dbrx_experts,
     .traits = HF_LAYER_NORM | HF_GATED},
    {ROW("Grok1ModelForCausalLM", "grok-1", usual_names), .experts = &local_experts,
     .traits = HF_GATED | HF_TIED, .norms = 4},
    {ROW("Grok1ForCausalLM", "grok-1", usual_names), .experts = &local_experts, .traits = HF_GATED | HF_TIED,
     .norms = 4},
    {ROW("BitNetForCausalLM", "bitnet", usual_names), .traits = HF_GATED | HF_SUB_NORM | HF_TERNARY},
    {ROW("BitnetForCausalLM", "llama", usual_names), .traits = HF_GATED | HF_SUB_NORM | HF_TERNARY},
    {ROW("LLaDAModelLM", "llada", llada_names), .traits = HF_GATED | HF_DIFFUSION,
     .qkv_bias = "include_qkv_bias", .o_bias = "include_bias", .mlp_bias = "include_bias"},
    {ROW("DreamModel", "Dream", usual_names), .traits = HF_GATED | HF_QKV_BIAS | HF_DIFFUSION},
};
const size_t hf_decoder_count = sizeof hf_decoders / sizeof *hf_decoders;
