#include "plot/roofline_scene.h"

#include <math.h>

static const double ROOF = 13; /* text size */

/* --- texts along lines: a chain of boxes stands for a slanted text --- */

struct along {
    double x0, y0, x1, y1; /* the line, left to right */
    const char *text;
    struct text_style style;
    bool from_right; /* preferred end */
    bool below;      /* the lower side of the line */
};

enum { LINKS_MOST = 48 };

static int text_chain(const struct along *line, double width, double start, struct box chain[LINKS_MOST])
{
    double length = hypot(line->x1 - line->x0, line->y1 - line->y0);
    double dx = (line->x1 - line->x0) / length, dy = (line->y1 - line->y0) / length, size = line->style.size;
    int count = (int)fmin(LINKS_MOST, ceil(width / (0.7 * size)) + 1);
    for (int i = 0; i < count; i++) {
        double at = start + width * i / fmax(1, count - 1), lift = (line->below ? -0.75 : 0.75) * size;
        double x = line->x0 + dx * at + dy * lift, y = line->y0 + dy * at - dx * lift;
        chain[i] = (struct box){x - 0.5 * size, y - 0.55 * size, size, 1.1 * size};
    }
    return count;
}

static bool chain_is_free(const struct scene *scene, const struct box *chain, int count, bool cross_lines)
{
    for (int i = 0; i < count; i++) {
        const struct box *box = &chain[i];
        if (box->y < scene->area.y || box->x + box->width > scene->area.x + scene->area.width ||
            box->x < scene->area.x || box->y + box->height > scene->area.y + scene->area.height)
            return false;
        for (size_t j = 0; j < scene->box_count; j++)
            if (boxes_overlap(box, &scene->boxes[j], 1))
                return false;
        for (size_t j = 0; j < scene->stroke_count && !cross_lines; j++)
            if (box_meets_stroke(box, &scene->strokes[j]))
                return false;
    }
    return true;
}

/* Writes the text at the free place nearest to the preferred end. false: none. */
static bool write_along(struct scene *scene, const struct along *line, bool cross_lines)
{
    static const double STEP = 6, INSET = 10;
    double length = hypot(line->x1 - line->x0, line->y1 - line->y0);
    double width = canvas_text_width(&scene->canvas, line->text, &line->style),
           room = length - width - 2 * INSET;
    struct box chain[LINKS_MOST];
    for (double offset = 0; offset <= room; offset += STEP) {
        double start = INSET + (line->from_right ? room - offset : offset);
        int count = text_chain(line, width, start, chain);
        if (!chain_is_free(scene, chain, count, cross_lines))
            continue;
        double dx = (line->x1 - line->x0) / length, dy = (line->y1 - line->y0) / length,
               lift = (line->below ? -1.1 : 0.4) * line->style.size;
        struct text_style style = line->style;
        style.angle = atan2(dy, dx);
        canvas_text(&scene->canvas, line->x0 + dx * start + dy * lift, line->y0 + dy * start - dx * lift,
                    line->text, &style);
        for (int i = 0; i < count; i++)
            scene_keep_off(scene, chain[i]);
        return true;
    }
    return false;
}

/* On the upper side of its line, else left of where a level line begins or on a slanted one's lower side,
 * else over other lines; a line with no free place at all keeps no text. */
static void text_along(struct scene *scene, const struct along *line)
{
    struct along other = *line;
    if (line->y0 == line->y1)
        other.x0 =
            fmax(scene->area.x, line->x0 - canvas_text_width(&scene->canvas, line->text, &line->style) - 24);
    else
        other.below = true;
    for (int cross_lines = 0; cross_lines < 2; cross_lines++)
        if (write_along(scene, line, cross_lines) || write_along(scene, &other, cross_lines))
            return;
}

/* --- roofs and ceilings --- */

static double fastest_bandwidth(const struct scene *scene, const struct roofline_series *series)
{
    return scene_is_many(scene) ? roofline_main_roof(series)->bandwidth : series->roofs[0].bandwidth;
}

/* The part of intensity * bandwidth inside the axes and under the peak. false: none. */
static bool roof_line(const struct scene *scene, double bandwidth, double peak, struct along *line)
{
    double low = fmax(scene->x.low, scene->y.low / bandwidth);
    double high = fmin(scene->x.high, fmin(peak, scene->y.high) / bandwidth);
    if (!(high > low * 1.05))
        return false;
    line->x0 = axis_at(&scene->x, low);
    line->y0 = axis_at(&scene->y, low * bandwidth);
    line->x1 = axis_at(&scene->x, high);
    line->y1 = axis_at(&scene->y, high * bandwidth);
    return true;
}

static bool ceiling_line(const struct scene *scene, double bandwidth, double flops, struct along *line)
{
    double low = fmax(scene->x.low, flops / bandwidth);
    if (flops < scene->y.low || flops > scene->y.high || low > scene->x.high)
        return false;
    line->x0 = axis_at(&scene->x, low);
    line->x1 = axis_at(&scene->x, scene->x.high);
    line->y0 = line->y1 = axis_at(&scene->y, flops);
    return true;
}

static void draw_line(struct scene *scene, const struct along *line, double width, double dash,
                      struct colour colour)
{
    canvas_line(&scene->canvas, line->x0, line->y0, line->x1, line->y1, width, dash, colour);
    scene_keep_off_stroke(scene, line->x0, line->y0, line->x1, line->y1);
}

/* lines first, texts after all lines are known */
static void roofs_of(struct scene *scene, int index, bool texts)
{
    const struct roofline_series *series = &scene->chart->series[index];
    struct colour colour = scene_roof_colour(scene, index);
    for (int i = 0; i < series->roof_count; i++) {
        const struct roof *roof = &series->roofs[i];
        bool main = roof->kind == ROOF_MEMORY;
        struct colour own = main || scene_is_many(scene) ? colour : colour_muted;
        struct along line = {.text = roof->label,
                             .style = {.size = ROOF,
                                       .bold = main && !scene_is_many(scene),
                                       .halo = true,
                                       .colour = scene_darker(own)}};
        if ((scene_is_many(scene) && !main) ||
            !roof_line(scene, roof->bandwidth, series->ceilings[0].flops, &line))
            continue;
        if (texts)
            text_along(scene, &line);
        else
            draw_line(scene, &line, main ? 2.6 : 1.6, roof->kind == ROOF_REMOTE ? 5 : 0, own);
    }
}

static void ceilings_of(struct scene *scene, int index, bool texts)
{
    const struct roofline_series *series = &scene->chart->series[index];
    struct colour colour = scene_roof_colour(scene, index);
    for (int i = 0; i < series->ceiling_count; i++) {
        const struct ceiling *ceiling = &series->ceilings[i];
        struct colour own = ceiling->matrix || scene_is_many(scene) ? colour : colour_muted;
        struct along line = {.text = ceiling->label,
                             .style = {.size = ROOF,
                                       .bold = i == 0 && !scene_is_many(scene),
                                       .halo = true,
                                       .colour = scene_darker(own)},
                             .from_right = true};
        if ((scene_is_many(scene) && i > 0 && !ceiling->matrix) ||
            !ceiling_line(scene, fastest_bandwidth(scene, series), ceiling->flops, &line))
            continue;
        if (texts)
            text_along(scene, &line);
        else
            draw_line(scene, &line, i == 0 ? 2.6 : 1.6, ceiling->matrix ? 0 : 8, own);
    }
}

/* Where main memory and the highest ceiling meet: operators left of it wait for memory. */
static void draw_ridge(struct scene *scene)
{
    const struct roofline_series *series = &scene->chart->series[0];
    double peak = series->ceilings[0].flops, ridge = peak / roofline_main_roof(series)->bandwidth;
    if (scene_is_many(scene) || ridge <= scene->x.low || ridge >= scene->x.high)
        return;
    double x = axis_at(&scene->x, ridge), top = axis_at(&scene->y, peak), bottom = scene->y.from;
    char number[32];
    const char *text =
        arena_printf(scene->arena, "ridge  %s FLOP/B", si_label(ridge, "", number, sizeof number));
    struct text_style style = {.size = ROOF - 1, .colour = colour_muted, .halo = true};
    canvas_line(&scene->canvas, x, top, x, bottom, 1, 3, colour_muted);
    scene_keep_off_stroke(scene, x, top, x, bottom);
    double width = canvas_text_width(&scene->canvas, text ? text : "", &style);
    if (x + width + 12 > scene->area.x + scene->area.width)
        style.align = ALIGN_RIGHT;
    double at = style.align == ALIGN_RIGHT ? x - 6 : x + 6;
    canvas_text(&scene->canvas, at, bottom - 8, text ? text : "", &style);
    scene_keep_off(scene, (struct box){style.align == ALIGN_RIGHT ? at - width : at, bottom - 8 - ROOF, width,
                                       ROOF + 4});
}

void scene_draw_roofs(struct scene *scene)
{
    int count = scene->chart->series_count;
    canvas_clip(&scene->canvas, scene->area.x, scene->area.y, scene->area.width, scene->area.height);
    for (int texts = 0; texts < 2; texts++) {
        for (int i = 0; i < count; i++) {
            if (scene->chart->series[i].repeats_roofs)
                continue;
            ceilings_of(scene, i, texts);
            roofs_of(scene, i, texts);
        }
        if (!texts)
            draw_ridge(scene);
    }
    canvas_unclip(&scene->canvas);
}
