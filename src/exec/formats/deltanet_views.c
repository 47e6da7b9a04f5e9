#include "exec/formats/deltanet_views.h"

#include "exec/formats/views.h"
#include "exec/kernels/blocks.h"

#include <string.h>

/* NULL with diag: the layer has none. */
static const struct deltanet_spec *spec_of(const struct weights *weights, struct diag *diag, int layer,
                                           const struct tensor *tensor)
{
    const struct model *model = &weights->model;
    const struct block_spec *block = layer < model->layers ? &model->blocks[model->pattern[layer]] : NULL;
    if (block != NULL && block->mixer == MIXER_GATED_DELTANET && block->deltanet.key_heads > 0)
        return &block->deltanet;
    weights_error(weights, diag, "%s: layer %d is no gated DeltaNet", tensor->name, layer);
    return NULL;
}

/* Rows that a file has by key head, put together by what they are: parts[i] rows of each head are of part i.
 * `gathered` has the tensor's rows. */
static bool gather(struct weights *weights, struct diag *diag, const struct tensor *tensor, size_t heads,
                   const size_t *parts, size_t part_count, struct tensor *gathered)
{
    size_t each = 0, row = weight_row_bytes(tensor->type, tensor->cols), before = 0;
    for (size_t i = 0; i < part_count; i++)
        each += parts[i];
    if (tensor->rows != heads * each)
        return weights_error(weights, diag, "%s: has %zu rows, expected %zu", tensor->name, tensor->rows,
                             heads * each);
    char *copy = weights_memory(weights, diag, tensor->rows * row);
    if (copy == NULL)
        return false;
    *gathered = *tensor;
    gathered->data = copy;
    for (size_t i = 0; i < part_count; before += parts[i++])
        for (size_t head = 0; head < heads; head++) {
            memcpy(copy, tensor_row(tensor, head * each + before), parts[i] * row);
            copy += parts[i] * row;
        }
    return true;
}

bool weights_gather_deltanet(struct weights *weights, struct diag *diag, int layer,
                             const struct tensor *fused)
{
    const struct deltanet_spec *spec = spec_of(weights, diag, layer, fused);
    if (spec == NULL)
        return false;
    size_t heads = (size_t)spec->key_heads, key = (size_t)spec->key_head_dim,
           value = (size_t)spec->value_heads / heads * (size_t)spec->value_head_dim;
    const size_t parts[] = {key, key, value, value};
    struct tensor all;
    if (!gather(weights, diag, fused, heads, parts, 4, &all))
        return false;
    struct tensor qkv = tensor_rows(&all, 0, heads * (2 * key + value));
    struct tensor z = tensor_rows(&all, qkv.rows, heads * value);
    return weights_put(weights, diag, ROLE_IN_PROJ, layer, -1, 1, &qkv) &&
           weights_put(weights, diag, ROLE_IN_Z, layer, -1, 1, &z);
}

bool weights_gather_deltanet_gates(struct weights *weights, struct diag *diag, int layer,
                                   const struct tensor *fused)
{
    const struct deltanet_spec *spec = spec_of(weights, diag, layer, fused);
    if (spec == NULL)
        return false;
    size_t heads = (size_t)spec->key_heads, shared = (size_t)spec->value_heads / heads;
    const size_t parts[] = {shared, shared};
    struct tensor gates;
    return gather(weights, diag, fused, heads, parts, 2, &gates) &&
           weights_put(weights, diag, ROLE_IN_GATES, layer, -1, 1, &gates);
}

bool weights_join_deltanet_gates(struct weights *weights, struct diag *diag, int layer,
                                 const struct tensor *beta, const struct tensor *decay)
{
    const struct tensor *const parts[] = {beta, decay};
    if (beta->rows != decay->rows || beta->cols != decay->cols)
        return weights_error(weights, diag, "%s: is %zu x %zu, and %s is %zu x %zu", beta->name, beta->rows,
                             beta->cols, decay->name, decay->rows, decay->cols);
    float *copy = weights_memory(weights, diag, 2 * beta->rows * beta->cols * sizeof *copy), *to = copy;
    if (copy == NULL)
        return false;
    for (int i = 0; i < 2; i++)
        for (size_t row = 0; row < beta->rows; row++, to += beta->cols)
            weights_decode(parts[i]->type, tensor_row(parts[i], row), beta->cols, to);
    struct tensor gates = {
        .name = beta->name, .type = WEIGHT_F32, .rows = 2 * beta->rows, .cols = beta->cols, .data = copy};
    return weights_put(weights, diag, ROLE_IN_GATES, layer, -1, 1, &gates);
}
