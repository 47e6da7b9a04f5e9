/* Which tensors a model has, of which shapes: what random weights are made of and what a written file must
 * hold. */
#ifndef RAFTER_EXEC_FORMATS_ROLES_H
#define RAFTER_EXEC_FORMATS_ROLES_H

#include "exec/weights.h"

/* Random values of a tensor. */
enum role_fill {
    FILL_NORMAL, /* deviation 1 / sqrt(cols) */
    FILL_ONE,
    FILL_ZERO,
    FILL_STATES, /* -1, -2, ... along the row */
    FILL_HEADS,  /* in (-16, -1] */
    FILL_DT
};

struct role_shape {
    enum tensor_role role;
    int layer;
    int part; /* -1: the role's only one */
    size_t part_count;
    size_t rows, cols;
    bool linear; /* of a linear layer or the embedding: may be quantised */
    enum role_fill fill;
};

/* Calls visit for each tensor, in the order of the layers, until it returns false. false with diag: a model
 * that has parts for which there is no role; what they are is said. */
bool model_roles(const struct model *model, const char *name, struct diag *diag,
                 bool (*visit)(void *context, const struct role_shape *shape), void *context);

#endif
