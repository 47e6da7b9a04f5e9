/* GEMM of other libraries, where they are installed, for benchmarks to compare with in the same run. */
#ifndef RAFTER_TESTS_SUPPORT_OTHER_GEMM_H
#define RAFTER_TESTS_SUPPORT_OTHER_GEMM_H

#include "exec/cpu.h"

enum other_gemm { OPENBLAS_F32, ONEDNN_F32, ONEDNN_BF16, ONEDNN_INT8, OTHER_GEMM_COUNT };

const char *other_gemm_name(enum other_gemm other);

/* FLOP/s (OP/s) of y[m][n] = x[m][k] w[n][k]^T with the team's number of threads, the best of `rounds` after
 * one to warm up; 0: the library is not installed. x and y are fp32, bf16 (y fp32) or bytes (y int32). */
double other_gemm_rate(enum other_gemm other, struct team *team, size_t m, size_t n, size_t k, int rounds);

#endif
