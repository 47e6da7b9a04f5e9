/* Did-you-mean: the nearest of a list of names. */
#ifndef RAFTER_BASE_SUGGEST_H
#define RAFTER_BASE_SUGGEST_H

#include <stddef.h>

/* Edit distance with adjacent transpositions (optimal string alignment), ASCII case ignored, '-', '_' and ' '
 * taken as equal. Names longer than 63 bytes are compared by their first 63. */
int edit_distance(const char *a, const char *b);

/* The candidate nearest to name, or NULL when none is near enough to be worth saying: a distance of at most
 * a third of name's length (and at least 1), name as a prefix or part of the candidate, or the candidate as a
 * prefix of name. Ties: the first. */
const char *suggest_nearest(const char *name, const char *const *candidates, size_t count);

#endif
