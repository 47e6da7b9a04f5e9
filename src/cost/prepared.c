#include "cost/prepared.h"

#include <math.h>

bool prepared_multiplies(struct prepared_op *prepared, struct diag *diag, const struct element_type *a,
                         const struct element_type *b)
{
    const struct device *device = prepared->target->device;
    prepared->format = compute_format(device, a, b, &prepared->matrix, &prepared->peak);
    return prepared->format != FORMAT_NONE || diag_error(diag, NOWHERE, "%s: %s cannot multiply %s by %s",
                                                         prepared->op->name, device->id, a->name, b->name);
}

double prepared_depth(const struct prepared_op *prepared, double k)
{
    double bytes = number_format_bits(prepared->format) / 8;
    double depth_bytes = prepared->target->device->matrix_depth_bytes;
    double instruction = prepared->matrix && depth_bytes > 0 ? greater(depth_bytes / bytes, 1) : 1;
    return ceil(k / instruction) * instruction;
}
