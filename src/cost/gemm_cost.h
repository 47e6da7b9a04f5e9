/* Prepared plain GEMMs. Private to cost/. */
#ifndef RAFTER_COST_GEMM_COST_H
#define RAFTER_COST_GEMM_COST_H

#include "cost/rates.h"

struct prepared_op;
struct low_bit_cost;

/* Edges of tiles: 16 to 256 by powers of two; rows also by steps of 32 where instructions have any width. */
enum { TILE_EDGES = 5, ROW_EDGES_MOST = 9, SPLITS = 8, TILE_CANDIDATES = TILE_EDGES * SPLITS };

/* Candidates are (split, column edge) pairs, all edges of one split together; every row edge has them all.
 * Tables do not depend on m. */
struct gemm_cost {
    double n, k, batch;
    int row_edges;                   /* TILE_EDGES to ROW_EDGES_MOST */
    double row_edge[ROW_EDGES_MOST]; /* tm, ascending */
    double columns[TILE_CANDIDATES]; /* tiles along n * splits * batch: work items per tile of rows */
    double reduction[SPLITS];        /* s per row of summing the splits */
    double combine[SPLITS];          /* s of it besides */
    /* of one work item on one unit, by row edge and candidate: */
    double work[ROW_EDGES_MOST][TILE_CANDIDATES];   /* s of the slowest of arithmetic, waiting, conversion */
    double stream[ROW_EDGES_MOST][TILE_CANDIDATES]; /* s of its operands through the cache */
    double store[ROW_EDGES_MOST][TILE_CANDIDATES];  /* s of its results */
    double least_work[ROW_EDGES_MOST]; /* s * units that a tile of rows takes at least, by row edge */
    double depth[SPLITS];              /* k of one work item */
    double inverse_units;
    double compute_s;        /* s of one multiply-add on one unit */
    double cache_s;          /* s of one byte from the shared cache into one unit */
    double dequant_s;        /* s of one weight value converted on one unit's lanes; 0: none */
    double stall_s;          /* s of waiting for operands for each element of k; 0: not known */
    double a_bytes, b_bytes; /* of one element, as streamed */
    double c_bytes;          /* of one element stored from a tile */
    double sharing;          /* units that load one operand of their tiles together */
    double port; /* of its share of the cache's bandwidth / what one unit can take at most; at most 1 */
    double omega;
    double fixed;   /* t0 */
    double split_s; /* s of summing splits, besides their bytes */
    double lead_s;  /* s before a kernel's memory traffic flows and after it: omega */
    double lane_s;  /* s of one multiply-add on all lanes together; 0: not a candidate */
    double
        convert_passes; /* rows' worth of lane work in converting the weights, where there is no gemv_rows */
    double lane_convert_s; /* s of converting one weight on all lanes together; 0: none is */
    double lane_rows;      /* up to so many rows lanes are a candidate */
    double gemv_rows;      /* up to so many rows go without tiles; 0: where that is faster */
    double panel_columns;  /* of software that multiplies by panels of weights; 0: tiles */
    double panel_rows;     /* by which a panel is multiplied before it is unpacked again */
    double unpack_s;       /* s of unpacking one weight on one unit */
    double lane_weights;   /* weight values, all of the batch */
    double memory_rate;    /* byte/s reached */
    double weight_bytes;   /* of one matrix with its bias, all of the batch */
    double row_bytes;      /* A read and C written, one row, all of the batch */
    double weight_sets;    /* that take turns, of a benchmark */
    bool in_turn;          /* loading, converting and multiplying wait for each other */
    double pass_row_bytes; /* read and written by the pass that quantises a row of A; 0: no such pass */
    double pass_row_s;     /* s of that row on all units together, besides its bytes from memory */
    bool weights_are_activations;       /* B is no weight buffer */
    const struct low_bit_cost *low_bit; /* kernels that convert no weights; NULL: none is asked for */
};

bool gemm_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                  const struct graph *graph);

void gemm_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);

/* The same with weights of another type than the buffer's. */
bool gemm_prepare_as(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                     const struct element_type *weights);
/* The kernel that multiplies, whatever others the op allows. */
void gemm_multiply_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);
/* Adds the pass that quantises A. */
void gemm_add_pass(const struct prepared_op *prepared, double rows, struct op_cost *cost);

/* `rows` by panels of weights (gemm_panels.c), operand bytes already in cost. */
void gemm_panels_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);

/* Bytes that main memory moves of the weights and `activations` bytes (gemm_memory.c). */
double gemm_memory_bytes(const struct prepared_op *prepared, double activations);
/* The share of `footprint` bytes, read over and over in the same order, that misses a cache of `capacity`. */
double cyclic_miss_share(double footprint, double capacity);

#endif
