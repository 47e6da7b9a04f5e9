/* Few rows of x by weights as they are stored, on AVX2: each row of weights is read once. Bytes are
 * multiplied in pairs to 16 bits, unsigned by signed, which no type's values overflow. */
#ifdef __x86_64__
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm_kernels.h"

#include <immintrin.h>
#include <string.h>

#define AVX2        __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { VECTOR = 8, ROWS = 4, AHEAD = 2048 };

AVX2_INLINE float sum_of(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* ---- fp32, fp16 and bf16 ---- */

AVX2_INLINE __m256 load_w(enum weight_type type, const char *row, size_t at)
{
    if (type == WEIGHT_F32)
        return _mm256_loadu_ps((const float *)(const void *)(row + at * sizeof(float)));
    __m128i stored = _mm_loadu_si128((const void *)(row + at * sizeof(uint16_t)));
    if (type == WEIGHT_F16)
        return _mm256_cvtph_ps(stored);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(stored), 16));
}

/* The type, M rows of x and R of w are constants where this is inlined, here and below. */
AVX2_INLINE void float_rows(enum weight_type type, int M, int R, const char *const rows[ROWS], size_t k,
                            const struct gemv_x *x, float sums[DIRECT_ROWS_MOST][ROWS])
{
    __m256 parts[DIRECT_ROWS_MOST][ROWS];
    size_t size = weight_layouts[type].block_bytes, at = 0;
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 4
        for (int r = 0; r < R; r++)
            parts[i][r] = _mm256_setzero_ps();
    for (; at + VECTOR <= k; at += VECTOR) {
        __m256 w[ROWS];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            _mm_prefetch(rows[r] + at * size + AHEAD, _MM_HINT_T0);
            w[r] = load_w(type, rows[r], at);
        }
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            __m256 xi = _mm256_loadu_ps(x->values[i] + at);
#pragma GCC unroll 4
            for (int r = 0; r < R; r++)
                parts[i][r] = _mm256_fmadd_ps(w[r], xi, parts[i][r]);
        }
    }
    for (int r = 0; r < R; r++) {
        float tail[VECTOR];
        weights_decode(type, rows[r] + at * size, k - at, tail);
        for (int i = 0; i < M; i++) {
            sums[i][r] = sum_of(parts[i][r]);
            for (size_t t = 0; t < k - at; t++)
                sums[i][r] += tail[t] * x->values[i][at + t];
        }
    }
}

/* ---- quantised weights ---- */

struct block {
    __m256i q;
    __m256 scale; /* of each dword's four values */
    float min;    /* of 32 values, or of the first 16 */
    float min_high;
};

AVX2_INLINE float half_at(const char *at)
{
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return _cvtsh_ss(half);
}

AVX2_INLINE struct block load_q6_k(const char *at, size_t j)
{
    const __m256i high_bits = _mm256_set1_epi8(0x30);
    const char *low_at = at + offsetof(struct block_q6_k, low) + j / 4 * 64 + j % 2 * 32;
    __m256i low = _mm256_loadu_si256((const void *)low_at);
    __m256i high = _mm256_loadu_si256((const void *)(at + offsetof(struct block_q6_k, high) + j / 4 * 32));
    if (j % 4 >= 2)
        low = _mm256_srli_epi16(low, 4);
    high = _mm256_slli_epi16(_mm256_srl_epi16(high, _mm_cvtsi32_si128((int)(j % 4 * 2))), 4);
    const int8_t *scales = (const int8_t *)at + offsetof(struct block_q6_k, scales) + 2 * j;
    float d = half_at(at + offsetof(struct block_q6_k, d)), a = d * (float)scales[0],
          b = d * (float)scales[1];
    __m256i q =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)), _mm256_and_si256(high, high_bits));
    return (struct block){q, _mm256_setr_ps(a, a, a, a, b, b, b, b), a, b};
}

AVX2_INLINE struct block load_block(enum weight_type type, const char *row, size_t b)
{
    const __m256i low = _mm256_set1_epi8(15);
    const char *at;
    switch (type) {
    case WEIGHT_Q8_0:
        at = row + b * sizeof(struct block_q8_0);
        return (struct block){_mm256_loadu_si256((const void *)(at + offsetof(struct block_q8_0, q))),
                              _mm256_set1_ps(half_at(at)), 0, 0};
    case WEIGHT_Q4_0: {
        at = row + b * sizeof(struct block_q4_0);
        __m128i bytes = _mm_loadu_si128((const void *)(at + offsetof(struct block_q4_0, q)));
        __m256i wide = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
        float d = half_at(at);
        return (struct block){_mm256_and_si256(wide, low), _mm256_set1_ps(d), d, 0};
    }
    case WEIGHT_Q4_K: {
        size_t j = b % 8;
        at = row + b / 8 * sizeof(struct block_q4_k);
        const char *q_at = at + offsetof(struct block_q4_k, q) + j / 2 * 32;
        __m256i bytes = _mm256_loadu_si256((const void *)q_at);
        if (j % 2 == 1)
            bytes = _mm256_srli_epi16(bytes, 4);
        uint8_t scale, min;
        q4_k_scale_min((const uint8_t *)at + offsetof(struct block_q4_k, scales), (int)j, &scale, &min);
        return (struct block){_mm256_and_si256(bytes, low), _mm256_set1_ps(half_at(at) * (float)scale),
                              half_at(at + sizeof(uint16_t)) * (float)min, 0};
    }
    default:
        return load_q6_k(row + b / 8 * sizeof(struct block_q6_k), b % 8);
    }
}

/* Four products a dword. q8_0's weights are signed: their sign goes to x. */
AVX2_INLINE __m256 dots_of(enum weight_type type, __m256i w, __m256i x)
{
    __m256i pairs = type == WEIGHT_Q8_0 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                                        : _mm256_maddubs_epi16(w, x);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2_INLINE void int8_row(enum weight_type type, int M, const char *row, size_t k, const struct gemv_x *x,
                          float sums[DIRECT_ROWS_MOST][ROWS])
{
    __m256 parts[DIRECT_ROWS_MOST];
    float mins[DIRECT_ROWS_MOST];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
        parts[i] = _mm256_setzero_ps(), mins[i] = 0;
    size_t size = BLOCK_32 * weight_layouts[type].block_bytes / weight_layouts[type].block_values;
    for (size_t b = 0; b < k / BLOCK_32; b++) {
        _mm_prefetch(row + b * size + AHEAD, _MM_HINT_T0);
        struct block block = load_block(type, row, b);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            __m256 dots = dots_of(type, block.q, _mm256_loadu_si256((const void *)(x->q[i] + b * BLOCK_32)));
            parts[i] =
                _mm256_fmadd_ps(dots, _mm256_mul_ps(block.scale, _mm256_set1_ps(x->scales[i][b])), parts[i]);
            if (type == WEIGHT_Q6_K)
                mins[i] += block.min * x->halves[i][2 * b] + block.min_high * x->halves[i][2 * b + 1];
            else if (type != WEIGHT_Q8_0)
                mins[i] += block.min * x->sums[i][b];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
        sums[i][0] = sum_of(parts[i]) - mins[i];
}

/* ---- x ---- */

AVX2_INLINE int sum_bytes_16(__m128i bytes)
{
    __m128i pairs = _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), bytes), _mm_set1_epi16(1));
    pairs = _mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, _MM_SHUFFLE(2, 3, 0, 1))));
}

AVX2_INLINE float largest_of_32(const float *x)
{
    const __m256 sign = _mm256_set1_ps(-0.0F);
    __m256 most = _mm256_setzero_ps();
    for (int i = 0; i < X_BLOCK; i += VECTOR)
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

AVX2_INLINE void quantise(float offset, const float *x, size_t k, int8_t *q, float *scales, float *sums,
                          float *halves)
{
    for (size_t b = 0; b < k / X_BLOCK; b++, x += X_BLOCK, q += X_BLOCK) {
        float most = largest_of_32(x), scale = most / 127;
        __m256 inverse = _mm256_set1_ps(most >= 0x1p-120F ? 127 / most : 0);
        __m256i v[4];
        for (int i = 0; i < 4; i++)
            v[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i * VECTOR), inverse));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((void *)q, bytes);
        int low = sum_bytes_16(_mm256_castsi256_si128(bytes)),
            high = sum_bytes_16(_mm256_extracti128_si256(bytes, 1));
        scales[b] = scale;
        sums[b] = offset * scale * (float)(low + high);
        halves[2 * b] = offset * scale * (float)low;
        halves[2 * b + 1] = offset * scale * (float)high;
    }
}

#define QUANTISE(offset, name)                                                                               \
    AVX2 static void name(const float *x, size_t k, int8_t *q, float *scales, float *sums, float *halves)    \
    {                                                                                                        \
        quantise(offset, x, k, q, scales, sums, halves);                                                     \
    }

QUANTISE(1, quantise_plain)
QUANTISE(8, quantise_q4_0)
QUANTISE(32, quantise_q6_k)

/* ---- rows ---- */

AVX2_INLINE void some_rows(enum weight_type type, int M, int R, const struct tensor *w, const float *bias,
                           const struct gemv_x *x, size_t row, float *const *y)
{
    float sums[DIRECT_ROWS_MOST][ROWS];
    const char *rows[ROWS];
    for (int r = 0; r < R; r++)
        rows[r] = tensor_row(w, row + (size_t)r);
    if (type == WEIGHT_F32 || type == WEIGHT_F16 || type == WEIGHT_BF16)
        float_rows(type, M, R, rows, w->cols, x, sums);
    else
        int8_row(type, M, rows[0], w->cols, x, sums);
    for (int i = 0; i < M; i++)
        for (int r = 0; r < R; r++)
            y[i][row + (size_t)r] = sums[i][r] + (bias != NULL ? bias[row + (size_t)r] : 0);
}

/* Rows of weights at a time, so that the sums fit 16 registers. */
AVX2_INLINE void all_rows(enum weight_type type, int M, const struct tensor *w, const float *bias,
                          const struct gemv_x *x, size_t from, size_t to, float *const *y)
{
    bool int8 = type != WEIGHT_F32 && type != WEIGHT_F16 && type != WEIGHT_BF16;
    int R = int8 || M > 4 ? 1 : M > 2 ? 2 : ROWS;
    size_t row = from;
    for (; row + (size_t)R <= to; row += (size_t)R)
        some_rows(type, M, R, w, bias, x, row, y);
    if (R > 1)
        for (; row < to; row++)
            some_rows(type, M, 1, w, bias, x, row, y);
}

#define ROWS_CASE(type, m)                                                                                   \
    case m:                                                                                                  \
        all_rows(type, m, w, bias, x, from, to, y);                                                          \
        return;

#define GEMV(type, name)                                                                                     \
    AVX2 static void name(const struct tensor *w, const float *bias, const struct gemv_x *x, int m,          \
                          size_t from, size_t to, float *const *y)                                           \
    {                                                                                                        \
        switch (m) {                                                                                         \
            ROWS_CASE(type, 1)                                                                               \
            ROWS_CASE(type, 2)                                                                               \
            ROWS_CASE(type, 3)                                                                               \
            ROWS_CASE(type, 4)                                                                               \
            ROWS_CASE(type, 5)                                                                               \
            ROWS_CASE(type, 6)                                                                               \
            ROWS_CASE(type, 7)                                                                               \
        default:                                                                                             \
            all_rows(type, 8, w, bias, x, from, to, y);                                                      \
        }                                                                                                    \
    }

GEMV(WEIGHT_F32, gemv_f32)
GEMV(WEIGHT_F16, gemv_f16)
GEMV(WEIGHT_BF16, gemv_bf16)
GEMV(WEIGHT_Q8_0, gemv_q8_0)
GEMV(WEIGHT_Q4_0, gemv_q4_0)
GEMV(WEIGHT_Q4_K, gemv_q4_k)
GEMV(WEIGHT_Q6_K, gemv_q6_k)

const struct gemv_kernel gemv_avx2[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F32] = {gemv_f32, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_F16] = {gemv_f16, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_BF16] = {gemv_bf16, NULL, DIRECT_ROWS_MOST},
    [WEIGHT_Q8_0] = {gemv_q8_0, quantise_plain, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_0] = {gemv_q4_0, quantise_q4_0, DIRECT_ROWS_MOST},
    [WEIGHT_Q4_K] = {gemv_q4_k, quantise_plain, DIRECT_ROWS_MOST},
    [WEIGHT_Q6_K] = {gemv_q6_k, quantise_q6_k, DIRECT_ROWS_MOST},
};
#else
typedef int no_avx2; /* a file must declare something */
#endif
