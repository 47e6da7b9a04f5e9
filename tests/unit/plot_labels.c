/* Labels: none over another, none over a marker, none outside. */
#include "plot/labels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct box area = {0, 0, 800, 500};
static const struct obstacles nothing = {0};

Test(plot_labels, boxes)
{
    struct box a = {0, 0, 10, 10}, b = {12, 0, 10, 10};
    cr_assert(!boxes_overlap(&a, &b, 1));
    cr_assert(boxes_overlap(&a, &b, 3));
    cr_assert(box_meets_stroke(&a, &(struct stroke){-5, 5, 15, 5}));
    cr_assert(box_meets_stroke(&a, &(struct stroke){2, 2, 3, 3}));
    cr_assert(!box_meets_stroke(&a, &(struct stroke){-5, 6, 5, 30}));
    cr_assert(!box_meets_stroke(&a, &(struct stroke){11, 0, 11, 10}));
}

Test(plot_labels, a_lone_label_is_right_of_its_point)
{
    struct label label = {.x = 400, .y = 250, .reach = 5, .width = 80, .height = 14, .priority = 1};
    labels_place(&label, 1, &area, &nothing);
    cr_assert(label.placed && !label.leader);
    cr_assert(label.place.x > 405 && label.place.x < 412);
    cr_assert(fabs(label.place.y + 7 - 250) < 2);
}

static void check_apart(const struct label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct box *place = &labels[i].place;
        if (!labels[i].placed)
            continue;
        cr_assert(place->x >= 0 && place->y >= 0 && place->x + place->width <= 800 &&
                  place->y + place->height <= 500);
        for (size_t j = 0; j < count; j++) {
            if (j < i && labels[j].placed)
                cr_assert(!boxes_overlap(place, &labels[j].place, 0), "%zu and %zu", i, j);
            double half = labels[j].reach * 0.7;
            struct box marker = {labels[j].x - half, labels[j].y - half, 2 * half, 2 * half};
            cr_assert(!boxes_overlap(place, &marker, 0), "%zu over marker %zu", i, j);
        }
    }
}

Test(plot_labels, a_crowd_is_told_apart)
{
    enum { COUNT = 20 };
    struct label labels[COUNT];
    memset(labels, 0, sizeof labels);
    for (int i = 0; i < COUNT; i++)
        labels[i] = (struct label){.x = 400 + 3 * (i % 5),
                                   .y = 250 + 2 * (i / 5),
                                   .reach = 4 + i % 3,
                                   .width = 70 + i,
                                   .height = 14,
                                   .priority = i};
    labels_place(labels, COUNT, &area, &nothing);
    int placed = 0;
    for (int i = 0; i < COUNT; i++)
        placed += labels[i].placed;
    cr_assert(placed == COUNT, "%d", placed);
    check_apart(labels, COUNT);
}

Test(plot_labels, points_at_the_rim_are_labelled_inside)
{
    struct label labels[] = {{.x = 798, .y = 2, .reach = 5, .width = 120, .height = 14, .priority = 1},
                             {.x = 2, .y = 498, .reach = 5, .width = 120, .height = 14, .priority = 2}};
    labels_place(labels, 2, &area, &nothing);
    cr_assert(labels[0].placed && labels[1].placed);
    check_apart(labels, 2);
}

Test(plot_labels, boxes_are_kept_off)
{
    struct box wall = {406, 200, 200, 100};
    struct obstacles obstacles = {&wall, 1, NULL, 0, 0};
    struct label label = {.x = 400, .y = 250, .reach = 5, .width = 80, .height = 14, .priority = 1};
    labels_place(&label, 1, &area, &obstacles);
    cr_assert(label.placed && !boxes_overlap(&label.place, &wall, 0));
}

Test(plot_labels, without_room_nothing_is_placed)
{
    struct label label = {.x = 20, .y = 20, .reach = 5, .width = 900, .height = 14, .priority = 1};
    labels_place(&label, 1, &area, &nothing);
    cr_assert(!label.placed);
}

Test(plot_labels, the_same_input_gives_the_same_places)
{
    enum { COUNT = 12 };
    struct label first[COUNT], second[COUNT];
    for (int i = 0; i < COUNT; i++)
        first[i] = second[i] =
            (struct label){.x = 300 + i, .y = 200, .reach = 4, .width = 60, .height = 14, .priority = 1};
    labels_place(first, COUNT, &area, &nothing);
    labels_place(second, COUNT, &area, &nothing);
    for (int i = 0; i < COUNT; i++)
        cr_assert(first[i].place.x == second[i].place.x && first[i].place.y == second[i].place.y);
}

Test(plot_labels, leaders_run_from_rim_to_label)
{
    struct label label = {.x = 100, .y = 100, .reach = 10, .place = {150, 93, 60, 14}};
    struct stroke leader = label_leader(&label);
    cr_assert(fabs(leader.x0 - 110) < 1e-9 && fabs(leader.x1 - 150) < 1e-9);
    cr_assert(fabs(leader.y0 - 100) < 1e-9 && fabs(leader.y1 - 100) < 1e-9);
}
