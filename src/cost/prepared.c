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

struct element_type prepared_left_type(const struct prepared_op *prepared, const struct element_type *a,
                                       const struct element_type *weights)
{
    const struct target *target = prepared->target;
    bool integers = weights->format == FORMAT_INT8 || weights->format == FORMAT_INT4 ||
                    weights->format == FORMAT_INT2 || weights->format == FORMAT_INT1;
    struct element_type type;
    if (integers && target->software->integer_products && number_format_bits(a->format) >= 16 &&
        format_peak(target->device, FORMAT_INT8) > 0 && element_type_parse("q8_0", &type))
        return type;
    return *a;
}

double prepared_depth(const struct prepared_op *prepared, double k)
{
    double bytes = number_format_bits(prepared->format) / 8;
    double depth_bytes = prepared->target->device->matrix_depth_bytes;
    double instruction = prepared->matrix && depth_bytes > 0 ? greater(depth_bytes / bytes, 1) : 1;
    return ceil(k / instruction) * instruction;
}
