/* Breakdown charts: where the time of each phase goes, operator by operator. */
#ifndef RAFTER_PLOT_BREAKDOWN_CHART_H
#define RAFTER_PLOT_BREAKDOWN_CHART_H

#include "estimate/estimate.h"

enum { BREAKDOWNS_MOST = 24 };

/* Draws a stacked bar per estimate (1 to BREAKDOWNS_MOST) and phase: exposed times of operators by name and
 * the gaps in which the device waits for the host; of decode and draft phases per output token. path's
 * extension
 * (.svg, .png, .pdf) sets the format. false with an error in diag; an old file then stays. */
bool plot_breakdown(const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                    size_t count, const char *path, struct diag *diag);

#endif
