/* Prepared recurrences and convolutions. Private to cost/. */
#ifndef RAFTER_COST_RECURRENT_COST_H
#define RAFTER_COST_RECURRENT_COST_H

#include "cost/rates.h"

struct prepared_op;

struct recurrent_cost {
    double heads;
    double chunk;           /* tokens; 1: sequential scan on lanes */
    double scan_flops;      /* lane FLOPs of one token, all heads */
    double scan_lane_flops; /* the same in lane FLOP times (an exp takes several) */
    double within_flops;    /* chunkwise: one head, one chunk, what chunks do side by side */
    double across_flops;    /* chunkwise: one head, one chunk, what waits for the chunk before */
    double state_bytes;     /* one sequence */
    double token_bytes;     /* activations read and written */
    double weight_bytes;
    double fixed, omega, memory_rate, eps;
    double units, inverse_units;
};

bool recurrent_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph);
void recurrent_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost);

#endif
