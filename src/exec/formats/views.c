#include "exec/formats/views.h"

#include "exec/kernels/blocks.h"

#include <string.h>

struct tensor tensor_rows(const struct tensor *tensor, size_t from, size_t rows)
{
    struct tensor view = *tensor;
    view.data = tensor_row(tensor, from);
    view.rows = rows;
    return view;
}

struct tensor vector_part(const struct tensor *vector, size_t from, size_t n)
{
    struct tensor view = *vector;
    view.data = (const char *)vector->data + weight_row_bytes(vector->type, from);
    view.cols = n;
    return view;
}

static const struct block_spec *block_of(const struct weights *weights, int layer)
{
    return layer >= 0 && layer < weights->model.layers ? &weights->model.blocks[weights->model.pattern[layer]]
                                                       : NULL;
}

static bool odd(const struct weights *weights, struct diag *diag, const struct tensor *tensor,
                const char *expected)
{
    return weights_error(weights, diag, "%s: is %zu x %zu, expected %s", tensor->name, tensor->rows,
                         tensor->cols, expected);
}

bool weights_split_qkv(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused,
                       bool bias)
{
    static const enum tensor_role matrices[] = {ROLE_Q, ROLE_K, ROLE_V};
    static const enum tensor_role biases[] = {ROLE_Q_BIAS, ROLE_K_BIAS, ROLE_V_BIAS};
    const struct block_spec *block = block_of(weights, layer);
    if (block == NULL || block->mixer != MIXER_ATTENTION)
        return weights_error(weights, diag, "%s: layer %d has no attention", fused->name, layer);
    const struct attention_spec *spec = &block->attention;
    size_t value = (size_t)(spec->v_head_dim > 0 ? spec->v_head_dim : spec->head_dim), at = 0;
    size_t rows[] = {(size_t)spec->heads * (size_t)spec->head_dim,
                     (size_t)spec->kv_heads * (size_t)spec->head_dim, (size_t)spec->kv_heads * value};
    if ((bias ? fused->cols : fused->rows) != rows[0] + rows[1] + rows[2] ||
        (bias && weight_layouts[fused->type].block_values > 1))
        return odd(weights, diag, fused, "the rows of q, k and v");
    for (int i = 0; i < 3; i++) {
        struct tensor part = bias ? vector_part(fused, at, rows[i]) : tensor_rows(fused, at, rows[i]);
        if (!weights_put(weights, diag, bias ? biases[i] : matrices[i], layer, -1, 1, &part))
            return false;
        at += rows[i];
    }
    return true;
}

bool weights_split_gate_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused)
{
    if (fused->rows % 2 != 0)
        return odd(weights, diag, fused, "as many rows of the gate as of up");
    struct tensor gate = tensor_rows(fused, 0, fused->rows / 2);
    struct tensor up = tensor_rows(fused, fused->rows / 2, fused->rows / 2);
    return weights_put(weights, diag, ROLE_GATE, layer, -1, 1, &gate) &&
           weights_put(weights, diag, ROLE_UP, layer, -1, 1, &up);
}

bool weights_split_experts(struct weights *weights, struct diag *diag, enum tensor_role role, int layer,
                           const struct tensor *stacked)
{
    const struct block_spec *block = block_of(weights, layer);
    if (block == NULL || block->ffn != FFN_MOE)
        return weights_error(weights, diag, "%s: layer %d has no experts", stacked->name, layer);
    size_t experts = (size_t)block->moe.experts;
    if (experts == 0 || stacked->rows % experts != 0)
        return odd(weights, diag, stacked, "as many rows of each expert");
    for (size_t i = 0; i < experts; i++) {
        struct tensor expert = tensor_rows(stacked, i * (stacked->rows / experts), stacked->rows / experts);
        if (!weights_put(weights, diag, role, layer, (int)i, experts, &expert))
            return false;
    }
    return true;
}

/* The layer's MLA; NULL with diag: it has none, or none of these rows. */
static const struct mla_spec *mla_of(const struct weights *weights, struct diag *diag, int layer,
                                     const struct tensor *tensor)
{
    const struct block_spec *block = block_of(weights, layer);
    if (block != NULL && block->mixer == MIXER_MLA && block->mla.heads > 0)
        return &block->mla;
    weights_error(weights, diag, "%s: layer %d has no latent attention", tensor->name, layer);
    return NULL;
}

bool weights_split_kv_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *fused)
{
    const struct mla_spec *spec = mla_of(weights, diag, layer, fused);
    if (spec == NULL)
        return false;
    size_t heads = (size_t)spec->heads, nope = (size_t)spec->qk_nope_head_dim,
           value = (size_t)spec->v_head_dim, row = weight_row_bytes(fused->type, fused->cols);
    if (fused->rows != heads * (nope + value))
        return odd(weights, diag, fused, "the rows of all heads' keys and values");
    char *copy = weights_memory(weights, diag, fused->rows * row);
    if (copy == NULL)
        return false;
    struct tensor keys = *fused, values = *fused;
    keys.rows = heads * nope;
    keys.data = copy;
    values.rows = heads * value;
    values.data = copy + keys.rows * row;
    for (size_t head = 0; head < heads; head++) {
        const char *from = tensor_row(fused, head * (nope + value));
        memcpy(copy + head * nope * row, from, nope * row);
        memcpy(copy + (keys.rows + head * value) * row, from + nope * row, value * row);
    }
    return weights_put(weights, diag, ROLE_MLA_K_UP, layer, -1, 1, &keys) &&
           weights_put(weights, diag, ROLE_MLA_V_UP, layer, -1, 1, &values);
}

bool weights_turn_k_up(struct weights *weights, struct diag *diag, int layer, const struct tensor *turned)
{
    const struct mla_spec *spec = mla_of(weights, diag, layer, turned);
    if (spec == NULL)
        return false;
    size_t heads = (size_t)spec->heads, nope = (size_t)spec->qk_nope_head_dim,
           rank = (size_t)spec->kv_lora_rank;
    if (turned->rows != heads * rank || turned->cols != nope)
        return odd(weights, diag, turned, "each head's keys, a row for each value of the latent");
    float *row = ARENA_ARRAY(weights->arena, float, nope);
    float *copy = row == NULL ? NULL : weights_memory(weights, diag, heads * nope * rank * sizeof *copy);
    if (copy == NULL)
        return row != NULL ? false : weights_error(weights, diag, "out of memory");
    for (size_t i = 0; i < turned->rows; i++) {
        weights_decode(turned->type, tensor_row(turned, i), nope, row);
        for (size_t j = 0; j < nope; j++)
            copy[(i / rank * nope + j) * rank + i % rank] = row[j];
    }
    struct tensor keys = {
        .name = turned->name, .type = WEIGHT_F32, .rows = heads * nope, .cols = rank, .data = copy};
    return weights_put(weights, diag, ROLE_MLA_K_UP, layer, -1, 1, &keys);
}
