/* Between gemm.c, which shares the work out, and the kernels of each instruction set.
 *
 * Operands meet in dwords: one fp32 value, a pair of bf16 values or four int8 values along k. Weights are
 * unpacked into panels of PANEL columns by at most SLICE dwords, small enough for the L1 cache; the rows of x
 * are converted once, in tiles of TILE rows:
 *   panel values [dword][PANEL], x values [tile][dword][TILE]
 * so that a kernel goes straight through both. Unused columns and rows hold anything finite; values past the
 * end of k are 0. */
#ifndef RAFTER_EXEC_KERNELS_GEMM_KERNELS_H
#define RAFTER_EXEC_KERNELS_GEMM_KERNELS_H

#include "exec/kernels/gemm.h"

/* software/rafter-exec.yaml states PANEL, X_ROWS_MOST and DIRECT_ROWS_MOST for predictions. */
enum {
    PANEL = 32,
    TILE = 12,
    X_ROWS_MOST = 528,   /* of a piece, whole tiles: x of a slice stays in the L2 cache */
    SLICE = 192,         /* a multiple of 64: of 256 int8 values, the largest block */
    GROUP_DWORDS = 4,    /* 16 int8 values */
    BLOCK_DWORDS = 8,    /* 32 int8 values */
    X_BLOCK = 32,        /* values of x with one scale */
    DIRECT_ROWS_MOST = 8 /* of any kernel that takes weights as stored */
};

/* What the operands of the products are. */
enum gemm_operand { GEMM_F32, GEMM_BF16, GEMM_INT8 };

/* Quantised weights are unsigned, q, in the panels:
 *   y += scale x_scale (sum(q x) - offset sum(x))   per 32 values, or per 16 where groups are
 *   y += scale x_scale sum(q x) - min x_scale sum(x)   where there is a min
 * x_sums: -offset sum(x) (int32) or x_scale sum(x) (float, with mins). */
struct panel {
    uint32_t *values; /* [dwords][PANEL] */
    float *scales;    /* int8: [blocks or groups][PANEL] */
    float *mins;      /* q4_K: [blocks][PANEL] */
};
enum {
    PANEL_VALUES_BYTES = SLICE * PANEL * 4,
    PANEL_SCALES_BYTES = SLICE / GROUP_DWORDS * PANEL * 4,
    PANEL_BYTES = PANEL_VALUES_BYTES + 2 * PANEL_SCALES_BYTES
};

/* A tile of x from some dword on. */
struct x_tile {
    uint32_t *values; /* [dwords][TILE] */
    float *scales;    /* int8: [blocks][TILE] */
    uint32_t *sums;   /* int8: [blocks or groups][TILE], int32 or float */
};

/* How int8 products of a type are put together. */
enum int8_form { INT8_NONE, INT8_BLOCKS, INT8_GROUPS, INT8_MINS };

struct x_form {
    enum gemm_operand operand;
    enum int8_form form;
    int offset;
};

/* Unpacks columns (rows of w) [column, column + columns), columns <= PANEL, dwords [from, from + count),
 * count at most SLICE, into the panel. */
typedef void pack_function(const struct tensor *w, size_t column, size_t columns, size_t from, size_t count,
                           const struct panel *panel);

/* Where a tile's sums begin and end, [rows][PANEL] each: to = from + products. They begin with the bias, of
 * stride 0, lie in scratch between slices, and end in y. */
struct sums {
    const float *from;
    size_t from_stride;
    float *to;
    size_t to_stride;
};

static inline struct sums sums_part(const struct sums *sums, int row, int column)
{
    return (struct sums){sums->from + (size_t)row * sums->from_stride + column, sums->from_stride,
                         sums->to + (size_t)row * sums->to_stride + column, sums->to_stride};
}

/* One tile by one panel over `dwords`; rows 1 .. TILE. */
typedef void multiply_function(const struct panel *panel, const struct x_tile *x, size_t dwords, int rows,
                               const struct sums *sums);

/* Converts `rows` (1 .. TILE) rows of k values into `dwords` of a tile. */
typedef void convert_function(const float *const *x, int rows, size_t k, size_t dwords, struct x_form form,
                              const struct x_tile *tile);

struct gemm_kernel {
    struct x_form form;
    pack_function *pack;
    multiply_function *multiply;
    convert_function *convert;
};

/* Rows of x as GEMV kernels read them: fp32 as the caller has them, or int8 in an order and with sums that
 * are between a kernel and its quantise_function. Rows of int8 have room for whole 256 values. */
struct gemv_x {
    const float *values[DIRECT_ROWS_MOST];
    const int8_t *q[DIRECT_ROWS_MOST];     /* [k] */
    const float *scales[DIRECT_ROWS_MOST]; /* [k / 32] */
    const float *sums[DIRECT_ROWS_MOST];   /* [k / 32] offset * scale * sum of the int8 values */
    const float *halves[DIRECT_ROWS_MOST]; /* [k / 16] the same of 16 values */
};

/* Rows [from, to) of w by m rows of x: y[i] is row i's output, of which [from, to) is written. */
typedef void gemv_function(const struct tensor *w, const float *bias, const struct gemv_x *x, int m,
                           size_t from, size_t to, float *const *y);
/* One row of x to int8 with scales and sums. */
typedef void quantise_function(const float *x, size_t k, int8_t *q, float *scales, float *sums,
                               float *halves);

struct gemv_kernel {
    gemv_function *run;
    quantise_function *quantise; /* NULL: reads fp32 */
    int rows_most;               /* of x; the panels are faster beyond */
};

/* Kernels by weight type; those without `multiply`, `run` are left to the tables before. */
extern const struct gemm_kernel gemm_portable[WEIGHT_TYPE_COUNT];
extern const struct gemv_kernel gemv_portable[WEIGHT_TYPE_COUNT];
#ifdef __x86_64__
extern const struct gemm_kernel gemm_avx2[WEIGHT_TYPE_COUNT];
extern const struct gemm_kernel gemm_f32_avx512[WEIGHT_TYPE_COUNT];
extern const struct gemm_kernel gemm_int8_avx512[WEIGHT_TYPE_COUNT];
extern const struct gemm_kernel gemm_bf16_avx512[WEIGHT_TYPE_COUNT];
extern const struct gemv_kernel gemv_avx2[WEIGHT_TYPE_COUNT];
extern const struct gemv_kernel gemv_avx512[WEIGHT_TYPE_COUNT];
extern const struct gemv_kernel gemv_packed_avx512[WEIGHT_TYPE_COUNT]; /* gemv_packed.h */
#endif

/* The dwords of k values, and those of whole blocks of x. */
static inline size_t operand_dwords(enum gemm_operand operand, size_t k)
{
    size_t values = operand == GEMM_F32 ? 1 : operand == GEMM_BF16 ? 2 : X_BLOCK;
    size_t dwords = (k + values - 1) / values;
    return operand == GEMM_INT8 ? dwords * BLOCK_DWORDS : dwords;
}

/* A panel of any type as fp32, whatever the instruction set. */
pack_function pack_f32_portable;

#endif
