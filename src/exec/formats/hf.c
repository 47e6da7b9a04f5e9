/* Folders of the Hugging Face Hub: config.json and safetensors; names to roles. The names are those of
 * transformers' modules (https://github.com/huggingface/transformers, src/transformers/models). A tensor for
 * which there is no role is refused: whatever it is for would be left out. */
#include "exec/formats/deltanet_views.h"
#include "exec/formats/hf_hyper.h"
#include "exec/formats/quiet.h"
#include "exec/formats/safetensors.h"
#include "exec/formats/sources.h"
#include "exec/formats/views.h"

#include "base/file.h"
#include "exec/kernels/blocks.h"
#include "spec/json_file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = 64 << 20 };

/* How a tensor becomes one of roles. */
enum split {
    WHOLE,
    NORM,
    EXPERT,
    QKV,
    GATE_UP,
    KV_UP,
    A_LOG,
    DELTA_IN,
    DELTA_GATES,
    TURNED, /* GPT-2's matrices are [in][out] */
    TURNED_QKV,
    QKV_BIAS,
    IGNORED
};

struct known {
    const char *name;
    enum tensor_role role;
    enum split split;
};

static const struct known outside[] = {
    {"embed_tokens.weight", ROLE_EMBEDDING, WHOLE}, {"embeddings.weight", ROLE_EMBEDDING, WHOLE}, /* Mamba */
    {"embedding.weight", ROLE_EMBEDDING, WHOLE},    {"norm.weight", ROLE_FINAL_NORM, NORM},
    {"norm_f.weight", ROLE_FINAL_NORM, NORM},       {"lm_head.weight", ROLE_HEAD, WHOLE},
    {"wte.weight", ROLE_EMBEDDING, WHOLE},          {"wpe.weight", ROLE_POSITIONS, WHOLE}, /* GPT-2 */
    {"ln_f.weight", ROLE_FINAL_NORM, NORM},         {"ln_f.bias", ROLE_FINAL_NORM_BIAS, WHOLE},
};

/* "N" stands for the expert. */
static const struct known inside[] = {
    {"input_layernorm.weight", ROLE_ATTENTION_NORM, NORM},
    {"post_attention_layernorm.weight", ROLE_FFN_NORM, NORM}, /* or POST_ATTENTION_NORM: by the family */
    {"pre_feedforward_layernorm.weight", ROLE_FFN_NORM, NORM},
    {"post_feedforward_layernorm.weight", ROLE_POST_FFN_NORM, NORM},
    {"self_attn.q_proj.weight", ROLE_Q, WHOLE},
    {"self_attn.q_proj.bias", ROLE_Q_BIAS, WHOLE},
    {"self_attn.k_proj.weight", ROLE_K, WHOLE},
    {"self_attn.k_proj.bias", ROLE_K_BIAS, WHOLE},
    {"self_attn.v_proj.weight", ROLE_V, WHOLE},
    {"self_attn.v_proj.bias", ROLE_V_BIAS, WHOLE},
    {"self_attn.o_proj.weight", ROLE_O, WHOLE},
    {"self_attn.o_proj.bias", ROLE_O_BIAS, WHOLE},
    {"self_attn.q_norm.weight", ROLE_Q_NORM, NORM},
    {"self_attn.k_norm.weight", ROLE_K_NORM, NORM},
    {"self_attn.qkv_proj.weight", ROLE_Q, QKV},
    {"self_attn.rotary_emb.inv_freq", ROLE_COUNT, IGNORED},
    {"self_attn.q_a_proj.weight", ROLE_MLA_Q_DOWN, WHOLE},
    {"self_attn.q_a_layernorm.weight", ROLE_MLA_Q_NORM, NORM},
    {"self_attn.q_b_proj.weight", ROLE_MLA_Q_UP, WHOLE},
    {"self_attn.kv_a_proj_with_mqa.weight", ROLE_MLA_KV_DOWN, WHOLE},
    {"self_attn.kv_a_layernorm.weight", ROLE_MLA_KV_NORM, NORM},
    {"self_attn.kv_b_proj.weight", ROLE_MLA_K_UP, KV_UP},
    {"mlp.gate_proj.weight", ROLE_GATE, WHOLE},
    {"mlp.gate_proj.bias", ROLE_GATE_BIAS, WHOLE},
    {"mlp.up_proj.weight", ROLE_UP, WHOLE},
    {"mlp.up_proj.bias", ROLE_UP_BIAS, WHOLE},
    {"mlp.down_proj.weight", ROLE_DOWN, WHOLE},
    {"mlp.down_proj.bias", ROLE_DOWN_BIAS, WHOLE},
    {"mlp.gate_up_proj.weight", ROLE_GATE, GATE_UP},
    {"mlp.gate.weight", ROLE_ROUTER, WHOLE},
    {"mlp.gate.e_score_correction_bias", ROLE_ROUTER_BIAS, WHOLE},
    {"mlp.experts.N.gate_proj.weight", ROLE_EXPERT_GATE, EXPERT},
    {"mlp.experts.N.up_proj.weight", ROLE_EXPERT_UP, EXPERT},
    {"mlp.experts.N.down_proj.weight", ROLE_EXPERT_DOWN, EXPERT},
    {"mlp.shared_experts.gate_proj.weight", ROLE_SHARED_GATE, WHOLE},
    {"mlp.shared_experts.up_proj.weight", ROLE_SHARED_UP, WHOLE},
    {"mlp.shared_experts.down_proj.weight", ROLE_SHARED_DOWN, WHOLE},
    {"mlp.shared_expert.gate_proj.weight", ROLE_SHARED_GATE, WHOLE},
    {"mlp.shared_expert.up_proj.weight", ROLE_SHARED_UP, WHOLE},
    {"mlp.shared_expert.down_proj.weight", ROLE_SHARED_DOWN, WHOLE},
    {"mlp.shared_expert_gate.weight", ROLE_SHARED_SWITCH, WHOLE},
    {"block_sparse_moe.gate.weight", ROLE_ROUTER, WHOLE}, /* Mixtral */
    {"block_sparse_moe.experts.N.w1.weight", ROLE_EXPERT_GATE, EXPERT},
    {"block_sparse_moe.experts.N.w3.weight", ROLE_EXPERT_UP, EXPERT},
    {"block_sparse_moe.experts.N.w2.weight", ROLE_EXPERT_DOWN, EXPERT},
    {"ln_1.weight", ROLE_ATTENTION_NORM, NORM}, /* GPT-2 */
    {"ln_1.bias", ROLE_ATTENTION_NORM_BIAS, WHOLE},
    {"ln_2.weight", ROLE_FFN_NORM, NORM},
    {"ln_2.bias", ROLE_FFN_NORM_BIAS, WHOLE},
    {"attn.bias", ROLE_COUNT, IGNORED}, /* the causal mask */
    {"attn.masked_bias", ROLE_COUNT, IGNORED},
    {"attn.c_attn.weight", ROLE_Q, TURNED_QKV},
    {"attn.c_attn.bias", ROLE_Q_BIAS, QKV_BIAS},
    {"attn.c_proj.weight", ROLE_O, TURNED},
    {"attn.c_proj.bias", ROLE_O_BIAS, WHOLE},
    {"mlp.c_fc.weight", ROLE_UP, TURNED},
    {"mlp.c_fc.bias", ROLE_UP_BIAS, WHOLE},
    {"mlp.c_proj.weight", ROLE_DOWN, TURNED},
    {"mlp.c_proj.bias", ROLE_DOWN_BIAS, WHOLE},
    {"norm.weight", ROLE_ATTENTION_NORM, NORM}, /* Mamba */
    {"mixer.in_proj.weight", ROLE_IN_PROJ, WHOLE},
    {"mixer.conv1d.weight", ROLE_CONV, WHOLE},
    {"mixer.conv1d.bias", ROLE_CONV_BIAS, WHOLE},
    {"mixer.x_proj.weight", ROLE_X_PROJ, WHOLE},
    {"mixer.dt_proj.weight", ROLE_DT_PROJ, WHOLE},
    {"mixer.dt_proj.bias", ROLE_DT_BIAS, WHOLE},
    {"mixer.dt_bias", ROLE_DT_BIAS, WHOLE},
    {"mixer.A_log", ROLE_A, A_LOG},
    {"mixer.D", ROLE_D, WHOLE},
    {"mixer.norm.weight", ROLE_GATED_NORM, WHOLE},
    {"mixer.out_proj.weight", ROLE_OUT_PROJ, WHOLE},
    {"linear_attn.in_proj_qkvz.weight", ROLE_IN_PROJ, DELTA_IN}, /* Qwen3-Next */
    {"linear_attn.in_proj_ba.weight", ROLE_IN_GATES, DELTA_GATES},
    {"linear_attn.conv1d.weight", ROLE_CONV, WHOLE},
    {"linear_attn.dt_bias", ROLE_DT_BIAS, WHOLE},
    {"linear_attn.A_log", ROLE_A, A_LOG},
    {"linear_attn.norm.weight", ROLE_GATED_NORM, WHOLE},
    {"linear_attn.out_proj.weight", ROLE_OUT_PROJ, WHOLE},
};

/* ---- names ---- */

/* Digits at *text, which goes past them; -1: none, or too many. */
static int take_number(const char **text)
{
    int number = 0, digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 6; (*text)++, digits++)
        number = 10 * number + (**text - '0');
    return digits > 0 ? number : -1;
}

/* Whether `name` is `pattern`, a number in place of an N that stands alone; the number in *part. */
static bool matches(const char *name, const char *pattern, int *part)
{
    const char *star = strstr(pattern, ".N.");
    *part = -1;
    if (star == NULL)
        return strcmp(name, pattern) == 0;
    size_t before = (size_t)(star - pattern) + 1;
    if (strncmp(name, pattern, before) != 0)
        return false;
    name += before;
    *part = take_number(&name);
    return *part >= 0 && strcmp(name, star + 2) == 0;
}

static const struct known *look_up(const struct known *known, size_t count, const char *name, int *part)
{
    for (size_t i = 0; i < count; i++)
        if (matches(name, known[i].name, part))
            return &known[i];
    return NULL;
}

static const char *without(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : name;
}

/* ---- tensors that are changed ---- */

struct loading {
    struct weights *weights;
    struct diag *diag;
    const struct hf_family *family;
};

/* Its values in memory of our own, as fp32: -exp(value), or value + 1. */
static bool put_changed(struct loading *loading, enum tensor_role role, int layer, struct tensor tensor,
                        bool negative_exp)
{
    struct weights *weights = loading->weights;
    size_t n = tensor.rows * tensor.cols;
    float *values = ARENA_ARRAY(weights->arena, float, n);
    if (values == NULL)
        return weights_error(weights, loading->diag, "out of memory");
    for (size_t row = 0; row < tensor.rows; row++)
        weights_decode(tensor.type, tensor_row(&tensor, row), tensor.cols, values + row * tensor.cols);
    for (size_t i = 0; i < n; i++)
        values[i] = negative_exp ? -expf(values[i]) : values[i] + 1;
    tensor.type = WEIGHT_F32;
    tensor.data = values;
    return weights_put(weights, loading->diag, role, layer, -1, 1, &tensor);
}

/* Rows become columns. */
static bool put_turned(struct loading *loading, const struct known *known, int layer,
                       const struct tensor *tensor)
{
    struct weights *weights = loading->weights;
    size_t rows = tensor->cols, cols = tensor->rows, size = weight_layouts[tensor->type].block_bytes;
    char *copy = weights_memory(weights, loading->diag, rows * cols * size);
    if (copy == NULL)
        return false;
    struct tensor made = *tensor;
    made.rows = rows;
    made.cols = cols;
    made.data = copy;
    const char *from = tensor->data;
    for (size_t row = 0; row < rows; row++)
        for (size_t col = 0; col < cols; col++)
            memcpy(copy + (row * cols + col) * size, from + (col * rows + row) * size, size);
    return known->split == TURNED ? weights_put(weights, loading->diag, known->role, layer, -1, 1, &made)
                                  : weights_split_qkv(weights, loading->diag, layer, &made, false);
}

static bool put_expert(struct loading *loading, enum tensor_role role, int layer, int part,
                       const struct tensor *tensor)
{
    const struct model *model = &loading->weights->model;
    const struct block_spec *block = layer < model->layers ? &model->blocks[model->pattern[layer]] : NULL;
    if (block == NULL || block->ffn != FFN_MOE)
        return weights_error(loading->weights, loading->diag, "%s: layer %d has no experts", tensor->name,
                             layer);
    return weights_put(loading->weights, loading->diag, role, layer, part, (size_t)block->moe.experts,
                       tensor);
}

static bool put(struct loading *loading, const struct known *known, int layer, int part,
                const struct tensor *tensor)
{
    struct weights *weights = loading->weights;
    enum tensor_role role = known->role;
    if (loading->family->four_norms && strcmp(known->name, "post_attention_layernorm.weight") == 0)
        role = ROLE_POST_ATTENTION_NORM;
    switch (known->split) {
    case NORM:
        if (loading->family->norm_plus_one)
            return put_changed(loading, role, layer, *tensor, false);
        return weights_put(weights, loading->diag, role, layer, -1, 1, tensor);
    case WHOLE:
        return weights_put(weights, loading->diag, role, layer, -1, 1, tensor);
    case EXPERT:
        return put_expert(loading, role, layer, part, tensor);
    case QKV:
        return weights_split_qkv(weights, loading->diag, layer, tensor, false);
    case GATE_UP:
        return weights_split_gate_up(weights, loading->diag, layer, tensor);
    case KV_UP:
        return weights_split_kv_up(weights, loading->diag, layer, tensor);
    case A_LOG:
        return put_changed(loading, role, layer, *tensor, true);
    case DELTA_IN:
        return weights_gather_deltanet(weights, loading->diag, layer, tensor);
    case DELTA_GATES:
        return weights_gather_deltanet_gates(weights, loading->diag, layer, tensor);
    case TURNED:
    case TURNED_QKV:
        return put_turned(loading, known, layer, tensor);
    case QKV_BIAS:
        return weights_split_qkv(weights, loading->diag, layer, tensor, true);
    case IGNORED:
        return true;
    }
    return false;
}

/* ---- the folder ---- */

/* Layers of prediction are "mtp.", or come behind the model's; a plain pass has no use for them. */
static bool place(struct loading *loading, const struct safetensor *found)
{
    const struct model *model = &loading->weights->model;
    const char *name = without(without(found->tensor.name, "model."), "backbone."), *rest = name;
    int layer = -1, part;
    name = without(name, "transformer.");
    if (strncmp(name, "layers.", 7) == 0 || strncmp(name, "h.", 2) == 0) {
        rest = strchr(name, '.') + 1;
        layer = take_number(&rest);
        rest += *rest == '.';
    }
    if (model->mtp != NULL && (layer >= model->layers || strncmp(name, "mtp.", 4) == 0))
        return true;
    const struct known *known = layer < 0 ? look_up(outside, sizeof outside / sizeof *outside, name, &part)
                                          : look_up(inside, sizeof inside / sizeof *inside, rest, &part);
    if (known == NULL)
        return weights_error(loading->weights, loading->diag, "%s: not known what it is for",
                             found->tensor.name);
    if (known->split == IGNORED)
        return true;
    if (found->tensor.type == WEIGHT_TYPE_COUNT)
        return weights_error(loading->weights, loading->diag,
                             "%s: values of %s are not run, expected F32, F16 or BF16", found->tensor.name,
                             found->dtype);
    struct weights_slot *slot = weights_slot(loading->weights, known->role, layer < 0 ? 0 : layer);
    bool twice = slot != NULL && known->split == WHOLE && slot->tensor.data != NULL;
    if (twice ||
        (slot != NULL && part >= 0 && (size_t)part < slot->part_count && slot->parts[part].data != NULL))
        return weights_error(loading->weights, loading->diag, "%s: there twice", found->tensor.name);
    return put(loading, known, layer < 0 ? 0 : layer, part, &found->tensor);
}

/* A file of the folder in path[PATH_MAX]; false with diag: too long. */
static bool join(const struct weights *weights, struct diag *diag, const char *name, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/%s", weights->path, name);
    return (length > 0 && length < PATH_MAX) || weights_error(weights, diag, "the path is too long");
}

static bool load_file(struct loading *loading, const char *name)
{
    struct weights *weights = loading->weights;
    char path[PATH_MAX];
    struct safetensors file;
    size_t length;
    if (!join(weights, loading->diag, name, path))
        return false;
    const char *bytes = weights_map(weights, loading->diag, path, &length);
    if (bytes == NULL || !safetensors_parse(&file, weights->arena, loading->diag, path, bytes, length))
        return false;
    for (size_t i = 0; i < file.count; i++)
        if (!place(loading, &file.tensors[i]))
            return false;
    return true;
}

static bool load_files(struct loading *loading)
{
    struct weights *weights = loading->weights;
    char path[PATH_MAX];
    const char **files = NULL;
    size_t length, count = 0;
    if (!join(weights, loading->diag, "model.safetensors.index.json", path))
        return false;
    if (access(path, F_OK) != 0)
        return load_file(loading, "model.safetensors");
    const char *text = file_read(weights->arena, loading->diag, path, TEXT_MOST, &length);
    if (text == NULL || !safetensors_index(weights->arena, loading->diag, path, text, length, &files, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!load_file(loading, files[i]))
            return false;
    return true;
}

static bool read_config(struct loading *loading)
{
    struct weights *weights = loading->weights;
    char path[PATH_MAX];
    size_t length;
    if (!join(weights, loading->diag, "config.json", path))
        return false;
    const char *text = file_read(weights->arena, loading->diag, path, JSON_BYTES_MOST, &length);
    if (text == NULL ||
        !model_import_quietly(weights->arena, loading->diag, path, text, length, &weights->model))
        return false;
    const char *architecture = weights->model.architecture;
    loading->family = hf_family_find(architecture);
    if (loading->family == NULL)
        return weights_error(weights, loading->diag, "%s is not run by the reference executor",
                             architecture != NULL ? architecture : "this architecture");
    return hf_hyper(&weights->hyper, weights->arena, loading->diag, loading->family, &weights->model, path,
                    text, length);
}

static bool find_tokenizer(struct weights *weights, struct diag *diag)
{
    char path[PATH_MAX];
    if (!join(weights, diag, "tokenizer.json", path))
        return false;
    if (access(path, R_OK) == 0)
        weights->tokenizer_path = arena_strdup(weights->arena, path);
    return true;
}

struct weights *safetensors_open(struct arena *arena, struct diag *diag, const char *path)
{
    struct loading loading = {.weights = weights_table_new(arena, diag, path), .diag = diag};
    if (loading.weights == NULL)
        return NULL;
    if (read_config(&loading) && weights_table_slots(loading.weights, diag) && load_files(&loading) &&
        weights_check(loading.weights, diag) && find_tokenizer(loading.weights, diag))
        return loading.weights;
    weights_close(loading.weights);
    return NULL;
}
