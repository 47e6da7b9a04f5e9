/* Rows of the KV cache turned into floats, in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_KV_LANES_H
#define RAFTER_EXEC_KERNELS_KV_LANES_H

#include "exec/kernels/kv.h"
#include "exec/kernels/lanes.h"

#include <float.h>

LANES_INLINE float lanes_half(const void *bits)
{
    uint16_t half;
    memcpy(&half, bits, sizeof half);
#if defined(LANES_AVX512) || defined(LANES_AVX2)
    return _cvtsh_ss(half);
#else
    return half_to_float(half);
#endif
}

LANES_INLINE void lanes_decode_q8(const struct block_q8_0 *block, float *y)
{
    lanes d = lanes_set(lanes_half(&block->d));
    for (size_t i = 0; i < BLOCK_32; i += LANES)
        lanes_store(y + i, d * lanes_load_int8(block->q + i));
}

LANES_INLINE void lanes_decode_q4(const struct block_q4_0 *block, float *y)
{
    int8_t q[BLOCK_32];
    for (size_t i = 0; i < BLOCK_32 / 2; i++) {
        q[i] = (int8_t)((block->q[i] & 15) - 8);
        q[i + BLOCK_32 / 2] = (int8_t)((block->q[i] >> 4) - 8);
    }
    lanes d = lanes_set(lanes_half(&block->d));
    for (size_t i = 0; i < BLOCK_32; i += LANES)
        lanes_store(y + i, d * lanes_load_int8(q + i));
}

/* dim values; y has room for dim rounded up to LANES, the rest becomes 0. */
static void lanes_decode_row(enum kv_type type, const char *row, size_t dim, float *y)
{
    size_t i = 0;
    switch (type) {
    case KV_F16: {
        const uint16_t *halves = (const uint16_t *)(const void *)row;
        for (; i + LANES <= dim; i += LANES)
            lanes_store(y + i, lanes_load_half(halves + i));
        for (; i < dim; i++)
            y[i] = lanes_half(halves + i);
        break;
    }
    case KV_Q8_0: {
        const struct block_q8_0 *blocks = (const struct block_q8_0 *)(const void *)row;
        for (; i < dim; i += BLOCK_32)
            lanes_decode_q8(blocks + i / BLOCK_32, y + i);
        break;
    }
    case KV_Q4_0: {
        const struct block_q4_0 *blocks = (const struct block_q4_0 *)(const void *)row;
        for (; i < dim; i += BLOCK_32)
            lanes_decode_q4(blocks + i / BLOCK_32, y + i);
        break;
    }
    case KV_F32:
    case KV_TYPE_COUNT:
        memcpy(y, row, dim * sizeof *y);
        i = dim;
        break;
    }
    for (; i % LANES != 0; i++)
        y[i] = 0;
}

/* ---- rows written: the bits that weights_encode gives them ---- */

#if defined(LANES_AVX512) || defined(LANES_AVX2)
/* NaN becomes 0: the bounds give their second operand where one is NaN. */
LANES_INLINE lanes lanes_number(lanes x)
{
    lanes zero = lanes_set(0.0F);
    return lanes_max(x, zero) + lanes_min(x, zero);
}

/* The greatest magnitude of a block; NaN has none. */
LANES_INLINE float lanes_block_most(const float *x)
{
    lanes most = lanes_set(0.0F);
    for (size_t i = 0; i < BLOCK_32; i += LANES)
        most = lanes_max(lanes_abs(lanes_load(x + i)), most);
    return lanes_greatest(most);
}

LANES_INLINE uint16_t lanes_to_half(float x)
{
    return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LANES_INLINE void lanes_encode_q8(const float *x, struct block_q8_0 *block)
{
    float scale = lanes_block_most(x) / 127;
    lanes inverse = lanes_set(scale >= FLT_MIN ? 1 / scale : 0.0F);
    block->d = lanes_to_half(scale);
    for (size_t i = 0; i < BLOCK_32; i += LANES)
        lanes_store_int8(block->q + i, lanes_number(lanes_load(x + i) * inverse));
}

/* The first of the values farthest from 0. */
LANES_INLINE float lanes_block_far(const float *x)
{
    float most = lanes_block_most(x);
    for (size_t i = 0; most > 0 && i < BLOCK_32; i += LANES) {
        unsigned found = lanes_equal(lanes_abs(lanes_load(x + i)), lanes_set(most));
        if (found != 0)
            return x[i + (size_t)__builtin_ctz(found)];
    }
    return 0;
}

LANES_INLINE lanes lanes_q4(const float *x, lanes inverse)
{
    lanes q = lanes_round(lanes_number(lanes_load(x) * inverse)) + lanes_set(8.0F);
    return lanes_max(lanes_min(q, lanes_set(15.0F)), lanes_set(0.0F));
}

LANES_INLINE void lanes_encode_q4(const float *x, struct block_q4_0 *block)
{
    float scale = lanes_block_far(x) / -8;
    lanes inverse = lanes_set(fabsf(scale) >= FLT_MIN ? 1 / scale : 0.0F);
    block->d = lanes_to_half(scale);
    for (size_t i = 0; i < BLOCK_32 / 2; i += LANES)
        lanes_store_nibbles(block->q + i, lanes_q4(x + i, inverse), lanes_q4(x + i + BLOCK_32 / 2, inverse));
}

static void lanes_encode_row(enum kv_type type, const float *x, size_t dim, char *row)
{
    size_t i = 0;
    switch (type) {
    case KV_F16: {
        uint16_t *halves = (uint16_t *)(void *)row;
        for (; i + LANES <= dim; i += LANES)
            lanes_store_half(halves + i, lanes_load(x + i));
        for (; i < dim; i++)
            halves[i] = lanes_to_half(x[i]);
        return;
    }
    case KV_Q8_0:
        for (; i < dim; i += BLOCK_32)
            lanes_encode_q8(x + i, (struct block_q8_0 *)(void *)row + i / BLOCK_32);
        return;
    case KV_Q4_0:
        for (; i < dim; i += BLOCK_32)
            lanes_encode_q4(x + i, (struct block_q4_0 *)(void *)row + i / BLOCK_32);
        return;
    case KV_F32:
    case KV_TYPE_COUNT:
        memcpy(row, x, dim * sizeof *x);
        return;
    }
}
#else
static void lanes_encode_row(enum kv_type type, const float *x, size_t dim, char *row)
{
    kv_encode_row_plain(type, x, dim, row);
}
#endif

#endif
