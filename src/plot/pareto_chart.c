#include "plot/pareto_chart.h"

#include "plot/axes.h"
#include "plot/frame.h"
#include "plot/titles.h"

#include <math.h>
#include <string.h>

static const double NAME = 12, LEFT = 128, BOTTOM = 104; /* text size; margins of the axes */
static const double FRONT_AREA = 60, OTHER_AREA = 24;    /* square points of markers */

static const double NEAREST = 12, NEAREST_OF_MANY = 26; /* points between markers with names of their own */

/* Faint points that would cover each other are drawn once: a grid of cells this wide. */
enum { CELL = 3, GRID_COLUMNS = (int)FRAME_WIDTH / CELL + 1, GRID_ROWS = (int)FRAME_HEIGHT / CELL + 1 };

struct chart {
    struct arena *arena;
    struct diag *diag;
    struct canvas canvas;
    const struct pareto_series *series;
    size_t count;
    struct titles titles;
    struct axis x, y;
    struct box area;
    size_t unnamed;
};

static bool positive(double value)
{
    return isfinite(value) && value > 0;
}

static bool drawable(const struct pareto_point *point)
{
    return positive(point->tokens_per_s_per_user) && positive(point->tokens_per_s_per_device);
}

/* --- axes --- */

static void extend(struct axis *axis, double value)
{
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

/* All of the fronts; of the rest, what is no more than a hundredth of the best, so that it does not squeeze
 * them. */
static bool set_axes(struct chart *chart)
{
    struct axis x = {
        .log = true, .low = INFINITY, .unit = "", .title = "Speed for a user  (output tokens/s)"};
    struct axis y = {
        .log = true, .low = INFINITY, .unit = "", .title = "Throughput of a device  (output tokens/s)"};
    for (size_t s = 0; s < chart->count; s++)
        for (size_t i = 0; i < chart->series[s].pareto->count; i++) {
            const struct pareto_point *point = &chart->series[s].pareto->front[i];
            if (!drawable(point))
                continue;
            extend(&x, point->tokens_per_s_per_user);
            extend(&y, point->tokens_per_s_per_device);
        }
    if (!isfinite(x.low))
        return diag_error(chart->diag, NOWHERE,
                          "no Pareto front: no split and batch fits and keeps the limits");
    double x_least = x.low / 2, y_least = y.low / 2;
    for (size_t s = 0; s < chart->count; s++)
        for (size_t i = 0; i < chart->series[s].pareto->all_count; i++) {
            const struct pareto_point *point = &chart->series[s].pareto->all[i];
            if (drawable(point) && point->tokens_per_s_per_user >= x_least &&
                point->tokens_per_s_per_device >= y_least) {
                extend(&x, point->tokens_per_s_per_user);
                extend(&y, point->tokens_per_s_per_device);
            }
        }
    x.low /= 1.15; /* room for names, the most at the right */
    x.high *= 1.35;
    y.low /= 1.25;
    y.high *= 1.35;
    chart->area = (struct box){LEFT, FRAME_TOP + 40, FRAME_WIDTH - LEFT - FRAME_RIGHT,
                               FRAME_HEIGHT - FRAME_TOP - 40 - BOTTOM};
    x.from = chart->area.x;
    x.to = chart->area.x + chart->area.width;
    y.from = chart->area.y + chart->area.height;
    y.to = chart->area.y;
    chart->x = x;
    chart->y = y;
    return true;
}

static bool on_axes(const struct chart *chart, const struct pareto_point *point)
{
    return drawable(point) && point->tokens_per_s_per_user >= chart->x.low &&
           point->tokens_per_s_per_user <= chart->x.high && point->tokens_per_s_per_device >= chart->y.low &&
           point->tokens_per_s_per_device <= chart->y.high;
}

static double x_of(const struct chart *chart, const struct pareto_point *point)
{
    return axis_at(&chart->x, point->tokens_per_s_per_user);
}

static double y_of(const struct chart *chart, const struct pareto_point *point)
{
    return axis_at(&chart->y, point->tokens_per_s_per_device);
}

/* --- points and fronts --- */

static struct colour paler(struct colour colour)
{
    static const double KEEP = 0.35;
    return (struct colour){1 - KEEP * (1 - colour.red), 1 - KEEP * (1 - colour.green),
                           1 - KEEP * (1 - colour.blue)};
}

static struct colour darker(struct colour colour)
{
    return (struct colour){colour.red * 0.72, colour.green * 0.72, colour.blue * 0.72};
}

static bool draw_dominated(struct chart *chart, size_t index)
{
    bool *taken = ARENA_ARRAY(chart->arena, bool, GRID_COLUMNS *GRID_ROWS);
    const struct pareto *pareto = chart->series[index].pareto;
    if (!taken)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < pareto->all_count; i++) {
        if (!on_axes(chart, &pareto->all[i]))
            continue;
        double x = x_of(chart, &pareto->all[i]), y = y_of(chart, &pareto->all[i]);
        bool *cell = &taken[(size_t)(y / CELL) * GRID_COLUMNS + (size_t)(x / CELL)];
        if (!*cell)
            canvas_dot(&chart->canvas, x, y, OTHER_AREA, paler(colour_series[index % SERIES_COLOURS]));
        *cell = true;
    }
    return true;
}

/* Between two points nothing is known to be better than the worse of both: a staircase would say so, a
 * straight line is how people draw it. */
static size_t draw_front(struct chart *chart, size_t index, struct stroke *strokes)
{
    const struct pareto *pareto = chart->series[index].pareto;
    struct colour colour = colour_series[index % SERIES_COLOURS];
    const struct pareto_point *last = NULL;
    size_t count = 0;
    for (size_t i = 0; i < pareto->count; i++) {
        const struct pareto_point *point = &pareto->front[i];
        if (!drawable(point))
            continue;
        if (last) {
            strokes[count] =
                (struct stroke){x_of(chart, last), y_of(chart, last), x_of(chart, point), y_of(chart, point)};
            canvas_line(&chart->canvas, strokes[count].x0, strokes[count].y0, strokes[count].x1,
                        strokes[count].y1, 2.4, 0, colour);
            count++;
        }
        last = point;
    }
    for (size_t i = 0; i < pareto->count; i++)
        if (drawable(&pareto->front[i]))
            canvas_marker(&chart->canvas, MARKER_CIRCLE, false, x_of(chart, &pareto->front[i]),
                          y_of(chart, &pareto->front[i]), FRONT_AREA, colour);
    return count;
}

/* "4 × TP2 EP2, batch 64" */
static const char *point_words(struct arena *arena, const struct pareto_point *point)
{
    const struct parallelism *parallel = &point->candidate.parallel;
    const struct {
        const char *name;
        int degree;
    } degrees[] = {{"TP", parallel->tp}, {"PP", parallel->pp}, {"EP", parallel->ep}, {"DP", parallel->dp}};
    const char *words = "";
    for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++)
        if (degrees[i].degree > 1)
            words = titles_join(arena, words, arena_printf(arena, "%s%d", degrees[i].name, degrees[i].degree),
                                " ");
    if (point->candidate.replicas > 1)
        words = *words ? arena_printf(arena, "%d × %s", point->candidate.replicas, words)
                       : arena_printf(arena, "%d replicas", point->candidate.replicas);
    return titles_join(arena, words, arena_printf(arena, "batch %.6g", point->batch), ", ");
}

struct names {
    struct label *labels; /* width 0: has no name */
    const char **texts;
    size_t *series;
    size_t count;
};

static double distance(const struct chart *chart, const struct pareto_point *point, double x, double y)
{
    return hypot(x_of(chart, point) - x, y_of(chart, point) - y);
}

/* Whether the point is close to a named one of its front, or to the front's end, which will be. */
static bool is_covered(const struct chart *chart, size_t index, const struct names *names,
                       const struct pareto_point *point)
{
    const struct pareto *pareto = chart->series[index].pareto;
    const struct pareto_point *last = &pareto->front[pareto->count - 1];
    double nearest = chart->count > 1 ? NEAREST_OF_MANY : NEAREST;
    for (size_t i = 0; i < names->count; i++)
        if (names->series[i] == index && names->labels[i].width > 0 &&
            distance(chart, point, names->labels[i].x, names->labels[i].y) < nearest)
            return true;
    return drawable(last) && distance(chart, point, x_of(chart, last), y_of(chart, last)) < nearest;
}

/* The ends of a front are named first. A point close to a named one has no name of its own. */
static void add_names(struct chart *chart, size_t index, struct names *names)
{
    const struct pareto *pareto = chart->series[index].pareto;
    for (size_t i = 0; i < pareto->count; i++) {
        const struct pareto_point *point = &pareto->front[i];
        if (!drawable(point))
            continue;
        struct text_style style = {.size = NAME};
        bool end = i == 0 || i + 1 == pareto->count;
        const char *text = point_words(chart->arena, point);
        bool covered = !end && is_covered(chart, index, names, point);
        names->texts[names->count] = text;
        names->series[names->count] = index;
        names->labels[names->count++] =
            (struct label){.x = x_of(chart, point),
                           .y = y_of(chart, point),
                           .reach = canvas_marker_reach(MARKER_CIRCLE, FRONT_AREA),
                           .width = covered ? 0 : canvas_text_width(&chart->canvas, text, &style),
                           .height = NAME + 2,
                           .priority = end ? 2 : 1};
    }
}

static void draw_names(struct chart *chart, const struct names *names, const struct obstacles *obstacles)
{
    labels_place(names->labels, names->count, &chart->area, obstacles);
    for (size_t i = 0; i < names->count; i++) {
        struct stroke leader = label_leader(&names->labels[i]);
        if (names->labels[i].placed && names->labels[i].leader)
            canvas_line(&chart->canvas, leader.x0, leader.y0, leader.x1, leader.y1, 0.9, 0,
                        colour_series[names->series[i] % SERIES_COLOURS]);
    }
    for (size_t i = 0; i < names->count; i++) {
        struct text_style style = {
            .size = NAME, .halo = true, .colour = darker(colour_series[names->series[i] % SERIES_COLOURS])};
        if (names->labels[i].placed)
            canvas_text(&chart->canvas, names->labels[i].place.x, names->labels[i].place.y + NAME - 0.5,
                        names->texts[i], &style);
        chart->unnamed += !names->labels[i].placed;
    }
}

static bool draw_fronts(struct chart *chart)
{
    size_t most = 1, strokes = 0;
    for (size_t s = 0; s < chart->count; s++)
        most += chart->series[s].pareto->count;
    struct names names = {ARENA_ARRAY(chart->arena, struct label, most),
                          ARENA_ARRAY(chart->arena, const char *, most),
                          ARENA_ARRAY(chart->arena, size_t, most), 0};
    struct stroke *lines = ARENA_ARRAY(chart->arena, struct stroke, most);
    if (!names.labels || !names.texts || !names.series || !lines)
        return diag_error(chart->diag, NOWHERE, "out of memory");
    canvas_clip(&chart->canvas, chart->area.x, chart->area.y, chart->area.width, chart->area.height);
    for (size_t s = 0; s < chart->count; s++)
        if (!draw_dominated(chart, s))
            return false;
    for (size_t s = 0; s < chart->count; s++) {
        strokes += draw_front(chart, s, lines + strokes);
        add_names(chart, s, &names);
    }
    draw_names(chart, &names, &(struct obstacles){.lines = lines, .line_count = strokes, .line_cost = 100});
    canvas_unclip(&chart->canvas);
    return true;
}

/* --- words --- */

static bool has_dominated(const struct chart *chart)
{
    for (size_t s = 0; s < chart->count; s++)
        if (chart->series[s].pareto->all_count > chart->series[s].pareto->count)
            return true;
    return false;
}

static void draw_heading(struct chart *chart)
{
    struct legend_item items[FRONTS_MOST + 1];
    size_t count = 0;
    frame_heading(&chart->canvas, LEFT, *chart->titles.title ? chart->titles.title : "Pareto fronts",
                  chart->titles.subtitle);
    for (size_t s = 0; s < chart->count; s++)
        items[count++] = (struct legend_item){colour_series[s % SERIES_COLOURS], SWATCH_DOT,
                                              chart->count > 1 ? chart->titles.names[s] : "Pareto front"};
    if (has_dominated(chart))
        items[count++] = (struct legend_item){paler(chart->count > 1 ? colour_muted : colour_series[0]),
                                              SWATCH_DOT, "dominated by the front"};
    frame_legend(&chart->canvas, LEFT, FRAME_TOP, FRAME_WIDTH - LEFT - FRAME_RIGHT, items, count);
}

static void draw_notes(struct chart *chart)
{
    size_t evaluated = 0, all = 0;
    for (size_t s = 0; s < chart->count; s++) {
        evaluated += chart->series[s].pareto->evaluated;
        all += chart->series[s].pareto->all_count;
    }
    const char *const notes[] = {
        chart->unnamed ? "Points close to another one, or without room beside them, have no name." : "",
        arena_printf(
            chart->arena,
            "%zu splits and batches evaluated, %zu of them fit; all devices in use. TP, PP, EP, DP: "
            "tensor, pipeline, expert, data-parallel attention; n ×: replicas; batch: of all devices.",
            evaluated, all)};
    frame_notes(&chart->canvas, LEFT, notes, 2);
}

static bool gather(struct chart *chart)
{
    const struct resolved *resolved[FRONTS_MOST];
    int devices[FRONTS_MOST];
    for (size_t s = 0; s < chart->count; s++) {
        resolved[s] = chart->series[s].resolved;
        devices[s] = chart->series[s].devices;
    }
    return titles_write(&chart->titles, chart->arena, chart->diag, resolved, devices, chart->count,
                        TITLES_NO_SPLIT | TITLES_NO_BATCH) &&
           set_axes(chart);
}

bool plot_pareto(const struct pareto_series *series, size_t count, const char *path, struct diag *diag)
{
    if (count < 1 || count > FRONTS_MOST)
        return diag_error(diag, NOWHERE, "a Pareto chart of %zu fronts: expected 1 to %d", count,
                          FRONTS_MOST);
    struct chart chart = {.arena = arena_new(0), .diag = diag, .series = series, .count = count};
    if (!chart.arena)
        return diag_error(diag, NOWHERE, "out of memory");
    bool drawn = gather(&chart) && canvas_open(&chart.canvas, diag, path, FRAME_WIDTH, FRAME_HEIGHT);
    if (drawn) {
        draw_heading(&chart);
        axes_draw(&chart.canvas, &chart.x, &chart.y);
        drawn = draw_fronts(&chart);
        draw_notes(&chart);
        drawn = drawn && canvas_save(&chart.canvas, diag);
    }
    canvas_close(&chart.canvas);
    arena_free(chart.arena);
    return drawn;
}
