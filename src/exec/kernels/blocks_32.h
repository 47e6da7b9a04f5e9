/* ggml's blocks of 32 values, one at a time. */
#ifndef RAFTER_EXEC_KERNELS_BLOCKS_32_H
#define RAFTER_EXEC_KERNELS_BLOCKS_32_H

#include "exec/kernels/blocks.h"

/* 32 values each; blocks may lie at any byte. */
void encode_q8_0(const float *values, void *block);
void decode_q8_0(const void *block, float *values);
void encode_q4_0(const float *values, void *block);
void decode_q4_0(const void *block, float *values);
void encode_q4_1(const float *values, void *block);
void decode_q4_1(const void *block, float *values);
void encode_q5_0(const float *values, void *block);
void decode_q5_0(const void *block, float *values);
void encode_q5_1(const float *values, void *block);
void decode_q5_1(const void *block, float *values);

#endif
