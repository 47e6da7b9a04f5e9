/* A roofline chart being drawn: what roofline.c, roofline_lines.c and roofline_words.c share. */
#ifndef RAFTER_PLOT_ROOFLINE_SCENE_H
#define RAFTER_PLOT_ROOFLINE_SCENE_H

#include "plot/axes.h"
#include "plot/labels.h"
#include "plot/roofline_data.h"

/* A slide's shape; all sizes in points. */
#define SCENE_WIDTH  1280.0
#define SCENE_HEIGHT 720.0
#define SCENE_LEFT   128.0 /* margins around the plot */
#define SCENE_RIGHT  36.0
#define SCENE_TOP    128.0
#define SCENE_BOTTOM 104.0

#define SHARE_LABELLED         0.005 /* of the phase's time: smaller operators have no name */
#define SHARE_LABELLED_OF_MANY 0.05  /* times the other devices on the chart */
#define SHARE_LABELLED_MOST    0.2

enum { BOXES_MOST = 1024, STROKES_MOST = 64 };

struct scene {
    struct canvas canvas;
    struct arena *arena;
    const struct roofline_chart *chart;
    struct axis x, y;
    double legend_room; /* points by which names of several devices push the plot down */
    struct box area;    /* of the plot */
    struct box *boxes;  /* what point labels keep off: markers, texts of roofs */
    size_t box_count;
    size_t marker_boxes; /* the first of them are markers */
    struct stroke strokes[STROKES_MOST];
    size_t stroke_count;
    size_t off_axes;   /* points outside the axes */
    size_t unlabelled; /* labels without room */
    bool above_memory; /* a point exceeds the main memory's roof */
};

/* Several estimates: colours tell devices apart instead of phases. */
bool scene_is_many(const struct scene *scene);
struct colour scene_point_colour(const struct scene *scene, int series, int phase);
struct colour scene_roof_colour(const struct scene *scene, int series);
struct colour scene_darker(struct colour colour); /* text on paper wants more contrast than a marker does */

/* Prefill: filled circles; all else: hollow diamonds. Area (square points) by share, with a least one to be
 * seen. */
bool scene_is_prefill(const char *phase);
enum marker scene_marker(const char *phase);
double scene_marker_area(double share);

void scene_keep_off(struct scene *scene, struct box box);
void scene_keep_off_stroke(struct scene *scene, double x0, double y0, double x1, double y1);

/* The least share of an operator with a name. */
double scene_share_labelled(const struct scene *scene);

/* roofline_lines.c: roofs, ceilings and the ridge, with their texts. */
void scene_draw_roofs(struct scene *scene);
/* roofline_words.c: title and legend, which set legend_room; the notes below come last, when it is known what
 * had no room. */
void scene_draw_heading(struct scene *scene);
void scene_draw_notes(struct scene *scene);

#endif
