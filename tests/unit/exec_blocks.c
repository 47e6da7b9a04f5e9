/* Block codecs: bit patterns worked out by hand from ggml's layouts, bounds of the round trips. */
#include "exec/kernels/blocks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(exec_blocks);

/* Spread over [-1, 1], never the same twice in a row. */
static float value_at(size_t i)
{
    return (float)sin((double)i * 1.7 + 0.3) * (float)(0.3 + 0.7 * ((double)(i % 37) / 37));
}

static double round_trip_error(enum weight_type type, size_t n, double *worst)
{
    float *values = malloc(n * sizeof *values), *back = malloc(n * sizeof *back);
    char *row = malloc(weight_row_bytes(type, n));
    double squares = 0, norm = 0;
    cr_assert(values != NULL && back != NULL && row != NULL);
    for (size_t i = 0; i < n; i++)
        values[i] = value_at(i);
    weights_encode(type, values, n, row);
    weights_decode(type, row, n, back);
    *worst = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)values[i] - (double)back[i]);
        *worst = error > *worst ? error : *worst;
        squares += error * error;
        norm += (double)values[i] * (double)values[i];
    }
    free(values);
    free(back);
    free(row);
    return sqrt(squares / norm);
}

Test(exec_blocks, sizes_of_rows)
{
    cr_expect_eq(weight_row_bytes(WEIGHT_F32, 512), 2048);
    cr_expect_eq(weight_row_bytes(WEIGHT_BF16, 512), 1024);
    cr_expect_eq(weight_row_bytes(WEIGHT_Q8_0, 512), 16 * 34);
    cr_expect_eq(weight_row_bytes(WEIGHT_Q4_0, 512), 16 * 18);
    cr_expect_eq(weight_row_bytes(WEIGHT_Q4_K, 512), 2 * 144);
    cr_expect_eq(weight_row_bytes(WEIGHT_Q6_K, 512), 2 * 210);
}

Test(exec_blocks, names_of_types)
{
    cr_expect_eq(weight_type_parse("f16"), WEIGHT_F16);
    cr_expect_eq(weight_type_parse("fp32"), WEIGHT_F32);
    cr_expect_eq(weight_type_parse("q4_k"), WEIGHT_Q4_K);
    cr_expect_eq(weight_type_parse("fp8"), WEIGHT_TYPE_COUNT);
    cr_expect_eq(weight_type_parse("nonsense"), WEIGHT_TYPE_COUNT);
}

Test(exec_blocks, halves)
{
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {
        {0.0F, 0},          {-0.0F, 0x8000},    {1.0F, 0x3c00},     {-2.0F, 0xc000},       {65504.0F, 0x7bff},
        {0x1p-14F, 0x0400}, {0x1p-24F, 0x0001}, {INFINITY, 0x7c00}, {0x1.554p-2F, 0x3555},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(float_to_half(cases[i].value), cases[i].half, "%zu", i);
        cr_expect_eq(half_to_float(cases[i].half), cases[i].value, "%zu", i);
    }
    cr_expect_eq(float_to_half(65520.0F), 0x7c00, "rounds to infinity");
    cr_expect_eq(float_to_half(65519.0F), 0x7bff);
    cr_expect_eq(float_to_half(1.0F + 0x1p-11F), 0x3c00, "a tie goes to even");
    cr_expect_eq(float_to_half(1.0F + 3 * 0x1p-11F), 0x3c02, "a tie goes to even");
    cr_expect_eq(float_to_half(0x1p-25F), 0, "a tie goes to even");
    cr_expect_eq(float_to_half(0x1.8p-25F), 1);
    cr_expect(isnan(half_to_float(float_to_half(NAN))));
}

/* All 2^16: what is not NaN comes back to the same bits. */
Test(exec_blocks, every_half_and_bf16_comes_back)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        float half = half_to_float((uint16_t)bits), bf16 = bf16_to_float((uint16_t)bits);
        if (!isnan(half))
            cr_assert_eq(float_to_half(half), bits);
        if (!isnan(bf16))
            cr_assert_eq(float_to_bf16(bf16), bits);
    }
}

Test(exec_blocks, bf16)
{
    cr_expect_eq(float_to_bf16(1.0F), 0x3f80);
    cr_expect_eq(float_to_bf16(1.0F + 0x1p-8F), 0x3f80, "a tie goes to even");
    cr_expect_eq(float_to_bf16(1.0F + 3 * 0x1p-8F), 0x3f82, "a tie goes to even");
    cr_expect(isnan(bf16_to_float(float_to_bf16(NAN))));
}

Test(exec_blocks, q8_0_by_hand)
{
    float values[32] = {127, -127, 64, 0.4F, 0.6F}, back[32];
    struct block_q8_0 block;
    weights_encode(WEIGHT_Q8_0, values, 32, &block);
    cr_expect_eq(block.d, 0x3c00, "a scale of 1");
    cr_expect_eq(block.q[0], 127);
    cr_expect_eq(block.q[1], -127);
    cr_expect_eq(block.q[2], 64);
    cr_expect_eq(block.q[3], 0);
    cr_expect_eq(block.q[4], 1);
    weights_decode(WEIGHT_Q8_0, &block, 32, back);
    cr_expect_eq(back[1], -127.0F);
}

Test(exec_blocks, q4_0_by_hand)
{
    float values[32] = {-8, 7, 1}, back[32];
    values[16] = 3;
    struct block_q4_0 block;
    weights_encode(WEIGHT_Q4_0, values, 32, &block);
    cr_expect_eq(block.d, 0x3c00, "-8 is the end of the range: a scale of 1");
    cr_expect_eq(block.q[0], 0 | (3 + 8) << 4, "values 0 and 16 share a byte");
    cr_expect_eq(block.q[1], 15 | 8 << 4);
    weights_decode(WEIGHT_Q4_0, &block, 32, back);
    cr_expect_arr_eq(back, values, sizeof values);
}

/* Scales 1 ... 8, minima 63 and 33 at the ends, quants 0-15 in turn. */
Test(exec_blocks, q4_k_by_hand)
{
    struct block_q4_k block = {.d = 0x3c00, .dmin = 0x3800}; /* 1, 0.5 */
    float back[256];
    uint8_t scale, min;
    for (int j = 0; j < 4; j++)
        block.scales[j] = (uint8_t)(j + 1);
    block.scales[4] = 63;                                /* the minimum of group 0 */
    block.scales[8] = 5, block.scales[9] = 6;            /* low bits of the scales of groups 4, 5 */
    block.scales[10] = 7, block.scales[11] = 8 | 1 << 4; /* of 6, 7; low bits of the minimum of 7 */
    block.scales[3] |= 1 << 6;                           /* high bits of the scale of group 7: 8 + 16 */
    block.scales[7] |= 2 << 6;                           /* of its minimum: 1 + 32 */
    for (int i = 0; i < 128; i++)
        block.q[i] = (uint8_t)(i % 16 | (15 - i % 16) << 4);
    q4_k_scale_min(block.scales, 7, &scale, &min);
    cr_expect_eq(scale, 24);
    cr_expect_eq(min, 33);
    weights_decode(WEIGHT_Q4_K, &block, 256, back);
    cr_expect_eq(back[0], 1 * 0 - 0.5F * 63);
    cr_expect_eq(back[5], 1 * 5 - 0.5F * 63);
    cr_expect_eq(back[32 + 5], 2 * 10.0F, "the high halves are the next group");
    cr_expect_eq(back[64 + 3], 3 * 3.0F);
    cr_expect_eq(back[224 + 2], 24 * 13.0F - 0.5F * 33);
}

Test(exec_blocks, q6_k_by_hand)
{
    struct block_q6_k block = {.d = 0x3c00};
    float back[256];
    for (int j = 0; j < 16; j++)
        block.scales[j] = (int8_t)(j - 8);
    block.low[3] = 5 | 9 << 4;      /* values 3 and 67 */
    block.low[32 + 3] = 1 | 2 << 4; /* 35 and 99 */
    block.high[3] = 3 | 2 << 2 | 1 << 4 | 0 << 6;
    block.low[64 + 31] = 15 << 4; /* 159 and 223 */
    block.high[32 + 31] = 3 << 4;
    weights_decode(WEIGHT_Q6_K, &block, 256, back);
    cr_expect_eq(back[3], -8 * (5 + 48 - 32.0F));
    cr_expect_eq(back[35], -6 * (1 + 32 - 32.0F));
    cr_expect_eq(back[67], -4 * (9 + 16 - 32.0F));
    cr_expect_eq(back[99], -2 * (2 - 32.0F));
    cr_expect_eq(back[128 + 95], 5 * (15 + 48 - 32.0F));
    cr_expect_eq(back[0], -8 * -32.0F);
}

/* Fifth bits are one little-endian word for values 0-31, low ones as in q4_0 (block_q5_0, block_q5_1 and
 * dequantize_row_q5_0 of https://github.com/ggml-org/llama.cpp, ggml/src/ggml-common.h and ggml-quants.c). */
Test(exec_blocks, q5_0_and_q5_1_by_hand)
{
    struct block_q5_0 zero = {.d = 0x3c00, .high = {0x02, 0, 0x04, 0x80}}; /* bits 1, 18, 31 */
    struct block_q5_1 least = {.d = 0x3800, .m = 0xc000, .high = {0x02, 0, 0x04, 0x80}};
    float back[32];
    zero.q[1] = least.q[1] = 3 | 5 << 4;    /* values 1 and 17 */
    zero.q[2] = least.q[2] = 1 | 9 << 4;    /* 2 and 18 */
    zero.q[15] = least.q[15] = 0 | 15 << 4; /* 15 and 31 */
    weights_decode(WEIGHT_Q5_0, &zero, 32, back);
    cr_expect_eq(back[1], 3 + 16 - 16.0F);
    cr_expect_eq(back[17], 5 - 16.0F);
    cr_expect_eq(back[2], 1 - 16.0F);
    cr_expect_eq(back[18], 9 + 16 - 16.0F);
    cr_expect_eq(back[31], 15 + 16 - 16.0F);
    weights_decode(WEIGHT_Q5_1, &least, 32, back);
    cr_expect_eq(back[1], 0.5F * 19 - 2);
    cr_expect_eq(back[18], 0.5F * 25 - 2);
    cr_expect_eq(back[0], -2.0F);
}

Test(exec_blocks, q4_1_by_hand)
{
    float values[32] = {-2, 13, 0}, back[32];
    values[16] = 3;
    struct block_q4_1 block;
    weights_encode(WEIGHT_Q4_1, values, 32, &block);
    cr_expect_eq(block.d, 0x3c00, "15 steps from -2 to 13");
    cr_expect_eq(block.m, 0xc000);
    cr_expect_eq(block.q[0], 0 | 5 << 4);
    weights_decode(WEIGHT_Q4_1, &block, 32, back);
    cr_expect_arr_eq(back, values, sizeof values);
}

/* As q4_K, but for 32 bytes of fifth bits between scales and low ones, bit j for group j
 * (dequantize_row_q5_K). */
Test(exec_blocks, q5_k_by_hand)
{
    struct block_q5_k block = {.d = 0x3c00, .dmin = 0x3800, .scales = {1, 2, 3, 4, 63}};
    float back[256];
    block.q[7] = 5 | 6 << 4;      /* value 7 of groups 0 and 1 */
    block.q[3 * 32 + 7] = 8 << 4; /* of group 7, whose scale has its low bits in scales[11] */
    block.scales[11] = 9;
    block.high[7] = 1 | 1 << 7;
    weights_decode(WEIGHT_Q5_K, &block, 256, back);
    cr_expect_eq(back[7], 1 * (5 + 16) - 0.5F * 63);
    cr_expect_eq(back[32 + 7], 2 * 6.0F);
    cr_expect_eq(back[224 + 7], 9 * (8 + 16.0F));
    cr_expect_eq(back[6], -0.5F * 63);
}

/* A step of the coarsest values is 2/255 of the range for q8_0, 1/8 for q4_0 and so on; half a step errs at
 * most, but where scales are rounded. */
Test(exec_blocks, round_trips_stay_close)
{
    double worst;
    cr_expect_eq(round_trip_error(WEIGHT_F32, 1024, &worst), 0);
    cr_expect_lt(round_trip_error(WEIGHT_F16, 1024, &worst), 0x1p-11);
    cr_expect_lt(round_trip_error(WEIGHT_BF16, 1024, &worst), 0x1p-8);
    cr_expect_lt(round_trip_error(WEIGHT_Q8_0, 1024, &worst), 0.01);
    cr_expect_lt(worst, 1.0 / 127 * 0.52);
    cr_expect_lt(round_trip_error(WEIGHT_Q6_K, 1024, &worst), 0.03);
    cr_expect_lt(worst, 1.0 / 31 * 0.6);
    cr_expect_lt(round_trip_error(WEIGHT_Q4_K, 1024, &worst), 0.09);
    cr_expect_lt(worst, 2.0 / 15 * 0.8);
    cr_expect_lt(round_trip_error(WEIGHT_Q5_K, 1024, &worst), 0.045);
    cr_expect_lt(worst, 2.0 / 31 * 0.8);
    cr_expect_lt(round_trip_error(WEIGHT_Q5_0, 1024, &worst), 0.065);
    cr_expect_lt(worst, 1.0 / 16 * 1.01);
    cr_expect_lt(round_trip_error(WEIGHT_Q5_1, 1024, &worst), 0.05);
    cr_expect_lt(worst, 2.0 / 31 * 0.52);
    cr_expect_lt(round_trip_error(WEIGHT_Q4_1, 1024, &worst), 0.1);
    cr_expect_lt(worst, 2.0 / 15 * 0.52);
    cr_expect_lt(round_trip_error(WEIGHT_Q4_0, 1024, &worst), 0.13);
    cr_expect_lt(worst, 1.0 / 8 * 1.01, "the end without the extra step is cut off");
}

/* What can be said exactly is: minima and scales are found, not guessed. */
Test(exec_blocks, q4_k_finds_the_line)
{
    float values[256], back[256];
    struct block_q4_k block;
    for (int i = 0; i < 256; i++)
        values[i] = 63.0F * (float)(i * 7 % 16) - 63.0F * 4;
    weights_encode(WEIGHT_Q4_K, values, 256, &block);
    weights_decode(WEIGHT_Q4_K, &block, 256, back);
    for (int i = 0; i < 256; i++)
        cr_expect_float_eq(back[i], values[i], 0.3F, "%d: %g for %g", i, (double)back[i], (double)values[i]);
}

Test(exec_blocks, rows_of_equal_values)
{
    static const float constants[] = {0, 1, -1, 0.01F, 1e-30F, 1000};
    float values[256], back[256];
    char row[1024];
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++)
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            for (int i = 0; i < 256; i++)
                values[i] = constants[c];
            weights_encode((enum weight_type)type, values, 256, row);
            weights_decode((enum weight_type)type, row, 256, back);
            float most = 0.02F * fabsf(constants[c]) + 1e-7F;
            cr_expect_float_eq(back[100], constants[c], most, "%s: %g for %g", weight_layouts[type].name,
                               (double)back[100], (double)constants[c]);
        }
}

/* Rows of files lie at any byte. */
Test(exec_blocks, rows_at_odd_places)
{
    float values[256], back[256], again[256];
    char row[1100];
    for (int i = 0; i < 256; i++)
        values[i] = value_at((size_t)i);
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++) {
        size_t bytes = weight_row_bytes((enum weight_type)type, 256);
        weights_encode((enum weight_type)type, values, 256, row);
        weights_decode((enum weight_type)type, row, 256, back);
        memmove(row + 1, row, bytes);
        weights_decode((enum weight_type)type, row + 1, 256, again);
        cr_expect_arr_eq(back, again, sizeof back, "%s", weight_layouts[type].name);
    }
}
