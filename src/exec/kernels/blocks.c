#include "exec/kernels/blocks.h"

#include "exec/kernels/blocks_32.h"
#include "exec/kernels/blocks_k.h"

#include <string.h>

/* ---- 16-bit floats ---- */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float half_to_float(uint16_t half)
{
    enum { EXPONENT = 0x1f, MANTISSA = 0x3ff, BIAS_APART = 127 - 15 };
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & EXPONENT;
    uint32_t mantissa = half & MANTISSA;
    if (exponent == EXPONENT) /* infinity, NaN */
        return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent > 0)
        return float_of(sign | (exponent + BIAS_APART) << 23 | mantissa << 13);
    float subnormal = (float)mantissa * 0x1p-24F;
    return sign != 0 ? -subnormal : subnormal;
}

uint16_t float_to_half(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) /* NaN: quiet, its upper bits kept */
        return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
    if (size >= 0x477ff000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (size < 0x38800000) { /* below 2^-14: an addition rounds to multiples of 2^-24 */
        uint32_t sum = bits_of(float_of(size) + 0.5F);
        return (uint16_t)(sign | (sum - bits_of(0.5F)));
    }
    uint32_t rounded = size + 0xfff + (size >> 13 & 1);
    return (uint16_t)(sign | (rounded - ((127U - 15U) << 23)) >> 13);
}

float bf16_to_float(uint16_t bf16)
{
    return float_of((uint32_t)bf16 << 16);
}

uint16_t float_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- rows ---- */

struct codec {
    void (*encode)(const float *values, void *block);
    void (*decode)(const void *block, float *values);
};

/* Types with blocks. */
static const struct codec codecs[WEIGHT_TYPE_COUNT] = {
    [WEIGHT_Q8_0] = {encode_q8_0, decode_q8_0}, [WEIGHT_Q4_0] = {encode_q4_0, decode_q4_0},
    [WEIGHT_Q4_K] = {encode_q4_k, decode_q4_k}, [WEIGHT_Q6_K] = {encode_q6_k, decode_q6_k},
    [WEIGHT_Q4_1] = {encode_q4_1, decode_q4_1}, [WEIGHT_Q5_0] = {encode_q5_0, decode_q5_0},
    [WEIGHT_Q5_1] = {encode_q5_1, decode_q5_1}, [WEIGHT_Q5_K] = {encode_q5_k, decode_q5_k},
};

void weights_encode(enum weight_type type, const float *values, size_t n, void *row)
{
    const struct weight_layout *layout = &weight_layouts[type];
    uint16_t *halves = row;
    if (type == WEIGHT_F32)
        memcpy(row, values, n * sizeof *values);
    for (size_t i = 0; type == WEIGHT_F16 && i < n; i++)
        halves[i] = float_to_half(values[i]);
    for (size_t i = 0; type == WEIGHT_BF16 && i < n; i++)
        halves[i] = float_to_bf16(values[i]);
    for (size_t i = 0; codecs[type].encode != NULL && i < n / layout->block_values; i++)
        codecs[type].encode(values + i * layout->block_values, (char *)row + i * layout->block_bytes);
}

/* Rows of a file may lie at any byte. */
static uint16_t half_at(const void *row, size_t i)
{
    uint16_t half;
    memcpy(&half, (const char *)row + i * sizeof half, sizeof half);
    return half;
}

void weights_decode(enum weight_type type, const void *row, size_t n, float *values)
{
    const struct weight_layout *layout = &weight_layouts[type];
    if (type == WEIGHT_F32)
        memcpy(values, row, n * sizeof *values);
    for (size_t i = 0; type == WEIGHT_F16 && i < n; i++)
        values[i] = half_to_float(half_at(row, i));
    for (size_t i = 0; type == WEIGHT_BF16 && i < n; i++)
        values[i] = bf16_to_float(half_at(row, i));
    for (size_t i = 0; codecs[type].decode != NULL && i < n / layout->block_values; i++)
        codecs[type].decode((const char *)row + i * layout->block_bytes, values + i * layout->block_values);
}
