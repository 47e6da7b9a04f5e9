/* Stacked bars, level, in panels under one another; each panel has a scale of its own. */
#ifndef RAFTER_PLOT_BARS_H
#define RAFTER_PLOT_BARS_H

#include "plot/frame.h"

struct bar_segment {
    double value;
    struct colour colour;
    bool hatched;
    const char *name;   /* written inside where there is room; NULL or "": none */
    const char *figure; /* likewise: "1.93 ms" */
    const char *share;  /* likewise: "8%" */
};

struct bar {
    const char *group; /* drawn where it is not the one of the bar above; NULL or "": none */
    const char *label;
    const struct bar_segment *segments;
    size_t count;
    double limit;    /* a line across the bar; NAN: none */
    const char *end; /* behind the bar: its total, a verdict */
    struct colour end_colour;
};

struct bar_panel {
    const char *title;
    const char *axis; /* the scale's title */
    const char *unit; /* of its ticks; "": bare numbers */
    const struct bar *bars;
    size_t count;
};

/* Points that panels take at least, below the top of the first. */
double bars_height_least(const struct bar_panel *panels, size_t count);
/* ... and with the highest bars. */
double bars_height_most(const struct bar_panel *panels, size_t count);

/* Draws the panels into area: labels at its left, then bars, then `end` texts. Segments that are not finite
 * or not positive take no room. Nothing is drawn outside the area but half a tick label at
 * its left. */
void bars_draw(struct canvas *canvas, const struct box *area, const struct bar_panel *panels, size_t count);

#endif
