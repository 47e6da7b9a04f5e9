#include "plot/frame.h"

#include <math.h>

static const double TITLE = 25, SUBTITLE = 15, LEGEND = 13, NOTE = 12; /* text sizes */
static const double SWATCH = 13, ROW = 22, NOTE_ROW = 16;

double frame_height(double least, double most)
{
    return fmax(least, fmin(most, FRAME_HEIGHT));
}

void frame_heading(struct canvas *canvas, double x, const char *title, const char *subtitle)
{
    char text[600];
    double width = canvas->width - x - FRAME_RIGHT;
    struct text_style large = {.size = TITLE, .bold = true, .colour = colour_ink};
    struct text_style small = {.size = SUBTITLE, .colour = colour_muted};
    canvas_text_fit(canvas, title, &large, width, text, sizeof text);
    canvas_text(canvas, x, 42, text, &large);
    canvas_text_fit(canvas, subtitle, &small, width, text, sizeof text);
    canvas_text(canvas, x, 68, text, &small);
}

void frame_notes(struct canvas *canvas, double x, const char *const *notes, size_t count)
{
    struct text_style style = {.size = NOTE, .colour = colour_muted};
    double y = canvas->height - 14;
    for (size_t i = count; i-- > 0;) {
        char text[600];
        if (!notes[i] || !*notes[i])
            continue;
        canvas_text_fit(canvas, notes[i], &style, canvas->width - x - FRAME_RIGHT, text, sizeof text);
        canvas_text(canvas, x, y, text, &style);
        y -= NOTE_ROW;
    }
}

static struct colour halfway_to_paper(struct colour colour)
{
    return (struct colour){(1 + colour.red) / 2, (1 + colour.green) / 2, (1 + colour.blue) / 2};
}

void frame_fill(struct canvas *canvas, struct box box, struct colour colour, bool hatched)
{
    static const double PITCH = 6;
    bool sane = isfinite(box.x) && isfinite(box.y) && box.width > 0 && box.height > 0 &&
                isfinite(box.width) && isfinite(box.height);
    if (!sane)
        return;
    if (!hatched) {
        canvas_box(canvas, box.x, box.y, box.width, box.height, colour, 1);
        return;
    }
    canvas_clip(canvas, box.x, box.y, box.width, box.height);
    canvas_box(canvas, box.x, box.y, box.width, box.height, colour, 0.12);
    for (double at = PITCH / 2; at < box.width + box.height; at += PITCH)
        canvas_line(canvas, box.x + at, box.y, box.x + at - box.height, box.y + box.height, 0.9, 0,
                    halfway_to_paper(colour));
    canvas_unclip(canvas);
}

/* Size is that of the swatch; (x, y) its top left corner. */
static void draw_swatch(struct canvas *canvas, double x, double y, const struct legend_item *item)
{
    struct box box = {x, y, SWATCH, SWATCH};
    switch (item->swatch) {
    case SWATCH_FILLED:
    case SWATCH_HATCHED:
        frame_fill(canvas, box, item->colour, item->swatch == SWATCH_HATCHED);
        break;
    case SWATCH_LINE:
        canvas_line(canvas, x + SWATCH / 2, y - 2, x + SWATCH / 2, y + SWATCH + 2, 2.6, 0, item->colour);
        break;
    case SWATCH_DOT:
        canvas_marker(canvas, MARKER_CIRCLE, false, x + SWATCH / 2, y + SWATCH / 2, 70, item->colour);
        break;
    }
}

double frame_legend(struct canvas *canvas, double x, double y, double width, const struct legend_item *items,
                    size_t count)
{
    struct text_style style = {.size = LEGEND, .colour = colour_ink};
    double at = x, row = y;
    for (size_t i = 0; i < count; i++) {
        char text[160];
        canvas_text_fit(canvas, items[i].text, &style, fmin(300, width - SWATCH - 6), text, sizeof text);
        double taken = SWATCH + 6 + canvas_text_width(canvas, text, &style) + 20;
        if (at > x && at + taken - 20 > x + width) {
            at = x;
            row += ROW;
        }
        draw_swatch(canvas, at, row + 2, &items[i]);
        canvas_text(canvas, at + SWATCH + 6, row + 2 + SWATCH * 0.5 + LEGEND * 0.36, text, &style);
        at += taken;
    }
    return count > 0 ? row + ROW - y : 0;
}
