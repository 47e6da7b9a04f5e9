/* Blocks of quantised weights, in ggml's layouts (ggml-common.h of https://github.com/ggml-org/ggml), and the
 * plain conversions between them and floats, which are every kernel's oracle. */
#ifndef RAFTER_EXEC_KERNELS_BLOCKS_H
#define RAFTER_EXEC_KERNELS_BLOCKS_H

#include "exec/tensor.h"

enum { BLOCK_32 = 32, BLOCK_K = 256 };

struct block_q8_0 { /* value = d * q */
    uint16_t d;     /* fp16 */
    int8_t q[BLOCK_32];
};

struct block_q4_0 { /* value = d * (q - 8); low halves of the bytes are values 0-15, high ones 16-31 */
    uint16_t d;
    uint8_t q[BLOCK_32 / 2];
};

struct block_q4_1 { /* value = d * q + m, halves as in q4_0 */
    uint16_t d, m;
    uint8_t q[BLOCK_32 / 2];
};

struct block_q5_0 { /* value = d * (q - 16); bit i of the 32 of `high` is the fifth bit of value i */
    uint16_t d;
    uint8_t high[4];
    uint8_t q[BLOCK_32 / 2];
};

struct block_q5_1 { /* value = d * q + m */
    uint16_t d, m;
    uint8_t high[4];
    uint8_t q[BLOCK_32 / 2];
};

struct block_q4_k { /* 8 groups of 32: value = d * scale * q - dmin * min */
    uint16_t d, dmin;
    uint8_t scales[12]; /* 6-bit scales and mins of the groups */
    uint8_t q[BLOCK_K / 2];
};

struct block_q5_k { /* as q4_K; bit j of high[i] is the fifth bit of value i of group j */
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t high[BLOCK_K / 8];
    uint8_t q[BLOCK_K / 2];
};

struct block_q6_k {            /* 16 groups of 16: value = d * scale * (q - 32) */
    uint8_t low[BLOCK_K / 2];  /* low 4 bits */
    uint8_t high[BLOCK_K / 4]; /* high 2 bits */
    int8_t scales[BLOCK_K / 16];
    uint16_t d;
};

_Static_assert(sizeof(struct block_q8_0) == 34 && sizeof(struct block_q4_0) == 18 &&
                   sizeof(struct block_q4_1) == 20 && sizeof(struct block_q5_0) == 22 &&
                   sizeof(struct block_q5_1) == 24 && sizeof(struct block_q4_k) == 144 &&
                   sizeof(struct block_q5_k) == 176 && sizeof(struct block_q6_k) == 210,
               "blocks are packed as ggml has them");

float half_to_float(uint16_t half);
uint16_t float_to_half(float value); /* to nearest even */
float bf16_to_float(uint16_t bf16);
uint16_t float_to_bf16(float value); /* to nearest even */

/* Scale and min of group j (0-7) of a q4_K or q5_K block, 6 bits each. */
void q4_k_scale_min(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *min);

/* Converts a row of n values; n is a multiple of the type's block_values. encode: nearest representable
 * values given each block's scales (q4_K, q5_K, q6_K: scales found by least squares). decode: exact in fp32.
 */
void weights_encode(enum weight_type type, const float *values, size_t n, void *row);
void weights_decode(enum weight_type type, const void *row, size_t n, float *values);

#endif
