/* Quantised weights and x as bytes in AVX-512 registers. */
#ifndef RAFTER_EXEC_KERNELS_INT8_AVX512_H
#define RAFTER_EXEC_KERNELS_INT8_AVX512_H

#include "exec/kernels/gemm_avx512.h"

/* Values [64 c, 64 c + 64) of a row as unsigned bytes; `both`: the second block of 32 is in the row too. */
AVX512_INLINE __m512i load_q8_0(const char *row, size_t chunk, bool both)
{
    const char *q = row + 2 * chunk * sizeof(struct block_q8_0) + offsetof(struct block_q8_0, q);
    __m256i a = _mm256_loadu_si256((const void *)q), b = _mm256_setzero_si256();
    if (both)
        b = _mm256_loadu_si256((const void *)(q + sizeof(struct block_q8_0)));
    return _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1),
                            _mm512_set1_epi8((char)0x80));
}

AVX512_INLINE __m512i nibbles(__m256i bytes)
{
    __m512i wide = _mm512_inserti64x4(_mm512_castsi256_si512(bytes), _mm256_srli_epi16(bytes, 4), 1);
    return _mm512_and_si512(wide, _mm512_set1_epi8(15));
}

AVX512_INLINE __m512i load_q4_0(const char *row, size_t chunk, bool both)
{
    const char *q = row + 2 * chunk * sizeof(struct block_q4_0) + offsetof(struct block_q4_0, q);
    __m128i a = _mm_loadu_si128((const void *)q), b = _mm_setzero_si128();
    if (both)
        b = _mm_loadu_si128((const void *)(q + sizeof(struct block_q4_0)));
    __m512i lows_highs = nibbles(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
    return _mm512_shuffle_i32x4(lows_highs, lows_highs, _MM_SHUFFLE(3, 1, 2, 0));
}

AVX512_INLINE __m512i load_q4_k(const char *row, size_t chunk)
{
    const char *block = row + chunk / 4 * sizeof(struct block_q4_k);
    return nibbles(
        _mm256_loadu_si256((const void *)(block + offsetof(struct block_q4_k, q) + chunk % 4 * 32)));
}

AVX512_INLINE __m512i load_q6_k(const char *row, size_t chunk)
{
    const char *block = row + chunk / 4 * sizeof(struct block_q6_k);
    size_t half = chunk % 4 / 2;
    __m512i low = _mm512_loadu_si512(block + offsetof(struct block_q6_k, low) + half * 64);
    __m256i bits = _mm256_loadu_si256((const void *)(block + offsetof(struct block_q6_k, high) + half * 32));
    if (chunk % 2 == 1) {
        low = _mm512_srli_epi16(low, 4);
        bits = _mm256_srli_epi16(bits, 4);
    }
    __m512i high =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_slli_epi16(bits, 4)), _mm256_slli_epi16(bits, 2), 1);
    return _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi8(15)),
                           _mm512_and_si512(high, _mm512_set1_epi8(0x30)));
}

AVX512_INLINE __m512i load_chunk(enum weight_type type, const char *row, size_t chunk, bool both)
{
    return type == WEIGHT_Q8_0   ? load_q8_0(row, chunk, both)
           : type == WEIGHT_Q4_0 ? load_q4_0(row, chunk, both)
           : type == WEIGHT_Q4_K ? load_q4_k(row, chunk)
                                 : load_q6_k(row, chunk);
}

/* ---- x ---- */

struct quantised {
    int8_t q[X_BLOCK];
    float scale;
    int sums[2]; /* of 16 */
};

AVX512_INLINE struct quantised quantise_block(const float *x, size_t n)
{
    __mmask16 low = n >= 16 ? 0xffff : (__mmask16)((1U << n) - 1);
    __mmask16 high = n >= 32 ? 0xffff : n > 16 ? (__mmask16)((1U << (n - 16)) - 1) : 0;
    __m512 a = _mm512_maskz_loadu_ps(low, x), b = _mm512_maskz_loadu_ps(high, x + 16);
    float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    struct quantised out = {.scale = most / 127};
    __m512 inverse = _mm512_set1_ps(most >= 0x1p-120F ? 127 / most : 0);
    __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)),
            qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128((void *)out.q, _mm512_cvtsepi32_epi8(qa));
    _mm_storeu_si128((void *)(out.q + 16), _mm512_cvtsepi32_epi8(qb));
    out.sums[0] = _mm512_reduce_add_epi32(qa);
    out.sums[1] = _mm512_reduce_add_epi32(qb);
    return out;
}

#endif
