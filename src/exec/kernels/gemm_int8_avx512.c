/* Quantised weights by int8 x, through VNNI's dot products of unsigned by signed bytes. */
#ifdef __x86_64__
#include "exec/kernels/int8_avx512.h"

enum { VECTOR = 16, CHUNK = 64, CHUNK_DWORDS = CHUNK / 4, HALF = TILE / 2 };

/* ---- weights ---- */

/* The rows of a panel's columns; those past the last repeat it. */
static void column_rows(const struct tensor *w, size_t column, size_t columns, const char *rows[PANEL])
{
    for (size_t j = 0; j < PANEL; j++)
        rows[j] = tensor_row(w, column + (j < columns ? j : columns - 1));
}

enum { AHEAD = 1024 }; /* bytes that a row is fetched ahead of its use */

AVX512_INLINE void pack_values(enum weight_type type, const struct tensor *w, const char *const rows[PANEL],
                               size_t from, size_t count, uint32_t *out)
{
    const struct weight_layout *layout = &weight_layouts[type];
    size_t step = CHUNK * layout->block_bytes / layout->block_values;
    for (size_t d = 0; d < count; d += CHUNK_DWORDS) {
        size_t chunk = (from + d) / CHUNK_DWORDS;
        bool both = (chunk + 1) * CHUNK <= w->cols;
        for (int half = 0; half < PANEL; half += VECTOR) {
            __m512i r[VECTOR];
#pragma GCC unroll 16
            for (int j = 0; j < VECTOR; j++) {
                _mm_prefetch(rows[half + j] + chunk * step + AHEAD, _MM_HINT_T0);
                r[j] = load_chunk(type, rows[half + j], chunk, both);
            }
            transpose_16(r);
            uint32_t *to = out + d * PANEL + half;
#pragma GCC unroll 16
            for (int i = 0; i < VECTOR; i++)
                if (i < VECTOR / 2 || both)
                    _mm512_store_si512(to + i * PANEL, r[i]);
        }
    }
}

/* Scales of blocks of 32 with one fp16 each, at `step` bytes. */
AVX512_INLINE void pack_scales(const char *const rows[PANEL], size_t block, size_t blocks, size_t step,
                               float *out)
{
    uint16_t halves[SLICE / BLOCK_DWORDS][PANEL];
    for (int j = 0; j < PANEL; j++)
        for (size_t b = 0; b < blocks; b++)
            memcpy(&halves[b][j], rows[j] + (block + b) * step, sizeof(uint16_t));
    for (size_t b = 0; b < blocks; b++)
        for (int j = 0; j < PANEL; j += VECTOR)
            _mm512_store_ps(out + b * PANEL + j,
                            _mm512_cvtph_ps(_mm256_loadu_si256((const void *)&halves[b][j])));
}

AVX512 static void pack_q8_0(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                             const struct panel *panel)
{
    const char *rows[PANEL];
    column_rows(w, column, columns, rows);
    pack_values(WEIGHT_Q8_0, w, rows, from, count, panel->values);
    pack_scales(rows, from / BLOCK_DWORDS, count / BLOCK_DWORDS, sizeof(struct block_q8_0), panel->scales);
}

AVX512 static void pack_q4_0(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                             const struct panel *panel)
{
    const char *rows[PANEL];
    column_rows(w, column, columns, rows);
    pack_values(WEIGHT_Q4_0, w, rows, from, count, panel->values);
    pack_scales(rows, from / BLOCK_DWORDS, count / BLOCK_DWORDS, sizeof(struct block_q4_0), panel->scales);
}

AVX512 static void pack_q4_k(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                             const struct panel *panel)
{
    enum { GROUPS = BLOCK_K / X_BLOCK };
    const char *rows[PANEL];
    column_rows(w, column, columns, rows);
    pack_values(WEIGHT_Q4_K, w, rows, from, count, panel->values);
    size_t first = from / BLOCK_DWORDS, end = first + count / BLOCK_DWORDS;
    for (size_t j = 0; j < PANEL; j++)
        for (size_t g = first; g < end; g++) {
            const char *block = rows[j] + g / GROUPS * sizeof(struct block_q4_k);
            uint16_t d[2]; /* d and dmin */
            memcpy(d, block, sizeof d);
            uint8_t scale, min;
            q4_k_scale_min((const uint8_t *)block + offsetof(struct block_q4_k, scales), (int)(g % GROUPS),
                           &scale, &min);
            panel->scales[(g - first) * PANEL + j] = _cvtsh_ss(d[0]) * scale;
            panel->mins[(g - first) * PANEL + j] = _cvtsh_ss(d[1]) * min;
        }
}

AVX512 static void pack_q6_k(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                             const struct panel *panel)
{
    enum { GROUPS = BLOCK_K / 16 };
    const char *rows[PANEL];
    column_rows(w, column, columns, rows);
    pack_values(WEIGHT_Q6_K, w, rows, from, count, panel->values);
    size_t first = from / GROUP_DWORDS, end = first + count / GROUP_DWORDS;
    for (size_t j = 0; j < PANEL; j++)
        for (size_t g = first; g < end; g++) {
            const char *block = rows[j] + g / GROUPS * sizeof(struct block_q6_k);
            uint16_t d;
            memcpy(&d, block + offsetof(struct block_q6_k, d), sizeof d);
            const int8_t *scales = (const int8_t *)block + offsetof(struct block_q6_k, scales);
            panel->scales[(g - first) * PANEL + j] = _cvtsh_ss(d) * (float)scales[g % GROUPS];
        }
}

/* ---- x ---- */

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

AVX512_INLINE void put_sums(const struct quantised *q, struct x_form form, size_t block, int row,
                            uint32_t *sums)
{
    if (form.form == INT8_GROUPS) {
        sums[2 * block * TILE + (size_t)row] = (uint32_t)(-form.offset * q->sums[0]);
        sums[(2 * block + 1) * TILE + (size_t)row] = (uint32_t)(-form.offset * q->sums[1]);
        return;
    }
    int sum = q->sums[0] + q->sums[1];
    sums[block * TILE + (size_t)row] =
        form.form == INT8_MINS ? float_bits(q->scale * (float)sum) : (uint32_t)(-form.offset * sum);
}

/* Block after block of all rows, since their bytes stand side by side. */
AVX512 static void convert_int8(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                                const struct x_tile *tile)
{
    uint32_t bytes[TILE][BLOCK_DWORDS] = {{0}};
    for (size_t b = 0; b < dwords / BLOCK_DWORDS; b++) {
        for (int r = 0; r < rows; r++) {
            struct quantised q = quantise_block(x[r] + b * X_BLOCK, k - b * X_BLOCK);
            memcpy(bytes[r], q.q, sizeof q.q);
            tile->scales[b * TILE + (size_t)r] = q.scale;
            put_sums(&q, form, b, r, tile->sums);
        }
        interleave(&bytes[0][0], BLOCK_DWORDS, BLOCK_DWORDS, tile->values + b * BLOCK_DWORDS * TILE);
    }
}

/* ---- products ---- */

/* Sums of `quads` dwords for R rows and two vectors of columns, from the offsets' part on. */
AVX512_INLINE void dot_quads(int quads, int R, const uint32_t *w, const uint32_t *x, const uint32_t *start,
                             __m512i dots[HALF][2])
{
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
        dots[r][0] = dots[r][1] = start != NULL ? _mm512_set1_epi32((int)start[r]) : _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int i = 0; i < quads; i++) {
        __m512i w0 = _mm512_load_si512(w + i * PANEL), w1 = _mm512_load_si512(w + i * PANEL + VECTOR);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            __m512i xr = _mm512_set1_epi32((int)x[i * TILE + r]);
            dots[r][0] = _mm512_dpbusd_epi32(dots[r][0], w0, xr);
            dots[r][1] = _mm512_dpbusd_epi32(dots[r][1], w1, xr);
        }
    }
}

AVX512_INLINE void add_scaled(int R, __m512i dots[HALF][2], const float *scales, const float *x_scales,
                              __m512 sums[HALF][2])
{
    __m512 s0 = _mm512_load_ps(scales), s1 = _mm512_load_ps(scales + VECTOR);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        __m512 x = _mm512_set1_ps(x_scales[r]);
        sums[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][0]), _mm512_mul_ps(s0, x), sums[r][0]);
        sums[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[r][1]), _mm512_mul_ps(s1, x), sums[r][1]);
    }
}

AVX512_INLINE void subtract_mins(int R, const float *mins, const uint32_t *x_sums, __m512 sums[HALF][2])
{
    __m512 m0 = _mm512_load_ps(mins), m1 = _mm512_load_ps(mins + VECTOR);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        __m512 x = _mm512_castsi512_ps(_mm512_set1_epi32((int)x_sums[r]));
        sums[r][0] = _mm512_fnmadd_ps(m0, x, sums[r][0]);
        sums[r][1] = _mm512_fnmadd_ps(m1, x, sums[r][1]);
    }
}

/* R and form are constants where this is inlined. */
AVX512_INLINE void multiply_rows(int R, enum int8_form form, const struct panel *panel,
                                 const struct x_tile *x, size_t dwords, const struct sums *out)
{
    const uint32_t *w = panel->values, *q = x->values, *x_sums = x->sums;
    const float *scales = panel->scales, *mins = panel->mins, *x_scales = x->scales;
    __m512 sums[HALF][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        const float *from = out->from + (size_t)r * out->from_stride;
        _mm_prefetch((const void *)from, _MM_HINT_T0);
        _mm_prefetch((const void *)(from + VECTOR), _MM_HINT_T0);
        sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    }
    for (size_t d = 0; d < dwords; d += BLOCK_DWORDS) {
        __m512i dots[HALF][2];
        if (form == INT8_GROUPS) {
            dot_quads(GROUP_DWORDS, R, w, q, x_sums, dots);
            add_scaled(R, dots, scales, x_scales, sums);
            dot_quads(GROUP_DWORDS, R, w + GROUP_DWORDS * PANEL, q + GROUP_DWORDS * TILE, x_sums + TILE,
                      dots);
            add_scaled(R, dots, scales + PANEL, x_scales, sums);
            scales += PANEL;
            x_sums += TILE;
        } else {
            dot_quads(BLOCK_DWORDS, R, w, q, form == INT8_MINS ? NULL : x_sums, dots);
            add_scaled(R, dots, scales, x_scales, sums);
        }
        if (form == INT8_MINS)
            subtract_mins(R, mins, x_sums, sums);
        w += BLOCK_DWORDS * PANEL, q += BLOCK_DWORDS * TILE;
        scales += PANEL, mins += PANEL, x_scales += TILE, x_sums += TILE;
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        const float *from = out->from + (size_t)r * out->from_stride;
        float *to = out->to + (size_t)r * out->to_stride;
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(from), sums[r][0]));
        _mm512_storeu_ps(to + VECTOR, _mm512_add_ps(_mm512_loadu_ps(from + VECTOR), sums[r][1]));
    }
}

AVX512_INLINE void multiply_half(int rows, enum int8_form form, const struct panel *panel,
                                 const struct x_tile *x, size_t dwords, const struct sums *out)
{
    switch (rows) {
    case 1:
        multiply_rows(1, form, panel, x, dwords, out);
        return;
    case 2:
        multiply_rows(2, form, panel, x, dwords, out);
        return;
    case 3:
        multiply_rows(3, form, panel, x, dwords, out);
        return;
    case 4:
        multiply_rows(4, form, panel, x, dwords, out);
        return;
    case 5:
        multiply_rows(5, form, panel, x, dwords, out);
        return;
    default:
        multiply_rows(HALF, form, panel, x, dwords, out);
    }
}

/* Registers hold the sums of half a tile. */
AVX512_INLINE void multiply_int8(enum int8_form form, const struct panel *panel, const struct x_tile *x,
                                 size_t dwords, int rows, const struct sums *out)
{
    int first = rows <= HALF ? rows : (rows + 1) / 2;
    for (int r = 0; r < rows; r += first) {
        struct x_tile at = {x->values + r, x->scales + r, x->sums + r};
        struct sums part = sums_part(out, r, 0);
        multiply_half(rows - r < first ? rows - r : first, form, panel, &at, dwords, &part);
    }
}

AVX512 static void multiply_blocks(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                                   const struct sums *out)
{
    multiply_int8(INT8_BLOCKS, panel, x, dwords, rows, out);
}

AVX512 static void multiply_groups(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                                   const struct sums *out)
{
    multiply_int8(INT8_GROUPS, panel, x, dwords, rows, out);
}

AVX512 static void multiply_mins(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                                 const struct sums *out)
{
    multiply_int8(INT8_MINS, panel, x, dwords, rows, out);
}

const struct gemm_kernel gemm_int8_avx512[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_Q8_0] = {{GEMM_INT8, INT8_BLOCKS, 128}, pack_q8_0, multiply_blocks, convert_int8},
    [WEIGHT_Q4_0] = {{GEMM_INT8, INT8_BLOCKS, 8}, pack_q4_0, multiply_blocks, convert_int8},
    [WEIGHT_Q4_K] = {{GEMM_INT8, INT8_MINS, 0}, pack_q4_k, multiply_mins, convert_int8},
    [WEIGHT_Q6_K] = {{GEMM_INT8, INT8_GROUPS, 32}, pack_q6_k, multiply_groups, convert_int8},
};
#else
typedef int no_avx512; /* a file must declare something */
#endif
