#include "report/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char unknown[] = "-";

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Digits behind the point that make four significant ones of |value|, at most 3 for values below 10. */
static int decimals(double value)
{
    double size = fabs(value);
    if (size == 0.0)
        return 0;
    return size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : 3;
}

/* 1234567 -> "1 234 567": a thin group mark that no locale reads as a decimal point. */
static const char *grouped(struct arena *arena, double value)
{
    char digits[64], out[96];
    int length = snprintf(digits, sizeof digits, "%.0f", value);
    if (length <= 0 || (size_t)length >= sizeof digits || fabs(value) >= 1e15)
        return or_empty(arena_printf(arena, "%.4g", value));
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return or_empty(arena_strdup(arena, out));
}

static const char *number(struct arena *arena, double value)
{
    if (fabs(value) >= 999.95)
        return grouped(arena, value);
    if (value != 0.0 && fabs(value) < 1e-3)
        return or_empty(arena_printf(arena, "%.3e", value));
    if (value == floor(value))
        return or_empty(arena_printf(arena, "%.0f", value));
    return or_empty(arena_printf(arena, "%.*f", decimals(value), value));
}

struct prefix {
    double factor;
    const char *name;
};

/* The largest prefix that leaves at least 1 of the value once rounded to four digits. */
static struct prefix prefix_for(double value, double least)
{
    static const struct prefix prefixes[] = {{1e24, "Y"}, {1e21, "Z"}, {1e18, "E"}, {1e15, "P"}, {1e12, "T"},
                                             {1e9, "G"},  {1e6, "M"},  {1e3, "k"},  {1.0, ""},   {1e-3, "m"},
                                             {1e-6, "u"}, {1e-9, "n"}, {1e-12, "p"}};
    size_t count = sizeof prefixes / sizeof prefixes[0];
    for (size_t i = 0; i < count; i++)
        if (fabs(value) >= 0.99995 * prefixes[i].factor || prefixes[i].factor <= least * 1.0001)
            return prefixes[i];
    return prefixes[count - 1];
}

static const char *si(struct arena *arena, double value, const char *unit, double least)
{
    if (value == 0.0)
        return or_empty(arena_printf(arena, "0 %s", unit));
    struct prefix prefix = prefix_for(value, least);
    double scaled = value / prefix.factor;
    if (fabs(scaled) < 0.0005 || fabs(scaled) >= 1e6)
        return or_empty(arena_printf(arena, "%.3e %s", value, unit));
    return or_empty(arena_printf(arena, "%.*f %s%s", decimals(scaled), scaled, prefix.name, unit));
}

static const char *binary(struct arena *arena, double bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t power = 0;
    double scaled = bytes;
    while (fabs(scaled) >= 1023.95 && power + 1 < sizeof names / sizeof names[0]) {
        scaled /= 1024.0;
        power++;
    }
    if (power == 0)
        return or_empty(arena_printf(arena, "%.0f B", scaled));
    if (fabs(scaled) >= 1e6)
        return or_empty(arena_printf(arena, "%.3e B", bytes));
    return or_empty(arena_printf(arena, "%.*f %s", decimals(scaled), scaled, names[power]));
}

/* Two hours and more are told in hours, up to where only the order of magnitude is left to tell. */
static bool is_hours(double seconds)
{
    return fabs(seconds) >= 7200.0 && fabs(seconds) < 3600e6;
}

static const char *seconds(struct arena *arena, double value)
{
    if (is_hours(value))
        return or_empty(arena_printf(arena, "%.*f h", decimals(value / 3600.0), value / 3600.0));
    if (fabs(value) >= 999.95)
        return or_empty(arena_printf(arena, "%s s", number(arena, value)));
    return si(arena, value, "s", 1e-12);
}

static const char *usd(struct arena *arena, double value)
{
    if (value == 0.0)
        return "$0";
    if (fabs(value) >= 999.95)
        return or_empty(arena_printf(arena, "$%s", grouped(arena, value)));
    if (fabs(value) >= 1e-7)
        return or_empty(arena_printf(arena, "$%.*f", 3 - (int)floor(log10(fabs(value))), value));
    return or_empty(arena_printf(arena, "$%.3e", value));
}

const char *human(struct arena *arena, enum human_kind kind, double value)
{
    if (!isfinite(value))
        return unknown;
    switch (kind) {
    case HUMAN_SECONDS:
        return seconds(arena, value);
    case HUMAN_BYTES:
        return binary(arena, value);
    case HUMAN_FLOP:
        return si(arena, value, "FLOP", 1.0);
    case HUMAN_FLOP_PER_SECOND:
        return si(arena, value, "FLOP/s", 1.0);
    case HUMAN_BYTES_PER_SECOND:
        return si(arena, value, "B/s", 1.0);
    case HUMAN_JOULES:
        return si(arena, value, "J", 1e-12);
    case HUMAN_WATTS:
        return si(arena, value, "W", 1e-3);
    case HUMAN_USD:
        return usd(arena, value);
    case HUMAN_KILOGRAMS:
        return fabs(value) >= 1.0 ? or_empty(arena_printf(arena, "%s kg", number(arena, value)))
                                  : si(arena, value * 1e3, "g", 1e-12);
    case HUMAN_TOKENS_PER_SECOND:
        return or_empty(arena_printf(arena, "%s tokens/s", number(arena, value)));
    case HUMAN_PER_SECOND:
        return or_empty(arena_printf(arena, "%s /s", number(arena, value)));
    case HUMAN_PARTS:
        return fabs(value) >= 1e3 ? si(arena, value, "", 1.0) : number(arena, value);
    case HUMAN_NUMBER:
        break;
    }
    return number(arena, value);
}

const char *human_percent(struct arena *arena, double fraction)
{
    if (!isfinite(fraction))
        return unknown;
    double percent = 100.0 * fraction;
    if (percent != 0.0 && fabs(percent) < 0.05)
        return "<0.1%";
    return or_empty(arena_printf(arena, fabs(percent) >= 99.95 ? "%.0f%%" : "%.1f%%", percent));
}

const char *human_ratio(struct arena *arena, double ratio)
{
    if (!isfinite(ratio))
        return unknown;
    if (fabs(ratio) >= 1e6 || (ratio != 0.0 && fabs(ratio) < 1e-3))
        return or_empty(arena_printf(arena, "%.1ex", ratio));
    return or_empty(arena_printf(arena,
                                 fabs(ratio) >= 99.95   ? "%.0fx"
                                 : fabs(ratio) >= 0.995 ? "%.2fx"
                                                        : "%.3fx",
                                 ratio));
}

const char *human_range(struct arena *arena, double low_s, double high_s)
{
    if (!isfinite(low_s) || !isfinite(high_s))
        return unknown;
    struct prefix prefix = prefix_for(high_s, 1e-12);
    if (prefix.factor > 1.0)
        prefix = (struct prefix){1.0, ""};
    bool hours = is_hours(high_s);
    double unit = hours ? 3600.0 : prefix.factor, low = low_s / unit, high = high_s / unit;
    int digits = decimals(high) > 0 ? decimals(high) - 1 : 0;
    return or_empty(arena_printf(arena, "%.*f .. %.*f %s%s", digits, low, digits, high,
                                 hours ? "" : prefix.name, hours ? "h" : "s"));
}
