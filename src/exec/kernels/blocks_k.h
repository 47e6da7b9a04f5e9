/* ggml's blocks of 256 values, one at a time. */
#ifndef RAFTER_EXEC_KERNELS_BLOCKS_K_H
#define RAFTER_EXEC_KERNELS_BLOCKS_K_H

#include "exec/kernels/blocks.h"

/* 256 values each; blocks may lie at any byte. */
void encode_q4_k(const float *values, void *block);
void decode_q4_k(const void *block, float *values);
void encode_q5_k(const float *values, void *block);
void decode_q5_k(const void *block, float *values);
void encode_q6_k(const float *values, void *block);
void decode_q6_k(const void *block, float *values);

#endif
