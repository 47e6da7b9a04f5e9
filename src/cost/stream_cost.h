/* Prepared streams: norms, elementwise, gathers, routing, sampling, transforms. Private to cost/. */
#ifndef RAFTER_COST_STREAM_COST_H
#define RAFTER_COST_STREAM_COST_H

#include "cost/rates.h"

struct prepared_op;

/* Bytes of one row by class; `resident` ones may still be in the cache. */
struct stream_cost {
    double row_bytes[BYTE_CLASS_COUNT];
    double fixed_bytes; /* parameters read once */
    double resident_row_bytes;
    double token_bytes; /* written for each new token where rows are pairs */
    double flops;       /* a row */
    double lane_flops;  /* a row, as long as the lanes take */
    double fixed, memory_rate, cache_rate, lane_rate;
    double clocks_s;                      /* a row: of its clocks, all units together */
    double written_bytes, in_place_bytes; /* a row; of the first, those that were read there */
    double beta;
    double values_row; /* written, of a row */
    bool repeated;     /* on operands that the run before has left */
};

void stream_prepare(struct prepared_op *prepared, const struct graph *graph);
void stream_cost(const struct prepared_op *prepared, double rows, double tokens, struct op_cost *cost);

#endif
