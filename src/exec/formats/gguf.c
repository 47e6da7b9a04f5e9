/* GGUF files: names to roles. The names are those of gguf-py/gguf/constants.py of
 * https://github.com/ggml-org/llama.cpp. A tensor for which there is no role is refused: whatever it is for
 * would be left out. */
#include "exec/formats/deltanet_views.h"
#include "exec/formats/gguf_data.h"
#include "exec/formats/gguf_hyper.h"
#include "exec/formats/quiet.h"
#include "exec/formats/sources.h"
#include "exec/formats/views.h"

#include <stdio.h>
#include <string.h>

/* How a tensor becomes one of roles. */
enum split { WHOLE, EXPERTS, QKV, QKV_BIAS, KV_UP, K_UP_TURNED, UP_OR_BOTH, IN, GATES, BETA, DECAY };

struct known {
    const char *name;
    enum tensor_role role;
    enum split split;
};

static const struct known outside[] = {
    {"token_embd.weight", ROLE_EMBEDDING, WHOLE},
    {"position_embd.weight", ROLE_POSITIONS, WHOLE},
    {"token_embd_norm.weight", ROLE_EMBEDDING_NORM, WHOLE},
    {"token_embd_norm.bias", ROLE_EMBEDDING_NORM_BIAS, WHOLE},
    {"output_norm.weight", ROLE_FINAL_NORM, WHOLE},
    {"output_norm.bias", ROLE_FINAL_NORM_BIAS, WHOLE},
    {"output.weight", ROLE_HEAD, WHOLE},
    {"output.bias", ROLE_HEAD_BIAS, WHOLE},
    {"rope_freqs.weight", ROLE_ROPE_FACTORS, WHOLE},
    {"rope_factors_short.weight", ROLE_ROPE_FACTORS, WHOLE},
    {"rope_factors_long.weight", ROLE_ROPE_FACTORS_LONG, WHOLE},
};

static const struct known inside[] = {
    {"attn_norm.weight", ROLE_ATTENTION_NORM, WHOLE},
    {"attn_norm.bias", ROLE_ATTENTION_NORM_BIAS, WHOLE},
    {"attn_norm_2.weight", ROLE_ATTENTION_NORM, WHOLE},
    {"attn_norm_2.bias", ROLE_ATTENTION_NORM_BIAS, WHOLE},
    {"attn_q.weight", ROLE_Q, WHOLE},
    {"attn_q.bias", ROLE_Q_BIAS, WHOLE},
    {"attn_k.weight", ROLE_K, WHOLE},
    {"attn_k.bias", ROLE_K_BIAS, WHOLE},
    {"attn_v.weight", ROLE_V, WHOLE},
    {"attn_v.bias", ROLE_V_BIAS, WHOLE},
    {"attn_qkv.weight", ROLE_Q, QKV},
    {"attn_qkv.bias", ROLE_Q_BIAS, QKV_BIAS},
    {"attn_output.weight", ROLE_O, WHOLE},
    {"attn_output.bias", ROLE_O_BIAS, WHOLE},
    {"attn_q_norm.weight", ROLE_Q_NORM, WHOLE},
    {"attn_k_norm.weight", ROLE_K_NORM, WHOLE},
    {"post_attention_norm.weight", ROLE_POST_ATTENTION_NORM, WHOLE},
    {"attn_q_a.weight", ROLE_MLA_Q_DOWN, WHOLE},
    {"attn_q_a_norm.weight", ROLE_MLA_Q_NORM, WHOLE},
    {"attn_q_b.weight", ROLE_MLA_Q_UP, WHOLE},
    {"attn_kv_a_mqa.weight", ROLE_MLA_KV_DOWN, WHOLE},
    {"attn_kv_a_norm.weight", ROLE_MLA_KV_NORM, WHOLE},
    {"attn_kv_b.weight", ROLE_MLA_K_UP, KV_UP},
    {"attn_k_b.weight", ROLE_MLA_K_UP, K_UP_TURNED},
    {"attn_v_b.weight", ROLE_MLA_V_UP, WHOLE},
    {"ffn_norm.weight", ROLE_FFN_NORM, WHOLE},
    {"ffn_norm.bias", ROLE_FFN_NORM_BIAS, WHOLE},
    {"ffn_gate.weight", ROLE_GATE, WHOLE},
    {"ffn_gate.bias", ROLE_GATE_BIAS, WHOLE},
    {"ffn_up.weight", ROLE_UP, UP_OR_BOTH},
    {"ffn_up.bias", ROLE_UP_BIAS, WHOLE},
    {"ffn_down.weight", ROLE_DOWN, WHOLE},
    {"ffn_down.bias", ROLE_DOWN_BIAS, WHOLE},
    {"post_ffw_norm.weight", ROLE_POST_FFN_NORM, WHOLE},
    {"ffn_gate_inp.weight", ROLE_ROUTER, WHOLE},
    {"exp_probs_b.bias", ROLE_ROUTER_BIAS, WHOLE},
    {"ffn_gate_exps.weight", ROLE_EXPERT_GATE, EXPERTS},
    {"ffn_up_exps.weight", ROLE_EXPERT_UP, EXPERTS},
    {"ffn_down_exps.weight", ROLE_EXPERT_DOWN, EXPERTS},
    {"ffn_gate_shexp.weight", ROLE_SHARED_GATE, WHOLE},
    {"ffn_up_shexp.weight", ROLE_SHARED_UP, WHOLE},
    {"ffn_down_shexp.weight", ROLE_SHARED_DOWN, WHOLE},
    {"ffn_gate_inp_shexp.weight", ROLE_SHARED_SWITCH, WHOLE},
    {"attn_gate.weight", ROLE_IN_Z, WHOLE},
    {"ssm_in.weight", ROLE_IN_PROJ, IN},
    {"ssm_ba.weight", ROLE_IN_GATES, GATES},
    {"ssm_beta.weight", ROLE_IN_GATES, BETA},
    {"ssm_alpha.weight", ROLE_IN_GATES, DECAY},
    {"ssm_conv1d.weight", ROLE_CONV, WHOLE},
    {"ssm_conv1d.bias", ROLE_CONV_BIAS, WHOLE},
    {"ssm_x.weight", ROLE_X_PROJ, WHOLE},
    {"ssm_dt.weight", ROLE_DT_PROJ, WHOLE},
    {"ssm_dt.bias", ROLE_DT_BIAS, WHOLE},
    {"ssm_a", ROLE_A, WHOLE},
    {"ssm_d", ROLE_D, WHOLE},
    {"ssm_norm.weight", ROLE_GATED_NORM, WHOLE},
    {"ssm_out.weight", ROLE_OUT_PROJ, WHOLE},
};

static const struct known *look_up(const struct known *known, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

/* "blk.12.rest": the layer, and *rest; -1: not of that form. */
static int layer_of(const char *name, const char **rest)
{
    int layer = 0, digits = 0;
    if (strncmp(name, "blk.", 4) != 0)
        return -1;
    for (name += 4; *name >= '0' && *name <= '9' && digits < 6; name++, digits++)
        layer = 10 * layer + (*name - '0');
    *rest = name + 1;
    return digits > 0 && *name == '.' ? layer : -1;
}

static enum mixer_kind mixer_of(const struct weights *weights, int layer)
{
    const struct model *model = &weights->model;
    return layer < model->layers ? model->blocks[model->pattern[layer]].mixer : MIXER_NONE;
}

/* NULL: the file has none. */
static const struct tensor *find(const struct weights *weights, int layer, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "blk.%d.%s", layer, name);
    const struct gguf_tensor *entry = gguf_tensor(weights->gguf, full);
    return entry != NULL ? &weights->gguf_tensors[entry - weights->gguf->tensors] : NULL;
}

static bool there(const struct weights *weights, int layer, const char *name)
{
    return find(weights, layer, name) != NULL;
}

/* What a norm's name stands for depends on the layer's others: behind attention and before the feed-forward
 * are one place where nothing but a sum lies between (GLM-4.5); of Falcon's two the first is the
 * feed-forward's. */
static enum tensor_role role_of(const struct weights *weights, const struct known *known, int layer)
{
    bool two = there(weights, layer, "attn_norm_2.weight") && strncmp(known->name, "attn_norm.", 10) == 0;
    bool only = !there(weights, layer, "ffn_norm.weight") && !there(weights, layer, "post_ffw_norm.weight");
    if (known->role == ROLE_POST_ATTENTION_NORM && only)
        return ROLE_FFN_NORM;
    if (two)
        return known->role == ROLE_ATTENTION_NORM ? ROLE_FFN_NORM : ROLE_FFN_NORM_BIAS;
    return known->role;
}

/* A head's A and D, and a group's norms, lie in rows; they are vectors to us. */
static bool put_whole(struct weights *weights, struct diag *diag, const struct known *known, int layer,
                      const struct tensor *tensor)
{
    struct tensor vector = *tensor;
    if (mixer_of(weights, layer) == MIXER_MAMBA2 &&
        (known->role == ROLE_A || known->role == ROLE_D || known->role == ROLE_GATED_NORM)) {
        vector.cols *= vector.rows;
        vector.rows = 1;
    }
    return weights_put(weights, diag, role_of(weights, known, layer), layer, -1, 1, &vector);
}

/* Phi-3 has both projections under this name. */
static bool put_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *tensor)
{
    const struct model *model = &weights->model;
    const struct block_spec *block = layer < model->layers ? &model->blocks[model->pattern[layer]] : NULL;
    if (block != NULL && block->ffn == FFN_DENSE && block->dense.gated &&
        tensor->rows == 2 * (size_t)block->dense.intermediate)
        return weights_split_gate_up(weights, diag, layer, tensor);
    return weights_put(weights, diag, ROLE_UP, layer, -1, 1, tensor);
}

static bool put_gates(struct weights *weights, struct diag *diag, int layer, const struct tensor *beta)
{
    const struct tensor *decay = find(weights, layer, "ssm_alpha.weight");
    return decay != NULL
               ? weights_join_deltanet_gates(weights, diag, layer, beta, decay)
               : weights_error(weights, diag, "%s: there is no ssm_alpha.weight beside it", beta->name);
}

static bool put(struct weights *weights, struct diag *diag, const struct known *known, int layer,
                const struct tensor *tensor)
{
    switch (known->split) {
    case WHOLE:
        return put_whole(weights, diag, known, layer, tensor);
    case EXPERTS:
        return weights_split_experts(weights, diag, known->role, layer, tensor);
    case IN: /* older files of Qwen3-Next have all of it by key head */
        if (mixer_of(weights, layer) == MIXER_GATED_DELTANET)
            return weights_gather_deltanet(weights, diag, layer, tensor);
        return put_whole(weights, diag, known, layer, tensor);
    case GATES:
        return weights_gather_deltanet_gates(weights, diag, layer, tensor);
    case BETA:
        return put_gates(weights, diag, layer, tensor);
    case DECAY: /* beta brings it along */
        return true;
    case QKV:
        if (mixer_of(weights, layer) == MIXER_GATED_DELTANET)
            return weights_put(weights, diag, ROLE_IN_PROJ, layer, -1, 1, tensor);
        return weights_split_qkv(weights, diag, layer, tensor, false);
    case QKV_BIAS:
        return weights_split_qkv(weights, diag, layer, tensor, true);
    case KV_UP:
        return weights_split_kv_up(weights, diag, layer, tensor);
    case K_UP_TURNED:
        return weights_turn_k_up(weights, diag, layer, tensor);
    case UP_OR_BOTH:
        return put_up(weights, diag, layer, tensor);
    }
    return false;
}

/* Layers of prediction come behind the model's; a plain pass has no use for them. */
static bool place(struct weights *weights, struct diag *diag, const struct tensor *tensor, bool predicts)
{
    const char *rest = "";
    int layer = layer_of(tensor->name, &rest);
    const struct known *known = layer < 0 ? look_up(outside, sizeof outside / sizeof *outside, tensor->name)
                                          : look_up(inside, sizeof inside / sizeof *inside, rest);
    if (layer >= weights->model.layers && predicts)
        return true;
    if (known == NULL)
        return weights_error(weights, diag, "%s: not known what it is for", tensor->name);
    return put(weights, diag, known, layer < 0 ? 0 : layer, tensor);
}

static bool predicts(const struct gguf_header *header)
{
    for (size_t i = 0; i < header->pair_count; i++) {
        const char *dot = strchr(header->pairs[i].key, '.');
        if (dot != NULL && strcmp(dot, ".nextn_predict_layers") == 0)
            return header->pairs[i].number > 0;
    }
    return false;
}

static bool read(struct weights *weights, struct diag *diag)
{
    size_t length;
    struct gguf_header *header = weights->gguf = ARENA_NEW(weights->arena, struct gguf_header);
    const char *bytes = weights_map(weights, diag, weights->path, &length);
    if (bytes == NULL || header == NULL)
        return bytes == NULL ? false : weights_error(weights, diag, "out of memory");
    if (!gguf_is(bytes, length))
        return weights_error(weights, diag, "expected a GGUF file, or a folder with safetensors");
    size_t head = length < GGUF_BYTES_MOST ? length : GGUF_BYTES_MOST;
    if (!gguf_header_parse(header, weights->arena, diag, weights->path, bytes, head) ||
        !model_import_quietly(weights->arena, diag, weights->path, bytes, head, &weights->model) ||
        !gguf_hyper(&weights->hyper, diag, header, &weights->model))
        return false;
    struct tensor *tensors = weights->gguf_tensors =
        gguf_tensors(weights->arena, diag, header, bytes, length);
    if (tensors == NULL || !weights_table_slots(weights, diag))
        return false;
    bool more = predicts(header);
    for (size_t i = 0; i < header->tensor_count; i++)
        if (!place(weights, diag, &tensors[i], more))
            return false;
    return weights_check(weights, diag);
}

struct weights *gguf_open(struct arena *arena, struct diag *diag, const char *path)
{
    struct weights *weights = weights_table_new(arena, diag, path);
    if (weights == NULL || read(weights, diag))
        return weights;
    weights_close(weights);
    return NULL;
}
