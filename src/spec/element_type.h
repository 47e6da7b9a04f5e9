/* Element types: how a number is stored (value bits, scales, zero points) and in which format it computes. */
#ifndef RAFTER_SPEC_ELEMENT_TYPE_H
#define RAFTER_SPEC_ELEMENT_TYPE_H

#include <stdbool.h>
#include <stddef.h>

/* The formats that multiply units know. A stored type names the format its values have; whether a device has
 * units for it is the device's business (compute_format in cost/). */
enum number_format {
    FORMAT_NONE,
    FORMAT_FP64,
    FORMAT_FP32,
    FORMAT_TF32,
    FORMAT_BF16,
    FORMAT_FP16,
    FORMAT_FP8,
    FORMAT_FP6,
    FORMAT_FP4,
    FORMAT_INT8,
    FORMAT_INT4,
    FORMAT_INT2,
    FORMAT_INT1,
    FORMAT_COUNT
};

/* Where the scales sit: a scale (and zero point) for each of these. */
enum scale_grain {
    GRAIN_NONE,    /* bf16, fp16, fp32: no scales */
    GRAIN_TENSOR,  /* one for the whole operand */
    GRAIN_CHANNEL, /* one per row (output channel of a weight, token of an activation) */
    GRAIN_GROUP,   /* one per group_size consecutive elements of a row */
    GRAIN_BLOCK    /* one per group_size x group_size block */
};

struct element_type {
    char name[24];             /* canonical: "bf16", "q4_k", "int4-g128", "fp8-block" */
    enum number_format format; /* of a value */
    double value_bits;         /* stored bits of one value, packing included (ternary in 2-bit codes: 2) */
    enum scale_grain grain;
    int group_size;    /* GROUP: elements along the row; BLOCK: edge */
    double scale_bits; /* per scale group, all levels together (q4_k: superblock shares included) */
    double zero_bits;  /* per scale group */
};

/* Parses a name: "fp32 tf32 bf16 fp16 fp8 fp8-block fp8-channel int8 int8-tensor int4 int3 int2 ternary nvfp4
 * mxfp4 mxfp6 mxfp8 q8_0 q6_k q5_k q4_k q4_0 q4_1 q5_0 q5_1 q3_k q2_k" and the pattern int{2..8}-g{16..4096};
 * aliases ("bfloat16", "half", "f16", "float8_e4m3", "e4m3", "int4_wo", "fp8_block" ...). false: unknown. */
bool element_type_parse(const char *name, struct element_type *type);

/* The canonical names, for did-you-mean and help. */
const char *const *element_type_names(size_t *count);

/* Bytes of rows x cols elements with their scales and zero points, cols consecutive. Exact: group counts are
 * rounded up, packed values are not padded. Dimensions may be expected values (fractions). */
double element_bytes(const struct element_type *type, double rows, double cols);

/* Bytes of one row of `cols` elements among many: a scale per tensor vanishes, scales per row, group and
 * block keep their share. */
double element_row_bytes(const struct element_type *type, double cols);

/* Mean bytes of one element in long rows (per-tensor and per-channel scales vanish). */
double element_bytes_each(const struct element_type *type);

bool element_type_equal(const struct element_type *a, const struct element_type *b);

/* "bf16", "fp8": a format's name, and the format of a name (FORMAT_NONE: unknown). */
const char *number_format_name(enum number_format format);
enum number_format number_format_parse(const char *name);

/* Bits of one value in the format: 8 for fp8. */
double number_format_bits(enum number_format format);

bool number_format_is_integer(enum number_format format);

#endif
