/* Canvas: a cairo surface chosen by the file's extension, drawn in memory and written out in one piece.
 * Coordinates are points (1/72 inch) from the top left corner, y downwards. */
#ifndef RAFTER_PLOT_CANVAS_H
#define RAFTER_PLOT_CANVAS_H

#include "base/diag.h"
#include "base/text.h"

#include <cairo.h>

enum canvas_format { CANVAS_SVG, CANVAS_PNG, CANVAS_PDF, CANVAS_FORMAT_COUNT };

struct colour {
    double red, green, blue;
};

/* Okabe and Ito's palette, told apart with any common colour vision deficiency (Okabe and Ito, "Color
 * Universal Design", 2008), in the order series take them, and greys for what is no series. */
enum { SERIES_COLOURS = 7 };
extern const struct colour colour_series[SERIES_COLOURS];
extern const struct colour colour_ink;   /* text, main lines */
extern const struct colour colour_muted; /* secondary text and lines */
extern const struct colour colour_grid;
extern const struct colour colour_faint; /* minor grid */
extern const struct colour colour_paper;

struct canvas {
    enum canvas_format format;
    const char *path;
    double width, height;
    cairo_surface_t *surface;
    cairo_t *cairo;
    struct text output; /* the encoded file, once finished */
};

enum align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

struct text_style {
    double size; /* points */
    bool bold;
    bool halo; /* on a veil of paper, to be read over lines */
    struct colour colour;
    enum align align;
    double angle; /* radians, clockwise, about the anchor */
};

/* Opens a canvas of width x height points with a paper background. path's extension (.svg, .png, .pdf, any
 * case) sets the format; PNG has 2 pixels a point. false with an error that lists the formats when the
 * extension is another, or when cairo refuses the size. path must outlive the canvas. */
bool canvas_open(struct canvas *canvas, struct diag *diag, const char *path, double width, double height);

/* Encodes the drawing and replaces the file atomically. false with an error in diag; the old file then stays.
 */
bool canvas_save(struct canvas *canvas, struct diag *diag);

/* Frees everything; a canvas that canvas_open refused is allowed. */
void canvas_close(struct canvas *canvas);

/* The format an extension stands for, CANVAS_FORMAT_COUNT when none. */
enum canvas_format canvas_format_of(const char *path);

/* Lines: width in points; dash: length of dashes and gaps, 0: solid. */
void canvas_line(struct canvas *canvas, double x0, double y0, double x1, double y1, double width, double dash,
                 struct colour colour);
void canvas_box(struct canvas *canvas, double x, double y, double width, double height, struct colour fill,
                double opacity);

enum marker { MARKER_CIRCLE, MARKER_DIAMOND };

/* A marker of the given area (square points), filled at some opacity or hollow (paper inside, thick rim). */
void canvas_marker(struct canvas *canvas, enum marker marker, bool hollow, double x, double y, double area,
                   struct colour colour);
/* A disc without a rim. */
void canvas_dot(struct canvas *canvas, double x, double y, double area, struct colour colour);
/* Half of a marker's extent from its centre, rim included. */
double canvas_marker_reach(enum marker marker, double area);

/* Text with its baseline at y. Bytes that are no UTF-8 and control characters are shown as '?'. */
void canvas_text(struct canvas *canvas, double x, double y, const char *text, const struct text_style *style);
double canvas_text_width(struct canvas *canvas, const char *text, const struct text_style *style);
/* Copies text into out[size], cut with an ellipsis so that it is at most `most` points wide. */
void canvas_text_fit(struct canvas *canvas, const char *text, const struct text_style *style, double most,
                     char *out, size_t size);

/* Everything drawn between these stays inside the box. */
void canvas_clip(struct canvas *canvas, double x, double y, double width, double height);
void canvas_unclip(struct canvas *canvas);

#endif
