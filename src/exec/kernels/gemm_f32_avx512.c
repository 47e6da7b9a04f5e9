/* fp32 products, and fp16 and bf16 weights by fp32 x, 16 lanes wide. */
#ifdef __x86_64__
#include "exec/kernels/gemm_avx512.h"

enum { VECTOR = 16, CHUNK = 64, AHEAD = 1024 };

AVX512_INLINE __m512 load_part(enum weight_type type, const char *row, size_t at, __mmask16 lanes)
{
    switch (type) {
    case WEIGHT_F32:
        return _mm512_maskz_loadu_ps(lanes, row + at * sizeof(float));
    case WEIGHT_F16:
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, row + at * sizeof(uint16_t)));
    default:
        return _mm512_castsi512_ps(_mm512_slli_epi32(
            _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, row + at * sizeof(uint16_t))), 16));
    }
}

AVX512_INLINE void pack(enum weight_type type, const struct tensor *w, size_t column, size_t columns,
                        size_t from, size_t count, uint32_t *out)
{
    size_t size = weight_layouts[type].block_bytes;
    const char *rows[PANEL];
    for (size_t j = 0; j < PANEL; j++)
        rows[j] = tensor_row(w, column + (j < columns ? j : columns - 1));
    for (size_t i = 0; i < count; i += VECTOR) {
        size_t left = count - i;
        __mmask16 lanes = left >= VECTOR ? 0xffff : (__mmask16)((1U << left) - 1);
        for (int half = 0; half < PANEL; half += VECTOR) {
            __m512i r[VECTOR];
#pragma GCC unroll 16
            for (int j = 0; j < VECTOR; j++) {
                _mm_prefetch(rows[half + j] + (from + i) * size + AHEAD, _MM_HINT_T0);
                r[j] = _mm512_castps_si512(load_part(type, rows[half + j], from + i, lanes));
            }
            transpose_16(r);
#pragma GCC unroll 16
            for (size_t j = 0; j < VECTOR; j++)
                if (j < left)
                    _mm512_store_si512(out + (i + j) * PANEL + half, r[j]);
        }
    }
}

AVX512 static void pack_f32(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                            const struct panel *panel)
{
    pack(WEIGHT_F32, w, column, columns, from, count, panel->values);
}

AVX512 static void pack_f16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                            const struct panel *panel)
{
    pack(WEIGHT_F16, w, column, columns, from, count, panel->values);
}

AVX512 static void pack_bf16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                             const struct panel *panel)
{
    pack(WEIGHT_BF16, w, column, columns, from, count, panel->values);
}

AVX512 static void convert(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                           const struct x_tile *tile)
{
    (void)form;
    uint32_t values[TILE][CHUNK] = {{0}};
    for (size_t i = 0; i < dwords; i += CHUNK) {
        size_t n = k - i < CHUNK ? k - i : CHUNK;
        for (int r = 0; r < rows; r++)
            memcpy(values[r], x[r] + i, n * sizeof(float));
        interleave(&values[0][0], CHUNK, n, tile->values + i * TILE);
    }
}

AVX512_INLINE void multiply_rows(int R, const float *w, const float *x, size_t dwords, const struct sums *out)
{
    __m512 sums[TILE][2];
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
        const float *from = out->from + (size_t)r * out->from_stride;
        _mm_prefetch((const void *)from, _MM_HINT_T0);
        _mm_prefetch((const void *)(from + VECTOR), _MM_HINT_T0);
        sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < dwords; i++, w += PANEL, x += TILE) {
        __m512 w0 = _mm512_load_ps(w), w1 = _mm512_load_ps(w + VECTOR);
#pragma GCC unroll 12
        for (int r = 0; r < R; r++) {
            __m512 xr = _mm512_set1_ps(x[r]);
            sums[r][0] = _mm512_fmadd_ps(w0, xr, sums[r][0]);
            sums[r][1] = _mm512_fmadd_ps(w1, xr, sums[r][1]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
        const float *from = out->from + (size_t)r * out->from_stride;
        float *to = out->to + (size_t)r * out->to_stride;
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(from), sums[r][0]));
        _mm512_storeu_ps(to + VECTOR, _mm512_add_ps(_mm512_loadu_ps(from + VECTOR), sums[r][1]));
    }
}

#define ROWS_CASE(n)                                                                                         \
    case n:                                                                                                  \
        multiply_rows(n, w, values, dwords, out);                                                            \
        return

AVX512 static void multiply(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                            const struct sums *out)
{
    const float *w = (const float *)panel->values, *values = (const float *)x->values;
    switch (rows) {
        ROWS_CASE(1);
        ROWS_CASE(2);
        ROWS_CASE(3);
        ROWS_CASE(4);
        ROWS_CASE(5);
        ROWS_CASE(6);
        ROWS_CASE(7);
        ROWS_CASE(8);
        ROWS_CASE(9);
        ROWS_CASE(10);
        ROWS_CASE(11);
    default:
        multiply_rows(TILE, w, values, dwords, out);
    }
}

#define KERNEL(pack)                                                                                         \
    {                                                                                                        \
        {GEMM_F32, INT8_NONE, 0}, pack, multiply, convert                                                    \
    }
const struct gemm_kernel gemm_f32_avx512[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F32] = KERNEL(pack_f32), [WEIGHT_F16] = KERNEL(pack_f16), [WEIGHT_BF16] = KERNEL(pack_bf16)};
#else
typedef int no_avx512; /* a file must declare something */
#endif
