/* Frequencies of rotary embeddings and their published extensions to longer contexts. */
#ifndef RAFTER_EXEC_ROPE_SCALING_H
#define RAFTER_EXEC_ROPE_SCALING_H

#include "exec/hyper.h"

#include <stddef.h>

/* frequencies [n / 2] in radians a position, n even. local: of a layer with a window, which has a base of its
 * own where the model has one, and then no scaling. factors [n / 2] divide them and take the place of
 * LLAMA3's and LONG's formulas; NULL: none. Returns what cos and sin are multiplied by. */
double rope_frequencies(const struct hyper *hyper, int n, bool local, const float *factors,
                        double *frequencies);

#endif
