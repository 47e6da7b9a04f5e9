/* Keys and defaults as in the configuration classes of transformers
 * (https://github.com/huggingface/transformers). */
#include "exec/formats/hf_hyper.h"

#include "spec/hf_keys.h"

#include <math.h>
#include <string.h>

static const struct hf_family hf_families[] = {
    {.architecture = "LlamaForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "MistralForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "MixtralForCausalLM", .normalise = true, .theta = 1e6F},
    {.architecture = "Qwen2ForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "Qwen2MoeForCausalLM", .theta = 10000},
    {.architecture = "Qwen3ForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "Qwen3MoeForCausalLM", .theta = 10000},
    {.architecture = "Qwen3NextForCausalLM", .normalise = true, .norm_plus_one = true, .theta = 10000},
    {.architecture = "Phi3ForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "DeepseekForCausalLM", .theta = 10000},
    {.architecture = "DeepseekV2ForCausalLM", .interleaved = true, .theta = 10000},
    {.architecture = "DeepseekV3ForCausalLM", .normalise = true, .interleaved = true, .theta = 10000},
    {.architecture = "GPT2LMHeadModel", .activation = ACTIVATION_GELU_TANH, .theta = 10000},
    {.architecture = "OlmoeForCausalLM", .theta = 10000},
    {.architecture = "GraniteForCausalLM", .normalise = true, .theta = 10000},
    {.architecture = "MambaForCausalLM", .theta = 10000},
    {.architecture = "Mamba2ForCausalLM", .theta = 10000},
    {.architecture = "GemmaForCausalLM",
     .activation = ACTIVATION_GELU_TANH,
     .fixed_activation = true,
     .norm_plus_one = true,
     .gemma = true,
     .theta = 10000},
    {.architecture = "Gemma2ForCausalLM",
     .activation = ACTIVATION_GELU_TANH,
     .fixed_activation = true,
     .norm_plus_one = true,
     .four_norms = true,
     .gemma = true,
     .theta = 10000},
    {.architecture = "Gemma3ForCausalLM",
     .activation = ACTIVATION_GELU_TANH,
     .fixed_activation = true,
     .norm_plus_one = true,
     .four_norms = true,
     .gemma = true,
     .theta = 1e6F},
};

const struct hf_family *hf_family_find(const char *architecture)
{
    for (size_t i = 0; architecture != NULL && i < sizeof hf_families / sizeof *hf_families; i++)
        if (strcmp(hf_families[i].architecture, architecture) == 0)
            return &hf_families[i];
    return NULL;
}

static bool read_activation(const struct hf_object *config, const struct hf_family *family,
                            struct hyper *hyper)
{
    static const struct {
        const char *name;
        enum activation activation;
    } names[] = {{"silu", ACTIVATION_SILU},
                 {"swish", ACTIVATION_SILU},
                 {"gelu", ACTIVATION_GELU},
                 {"gelu_new", ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
                 {"relu", ACTIVATION_RELU},
                 {"relu2", ACTIVATION_RELU2}};
    const char *keys = "hidden_act|hidden_activation|activation_function",
               *said = hf_text(config, keys, NULL);
    hyper->activation = family->activation;
    if (said == NULL || family->fixed_activation)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, said) == 0) {
            hyper->activation = names[i].activation;
            return true;
        }
    return hf_error(config, "hidden_act",
                    "found \"%s\", expected silu, gelu, gelu_pytorch_tanh, relu or relu2", said);
}

/* ---- RoPE ---- */

/* 0.1 m ln(factor) + 1: YaRN's factor of cosines and sines (arXiv:2309.00071, equation 22, m = 1). */
static double yarn_factor(double factor, double m)
{
    return factor > 1 ? 0.1 * m * log(factor) + 1 : 1;
}

/* DeepSeek's config scales scores by the square of the factor with mscale_all_dim, and cosines and sines by
 * what mscale is above that. */
static void read_mscale(const struct hf_object *scaling, const struct model *model, struct hyper *hyper)
{
    double factor = (double)hyper->rope_factor, m = hf_number(scaling, "mscale", 1);
    double all = hf_number(scaling, "mscale_all_dim", 0);
    const struct block_spec *block = &model->blocks[0];
    int size = block->mla.qk_nope_head_dim + block->mla.qk_rope_head_dim;
    if (block->mixer != MIXER_MLA || size <= 0 || all == 0)
        return;
    double scores = yarn_factor(factor, all);
    hyper->rope_magnitude = (float)(yarn_factor(factor, m) / scores);
    hyper->attention_scale = (float)(scores * scores / sqrt(size));
}

static bool read_scaling(const struct hf_object *scaling, const char *type, const struct model *model,
                         struct hyper *hyper)
{
    hyper->rope_factor = (float)hf_number(scaling, "factor", 1);
    bool yarn = strcmp(type, "yarn") == 0; /* which has the model's context where none is given */
    hyper->rope_original_context =
        (float)hf_number(scaling, "original_max_position_embeddings", yarn ? model->max_context : 0);
    if (!(hyper->rope_factor >= 1))
        return hf_error(scaling, "factor", "expected a number from 1");
    if (strcmp(type, "linear") == 0) {
        hyper->rope_scaling = ROPE_LINEAR;
        return true;
    }
    if (hyper->rope_original_context < 1)
        return hf_error(scaling, "original_max_position_embeddings", "missing");
    if (strcmp(type, "llama3") == 0) {
        hyper->rope_scaling = ROPE_LLAMA3;
        hyper->rope_low = (float)hf_number(scaling, "low_freq_factor", 1);
        hyper->rope_high = (float)hf_number(scaling, "high_freq_factor", 4);
        return hyper->rope_high > hyper->rope_low ||
               hf_error(scaling, "high_freq_factor", "not above low_freq_factor");
    }
    hyper->rope_scaling = ROPE_YARN;
    hyper->rope_low = (float)hf_number(scaling, "beta_slow", 1);
    hyper->rope_high = (float)hf_number(scaling, "beta_fast", 32);
    hyper->rope_magnitude = (float)hf_number(scaling, "attention_factor", 0);
    read_mscale(scaling, model, hyper);
    return true;
}

static bool read_rope(const struct hf_object *config, const struct hf_family *family,
                      const struct model *model, struct hyper *hyper)
{
    struct hf_object scaling;
    hyper->rope_interleaved = family->interleaved;
    bool newer = hf_part(config, "rope_parameters", false, &scaling);
    double usual = (double)family->theta;
    hyper->rope_theta =
        (float)hf_number(config, "rope_theta", newer ? hf_number(&scaling, "rope_theta", usual) : usual);
    if (strcmp(family->architecture, "Gemma3ForCausalLM") == 0)
        hyper->rope_theta_local = (float)hf_number(config, "rope_local_base_freq", 10000);
    if (!(hyper->rope_theta >= 1))
        return hf_error(config, "rope_theta", "expected a number from 1");
    if (!newer && !hf_part(config, "rope_scaling", false, &scaling))
        return true;
    const char *type = hf_text(&scaling, "rope_type|type", "default");
    if (strcmp(type, "default") == 0)
        return true;
    if (strcmp(type, "linear") != 0 && strcmp(type, "llama3") != 0 && strcmp(type, "yarn") != 0)
        return hf_error(&scaling, "rope_type", "found \"%s\", expected default, linear, llama3 or yarn",
                        type);
    return read_scaling(&scaling, type, model, hyper);
}

/* ---- others ---- */

static bool read_routing(const struct hf_object *config, const struct hf_family *family, struct hyper *hyper)
{
    const char *scores = hf_text(config, "scoring_func", "softmax");
    const char *method = hf_text(config, "topk_method", "greedy");
    int groups = hf_int(config, "n_group", 0), used = hf_int(config, "topk_group", 0);
    bool sigmoid = strcmp(scores, "sigmoid") == 0;
    if (!sigmoid && strcmp(scores, "softmax") != 0)
        return hf_error(config, "scoring_func", "found \"%s\", expected softmax or sigmoid", scores);
    if (groups > 65536 || used > groups)
        return hf_error(config, "n_group", "out of range");
    bool grouped = groups > 1 && strcmp(method, "greedy") != 0;
    hyper->route_sigmoid = sigmoid;
    hyper->route_normalise = hf_bool(config, "norm_topk_prob", family->normalise);
    hyper->route_scale = (float)hf_number(config, "routed_scaling_factor", 1);
    hyper->route_groups = grouped ? groups : 0;
    hyper->route_top_groups = grouped ? used : 0;
    return true;
}

static void read_gemma(const struct hf_object *config, const struct model *model, struct hyper *hyper)
{
    double scalar = hf_number(config, "query_pre_attn_scalar", 0);
    hyper->embedding_scale = sqrtf((float)model->hidden);
    if (scalar > 0)
        hyper->attention_scale = (float)(1 / sqrt(scalar));
    hyper->attention_softcap = (float)hf_number(config, "attn_logit_softcapping", 0);
    hyper->logit_softcap = (float)hf_number(config, "final_logit_softcapping", 0);
}

/* GraniteConfig: logits are divided by theirs. */
static void read_granite(const struct hf_object *config, struct hyper *hyper)
{
    double logits = hf_number(config, "logits_scaling", 1);
    hyper->embedding_scale = (float)hf_number(config, "embedding_multiplier", 1);
    hyper->residual_scale = (float)hf_number(config, "residual_multiplier", 1);
    hyper->attention_scale = (float)hf_number(config, "attention_multiplier", 1);
    hyper->logit_scale = (float)(logits > 0 ? 1 / logits : 1);
}

static bool read_root(const struct hf_object *config, const struct hf_family *family,
                      const struct model *model, struct hyper *hyper)
{
    const char *eps = "rms_norm_eps|layer_norm_epsilon|layer_norm_eps";
    if (!hf_has(config, eps))
        return hf_error(config, "rms_norm_eps", "missing");
    hyper->norm_eps = (float)hf_number(config, eps, 0);
    if (family->gemma)
        read_gemma(config, model, hyper);
    if (strcmp(family->architecture, "GraniteForCausalLM") == 0)
        read_granite(config, hyper);
    if (hf_has(config, "clip_qkv")) /* OLMoE */
        return hf_error(config, "clip_qkv", "limits of q, k and v are not run");
    return read_activation(config, family, hyper) && read_rope(config, family, model, hyper) &&
           read_routing(config, family, hyper);
}

bool hf_hyper(struct hyper *hyper, struct arena *arena, struct diag *diag, const struct hf_family *family,
              const struct model *model, const char *name, const char *text, size_t length)
{
    struct json_file file;
    int errors = diag->errors;
    *hyper = hyper_default();
    if (!json_file_parse(&file, arena, diag, name, text, length))
        return false;
    struct hf_object root = {.file = &file, .object = file.root, .path = "", .arena = arena, .diag = diag};
    bool read = read_root(&root, family, model, hyper);
    json_file_close(&file);
    return read && diag->errors == errors;
}
