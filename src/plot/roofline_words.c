#include "plot/frame.h"
#include "plot/roofline_scene.h"

#include <math.h>
#include <stdio.h>

static const double LEGEND = 13; /* text size */

static double legend_entry(struct scene *scene, double x, double y, const char *text)
{
    struct text_style style = {.size = LEGEND, .colour = colour_ink};
    canvas_text(&scene->canvas, x, y + LEGEND * 0.36, text, &style);
    return x + canvas_text_width(&scene->canvas, text, &style) + 24;
}

static double legend_sizes(struct scene *scene, double x, double y)
{
    static const double shares[] = {0.01, 0.1, 0.5};
    struct text_style style = {.size = LEGEND, .colour = colour_ink};
    canvas_text(&scene->canvas, x, y + LEGEND * 0.36, "area: share of the phase's time", &style);
    x += canvas_text_width(&scene->canvas, "area: share of the phase's time", &style) + 12;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        char text[16];
        double reach = canvas_marker_reach(MARKER_CIRCLE, scene_marker_area(shares[i]));
        snprintf(text, sizeof text, "%g%%", 100 * shares[i]);
        canvas_marker(&scene->canvas, MARKER_CIRCLE, true, x + reach, y, scene_marker_area(shares[i]),
                      colour_muted);
        x = legend_entry(scene, x + 2 * reach + 5, y, text) - 10;
    }
    return x;
}

/* The series with the most phases names them all. */
static const struct roofline_series *fullest(const struct roofline_chart *chart)
{
    const struct roofline_series *best = &chart->series[0];
    for (int i = 1; i < chart->series_count; i++)
        if (chart->series[i].phase_count > best->phase_count)
            best = &chart->series[i];
    return best;
}

/* Of several devices, in their colours. Returns the height. */
static double draw_names(struct scene *scene)
{
    struct legend_item items[SERIES_MOST];
    for (int i = 0; i < scene->chart->series_count; i++)
        items[i] = (struct legend_item){scene_point_colour(scene, i, 0), SWATCH_FILLED,
                                        scene->chart->series[i].name};
    return frame_legend(&scene->canvas, SCENE_LEFT, SCENE_TOP - 42, SCENE_WIDTH - SCENE_LEFT - SCENE_RIGHT,
                        items, (size_t)scene->chart->series_count);
}

static void draw_legend(struct scene *scene)
{
    static const double KEY_AREA = 95;
    if (scene_is_many(scene))
        scene->legend_room = draw_names(scene);
    double x = SCENE_LEFT, y = SCENE_TOP - 30 + scene->legend_room;
    const struct roofline_series *series = fullest(scene->chart);
    for (int i = 0; i < series->phase_count; i++) {
        const char *phase = series->phases[i];
        struct colour colour = scene_is_many(scene) ? colour_muted : scene_point_colour(scene, 0, i);
        canvas_marker(&scene->canvas, scene_marker(phase), !scene_is_prefill(phase), x + 7, y, KEY_AREA,
                      colour);
        x = legend_entry(scene, x + 20, y, phase);
    }
    legend_sizes(scene, x + 8, y);
}

void scene_draw_heading(struct scene *scene)
{
    frame_heading(&scene->canvas, SCENE_LEFT, scene->chart->title, scene->chart->subtitle);
    draw_legend(scene);
}

static const char *omission_note(const struct scene *scene)
{
    const struct roofline_chart *chart = scene->chart;
    const char *note = "Not shown (no arithmetic, or communication between devices):";
    size_t named = 0;
    for (; named < chart->omission_count && note; named++) {
        const struct roofline_omission *omission = &chart->omissions[named];
        if (named > 0 && omission->share < SHARE_LABELLED)
            break;
        note = arena_printf(scene->arena, "%s%s %s (%.2g%%)", note, named ? "," : "", omission->name,
                            fmin(100, 100 * omission->share));
    }
    if (note && named < chart->omission_count)
        note = arena_printf(scene->arena, "%s, and %zu smaller", note, chart->omission_count - named);
    return chart->omission_count && note ? note : "";
}

static const char *reading_note(const struct scene *scene)
{
    const char *note = arena_printf(
        scene->arena,
        "Operators alone, on one device; each operand counted once. Named: from %g%% of a phase.%s%s",
        100 * scene_share_labelled(scene),
        scene->above_memory ? " Above the main memory's roof: served by the cache." : "",
        scene->chart->point_count ? "" : " No operator does arithmetic.");
    if (note && scene->off_axes)
        note = arena_printf(scene->arena, "%s Off the axes: %zu.", note, scene->off_axes);
    if (note && scene->unlabelled)
        note = arena_printf(scene->arena, "%s No room for a name: %zu.", note, scene->unlabelled);
    return note ? note : "";
}

void scene_draw_notes(struct scene *scene)
{
    const char *const notes[] = {reading_note(scene), omission_note(scene)};
    frame_notes(&scene->canvas, SCENE_LEFT, notes, 2);
}
