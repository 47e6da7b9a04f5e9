/* Memory charts: the plan of what one device holds, against what it can. */
#ifndef RAFTER_PLOT_MEMORY_CHART_H
#define RAFTER_PLOT_MEMORY_CHART_H

#include "estimate/estimate.h"

enum { MEMORIES_MOST = 32 };

/* Draws a stacked bar per estimate (1 to MEMORIES_MOST): weights, KV cache, activations and reserved memory
 * of the fullest device, what is free, the capacity as a line, and the verdict. Where batches differ, bars
 * that are alike but for them stand together, in order of the batch. path's extension (.svg, .png, .pdf) sets
 * the format. false with an error in diag; an old file then stays. */
bool plot_memory(const struct resolved *const *resolved, const struct memory_plan *const *plans, size_t count,
                 const char *path, struct diag *diag);

#endif
