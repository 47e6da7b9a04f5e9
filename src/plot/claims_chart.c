#include "plot/claims_chart.h"

#include "plot/axes.h"
#include "plot/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double SIDE = 540, LEFT = 128, TOP = 104, POINT_AREA = 40, LEGEND_LEFT = 720, TEXT = 13;

/* Colours, then the same colours as diamonds; what is left is grey. */
enum { FAMILIES_SHOWN = 2 * SERIES_COLOURS };

struct family_points {
    const char *family;
    int count;
};

struct chart {
    struct arena *arena;
    struct canvas canvas;
    const struct claim_result *results;
    size_t count, drawn;
    struct family_points families[FAMILIES_SHOWN + 1];
    size_t family_count;
    struct axis x, y;
};

static bool drawable(const struct claim_result *result)
{
    return result->verdict != CLAIM_NOT_SCORED && isfinite(result->predicted) && result->predicted > 0 &&
           result->claim->value > 0;
}

static int by_count(const void *a, const void *b)
{
    const struct family_points *x = a, *y = b;
    return x->count != y->count ? y->count - x->count : strcmp(x->family, y->family);
}

static bool count_families(struct chart *chart)
{
    struct family_points *all = ARENA_ARRAY(chart->arena, struct family_points, chart->count + 1);
    size_t count = 0;
    if (!all)
        return false;
    for (size_t i = 0; i < chart->count; i++) {
        if (!drawable(&chart->results[i]))
            continue;
        const char *family = technique_family(chart->results[i].technique);
        size_t f = 0;
        while (f < count && strcmp(all[f].family, family) != 0)
            f++;
        if (f == count)
            all[count++] = (struct family_points){family, 0};
        all[f].count++;
        chart->drawn++;
    }
    if (count > 0)
        qsort(all, count, sizeof *all, by_count);
    chart->family_count = count < FAMILIES_SHOWN ? count : FAMILIES_SHOWN;
    memcpy(chart->families, all, chart->family_count * sizeof *all);
    return true;
}

static void set_axes(struct chart *chart)
{
    struct axis axis = {.log = true, .low = INFINITY, .unit = ""};
    for (size_t i = 0; i < chart->count; i++) {
        const struct claim_result *result = &chart->results[i];
        if (!drawable(result))
            continue;
        axis.low = fmin(axis.low, fmin(result->predicted, result->claim->value));
        axis.high = fmax(axis.high, fmax(result->predicted, result->claim->value));
    }
    log_range(&axis.low, &axis.high, 1.3);
    chart->x = chart->y = axis;
    chart->x.title = "Published  (each claim in its own unit)";
    chart->y.title = "Predicted";
    chart->x.from = LEFT;
    chart->x.to = LEFT + SIDE;
    chart->y.from = TOP + SIDE;
    chart->y.to = TOP;
}

/* A line of predictions that are `factor` times the published value. */
static void draw_factor(struct chart *chart, double factor, double dash, struct colour colour)
{
    const struct axis *x = &chart->x, *y = &chart->y;
    double low = fmax(x->low, y->low / factor), high = fmin(x->high, y->high / factor);
    canvas_line(&chart->canvas, axis_at(x, low), axis_at(y, low * factor), axis_at(x, high),
                axis_at(y, high * factor), dash > 0 ? 1.2 : 1.8, dash, colour);
}

static size_t place_of(const struct chart *chart, const char *family)
{
    for (size_t f = 0; f < chart->family_count; f++)
        if (strcmp(chart->families[f].family, family) == 0)
            return f;
    return FAMILIES_SHOWN;
}

static void draw_mark(struct chart *chart, size_t family, double x, double y)
{
    bool other = family >= FAMILIES_SHOWN, second = family >= SERIES_COLOURS;
    canvas_marker(&chart->canvas, second && !other ? MARKER_DIAMOND : MARKER_CIRCLE, false, x, y, POINT_AREA,
                  other ? colour_muted : colour_series[family % SERIES_COLOURS]);
}

static void draw_points(struct chart *chart)
{
    for (size_t i = 0; i < chart->count; i++) {
        const struct claim_result *result = &chart->results[i];
        if (drawable(result))
            draw_mark(chart, place_of(chart, technique_family(result->technique)),
                      axis_at(&chart->x, result->claim->value), axis_at(&chart->y, result->predicted));
    }
}

static void draw_legend(struct chart *chart)
{
    const struct text_style style = {.size = TEXT, .colour = colour_ink};
    double y = TOP + 12;
    int named = 0;
    for (size_t f = 0; f < chart->family_count; f++, y += 24) {
        draw_mark(chart, f, LEGEND_LEFT, y - 4);
        canvas_text(
            &chart->canvas, LEGEND_LEFT + 16, y,
            arena_printf(chart->arena, "%s  (%d)", chart->families[f].family, chart->families[f].count),
            &style);
        named += chart->families[f].count;
    }
    if (named < (int)chart->drawn) {
        draw_mark(chart, FAMILIES_SHOWN, LEGEND_LEFT, y - 4);
        canvas_text(&chart->canvas, LEGEND_LEFT + 16, y,
                    arena_printf(chart->arena, "other families  (%d)", (int)chart->drawn - named), &style);
    }
}

/* Scored claims with an error of at most `most`, in percent. */
static double share_within(const struct chart *chart, enum claim_verdict most, int *scored)
{
    int within = 0;
    *scored = 0;
    for (size_t i = 0; i < chart->count; i++) {
        enum claim_verdict verdict = chart->results[i].verdict;
        *scored += verdict != CLAIM_NOT_SCORED;
        within += verdict != CLAIM_NOT_SCORED && verdict <= most;
    }
    return *scored > 0 ? 100.0 * within / *scored : 0;
}

static void draw_words(struct chart *chart)
{
    int scored;
    double ten = share_within(chart, CLAIM_WITHIN_10, &scored),
           quarter = share_within(chart, CLAIM_WITHIN_25, &scored);
    frame_heading(&chart->canvas, FRAME_LEFT, "Claims: predicted against published",
                  arena_printf(chart->arena, "%d computed · %.0f%% within 10%% · %.0f%% within 25%%", scored,
                               ten, quarter));
    const char *left_out = scored > (int)chart->drawn
                               ? arena_printf(chart->arena, "%d more have no prediction above zero to draw",
                                              scored - (int)chart->drawn)
                               : "";
    const char *notes[] = {"solid: equal; dashed: 25% off", left_out};
    frame_notes(&chart->canvas, LEGEND_LEFT, notes, sizeof notes / sizeof *notes);
}

bool plot_claims(const struct claim_result *results, size_t count, const char *path, struct diag *diag)
{
    struct chart chart = {.arena = diag->arena, .results = results, .count = count};
    if (!count_families(&chart))
        return diag_error(diag, NOWHERE, "out of memory");
    if (chart.drawn == 0)
        return diag_error(diag, NOWHERE, "no claim to draw: none is computed and has a prediction");
    if (!canvas_open(&chart.canvas, diag, path, FRAME_WIDTH, FRAME_HEIGHT))
        return false;
    set_axes(&chart);
    axes_draw(&chart.canvas, &chart.x, &chart.y);
    draw_factor(&chart, 1, 0, colour_ink);
    draw_factor(&chart, 1.25, 5, colour_muted);
    draw_factor(&chart, 0.75, 5, colour_muted);
    draw_points(&chart);
    draw_legend(&chart);
    draw_words(&chart);
    bool saved = canvas_save(&chart.canvas, diag);
    canvas_close(&chart.canvas);
    return saved;
}
