/* Reports of a Pareto front: throughput per device against speed per user. */
#ifndef RAFTER_REPORT_FRONT_H
#define RAFTER_REPORT_FRONT_H

#include "analyse/pareto.h"
#include "report/asked.h"

void front_text(const struct asked *asked, const struct pareto *pareto, int devices, size_t top,
                struct arena *arena, struct text *out);
struct table *front_table(const struct pareto *pareto, size_t top, struct arena *arena);
json_t *front_json(const struct asked *asked, const struct pareto *pareto, int devices, size_t top);

/* A chart of characters, both axes logarithmic: the front's points filled, the others small. */
void front_chart(const struct pareto *pareto, struct arena *arena, struct text *out);

#endif
