/* Products on AVX2: every type as fp32, 8 lanes wide. */
#ifdef __x86_64__
#include "exec/kernels/gemm_kernels.h"

#include <immintrin.h>
#include <string.h>

#define AVX2        __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { VECTOR = 8, COLUMNS = 2 * VECTOR, ROWS = 6 };

AVX2_INLINE void multiply_rows(int R, const float *w, const float *x, size_t dwords, const struct sums *out)
{
    __m256 sums[ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        const float *from = out->from + (size_t)r * out->from_stride;
        sums[r][0] = _mm256_loadu_ps(from);
        sums[r][1] = _mm256_loadu_ps(from + VECTOR);
    }
    for (size_t i = 0; i < dwords; i++, w += PANEL, x += TILE) {
        __m256 w0 = _mm256_load_ps(w), w1 = _mm256_load_ps(w + VECTOR);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            __m256 xr = _mm256_set1_ps(x[r]);
            sums[r][0] = _mm256_fmadd_ps(w0, xr, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(w1, xr, sums[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        float *to = out->to + (size_t)r * out->to_stride;
        _mm256_storeu_ps(to, sums[r][0]);
        _mm256_storeu_ps(to + VECTOR, sums[r][1]);
    }
}

AVX2_INLINE void multiply_half(int rows, const float *w, const float *x, size_t dwords,
                               const struct sums *out)
{
    switch (rows) {
    case 1:
        multiply_rows(1, w, x, dwords, out);
        return;
    case 2:
        multiply_rows(2, w, x, dwords, out);
        return;
    case 3:
        multiply_rows(3, w, x, dwords, out);
        return;
    case 4:
        multiply_rows(4, w, x, dwords, out);
        return;
    case 5:
        multiply_rows(5, w, x, dwords, out);
        return;
    default:
        multiply_rows(ROWS, w, x, dwords, out);
    }
}

/* Half a tile and half a panel at a time: 16 registers. */
AVX2 static void multiply(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                          const struct sums *out)
{
    const float *w = (const float *)panel->values, *values = (const float *)x->values;
    int first = rows <= ROWS ? rows : (rows + 1) / 2;
    for (int c = 0; c < PANEL; c += COLUMNS)
        for (int r = 0; r < rows; r += first) {
            struct sums part = sums_part(out, r, c);
            multiply_half(rows - r < first ? rows - r : first, w + c, values + r, dwords, &part);
        }
}

/* Four rows by four dwords change places in 128 bits. */
AVX2 static void convert(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                         const struct x_tile *tile)
{
    (void)form, (void)dwords; /* k of them */
    float *out = (float *)tile->values;
    const float *sources[TILE];
    for (int r = 0; r < TILE; r++)
        sources[r] = x[r < rows ? r : 0]; /* rows beyond are not used */
    size_t i = 0;
    for (; i + 4 <= k; i += 4)
        for (size_t r = 0; r < TILE; r += 4) {
            __m128 a = _mm_loadu_ps(sources[r] + i), b = _mm_loadu_ps(sources[r + 1] + i);
            __m128 c = _mm_loadu_ps(sources[r + 2] + i), d = _mm_loadu_ps(sources[r + 3] + i);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(out + i * TILE + r, a);
            _mm_storeu_ps(out + (i + 1) * TILE + r, b);
            _mm_storeu_ps(out + (i + 2) * TILE + r, c);
            _mm_storeu_ps(out + (i + 3) * TILE + r, d);
        }
    for (; i < k; i++)
        for (size_t r = 0; r < TILE; r++)
            out[i * TILE + r] = sources[r][i];
}

/* ---- weights ---- */

AVX2_INLINE __m256 load_8(enum weight_type type, const char *from)
{
    __m128i stored = _mm_loadu_si128((const void *)from);
    if (type == WEIGHT_F16)
        return _mm256_cvtph_ps(stored);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(stored), 16));
}

AVX2_INLINE void pack_16_bits(enum weight_type type, const struct tensor *w, size_t column, size_t columns,
                              size_t from, size_t count, float *out)
{
    float values[SLICE];
    for (size_t j = 0; j < PANEL; j++) {
        const char *row =
            (const char *)tensor_row(w, column + (j < columns ? j : 0)) + from * sizeof(uint16_t);
        size_t i = 0;
        for (; i + VECTOR <= count; i += VECTOR)
            _mm256_storeu_ps(values + i, load_8(type, row + i * sizeof(uint16_t)));
        if (i < count) {
            char last[VECTOR * sizeof(uint16_t)] = {0};
            memcpy(last, row + i * sizeof(uint16_t), (count - i) * sizeof(uint16_t));
            _mm256_storeu_ps(values + i, load_8(type, last));
        }
        for (i = 0; i < count; i++)
            out[i * PANEL + j] = values[i];
    }
}

AVX2 static void pack_f16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                          const struct panel *panel)
{
    pack_16_bits(WEIGHT_F16, w, column, columns, from, count, (float *)panel->values);
}

AVX2 static void pack_bf16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                           const struct panel *panel)
{
    pack_16_bits(WEIGHT_BF16, w, column, columns, from, count, (float *)panel->values);
}

#define GEMM(pack)                                                                                           \
    {                                                                                                        \
        {GEMM_F32, INT8_NONE, 0}, pack, multiply, convert                                                    \
    }
const struct gemm_kernel gemm_avx2[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F32] = GEMM(pack_f32_portable),  [WEIGHT_F16] = GEMM(pack_f16),
    [WEIGHT_BF16] = GEMM(pack_bf16),         [WEIGHT_Q8_0] = GEMM(pack_f32_portable),
    [WEIGHT_Q4_0] = GEMM(pack_f32_portable), [WEIGHT_Q4_K] = GEMM(pack_f32_portable),
    [WEIGHT_Q6_K] = GEMM(pack_f32_portable), [WEIGHT_Q4_1] = GEMM(pack_f32_portable),
    [WEIGHT_Q5_0] = GEMM(pack_f32_portable), [WEIGHT_Q5_1] = GEMM(pack_f32_portable),
    [WEIGHT_Q5_K] = GEMM(pack_f32_portable)};
#else
typedef int no_avx2; /* a file must declare something */
#endif
