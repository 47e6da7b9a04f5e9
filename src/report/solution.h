/* Reports of an inverse question: the most, or the least, that keeps the limits. */
#ifndef RAFTER_REPORT_SOLUTION_H
#define RAFTER_REPORT_SOLUTION_H

#include "analyse/solve.h"
#include "report/asked.h"

void solution_text(const struct asked *asked, enum unknown unknown, const struct solution *solution,
                   struct arena *arena, struct text *out);
/* One line of CSV. */
struct table *solution_table(enum unknown unknown, const struct solution *solution, struct arena *arena);
json_t *solution_json(const struct asked *asked, enum unknown unknown, const struct solution *solution);

#endif
