/* Scores against q8_0 keys by products of integers (VNNI); included by lane_avx512.c only.
 *
 * The query is quantised to int8 with a scale for each 32 values. Four bytes of each of 16 keys make a
 * vector, so that a lane is a key and no lanes are added up: sum over blocks of d_q d_k sum over bytes of q
 * k. The instruction multiplies unsigned bytes by signed ones: keys go in as k + 128 and 128 sum q is taken
 * off. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_Q8_AVX512_H
#define RAFTER_EXEC_KERNELS_ATTENTION_Q8_AVX512_H

#include "exec/kernels/attention_item.h"
#include "exec/kernels/kv_lanes.h"

/* A block of one query. Queries of a pass: [block][head]. */
struct q8_queries {
    int8_t q[BLOCK_32];
    int32_t offset; /* -128 sum q */
    float d;
};

/* A value is off by at most half a step, d / 2 = (greatest of the block) / 254. */
static void q8_quantise_block(const float *values, struct q8_queries *block)
{
    lanes low = lanes_load(values), high = lanes_load(values + LANES);
    float most = lanes_greatest(lanes_max(lanes_abs(low), lanes_max(lanes_abs(high), lanes_set(0.0F))));
    lanes greatest = lanes_set(most > 0 ? most : 1.0F), steps = lanes_set(127.0F);
    __m512i q[2] = {_mm512_cvtps_epi32(lanes_number(low / greatest) * steps),
                    _mm512_cvtps_epi32(lanes_number(high / greatest) * steps)};
    block->d = most / 127;
    block->offset = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(q[0], q[1]));
    for (size_t i = 0; i < 2; i++)
        _mm_storeu_si128((__m128i *)(void *)(block->q + i * LANES), _mm512_cvtepi32_epi8(q[i]));
}

static void q8_quantise(const float *q, int heads, size_t blocks, struct q8_queries *to)
{
    for (int h = 0; h < heads; h++)
        for (size_t b = 0; b < blocks; b++)
            q8_quantise_block(q + ((size_t)h * blocks + b) * BLOCK_32, &to[b * (size_t)heads + (size_t)h]);
}

/* Bytes 4 g to 4 g + 3 of block b of 16 keys, in vector g. */
LANES_INLINE void q8_turn(const char *const *rows, size_t b, __m512i turned[8])
{
    __m512i x[8], y[8];
    size_t at = b * sizeof(struct block_q8_0) + sizeof(uint16_t);
    LANES_UNROLL
    for (int i = 0; i < 8; i++) { /* keys 0-3 with 4-7, then 8-11 with 12-15 */
        int key = i < 4 ? i : i + 4;
        x[i] = _mm512_inserti64x4(
            _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)(rows[key] + at))),
            _mm256_loadu_si256((const __m256i *)(const void *)(rows[key + 4] + at)), 1);
        x[i] = _mm512_xor_si512(x[i], _mm512_set1_epi8((char)0x80));
    }
    LANES_UNROLL
    for (int i = 0; i < 8; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    LANES_UNROLL
    for (int i = 0; i < 8; i += 4) { /* byte groups 0 and 4, 1 and 5, ... of four keys and of four more */
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    LANES_UNROLL
    for (int i = 0; i < 4; i++) {
        turned[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
        turned[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xDD);
    }
}

/* scores [heads][ATTENTION_KEYS] of `count` keys, rounded up to 16; rows has valid ones behind them. */
LANES_INLINE void q8_scores(int heads, const struct q8_queries *queries, size_t blocks,
                            const char *const *rows, int count, float *scores)
{
    for (int key = 0; key < count; key += LANES) {
        lanes totals[8];
        LANES_UNROLL
        for (int h = 0; h < heads; h++)
            totals[h] = lanes_set(0.0F);
        for (size_t b = 0; b < blocks; b++) {
            const struct q8_queries *query = queries + b * (size_t)heads;
            uint16_t halves[LANES];
            for (int i = 0; i < LANES; i++)
                memcpy(&halves[i], rows[key + i] + b * sizeof(struct block_q8_0), sizeof *halves);
            __m512i turned[8], sums[8];
            q8_turn(rows + key, b, turned);
            LANES_UNROLL
            for (int h = 0; h < heads; h++)
                sums[h] = _mm512_set1_epi32(query[h].offset);
            LANES_UNROLL
            for (int g = 0; g < 8; g++) {
                LANES_UNROLL
                for (int h = 0; h < heads; h++) {
                    int32_t bytes;
                    memcpy(&bytes, query[h].q + 4 * g, sizeof bytes);
                    sums[h] = _mm512_dpbusd_epi32(sums[h], turned[g], _mm512_set1_epi32(bytes));
                }
            }
            lanes d = lanes_load_half(halves);
            LANES_UNROLL
            for (int h = 0; h < heads; h++)
                totals[h] = lanes_fma(_mm512_cvtepi32_ps(sums[h]), d * lanes_set(query[h].d), totals[h]);
        }
        LANES_UNROLL
        for (int h = 0; h < heads; h++)
            lanes_store(scores + (size_t)h * ATTENTION_KEYS + key, totals[h]);
    }
}

#endif
