/* The prepared operator: what no step changes. Private to cost/. */
#ifndef RAFTER_COST_PREPARED_H
#define RAFTER_COST_PREPARED_H

#include "cost/attention_cost.h"
#include "cost/gemm_cost.h"
#include "cost/link_cost.h"
#include "cost/moe_cost.h"
#include "cost/recurrent_cost.h"
#include "cost/stream_cost.h"

struct prepared_op {
    const struct target *target;
    const struct op *op;
    enum family family;
    enum number_format format; /* it computes in */
    enum operand operand;      /* how its weights or KV cache are stored */
    bool matrix;               /* on matrix units; false: lanes */
    double peak;               /* FLOP/s of them */
    union {
        struct gemm_cost *gemm;
        struct moe_cost *moe;
        struct attention_cost *attention;
        struct recurrent_cost *recurrent;
        struct stream_cost stream;
        struct conv_cost conv;
        struct collective_cost collective;
        struct transfer_cost transfer;
    };
};

/* The scalars of the prepared op's family, format and operand. */
static inline const struct calibration *prepared_scalars(const struct prepared_op *prepared,
                                                         double scalars[SCALARS_MOST])
{
    return target_scalars(prepared->target, prepared->family, prepared->format, prepared->operand, scalars);
}

/* Sets format, units and peak of products of the two types; false with diag when the device has none. */
bool prepared_multiplies(struct prepared_op *prepared, struct diag *diag, const struct element_type *a,
                         const struct element_type *b);

/* The type in which A meets the weights: where the software multiplies integer weights by integers and the
 * device has products of them, 8-bit integers with a scale for each 32; else its own. */
struct element_type prepared_left_type(const struct prepared_op *prepared, const struct element_type *a,
                                       const struct element_type *weights);

/* k rounded up to what the op's matrix instructions take at a time. */
double prepared_depth(const struct prepared_op *prepared, double k);

/* Where the op's multiply-adds run. */
static inline enum resource prepared_unit(const struct prepared_op *prepared)
{
    return prepared->matrix ? RESOURCE_COMPUTE : RESOURCE_VECTOR;
}

#endif
