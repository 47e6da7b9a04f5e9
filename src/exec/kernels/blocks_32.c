#include "exec/kernels/blocks_32.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { HALF = BLOCK_32 / 2 };

/* To the nearest whole number, of equals the even one; |value| < 2^22. */
static int nearest(float value)
{
    uint32_t bits;
    value += 0x1.8p23F;
    memcpy(&bits, &value, sizeof bits);
    return (int)(bits & 0x7fffff) - 0x400000;
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static float inverse_of(float scale)
{
    return fabsf(scale) >= FLT_MIN ? 1 / scale : 0;
}

/* ---- 8 bits ---- */

void encode_q8_0(const float *values, void *block)
{
    float most = 0;
    for (int i = 0; i < BLOCK_32; i++)
        most = fabsf(values[i]) > most ? fabsf(values[i]) : most;
    float scale = most / 127, inverse = inverse_of(scale);
    struct block_q8_0 made = {.d = float_to_half(scale)};
    for (int i = 0; i < BLOCK_32; i++)
        made.q[i] = (int8_t)nearest(values[i] * inverse);
    memcpy(block, &made, sizeof made);
}

void decode_q8_0(const void *block, float *values)
{
    struct block_q8_0 own;
    memcpy(&own, block, sizeof own);
    float scale = half_to_float(own.d);
    for (int i = 0; i < BLOCK_32; i++)
        values[i] = scale * own.q[i];
}

/* ---- 4 and 5 bits ---- */

/* The value farthest from 0 becomes -zero, the end of the range that has one step more. */
static float symmetric_scale(const float *values, int zero)
{
    float far = 0;
    for (int i = 0; i < BLOCK_32; i++)
        far = fabsf(values[i]) > fabsf(far) ? values[i] : far;
    return far / (float)-zero;
}

/* From the least value, which *least becomes, to the most in `steps`. */
static float range_scale(const float *values, int steps, float *least)
{
    float most = *least = values[0];
    for (int i = 1; i < BLOCK_32; i++) {
        *least = values[i] < *least ? values[i] : *least;
        most = values[i] > most ? values[i] : most;
    }
    return (most - *least) / (float)steps;
}

/* Steps above `least`, each 1 / inverse, from 0 to `most`: the low 4 bits of values i and i + 16 share a
 * byte, the fifth bits are one word. */
static void pack(const float *values, float least, float inverse, int zero, int most, uint8_t low[HALF],
                 uint8_t high[4])
{
    uint32_t fifths = 0;
    for (int i = 0; i < BLOCK_32; i++) {
        int q = clamp(nearest((values[i] - least) * inverse) + zero, 0, most);
        low[i % HALF] |= (uint8_t)((q & 15) << (i / HALF * 4));
        fifths |= (uint32_t)(q >> 4) << i;
    }
    for (int i = 0; i < 4 && high != NULL; i++)
        high[i] = (uint8_t)(fifths >> (8 * i));
}

static void unpack(const uint8_t low[HALF], const uint8_t high[4], int q[BLOCK_32])
{
    uint32_t fifths = 0;
    for (int i = 0; i < 4 && high != NULL; i++)
        fifths |= (uint32_t)high[i] << (8 * i);
    for (int i = 0; i < HALF; i++) {
        q[i] = (low[i] & 15) | (int)(fifths >> i & 1) << 4;
        q[i + HALF] = low[i] >> 4 | (int)(fifths >> (i + HALF) & 1) << 4;
    }
}

static void scale_values(const int q[BLOCK_32], float scale, int zero, float *values)
{
    for (int i = 0; i < BLOCK_32; i++)
        values[i] = scale * (float)(q[i] - zero);
}

static void scale_above(const int q[BLOCK_32], float scale, float least, float *values)
{
    for (int i = 0; i < BLOCK_32; i++)
        values[i] = scale * (float)q[i] + least;
}

void encode_q4_0(const float *values, void *block)
{
    float scale = symmetric_scale(values, 8);
    struct block_q4_0 made = {.d = float_to_half(scale)};
    pack(values, 0, inverse_of(scale), 8, 15, made.q, NULL);
    memcpy(block, &made, sizeof made);
}

void decode_q4_0(const void *block, float *values)
{
    struct block_q4_0 own;
    int q[BLOCK_32];
    memcpy(&own, block, sizeof own);
    unpack(own.q, NULL, q);
    scale_values(q, half_to_float(own.d), 8, values);
}

void encode_q4_1(const float *values, void *block)
{
    float least, scale = range_scale(values, 15, &least);
    struct block_q4_1 made = {.d = float_to_half(scale), .m = float_to_half(least)};
    pack(values, least, inverse_of(scale), 0, 15, made.q, NULL);
    memcpy(block, &made, sizeof made);
}

void decode_q4_1(const void *block, float *values)
{
    struct block_q4_1 own;
    int q[BLOCK_32];
    memcpy(&own, block, sizeof own);
    unpack(own.q, NULL, q);
    scale_above(q, half_to_float(own.d), half_to_float(own.m), values);
}

void encode_q5_0(const float *values, void *block)
{
    float scale = symmetric_scale(values, 16);
    struct block_q5_0 made = {.d = float_to_half(scale)};
    pack(values, 0, inverse_of(scale), 16, 31, made.q, made.high);
    memcpy(block, &made, sizeof made);
}

void decode_q5_0(const void *block, float *values)
{
    struct block_q5_0 own;
    int q[BLOCK_32];
    memcpy(&own, block, sizeof own);
    unpack(own.q, own.high, q);
    scale_values(q, half_to_float(own.d), 16, values);
}

void encode_q5_1(const float *values, void *block)
{
    float least, scale = range_scale(values, 31, &least);
    struct block_q5_1 made = {.d = float_to_half(scale), .m = float_to_half(least)};
    pack(values, least, inverse_of(scale), 0, 31, made.q, made.high);
    memcpy(block, &made, sizeof made);
}

void decode_q5_1(const void *block, float *values)
{
    struct block_q5_1 own;
    int q[BLOCK_32];
    memcpy(&own, block, sizeof own);
    unpack(own.q, own.high, q);
    scale_above(q, half_to_float(own.d), half_to_float(own.m), values);
}
