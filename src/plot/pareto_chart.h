/* Pareto charts: throughput per device against the speed that a user sees. */
#ifndef RAFTER_PLOT_PARETO_CHART_H
#define RAFTER_PLOT_PARETO_CHART_H

#include "analyse/pareto.h"

enum { FRONTS_MOST = 6 };

/* A front and one estimate on it, which names model, device and software. */
struct pareto_series {
    const struct pareto *pareto;
    const struct resolved *resolved;
    int devices; /* that the front is over */
};

/* Draws 1 to FRONTS_MOST fronts: a line through each, its points named by split and batch, dominated points
 * faint. path's extension (.svg, .png, .pdf) sets the format. false with an error in diag (also when no point
 * keeps the limits); an old file then stays. */
bool plot_pareto(const struct pareto_series *series, size_t count, const char *path, struct diag *diag);

#endif
