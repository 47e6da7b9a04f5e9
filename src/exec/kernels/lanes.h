/* Vectors of floats in the widest registers of one instruction set, so that a kernel is written once. A
 * source file defines LANES_AVX512 or LANES_AVX2 (or neither: 4 lanes of the compiler's own vectors) before
 * it includes this; all functions behind are compiled for that set.
 *
 * lanes: LANES floats. Loads and stores need no alignment. */
#ifndef RAFTER_EXEC_KERNELS_LANES_H
#define RAFTER_EXEC_KERNELS_LANES_H

#include "exec/kernels/blocks.h"

#include <math.h>
#include <string.h>
#if defined(LANES_AVX512) || defined(LANES_AVX2)
#include <immintrin.h>
#endif

#if defined(LANES_AVX512)
#if defined(__clang__)
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))),                  \
    apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif
enum { LANES = 16 };
typedef __m512 lanes;
#elif defined(LANES_AVX2)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif
enum { LANES = 8 };
typedef __m256 lanes;
#else
enum { LANES = 4 };
typedef float lanes __attribute__((vector_size(16)));
typedef int32_t lanes_int __attribute__((vector_size(16)));
#endif

/* A kernel's helpers must be inlined: vectors in registers do not survive a call. */
#define LANES_INLINE static inline __attribute__((always_inline, unused))

/* Loops over arrays of vectors must be gone before registers are given out. */
#if defined(__clang__)
#define LANES_UNROLL _Pragma("unroll")
#else
#define LANES_UNROLL _Pragma("GCC unroll 16")
#endif

/* Asks for what a stream reads FETCH_AHEAD values later; behind its end that is in vain. The operators
 * between products last some tens of microseconds, in which the prefetchers of a Sapphire Rapids core hardly
 * catch up: SiLU took 0.78 ns a value right behind a product, 0.56 ns with this (0.42 ns from the L1 cache).
 */
LANES_INLINE void lanes_fetch(const float *x)
{
    enum { FETCH_AHEAD = 512 };
    __builtin_prefetch(x + FETCH_AHEAD);
}

#if defined(LANES_AVX512)
LANES_INLINE lanes lanes_set(float x)
{
    return _mm512_set1_ps(x);
}
LANES_INLINE lanes lanes_load(const float *x)
{
    return _mm512_loadu_ps(x);
}
LANES_INLINE void lanes_store(float *y, lanes x)
{
    _mm512_storeu_ps(y, x);
}
/* The first n lanes, the others 0. */
LANES_INLINE lanes lanes_load_part(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1U << n) - 1), x);
}
LANES_INLINE void lanes_store_part(float *y, lanes x, size_t n)
{
    _mm512_mask_storeu_ps(y, (__mmask16)((1U << n) - 1), x);
}
LANES_INLINE lanes lanes_load_half(const uint16_t *x)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x));
}
LANES_INLINE void lanes_store_half(uint16_t *y, lanes x)
{
    _mm256_storeu_si256((__m256i *)y, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* To the nearest whole number, of equals the even one; |x| at most 127 */
LANES_INLINE void lanes_store_int8(int8_t *y, lanes x)
{
    _mm_storeu_si128((__m128i *)y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}
/* low + 16 high of nearest whole numbers in [0, 15] */
LANES_INLINE void lanes_store_nibbles(uint8_t *y, lanes low, lanes high)
{
    __m512i both = _mm512_or_si512(_mm512_cvtps_epi32(low), _mm512_slli_epi32(_mm512_cvtps_epi32(high), 4));
    _mm_storeu_si128((__m128i *)y, _mm512_cvtepi32_epi8(both));
}
/* Bit i: lane i of both is equal. */
LANES_INLINE unsigned lanes_equal(lanes a, lanes b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
LANES_INLINE lanes lanes_load_int8(const int8_t *x)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)x)));
}
/* q4_0's values q - 8 from the bytes' low halves, and from their high ones */
LANES_INLINE lanes lanes_load_low_nibbles(const uint8_t *x)
{
    __m128i q = _mm_and_si128(_mm_loadu_si128((const __m128i *)x), _mm_set1_epi8(15));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(8))));
}
LANES_INLINE lanes lanes_load_high_nibbles(const uint8_t *x)
{
    __m128i q = _mm_and_si128(_mm_srli_epi16(_mm_loadu_si128((const __m128i *)x), 4), _mm_set1_epi8(15));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(8))));
}
/* a b + c */
LANES_INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* The second where one of them is NaN. */
LANES_INLINE lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}
LANES_INLINE lanes lanes_min(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}
LANES_INLINE lanes lanes_round(lanes x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* 2^n of whole n in [-126, 127] */
LANES_INLINE lanes lanes_power2(lanes n)
{
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
/* x where a >= b, else 0 (where one is NaN: x) */
LANES_INLINE lanes lanes_keep_unless_below(lanes x, lanes a, lanes b)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), x);
}
LANES_INLINE lanes lanes_abs(lanes x)
{
    return _mm512_abs_ps(x);
}
LANES_INLINE float lanes_sum(lanes x)
{
    return _mm512_reduce_add_ps(x);
}
LANES_INLINE float lanes_greatest(lanes x)
{
    return _mm512_reduce_max_ps(x);
}
/* Neighbours changed: 1 0 3 2 ...; and the even or odd ones twice: 0 0 2 2, 1 1 3 3 */
LANES_INLINE lanes lanes_swap_pairs(lanes x)
{
    return _mm512_permute_ps(x, 0xB1);
}
/* a b -/+ c: minus in even lanes, plus in odd ones */
LANES_INLINE lanes lanes_fma_sub_add(lanes a, lanes b, lanes c)
{
    return _mm512_fmaddsub_ps(a, b, c);
}

#elif defined(LANES_AVX2)
LANES_INLINE __m256i lanes_part_mask(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LANES_INLINE lanes lanes_set(float x)
{
    return _mm256_set1_ps(x);
}
LANES_INLINE lanes lanes_load(const float *x)
{
    return _mm256_loadu_ps(x);
}
LANES_INLINE void lanes_store(float *y, lanes x)
{
    _mm256_storeu_ps(y, x);
}
LANES_INLINE lanes lanes_load_part(const float *x, size_t n)
{
    return _mm256_maskload_ps(x, lanes_part_mask(n));
}
LANES_INLINE void lanes_store_part(float *y, lanes x, size_t n)
{
    _mm256_maskstore_ps(y, lanes_part_mask(n), x);
}
LANES_INLINE lanes lanes_load_half(const uint16_t *x)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x));
}
LANES_INLINE void lanes_store_half(uint16_t *y, lanes x)
{
    _mm_storeu_si128((__m128i *)y, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* The low bytes of 8 integers */
LANES_INLINE void lanes_store_bytes(void *y, __m256i x)
{
    const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                                         12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i four = _mm256_shuffle_epi8(x, low);
    _mm_storel_epi64((__m128i *)y,
                     _mm_unpacklo_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1)));
}
LANES_INLINE void lanes_store_int8(int8_t *y, lanes x)
{
    lanes_store_bytes(y, _mm256_cvtps_epi32(x));
}
LANES_INLINE void lanes_store_nibbles(uint8_t *y, lanes low, lanes high)
{
    lanes_store_bytes(
        y, _mm256_or_si256(_mm256_cvtps_epi32(low), _mm256_slli_epi32(_mm256_cvtps_epi32(high), 4)));
}
LANES_INLINE unsigned lanes_equal(lanes a, lanes b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}
LANES_INLINE lanes lanes_load_int8(const int8_t *x)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)x)));
}
LANES_INLINE lanes lanes_load_low_nibbles(const uint8_t *x)
{
    __m128i q = _mm_and_si128(_mm_loadl_epi64((const __m128i *)x), _mm_set1_epi8(15));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(8))));
}
LANES_INLINE lanes lanes_load_high_nibbles(const uint8_t *x)
{
    __m128i q = _mm_and_si128(_mm_srli_epi16(_mm_loadl_epi64((const __m128i *)x), 4), _mm_set1_epi8(15));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_sub_epi8(q, _mm_set1_epi8(8))));
}
LANES_INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm256_fmadd_ps(a, b, c);
}
LANES_INLINE lanes lanes_max(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}
LANES_INLINE lanes lanes_min(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}
LANES_INLINE lanes lanes_round(lanes x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LANES_INLINE lanes lanes_power2(lanes n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
LANES_INLINE lanes lanes_keep_unless_below(lanes x, lanes a, lanes b)
{
    return _mm256_and_ps(x, _mm256_cmp_ps(a, b, _CMP_NLT_UQ));
}
LANES_INLINE lanes lanes_abs(lanes x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x);
}
LANES_INLINE float lanes_sum(lanes x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
LANES_INLINE float lanes_greatest(lanes x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
LANES_INLINE lanes lanes_swap_pairs(lanes x)
{
    return _mm256_permute_ps(x, 0xB1);
}
LANES_INLINE lanes lanes_fma_sub_add(lanes a, lanes b, lanes c)
{
    return _mm256_fmaddsub_ps(a, b, c);
}

#else
LANES_INLINE lanes lanes_set(float x)
{
    return (lanes){x, x, x, x};
}
LANES_INLINE lanes lanes_load(const float *x)
{
    lanes y;
    memcpy(&y, x, sizeof y);
    return y;
}
LANES_INLINE void lanes_store(float *y, lanes x)
{
    memcpy(y, &x, sizeof x);
}
LANES_INLINE lanes lanes_load_part(const float *x, size_t n)
{
    lanes y = {0, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        y[i] = x[i];
    return y;
}
LANES_INLINE void lanes_store_part(float *y, lanes x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i];
}
LANES_INLINE lanes lanes_select(lanes_int mask, lanes a, lanes b)
{
    return (lanes)((mask & (lanes_int)a) | (~mask & (lanes_int)b));
}
/* Exponent and mantissa moved into a float's place and its exponent's bias put right by a product, which is
 * exact and takes subnormals with it; infinity and NaN need the exponent of their own. */
LANES_INLINE lanes lanes_load_half(const uint16_t *x)
{
    lanes_int bits = {x[0], x[1], x[2], x[3]};
    lanes_int magnitude = (bits & 0x7FFF) << 13;
    lanes_int special = magnitude >= 0x0F800000;
    lanes value = (lanes)magnitude * 0x1p112F;
    lanes_int result = (special & (magnitude | 0x7F800000)) | (~special & (lanes_int)value);
    lanes_int sign = (bits & 0x8000) * -65536; /* to the top: as a shift it would overflow */
    return (lanes)(result | sign);
}
LANES_INLINE lanes lanes_load_int8(const int8_t *x)
{
    return (lanes){x[0], x[1], x[2], x[3]};
}
LANES_INLINE lanes lanes_load_low_nibbles(const uint8_t *x)
{
    return (lanes){(x[0] & 15) - 8, (x[1] & 15) - 8, (x[2] & 15) - 8, (x[3] & 15) - 8};
}
LANES_INLINE lanes lanes_load_high_nibbles(const uint8_t *x)
{
    return (lanes){(x[0] >> 4) - 8, (x[1] >> 4) - 8, (x[2] >> 4) - 8, (x[3] >> 4) - 8};
}
LANES_INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return a * b + c;
}
LANES_INLINE lanes lanes_max(lanes a, lanes b)
{
    return lanes_select(a > b, a, b);
}
LANES_INLINE lanes lanes_min(lanes a, lanes b)
{
    return lanes_select(a < b, a, b);
}
/* To nearest even for |x| < 2^22: adding 1.5 * 2^23 leaves no bits of fraction. */
LANES_INLINE lanes lanes_round(lanes x)
{
    return x + 12582912.0F - 12582912.0F;
}
LANES_INLINE lanes lanes_power2(lanes n)
{
    lanes_int e = (lanes_int)(n + 12582912.0F) - 0x4B400000 + 127;
    return (lanes)(e << 23);
}
LANES_INLINE lanes lanes_keep_unless_below(lanes x, lanes a, lanes b)
{
    return (lanes)(~(lanes_int)(a < b) & (lanes_int)x);
}
LANES_INLINE lanes lanes_abs(lanes x)
{
    return (lanes)((lanes_int)x & 0x7FFFFFFF);
}
LANES_INLINE float lanes_sum(lanes x)
{
    return (x[0] + x[2]) + (x[1] + x[3]);
}
LANES_INLINE float lanes_greatest(lanes x)
{
    float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
}
LANES_INLINE lanes lanes_swap_pairs(lanes x)
{
    return (lanes){x[1], x[0], x[3], x[2]};
}
LANES_INLINE lanes lanes_fma_sub_add(lanes a, lanes b, lanes c)
{
    return a * b + c * (lanes){-1, 1, -1, 1};
}
#endif

/* As operators; of the type itself, which ?: asks for. */
LANES_INLINE lanes lanes_add(lanes a, lanes b)
{
    return a + b;
}
LANES_INLINE lanes lanes_mul(lanes a, lanes b)
{
    return a * b;
}

/* e^x: x = n ln 2 + r, |r| <= ln 2 / 2, 2^n times a polynomial of degree 7 in r (coefficients of Cephes'
 * expf, S. Moshier, https://www.netlib.org/cephes/). Relative error below 2e-7 (tests measure it over the
 * range). Below -87.3 it is 0, above 88.37 it stays at 2.3e38; NaN stays NaN. */
LANES_INLINE lanes lanes_exp(lanes x)
{
    lanes low = lanes_set(-87.3F), high = lanes_set(88.37F);
    lanes c = lanes_max(low, lanes_min(high, x));
    lanes n = lanes_round(c * lanes_set(1.44269504F));
    lanes r = lanes_fma(n, lanes_set(-0.693359375F), c);
    r = lanes_fma(n, lanes_set(2.12194440e-4F), r);
    lanes p = lanes_fma(r, lanes_set(1.9875691500e-4F), lanes_set(1.3981999507e-3F));
    p = lanes_fma(p, r, lanes_set(8.3334519073e-3F));
    p = lanes_fma(p, r, lanes_set(4.1665795894e-2F));
    p = lanes_fma(p, r, lanes_set(1.6666665459e-1F));
    p = lanes_fma(p, r, lanes_set(5.0000001201e-1F));
    p = lanes_fma(p, r * r, r + lanes_set(1.0F));
    return lanes_keep_unless_below(p * lanes_power2(n), x, low);
}

/* 1 / x of normal x >= 1. AVX-512's estimate has 14 bits and a step of Newton's doubles them: a division
 * would hold up the lanes for as long as the exponential before it. */
LANES_INLINE lanes lanes_reciprocal(lanes x)
{
#if defined(LANES_AVX512)
    lanes estimate = _mm512_rcp14_ps(x);
    return estimate * lanes_fma(lanes_set(0.0F) - x, estimate, lanes_set(2.0F));
#else
    return lanes_set(1.0F) / x;
#endif
}

/* 1 / (1 + e^-x); absolute error below 2e-7. */
LANES_INLINE lanes lanes_sigmoid(lanes x)
{
    return lanes_reciprocal(lanes_set(1.0F) + lanes_exp(lanes_set(0.0F) - x));
}

/* tanh x = 1 - 2 / (e^2x + 1); absolute error below 3e-7. */
LANES_INLINE lanes lanes_tanh(lanes x)
{
    lanes one = lanes_set(1.0F);
    return one - lanes_set(2.0F) * lanes_reciprocal(lanes_exp(x + x) + one);
}

#endif
