#include "base/quantity.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

Test(quantity, texts_become_si)
{
    static const struct {
        const char *text;
        enum dimension dimension;
        double value;
    } cases[] = {
        {"0.5", DIM_NONE, 0.5},
        {"-1.5e3", DIM_NONE, -1500},
        {"+2", DIM_NONE, 2},
        {".5", DIM_NONE, 0.5},
        {"5.", DIM_NONE, 5},
        {"32", DIM_COUNT, 32},
        {"1e6", DIM_COUNT, 1e6},
        {"4096", DIM_TOKENS, 4096},
        {"4096 tokens", DIM_TOKENS, 4096},
        {"128Ki", DIM_TOKENS, 131072},
        {"1 Mi", DIM_TOKENS, 1048576},
        {"0.92", DIM_FRACTION, 0.92},
        {"92%", DIM_FRACTION, 0.92},
        {"92 %", DIM_FRACTION, 0.92},
        {"80 GiB", DIM_BYTES, 80.0 * 1073741824},
        {"80GiB", DIM_BYTES, 80.0 * 1073741824},
        {"80 GB", DIM_BYTES, 80e9},
        {"1.5 MB", DIM_BYTES, 1.5e6},
        {"64 B", DIM_BYTES, 64},
        {"256 kB", DIM_BYTES, 256e3},
        {"256 KB", DIM_BYTES, 256e3},
        {"256 KiB", DIM_BYTES, 262144},
        {"8 bit", DIM_BYTES, 1},
        {"16 bytes", DIM_BYTES, 16},
        {"3.35 TB/s", DIM_BYTES_PER_SECOND, 3.35e12},
        {"400 Gbit/s", DIM_BYTES_PER_SECOND, 50e9},
        {"400 Gbps", DIM_BYTES_PER_SECOND, 50e9},
        {"400 GBps", DIM_BYTES_PER_SECOND, 400e9},
        {"1 GiB/s", DIM_BYTES_PER_SECOND, 1073741824},
        {"989.4 TFLOP/s", DIM_FLOPS, 989.4e12},
        {"989.4 TFLOPS", DIM_FLOPS, 989.4e12},
        {"1979 TOP/s", DIM_FLOPS, 1979e12},
        {"20 PFLOP/s", DIM_FLOPS, 20e15},
        {"1024", DIM_OPS_PER_CLOCK, 1024},
        {"1024/clock", DIM_OPS_PER_CLOCK, 1024},
        {"4.5 us", DIM_SECONDS, 4.5e-6},
        {"4.5 \xc2\xb5s", DIM_SECONDS, 4.5e-6},
        {"4.5 \xce\xbcs", DIM_SECONDS, 4.5e-6},
        {"12 ms", DIM_SECONDS, 12e-3},
        {"1.2 ns", DIM_SECONDS, 1.2e-9},
        {"1e-3 s", DIM_SECONDS, 1e-3},
        {"2 min", DIM_SECONDS, 120},
        {"3 h", DIM_SECONDS, 10800},
        {"1.83 GHz", DIM_HERTZ, 1.83e9},
        {"700 W", DIM_WATTS, 700},
        {"1.2 kW", DIM_WATTS, 1200},
        {"31 pJ/B", DIM_JOULES_PER_BYTE, 31e-12},
        {"3.9 pJ/bit", DIM_JOULES_PER_BYTE, 31.2e-12},
        {"0.5 pJ/FLOP", DIM_JOULES_PER_FLOP, 0.5e-12},
        {"30000 USD", DIM_USD, 30000},
        {"$30000", DIM_USD, 30000},
        {"3.99 USD/h", DIM_USD_PER_HOUR, 3.99},
        {"$3.99/h", DIM_USD_PER_HOUR, 3.99},
        {"$ 3.99 /hour", DIM_USD_PER_HOUR, 3.99},
        {"0.10 USD/kWh", DIM_USD_PER_KWH, 0.10},
        {"$100/MWh", DIM_USD_PER_KWH, 0.10},
        {"0.445 kg/kWh", DIM_KG_PER_KWH, 0.445},
        {"445 g/kWh", DIM_KG_PER_KWH, 0.445},
        {"2.5 /s", DIM_PER_SECOND, 2.5},
        {"10 req/s", DIM_PER_SECOND, 10},
        {"90/min", DIM_PER_SECOND, 1.5},
        {"0", DIM_BYTES, 0},
        {"0", DIM_SECONDS, 0},
        {"  7 W  ", DIM_WATTS, 7},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char error[256] = "";
        double value = NAN;
        cr_expect(quantity_parse(cases[i].text, cases[i].dimension, &value, error, sizeof error), "%s",
                  error);
        cr_expect_float_eq(value, cases[i].value, 1e-12 * fabs(cases[i].value), "%s: %.17g", cases[i].text,
                           value);
    }
}

Test(quantity, refusals_tell_what_was_found_and_what_is_expected)
{
    static const struct {
        const char *text;
        enum dimension dimension;
        const char *error;
    } cases[] = {
        {"3352", DIM_BYTES_PER_SECOND,
         "found \"3352\" without a unit, expected a bandwidth such as \"3.35 TB/s\""},
        {"3.35 TB", DIM_BYTES_PER_SECOND,
         "found \"3.35 TB\" with the unknown unit \"TB\" (did you mean \"TB/s\"?), expected a bandwidth such "
         "as "
         "\"3.35 TB/s\""},
        {"80 gib", DIM_BYTES,
         "found \"80 gib\" with the unknown unit \"gib\" (did you mean \"GiB\"?), expected a size such as "
         "\"80 GiB\""},
        {"7 parsec", DIM_BYTES,
         "found \"7 parsec\" with the unknown unit \"parsec\", expected a size such as \"80 GiB\""},
        {"128k", DIM_TOKENS,
         "found \"128k\", which is read as 128000 or as 131072 tokens; write the one that is meant"},
        {"1M", DIM_TOKENS,
         "found \"1M\", which is read as 1000000 or as 1048576 tokens; write the one that is meant"},
        {"2.5", DIM_TOKENS, "found \"2.5\", expected a whole number of tokens such as 4096"},
        {"2.5", DIM_COUNT, "found \"2.5\", expected a whole number such as 32"},
        {"-3", DIM_COUNT, "found \"-3\", which is negative, expected a whole number such as 32"},
        {"-80 GiB", DIM_BYTES, "found \"-80 GiB\", which is negative, expected a size such as \"80 GiB\""},
        {"eight", DIM_COUNT, "found \"eight\", expected a whole number such as 32"},
        {"", DIM_SECONDS, "found \"\" (empty), expected a time such as \"4.5 us\""},
        {"  ", DIM_SECONDS, "found \"  \" (empty), expected a time such as \"4.5 us\""},
        {"inf", DIM_NONE, "found \"inf\", expected a number such as 0.5"},
        {"nan", DIM_NONE, "found \"nan\", expected a number such as 0.5"},
        {"0x10", DIM_NONE, "found \"0x10\", expected a number such as 0.5"},
        {"1e999", DIM_NONE, "found \"1e999\", which is beyond the largest number, 1.8e+308"},
        {"1e308 TB", DIM_BYTES, "found \"1e308 TB\", which is beyond the largest number, 1.8e+308"},
        {"1e20", DIM_COUNT, "found \"1e20\", which is beyond 9007199254740992"},
        {"1,5", DIM_NONE,
         "found \"1,5\" with a comma; write a decimal point and no separators, expected a number such as "
         "0.5"},
        {"1 2", DIM_NONE, "found \"1 2\", expected a number such as 0.5"},
        {"- 1", DIM_NONE, "found \"- 1\", expected a number such as 0.5"},
        {"7 W x", DIM_WATTS,
         "found \"7 W x\" with the unknown unit \"W x\", expected a power such as "
         "\"700 W\""},
        {"$3.99", DIM_USD_PER_HOUR,
         "found \"$3.99\" with the unknown unit \"USD\" (did you mean \"USD/h\"?), expected a price per hour "
         "such as "
         "\"3.99 USD/h\""},
        {"$5", DIM_BYTES, "found \"$5\" with the unknown unit \"USD\", expected a size such as \"80 GiB\""},
        {"$30k", DIM_USD, "found \"$30k\", expected a price such as \"30000 USD\""},
        {"1.2.3", DIM_NONE, "found \"1.2.3\", expected a number such as 0.5"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char error[256] = "";
        double value = 42;
        cr_expect_not(quantity_parse(cases[i].text, cases[i].dimension, &value, error, sizeof error),
                      "%s: %g", cases[i].text, value);
        cr_expect_str_eq(error, cases[i].error, "%s", error);
        cr_expect_eq(value, 42, "a refused quantity leaves the value");
    }
}

Test(quantity, a_short_buffer_or_a_long_text_are_no_danger)
{
    char error[8];
    double value;
    memset(error, 'x', sizeof error);
    cr_expect_not(quantity_parse("eight", DIM_COUNT, &value, error, sizeof error));
    cr_expect_eq(strlen(error), sizeof error - 1);
    cr_expect_not(quantity_parse("eight", DIM_COUNT, &value, NULL, 0));

    char text[5000], message[256];
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_expect_not(quantity_parse(text, DIM_COUNT, &value, message, sizeof message));
    memset(text + 1, 'B', sizeof text - 2);
    cr_expect_not(quantity_parse(text, DIM_BYTES, &value, message, sizeof message));
    cr_expect_not_null(strstr(message, "1BBB"));
    cr_expect_not_null(strstr(message, "..."));
}

Test(quantity, prefixes_below_one_are_exact)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"500 ns", 500e-9}, {"3 us", 3e-6}, {"7 ms", 7e-3}, {"12 ps", 12e-12}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double value = 0;
        cr_expect(quantity_parse(cases[i].text, DIM_SECONDS, &value, NULL, 0));
        cr_expect_eq(value, cases[i].value, "%s: %.17g", cases[i].text, value);
    }
}

Test(quantity, minus_zero_is_zero)
{
    double value = 1;
    cr_expect(quantity_parse("-0", DIM_NONE, &value, NULL, 0));
    cr_expect_not(signbit(value));
}

Test(quantity, si_becomes_text_with_four_digits)
{
    static const struct {
        double value;
        enum dimension dimension;
        const char *text;
    } cases[] = {
        {3.352e12, DIM_BYTES_PER_SECOND, "3.352 TB/s"},
        {989.4e12, DIM_FLOPS, "989.4 TFLOP/s"},
        {4.5e-6, DIM_SECONDS, "4.500 us"},
        {12.3456, DIM_SECONDS, "12.35 s"},
        {12345, DIM_SECONDS, "12345 s"},
        {0, DIM_SECONDS, "0 s"},
        {999.949e-6, DIM_SECONDS, "999.9 us"},
        {999.951e-6, DIM_SECONDS, "1.000 ms"}, /* rounds into the next prefix */
        {99.996, DIM_SECONDS, "100.0 s"},
        {80e9, DIM_BYTES, "80.00 GB"},
        {5e21, DIM_BYTES, "5000 EB"},
        {0.5, DIM_BYTES, "0.5000 B"},
        {-2e9, DIM_BYTES, "-2.000 GB"},
        {700, DIM_WATTS, "700.0 W"},
        {31e-12, DIM_JOULES_PER_BYTE, "31.00 pJ/B"},
        {3.99, DIM_USD_PER_HOUR, "3.990 USD/h"},
        {30000, DIM_USD, "30000 USD"},
        {0.445, DIM_KG_PER_KWH, "0.4450 kg/kWh"},
        {0.92, DIM_FRACTION, "92.00%"},
        {4096, DIM_TOKENS, "4096"},
        {131072, DIM_COUNT, "131072"},
        {2.5, DIM_PER_SECOND, "2.500 /s"},
        {0.123456, DIM_NONE, "0.1235"},
        {NAN, DIM_SECONDS, "nan"},
        {INFINITY, DIM_BYTES, "inf"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[64];
        cr_expect_str_eq(quantity_format(cases[i].value, cases[i].dimension, text, sizeof text),
                         cases[i].text, "%s", text);
    }
}

Test(quantity, bytes_in_powers_of_two)
{
    char text[64];
    cr_expect_str_eq(quantity_format_binary(80.0 * 1073741824, text, sizeof text), "80.00 GiB");
    cr_expect_str_eq(quantity_format_binary(1023, text, sizeof text), "1023 B");
    cr_expect_str_eq(quantity_format_binary(1024, text, sizeof text), "1.000 KiB");
    cr_expect_str_eq(quantity_format_binary(0, text, sizeof text), "0 B");
    cr_expect_str_eq(quantity_format_binary(NAN, text, sizeof text), "nan");
}

Test(quantity, what_is_written_is_read_back)
{
    srand(11);
    for (int dimension = 0; dimension < DIMENSION_COUNT; dimension++) {
        for (int i = 0; i < 500; i++) {
            double value = exp(60.0 * rand() / RAND_MAX - 25);
            if (dimension == DIM_COUNT || dimension == DIM_TOKENS)
                value = floor(fmod(value, 1e15));
            char text[400], error[256] = "";
            quantity_format(value, (enum dimension)dimension, text, sizeof text);
            double back = NAN;
            cr_assert(quantity_parse(text, (enum dimension)dimension, &back, error, sizeof error), "%s",
                      error);
            cr_assert_float_eq(back, value, 5.1e-4 * value, "%s: %g, not %g", text, back, value);
        }
    }
}

Test(quantity, every_example_is_valid)
{
    for (int dimension = 0; dimension < DIMENSION_COUNT; dimension++) {
        char example[64], error[256] = "";
        snprintf(example, sizeof example, "%s", dimension_example((enum dimension)dimension));
        if (dimension == DIM_FRACTION)
            *strchr(example, ' ') = '\0'; /* "0.92 or 92%" */
        double value;
        cr_expect(quantity_parse(example, (enum dimension)dimension, &value, error, sizeof error), "%s",
                  error);
        cr_expect_not_null(dimension_unit((enum dimension)dimension));
        cr_expect_not_null(dimension_noun((enum dimension)dimension));
    }
}
