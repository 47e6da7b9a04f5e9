/* The words above a chart: what its estimates have in common, and what sets each of them apart. */
#ifndef RAFTER_PLOT_TITLES_H
#define RAFTER_PLOT_TITLES_H

#include "estimate/estimate.h"

struct titles {
    const char *title;    /* model, device, software and workload, where all have the same */
    const char *subtitle; /* batch, lengths, types, parallelism, techniques, likewise */
    const char **names;   /* of each estimate: where it differs from the others; its device if nowhere */
};

/* Facts that a chart shows otherwise, and its words leave out. */
enum { TITLES_NO_SPLIT = 1, TITLES_NO_BATCH = 2 };

/* Texts live in the arena. devices[i]: how many of the device estimate i stands for; NULL: the plan's ranks.
 * false with an error in diag: no estimate, one without a plan or a device, or memory is out. */
bool titles_write(struct titles *titles, struct arena *arena, struct diag *diag,
                  const struct resolved *const *resolved, const int *devices, size_t count, int without);

/* The plan of an estimate's own model; NULL when it has none or no device. */
const struct plan *titles_plan(const struct resolved *resolved);

/* "left · right", without the separator when either is NULL or empty. */
const char *titles_join(struct arena *arena, const char *left, const char *right, const char *separator);

#endif
