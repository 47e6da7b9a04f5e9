/* Axes: places, ticks and labels. */
#include "plot/axes.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *labelled(double value, const char *unit)
{
    static char out[48];
    return si_label(value, unit, out, sizeof out);
}

Test(plot_axes, si_labels)
{
    static const struct {
        double value;
        const char *unit, *expected;
    } cases[] = {
        {100e12, "FLOP/s", "100 TFLOP/s"},
        {3.352e12, "B/s", "3.35 TB/s"},
        {989.4e12, "FLOP/s", "989 TFLOP/s"},
        {0.0123, "s", "12.3 ms"},
        {1e15, "FLOP/s", "1 PFLOP/s"},
        {999.9e9, "B/s", "1 TB/s"},
        {0.1, "", "0.1"},
        {1000, "", "1000"},
        {0, "s", "0 s"},
        {4.5e-6, "s", "4.5 µs"},
        {NAN, "s", "?"},
        {INFINITY, "", "?"},
        {1e-30, "s", "0 ps"},
        {2.5e6, "", "2.5e+06"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert(!strcmp(labelled(cases[i].value, cases[i].unit), cases[i].expected),
                  "%g: \"%s\", expected \"%s\"", cases[i].value, labelled(cases[i].value, cases[i].unit),
                  cases[i].expected);
}

Test(plot_axes, log_places_decades_evenly)
{
    struct axis axis = {true, 0.1, 1000, 100, 500, "", ""};
    cr_assert(fabs(axis_at(&axis, 0.1) - 100) < 1e-9);
    cr_assert(fabs(axis_at(&axis, 1) - 200) < 1e-9);
    cr_assert(fabs(axis_at(&axis, 1000) - 500) < 1e-9);
    cr_assert(isfinite(axis_at(&axis, 0)) && isfinite(axis_at(&axis, -1)) && isfinite(axis_at(&axis, NAN)) &&
              isfinite(axis_at(&axis, INFINITY)) && isfinite(axis_at(&axis, 1e-300)));
}

Test(plot_axes, log_ticks_label_decades)
{
    struct axis axis = {true, 0.2, 5000, 0, 1, "", ""};
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(&axis, 12, ticks), major = 0;
    cr_assert(count == 40, "%d", count); /* 0.2 .. 0.9: 8, three decades of 9, 1000 .. 5000: 5 */
    for (int i = 0; i < count; i++) {
        major += ticks[i].major;
        cr_assert(i == 0 || ticks[i].value > ticks[i - 1].value);
        cr_assert(ticks[i].value >= 0.2 * (1 - 1e-8) && ticks[i].value <= 5000 * (1 + 1e-8));
        cr_assert(ticks[i].major == (*ticks[i].label != '\0'));
    }
    cr_assert(major == 4); /* 1, 10, 100, 1000 */
}

Test(plot_axes, short_log_axes_label_2_and_5)
{
    struct axis axis = {true, 1, 100, 0, 1, "", ""};
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(&axis, 12, ticks), major = 0;
    for (int i = 0; i < count; i++)
        major += ticks[i].major;
    cr_assert(major == 7); /* 1 2 5 10 20 50 100 */
}

Test(plot_axes, long_log_axes_skip_decades)
{
    struct axis axis = {true, 1e-300, 1e300, 0, 1, "", ""};
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(&axis, 12, ticks), major = 0;
    for (int i = 0; i < count; i++)
        major += ticks[i].major;
    cr_assert(count <= TICKS_MOST && major >= 2 && major <= 14, "%d of %d", major, count);
}

Test(plot_axes, linear_ticks_are_round)
{
    struct axis axis = {false, 0, 47, 0, 1, "", ""};
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(&axis, 6, ticks);
    cr_assert(count == 5); /* 0 10 20 30 40 */
    cr_assert(ticks[4].value == 40 && !strcmp(ticks[4].label, "40"));
}

Test(plot_axes, axes_without_extent_have_no_ticks)
{
    struct tick ticks[TICKS_MOST];
    const struct axis bad[] = {{true, 0, 10, 0, 1, "", ""},   {true, -1, 10, 0, 1, "", ""},
                               {false, 3, 3, 0, 1, "", ""},   {true, 10, 1, 0, 1, "", ""},
                               {false, NAN, 1, 0, 1, "", ""}, {true, 1, INFINITY, 0, 1, "", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(axis_ticks(&bad[i], 12, ticks) == 0, "%zu", i);
}

Test(plot_axes, log_range_ends_on_round_numbers)
{
    double low = 0.7, high = 1300;
    log_range(&low, &high, 2);
    cr_assert(fabs(low - 0.2) < 1e-9 && fabs(high - 5000) < 1e-6, "%g %g", low, high);
    low = 1;
    high = 1000;
    log_range(&low, &high, 1);
    cr_assert(fabs(low - 1) < 1e-9 && fabs(high - 1000) < 1e-6, "%g %g", low, high);
}
