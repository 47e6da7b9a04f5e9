#include "plot/axes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double fraction_along(const struct axis *axis, double value)
{
    if (!axis->log)
        return (value - axis->low) / (axis->high - axis->low);
    if (value <= 0)
        return -2;
    return (log(value) - log(axis->low)) / (log(axis->high) - log(axis->low));
}

double axis_at(const struct axis *axis, double value)
{
    double fraction = fraction_along(axis, value);
    if (isnan(fraction))
        return axis->from;
    return axis->from + (axis->to - axis->from) * fmax(-2, fmin(3, fraction));
}

/* Three significant digits without trailing zeros or exponent. */
static char *three_digits(double value, char out[32])
{
    int decimals = value == 0 ? 0 : 2 - (int)floor(log10(fabs(value)));
    snprintf(out, 32, "%.*f", decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, value);
    char *point = strchr(out, '.');
    if (!point)
        return out;
    char *end = out + strlen(out) - 1;
    while (end > point && *end == '0')
        *end-- = '\0';
    if (end == point)
        *end = '\0';
    return out;
}

char *si_label(double value, const char *unit, char *out, size_t size)
{
    static const char *const prefixes[] = {"p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z"};
    enum { UNITY = 4, PREFIXES = sizeof prefixes / sizeof *prefixes };
    char digits[32];
    if (!isfinite(value)) {
        snprintf(out, size, "?");
        return out;
    }
    double magnitude = fabs(value);
    if (!*unit) {
        if (magnitude != 0 && (magnitude < 0.0009995 || magnitude >= 99999.5))
            snprintf(out, size, "%.3g", value);
        else
            snprintf(out, size, "%s", three_digits(value, digits));
        return out;
    }
    int prefix = magnitude > 0 ? UNITY + (int)floor(log10(magnitude * 1.0005) / 3) : UNITY;
    prefix = prefix < 0 ? 0 : prefix >= PREFIXES ? PREFIXES - 1 : prefix;
    double scaled = value / pow(1000, prefix - UNITY);
    if (fabs(scaled) >= 1e6)
        snprintf(digits, sizeof digits, "%.3g", scaled);
    else
        three_digits(scaled, digits);
    snprintf(out, size, "%s %s%s", digits, prefixes[prefix], unit);
    return out;
}

static void tick_add(const struct axis *axis, struct tick *ticks, int *count, double value, bool major)
{
    double slack = 1e-9 * (axis->log ? value : axis->high - axis->low);
    if (*count >= TICKS_MOST || value < axis->low - slack || value > axis->high + slack)
        return;
    struct tick *tick = &ticks[(*count)++];
    tick->value = value;
    tick->major = major;
    tick->label[0] = '\0';
    if (major)
        si_label(value, axis->unit ? axis->unit : "", tick->label, sizeof tick->label);
}

static int log_ticks(const struct axis *axis, int most, struct tick *ticks)
{
    double first = floor(log10(axis->low) - 1e-9), last = ceil(log10(axis->high) + 1e-9);
    double decades = log10(axis->high) - log10(axis->low);
    int stride = (int)ceil(decades / most);
    int count = 0;
    for (double decade = first; decade <= last && count < TICKS_MOST; decade++) {
        bool major = fmod(fabs(decade), stride) == 0;
        if (major || stride <= 4) /* more would be a grey band */
            tick_add(axis, ticks, &count, pow(10, decade), major);
        for (int digit = 2; digit <= 9 && stride == 1; digit++) {
            bool labelled = decades < 3 && (digit == 2 || digit == 5);
            tick_add(axis, ticks, &count, digit * pow(10, decade), labelled);
        }
    }
    return count;
}

static int linear_ticks(const struct axis *axis, int most, struct tick *ticks)
{
    double rough = (axis->high - axis->low) / most, power = pow(10, floor(log10(rough)));
    double step = rough <= power       ? power
                  : rough <= 2 * power ? 2 * power
                  : rough <= 5 * power ? 5 * power
                                       : 10 * power;
    int count = 0;
    double first = ceil(axis->low / step - 1e-9);
    for (int i = 0; i <= most + 1; i++)
        tick_add(axis, ticks, &count, (first + i) * step, true);
    return count;
}

int axis_ticks(const struct axis *axis, int most, struct tick ticks[TICKS_MOST])
{
    bool sane = isfinite(axis->low) && isfinite(axis->high) && axis->high > axis->low && most > 0;
    if (!sane || (axis->log && !(axis->low > 0)))
        return 0;
    return axis->log ? log_ticks(axis, most, ticks) : linear_ticks(axis, most, ticks);
}

static double round_down(double value)
{
    double power = pow(10, floor(log10(value) + 1e-9)), lead = value / power * (1 + 1e-9);
    return power * (lead >= 5 ? 5 : lead >= 2 ? 2 : 1);
}

static double round_up(double value)
{
    double power = pow(10, floor(log10(value) + 1e-9)), lead = value / power * (1 - 1e-9);
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

void log_range(double *low, double *high, double margin)
{
    *low = round_down(*low / margin);
    *high = round_up(*high * margin);
}

static const double LABEL_SIZE = 13, TITLE_SIZE = 15, TICK_LENGTH = 5;

static void draw_x(struct canvas *canvas, const struct axis *x, const struct axis *y)
{
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(x, 12, ticks);
    struct text_style style = {.size = LABEL_SIZE, .colour = colour_ink, .align = ALIGN_CENTRE};
    for (int i = 0; i < count; i++) {
        double at = axis_at(x, ticks[i].value);
        canvas_line(canvas, at, y->from, at, y->to, 0.8, 0, ticks[i].major ? colour_grid : colour_faint);
        canvas_line(canvas, at, y->from, at, y->from + TICK_LENGTH * (ticks[i].major ? 1 : 0.5), 1, 0,
                    colour_muted);
        canvas_text(canvas, at, y->from + TICK_LENGTH + LABEL_SIZE + 2, ticks[i].label, &style);
    }
    style.size = TITLE_SIZE;
    canvas_text(canvas, (x->from + x->to) / 2, y->from + TICK_LENGTH + LABEL_SIZE + TITLE_SIZE + 12, x->title,
                &style);
}

static void draw_y(struct canvas *canvas, const struct axis *x, const struct axis *y)
{
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(y, 12, ticks);
    struct text_style style = {.size = LABEL_SIZE, .colour = colour_ink, .align = ALIGN_RIGHT};
    double widest = 0;
    for (int i = 0; i < count; i++) {
        double at = axis_at(y, ticks[i].value);
        canvas_line(canvas, x->from, at, x->to, at, 0.8, 0, ticks[i].major ? colour_grid : colour_faint);
        canvas_line(canvas, x->from - TICK_LENGTH * (ticks[i].major ? 1 : 0.5), at, x->from, at, 1, 0,
                    colour_muted);
        canvas_text(canvas, x->from - TICK_LENGTH - 4, at + LABEL_SIZE * 0.36, ticks[i].label, &style);
        widest = fmax(widest, canvas_text_width(canvas, ticks[i].label, &style));
    }
    struct text_style title = {
        .size = TITLE_SIZE, .colour = colour_ink, .align = ALIGN_CENTRE, .angle = -M_PI / 2};
    canvas_text(canvas, fmax(TITLE_SIZE + 2, x->from - TICK_LENGTH - widest - 18), (y->from + y->to) / 2,
                y->title, &title);
}

void axes_draw(struct canvas *canvas, const struct axis *x, const struct axis *y)
{
    draw_x(canvas, x, y);
    draw_y(canvas, x, y);
    canvas_line(canvas, x->from, y->from, x->to, y->from, 1.2, 0, colour_muted);
    canvas_line(canvas, x->from, y->from, x->from, y->to, 1.2, 0, colour_muted);
}
