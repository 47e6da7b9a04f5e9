#include "spec/element_type.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static struct element_type parsed(const char *name)
{
    struct element_type type = {0};
    cr_assert(element_type_parse(name, &type), "%s is unknown", name);
    return type;
}

/* Bits per weight of the published block layouts. */
Test(element_type, block_layouts_have_their_published_bits)
{
    const struct {
        const char *name;
        double bits;
    } cases[] = {
        {"fp32", 32},
        {"bf16", 16},
        {"fp8", 8},
        {"q8_0", 8.5},
        {"q6_k", 6.5625},
        {"q5_k", 5.5},
        {"q4_k", 4.5},
        {"q4_0", 4.5},
        {"q3_k", 3.4375},
        {"q2_k", 2.625},
        {"nvfp4", 4.5},
        {"mxfp4", 4.25},
        {"mxfp6", 6.25},
        {"mxfp8", 8.25},
        {"int4-g128", 4.15625},
        {"int4-g64", 4.3125},
        {"int3-g128", 3.1484375},
        {"ternary", 2},
        {"int8", 8},
        {"fp8-block", 8 + 32.0 / 16384},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct element_type type = parsed(cases[i].name);
        cr_assert_float_eq(8 * element_bytes_each(&type), cases[i].bits, 1e-12,
                           "%s: %.9g bits, expected %.9g", cases[i].name, 8 * element_bytes_each(&type),
                           cases[i].bits);
    }
}

/* ggml's block sizes in bytes. */
Test(element_type, one_superblock_takes_its_bytes)
{
    const struct {
        const char *name;
        double elements, bytes;
    } cases[] = {{"q8_0", 32, 34},   {"q4_0", 32, 18},  {"q4_1", 32, 20},   {"q5_0", 32, 22},
                 {"q5_1", 32, 24},   {"q2_k", 256, 84}, {"q3_k", 256, 110}, {"q4_k", 256, 144},
                 {"q5_k", 256, 176}, {"q6_k", 256, 210}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct element_type type = parsed(cases[i].name);
        cr_assert_float_eq(element_bytes(&type, 1, cases[i].elements), cases[i].bytes, 1e-9, "%s",
                           cases[i].name);
    }
}

Test(element_type, scales_follow_their_grain)
{
    struct element_type tensor = parsed("fp8"), channel = parsed("fp8-channel"), block = parsed("fp8-block");
    struct element_type group = parsed("int4-g128");
    cr_assert_float_eq(element_bytes(&tensor, 512, 1024), 512 * 1024 + 4, 1e-9);
    cr_assert_float_eq(element_bytes(&channel, 512, 1024), 512 * 1024 + 4 * 512, 1e-9);
    cr_assert_float_eq(element_bytes(&block, 512, 1024), 512 * 1024 + 4 * 4 * 8, 1e-9);
    cr_assert_float_eq(element_bytes(&block, 513, 1025), 513 * 1025 + 4 * 5 * 9, 1e-9);
    cr_assert_float_eq(element_bytes(&group, 2, 256), 2 * (128 + 2 * 2.5), 1e-9);
}

Test(element_type, a_started_group_counts_whole)
{
    struct element_type type = parsed("int4-g128");
    cr_assert_float_eq(element_bytes(&type, 1, 129), 129 / 2.0 + 2 * 2.5, 1e-9);
    cr_assert_float_eq(element_bytes(&type, 1, 384.0 / 3 * 3), 192 + 3 * 2.5, 1e-9);
}

Test(element_type, bytes_never_fall_with_size)
{
    size_t count;
    const char *const *names = element_type_names(&count);
    for (size_t i = 0; i < count; i++) {
        struct element_type type = parsed(names[i]);
        double before = element_bytes(&type, 0, 64);
        cr_assert_float_eq(before, 0, 0, "%s", names[i]);
        for (double rows = 0.5; rows < 300; rows += 3.7) {
            double now = element_bytes(&type, rows, 640);
            cr_assert(now >= before, "%s at %g rows", names[i], rows);
            before = now;
        }
    }
}

Test(element_type, every_canonical_name_parses_to_itself)
{
    size_t count;
    const char *const *names = element_type_names(&count);
    cr_assert(count > 20);
    for (size_t i = 0; i < count; i++)
        cr_assert_str_eq(parsed(names[i]).name, names[i]);
}

Test(element_type, people_write_names_in_many_ways)
{
    const char *const pairs[][2] = {
        {"bfloat16", "bf16"},       {"BF16", "bf16"},
        {"half", "fp16"},           {"f16", "fp16"},
        {"float8_e4m3", "fp8"},     {"e4m3", "fp8"},
        {"fp8_block", "fp8-block"}, {"int4_wo", "int4-g128"},
        {"INT4_G64", "int4-g64"},   {"Q4_K", "q4_k"},
        {"q8-0", "q8_0"},           {"float32", "fp32"},
        {"int2-g16", "int2-g16"},   {"int8-g4096", "int8-g4096"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        cr_assert_str_eq(parsed(pairs[i][0]).name, pairs[i][1], "%s", pairs[i][0]);
}

Test(element_type, other_names_are_refused)
{
    const char *const names[] = {"",          "int",        "int4-",      "int4-g",
                                 "int4-g8",   "int4-g5000", "int9-g128",  "int1-g128",
                                 "int4-g12x", "int4-g-128", "int4-g0128", "int44-g128",
                                 "q4_j",      "fp8-",       "bf16 x",     "int4-g99999999999999999999",
                                 "x"};
    struct element_type type;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_not(element_type_parse(names[i], &type), "\"%s\" was taken", names[i]);
    cr_assert_not(element_type_parse(NULL, &type));
}

Test(element_type, equality_is_about_the_layout)
{
    struct element_type a = parsed("f16"), b = parsed("half"), c = parsed("bf16");
    cr_assert(element_type_equal(&a, &b));
    cr_assert_not(element_type_equal(&a, &c));
    struct element_type q4_0 = parsed("q4_0"), int4 = parsed("int4-g32");
    cr_assert_not(element_type_equal(&q4_0, &int4), "one has a zero point");
}

Test(element_type, formats_round_trip)
{
    for (int format = FORMAT_NONE + 1; format < FORMAT_COUNT; format++)
        cr_assert_eq((int)number_format_parse(number_format_name((enum number_format)format)), format);
    cr_assert_eq(number_format_parse("bf17"), FORMAT_NONE);
    cr_assert_eq(number_format_parse(""), FORMAT_NONE);
    cr_assert_eq(number_format_bits(FORMAT_FP8), 8);
    cr_assert_eq(number_format_bits(FORMAT_TF32), 32);
}
