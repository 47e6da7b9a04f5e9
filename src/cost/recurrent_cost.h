/* Prepared recurrences and convolutions. Private to cost/. */
#ifndef RAFTER_COST_RECURRENT_COST_H
#define RAFTER_COST_RECURRENT_COST_H

#include "cost/rates.h"

struct prepared_op;

struct recurrent_cost {
    double heads;
    double chunk;             /* tokens; 1: sequential scan on lanes */
    double kernels;           /* launched for the chunkwise form */
    double scan_flops;        /* lane FLOPs of one token, all heads */
    double scan_lane_flops;   /* the same in lane FLOP times (an exp takes several) */
    double within_flops;      /* chunkwise: one head, one chunk, what chunks do side by side */
    double across_flops;      /* chunkwise: one head, one chunk, what waits for the chunk before */
    double chunk_state_bytes; /* chunkwise: one head, one chunk: its state written and read again */
    double slices;            /* of a head's values, each with its own chain of chunks */
    double state_bytes;       /* one sequence */
    double weight_bytes;
    double token_bytes; /* activations read and written */
    double fixed, launch, omega, memory_rate, cache_rate, lane_rate;
    double units, inverse_units;
    double unit_flop_s; /* s a FLOP of one unit, inside a chunk */
    double peak_flop_s; /* likewise at the data sheet's rate */
};

struct conv_cost {
    double token_flops, token_bytes;
    double token_lanes; /* FLOPs as long as the lanes take */
    double state_bytes; /* one sequence */
    double weight_bytes;
    double fixed, row, memory_rate, cache_rate, lane_rate;
};

/* Memory bytes of an operator that runs over and over on `footprint` bytes and moves `bytes`. An LRU-like
 * cache that is walked in a circle loses nothing while half of it suffices and everything once all of it
 * does not. */
double repeated_misses(const struct target *target, double bytes, double footprint);

bool recurrent_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph);
void recurrent_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost);
bool conv_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph);
void conv_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
               struct op_cost *cost);

#endif
