#include "plot/labels.h"

#include <math.h>
#include <stdint.h>

bool boxes_overlap(const struct box *a, const struct box *b, double gap)
{
    return a->x < b->x + b->width + gap && b->x < a->x + a->width + gap && a->y < b->y + b->height + gap &&
           b->y < a->y + a->height + gap;
}

/* Narrows [*from, *to], the part of a stroke inside the half plane start + t * delta <= limit. */
static bool cut(double start, double delta, double limit, double *from, double *to)
{
    if (delta == 0)
        return start <= limit;
    double at = (limit - start) / delta;
    if (delta > 0)
        *to = fmin(*to, at);
    else
        *from = fmax(*from, at);
    return *from <= *to;
}

/* Liang and Barsky's clipping ("A New Concept and Method for Line Clipping", 1984). */
bool box_meets_stroke(const struct box *box, const struct stroke *stroke)
{
    double dx = stroke->x1 - stroke->x0, dy = stroke->y1 - stroke->y0, from = 0, to = 1;
    return cut(stroke->x0, dx, box->x + box->width, &from, &to) &&
           cut(-stroke->x0, -dx, -box->x, &from, &to) &&
           cut(stroke->y0, dy, box->y + box->height, &from, &to) &&
           cut(-stroke->y0, -dy, -box->y, &from, &to);
}

static double side(const struct stroke *stroke, double x, double y)
{
    return (stroke->x1 - stroke->x0) * (y - stroke->y0) - (stroke->y1 - stroke->y0) * (x - stroke->x0);
}

static bool strokes_cross(const struct stroke *a, const struct stroke *b)
{
    return side(a, b->x0, b->y0) * side(a, b->x1, b->y1) < 0 &&
           side(b, a->x0, a->y0) * side(b, a->x1, a->y1) < 0;
}

static const double GAP = 2;            /* points between labels */
static const double LEADER_BEYOND = 10; /* points from rim to label from which a line is needed */

struct stroke label_leader(const struct label *label)
{
    const struct box *place = &label->place;
    double x = fmax(place->x, fmin(place->x + place->width, label->x));
    double y = fmax(place->y, fmin(place->y + place->height, label->y));
    double length = hypot(x - label->x, y - label->y);
    double start = length > 0 ? fmin(1, label->reach / length) : 0;
    return (struct stroke){label->x + (x - label->x) * start, label->y + (y - label->y) * start, x, y};
}

static struct box marker_box(const struct label *label)
{
    /* a disc fills less than its square: its inscribed octagon's box lets labels come closer */
    double half = label->reach * 0.9;
    return (struct box){label->x - half, label->y - half, 2 * half, 2 * half};
}

static bool inside(const struct box *box, const struct box *area)
{
    return box->x >= area->x && box->y >= area->y && box->x + box->width <= area->x + area->width &&
           box->y + box->height <= area->y + area->height;
}

struct layout {
    struct label *labels;
    size_t count;
    const struct box *area;
    const struct obstacles *obstacles;
};

static bool is_free(const struct layout *layout, const struct label *label)
{
    const struct box *box = &label->place;
    if (!inside(box, layout->area))
        return false;
    for (size_t i = 0; i < layout->obstacles->box_count; i++)
        if (boxes_overlap(box, &layout->obstacles->boxes[i], GAP))
            return false;
    for (size_t i = 0; i < layout->count; i++) {
        struct box marker = marker_box(&layout->labels[i]);
        if (boxes_overlap(box, &marker, 0))
            return false;
        if (&layout->labels[i] != label && layout->labels[i].placed &&
            boxes_overlap(box, &layout->labels[i].place, GAP))
            return false;
    }
    return true;
}

static bool box_holds(const struct box *box, double x, double y)
{
    return x >= box->x && x <= box->x + box->width && y >= box->y && y <= box->y + box->height;
}

/* From a box to the rim of a label's marker. */
static double box_distance(const struct box *box, const struct label *label)
{
    double dx = fmax(fmax(box->x - label->x, label->x - box->x - box->width), 0);
    double dy = fmax(fmax(box->y - label->y, label->y - box->y - box->height), 0);
    return fmax(0, hypot(dx, dy) - label->reach);
}

static const double LINE_COST = 45;

/* What else speaks against a free place, in points of distance: lines under the text, a foreign marker nearer
 * than its own, leaders that cross other leaders, run under labels or over markers
 * that do not hold the point themselves. */
static double clutter(const struct layout *layout, const struct label *label)
{
    struct stroke leader = label_leader(label);
    double cost = 0, line = layout->obstacles->line_cost > 0 ? layout->obstacles->line_cost : LINE_COST;
    for (size_t i = 0; i < layout->obstacles->line_count; i++)
        cost += box_meets_stroke(&label->place, &layout->obstacles->lines[i]) ? line : 0;
    for (size_t i = 0; i < layout->obstacles->box_count; i++)
        cost += box_meets_stroke(&layout->obstacles->boxes[i], &leader) ? 60 : 0;
    for (size_t i = 0; i < layout->count; i++) {
        const struct label *other = &layout->labels[i];
        if (other == label)
            continue;
        struct box marker = marker_box(other);
        cost += box_distance(&label->place, other) < box_distance(&label->place, label) ? 25 : 0;
        cost += box_meets_stroke(&marker, &leader) && !box_holds(&marker, label->x, label->y) ? 60 : 0;
        if (!other->placed)
            continue;
        struct stroke theirs = label_leader(other);
        cost += box_meets_stroke(&other->place, &leader) ? 400 : 0;
        cost += strokes_cross(&leader, &theirs) ? 160 : 0;
        cost += other->leader && box_meets_stroke(&label->place, &theirs) ? 400 : 0;
    }
    return cost;
}

/* The box whose rim is `distance` from the marker's in direction (dx, dy). */
static struct box box_towards(const struct label *label, double dx, double dy, double distance)
{
    double half_width = label->width / 2, half_height = label->height / 2;
    double x = label->x + dx * (label->reach + distance), y = label->y + dy * (label->reach + distance);
    /* the box hangs on the ring by its nearest side, or by a corner where the direction is steep enough */
    double right = fmax(-1, fmin(1, 1.5 * dx)), down = fmax(-1, fmin(1, 2 * dy));
    return (struct box){x - half_width + right * half_width, y - half_height + down * half_height,
                        label->width, label->height};
}

static const double UNPLACED = 1000; /* points: dearer than any place */

/* The best place with all other labels where they are; none when nothing is free. */
static void place_one(const struct layout *layout, struct label *label)
{
    static const double distances[] = {3, 8, 14, 22, 32, 44, 58, 74, 92, 115, 140, 170, 205, 245, 290};
    enum { DISTANCES = sizeof distances / sizeof *distances, DIRECTIONS = 36 };
    double best = INFINITY;
    struct label chosen = *label;
    for (int ring = 0; ring < DISTANCES && distances[ring] < best; ring++) {
        for (int i = 0; i < DIRECTIONS; i++) {
            double angle = 2 * M_PI * i / DIRECTIONS;
            label->place = box_towards(label, cos(angle), sin(angle), distances[ring]);
            /* beside the point reads best, right of it first */
            label->trial.distance = distances[ring] + 3 * (1 - fabs(cos(angle))) + (cos(angle) < 0 ? 1 : 0);
            if (label->trial.distance >= best || !is_free(layout, label))
                continue;
            double cost = label->trial.distance + clutter(layout, label);
            if (cost < best) {
                best = cost;
                chosen = *label;
                chosen.leader = distances[ring] >= LEADER_BEYOND;
            }
        }
    }
    *label = chosen;
    label->placed = isfinite(best);
}

/* The label whose turn comes after (turn, index). */
static struct label *next_label(const struct layout *layout, double turn, size_t after)
{
    struct label *next = NULL;
    for (size_t i = 0; i < layout->count; i++) {
        struct label *label = &layout->labels[i];
        bool behind = label->trial.turn < turn || (label->trial.turn == turn && i > after);
        if (behind && (!next || label->trial.turn > next->trial.turn))
            next = label;
    }
    return next;
}

static void place_all(const struct layout *layout)
{
    struct label *label = next_label(layout, INFINITY, 0);
    while (label) {
        if (label->width > 0)
            place_one(layout, label);
        label = next_label(layout, label->trial.turn, (size_t)(label - layout->labels));
    }
}

static double total_cost(const struct layout *layout)
{
    double cost = 0;
    for (size_t i = 0; i < layout->count; i++) {
        const struct label *label = &layout->labels[i];
        if (label->width > 0)
            cost += label->placed ? label->trial.distance + clutter(layout, label) : UNPLACED;
    }
    return cost;
}

/* Knuth's 64-bit linear congruential generator (MMIX), the upper bits as a fraction. */
static double next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static void keep(struct label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        labels[i].trial.place = labels[i].place;
        labels[i].trial.placed = labels[i].placed;
        labels[i].trial.leader = labels[i].leader;
    }
}

void labels_place(struct label *labels, size_t count, const struct box *area,
                  const struct obstacles *obstacles)
{
    enum { TRIALS = 24, PASSES = 3, FEW = 64 }; /* passes after the first clear the way for others' leaders */
    struct layout layout = {labels, count, area, obstacles};
    double best = INFINITY;
    uint64_t state = 1;
    for (int trial = 0; trial < (count <= FEW ? TRIALS : 1); trial++) {
        for (size_t i = 0; i < count; i++) {
            labels[i].placed = labels[i].leader = false;
            labels[i].trial.turn = isfinite(labels[i].priority) ? labels[i].priority : 0;
            if (trial > 0)
                labels[i].trial.turn *= exp(4 * next_random(&state));
        }
        for (int pass = 0; pass < PASSES; pass++)
            place_all(&layout);
        double cost = total_cost(&layout);
        if (cost < best) {
            best = cost;
            keep(labels, count);
        }
    }
    for (size_t i = 0; i < count; i++) {
        labels[i].place = labels[i].trial.place;
        labels[i].placed = labels[i].trial.placed;
        labels[i].leader = labels[i].trial.leader;
    }
}
