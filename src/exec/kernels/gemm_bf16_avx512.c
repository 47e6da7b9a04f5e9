/* fp16 and bf16 weights by x rounded to bf16, through dot products of pairs. */
#ifdef __x86_64__
#include "exec/kernels/gemm_avx512.h"

#define BF16        __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,avx2,fma,f16c")))
#define BF16_INLINE BF16 __attribute__((always_inline)) static inline

enum { VECTOR = 16, PAIRS = 2 * VECTOR, CHUNK = 64, AHEAD = 1024 };

/* 32 values as bf16; those from `left` on are 0. */
BF16_INLINE __m512i load_pairs(enum weight_type type, const char *row, size_t at, size_t left)
{
    const char *from = row + at * sizeof(uint16_t);
    __m512i stored = left >= PAIRS ? _mm512_loadu_si512(from)
                                   : _mm512_maskz_loadu_epi16((__mmask32)((1U << left) - 1), from);
    if (type == WEIGHT_BF16)
        return stored;
    __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(stored));
    __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(stored, 1));
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

BF16_INLINE void pack(enum weight_type type, const struct tensor *w, size_t column, size_t columns,
                      size_t from, size_t count, uint32_t *out)
{
    const char *rows[PANEL];
    for (size_t j = 0; j < PANEL; j++)
        rows[j] = tensor_row(w, column + (j < columns ? j : columns - 1));
    for (size_t i = 0; i < count; i += VECTOR) {
        size_t at = 2 * (from + i);
        for (int half = 0; half < PANEL; half += VECTOR) {
            __m512i r[VECTOR];
#pragma GCC unroll 16
            for (int j = 0; j < VECTOR; j++) {
                _mm_prefetch(rows[half + j] + at * sizeof(uint16_t) + AHEAD, _MM_HINT_T0);
                r[j] = load_pairs(type, rows[half + j], at, w->cols - at);
            }
            transpose_16(r);
#pragma GCC unroll 16
            for (size_t j = 0; j < VECTOR; j++)
                if (j < count - i)
                    _mm512_store_si512(out + (i + j) * PANEL + half, r[j]);
        }
    }
}

BF16 static void pack_f16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                          const struct panel *panel)
{
    pack(WEIGHT_F16, w, column, columns, from, count, panel->values);
}

BF16 static void pack_bf16(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                           const struct panel *panel)
{
    pack(WEIGHT_BF16, w, column, columns, from, count, panel->values);
}

BF16_INLINE __m512 load_x(const float *x, size_t left)
{
    __mmask16 lanes = left >= VECTOR ? 0xffff : (__mmask16)((1U << left) - 1);
    return _mm512_maskz_loadu_ps(lanes, x);
}

BF16 static void convert(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                         const struct x_tile *tile)
{
    (void)form;
    uint32_t values[TILE][CHUNK] = {{0}};
    for (size_t d = 0; d < dwords; d += CHUNK) {
        size_t n = dwords - d < CHUNK ? dwords - d : CHUNK;
        for (int r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i += VECTOR) {
                size_t at = 2 * (d + i);
                __m512 low = load_x(x[r] + at, k - at), high = _mm512_setzero_ps();
                if (k - at > VECTOR)
                    high = load_x(x[r] + at + VECTOR, k - at - VECTOR);
                _mm512_storeu_si512(values[r] + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
            }
        interleave(&values[0][0], CHUNK, n, tile->values + d * TILE);
    }
}

BF16_INLINE void multiply_rows(int R, const uint32_t *w, const uint32_t *x, size_t dwords,
                               const struct sums *out)
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
        __m512bh w0 = (__m512bh)_mm512_load_si512(w), w1 = (__m512bh)_mm512_load_si512(w + VECTOR);
#pragma GCC unroll 12
        for (int r = 0; r < R; r++) {
            __m512bh xr = (__m512bh)_mm512_set1_epi32((int)x[r]);
            sums[r][0] = _mm512_dpbf16_ps(sums[r][0], w0, xr);
            sums[r][1] = _mm512_dpbf16_ps(sums[r][1], w1, xr);
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
        multiply_rows(n, panel->values, x->values, dwords, out);                                             \
        return

BF16 static void multiply(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                          const struct sums *out)
{
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
        multiply_rows(TILE, panel->values, x->values, dwords, out);
    }
}

#define KERNEL(pack)                                                                                         \
    {                                                                                                        \
        {GEMM_BF16, INT8_NONE, 0}, pack, multiply, convert                                                   \
    }
const struct gemm_kernel gemm_bf16_avx512[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_F16] = KERNEL(pack_f16), [WEIGHT_BF16] = KERNEL(pack_bf16)};
#else
typedef int no_avx512; /* a file must declare something */
#endif
