#include "spec/gguf_model.h"

#include "base/suggest.h"
#include "spec/hf_build.h"
#include "spec/model_writer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MOST = 128, TYPES_MOST = 64 };
enum { GEMMA2_WINDOW = 4096 }; /* where older files leave it out, as llama.cpp takes it */

/* ---- what the architectures do not store ---- */

enum windows { WINDOW_NONE, WINDOW_ALL, WINDOW_ALTERNATE, WINDOW_FIVE_OF_SIX };

/* general.architecture, and which of its layers attention.sliding_window is about. */
struct gguf_architecture {
    const char *name;
    const char *class; /* as on the Hugging Face Hub */
    enum windows windows;
    bool no_rope;
    bool parallel;   /* attention and feed-forward side by side */
    int unturned_of; /* of how many layers the last one is without RoPE; 0: none is */
};

static const struct gguf_architecture architectures[] = {
    {"llama", "LlamaForCausalLM", WINDOW_NONE, false, false, 0}, /* Mistral and Mixtral too */
    {"qwen2", "Qwen2ForCausalLM", WINDOW_NONE, false, false, 0},
    {"qwen2moe", "Qwen2MoeForCausalLM", WINDOW_NONE, false, false, 0},
    {"qwen3", "Qwen3ForCausalLM", WINDOW_NONE, false, false, 0},
    {"qwen3moe", "Qwen3MoeForCausalLM", WINDOW_NONE, false, false, 0},
    {"gemma", "GemmaForCausalLM", WINDOW_NONE, false, false, 0},
    {"gemma2", "Gemma2ForCausalLM", WINDOW_ALTERNATE, false, false, 0},
    {"gemma3", "Gemma3ForCausalLM", WINDOW_FIVE_OF_SIX, false, false, 0},
    {"phi2", "PhiForCausalLM", WINDOW_NONE, false, true, 0},
    {"phi3", "Phi3ForCausalLM", WINDOW_ALL, false, false, 0},
    {"gpt2", "GPT2LMHeadModel", WINDOW_NONE, true, false, 0},
    {"bloom", "BloomForCausalLM", WINDOW_NONE, true, false, 0},
    {"falcon", "FalconForCausalLM", WINDOW_NONE, false, true, 0},
    {"chatglm", "ChatGLMModel", WINDOW_NONE, false, false, 0},
    {"glm4", "Glm4ForCausalLM", WINDOW_NONE, false, false, 0},
    {"glm4moe", "Glm4MoeForCausalLM", WINDOW_NONE, false, false, 0},
    {"internlm2", "InternLM2ForCausalLM", WINDOW_NONE, false, false, 0},
    {"deepseek", "DeepseekForCausalLM", WINDOW_NONE, false, false, 0},
    {"deepseek2", "DeepseekV2ForCausalLM", WINDOW_NONE, false, false, 0}, /* V3 and Kimi K2 too */
    {"gpt-oss", "GptOssForCausalLM", WINDOW_ALTERNATE, false, false, 0},
    {"minimax-m2", "MiniMaxM2ForCausalLM", WINDOW_NONE, false, false, 0},
    {"dbrx", "DbrxForCausalLM", WINDOW_NONE, false, false, 0},
    {"grok", "Grok1ModelForCausalLM", WINDOW_NONE, false, false, 0},
    {"mamba", "MambaForCausalLM", WINDOW_NONE, true, false, 0},
    {"olmoe", "OlmoeForCausalLM", WINDOW_NONE, false, false, 0},
    {"granite", "GraniteForCausalLM", WINDOW_NONE, false, false, 0},
    {"starcoder2", "Starcoder2ForCausalLM", WINDOW_NONE, false, false, 0},
    {"stablelm", "StableLmForCausalLM", WINDOW_NONE, false, false, 0},
    {"exaone", "ExaoneForCausalLM", WINDOW_NONE, false, false, 0},
    {"smollm3", "SmolLM3ForCausalLM", WINDOW_NONE, false, false, 4},
    {"command-r", "CohereForCausalLM", WINDOW_NONE, false, true, 0},
    {"mamba2", "Mamba2ForCausalLM", WINDOW_NONE, true, false, 0},
    {"qwen3next", "Qwen3NextForCausalLM", WINDOW_NONE, false, false, 0},
    {"qwen35", "Qwen3_5ForCausalLM", WINDOW_NONE, false, false, 0},
    {"qwen35moe", "Qwen3_5MoeForCausalLM", WINDOW_NONE, false, false, 0},
    {"granitemoe", "GraniteMoeForCausalLM", WINDOW_NONE, false, false, 0},
};

/* ggml's numbers of types that rafter knows; iq4_nl stores as many bits as q4_0. */
static const struct {
    uint32_t number;
    const char *type; /* NULL: rafter has no such type */
    const char *ggml;
} types[] = {
    {0, "fp32", "F32"},     {1, "fp16", "F16"},    {2, "q4_0", "Q4_0"},    {3, "q4_1", "Q4_1"},
    {6, "q5_0", "Q5_0"},    {7, "q5_1", "Q5_1"},   {8, "q8_0", "Q8_0"},    {10, "q2_k", "Q2_K"},
    {11, "q3_k", "Q3_K"},   {12, "q4_k", "Q4_K"},  {13, "q5_k", "Q5_K"},   {14, "q6_k", "Q6_K"},
    {20, "q4_0", "IQ4_NL"}, {30, "bf16", "BF16"},  {39, "mxfp4", "MXFP4"}, {16, NULL, "IQ2_XXS"},
    {17, NULL, "IQ2_XS"},   {18, NULL, "IQ3_XXS"}, {19, NULL, "IQ1_S"},    {21, NULL, "IQ3_S"},
    {22, NULL, "IQ2_S"},    {23, NULL, "IQ4_XS"},  {29, NULL, "IQ1_M"},
};

/* ---- look-ups ---- */

struct reading {
    const struct gguf_header *header;
    const struct gguf_architecture *architecture;
    struct arena *arena;
    struct diag *diag;
    struct model *model;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct reading *reading, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is the line above
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return diag_error(reading->diag, (struct source_location){reading->header->name, 0, 0}, "%s", message);
}

static const struct gguf_pair *own_pair(const struct reading *reading, const char *key)
{
    char full[KEY_MOST];
    snprintf(full, sizeof full, "%s.%s", reading->architecture->name, key);
    return gguf_pair(reading->header, full);
}

/* A whole number from 0 to 10^9, or that of a layer where the file has a list of them; `fallback` (-1: an
 * error) when the key is not there. */
static int number(const struct reading *reading, const char *key, int layer, int fallback)
{
    const struct gguf_pair *pair = own_pair(reading, key);
    if (pair == NULL) {
        if (fallback < 0)
            fail(reading, "%s.%s: missing, expected a whole number", reading->architecture->name, key);
        return fallback < 0 ? 1 : fallback;
    }
    double value = pair->number;
    bool list = pair->type == GGUF_ARRAY;
    if (list && (pair->numbers == NULL || (size_t)layer >= pair->length))
        value = NAN;
    else if (list)
        value = pair->numbers[layer];
    if (pair->type != GGUF_STRING && value >= 0 && value <= HF_COUNT_MOST && value == floor(value))
        return (int)value;
    fail(reading, "GGUF header, byte %zu: %s: expected a whole number from 0 to %d%s", pair->at, pair->key,
         HF_COUNT_MOST, list ? " for each layer" : "");
    return 1;
}

static const struct gguf_tensor *layer_tensor(const struct reading *reading, int layer, const char *name)
{
    char full[KEY_MOST];
    snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    return gguf_tensor(reading->header, full);
}

static bool there(const struct reading *reading, int layer, const char *name)
{
    return layer_tensor(reading, layer, name) != NULL;
}

/* A size of a layer's tensor; 0 when there is no such tensor. */
static int tensor_size(const struct reading *reading, int layer, const char *name, int axis)
{
    const struct gguf_tensor *tensor = layer_tensor(reading, layer, name);
    return tensor == NULL || tensor->size[axis] > HF_COUNT_MOST ? 0 : (int)tensor->size[axis];
}

/* ---- layers ---- */

/* Of how many layers the last one has no window; 0: none has one. */
static int window_period(const struct reading *reading)
{
    switch (reading->architecture->windows) {
    case WINDOW_ALTERNATE:
        return 2;
    case WINDOW_FIVE_OF_SIX:
        return 6;
    default:
        return 0;
    }
}

/* Files say it by a period or by a flag for each layer, where it is not the architecture's usual one. */
static bool windowed(const struct reading *reading, int layer)
{
    int period = window_period(reading);
    if (period == 0)
        return reading->architecture->windows == WINDOW_ALL;
    const struct gguf_pair *pattern = own_pair(reading, "attention.sliding_window_pattern");
    int value = number(reading, "attention.sliding_window_pattern", layer, period);
    if (pattern != NULL && pattern->type == GGUF_ARRAY)
        return value != 0;
    return value == 0 || layer % value < value - 1;
}

static bool turned(const struct reading *reading, int layer)
{
    int of = reading->architecture->unturned_of;
    return !reading->architecture->no_rope && (of == 0 || layer % of != of - 1);
}

static void read_attention(const struct reading *reading, int layer, struct block_spec *block)
{
    const struct model *model = reading->model;
    int heads = number(reading, "attention.head_count", layer, -1);
    int usual = heads > 0 ? model->hidden / heads : 1;
    int width = number(reading, "attention.key_length", layer, usual);
    int value = number(reading, "attention.value_length", layer, width);
    bool gemma2 = strcmp(reading->architecture->name, "gemma2") == 0;
    int window = number(reading, "attention.sliding_window", layer, gemma2 ? GEMMA2_WINDOW : 0);
    /* where other layers have none, a window of the whole context still tells them apart: Gemma 3's have a
     * RoPE of their own */
    bool bounds = window < model->max_context || window_period(reading) > 0;
    bool fused = there(reading, layer, "attn_qkv.bias");
    block->mixer = MIXER_ATTENTION;
    block->attention = (struct attention_spec){
        .heads = heads,
        .kv_heads = number(reading, "attention.head_count_kv", layer, heads),
        .head_dim = width,
        .v_head_dim = value == width ? 0 : value,
        .rotary_dim = turned(reading, layer) ? number(reading, "rope.dimension_count", layer, width) : 0,
        .window = windowed(reading, layer) && bounds ? window : 0,
        .qkv_bias = fused || there(reading, layer, "attn_q.bias"),
        .o_bias = there(reading, layer, "attn_output.bias"),
        .qk_norm = there(reading, layer, "attn_q_norm.weight"),
        .output_gate = tensor_size(reading, layer, "attn_q.weight", 1) == 2.0 * heads * width,
        .sinks = there(reading, layer, "attn_sinks.weight"),
        .parallel = reading->architecture->parallel,
    };
    block->attention.qk_norm_all_heads =
        block->attention.qk_norm && width > 0 && tensor_size(reading, layer, "attn_q_norm.weight", 0) > width;
}

/* attention.key_length is that of the latent with RoPE, key_length_mla that of a head. */
static void read_mla(const struct reading *reading, int layer, struct block_spec *block)
{
    int rope = number(reading, "rope.dimension_count", layer, -1);
    bool split = own_pair(reading, "attention.key_length_mla") != NULL;
    int key = number(reading, split ? "attention.key_length_mla" : "attention.key_length", layer, -1);
    int value = number(reading, split ? "attention.value_length_mla" : "attention.value_length", layer, -1);
    block->mixer = MIXER_MLA;
    block->mla = (struct mla_spec){.heads = number(reading, "attention.head_count", layer, -1),
                                   .q_lora_rank = number(reading, "attention.q_lora_rank", layer, 0),
                                   .kv_lora_rank = number(reading, "attention.kv_lora_rank", layer, -1),
                                   .qk_nope_head_dim = key - rope,
                                   .qk_rope_head_dim = rope,
                                   .v_head_dim = value};
}

static void read_mamba(const struct reading *reading, int layer, struct block_spec *block)
{
    block->mixer = MIXER_MAMBA1;
    block->mamba = (struct mamba_spec){.inner = number(reading, "ssm.inner_size", layer, -1),
                                       .state = number(reading, "ssm.state_size", layer, -1),
                                       .dt_rank = number(reading, "ssm.time_step_rank", layer, -1),
                                       .conv_width = number(reading, "ssm.conv_kernel", layer, -1),
                                       .conv_bias = there(reading, layer, "ssm_conv1d.bias")};
}

/* The rank of the step is the number of heads. */
static void read_mamba2(const struct reading *reading, int layer, struct block_spec *block)
{
    block->mixer = MIXER_MAMBA2;
    block->mamba = (struct mamba_spec){.inner = number(reading, "ssm.inner_size", layer, -1),
                                       .state = number(reading, "ssm.state_size", layer, -1),
                                       .conv_width = number(reading, "ssm.conv_kernel", layer, -1),
                                       .heads = number(reading, "ssm.time_step_rank", layer, -1),
                                       .groups = number(reading, "ssm.group_count", layer, -1),
                                       .conv_bias = there(reading, layer, "ssm_conv1d.bias")};
}

/* A head's keys are as wide as the state. */
static void read_deltanet(const struct reading *reading, int layer, struct block_spec *block)
{
    int heads = number(reading, "ssm.time_step_rank", layer, -1);
    int values = number(reading, "ssm.inner_size", layer, -1);
    block->mixer = MIXER_GATED_DELTANET;
    block->deltanet = (struct deltanet_spec){.key_heads = number(reading, "ssm.group_count", layer, -1),
                                             .value_heads = heads,
                                             .key_head_dim = number(reading, "ssm.state_size", layer, -1),
                                             .value_head_dim = heads > 0 ? values / heads : 0,
                                             .conv_width = number(reading, "ssm.conv_kernel", layer, -1)};
}

/* Experts lie in one tensor a layer and projection: [in x out x experts]. */
static void read_moe(const struct reading *reading, int layer, struct block_spec *block)
{
    int width = tensor_size(reading, layer, "ffn_up_exps.weight", 1);
    block->ffn = FFN_MOE;
    block->moe = (struct moe_spec){
        .experts = number(reading, "expert_count", layer, -1),
        .top_k = number(reading, "expert_used_count", layer, -1),
        .intermediate = width,
        .shared_intermediate = tensor_size(reading, layer, "ffn_up_shexp.weight", 1),
        .gated = there(reading, layer, "ffn_gate_exps.weight"),
        .bias = there(reading, layer, "ffn_up_exps.bias"),
        .router_bias =
            there(reading, layer, "exp_probs_b.bias") || there(reading, layer, "ffn_gate_inp.bias"),
        .shared_gate = there(reading, layer, "ffn_gate_inp_shexp.weight"),
    };
}

static void read_dense(const struct reading *reading, int layer, struct block_spec *block)
{
    int width = tensor_size(reading, layer, "ffn_down.weight", 0),
        up = tensor_size(reading, layer, "ffn_up.weight", 1);
    block->ffn = FFN_DENSE;
    block->dense = (struct dense_spec){
        .intermediate = width,
        /* Phi-3 and GLM store gate and up projection as one */
        .gated = there(reading, layer, "ffn_gate.weight") || (width > 0 && up == 2 * width),
        .bias = there(reading, layer, "ffn_up.bias"),
    };
}

/* Norms as wide as the model. */
static int count_norms(const struct reading *reading, int layer)
{
    static const char *const names[] = {"attn_norm.weight",        "attn_norm_2.weight",
                                        "ffn_norm.weight",         "post_attention_norm.weight",
                                        "post_ffw_norm.weight",    "attn_output_norm.weight",
                                        "layer_output_norm.weight"};
    int count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        count += there(reading, layer, names[i]);
    return count;
}

/* That of a block like it, else what sets it apart, else its place. */
static const char *layer_name(const struct reading *reading, const struct hf_build *build, int layer,
                              const struct block_spec *block)
{
    const struct model *model = reading->model;
    for (size_t i = 0; i < model->block_count; i++)
        if (model_same_block(&build->blocks[i], block))
            return build->blocks[i].name;
    const char *name = "layer";
    if (reading->architecture->windows >= WINDOW_ALTERNATE)
        name = windowed(reading, layer) ? "local" : "global";
    else if (own_pair(reading, "leading_dense_block_count") != NULL)
        name = block->ffn == FFN_MOE ? "moe_layer" : "dense_layer";
    bool taken = block_index(build->blocks, model->block_count, name) >= 0;
    return taken ? arena_printf(reading->arena, "layer_%d", layer) : name;
}

static bool read_layer(struct reading *reading, struct hf_build *build, int layer)
{
    struct block_spec block = {0};
    if (there(reading, layer, "attn_kv_a_mqa.weight"))
        read_mla(reading, layer, &block);
    else if (there(reading, layer, "ssm_ba.weight") || there(reading, layer, "ssm_beta.weight"))
        read_deltanet(reading, layer, &block);
    else if (there(reading, layer, "ssm_x.weight"))
        read_mamba(reading, layer, &block);
    else if (there(reading, layer, "ssm_in.weight"))
        read_mamba2(reading, layer, &block);
    else if (there(reading, layer, "attn_output.weight"))
        read_attention(reading, layer, &block);
    else
        return fail(reading, "blk.%d.attn_output.weight: missing; the layer has no mixer that is known",
                    layer);
    if (there(reading, layer, "ffn_up_exps.weight"))
        read_moe(reading, layer, &block);
    else if (there(reading, layer, "ffn_gate.0.weight") || there(reading, layer, "ffn_down.0.weight"))
        return fail(reading,
                    "blk.%d.ffn_down.0.weight: experts in a tensor each, expected the newer form, "
                    "ffn_down_exps",
                    layer);
    else if (there(reading, layer, "ffn_down.weight"))
        read_dense(reading, layer, &block);
    int norms = count_norms(reading, layer), usual = 1 + (block.ffn != FFN_NONE);
    block.norms = norms == usual ? 0 : norms;

    const char *name = layer_name(reading, build, layer, &block);
    return name != NULL ? hf_layer(build, name, &block) : fail(reading, "out of memory");
}

/* ---- types ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The matrices of the layers; of routed experts, or not. */
static bool is_matrix(const struct gguf_tensor *tensor, bool experts)
{
    if (strncmp(tensor->name, "blk.", 4) != 0 || tensor->dimensions < 2 ||
        strstr(tensor->name, "ffn_gate_inp") != NULL || strstr(tensor->name, "ssm_conv1d") != NULL ||
        strstr(tensor->name, "ssm_a") != NULL)
        return false;
    return experts == ends_with(tensor->name, "_exps.weight");
}

static bool name_type(const struct reading *reading, uint32_t number_of, struct element_type *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number_of && types[i].type != NULL)
            return element_type_parse(types[i].type, type);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == number_of)
            return fail(reading, "most matrices are of ggml's type %s, which rafter does not know",
                        types[i].ggml);
    return fail(reading, "most matrices are of ggml's type %u, which rafter does not know", number_of);
}

/* The type of most values. true and `type` untouched when there are no such matrices. */
static bool read_type(const struct reading *reading, bool experts, struct element_type *type)
{
    double values[TYPES_MOST] = {0}, all = 0;
    uint32_t most = 0;
    for (size_t i = 0; i < reading->header->tensor_count; i++) {
        const struct gguf_tensor *tensor = &reading->header->tensors[i];
        if (!is_matrix(tensor, experts))
            continue;
        if (tensor->type >= TYPES_MOST)
            return fail(reading, "GGUF header, byte %zu: %s: unknown type %u", tensor->at, tensor->name,
                        tensor->type);
        values[tensor->type] += tensor->elements;
        all += tensor->elements;
    }
    for (uint32_t i = 1; i < TYPES_MOST; i++)
        most = values[i] > values[most] ? i : most;
    if (all == 0)
        return true;
    if (!name_type(reading, most, type))
        return false;
    if (values[most] < 0.8 * all)
        diag_warning(reading->diag, (struct source_location){reading->header->name, 0, 0},
                     "%s: %.0f%% of the %s are of other types and are taken as %s", type->name,
                     100 * (1 - values[most] / all), experts ? "experts" : "matrices", type->name);
    return true;
}

static bool read_types(const struct reading *reading)
{
    struct model *model = reading->model;
    element_type_parse("fp16", &model->weight_type);
    if (!read_type(reading, false, &model->weight_type) || !read_type(reading, true, &model->expert_type))
        return false;
    if (strcmp(model->expert_type.name, model->weight_type.name) == 0)
        model->expert_type = (struct element_type){0};
    /* llama.cpp reads activations as fp16 or wider; a bf16 file is of a bf16 model. */
    bool wide = strcmp(model->weight_type.name, "bf16") == 0 || strcmp(model->weight_type.name, "fp32") == 0;
    return element_type_parse(wide ? model->weight_type.name : "fp16", &model->activation_type);
}

/* ---- the model ---- */

static bool find_architecture(struct reading *reading)
{
    enum { COUNT = sizeof architectures / sizeof *architectures };
    const char *names[COUNT];
    const struct gguf_pair *pair = gguf_pair(reading->header, "general.architecture");
    if (pair == NULL || pair->type != GGUF_STRING || pair->length == 0 || pair->length > 64)
        return fail(reading, "general.architecture: missing, expected a text such as llama");
    const char *found = arena_strndup(reading->arena, pair->string, pair->length);
    for (size_t i = 0; found != NULL && i < COUNT; i++) {
        names[i] = architectures[i].name;
        if (strcmp(architectures[i].name, found) == 0)
            reading->architecture = &architectures[i];
    }
    if (reading->architecture != NULL || found == NULL)
        return found != NULL;
    const char *nearest = suggest_nearest(found, names, COUNT);
    return fail(reading, "GGUF header, byte %zu: general.architecture: unknown architecture \"%s\"%s%s%s",
                pair->at, found, nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "\"?" : "");
}

static bool read_outside(const struct reading *reading)
{
    const struct gguf_header *header = reading->header;
    struct model *model = reading->model;
    const struct gguf_tensor *embedding = gguf_tensor(header, "token_embd.weight");
    const struct gguf_tensor *positions = gguf_tensor(header, "position_embd.weight");
    if (embedding == NULL || embedding->size[1] > HF_COUNT_MOST)
        return fail(reading, "token_embd.weight: missing or too large");
    model->hidden = number(reading, "embedding_length", 0, -1);
    model->vocab = (int)embedding->size[1];
    bool recurrent = strncmp(reading->architecture->name, "mamba", strlen("mamba")) == 0;
    model->max_context = recurrent ? 0 : number(reading, "context_length", 0, -1);
    if (positions != NULL && positions->size[1] <= HF_COUNT_MOST)
        model->learned_positions = (int)positions->size[1];
    model->tied_embeddings = gguf_tensor(header, "output.weight") == NULL;
    model->head_bias = gguf_tensor(header, "output.bias") != NULL;
    model->embedding_norm = gguf_tensor(header, "token_embd_norm.weight") != NULL;
    model->no_final_norm = gguf_tensor(header, "output_norm.weight") == NULL;
    bool layer = own_pair(reading, "attention.layer_norm_epsilon") != NULL;
    model->norm = layer ? NORM_LAYER : NORM_RMS;
    model->norm_bias = layer && gguf_tensor(header, "output_norm.bias") != NULL;
    model->architecture = reading->architecture->class;
    return true;
}

double gguf_parameters(const struct gguf_header *header)
{
    double count = 0;
    for (size_t i = 0; i < header->tensor_count; i++)
        count += header->tensors[i].elements;
    return count;
}

bool gguf_model_read(struct arena *arena, struct diag *diag, const struct gguf_header *header,
                     struct model *model)
{
    struct reading reading = {.header = header, .arena = arena, .diag = diag, .model = model};
    struct hf_build *build = ARENA_NEW(arena, struct hf_build);
    int errors = diag->errors;
    *model = (struct model){0};
    model->blocks = ARENA_ARRAY(arena, struct block_spec, BLOCKS_MOST);
    if (build == NULL || model->blocks == NULL)
        return fail(&reading, "out of memory");
    struct json_file nameless = {.name = header->name};
    *build = (struct hf_build){
        .config = {.file = &nameless, .arena = arena, .diag = diag}, .model = model, .blocks = model->blocks};
    if (!find_architecture(&reading) || !read_outside(&reading))
        return false;
    int layers = number(&reading, "block_count", 0, -1);
    if (layers > LAYERS_MOST)
        return fail(&reading, "%s.block_count: found %d, expected at most %d", reading.architecture->name,
                    layers, LAYERS_MOST);
    /* Prediction layers come last; they are no part of a plain pass. */
    int extra = number(&reading, "nextn_predict_layers", 0, 0);
    for (int layer = 0; layer < layers - extra && diag->errors == errors; layer++)
        if (!read_layer(&reading, build, layer))
            return false;
    if (diag->errors > errors || !read_types(&reading))
        return false;
    return hf_runs(arena, model, build->pattern, build->layers) || fail(&reading, "out of memory");
}
