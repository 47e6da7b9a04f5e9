/* GEMM: y[m][n] = x[m][k] w[n][k]^T + bias[n], x and y fp32, w of any weight type.
 *
 * fp32 weights: fp32 products. fp16 and bf16: x, and fp16 weights, are rounded to bf16 where the processor
 * has bf16 dot products that are faster than fp32 ones and rows are many (m > GEMV_ROWS_MOST), else products
 * are fp32. Quantised ones: x is quantised to int8 with a scale for each 32 values of a row, products are
 * integers, sums over blocks fp32; without VNNI only for few rows, else, and in portable code always,
 * products of decoded weights are fp32. Results do not depend on the number of threads. */
#ifndef RAFTER_EXEC_KERNELS_GEMM_H
#define RAFTER_EXEC_KERNELS_GEMM_H

#include "exec/cpu.h"
#include "exec/tensor.h"

/* Up to so many rows go through the kernels that read weights once and keep all rows' sums (GEMV). */
enum { GEMV_ROWS_MOST = 8 };

/* A weight matrix [n][k] ready to be multiplied by. */
struct matrix {
    struct tensor stored;
    const float *bias;  /* [n]; NULL: none */
    const void *packed; /* the same values in the order that kernels like best; NULL: as stored */
};

/* One product. The rows of x are `x_stride` floats apart, those of y `y_stride`. rows NULL: row i of x is the
 * i-th, else it is row rows[i] (an expert's tokens). */
struct product {
    const struct matrix *w;
    const float *x;
    size_t x_stride;
    const int *rows;
    int m;
    float *y;
    size_t y_stride;
};

/* Scratch for products in flight on a team; grown when needed, reused. */
struct gemm_scratch {
    void *bytes;
    size_t capacity;
};

/* All products of a call at once: they share the threads, and the converted x where theirs is the same. isa:
 * at most what cpu_isa says. false with diag: memory for scratch. */
bool gemm(struct team *team, enum isa isa, const struct product *products, int count,
          struct gemm_scratch *scratch, struct diag *diag);
/* Makes room for what such a call needs; x and y may be NULL here. */
bool gemm_reserve(const struct team *team, enum isa isa, const struct product *products, int count,
                  struct gemm_scratch *scratch, struct diag *diag);
void gemm_scratch_free(struct gemm_scratch *scratch);

/* Bytes of the packed form of a matrix on the instruction set, 0 where kernels take it as stored. Packs rows
 * [from, to) into it. */
size_t matrix_packed_bytes(const struct tensor *stored, enum isa isa);
void matrix_pack(const struct tensor *stored, enum isa isa, size_t from, size_t to, void *packed);

/* The oracle: decoded weights, sums in double. */
void gemm_plain(const struct product *product);

#endif
