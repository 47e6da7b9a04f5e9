#include "base/quantity.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Integers beyond are not exact in a double. */
#define INTEGER_MOST 9007199254740992.0 /* 2^53 */

enum { NUMBER_MOST = 64, UNIT_MOST = 32, SHOWN_MOST = 40 };

/* Which prefixes a unit takes. */
enum { DOWN = 1, KILO_UP = 2, BINARY = 4 };

struct prefix {
    const char *name;
    double factor;
    int group;
};

static const struct prefix prefixes[] = {
    {"f", 1e-15, DOWN},       {"p", 1e-12, DOWN},     {"n", 1e-9, DOWN},      {"u", 1e-6, DOWN},
    {"\xc2\xb5", 1e-6, DOWN}, /* the micro sign */
    {"\xce\xbc", 1e-6, DOWN}, /* the Greek letter */
    {"m", 1e-3, DOWN},        {"k", 1e3, KILO_UP},    {"K", 1e3, KILO_UP},    {"M", 1e6, KILO_UP},
    {"G", 1e9, KILO_UP},      {"T", 1e12, KILO_UP},   {"P", 1e15, KILO_UP},   {"E", 1e18, KILO_UP},
    {"Z", 1e21, KILO_UP},     {"Ki", 1024.0, BINARY}, {"Mi", 0x1p20, BINARY}, {"Gi", 0x1p30, BINARY},
    {"Ti", 0x1p40, BINARY},   {"Pi", 0x1p50, BINARY}, {"Ei", 0x1p60, BINARY},
};

struct unit {
    enum dimension dimension;
    const char *name;
    double factor; /* SI units in one */
    int prefixes;
};

static const struct unit units[] = {
    {DIM_FRACTION, "%", 1e-2, 0},
    {DIM_TOKENS, "tokens", 1, 0},
    {DIM_TOKENS, "token", 1, 0},
    {DIM_BYTES, "B", 1, KILO_UP | BINARY},
    {DIM_BYTES, "byte", 1, 0},
    {DIM_BYTES, "bytes", 1, 0},
    {DIM_BYTES, "bit", 1.0 / 8, KILO_UP | BINARY},
    {DIM_BYTES_PER_SECOND, "B/s", 1, KILO_UP | BINARY},
    {DIM_BYTES_PER_SECOND, "byte/s", 1, 0},
    {DIM_BYTES_PER_SECOND, "bit/s", 1.0 / 8, KILO_UP | BINARY},
    {DIM_BYTES_PER_SECOND, "Bps", 1, KILO_UP},
    {DIM_BYTES_PER_SECOND, "bps", 1.0 / 8, KILO_UP},
    {DIM_FLOPS, "FLOP/s", 1, KILO_UP},
    {DIM_FLOPS, "FLOPS", 1, KILO_UP},
    {DIM_FLOPS, "OP/s", 1, KILO_UP},
    {DIM_FLOPS, "OPS", 1, KILO_UP},
    {DIM_OPS_PER_CLOCK, "/clock", 1, 0},
    {DIM_SECONDS, "s", 1, DOWN},
    {DIM_SECONDS, "min", 60, 0},
    {DIM_SECONDS, "h", 3600, 0},
    {DIM_HERTZ, "Hz", 1, KILO_UP},
    {DIM_WATTS, "W", 1, DOWN | KILO_UP},
    {DIM_JOULES_PER_BYTE, "J/B", 1, DOWN},
    {DIM_JOULES_PER_BYTE, "J/byte", 1, DOWN},
    {DIM_JOULES_PER_BYTE, "J/bit", 8, DOWN},
    {DIM_JOULES_PER_FLOP, "J/FLOP", 1, DOWN},
    {DIM_JOULES_PER_FLOP, "J/OP", 1, DOWN},
    {DIM_USD, "USD", 1, 0},
    {DIM_USD_PER_HOUR, "USD/h", 1, 0},
    {DIM_USD_PER_HOUR, "USD/hour", 1, 0},
    {DIM_USD_PER_KWH, "USD/kWh", 1, 0},
    {DIM_USD_PER_KWH, "USD/MWh", 1e-3, 0},
    {DIM_KG_PER_KWH, "kg/kWh", 1, 0},
    {DIM_KG_PER_KWH, "g/kWh", 1e-3, 0},
    {DIM_KG_PER_KWH, "kgCO2/kWh", 1, 0},
    {DIM_KG_PER_KWH, "gCO2/kWh", 1e-3, 0},
    {DIM_PER_SECOND, "/s", 1, 0},
    {DIM_PER_SECOND, "1/s", 1, 0},
    {DIM_PER_SECOND, "req/s", 1, 0},
    {DIM_PER_SECOND, "requests/s", 1, 0},
    {DIM_PER_SECOND, "tokens/s", 1, 0},
    {DIM_PER_SECOND, "/min", 1.0 / 60, 0},
    {DIM_PER_SECOND, "/h", 1.0 / 3600, 0},
};

struct dimension_facts {
    const char *noun;
    const char *example;
    const char *si;
    bool bare; /* a number without a unit is allowed */
};

static const struct dimension_facts dimensions[DIMENSION_COUNT] = {
    [DIM_NONE] = {"a number", "0.5", "", true},
    [DIM_COUNT] = {"a whole number", "32", "", true},
    [DIM_TOKENS] = {"a whole number of tokens", "4096", "", true},
    [DIM_FRACTION] = {"a fraction", "0.92 or 92%", "", true},
    [DIM_BYTES] = {"a size", "80 GiB", "byte", false},
    [DIM_BYTES_PER_SECOND] = {"a bandwidth", "3.35 TB/s", "byte/s", false},
    [DIM_FLOPS] = {"a compute rate", "989.4 TFLOP/s", "FLOP/s", false},
    [DIM_OPS_PER_CLOCK] = {"a number per clock", "1024", "1/clock", true},
    [DIM_SECONDS] = {"a time", "4.5 us", "s", false},
    [DIM_HERTZ] = {"a frequency", "1.83 GHz", "Hz", false},
    [DIM_WATTS] = {"a power", "700 W", "W", false},
    [DIM_JOULES_PER_BYTE] = {"an energy per byte", "31 pJ/B", "J/byte", false},
    [DIM_JOULES_PER_FLOP] = {"an energy per operation", "0.5 pJ/FLOP", "J/FLOP", false},
    [DIM_USD] = {"a price", "30000 USD", "USD", false},
    [DIM_USD_PER_HOUR] = {"a price per hour", "3.99 USD/h", "USD/h", false},
    [DIM_USD_PER_KWH] = {"a price of energy", "0.10 USD/kWh", "USD/kWh", false},
    [DIM_KG_PER_KWH] = {"a carbon intensity", "0.445 kg/kWh", "kg/kWh", false},
    [DIM_PER_SECOND] = {"a rate", "2.5 /s", "1/s", false},
};

const char *dimension_example(enum dimension dimension)
{
    return dimensions[dimension].example;
}

const char *dimension_noun(enum dimension dimension)
{
    return dimensions[dimension].noun;
}

const char *dimension_unit(enum dimension dimension)
{
    return dimensions[dimension].si;
}

/* A text as taken apart: [sign] ["$"] number [space] unit. */
struct pieces {
    double number;
    bool dollar;
    char unit[UNIT_MOST];
};

struct attempt {
    const char *text;
    enum dimension dimension;
    char *error;
    size_t error_size;
};

/* Writes 'found "TEXT"WHY' with the dimension's noun and example where `expect`. Returns false. */
__attribute__((format(printf, 3, 4))) static bool fail(const struct attempt *attempt, bool expect,
                                                       const char *format, ...)
{
    if (attempt->error_size == 0)
        return false;
    char why[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    int shown = (int)strnlen(attempt->text, SHOWN_MOST + 1);
    const char *more = shown > SHOWN_MOST ? "..." : "";
    if (shown > SHOWN_MOST)
        shown = SHOWN_MOST;
    const struct dimension_facts *facts = &dimensions[attempt->dimension];
    if (expect)
        snprintf(attempt->error, attempt->error_size, "found \"%.*s%s\"%s, expected %s such as %s%s%s", shown,
                 attempt->text, more, why, facts->noun, facts->bare ? "" : "\"", facts->example,
                 facts->bare ? "" : "\"");
    else
        snprintf(attempt->error, attempt->error_size, "found \"%.*s%s\"%s", shown, attempt->text, more, why);
    return false;
}

static bool unexpected(const struct attempt *attempt)
{
    return fail(attempt, true, "%s", "");
}

static const char *skip_spaces(const char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

/* Length of the number that text starts with: digits [. digits] [e [sign] digits]; 0: none. Hexadecimal, inf
 * and nan, which strtod would take, are none. An 'e' without digits belongs to the unit. */
static size_t number_length(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    size_t length = whole, fraction = 0;
    if (text[length] == '.') {
        fraction = strspn(text + length + 1, "0123456789");
        length += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (text[length] == 'e' || text[length] == 'E') {
        size_t sign = text[length + 1] == '-' || text[length + 1] == '+';
        size_t digits = strspn(text + length + 1 + sign, "0123456789");
        if (digits > 0)
            length += 1 + sign + digits;
    }
    return length;
}

static bool take_apart(const struct attempt *attempt, struct pieces *pieces)
{
    const char *text = skip_spaces(attempt->text);
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    pieces->dollar = *text == '$';
    if (pieces->dollar)
        text = skip_spaces(text + 1);
    size_t length = number_length(text);
    if (length == 0)
        return fail(attempt, true, "%s", *skip_spaces(attempt->text) == '\0' ? " (empty)" : "");
    if (length >= NUMBER_MOST)
        return fail(attempt, false, ", a number of more than %d characters", NUMBER_MOST - 1);
    char number[NUMBER_MOST];
    memcpy(number, text, length);
    number[length] = '\0';
    pieces->number = strtod(number, NULL);
    if (!isfinite(pieces->number))
        return fail(attempt, false, ", which is beyond the largest number, %.2g", DBL_MAX);
    if (negative)
        pieces->number = -pieces->number;

    if (text[length] == ',')
        return fail(attempt, true, "%s", " with a comma; write a decimal point and no separators");
    text = skip_spaces(text + length);
    size_t unit = strlen(text);
    while (unit > 0 && (text[unit - 1] == ' ' || text[unit - 1] == '\t'))
        unit--;
    if (unit >= UNIT_MOST)
        return unexpected(attempt);
    memcpy(pieces->unit, text, unit);
    pieces->unit[unit] = '\0';
    return true;
}

/* Whether written is the unit with one of its prefixes or none; its factor to SI in *factor. */
static bool matches_unit(const char *written, const struct unit *unit, double *factor)
{
    size_t length = strlen(written), base = strlen(unit->name);
    if (length < base || strcmp(written + length - base, unit->name) != 0)
        return false;
    size_t prefix = length - base;
    *factor = unit->factor;
    if (prefix == 0)
        return true;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        if ((prefixes[i].group & unit->prefixes) != 0 && strlen(prefixes[i].name) == prefix &&
            strncmp(prefixes[i].name, written, prefix) == 0) {
            *factor *= prefixes[i].factor;
            return true;
        }
    }
    return false;
}

static bool find_unit(const char *written, enum dimension dimension, double *factor)
{
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (units[i].dimension == dimension && matches_unit(written, &units[i], factor))
            return true;
    return false;
}

enum { CANDIDATES_MOST = 128 };

struct candidates {
    char spelled[CANDIDATES_MOST][16];
    const char *names[CANDIDATES_MOST];
    size_t count;
};

static void add_candidate(struct candidates *candidates, const char *prefix, const char *unit)
{
    if (candidates->count == CANDIDATES_MOST)
        return;
    char *spelled = candidates->spelled[candidates->count];
    snprintf(spelled, sizeof candidates->spelled[0], "%s%s", prefix, unit);
    candidates->names[candidates->count++] = spelled;
}

/* Every unit of a dimension with every prefix it takes. */
static void list_units(enum dimension dimension, struct candidates *candidates)
{
    candidates->count = 0;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].dimension != dimension)
            continue;
        add_candidate(candidates, "", units[i].name);
        for (size_t j = 0; j < COUNT_OF(prefixes); j++)
            if ((prefixes[j].group & units[i].prefixes) != 0)
                add_candidate(candidates, prefixes[j].name, units[i].name);
    }
}

/* A candidate other than `nearest` that is written the same but for case, as "mW" and "MW" are; NULL: none.
 */
static const char *find_twin(const struct candidates *candidates, const char *written, const char *nearest)
{
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->names[i] != nearest && strcasecmp(candidates->names[i], written) == 0)
            return candidates->names[i];
    return NULL;
}

static bool refuse_unit(const struct attempt *attempt, const char *written)
{
    struct candidates candidates;
    list_units(attempt->dimension, &candidates);
    const char *nearest = suggest_nearest(written, candidates.names, candidates.count);
    /* one letter of a short unit is too much to guess: "ms" is not "MB" */
    size_t length = strlen(written);
    if (nearest == NULL || (length < 4 && strncasecmp(written, nearest, length) != 0))
        return fail(attempt, true, " with the unknown unit \"%s\"", written);
    const char *twin = find_twin(&candidates, written, nearest);
    if (twin != NULL)
        return fail(attempt, true, " with the unknown unit \"%s\" (did you mean \"%s\" or \"%s\"?)", written,
                    nearest, twin);
    return fail(attempt, true, " with the unknown unit \"%s\" (did you mean \"%s\"?)", written, nearest);
}

/* A k, M or G behind a count of tokens: context lengths are given in powers of two as often as of ten. */
static bool scaled_tokens(const struct attempt *attempt, const struct pieces *pieces, double *factor)
{
    static const struct {
        const char *name;
        double decimal, binary;
    } scales[] = {{"k", 1e3, 0x1p10}, {"K", 1e3, 0x1p10}, {"M", 1e6, 0x1p20}, {"G", 1e9, 0x1p30}};
    for (size_t i = 0; i < COUNT_OF(scales); i++) {
        if (strncmp(pieces->unit, scales[i].name, 1) != 0)
            continue;
        if (strcmp(pieces->unit + 1, "i") == 0) {
            *factor = scales[i].binary;
            return true;
        }
        if (pieces->unit[1] == '\0')
            return fail(attempt, false,
                        ", which is read as %.0f or as %.0f tokens; write the one that is meant",
                        pieces->number * scales[i].decimal, pieces->number * scales[i].binary);
    }
    return refuse_unit(attempt, pieces->unit);
}

/* "$3.99/h" is "3.99 USD/h". */
static bool spell_dollar(const struct attempt *attempt, struct pieces *pieces)
{
    if (!pieces->dollar)
        return true;
    char unit[UNIT_MOST];
    int length = snprintf(unit, sizeof unit, "USD%s", pieces->unit);
    if (length < 0 || (size_t)length >= sizeof unit || (pieces->unit[0] != '\0' && pieces->unit[0] != '/'))
        return unexpected(attempt);
    memcpy(pieces->unit, unit, sizeof unit);
    return true;
}

static bool unit_factor(const struct attempt *attempt, const struct pieces *pieces, double *factor)
{
    const struct dimension_facts *facts = &dimensions[attempt->dimension];
    *factor = 1;
    if (pieces->unit[0] == '\0')
        return facts->bare || pieces->number == 0 ? true : fail(attempt, true, " without a unit");
    if (find_unit(pieces->unit, attempt->dimension, factor))
        return true;
    if (attempt->dimension == DIM_TOKENS)
        return scaled_tokens(attempt, pieces, factor);
    if (attempt->dimension == DIM_NONE || attempt->dimension == DIM_COUNT)
        return unexpected(attempt);
    return refuse_unit(attempt, pieces->unit);
}

static bool check_value(const struct attempt *attempt, double value)
{
    if (!isfinite(value))
        return fail(attempt, false, ", which is beyond the largest number, %.2g", DBL_MAX);
    if (attempt->dimension == DIM_NONE)
        return true;
    if (value < 0)
        return fail(attempt, true, ", which is negative");
    if (attempt->dimension != DIM_COUNT && attempt->dimension != DIM_TOKENS)
        return true;
    if (value > INTEGER_MOST)
        return fail(attempt, false, ", which is beyond %.0f", INTEGER_MOST);
    return value == floor(value) ? true : unexpected(attempt);
}

/* Factors below 1 are one over a whole number (1e9, 60, 8), which is exact where they are not: "500 ns" is
 * 500e-9. */
static double to_si(double number, double factor)
{
    return factor < 1 ? number / round(1 / factor) : number * factor;
}

bool quantity_parse(const char *text, enum dimension dimension, double *value, char *error, size_t error_size)
{
    const struct attempt attempt = {text, dimension, error, error_size};
    struct pieces pieces;
    double factor;
    if (!take_apart(&attempt, &pieces) || !spell_dollar(&attempt, &pieces) ||
        !unit_factor(&attempt, &pieces, &factor))
        return false;
    double si = to_si(pieces.number, factor);
    if (!check_value(&attempt, si))
        return false;
    *value = si == 0 ? 0 : si; /* -0 is 0 */
    return true;
}
