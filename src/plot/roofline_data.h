/* What a roofline chart shows, gathered from estimates: roofs of memories, ceilings of units, operators as
 * points. Drawing is roofline.c's. */
#ifndef RAFTER_PLOT_ROOFLINE_DATA_H
#define RAFTER_PLOT_ROOFLINE_DATA_H

#include "estimate/estimate.h"

enum roof_kind { ROOF_CACHE, ROOF_MEMORY, ROOF_REMOTE }; /* shared cache, main memory, memories behind it */

/* A memory: no operator that moves its operands over it exceeds intensity * bandwidth. */
struct roof {
    enum roof_kind kind;
    double bandwidth; /* byte/s */
    const char *label;
};

/* Units: no operator exceeds flops. */
struct ceiling {
    bool matrix;  /* matrix units, else ordinary lanes */
    double flops; /* FLOP/s (integers: OP/s) */
    const char *label;
};

/* All executions of the operators of one name in one phase, on one rank. */
struct roofline_point {
    const char *name;
    int series;
    int phase;    /* index into the breakdown's phases */
    double flops; /* as the operator is, padding not counted */
    double bytes; /* memory operands, each moved once */
    double time;  /* s, alone */
    double share; /* of the phase's time, 0..1 */
};

/* An operator without a place on the chart: no arithmetic, no bytes, or communication. */
struct roofline_omission {
    const char *name;
    double share; /* the largest in any phase */
};

enum { ROOFS_MOST = 8, CEILINGS_MOST = 8, SERIES_MOST = 16 };

/* One estimate: a device under a model and its software. */
struct roofline_series {
    const char *name; /* what tells it from the other series */
    const struct device *device;
    bool repeats_roofs;            /* an earlier series has the same device: its roofs are there already */
    struct roof roofs[ROOFS_MOST]; /* fastest first */
    int roof_count;
    struct ceiling ceilings[CEILINGS_MOST]; /* highest first, equal rates in one */
    int ceiling_count;
    const char *phases[PHASES_REPORTED_MOST]; /* names */
    int phase_count;
};

struct roofline_chart {
    const char *title, *subtitle;
    struct roofline_series *series;
    int series_count;
    struct roofline_point *points; /* largest share first */
    size_t point_count;
    struct roofline_omission *omissions; /* largest share first, names distinct */
    size_t omission_count;
};

/* Gathers a chart from `count` estimates (1 to SERIES_MOST) into the arena. false with an error in diag: no
 * or too many estimates, one without a device, a memory bandwidth or a plan, or memory is out. Figures that
 * are NaN, infinite or not positive become omissions. */
bool roofline_gather(struct roofline_chart *chart, struct arena *arena, struct diag *diag,
                     const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                     size_t count);

/* Attainable FLOP/s of a series at an intensity under its main memory and highest ceiling. */
double roofline_bound(const struct roofline_series *series, double intensity);
const struct roof *roofline_main_roof(const struct roofline_series *series);

#endif
