#include "plot/svg.h"

#include <stdlib.h>
#include <string.h>

/* Initial values by SVG 1.1; cairo's groups set none of them otherwise. Miter joins are only where lines are
 * straight. */
static const char *const initial[] = {
    "stroke-linecap:butt;", "stroke-linejoin:miter;", "stroke-miterlimit:10;",
    "stroke-opacity:1;",    "fill-opacity:1;",        "fill-rule:nonzero;",
};

/* Attributes whose numbers are coordinates; all are written with a space before them. */
static const char *const coordinates[] = {" d=\"", " x=\"", " y=\""};

static size_t match(const char *at, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(texts[i]);
        if (!strncmp(at, texts[i], length))
            return length;
    }
    return 0;
}

/* "12.340000" -> "12.34", "3.00" -> "3". Returns what was read of `at`. */
static size_t add_number(struct text *out, const char *at)
{
    size_t whole = strspn(at, "0123456789"), decimals = 0;
    if (at[whole] == '.')
        decimals = 1 + strspn(at + whole + 1, "0123456789");
    if (decimals <= 3) {
        text_addn(out, at, whole + decimals);
        return whole + decimals;
    }
    text_printf(out, "%.2f", strtod(at, NULL));
    if (out->failed)
        return whole + decimals;
    while (out->data[out->length - 1] == '0')
        out->data[--out->length] = '\0';
    if (out->data[out->length - 1] == '.')
        out->data[--out->length] = '\0';
    return whole + decimals;
}

/* Copies up to the closing quote. */
static const char *add_coordinates(struct text *out, const char *at)
{
    while (*at && *at != '"') {
        bool digit = *at >= '0' && *at <= '9';
        if (digit) {
            at += add_number(out, at);
            continue;
        }
        text_addn(out, at, 1);
        at++;
    }
    return at;
}

bool svg_compact(struct text *svg)
{
    struct text out = {0};
    const char *at = svg->data;
    while (at && *at) {
        size_t dropped = match(at, initial, sizeof initial / sizeof *initial);
        size_t attribute = match(at, coordinates, sizeof coordinates / sizeof *coordinates);
        if (dropped > 0) {
            at += dropped;
        } else if (attribute > 0) {
            text_addn(&out, at, attribute);
            at = add_coordinates(&out, at + attribute);
        } else {
            size_t plain = 1 + strcspn(at + 1, " sf"); /* where any of the above begins */
            text_addn(&out, at, plain);
            at += plain;
        }
    }
    text_free(svg);
    *svg = out;
    return !out.failed;
}
