/* Products without any instruction set's intrinsics: every type as fp32. */
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm_kernels.h"

#include <string.h>

typedef float floats __attribute__((vector_size(16), aligned(4), may_alias));

enum { LANES = 4, ROWS = 4, VECTORS = 2, CHUNK = 2048, SUMS = 16 };

/* Values [from, from + count) of a row; types with blocks: from is a multiple of 64 dwords of int8 in the
 * panel kernels, of fp32 here, so that it may lie inside a block of 256. */
static void decode_part(const struct tensor *w, size_t row, size_t from, size_t count, float *values)
{
    const struct weight_layout *layout = &weight_layouts[w->type];
    float block[BLOCK_K];
    while (count > 0) {
        size_t inside = from % layout->block_values, n = layout->block_values - inside;
        const char *stored =
            (const char *)tensor_row(w, row) + from / layout->block_values * layout->block_bytes;
        if (inside == 0 && count >= n) {
            n = count / layout->block_values * layout->block_values;
            weights_decode(w->type, stored, n, values);
        } else {
            n = n < count ? n : count;
            weights_decode(w->type, stored, layout->block_values, block);
            memcpy(values, block + inside, n * sizeof *values);
        }
        from += n, values += n, count -= n;
    }
}

void pack_f32_portable(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                       const struct panel *panel)
{
    float values[SLICE], *out = (float *)panel->values;
    for (size_t j = 0; j < PANEL; j++) {
        if (j < columns)
            decode_part(w, column + j, from, count, values);
        else
            memset(values, 0, sizeof values);
        for (size_t i = 0; i < count; i++)
            out[i * PANEL + j] = values[i];
    }
}

static void convert_f32(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                        const struct x_tile *tile)
{
    (void)form, (void)dwords; /* k of them */
    float *out = (float *)tile->values;
    for (size_t i = 0; i < k; i++)
        for (int r = 0; r < TILE; r++)
            out[i * TILE + (size_t)r] = r < rows ? x[r][i] : 0;
}

/* ROWS x 8 values of y; always that many rows, of which `rows` are kept. */
static void multiply_part(const float *w, const float *x, size_t dwords, int rows, const struct sums *out)
{
    floats sums[ROWS][VECTORS] = {0};
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++)
            sums[r][c] = *(const floats *)(out->from + (size_t)r * out->from_stride + c * LANES);
    for (size_t i = 0; i < dwords; i++, w += PANEL, x += TILE) {
        floats w0 = *(const floats *)w, w1 = *(const floats *)(w + LANES);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            sums[r][0] += w0 * x[r];
            sums[r][1] += w1 * x[r];
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++)
            *(floats *)(out->to + (size_t)r * out->to_stride + c * LANES) = sums[r][c];
}

static void multiply_f32(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                         const struct sums *out)
{
    const float *w = (const float *)panel->values, *values = (const float *)x->values;
    for (int c = 0; c < PANEL; c += LANES * VECTORS)
        for (int r = 0; r < rows; r += ROWS) {
            struct sums part = sums_part(out, r, c);
            multiply_part(w + c, values + r, dwords, rows - r < ROWS ? rows - r : ROWS, &part);
        }
}

static float dot(const float *a, const float *b, size_t n)
{
    float sums[SUMS] = {0}, sum = 0;
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (size_t l = 0; l < SUMS; l++)
            sums[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (size_t l = 0; l < SUMS; l++)
        sum += sums[l];
    return sum;
}

static void gemv(const struct tensor *w, const float *bias, const struct gemv_x *x, int m, size_t from,
                 size_t to, float *const *y)
{
    float values[CHUNK];
    for (size_t j = from; j < to; j++) {
        float sums[DIRECT_ROWS_MOST] = {0};
        for (size_t k = 0; k < w->cols; k += CHUNK) {
            size_t n = w->cols - k < CHUNK ? w->cols - k : CHUNK;
            decode_part(w, j, k, n, values);
            for (int i = 0; i < m; i++)
                sums[i] += dot(values, x->values[i] + k, n);
        }
        for (int i = 0; i < m; i++)
            y[i][j] = sums[i] + (bias != NULL ? bias[j] : 0);
    }
}

#define GEMM                                                                                                 \
    {                                                                                                        \
        {GEMM_F32, INT8_NONE, 0}, pack_f32_portable, multiply_f32, convert_f32                               \
    }
const struct gemm_kernel gemm_portable[WEIGHT_TYPE_COUNT] = {GEMM, GEMM, GEMM, GEMM, GEMM, GEMM,
                                                             GEMM, GEMM, GEMM, GEMM, GEMM};

#define GEMV                                                                                                 \
    {                                                                                                        \
        gemv, NULL, DIRECT_ROWS_MOST                                                                         \
    }
const struct gemv_kernel gemv_portable[WEIGHT_TYPE_COUNT] = {GEMV, GEMV, GEMV, GEMV, GEMV, GEMV,
                                                             GEMV, GEMV, GEMV, GEMV, GEMV};
