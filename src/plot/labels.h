/* Labels: names beside points, none over another, none over a marker. */
#ifndef RAFTER_PLOT_LABELS_H
#define RAFTER_PLOT_LABELS_H

#include <stdbool.h>
#include <stddef.h>

struct box {
    double x, y, width, height; /* top left corner */
};

struct stroke {
    double x0, y0, x1, y1;
};

/* A point and the size of its label; place is filled by labels_place. */
struct label {
    double x, y;          /* the point */
    double reach;         /* radius of its marker */
    double width, height; /* of the text */
    double priority;      /* the highest has the first choice */
    struct box place;
    bool placed; /* false: no room was left */
    bool leader; /* so far away that a line must join it to the point */
    struct {     /* labels_place's own */
        double turn, distance;
        struct box place;
        bool placed, leader;
    } trial;
};

/* What labels must keep off (boxes) or should not cross (lines). */
struct obstacles {
    const struct box *boxes;
    size_t box_count;
    const struct stroke *lines;
    size_t line_count;
    double line_cost; /* points of distance that a label goes to keep off a line; 0: 45 */
};

bool boxes_overlap(const struct box *a, const struct box *b, double gap);
bool box_meets_stroke(const struct box *box, const struct stroke *stroke);

/* Places labels inside `area`: each in turn takes the best of some 500 positions on rings around its point,
 * near ones preferred, never over a box, a placed label or any label's marker. This is done in the order of
 * priorities and in seeded shuffles of it, and the arrangement with the least clutter stays: the same input
 * gives the same places. A label of width 0 is only a marker to keep off. O(count^2). */
void labels_place(struct label *labels, size_t count, const struct box *area,
                  const struct obstacles *obstacles);

/* Where the leader of a placed label starts (at the marker's rim) and ends (at the box). */
struct stroke label_leader(const struct label *label);

#endif
