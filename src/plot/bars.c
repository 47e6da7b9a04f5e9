#include "plot/bars.h"

#include "plot/axes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LABEL = 13, GROUP = 13, INSIDE = 12, TICK = 12, PANEL_TITLE = 15; /* text sizes */
static const double PITCH_LEAST = 24, PITCH_MOST = 196;                               /* from bar to bar */
static const double FILLED = 0.74;                    /* of the pitch, by the bar */
static const double TITLE_ROOM = 30, SCALE_ROOM = 44; /* above and below a panel's bars */
static const double LABEL_MOST = 340, END_MOST = 330; /* texts beside the bars */
static const double GAP = 10;
static const double OVERHANG = 20; /* left of the area: half of a tick's label */

static double sound(double value)
{
    return isfinite(value) && value > 0 ? value : 0;
}

static bool given(const char *text)
{
    return text && *text;
}

static bool starts_group(const struct bar_panel *panel, size_t index)
{
    const char *group = panel->bars[index].group;
    return given(group) && (index == 0 || !given(panel->bars[index - 1].group) ||
                            strcmp(group, panel->bars[index - 1].group) != 0);
}

static size_t group_count(const struct bar_panel *panel)
{
    size_t count = 0;
    for (size_t i = 0; i < panel->count; i++)
        count += starts_group(panel, i);
    return count;
}

static const double GROUP_ROOM = 24;

static double fixed_room(const struct bar_panel *panels, size_t count)
{
    double room = 0;
    for (size_t p = 0; p < count; p++)
        room += TITLE_ROOM + SCALE_ROOM + GROUP_ROOM * (double)group_count(&panels[p]);
    return room;
}

static size_t bar_count(const struct bar_panel *panels, size_t count)
{
    size_t bars = 0;
    for (size_t p = 0; p < count; p++)
        bars += panels[p].count;
    return bars;
}

double bars_height_least(const struct bar_panel *panels, size_t count)
{
    return fixed_room(panels, count) + PITCH_LEAST * (double)bar_count(panels, count);
}

double bars_height_most(const struct bar_panel *panels, size_t count)
{
    return fixed_room(panels, count) + PITCH_MOST * (double)bar_count(panels, count);
}

struct layout {
    struct canvas *canvas;
    double label_right;
    double from, to; /* of the bars */
    double end_room;
    double pitch;
};

static double widest_label(struct canvas *canvas, const struct bar_panel *panels, size_t count, bool ends)
{
    struct text_style style = {.size = LABEL, .bold = ends};
    double widest = 0;
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < panels[p].count; i++) {
            const char *text = ends ? panels[p].bars[i].end : panels[p].bars[i].label;
            widest = fmax(widest, text ? canvas_text_width(canvas, text, &style) : 0);
        }
    return widest;
}

static struct axis scale_of(const struct layout *layout, const struct bar_panel *panel)
{
    double most = 0;
    for (size_t i = 0; i < panel->count; i++) {
        double sum = 0;
        for (size_t s = 0; s < panel->bars[i].count; s++)
            sum += sound(panel->bars[i].segments[s].value);
        most = fmax(most, fmax(sound(sum), sound(panel->bars[i].limit)));
    }
    return (struct axis){.low = 0,
                         .high = most > 0 ? most : 1,
                         .from = layout->from,
                         .to = layout->to,
                         .unit = panel->unit,
                         .title = panel->axis};
}

/* --- one bar --- */

/* Relative luminance (WCAG 2.1) says whether dark or light text reads better. */
static struct colour text_on(struct colour fill)
{
    double luminance =
        0.2126 * pow(fill.red, 2.2) + 0.7152 * pow(fill.green, 2.2) + 0.0722 * pow(fill.blue, 2.2);
    return luminance > 0.18 ? colour_ink : colour_paper;
}

/* A text inside a segment, tried in ever smaller forms. */
struct inside {
    struct canvas *canvas;
    const struct box *box;
    struct text_style style;
    double x, y; /* the box's centre */
};

static bool write_lines(const struct inside *in, const char *const *lines, int count)
{
    double pitch = in->style.size * 1.32;
    if (in->box->height < pitch * count + 1)
        return false;
    for (int i = 0; i < count; i++)
        if (!given(lines[i]) || canvas_text_width(in->canvas, lines[i], &in->style) > in->box->width - 8)
            return false;
    for (int i = 0; i < count; i++)
        canvas_text(in->canvas, in->x, in->y + in->style.size * 0.36 + pitch * (i - (count - 1) / 2.0),
                    lines[i], &in->style);
    return true;
}

static bool write_upright(const struct inside *in, const char *text)
{
    struct text_style style = in->style;
    style.angle = -M_PI / 2;
    if (!given(text) || in->box->width < style.size + 3 ||
        canvas_text_width(in->canvas, text, &style) > in->box->height - 10)
        return false;
    canvas_text(in->canvas, in->x + style.size * 0.36, in->y, text, &style);
    return true;
}

static const char *joined(char *out, size_t size, const char *left, const char *between, const char *right)
{
    snprintf(out, size, "%s%s%s", given(left) ? left : "", given(left) && given(right) ? between : "",
             given(right) ? right : "");
    return out;
}

/* In lines under each other, in one line, upright in a narrow segment of a high bar; without the name, which
 * the legend has; nothing where nothing fits. */
static void write_inside(struct canvas *canvas, const struct box *box, const struct bar_segment *segment)
{
    char both[200], all[300];
    const struct inside in = {.canvas = canvas,
                              .box = box,
                              .style = {.size = INSIDE,
                                        .align = ALIGN_CENTRE,
                                        .colour = segment->hatched ? colour_ink : text_on(segment->colour),
                                        .halo = segment->hatched},
                              .x = box->x + box->width / 2,
                              .y = box->y + box->height / 2};
    joined(both, sizeof both, segment->figure, " · ", segment->share);
    joined(all, sizeof all, segment->name, "  ", both);
    if (write_lines(&in, (const char *[]){segment->name, both}, 2) ||
        write_lines(&in, (const char *[]){segment->name, segment->figure, segment->share}, 3) ||
        write_lines(&in, (const char *[]){all}, 1) || write_upright(&in, all) ||
        write_lines(&in, (const char *[]){both}, 1) || write_upright(&in, both) ||
        write_lines(&in, (const char *[]){segment->figure}, 1))
        return;
    (void)write_lines(&in, (const char *[]){segment->name}, 1);
}

/* The wider part of a box beside a line that crosses it. */
static struct box beside_line(struct box box, double line)
{
    double left = line - box.x, right = box.x + box.width - line;
    if (!(left > 0) || !(right > 0))
        return box;
    box.x = left > right ? box.x : line;
    box.width = fmax(left, right);
    return box;
}

/* Returns where the bar ends. */
static double draw_segments(struct canvas *canvas, const struct axis *scale, const struct bar *bar,
                            double top, double height)
{
    static const double SEAM = 1; /* paper between segments that are wide enough for it */
    double sum = 0, end = scale->from;
    for (size_t i = 0; i < bar->count; i++) {
        const struct bar_segment *segment = &bar->segments[i];
        double from = axis_at(scale, sum);
        sum += sound(segment->value);
        end = axis_at(scale, sum);
        double seam = end - from > 4 * SEAM && i + 1 < bar->count ? SEAM : 0;
        struct box box = {from, top, end - from - seam, height};
        frame_fill(canvas, box, segment->colour, segment->hatched);
        box = beside_line(box, sound(bar->limit) > 0 ? axis_at(scale, bar->limit) : from);
        write_inside(canvas, &box, segment);
    }
    return end;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80; /* inside a UTF-8 sequence */
}

/* Cut in the middle: what tells variants apart is at either end. */
static void fit_label(struct canvas *canvas, const char *text, const struct text_style *style, char *out,
                      size_t size)
{
    size_t length = strlen(text), head = length / 2, tail = length - head;
    snprintf(out, size, "%s", text);
    while (head > 0 && tail > 0 && canvas_text_width(canvas, out, style) > LABEL_MOST) {
        do
            head--;
        while (head > 0 && continues(text[head]));
        do
            tail--;
        while (tail > 0 && continues(text[length - tail]));
        snprintf(out, size, "%.*s…%s", (int)(head < size / 3 ? head : size / 3), text,
                 text + length - (tail < size / 3 ? tail : size / 3));
    }
}

static void draw_limit(const struct layout *layout, const struct axis *scale, const struct bar *bar,
                       double top, double height)
{
    double at = axis_at(scale, bar->limit), over = fmin(5, layout->pitch * 0.1);
    canvas_line(layout->canvas, at, top - over, at, top + height + over, 2.6, 0, colour_ink);
}

static void draw_bar(const struct layout *layout, const struct axis *scale, const struct bar *bar, double y)
{
    char text[200];
    double height = layout->pitch * FILLED, top = y + (layout->pitch - height) / 2;
    double baseline = y + layout->pitch / 2 + LABEL * 0.36;
    struct text_style label = {.size = LABEL, .colour = colour_ink, .align = ALIGN_RIGHT};
    fit_label(layout->canvas, bar->label ? bar->label : "", &label, text, sizeof text);
    canvas_text(layout->canvas, layout->label_right, baseline, text, &label);
    double end = draw_segments(layout->canvas, scale, bar, top, height);
    if (sound(bar->limit) > 0) {
        draw_limit(layout, scale, bar, top, height);
        end = fmax(end, axis_at(scale, bar->limit));
    }
    struct text_style style = {.size = LABEL, .bold = true, .colour = bar->end_colour};
    canvas_text_fit(layout->canvas, bar->end ? bar->end : "", &style, layout->end_room - GAP, text,
                    sizeof text);
    canvas_text(layout->canvas, end + GAP, baseline, text, &style);
}

/* --- a panel --- */

static void draw_scale(const struct layout *layout, const struct axis *scale, double top, double bottom)
{
    struct tick ticks[TICKS_MOST];
    int count = axis_ticks(scale, 8, ticks);
    struct text_style style = {.size = TICK, .colour = colour_muted, .align = ALIGN_CENTRE};
    for (int i = 0; i < count; i++) {
        double at = axis_at(scale, ticks[i].value);
        canvas_line(layout->canvas, at, top, at, bottom, 0.8, 0, colour_grid);
        canvas_text(layout->canvas, at, bottom + TICK + 4, ticks[i].label, &style);
    }
    canvas_line(layout->canvas, scale->from, top, scale->from, bottom, 1.2, 0, colour_muted);
}

static double draw_panel(const struct layout *layout, const struct box *area, const struct bar_panel *panel,
                         double y)
{
    char text[300];
    struct text_style title = {.size = PANEL_TITLE, .bold = true, .colour = colour_ink};
    struct text_style beside = {.size = TICK, .colour = colour_muted};
    struct axis scale = scale_of(layout, panel);
    double top = y + TITLE_ROOM, at = top;
    double bottom = top + layout->pitch * (double)panel->count + GROUP_ROOM * (double)group_count(panel);
    double width = canvas_text_width(layout->canvas, panel->title, &title);
    canvas_text(layout->canvas, area->x, y + PANEL_TITLE, panel->title, &title);
    canvas_text_fit(layout->canvas, panel->axis, &beside, area->width - width - 14, text, sizeof text);
    canvas_text(layout->canvas, area->x + width + 14, y + PANEL_TITLE, text, &beside);
    draw_scale(layout, &scale, top, bottom);
    for (size_t i = 0; i < panel->count; i++) {
        if (starts_group(panel, i)) {
            struct text_style style = {.size = GROUP, .bold = true, .colour = colour_ink};
            canvas_box(layout->canvas, area->x, at, layout->to - area->x, GROUP_ROOM, colour_paper, 1);
            canvas_text_fit(layout->canvas, panel->bars[i].group, &style, area->width, text, sizeof text);
            canvas_text(layout->canvas, area->x, at + GROUP_ROOM - 5, text, &style);
            at += GROUP_ROOM;
        }
        draw_bar(layout, &scale, &panel->bars[i], at);
        at += layout->pitch;
    }
    return bottom + SCALE_ROOM;
}

void bars_draw(struct canvas *canvas, const struct box *area, const struct bar_panel *panels, size_t count)
{
    double bars = fmax(1, (double)bar_count(panels, count));
    struct layout layout = {.canvas = canvas};
    double label = fmin(LABEL_MOST, widest_label(canvas, panels, count, false));
    layout.label_right = area->x + label;
    layout.from = layout.label_right + (label > 0 ? GAP : 0);
    layout.end_room = fmin(END_MOST, widest_label(canvas, panels, count, true)) + GAP;
    layout.to = area->x + area->width - layout.end_room;
    layout.pitch = fmax(PITCH_LEAST, fmin(PITCH_MOST, (area->height - fixed_room(panels, count)) / bars));
    canvas_clip(canvas, area->x - OVERHANG, area->y, area->width + OVERHANG, area->height);
    double y = area->y;
    for (size_t p = 0; p < count; p++)
        y = draw_panel(&layout, area, &panels[p], y);
    canvas_unclip(canvas);
}
