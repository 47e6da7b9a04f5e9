/* Devices that are like another but for one rate: what "more bandwidth" means. */
#ifndef RAFTER_ANALYSE_SCALE_H
#define RAFTER_ANALYSE_SCALE_H

#include "spec/hardware.h"

/* A figure of a device that can be scaled. */
enum figure_kind {
    FIGURE_COMPUTE,        /* all matrix rates */
    FIGURE_VECTOR,         /* all lane rates */
    FIGURE_TIER_BANDWIDTH, /* of tier `index` */
    FIGURE_TIER_CAPACITY,
    FIGURE_LINK_BANDWIDTH, /* of link `index` */
    FIGURE_LINK_LATENCY,
    FIGURE_LAUNCH_HOST,
    FIGURE_TDP,
    FIGURE_IDLE,
    FIGURE_PRICE,
    FIGURE_SCALAR /* calibrated scalar `scalar` of `family`, in all blocks */
};

struct device_figure {
    enum figure_kind kind;
    size_t index;
    enum family family;
    int scalar;
    const char *name; /* "tiers.hbm.bandwidth", "gemm.beta" */
};

enum { FIGURES_MOST = 160 };

/* All figures of the device that are not zero, named as --set names them (scalars as FAMILY.SCALAR). Returns
 * the count; names live in the arena. */
size_t device_figures(struct arena *arena, const struct device *device,
                      struct device_figure figures[FIGURES_MOST]);

/* A copy of the system whose first member's device has the figure times `factor`; efficiencies are held to
 * their bounds. NULL when memory is out. */
const struct system *system_scaled(struct arena *arena, const struct system *system,
                                   const struct device_figure *figure, double factor);

/* The figure's value in the device: of COMPUTE the fastest matrix rate. */
double figure_value(const struct device *device, const struct device_figure *figure);

/* A system whose first member's device, in *device, is a copy that may be changed: tiers, links and
 * calibrations too. NULL: out of memory. */
struct system *system_copy(struct arena *arena, const struct system *system, struct device **device);

#endif
