/* The prepared operator: what no step changes. Private to cost/. */
#ifndef RAFTER_COST_PREPARED_H
#define RAFTER_COST_PREPARED_H

#include "cost/attention_cost.h"
#include "cost/gemm_cost.h"
#include "cost/link_cost.h"
#include "cost/recurrent_cost.h"
#include "cost/stream_cost.h"

struct prepared_op {
    const struct target *target;
    const struct op *op;
    enum family family;
    enum number_format format; /* it computes in */
    bool matrix;               /* on matrix units; false: lanes */
    double peak;               /* FLOP/s of them */
    union {
        struct gemm_cost *gemm;
        struct attention_cost *attention;
        struct recurrent_cost *recurrent;
        struct stream_cost stream;
        struct collective_cost collective;
        struct transfer_cost transfer;
    };
};

/* The scalars of the prepared op's family and format. */
static inline const double *prepared_scalars(const struct prepared_op *prepared)
{
    return prepared->target->scalars[prepared->family][prepared->format];
}

/* Where the op's multiply-adds run. */
static inline enum resource prepared_unit(const struct prepared_op *prepared)
{
    return prepared->matrix ? RESOURCE_COMPUTE : RESOURCE_VECTOR;
}

#endif
