#include "spec/element_type.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The named types: name, format, value bits, grain, group, scale bits, zero bits.
 *
 * Scale widths: fp8 recipes keep fp32 scales (DeepSeek-V3 report section 3.3.2: 128 x 128 blocks;
 * compressed-tensors for per-tensor and per-channel). Integer checkpoints (GPTQ, AWQ) keep fp16 scales and
 * zero points as wide as the value. MX: OCP Microscaling Formats 1.0: an 8-bit power of two per 32. nvfp4: an
 * fp8 scale per 16; its fp32 scale per tensor is negligible and left out. ternary: BitNet b1.58's released
 * weights, four 2-bit codes a byte and one bf16 scale a tensor. q*: ggml's blocks, scale and minimum bits of
 * all levels together; bytes per block beside. */
#define NAMED_TYPES(X)                                                                                       \
    X("fp64", FORMAT_FP64, 64, GRAIN_NONE, 0, 0, 0)                                                          \
    X("fp32", FORMAT_FP32, 32, GRAIN_NONE, 0, 0, 0)                                                          \
    X("tf32", FORMAT_TF32, 32, GRAIN_NONE, 0, 0, 0)                                                          \
    X("bf16", FORMAT_BF16, 16, GRAIN_NONE, 0, 0, 0)                                                          \
    X("fp16", FORMAT_FP16, 16, GRAIN_NONE, 0, 0, 0)                                                          \
    X("fp8", FORMAT_FP8, 8, GRAIN_TENSOR, 0, 32, 0)                                                          \
    X("fp8-channel", FORMAT_FP8, 8, GRAIN_CHANNEL, 0, 32, 0)                                                 \
    X("fp8-block", FORMAT_FP8, 8, GRAIN_BLOCK, 128, 32, 0)                                                   \
    X("int8", FORMAT_INT8, 8, GRAIN_CHANNEL, 0, 16, 0)                                                       \
    X("int8-tensor", FORMAT_INT8, 8, GRAIN_TENSOR, 0, 32, 0)                                                 \
    X("int4", FORMAT_INT4, 4, GRAIN_CHANNEL, 0, 16, 4)                                                       \
    X("int3", FORMAT_INT4, 3, GRAIN_CHANNEL, 0, 16, 3)                                                       \
    X("int2", FORMAT_INT2, 2, GRAIN_CHANNEL, 0, 16, 2)                                                       \
    X("ternary", FORMAT_INT2, 2, GRAIN_TENSOR, 0, 16, 0)                                                     \
    X("nvfp4", FORMAT_FP4, 4, GRAIN_GROUP, 16, 8, 0)                                                         \
    X("mxfp4", FORMAT_FP4, 4, GRAIN_GROUP, 32, 8, 0)                                                         \
    X("mxfp6", FORMAT_FP6, 6, GRAIN_GROUP, 32, 8, 0)                                                         \
    X("mxfp8", FORMAT_FP8, 8, GRAIN_GROUP, 32, 8, 0)                                                         \
    X("q8_0", FORMAT_INT8, 8, GRAIN_GROUP, 32, 16, 0)   /* 34 bytes */                                       \
    X("q6_k", FORMAT_INT8, 6, GRAIN_GROUP, 256, 144, 0) /* 210: 16 int8 scales, fp16 */                      \
    X("q5_k", FORMAT_INT8, 5, GRAIN_GROUP, 256, 64, 64) /* 176: 8 6-bit scales, fp16; minima alike */        \
    X("q4_k", FORMAT_INT4, 4, GRAIN_GROUP, 256, 64, 64) /* 144: as q5_k */                                   \
    X("q4_0", FORMAT_INT4, 4, GRAIN_GROUP, 32, 16, 0)   /* 18 */                                             \
    X("q4_1", FORMAT_INT4, 4, GRAIN_GROUP, 32, 16, 16)  /* 20: fp16 scale and minimum */                     \
    X("q5_0", FORMAT_INT8, 5, GRAIN_GROUP, 32, 16, 0)   /* 22 */                                             \
    X("q5_1", FORMAT_INT8, 5, GRAIN_GROUP, 32, 16, 16)  /* 24 */                                             \
    X("q3_k", FORMAT_INT4, 3, GRAIN_GROUP, 256, 112, 0) /* 110: 16 6-bit scales, fp16 */                     \
    X("q2_k", FORMAT_INT2, 2, GRAIN_GROUP, 256, 80, 80) /* 84: 16 4-bit scales, fp16; minima alike */

#define AS_TYPE(name, format, bits, grain, group, scale, zero)                                               \
    {name, format, bits, grain, group, scale, zero},
#define AS_NAME(name, format, bits, grain, group, scale, zero) name,

static const struct element_type named_types[] = {NAMED_TYPES(AS_TYPE)};
static const char *const named_type_names[] = {NAMED_TYPES(AS_NAME) "int4-g128", "int4-g64", "int3-g128",
                                               "int2-g64"};

enum { NAMED_COUNT = sizeof named_types / sizeof named_types[0] };

struct type_alias {
    const char *alias;
    const char *name;
};

static const struct type_alias aliases[] = {
    {"double", "fp64"},
    {"float64", "fp64"},
    {"f64", "fp64"},
    {"float", "fp32"},
    {"float32", "fp32"},
    {"f32", "fp32"},
    {"single", "fp32"},
    {"bfloat16", "bf16"},
    {"half", "fp16"},
    {"float16", "fp16"},
    {"f16", "fp16"},
    {"float8", "fp8"},
    {"float8-e4m3", "fp8"},
    {"float8-e4m3fn", "fp8"},
    {"float8-e5m2", "fp8"},
    {"fp8-e4m3", "fp8"},
    {"fp8-e5m2", "fp8"},
    {"e4m3", "fp8"},
    {"e5m2", "fp8"},
    {"fp8-tensor", "fp8"},
    {"fp8-row", "fp8-channel"},
    {"fp8-token", "fp8-channel"},
    {"int8-channel", "int8"},
    {"int8-token", "int8"},
    {"i8", "int8"},
    {"w8", "int8"},
    {"i4", "int4"},
    {"int4-channel", "int4"},
    {"int4-wo", "int4-g128"}, /* torchao's default group */
    {"bitnet", "ternary"},
    {"q4-k-m", "q4_k"},
    {"q4-k-s", "q4_k"},
};

static char fold(char c)
{
    return c == '_' || c == ' ' ? '-' : (char)tolower((unsigned char)c);
}

static bool same_name(const char *a, const char *b)
{
    while (*a != '\0' && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

static const struct element_type *find_named(const char *name)
{
    for (int i = 0; i < NAMED_COUNT; i++)
        if (same_name(named_types[i].name, name))
            return &named_types[i];
    return NULL;
}

/* The narrowest integer format that holds values of so many bits. */
static enum number_format integer_format(int bits)
{
    if (bits <= 2)
        return FORMAT_INT2;
    return bits <= 4 ? FORMAT_INT4 : FORMAT_INT8;
}

/* int{2..8}-g{16..4096}: an fp16 scale and a zero point of the value's width for each group. */
static bool parse_grouped(const char *name, struct element_type *type)
{
    if (strlen(name) < 7 || !(same_name("int", (char[]){name[0], name[1], name[2], '\0'})))
        return false;
    if (name[3] < '2' || name[3] > '8' || fold(name[4]) != '-' || fold(name[5]) != 'g')
        return false;
    const char *digits = name + 6;
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || length > 4 || digits[length] != '\0' || digits[0] == '0')
        return false;
    int group = atoi(digits);
    if (group < 16 || group > 4096)
        return false;
    int bits = name[3] - '0';
    *type = (struct element_type){
        .format = integer_format(bits),
        .value_bits = bits,
        .grain = GRAIN_GROUP,
        .group_size = group,
        .scale_bits = 16,
        .zero_bits = bits,
    };
    snprintf(type->name, sizeof type->name, "int%d-g%d", bits, group);
    return true;
}

bool element_type_parse(const char *name, struct element_type *type)
{
    if (name == NULL)
        return false;
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (same_name(aliases[i].alias, name)) {
            name = aliases[i].name;
            break;
        }
    }
    const struct element_type *named = find_named(name);
    if (named == NULL)
        return parse_grouped(name, type);
    *type = *named;
    return true;
}

const char *const *element_type_names(size_t *count)
{
    *count = sizeof named_type_names / sizeof named_type_names[0];
    return named_type_names;
}

/* Groups that a length is cut into. The tolerance keeps 4096 * (1/3) * 3 from starting another group. */
static double groups_along(double length, int group_size)
{
    return ceil(length / group_size * (1 - 1e-12));
}

static double scale_groups(const struct element_type *type, double rows, double cols)
{
    switch (type->grain) {
    case GRAIN_NONE:
        return 0;
    case GRAIN_TENSOR:
        return 1;
    case GRAIN_CHANNEL:
        return rows;
    case GRAIN_GROUP:
        return rows * groups_along(cols, type->group_size);
    case GRAIN_BLOCK:
        return groups_along(rows, type->group_size) * groups_along(cols, type->group_size);
    }
    return 0;
}

double element_bytes(const struct element_type *type, double rows, double cols)
{
    if (!(rows > 0) || !(cols > 0))
        return 0;
    double bits = rows * cols * type->value_bits;
    return (bits + scale_groups(type, rows, cols) * (type->scale_bits + type->zero_bits)) / 8;
}

double element_bytes_each(const struct element_type *type)
{
    double side = type->scale_bits + type->zero_bits;
    double group = type->group_size;
    if (type->grain == GRAIN_GROUP)
        return (type->value_bits + side / group) / 8;
    if (type->grain == GRAIN_BLOCK)
        return (type->value_bits + side / (group * group)) / 8;
    return type->value_bits / 8;
}

bool element_type_equal(const struct element_type *a, const struct element_type *b)
{
    return a->format == b->format && a->value_bits == b->value_bits && a->grain == b->grain &&
           a->group_size == b->group_size && a->scale_bits == b->scale_bits && a->zero_bits == b->zero_bits;
}

struct format_facts {
    const char *name;
    double bits;
};

static const struct format_facts formats[FORMAT_COUNT] = {
    [FORMAT_NONE] = {"none", 0},  [FORMAT_FP64] = {"fp64", 64}, [FORMAT_FP32] = {"fp32", 32},
    [FORMAT_TF32] = {"tf32", 32}, [FORMAT_BF16] = {"bf16", 16}, [FORMAT_FP16] = {"fp16", 16},
    [FORMAT_FP8] = {"fp8", 8},    [FORMAT_FP6] = {"fp6", 6},    [FORMAT_FP4] = {"fp4", 4},
    [FORMAT_INT8] = {"int8", 8},  [FORMAT_INT4] = {"int4", 4},  [FORMAT_INT2] = {"int2", 2},
    [FORMAT_INT1] = {"int1", 1},
};

const char *number_format_name(enum number_format format)
{
    return formats[format].name;
}

enum number_format number_format_parse(const char *name)
{
    for (int format = FORMAT_NONE + 1; format < FORMAT_COUNT; format++)
        if (same_name(formats[format].name, name))
            return (enum number_format)format;
    return FORMAT_NONE;
}

double number_format_bits(enum number_format format)
{
    return formats[format].bits;
}

bool number_format_is_integer(enum number_format format)
{
    return format == FORMAT_INT8 || format == FORMAT_INT4 || format == FORMAT_INT2 || format == FORMAT_INT1;
}

double element_row_bytes(const struct element_type *type, double cols)
{
    enum { MANY_ROWS = 65536 }; /* a multiple of every block edge */
    return element_bytes(type, MANY_ROWS, cols) / MANY_ROWS;
}
