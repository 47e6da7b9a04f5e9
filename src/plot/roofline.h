/* Roofline charts (Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM
 * 2009), with a roof per memory level. */
#ifndef RAFTER_PLOT_ROOFLINE_H
#define RAFTER_PLOT_ROOFLINE_H

#include "estimate/estimate.h"

/* Draws `count` estimates (1 to 16) over the rooflines of their devices and writes the chart to path, whose
 * extension
 * (.svg, .png, .pdf) sets the format. Points: operators of prefill (filled circles) and decode (hollow
 * diamonds) at (FLOPs / memory operand bytes, FLOPs / time alone) of one rank, area by share of the phase's
 * time. Operators without arithmetic or of communication are named in a footnote. false with an error in
 * diag; an old file then stays. */
bool plot_roofline(const struct resolved *const *resolved, const struct breakdown *const *breakdowns,
                   size_t count, const char *path, struct diag *diag);

#endif
