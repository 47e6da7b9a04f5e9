#include "exec/weights.h"

#include "exec/formats/table.h"
#include "exec/kernels/blocks.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

const char *tensor_role_name(enum tensor_role role)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_EMBEDDING] = "embedding",
        [ROLE_POSITIONS] = "position table",
        [ROLE_EMBEDDING_NORM] = "embedding norm",
        [ROLE_EMBEDDING_NORM_BIAS] = "embedding norm's bias",
        [ROLE_FINAL_NORM] = "final norm",
        [ROLE_FINAL_NORM_BIAS] = "final norm's bias",
        [ROLE_HEAD] = "head",
        [ROLE_HEAD_BIAS] = "head's bias",
        [ROLE_ROPE_FACTORS] = "RoPE factors",
        [ROLE_ROPE_FACTORS_LONG] = "RoPE factors of long contexts",
        [ROLE_ATTENTION_NORM] = "attention norm",
        [ROLE_ATTENTION_NORM_BIAS] = "attention norm's bias",
        [ROLE_Q] = "q projection",
        [ROLE_K] = "k projection",
        [ROLE_V] = "v projection",
        [ROLE_O] = "o projection",
        [ROLE_Q_BIAS] = "q projection's bias",
        [ROLE_K_BIAS] = "k projection's bias",
        [ROLE_V_BIAS] = "v projection's bias",
        [ROLE_O_BIAS] = "o projection's bias",
        [ROLE_Q_NORM] = "q norm",
        [ROLE_K_NORM] = "k norm",
        [ROLE_SINKS] = "attention sinks",
        [ROLE_POST_ATTENTION_NORM] = "norm after attention",
        [ROLE_MLA_Q_DOWN] = "MLA q down projection",
        [ROLE_MLA_Q_NORM] = "MLA q norm",
        [ROLE_MLA_Q_UP] = "MLA q up projection",
        [ROLE_MLA_KV_DOWN] = "MLA kv down projection",
        [ROLE_MLA_KV_NORM] = "MLA kv norm",
        [ROLE_MLA_K_UP] = "MLA k up projection",
        [ROLE_MLA_V_UP] = "MLA v up projection",
        [ROLE_FFN_NORM] = "feed-forward norm",
        [ROLE_FFN_NORM_BIAS] = "feed-forward norm's bias",
        [ROLE_GATE] = "gate projection",
        [ROLE_UP] = "up projection",
        [ROLE_DOWN] = "down projection",
        [ROLE_GATE_BIAS] = "gate projection's bias",
        [ROLE_UP_BIAS] = "up projection's bias",
        [ROLE_DOWN_BIAS] = "down projection's bias",
        [ROLE_POST_FFN_NORM] = "norm after the feed-forward",
        [ROLE_ROUTER] = "router",
        [ROLE_ROUTER_BIAS] = "router's bias",
        [ROLE_EXPERT_GATE] = "expert's gate projection",
        [ROLE_EXPERT_UP] = "expert's up projection",
        [ROLE_EXPERT_DOWN] = "expert's down projection",
        [ROLE_SHARED_GATE] = "shared experts' gate projection",
        [ROLE_SHARED_UP] = "shared experts' up projection",
        [ROLE_SHARED_DOWN] = "shared experts' down projection",
        [ROLE_SHARED_SWITCH] = "shared experts' switch",
        [ROLE_IN_PROJ] = "in projection",
        [ROLE_IN_GATES] = "gates' projection",
        [ROLE_CONV] = "convolution",
        [ROLE_CONV_BIAS] = "convolution's bias",
        [ROLE_X_PROJ] = "x projection",
        [ROLE_DT_PROJ] = "dt projection",
        [ROLE_DT_BIAS] = "dt bias",
        [ROLE_A] = "A",
        [ROLE_D] = "D",
        [ROLE_GATED_NORM] = "gated norm",
        [ROLE_OUT_PROJ] = "out projection",
        [ROLE_IN_Z] = "z projection",
    };
    return (int)role >= 0 && role < ROLE_COUNT ? names[role] : "unknown role";
}

void weights_close(struct weights *weights)
{
    if (weights == NULL)
        return;
    for (struct weights_region *region = weights->regions; region != NULL; region = region->next)
        munmap(region->data, region->bytes);
    weights->regions = NULL;
}

const struct model *weights_model(const struct weights *weights)
{
    return &weights->model;
}

const struct hyper *weights_hyper(const struct weights *weights)
{
    return &weights->hyper;
}

double weights_bytes(const struct weights *weights)
{
    return weights->bytes;
}

const struct gguf_header *weights_gguf(const struct weights *weights)
{
    return weights->gguf;
}

const char *weights_tokenizer_path(const struct weights *weights)
{
    return weights->tokenizer_path;
}

bool weights_find(const struct weights *weights, enum tensor_role role, int layer, int part,
                  struct tensor *tensor)
{
    const struct weights_slot *slot = weights_slot(weights, role, layer);
    const struct tensor *found = NULL;
    if (slot != NULL && slot->parts != NULL)
        found = part >= 0 && (size_t)part < slot->part_count ? &slot->parts[part] : NULL;
    else if (slot != NULL)
        found = &slot->tensor;
    if ((found == NULL || found->data == NULL) && role == ROLE_HEAD && weights->model.tied_embeddings)
        found = &weights_slot(weights, ROLE_EMBEDDING, 0)->tensor;
    if (found == NULL || found->data == NULL)
        return false;
    *tensor = *found;
    return true;
}

bool weights_need(const struct weights *weights, struct diag *diag, enum tensor_role role, int layer,
                  int part, size_t rows, size_t cols, struct tensor *tensor)
{
    const char *what = tensor_role_name(role);
    if (!weights_find(weights, role, layer, part, tensor))
        return weights_error(weights, diag, "layer %d: %s: missing, expected %zu x %zu", layer, what, rows,
                             cols);
    if (tensor->rows == rows && tensor->cols == cols)
        return true;
    return weights_error(weights, diag, "layer %d: %s: %s is %zu x %zu, expected %zu x %zu", layer, what,
                         tensor->name, tensor->rows, tensor->cols, rows, cols);
}

const float *weights_vector(const struct weights *weights, struct arena *arena, struct diag *diag,
                            enum tensor_role role, int layer, int part, size_t n)
{
    struct tensor tensor;
    if (!weights_find(weights, role, layer, part, &tensor))
        return NULL;
    /* tensors in memory have far fewer than 2^64 values: no overflow */
    if (tensor.rows * tensor.cols != n) {
        weights_error(weights, diag, "layer %d: %s: %s has %zu values, expected %zu", layer,
                      tensor_role_name(role), tensor.name, tensor.rows * tensor.cols, n);
        return NULL;
    }
    float *values = ARENA_ARRAY(arena, float, n);
    if (values == NULL) {
        weights_error(weights, diag, "out of memory");
        return NULL;
    }
    for (size_t row = 0; row < tensor.rows; row++)
        weights_decode(tensor.type, tensor_row(&tensor, row), tensor.cols, values + row * tensor.cols);
    return values;
}

bool weights_in_large_pages(const struct weights *weights, const void *data)
{
    for (const struct weights_region *region = weights->regions; region != NULL; region = region->next)
        if ((uintptr_t)data >= (uintptr_t)region->data &&
            (uintptr_t)data - (uintptr_t)region->data < region->bytes)
            return !region->of_file;
    return false;
}

void weights_touch(const struct weights *weights)
{
    enum { PAGE = 4096 };
    for (const struct weights_region *region = weights->regions; region != NULL; region = region->next) {
        const volatile char *bytes = region->data;
        madvise(region->data, region->bytes, MADV_WILLNEED);
        for (size_t at = 0; at < region->bytes; at += PAGE)
            (void)bytes[at];
    }
}
