/* Few rows of x by packed weights. A lane is a row of w: a block of 32 takes 8 dot products a row of x, each
 * with a dword of x broadcast as it is loaded, and is unpacked once for all rows of x. */
#ifdef __x86_64__
#include "exec/kernels/gemv_packed.h"
#include "exec/kernels/int8_avx512.h"

/* Bytes that values are fetched ahead into the L2 and the L1 cache: further than one distance could take
 * them. */
enum { FAR_AHEAD = 32 << 10, NEAR_AHEAD = 4096 };
enum { DWORDS = 8, HALF_DWORDS = DWORDS / 2, GROUPS = BLOCK_K / BLOCK_32 };

AVX512_INLINE __m512i x_dword(const int8_t *x, size_t block, int dword)
{
    int32_t value;
    memcpy(&value, x + block * X_BLOCK + (size_t)dword * 4, sizeof value);
    return _mm512_set1_epi32(value);
}

/* 16 rows' 32 products by each row of x. The type and M are constants where this is inlined. */
AVX512_INLINE void block_dots(enum weight_type type, int M, const char *values, const struct gemv_x *x,
                              size_t block, __m512i dots[DIRECT_ROWS_MOST])
{
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
        dots[i] = _mm512_setzero_si512();
    if (type == WEIGHT_Q8_0) {
#pragma GCC unroll 8
        for (int d = 0; d < DWORDS; d++) {
            __m512i w = _mm512_loadu_si512(values + (size_t)d * PACK_ROWS * 4);
#pragma GCC unroll 8
            for (int i = 0; i < M; i++)
                dots[i] = _mm512_dpbusd_epi32(dots[i], w, x_dword(x->q[i], block, d));
        }
        return;
    }
#pragma GCC unroll 4
    for (int d = 0; d < HALF_DWORDS; d++) {
        __m512i w = _mm512_loadu_si512(values + (size_t)d * PACK_ROWS * 4);
        __m512i lows = _mm512_and_si512(w, low), highs = _mm512_and_si512(_mm512_srli_epi16(w, 4), low);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            dots[i] = _mm512_dpbusd_epi32(dots[i], lows, x_dword(x->q[i], block, d));
            dots[i] = _mm512_dpbusd_epi32(dots[i], highs, x_dword(x->q[i], block, d + HALF_DWORDS));
        }
    }
}

AVX512_INLINE __m512 halves(const void *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(at));
}

AVX512_INLINE __m512 scaled(__m512 factor, const uint8_t *bytes)
{
    __m128i loaded = _mm_loadu_si128((const void *)bytes);
    return _mm512_mul_ps(factor, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(loaded)));
}

/* Adds block b: scale (x_scale dots - offset x_scale sum(x)), or with mins the latter times min. */
AVX512_INLINE void add_block(enum weight_type type, int M, const char *values, __m512 scale, __m512 min,
                             const struct gemv_x *x, size_t b, __m512 sums[DIRECT_ROWS_MOST])
{
    size_t bytes = (type == WEIGHT_Q8_0 ? BLOCK_32 : BLOCK_32 / 2) * (size_t)PACK_ROWS;
    __m512i dots[DIRECT_ROWS_MOST];
#pragma GCC unroll 8
    for (size_t line = 0; line < bytes; line += 64) {
        _mm_prefetch(values + b * bytes + FAR_AHEAD + line, _MM_HINT_T1);
        _mm_prefetch(values + b * bytes + NEAR_AHEAD + line, _MM_HINT_T0);
    }
    block_dots(type, M, values + b * bytes, x, b, dots);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
        __m512 d = _mm512_cvtepi32_ps(dots[i]);
        __m512 x_scale = _mm512_set1_ps(x->scales[i][b]), x_sum = _mm512_set1_ps(x->sums[i][b]);
        if (type == WEIGHT_Q4_K) {
            sums[i] = _mm512_fmadd_ps(scale, _mm512_mul_ps(d, x_scale), sums[i]);
            sums[i] = _mm512_fnmadd_ps(min, x_sum, sums[i]);
        } else {
            sums[i] = _mm512_fmadd_ps(scale, _mm512_fmsub_ps(d, x_scale, x_sum), sums[i]);
        }
    }
}

AVX512_INLINE void panel_sums(enum weight_type type, int M, const char *scales, const char *values,
                              const struct gemv_x *x, size_t blocks, __m512 sums[DIRECT_ROWS_MOST])
{
    const __m512 none = _mm512_setzero_ps();
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
        sums[i] = none;
    if (type != WEIGHT_Q4_K) {
        for (size_t b = 0; b < blocks; b++)
            add_block(type, M, values, halves(scales + b * PACK_ROWS * sizeof(uint16_t)), none, x, b, sums);
        return;
    }
    for (size_t b = 0; b < blocks; b += GROUPS) {
        const struct packed_q4_k *packed = (const void *)scales;
        packed += b / GROUPS;
        __m512 d = halves(packed->d), dmin = halves(packed->dmin);
        for (size_t g = 0; g < GROUPS; g++)
            add_block(type, M, values, scaled(d, packed->scales[g]), scaled(dmin, packed->mins[g]), x, b + g,
                      sums);
    }
}

/* w's data are the packed ones; `from` begins a panel. */
AVX512_INLINE void panels(enum weight_type type, int M, const struct tensor *w, const float *bias,
                          const struct gemv_x *x, size_t from, size_t to, float *const *y)
{
    struct packed_layout layout = packed_layout_of(type, w->cols);
    for (size_t row = from; row < to; row += PACK_ROWS) {
        const char *scales = (const char *)w->data + row / PACK_ROWS * (layout.scales + layout.values);
        __mmask16 lanes = to - row >= PACK_ROWS ? 0xffff : (__mmask16)((1U << (to - row)) - 1);
        __m512 sums[DIRECT_ROWS_MOST];
        panel_sums(type, M, scales, scales + layout.scales, x, w->cols / BLOCK_32, sums);
        __m512 first = bias != NULL ? _mm512_maskz_loadu_ps(lanes, bias + row) : _mm512_setzero_ps();
#pragma GCC unroll 8
        for (int i = 0; i < M; i++)
            _mm512_mask_storeu_ps(y[i] + row, lanes, _mm512_add_ps(sums[i], first));
    }
}

#define PACKED_ROWS(type, m, name)                                                                           \
    AVX512 static void name(const struct tensor *w, const float *bias, const struct gemv_x *x, size_t from,  \
                            size_t to, float *const *y)                                                      \
    {                                                                                                        \
        panels(type, m, w, bias, x, from, to, y);                                                            \
    }
/* One function a number of rows: each is a loop of its own. */
#define PACKED(type, name)                                                                                   \
    PACKED_ROWS(type, 1, name##_1)                                                                           \
    PACKED_ROWS(type, 2, name##_2)                                                                           \
    PACKED_ROWS(type, 3, name##_3)                                                                           \
    PACKED_ROWS(type, 4, name##_4)                                                                           \
    PACKED_ROWS(type, 5, name##_5)                                                                           \
    PACKED_ROWS(type, 6, name##_6)                                                                           \
    PACKED_ROWS(type, 7, name##_7)                                                                           \
    PACKED_ROWS(type, 8, name##_8)                                                                           \
    static void name(const struct tensor *w, const float *bias, const struct gemv_x *x, int m, size_t from,  \
                     size_t to, float *const *y)                                                             \
    {                                                                                                        \
        static void (*const rows[])(const struct tensor *, const float *, const struct gemv_x *, size_t,     \
                                    size_t, float *const *) = {                                              \
            name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8,                  \
        };                                                                                                   \
        rows[m - 1](w, bias, x, from, to, y);                                                                \
    }

PACKED(WEIGHT_Q8_0, packed_q8_0)
PACKED(WEIGHT_Q4_0, packed_q4_0)
PACKED(WEIGHT_Q4_K, packed_q4_k)

/* x in its own order; sums with the offset. */
AVX512_INLINE void quantise(float offset, const float *x, size_t k, int8_t *q, float *scales, float *sums)
{
    for (size_t b = 0; b < k / X_BLOCK; b++) {
        struct quantised block = quantise_block(x + b * X_BLOCK, X_BLOCK);
        memcpy(q + b * X_BLOCK, block.q, X_BLOCK);
        scales[b] = block.scale;
        sums[b] = offset * block.scale * (float)(block.sums[0] + block.sums[1]);
    }
}

#define QUANTISE(offset, name)                                                                               \
    AVX512 static void name(const float *x, size_t k, int8_t *q, float *scales, float *sums, float *half)    \
    {                                                                                                        \
        (void)half;                                                                                          \
        quantise(offset, x, k, q, scales, sums);                                                             \
    }

QUANTISE(128, quantise_q8_0)
QUANTISE(8, quantise_q4_0)
QUANTISE(1, quantise_q4_k)

const struct gemv_kernel gemv_packed_avx512[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_Q8_0] = {packed_q8_0, quantise_q8_0, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_0] = {packed_q4_0, quantise_q4_0, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_K] = {packed_q4_k, quantise_q4_k, DIRECT_ROWS_MOST},
};
#else
typedef int no_avx512; /* a file must declare something */
#endif
