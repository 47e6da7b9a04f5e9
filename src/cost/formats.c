#include "cost/rates.h"

/* A format and what an operand in it may be converted to without loss, nearest first. The two 16-bit floats
 * stand in for each other on matrix units only, as engines do on devices that have but one of them
 * (dtype=half on Volta). */
struct chain {
    int count;
    struct {
        enum number_format format;
        bool matrix_only;
    } steps[9];
};

#define EXACT(name)                                                                                          \
    {                                                                                                        \
        FORMAT_##name, false                                                                                 \
    }
#define STANDIN(name)                                                                                        \
    {                                                                                                        \
        FORMAT_##name, true                                                                                  \
    }
/* Integers of up to 8 bits fit the 8-bit significand of bf16 and all wider floats; 8-bit floats fit bf16 and
 * fp16. */
#define FLOATS EXACT(BF16), EXACT(FP16), EXACT(FP32), EXACT(FP64)

static const struct chain chains[FORMAT_COUNT] = {
    [FORMAT_FP64] = {1, {EXACT(FP64)}},
    [FORMAT_FP32] = {2, {EXACT(FP32), EXACT(FP64)}},
    [FORMAT_TF32] = {3, {EXACT(TF32), EXACT(FP32), EXACT(FP64)}},
    [FORMAT_BF16] = {5, {EXACT(BF16), STANDIN(FP16), EXACT(TF32), EXACT(FP32), EXACT(FP64)}},
    [FORMAT_FP16] = {5, {EXACT(FP16), STANDIN(BF16), EXACT(TF32), EXACT(FP32), EXACT(FP64)}},
    [FORMAT_FP8] = {5, {EXACT(FP8), FLOATS}},
    [FORMAT_FP6] = {6, {EXACT(FP6), EXACT(FP8), FLOATS}},
    [FORMAT_FP4] = {7, {EXACT(FP4), EXACT(FP6), EXACT(FP8), FLOATS}},
    [FORMAT_INT8] = {5, {EXACT(INT8), FLOATS}},
    [FORMAT_INT4] = {6, {EXACT(INT4), EXACT(INT8), FLOATS}},
    [FORMAT_INT2] = {7, {EXACT(INT2), EXACT(INT4), EXACT(INT8), FLOATS}},
    [FORMAT_INT1] = {8, {EXACT(INT1), EXACT(INT2), EXACT(INT4), EXACT(INT8), FLOATS}},
};

static bool is_narrow_float(enum number_format format)
{
    return format == FORMAT_FP8 || format == FORMAT_FP6 || format == FORMAT_FP4;
}

/* The narrowest format that holds values of both. */
static enum number_format common_format(enum number_format a, enum number_format b)
{
    if (a == b)
        return a;
    if ((number_format_is_integer(a) && number_format_is_integer(b)) ||
        (is_narrow_float(a) && is_narrow_float(b)))
        return number_format_bits(a) > number_format_bits(b) ? a : b;
    bool narrow_a = number_format_is_integer(a) || is_narrow_float(a),
         narrow_b = number_format_is_integer(b) || is_narrow_float(b);
    if (narrow_a && narrow_b) { /* an integer and a small float: 4-bit integers fit fp8's 4-bit significand */
        enum number_format integer = number_format_is_integer(a) ? a : b;
        return integer == FORMAT_INT8 ? FORMAT_BF16 : FORMAT_FP8;
    }
    if (narrow_a)
        return b;
    if (narrow_b)
        return a;
    if (number_format_bits(a) == 16 && number_format_bits(b) == 16)
        return FORMAT_BF16; /* a bf16 and an fp16 operand: engines cast to the model's type, bf16 of late */
    return number_format_bits(a) > number_format_bits(b) ? a : b;
}

double format_peak(const struct device *device, enum number_format format)
{
    double matrix = device->matrix[format].flops;
    return matrix > 0 ? matrix : device->vector[format].flops;
}

enum number_format compute_format(const struct device *device, const struct element_type *a,
                                  const struct element_type *b, bool *matrix, double *peak)
{
    const struct chain *chain = &chains[common_format(a->format, b->format)];
    for (int i = 0; i < chain->count; i++) {
        enum number_format format = chain->steps[i].format;
        double units = device->matrix[format].flops, lanes = device->vector[format].flops;
        if (chain->steps[i].matrix_only)
            lanes = 0;
        if (units <= 0 && lanes <= 0)
            continue;
        *matrix = units >= lanes;
        *peak = *matrix ? units : lanes;
        return format;
    }
    *matrix = false;
    *peak = 0;
    return FORMAT_NONE;
}
