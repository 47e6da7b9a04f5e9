/* The frame of a chart: a slide's shape, title, legend and notes, the same on all charts. */
#ifndef RAFTER_PLOT_FRAME_H
#define RAFTER_PLOT_FRAME_H

#include "plot/canvas.h"
#include "plot/labels.h"

/* Points. */
#define FRAME_WIDTH  1280.0
#define FRAME_HEIGHT 720.0 /* charts of few rows are lower, of many higher */
#define FRAME_LEFT   48.0  /* where texts begin */
#define FRAME_RIGHT  36.0
#define FRAME_TOP    92.0 /* below title and subtitle */

enum swatch { SWATCH_FILLED, SWATCH_HATCHED, SWATCH_LINE, SWATCH_DOT };

struct legend_item {
    struct colour colour;
    enum swatch swatch;
    const char *text;
};

/* The height of a chart that needs `least` and can use `most`: a slide's where that is between. */
double frame_height(double least, double most);

/* Title and subtitle from x to the right margin, cut where they are longer. */
void frame_heading(struct canvas *canvas, double x, const char *title, const char *subtitle);

/* Swatches with texts in rows of at most `width` points, the first row's top at y. Returns the height. */
double frame_legend(struct canvas *canvas, double x, double y, double width, const struct legend_item *items,
                    size_t count);

/* Lines at the bottom, the last one lowest; empty ones are left out. */
void frame_notes(struct canvas *canvas, double x, const char *const *notes, size_t count);

/* A fill, flat or hatched; nothing when it has no extent or is not finite. */
void frame_fill(struct canvas *canvas, struct box box, struct colour colour, bool hatched);

#endif
