/* The KV cache as kernels see it: pages of tokens. A page of one layer holds, for each KV head, `page_tokens`
 * rows of that head's `dim` values, packed by the type. */
#ifndef RAFTER_EXEC_KERNELS_KV_H
#define RAFTER_EXEC_KERNELS_KV_H

#include "exec/cpu.h"

#include <stddef.h>
#include <stdint.h>

enum kv_type { KV_F32, KV_F16, KV_Q8_0, KV_Q4_0, KV_TYPE_COUNT };

const char *kv_type_name(enum kv_type type);        /* "fp16", "q8_0" */
enum kv_type kv_type_parse(const char *name);       /* KV_TYPE_COUNT: unknown */
size_t kv_row_bytes(enum kv_type type, size_t dim); /* dim a multiple of 32 for q8_0 and q4_0 */

/* One layer's keys, or its values. Row of (page, head, slot):
 *   base + page * page_stride + (head * page_tokens + slot) * row_bytes */
struct kv_pool {
    enum kv_type type;
    int heads, dim;
    int page_tokens;
    size_t row_bytes, page_stride; /* bytes */
    char *base;
};

/* The tokens of one sequence in a pool: token t stands in page pages[t / page_tokens], slot t % page_tokens.
 */
struct kv_sequence {
    const int32_t *pages;
    int tokens; /* in the cache, those of this step included */
};

static inline char *kv_row(const struct kv_pool *pool, const struct kv_sequence *sequence, int head,
                           int token)
{
    size_t page = (size_t)sequence->pages[token / pool->page_tokens];
    size_t slot = (size_t)(token % pool->page_tokens);
    return pool->base + page * pool->page_stride +
           ((size_t)head * (size_t)pool->page_tokens + slot) * pool->row_bytes;
}

/* Writes one token's heads [heads][dim] fp32 into the cache, and reads one row back. */
void kv_write_token(enum isa isa, const struct kv_pool *pool, const struct kv_sequence *sequence, int token,
                    const float *values);
/* One row of dim values, rounded as weights of the type are; every isa writes the same bits. */
void kv_encode_row_plain(enum kv_type type, const float *values, size_t dim, void *row);
void kv_decode_row(enum kv_type type, const void *row, size_t dim, float *values);

#endif
