#include "plot/roofline.h"

#include "plot/roofline_scene.h"

#include <math.h>
#include <string.h>

static const double NAME = 13;            /* text size */
static const double SHARE_FITTED = 0.005; /* smaller operators do not stretch the axes */
static const double AREA_WHOLE = 1500;    /* square points of a marker with all of the time */
static const double AREA_LEAST = 18;

bool scene_is_many(const struct scene *scene)
{
    return scene->chart->series_count > 1;
}

struct colour scene_point_colour(const struct scene *scene, int series, int phase)
{
    return colour_series[(scene_is_many(scene) ? series : phase) % SERIES_COLOURS];
}

struct colour scene_roof_colour(const struct scene *scene, int series)
{
    return scene_is_many(scene) ? colour_series[series % SERIES_COLOURS] : colour_ink;
}

/* Text on paper wants more contrast than a marker does. */
struct colour scene_darker(struct colour colour)
{
    return (struct colour){colour.red * 0.72, colour.green * 0.72, colour.blue * 0.72};
}

bool scene_is_prefill(const char *phase)
{
    return strstr(phase, "prefill") != NULL;
}

enum marker scene_marker(const char *phase)
{
    return scene_is_prefill(phase) ? MARKER_CIRCLE : MARKER_DIAMOND;
}

double scene_marker_area(double share)
{
    return fmax(AREA_LEAST, AREA_WHOLE * fmin(1, share));
}

/* --- axes --- */

struct extent {
    double x_low, x_high, y_low, y_high;
};

static void extend(double *low, double *high, double value)
{
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

static double intensity_of(const struct roofline_point *point)
{
    return point->flops / point->bytes;
}

static double rate_of(const struct roofline_point *point)
{
    return point->flops / point->time;
}

/* Points that count, the ridge of main memory and the highest ceiling are on the chart. */
static struct extent data_extent(const struct roofline_chart *chart)
{
    struct extent e = {INFINITY, 0, INFINITY, 0};
    for (int s = 0; s < chart->series_count; s++) {
        const struct roofline_series *series = &chart->series[s];
        double peak = series->ceilings[0].flops, ridge = peak / roofline_main_roof(series)->bandwidth;
        extend(&e.x_low, &e.x_high, ridge);
        extend(&e.x_low, &e.x_high, ridge / 30);
        extend(&e.y_low, &e.y_high, peak);
        extend(&e.y_low, &e.y_high, peak / 30);
    }
    /* farther off, a point would squeeze all others together */
    double x_least = e.x_low * 1e-6, x_most = e.x_high * 1e6, y_least = e.y_low * 1e-9,
           y_most = e.y_high * 1e3;
    for (size_t i = 0; i < chart->point_count; i++) {
        const struct roofline_point *point = &chart->points[i];
        double x = intensity_of(point), y = rate_of(point);
        if (point->share < SHARE_FITTED || x < x_least || x > x_most || y < y_least || y > y_most)
            continue;
        extend(&e.x_low, &e.x_high, x);
        extend(&e.y_low, &e.y_high, y);
    }
    return e;
}

static void set_axes(struct scene *scene)
{
    struct extent e = data_extent(scene->chart);
    log_range(&e.x_low, &e.x_high, 1.8);
    log_range(&e.y_low, &e.y_high, 2.2);
    scene->area =
        (struct box){SCENE_LEFT, SCENE_TOP + scene->legend_room, SCENE_WIDTH - SCENE_LEFT - SCENE_RIGHT,
                     SCENE_HEIGHT - SCENE_TOP - scene->legend_room - SCENE_BOTTOM};
    scene->x = (struct axis){true,
                             e.x_low,
                             e.x_high,
                             SCENE_LEFT,
                             SCENE_WIDTH - SCENE_RIGHT,
                             "",
                             "Arithmetic intensity  (FLOP per byte of memory operands)"};
    scene->y = (struct axis){true,
                             e.y_low,
                             e.y_high,
                             SCENE_HEIGHT - SCENE_BOTTOM,
                             SCENE_TOP + scene->legend_room,
                             "FLOP/s",
                             "Achieved compute rate"};
}

/* --- what labels keep off --- */

void scene_keep_off(struct scene *scene, struct box box)
{
    if (scene->box_count < BOXES_MOST)
        scene->boxes[scene->box_count++] = box;
}

void scene_keep_off_stroke(struct scene *scene, double x0, double y0, double x1, double y1)
{
    if (scene->stroke_count < STROKES_MOST)
        scene->strokes[scene->stroke_count++] = (struct stroke){x0, y0, x1, y1};
}

static bool on_axes(const struct scene *scene, const struct roofline_point *point)
{
    double x = intensity_of(point), y = rate_of(point);
    return x >= scene->x.low && x <= scene->x.high && y >= scene->y.low && y <= scene->y.high;
}

static double reach_of(const struct scene *scene, const struct roofline_point *point)
{
    const char *phase = scene->chart->series[point->series].phases[point->phase];
    return canvas_marker_reach(scene_marker(phase), scene_marker_area(point->share));
}

static void keep_off_markers(struct scene *scene)
{
    for (size_t i = 0; i < scene->chart->point_count; i++) {
        const struct roofline_point *point = &scene->chart->points[i];
        if (!on_axes(scene, point))
            continue;
        double reach = reach_of(scene, point) * 0.9;
        double x = axis_at(&scene->x, intensity_of(point)), y = axis_at(&scene->y, rate_of(point));
        scene_keep_off(scene, (struct box){x - reach, y - reach, 2 * reach, 2 * reach});
    }
    scene->marker_boxes = scene->box_count;
}

/* --- operators --- */

static void draw_points(struct scene *scene)
{
    const struct roofline_chart *chart = scene->chart;
    canvas_clip(&scene->canvas, scene->area.x, scene->area.y, scene->area.width, scene->area.height);
    for (size_t i = 0; i < chart->point_count; i++) { /* the largest first, small ones on top of them */
        const struct roofline_point *point = &chart->points[i];
        const struct roofline_series *series = &chart->series[point->series];
        const char *phase = series->phases[point->phase];
        double intensity = intensity_of(point), rate = rate_of(point);
        if (!on_axes(scene, point)) {
            scene->off_axes++;
            continue;
        }
        scene->above_memory |= rate > 1.01 * intensity * roofline_main_roof(series)->bandwidth;
        canvas_marker(&scene->canvas, scene_marker(phase), !scene_is_prefill(phase),
                      axis_at(&scene->x, intensity), axis_at(&scene->y, rate),
                      scene_marker_area(point->share),
                      scene_point_colour(scene, point->series, point->phase));
    }
    canvas_unclip(&scene->canvas);
}

double scene_share_labelled(const struct scene *scene)
{
    int others = scene->chart->series_count - 1;
    return others > 0 ? fmin(SHARE_LABELLED_MOST, SHARE_LABELLED_OF_MANY * others) : SHARE_LABELLED;
}

static bool is_labelled(const struct scene *scene, const struct roofline_point *point)
{
    return on_axes(scene, point) && point->share >= scene_share_labelled(scene);
}

static struct text_style name_style(const struct scene *scene, const struct roofline_point *point)
{
    return (struct text_style){.size = NAME,
                               .halo = true,
                               .colour =
                                   scene_darker(scene_point_colour(scene, point->series, point->phase))};
}

static const char *point_text(const struct scene *scene, const struct roofline_point *point)
{
    double percent = 100 * point->share;
    const char *text = arena_printf(scene->arena, percent >= 9.95 ? "%.60s %.0f%%" : "%.60s %.1f%%",
                                    point->name, fmin(100, percent));
    return text ? text : "";
}

static void draw_names(struct scene *scene)
{
    size_t count = scene->chart->point_count;
    struct label *labels = ARENA_ARRAY(scene->arena, struct label, count ? count : 1);
    const char **texts = ARENA_ARRAY(scene->arena, const char *, count ? count : 1);
    if (!labels || !texts)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct roofline_point *point = &scene->chart->points[i];
        labels[i] = (struct label){.x = axis_at(&scene->x, intensity_of(point)),
                                   .y = axis_at(&scene->y, rate_of(point)),
                                   .reach = on_axes(scene, point) ? reach_of(scene, point) : 0,
                                   .height = NAME + 2,
                                   .priority = point->share};
        if (!is_labelled(scene, point))
            continue;
        struct text_style style = name_style(scene, point);
        texts[i] = point_text(scene, point);
        labels[i].width = canvas_text_width(&scene->canvas, texts[i], &style);
    }
    /* the markers are obstacles by being labels' points */
    struct obstacles obstacles = {scene->boxes + scene->marker_boxes, scene->box_count - scene->marker_boxes,
                                  scene->strokes, scene->stroke_count, 0};
    labels_place(labels, count, &scene->area, &obstacles);
    for (size_t i = 0; i < count; i++) {
        struct stroke leader = label_leader(&labels[i]);
        if (texts[i] && labels[i].placed && labels[i].leader)
            canvas_line(
                &scene->canvas, leader.x0, leader.y0, leader.x1, leader.y1, 0.9, 0,
                scene_point_colour(scene, scene->chart->points[i].series, scene->chart->points[i].phase));
    }
    for (size_t i = 0; i < count; i++) {
        struct text_style style = name_style(scene, &scene->chart->points[i]);
        if (texts[i] && labels[i].placed)
            canvas_text(&scene->canvas, labels[i].place.x, labels[i].place.y + NAME - 0.5, texts[i], &style);
        scene->unlabelled += texts[i] && !labels[i].placed;
    }
}

static void draw(struct scene *scene)
{
    scene_draw_heading(scene);
    set_axes(scene);
    keep_off_markers(scene);
    axes_draw(&scene->canvas, &scene->x, &scene->y);
    scene_draw_roofs(scene);
    draw_points(scene);
    draw_names(scene);
    scene_draw_notes(scene);
}

bool plot_roofline(const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                   size_t count, const char *path, struct diag *diag)
{
    struct arena *arena = arena_new(0);
    struct scene *scene = arena ? ARENA_NEW(arena, struct scene) : NULL;
    struct roofline_chart chart;
    bool drawn = false;
    if (!scene || !(scene->boxes = ARENA_ARRAY(arena, struct box, BOXES_MOST))) {
        arena_free(arena);
        return diag_error(diag, NOWHERE, "out of memory");
    }
    scene->arena = arena;
    scene->chart = &chart;
    if (canvas_open(&scene->canvas, diag, path, SCENE_WIDTH, SCENE_HEIGHT) &&
        roofline_gather(&chart, arena, diag, resolved, breakdowns, count)) {
        draw(scene);
        drawn = canvas_save(&scene->canvas, diag);
    }
    canvas_close(&scene->canvas);
    arena_free(arena);
    return drawn;
}
