#include "base/quantity.h"

#include <math.h>
#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* value with four significant digits; as a power of ten only where it is too small for any prefix. */
static int format_digits(double value, char *buffer, size_t size)
{
    double magnitude = fabs(value);
    if (magnitude >= 999.95 || magnitude == 0)
        return snprintf(buffer, size, "%.0f", value);
    if (magnitude < 1e-6)
        return snprintf(buffer, size, "%.3e", value);
    int decimals = magnitude >= 99.995 ? 1 : magnitude >= 9.9995 ? 2 : 3;
    for (double limit = 0.99995; magnitude < limit; limit /= 10)
        decimals++;
    return snprintf(buffer, size, "%.*f", decimals, value);
}

struct scale {
    const char *prefix;
    double factor;
};

static const struct scale decimal_scales[] = {{"f", 1e-15}, {"p", 1e-12}, {"n", 1e-9}, {"u", 1e-6},
                                              {"m", 1e-3},  {"", 1},      {"k", 1e3},  {"M", 1e6},
                                              {"G", 1e9},   {"T", 1e12},  {"P", 1e15}, {"E", 1e18}};
static const struct scale binary_scales[] = {{"", 1},        {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30},
                                             {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};

/* The largest scale of [low, high] that leaves at least 1 once rounded to four digits; 0 takes the unit
 * itself. */
static struct scale fitting_scale(double value, const struct scale *scales, size_t low, size_t high)
{
    if (value == 0)
        return (struct scale){"", 1};
    size_t i = high;
    while (i > low && fabs(value) < scales[i].factor * 0.99995)
        i--;
    return scales[i];
}

/* How a dimension is written: the unit and the range of decimal_scales that it takes. */
struct style {
    const char *unit;
    size_t low, high;
};

enum { FEMTO = 0, MILLI = 4, ONE = 5, EXA = 11 };

static const struct style styles[DIMENSION_COUNT] = {
    [DIM_BYTES] = {"B", ONE, EXA},
    [DIM_BYTES_PER_SECOND] = {"B/s", ONE, EXA},
    [DIM_FLOPS] = {"FLOP/s", ONE, EXA},
    [DIM_SECONDS] = {"s", FEMTO, ONE},
    [DIM_HERTZ] = {"Hz", ONE, EXA},
    [DIM_WATTS] = {"W", MILLI, EXA},
    [DIM_JOULES_PER_BYTE] = {"J/B", FEMTO, ONE},
    [DIM_JOULES_PER_FLOP] = {"J/FLOP", FEMTO, ONE},
    [DIM_USD] = {"USD", ONE, ONE},
    [DIM_USD_PER_HOUR] = {"USD/h", ONE, ONE},
    [DIM_USD_PER_KWH] = {"USD/kWh", ONE, ONE},
    [DIM_KG_PER_KWH] = {"kg/kWh", ONE, ONE},
    [DIM_PER_SECOND] = {"/s", ONE, ONE},
};

char *quantity_format(double value, enum dimension dimension, char *buffer, size_t size)
{
    char digits[400]; /* the largest double has 309 digits */
    if (!isfinite(value)) {
        snprintf(buffer, size, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    } else if (dimension == DIM_NONE || dimension == DIM_OPS_PER_CLOCK) {
        snprintf(buffer, size, "%.4g", value);
    } else if (dimension == DIM_COUNT || dimension == DIM_TOKENS) {
        snprintf(buffer, size, "%.0f", value);
    } else if (dimension == DIM_FRACTION) {
        format_digits(value * 100, digits, sizeof digits);
        snprintf(buffer, size, "%s%%", digits);
    } else {
        const struct style *style = &styles[dimension];
        struct scale scale = fitting_scale(value, decimal_scales, style->low, style->high);
        format_digits(value / scale.factor, digits, sizeof digits);
        snprintf(buffer, size, "%s %s%s", digits, scale.prefix, style->unit);
    }
    return buffer;
}

char *quantity_format_binary(double bytes, char *buffer, size_t size)
{
    if (!isfinite(bytes))
        return quantity_format(bytes, DIM_BYTES, buffer, size);
    struct scale scale = fitting_scale(bytes, binary_scales, 0, COUNT_OF(binary_scales) - 1);
    char digits[400];
    format_digits(bytes / scale.factor, digits, sizeof digits);
    snprintf(buffer, size, "%s %sB", digits, scale.prefix);
    return buffer;
}
