/* quantization_config to element types. */
#include "spec/hf_build.h"

#include <string.h>

/* What a quantization_config comes to; NULL: as the unquantised checkpoint has it. */
struct types {
    const char *weights, *activations;
    bool experts_only; /* the routed experts alone are quantised */
};

struct method {
    const char *name; /* quant_method */
    bool (*read)(const struct hf_object *config, struct types *types);
};

/* int4-g128; a group of -1 is a whole row. */
static const char *integer_type(const struct hf_object *config, const char *key, int bits, int group)
{
    struct element_type type;
    const char *name = group > 0 ? arena_printf(config->arena, "int%d-g%d", bits, group)
                                 : arena_printf(config->arena, "int%d", bits);
    if (name != NULL && element_type_parse(name, &type))
        return name;
    hf_error(config, key,
             "no element type has %d bits in groups of %d; expected 2 to 8 bits, groups of 16 to 4096", bits,
             group);
    return NULL;
}

/* hf_int, but -1 counts as 0: one group a row. */
static int group_size(const struct hf_object *config, const char *key, int fallback)
{
    const json_t *value = json_object_get(config->object, key);
    if (json_is_integer(value) && json_integer_value(value) == -1)
        return 0;
    return hf_int(config, key, fallback);
}

static bool read_gptq(const struct hf_object *config, struct types *types)
{
    types->weights =
        integer_type(config, "bits", hf_need(config, "bits"), group_size(config, "group_size", 128));
    return types->weights != NULL;
}

static bool read_awq(const struct hf_object *config, struct types *types)
{
    const char *group = hf_has(config, "q_group_size") ? "q_group_size" : "group_size";
    types->weights =
        integer_type(config, "bits", hf_int(config, "bits|w_bit", 4), group_size(config, group, 128));
    return types->weights != NULL;
}

/* Blocks of 128 x 128 are the ones that kernels know. */
static bool is_128_block(const json_t *block)
{
    return json_array_size(block) == 2 && json_integer_value(json_array_get(block, 0)) == 128 &&
           json_integer_value(json_array_get(block, 1)) == 128;
}

static bool read_fp8(const struct hf_object *config, struct types *types)
{
    const json_t *block = hf_list(config, "weight_block_size");
    if (block != NULL && !is_128_block(block))
        return hf_error(config, "weight_block_size", "expected [128, 128]");
    types->weights = types->activations = block != NULL ? "fp8-block" : "fp8";
    return true;
}

static bool read_fbgemm(const struct hf_object *config, struct types *types)
{
    (void)config;
    types->weights = types->activations = "fp8-channel";
    return true;
}

static bool read_mxfp4(const struct hf_object *config, struct types *types)
{
    (void)config;
    types->weights = "mxfp4";
    types->experts_only = true;
    return true;
}

/* nf4: 4-bit codes, a scale for 64 of them; int4-g64 stores as much but for the zero points. */
static bool read_bitsandbytes(const struct hf_object *config, struct types *types)
{
    bool four = hf_bool(config, "load_in_4bit|_load_in_4bit", false);
    bool eight = hf_bool(config, "load_in_8bit|_load_in_8bit", false);
    if (four == eight)
        return hf_error(config, "load_in_4bit", "expected load_in_4bit or load_in_8bit to be true");
    if (four)
        hf_warning(config, "load_in_4bit", "%s is taken as int4-g64",
                   hf_text(config, "bnb_4bit_quant_type", "fp4"));
    types->weights = four ? "int4-g64" : "int8";
    return true;
}

static bool read_bitnet(const struct hf_object *config, struct types *types)
{
    (void)config;
    types->weights = "ternary";
    types->activations = "int8";
    return true;
}

static bool read_modelopt(const struct hf_object *config, struct types *types)
{
    struct hf_object inner = *config;
    hf_part(config, "quantization", false, &inner);
    const char *algorithm = hf_text(&inner, "quant_algo", "");
    if (strcmp(algorithm, "FP8") == 0)
        types->weights = types->activations = "fp8";
    else if (strcmp(algorithm, "NVFP4") == 0 || strcmp(algorithm, "FP4") == 0)
        types->weights = types->activations = "nvfp4";
    else if (strcmp(algorithm, "W4A16_AWQ") == 0)
        types->weights = "int4-g128";
    else
        return hf_error(&inner, "quant_algo", "found \"%s\", expected FP8, NVFP4 or W4A16_AWQ", algorithm);
    return true;
}

/* One side of a compressed-tensors group: {num_bits, type, strategy, group_size, block_structure}. */
static const char *compressed_type(const struct hf_object *side)
{
    int bits = hf_need(side, "num_bits"), group = group_size(side, "group_size", 0);
    const char *kind = hf_text(side, "type", "int"), *strategy = hf_text(side, "strategy", "tensor");
    bool grouped = strcmp(strategy, "group") == 0 || strcmp(strategy, "tensor_group") == 0;
    if (strcmp(kind, "float") == 0 && bits == 8) {
        if (grouped && group == 32)
            return "mxfp8";
        if (strcmp(strategy, "block") == 0 || grouped)
            return "fp8-block";
        return strcmp(strategy, "tensor") == 0 ? "fp8" : "fp8-channel";
    }
    if (strcmp(kind, "float") == 0 && bits == 4 && (group == 16 || group == 32))
        return group == 16 ? "nvfp4" : "mxfp4";
    if (strcmp(kind, "int") == 0 && bits == 8 && !grouped)
        return strcmp(strategy, "tensor") == 0 ? "int8-tensor" : "int8";
    if (strcmp(kind, "int") == 0)
        return integer_type(side, "num_bits", bits, grouped ? group : 0);
    hf_error(side, "num_bits", "no element type for %d-bit %s", bits, kind);
    return NULL;
}

/* Kimi K2 leaves attention, shared experts and dense layers alone: what is quantised are the routed experts.
 */
static bool ignores_attention(const struct hf_object *config)
{
    size_t i;
    json_t *item;
    json_array_foreach(hf_list(config, "ignore"), i, item)
    {
        const char *text = json_string_value(item);
        if (text != NULL && (strstr(text, "re:.*self_attn") != NULL || strcmp(text, "self_attn") == 0))
            return true;
    }
    return false;
}

static bool read_compressed(const struct hf_object *config, struct types *types)
{
    struct hf_object groups, group, weights, activations;
    if (!hf_part(config, "config_groups", false, &groups))
        return hf_error(config, "config_groups", "missing, expected an object {...}");
    if (!hf_part(&groups, "group_0", false, &group))
        return hf_error(&groups, "group_0", "missing, expected an object {...}");
    if (json_object_size(groups.object) > 1)
        hf_warning(&groups, "group_0", "the first of %zu groups is taken for all",
                   json_object_size(groups.object));
    if (!hf_part(&group, "weights", false, &weights))
        return hf_error(&group, "weights", "missing, expected an object {...}");
    types->weights = compressed_type(&weights);
    types->experts_only = ignores_attention(config);
    if (hf_part(&group, "input_activations", false, &activations))
        types->activations = compressed_type(&activations);
    return types->weights != NULL;
}

static const struct method methods[] = {
    {"gptq", read_gptq},         {"awq", read_awq},           {"fp8", read_fp8},
    {"fbgemm_fp8", read_fbgemm}, {"mxfp4", read_mxfp4},       {"bitsandbytes", read_bitsandbytes},
    {"bitnet", read_bitnet},     {"modelopt", read_modelopt}, {"compressed-tensors", read_compressed},
};

/* A bitsandbytes config of its own may leave its name out. */
static bool read_method(const struct hf_object *config, struct types *types)
{
    const char *name =
        hf_text(config, "quant_method", hf_has(config, "load_in_4bit|load_in_8bit") ? "bitsandbytes" : "");
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].read(config, types);
    return hf_error(
        config, "quant_method",
        "found \"%s\", expected gptq, awq, fp8, fbgemm_fp8, mxfp4, bitsandbytes, bitnet, modelopt or "
        "compressed-tensors",
        name);
}

/* Files without torch_dtype are nearly always of bf16 models. */
static bool read_dtype(const struct hf_object *root, const struct hf_object *text, struct model *model)
{
    const char *name = hf_text(text, "torch_dtype|dtype", NULL);
    if (name == NULL)
        name = hf_text(root, "torch_dtype|dtype", NULL);
    if (name == NULL)
        hf_warning(root, "torch_dtype", "missing; taken as bfloat16");
    const char *type = name == NULL ? "bf16" : strncmp(name, "torch.", 6) == 0 ? name + 6 : name;
    if (!element_type_parse(type, &model->weight_type))
        return hf_error(root, "torch_dtype", "unknown element type \"%s\"", type);
    model->activation_type = model->weight_type;
    return true;
}

static bool has_experts(const struct model *model)
{
    for (size_t i = 0; i < model->block_count; i++)
        if (model->blocks[i].ffn == FFN_MOE)
            return true;
    return false;
}

bool hf_quantization(const struct hf_object *root, const struct hf_object *text, struct model *model)
{
    struct hf_object config;
    struct types types = {0};
    bool stated = model->weight_type.name[0] != '\0'; /* by the architecture */
    if (!stated && !read_dtype(root, text, model))
        return false;
    if (!hf_part(root, "quantization_config", false, &config) &&
        !hf_part(text, "quantization_config", false, &config))
        return true;
    if (!read_method(&config, &types))
        return false;
    bool experts_only = types.experts_only && has_experts(model);
    element_type_parse(types.weights, experts_only ? &model->expert_type : &model->weight_type);
    if (types.activations != NULL && !experts_only)
        element_type_parse(types.activations, &model->activation_type);
    return true;
}
