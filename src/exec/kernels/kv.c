#include "exec/kernels/kv.h"

#include "exec/kernels/blocks.h"
#include "exec/kernels/lane_kernels.h"

#include <string.h>

static const struct {
    const char *name, *other_name;
    enum weight_type as; /* rows are packed as weights of this type are */
} kv_types[KV_TYPE_COUNT] = {
    [KV_F32] = {"fp32", "f32", WEIGHT_F32},
    [KV_F16] = {"fp16", "f16", WEIGHT_F16},
    [KV_Q8_0] = {"q8_0", "q8_0", WEIGHT_Q8_0},
    [KV_Q4_0] = {"q4_0", "q4_0", WEIGHT_Q4_0},
};

const char *kv_type_name(enum kv_type type)
{
    return kv_types[type].name;
}

enum kv_type kv_type_parse(const char *name)
{
    for (int type = 0; type < KV_TYPE_COUNT; type++)
        if (strcmp(name, kv_types[type].name) == 0 || strcmp(name, kv_types[type].other_name) == 0)
            return (enum kv_type)type;
    return KV_TYPE_COUNT;
}

size_t kv_row_bytes(enum kv_type type, size_t dim)
{
    return weight_row_bytes(kv_types[type].as, dim);
}

void kv_write_token(enum isa isa, const struct kv_pool *pool, const struct kv_sequence *sequence, int token,
                    const float *values)
{
    const struct lane_kernels *kernels = lane_kernels(isa);
    size_t dim = (size_t)pool->dim, page = (size_t)sequence->pages[token / pool->page_tokens];
    size_t slot = (size_t)(token % pool->page_tokens),
           head_bytes = (size_t)pool->page_tokens * pool->row_bytes;
    char *row = pool->base + page * pool->page_stride + slot * pool->row_bytes; /* the first head's */
    for (int head = 0; head < pool->heads; head++)
        kernels->kv_encode_row(pool->type, values + (size_t)head * dim, dim, row + (size_t)head * head_bytes);
}

void kv_encode_row_plain(enum kv_type type, const float *values, size_t dim, void *row)
{
    weights_encode(kv_types[type].as, values, dim, row);
}

void kv_decode_row(enum kv_type type, const void *row, size_t dim, float *values)
{
    weights_decode(kv_types[type].as, row, dim, values);
}
