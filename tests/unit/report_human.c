#include "report/human.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(report_human, .init = set_up, .fini = tear_down);

static void expect(enum human_kind kind, double value, const char *text)
{
    const char *found = human(arena, kind, value);
    cr_expect_str_eq(found, text, "%.17g: found \"%s\", expected \"%s\"", value, found, text);
}

Test(report_human, seconds)
{
    expect(HUMAN_SECONDS, 0.01234567, "12.35 ms");
    expect(HUMAN_SECONDS, 1.0, "1.000 s");
    expect(HUMAN_SECONDS, 0.9999999, "1.000 s");
    expect(HUMAN_SECONDS, 999.949, "999.9 s");
    expect(HUMAN_SECONDS, 2e-6, "2.000 us");
    expect(HUMAN_SECONDS, 1234.6, "1 235 s");
    expect(HUMAN_SECONDS, 7200.0, "2.000 h");
    expect(HUMAN_SECONDS, 0.0, "0 s");
}

Test(report_human, bytes_are_binary_and_rates_decimal)
{
    expect(HUMAN_BYTES, 80.0 * 1024 * 1024 * 1024, "80.00 GiB");
    expect(HUMAN_BYTES, 1023, "1023 B");
    expect(HUMAN_BYTES, 1024, "1.000 KiB");
    expect(HUMAN_BYTES, 1048575.9, "1.000 MiB");
    expect(HUMAN_BYTES_PER_SECOND, 3.35e12, "3.350 TB/s");
    expect(HUMAN_FLOP_PER_SECOND, 989.4e12, "989.4 TFLOP/s");
    expect(HUMAN_FLOP, 1e15, "1.000 PFLOP");
}

Test(report_human, unknown_is_a_dash)
{
    for (int kind = HUMAN_SECONDS; kind <= HUMAN_PARTS; kind++) {
        expect((enum human_kind)kind, NAN, "-");
        expect((enum human_kind)kind, INFINITY, "-");
    }
    cr_expect_str_eq(human_percent(arena, NAN), "-");
    cr_expect_str_eq(human_ratio(arena, NAN), "-");
    cr_expect_str_eq(human_range(arena, NAN, 1), "-");
}

Test(report_human, numbers)
{
    expect(HUMAN_NUMBER, 12, "12");
    expect(HUMAN_NUMBER, 3.14159, "3.142");
    expect(HUMAN_NUMBER, 1234567, "1 234 567");
    expect(HUMAN_NUMBER, -1234567, "-1 234 567");
    expect(HUMAN_NUMBER, 999.96, "1 000");
    expect(HUMAN_NUMBER, 1e-5, "1.000e-05");
    expect(HUMAN_TOKENS_PER_SECOND, 2044.4, "2 044 tokens/s");
    expect(HUMAN_PARTS, 8030261248.0, "8.030 G");
}

Test(report_human, money_keeps_four_digits)
{
    expect(HUMAN_USD, 1.23456, "$1.235");
    expect(HUMAN_USD, 0.003444, "$0.003444");
    expect(HUMAN_USD, 12345.6, "$12 346");
    expect(HUMAN_USD, 0.0, "$0");
}

Test(report_human, weights_of_carbon)
{
    expect(HUMAN_KILOGRAMS, 0.000133, "133.0 mg");
    expect(HUMAN_KILOGRAMS, 2.5, "2.500 kg");
}

Test(report_human, shares_ratios_ranges)
{
    cr_expect_str_eq(human_percent(arena, 0.3656), "36.6%");
    cr_expect_str_eq(human_percent(arena, 1.0), "100%");
    cr_expect_str_eq(human_percent(arena, 0.00001), "<0.1%");
    cr_expect_str_eq(human_percent(arena, 0.0), "0.0%");
    cr_expect_str_eq(human_ratio(arena, 1.5234), "1.52x");
    cr_expect_str_eq(human_ratio(arena, 0.35), "0.350x");
    cr_expect_str_eq(human_range(arena, 0.1101, 0.14), "110 .. 140 ms");
    cr_expect_str_eq(human_range(arena, 0.9, 1.1), "0.90 .. 1.10 s");
}

/* Whatever the value, the text is short and reads back to within its four digits. */
Test(report_human, every_magnitude)
{
    for (double value = 1e-12; value < 1e18; value *= 1.37) {
        const char *text = human(arena, HUMAN_FLOP_PER_SECOND, value);
        cr_expect_leq(strlen(text), 20, "%s", text);
        static const char prefixes[] = "pnum kMGTPE";
        char *end;
        double read = strtod(text, &end);
        if (*end == ' ')
            end++;
        const char *prefix = end[0] == 'F' ? " " : (char[]){end[0], 0};
        const char *place = strstr(prefixes, prefix);
        cr_assert_not_null(place, "%s", text);
        read *= pow(10, 3 * (double)(place - prefixes) - 12);
        if (value >= 1)
            cr_expect_float_eq(read / value, 1, 6e-4, "%g: %s", value, text);
    }
}
