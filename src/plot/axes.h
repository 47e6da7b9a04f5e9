/* Axes: values to canvas coordinates, ticks at decades or round steps, labels with SI prefixes, a grid. */
#ifndef RAFTER_PLOT_AXES_H
#define RAFTER_PLOT_AXES_H

#include "plot/canvas.h"

struct axis {
    bool log;         /* decades at equal distances */
    double low, high; /* values at the ends; log: both above 0 */
    double from, to;  /* canvas coordinates of low and high; to < from on a y axis */
    const char *unit; /* behind the SI prefix in tick labels: "FLOP/s"; "": bare numbers */
    const char *title;
};

/* The coordinate of a value; clamped to twice the axis' length beyond its ends, at `from` for NaN. */
double axis_at(const struct axis *axis, double value);

struct tick {
    double value;
    bool major;     /* labelled */
    char label[32]; /* "" on minor ticks */
};

enum { TICKS_MOST = 256 };

/* Ticks inside the axis, ascending. log: decades (every 2nd, 3rd ... when there are more than `most` of them)
 * with 2..9 between; 2 and 5 are labelled too when there are fewer than three decades. linear: steps of 1, 2
 * or 5 times a power of ten, about `most` of them. 0 for an axis without extent. */
int axis_ticks(const struct axis *axis, int most, struct tick ticks[TICKS_MOST]);

/* "100 TFLOP/s", "3.35 TB/s", "0.1", "12 m": at most three significant digits, k = 1000. With an empty unit,
 * plain decimals from 0.001 to 99999 and powers of ten beyond. */
char *si_label(double value, const char *unit, char *out, size_t size);

/* Widens [low, high] by a factor at both ends, then outwards to the next 1, 2 or 5 times a power of ten. */
void log_range(double *low, double *high, double margin);

/* Grid, frame, ticks, labels and titles of the rectangle that the two axes span. */
void axes_draw(struct canvas *canvas, const struct axis *x, const struct axis *y);

#endif
