/* Prepared grouped GEMMs: the experts of one rank. Private to cost/. */
#ifndef RAFTER_COST_MOE_COST_H
#define RAFTER_COST_MOE_COST_H

#include "cost/gemm_cost.h"

enum { MOE_HEIGHTS = 5, MOE_WIDTHS = 2 };

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

struct moe_cost {
    struct routing routing;
    const struct expert_load *dealt; /* NULL: routing by chance */
    int dealt_count;
    bool ragged; /* dealt, in a kernel that streams weights faster into tiles full of rows */
    double n, k;
    double
        experts_per_choice; /* experts / top_k: tokens until an expert has a row in the mean, of all ranks */
    double height[MOE_HEIGHTS], inverse_height[MOE_HEIGHTS]; /* rows of a tile, ascending */
    int heights;                                             /* of them, those up to `tall` */
    double room;
    double columns[MOE_WIDTHS];          /* tiles along n */
    double tau[MOE_HEIGHTS][MOE_WIDTHS]; /* s of one tile on one unit */
    double inverse_units;
    double compute_s;        /* s of one multiply-add on one unit */
    double cache_s;          /* s of one byte from the shared cache into one unit */
    double dequant_s;        /* s of one weight converted on one unit's lanes; 0: none */
    double a_bytes, b_bytes; /* of one element, as streamed */
    double c_bytes;          /* of one element stored */
    double depth;            /* k, rounded up to the depth of a matrix instruction */
    double omega, fixed, memory_rate;
    double gemv_rows;       /* as of gemm_cost: software that says so goes without tiles altogether */
    double gemv_s, whole_s; /* s of all units: a multiply-add of few rows, of more */
    double weight_bytes;    /* of one expert with its bias */
    double row_bytes;       /* A read and C written, one row */
};

bool moe_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                 const struct graph *graph);
void moe_cost(const struct prepared_op *prepared, double tokens, struct op_cost *cost);

#endif
