/* What is fixed by an architecture's name and what the metadata says, as in llama.cpp
 * (https://github.com/ggml-org/llama.cpp, src/llama-model.cpp and gguf-py/gguf/constants.py). */
#include "exec/formats/gguf_hyper.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum pairs { HALVES, NEIGHBOURS }; /* that RoPE turns */

struct architecture {
    const char *name;
    enum activation activation;
    enum pairs pairs;
    bool normalise; /* experts' weights, unless expert_weights_norm says otherwise */
    bool gemma;     /* embeddings are multiplied by sqrt(hidden) */
    bool sigmoid;   /* of experts' scores, unless expert_gating_func says otherwise */
    bool tiled;     /* gated DeltaNet's value heads */
};

static const struct architecture architectures[] = {
    {"llama", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"qwen2", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"qwen2moe", ACTIVATION_SILU, HALVES, false, false, false, false},
    {"qwen3", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"qwen3moe", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"phi2", ACTIVATION_GELU_TANH, HALVES, true, false, false, false},
    {"phi3", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"gemma", ACTIVATION_GELU_TANH, HALVES, true, true, false, false},
    {"gemma2", ACTIVATION_GELU_TANH, HALVES, true, true, false, false},
    {"gemma3", ACTIVATION_GELU_TANH, HALVES, true, true, false, false},
    {"gpt2", ACTIVATION_GELU_TANH, HALVES, true, false, false, false},
    {"falcon", ACTIVATION_GELU_TANH, HALVES, true, false, false, false},
    {"internlm2", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"deepseek", ACTIVATION_SILU, NEIGHBOURS, false, false, false, false},
    {"deepseek2", ACTIVATION_SILU, NEIGHBOURS, false, false, false, false},
    {"mamba", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"mamba2", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"olmoe", ACTIVATION_SILU, HALVES, false, false, false, false},
    {"granite", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"granitemoe", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"starcoder2", ACTIVATION_GELU_TANH, HALVES, true, false, false, false},
    {"stablelm", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"exaone", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"smollm3", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"command-r", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"chatglm", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"glm4", ACTIVATION_SILU, NEIGHBOURS, true, false, false, false},
    {"glm4moe", ACTIVATION_SILU, HALVES, false, false, true, false},
    {"minimax-m2", ACTIVATION_SILU, HALVES, true, false, true, false},
    {"qwen3next", ACTIVATION_SILU, HALVES, true, false, false, false},
    {"qwen35", ACTIVATION_SILU, HALVES, true, false, false, true},
    {"qwen35moe", ACTIVATION_SILU, HALVES, true, false, false, true},
};

struct reading {
    const struct gguf_header *header;
    const struct architecture *architecture;
    const struct model *model;
    struct diag *diag;
};

static bool fail(const struct reading *reading, const char *key, const char *what)
{
    return diag_error(reading->diag, (struct source_location){reading->header->name, 0, 0}, "%s.%s: %s",
                      reading->architecture->name, key, what);
}

static const struct gguf_pair *own(const struct reading *reading, const char *key)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", reading->architecture->name, key);
    return gguf_pair(reading->header, full);
}

/* A finite number from `least` to 10^9; `value` stays as it is where the key is not there. */
static bool number(const struct reading *reading, const char *key, double least, float *value)
{
    const struct gguf_pair *pair = own(reading, key);
    if (pair == NULL)
        return true;
    bool scalar = pair->type != GGUF_STRING && pair->type != GGUF_ARRAY;
    if (!scalar || !(pair->number >= least && pair->number <= 1e9))
        return fail(reading, key, "out of range");
    *value = (float)pair->number;
    return true;
}

static bool flag(const struct reading *reading, const char *key, bool fallback)
{
    const struct gguf_pair *pair = own(reading, key);
    return pair != NULL && pair->type == GGUF_BOOL ? pair->number != 0 : fallback;
}

static bool text_is(const struct gguf_pair *pair, const char *text)
{
    return pair->type == GGUF_STRING && pair->length == strlen(text) &&
           memcmp(pair->string, text, pair->length) == 0;
}

/* ---- RoPE ---- */

/* DeepSeek scales scores by the square of the factor that YaRN gives elsewhere to cosines and sines:
 * yarn_log_multiplier is 0.1 mscale_all_dim. */
static bool deepseek_yarn(const struct reading *reading, struct hyper *hyper)
{
    float multiplier = 0;
    if (!number(reading, "rope.scaling.yarn_log_multiplier", 0, &multiplier))
        return false;
    const struct block_spec *block = &reading->model->blocks[0];
    int size = block->mla.qk_nope_head_dim + block->mla.qk_rope_head_dim;
    if (multiplier == 0 || block->mixer != MIXER_MLA || size <= 0)
        return true;
    double factor = 1 + (double)multiplier * log((double)hyper->rope_factor);
    hyper->attention_scale = (float)(factor * factor / sqrt(size));
    hyper->rope_magnitude = 1;
    return true;
}

static bool yarn(const struct reading *reading, struct hyper *hyper, double magnitude)
{
    hyper->rope_scaling = ROPE_YARN;
    hyper->rope_low = 1;
    hyper->rope_high = 32;
    if (!number(reading, "rope.scaling.yarn_beta_slow", 0, &hyper->rope_low) ||
        !number(reading, "rope.scaling.yarn_beta_fast", 0, &hyper->rope_high))
        return false;
    if (hyper->rope_original_context < 1)
        return fail(reading, "rope.scaling.original_context_length", "missing, expected a count of tokens");
    if (magnitude != 1)
        hyper->rope_magnitude = (float)(magnitude * (1 + 0.1 * log((double)hyper->rope_factor)));
    return strcmp(reading->architecture->name, "deepseek2") != 0 || deepseek_yarn(reading, hyper);
}

/* The factors are tensors, rope_factors_long and _short; what cosines and sines are multiplied by is given.
 */
static bool longrope(const struct reading *reading, struct hyper *hyper, float magnitude)
{
    hyper->rope_scaling = ROPE_LONG;
    hyper->rope_magnitude = magnitude;
    return hyper->rope_factor == 1 ||
           fail(reading, "rope.scaling.factor", "beside factors of each frequency is not run");
}

/* Without a type the scaling is linear; a factor of 0 is none; the original context is the model's
 * (llama_model::load_hparams). Phi-3's converter writes the factors of longrope without that type. */
static bool rope(const struct reading *reading, struct hyper *hyper)
{
    const struct gguf_pair *type = own(reading, "rope.scaling.type");
    float magnitude = 1;
    bool factors = gguf_tensor(reading->header, "rope_factors_short.weight") != NULL;
    hyper->rope_interleaved = reading->architecture->pairs == NEIGHBOURS;
    hyper->rope_original_context = (float)reading->model->max_context;
    const char *factor =
        own(reading, "rope.scaling.factor") != NULL ? "rope.scaling.factor" : "rope.scale_linear";
    if (!number(reading, "rope.freq_base", 1, &hyper->rope_theta) ||
        !number(reading, factor, 0, &hyper->rope_factor) ||
        !number(reading, "rope.scaling.attn_factor", 0, &magnitude) ||
        !number(reading, "rope.scaling.original_context_length", 1, &hyper->rope_original_context))
        return false;
    if (hyper->rope_factor == 0 || (type != NULL && text_is(type, "none")))
        hyper->rope_factor = 1;
    if (type != NULL && text_is(type, "yarn"))
        return yarn(reading, hyper, (double)magnitude);
    if (factors || magnitude != 1 || (type != NULL && text_is(type, "longrope")))
        return longrope(reading, hyper, magnitude);
    if (type != NULL && !text_is(type, "none") && !text_is(type, "linear"))
        return fail(reading, "rope.scaling.type", "expected none, linear, longrope or yarn");
    hyper->rope_scaling = hyper->rope_factor != 1 ? ROPE_LINEAR : ROPE_PLAIN;
    return true;
}

/* ---- others ---- */

static bool norm_eps(const struct reading *reading, struct hyper *hyper)
{
    bool rms = reading->model->norm == NORM_RMS;
    const char *key = rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    if (own(reading, key) == NULL)
        return fail(reading, key, "missing");
    return number(reading, key, 0, &hyper->norm_eps);
}

static bool routing(const struct reading *reading, struct hyper *hyper)
{
    float gate = 0, groups = 0, used = 0;
    hyper->route_normalise = flag(reading, "expert_weights_norm", reading->architecture->normalise);
    if (!number(reading, "expert_weights_scale", 0, &hyper->route_scale) ||
        !number(reading, "expert_gating_func", 0, &gate) ||
        !number(reading, "expert_group_count", 0, &groups) ||
        !number(reading, "expert_group_used_count", 0, &used))
        return false;
    if (hyper->route_scale == 0) /* how files say that there is none */
        hyper->route_scale = 1;
    if (gate == 0) /* left out */
        gate = reading->architecture->sigmoid ? 2 : 1;
    if (gate != 1 && gate != 2) /* softmax, sigmoid */
        return fail(reading, "expert_gating_func", "expected 1 (softmax) or 2 (sigmoid)");
    if (groups > 65536 || used > groups)
        return fail(reading, "expert_group_count", "out of range");
    hyper->route_sigmoid = gate == 2;
    hyper->route_groups = groups > 1 ? (int)groups : 0;
    hyper->route_top_groups = groups > 1 ? (int)used : 0;
    return true;
}

/* The largest Gemma 2 and 3 scale scores by hidden / heads, the others by the size of a head; files do not
 * say which, but the number of layers does. Gemma 3's layers with a window keep the base 10000. */
static bool gemma(const struct reading *reading, struct hyper *hyper)
{
    enum { GEMMA2_27B_LAYERS = 46, GEMMA3_27B_LAYERS = 62 };
    const struct model *model = reading->model;
    const char *name = reading->architecture->name;
    int heads = model->blocks[0].attention.heads;
    hyper->embedding_scale = sqrtf((float)model->hidden);
    if (strcmp(name, "gemma2") == 0) { /* where older files leave them out (llama_model_gemma2) */
        hyper->attention_softcap = 50;
        hyper->logit_softcap = 30;
    }
    bool three = strcmp(name, "gemma3") == 0, two = strcmp(name, "gemma2") == 0;
    if (((two && model->layers == GEMMA2_27B_LAYERS) || (three && model->layers == GEMMA3_27B_LAYERS)) &&
        heads > 0)
        hyper->attention_scale = 1 / sqrtf((float)model->hidden / (float)heads);
    if (three)
        hyper->rope_theta_local = 10000;
    return number(reading, "attn_logit_softcapping", 0, &hyper->attention_softcap) &&
           number(reading, "final_logit_softcapping", 0, &hyper->logit_softcap) &&
           (!three || number(reading, "rope.freq_base_swa", 1, &hyper->rope_theta_local));
}

/* Granite's multipliers; 0 stands for none, logits are divided by theirs (llama_model_granite). */
static bool granite(const struct reading *reading, struct hyper *hyper)
{
    float embedding = 0, residual = 0, logits = 0;
    if (!flag(reading, "rope.scaling.finetuned", true))
        return fail(reading, "rope.scaling.finetuned", "Granite without rotary embeddings is not run");
    if (!number(reading, "embedding_scale", 0, &embedding) ||
        !number(reading, "residual_scale", 0, &residual) || !number(reading, "logit_scale", 0, &logits) ||
        !number(reading, "attention.scale", 0, &hyper->attention_scale))
        return false;
    hyper->embedding_scale = embedding > 0 ? embedding : 1;
    hyper->residual_scale = residual > 0 ? residual : 1;
    hyper->logit_scale = logits > 0 ? 1 / logits : 1;
    return true;
}

/* Command R multiplies logits, where 0 stands for no scale (llm_build_command_r). */
static bool command_r(const struct reading *reading, struct hyper *hyper)
{
    float scale = 0;
    if (!number(reading, "logit_scale", 0, &scale))
        return false;
    hyper->logit_scale = scale > 0 ? scale : 1;
    return true;
}

static const struct architecture *find(const struct gguf_header *header, struct diag *diag)
{
    const struct gguf_pair *pair = gguf_pair(header, "general.architecture");
    for (size_t i = 0; pair != NULL && i < sizeof architectures / sizeof *architectures; i++)
        if (text_is(pair, architectures[i].name))
            return &architectures[i];
    bool named = pair != NULL && pair->type == GGUF_STRING && pair->length <= 64;
    diag_error(diag, (struct source_location){header->name, 0, 0},
               "general.architecture: %.*s is not run by the reference executor",
               named ? (int)pair->length : 4, named ? pair->string : "this");
    return NULL;
}

bool gguf_hyper(struct hyper *hyper, struct diag *diag, const struct gguf_header *header,
                const struct model *model)
{
    struct reading reading = {
        .header = header, .architecture = find(header, diag), .model = model, .diag = diag};
    *hyper = hyper_default();
    if (reading.architecture == NULL)
        return false;
    hyper->activation = reading.architecture->activation;
    hyper->delta_tiled = reading.architecture->tiled;
    if (flag(&reading, "ssm.dt_b_c_rms", false))
        return fail(&reading, "ssm.dt_b_c_rms", "norms on Mamba's dt, B and C are not run");
    return norm_eps(&reading, hyper) && rope(&reading, hyper) && routing(&reading, hyper) &&
           (!reading.architecture->gemma || gemma(&reading, hyper)) &&
           (strncmp(reading.architecture->name, "granite", 7) != 0 || granite(&reading, hyper)) &&
           (strcmp(reading.architecture->name, "command-r") != 0 || command_r(&reading, hyper));
}
