/* A claim's query as questions: options by name, one point of their grid at a time. */
#ifndef RAFTER_ANALYSE_CLAIM_QUERY_H
#define RAFTER_ANALYSE_CLAIM_QUERY_H

#include "analyse/evaluate.h"
#include "spec/claim.h"

/* Points of the grid: the product of its axes, or their common length when they are zipped. 0 with an error:
 * zipped axes of different lengths, or more than GRID_MOST points. */
enum { GRID_MOST = 4096 };
size_t query_points(struct diag *diag, const struct claim_query *query);

/* The question at a point of the query's grid. over: options that replace the query's, NULL: none; one with
 * as many values as the query's axis of that name follows it. with: what `with` is when neither says; NULL:
 * none. What is to be solved for is in `solve`: "batch" or "prompt" for `max`, else NULL. false with an
 * error: an option that there is not, a value it does not take. */
bool query_question(struct arena *arena, struct diag *diag, const struct claim_query *query,
                    const struct claim_query *over, const char *with, size_t point, struct question *question,
                    const char **solve);

#endif
