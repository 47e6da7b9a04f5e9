/* Reports of a search over splits. */
#ifndef RAFTER_REPORT_CANDIDATES_H
#define RAFTER_REPORT_CANDIDATES_H

#include "analyse/parallel_search.h"
#include "report/asked.h"

/* top: rows at most. */
void candidates_text(const struct asked *asked, const struct search *search, enum objective objective,
                     size_t top, struct arena *arena, struct text *out);
struct table *candidates_table(const struct search *search, size_t top, struct arena *arena);
json_t *candidates_json(const struct asked *asked, const struct search *search, enum objective objective,
                        size_t top);

/* For other tables of splits: columns and cells TP, PP, EP, DP, replicas; for people, a degree that is 1 in
 * all of them has no column. `get` gives the i-th candidate of `list`. */
typedef const struct candidate *candidate_at(const void *list, size_t i);
struct split_columns {
    bool shown[5];
};
struct split_columns split_columns_add(struct table *table, const void *list, size_t count,
                                       candidate_at *get);
void split_cells_add(struct table *table, struct arena *arena, const struct split_columns *columns,
                     const struct candidate *candidate);
json_t *candidate_json(const struct candidate *candidate);

#endif
