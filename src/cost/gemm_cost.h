/* Prepared GEMMs, plain and grouped over experts. Private to cost/. */
#ifndef RAFTER_COST_GEMM_COST_H
#define RAFTER_COST_GEMM_COST_H

#include "cost/rates.h"

struct prepared_op;

enum { TILE_EDGES = 5, SPLITS = 6, TILE_CANDIDATES = TILE_EDGES * SPLITS };

/* Popularity classes of a rank's experts: `experts` of them, each chosen by a token with `probability`. */
enum { EXPERT_CLASSES = 16 };
struct expert_class {
    double experts;
    double log_miss; /* log(1 - probability) */
};
struct routing {
    int classes;
    struct expert_class class[EXPERT_CLASSES];
    double rows_per_token; /* expected (token, expert) pairs on this rank per token */
};

/* Candidates are (column edge, split) pairs; every row edge has them all. Tables do not depend on m. */
struct gemm_cost {
    double n, k, batch;
    int candidates;                          /* TILE_CANDIDATES, or TILE_EDGES where k is not split */
    double row_edge[TILE_EDGES];             /* tm, ascending */
    double columns[TILE_CANDIDATES];         /* tiles along n * splits * batch: work items per tile of rows */
    double reduction[TILE_CANDIDATES];       /* s per row of summing the splits */
    double tau[TILE_EDGES][TILE_CANDIDATES]; /* s of one work item on one unit */
    double least_work[TILE_EDGES];           /* s * units that a tile of rows takes at least, by row edge */
    double depth[SPLITS];                    /* k of one work item */
    double inverse_units;
    double compute_s;        /* s of one multiply-add on one unit */
    double cache_s;          /* s of one byte from the shared cache into one unit */
    double dequant_s;        /* s of one weight value converted on one unit's lanes; 0: none */
    double a_bytes, b_bytes; /* of one element, as streamed */
    double omega;
    double fixed;                 /* t0 */
    double memory_rate;           /* byte/s reached */
    double weight_bytes;          /* of one matrix (one expert's) with its bias, all of the batch */
    double row_bytes;             /* A read and C written, one row, all of the batch */
    bool weights_are_activations; /* B is no weight buffer */
    struct routing *routing;      /* NULL: not grouped */
};

bool gemm_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                  const struct graph *graph);
bool routing_prepare(struct routing *routing, const struct gemm_work *work);

void gemm_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);
void moe_cost(const struct prepared_op *prepared, double tokens, struct op_cost *cost);

/* The common part: `row_tiles[i]` tiles of rows of row_edge[i], the first `edges` of them, `rows` real rows,
 * operand bytes already in cost. */
void tiled_cost(const struct prepared_op *prepared, const double *row_tiles, int edges, double rows,
                struct op_cost *cost);

#endif
