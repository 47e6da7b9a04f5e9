/* The linear layers of blocks, as weights' mechanisms see them: parts by name, thin products beside them. */
#ifndef RAFTER_MECHANISM_LINEAR_H
#define RAFTER_MECHANISM_LINEAR_H

#include "mechanism/rewrites.h"

/* Which matrices of a layer: of fused operators several. */
enum linear_part {
    LINEAR_Q = 1,
    LINEAR_K = 2,
    LINEAR_V = 4,
    LINEAR_O = 8,
    LINEAR_GATE = 16,
    LINEAR_UP = 32,
    LINEAR_DOWN = 64,
    LINEAR_ALL = 127
};

/* By name: q, k, v, o, gate, up, down, attention (the first four), ffn (the others), all. An empty list is
 * fallback. false with diag: unknown name. */
bool linear_parts_read(struct rewrite *rewrite, const char *mechanism, const struct string_list *names,
                       unsigned fallback, unsigned *parts);

/* The op's parts; 0: it is no dense linear layer of attention or a feed-forward network. */
unsigned linear_parts_of(const struct op *op);

/* Of the op's columns (rows of its weights) those of the parts. */
double linear_columns(const struct graph *graph, const struct op *op, unsigned parts);

/* A product over a layer's weights, inside the blocks: parts as above, projections of other mixers, experts.
 * Not routers and gates, nor what a technique put beside a layer. */
bool linear_is_weights(const struct op *op);

/* Products beside a layer: B (A x) with A [rank, k] and B [columns, rank], for `tenants` pairs of matrices
 * that the step's rows are dealt to evenly, `stored` pairs in memory. adds: a pass of its own adds the result
 * to the layer's. */
struct side_product {
    double rank, columns, tenants, stored;
    struct element_type type;
    bool adds;
};

/* Puts them behind ops[index]; false with diag: no room. *last: index of the last op put there. */
bool linear_add_side(struct rewrite *rewrite, const char *mechanism, int index,
                     const struct side_product *side, int *last);

/* Puts a product of its own weights behind ops[index]: [n, k] in `type`, rows as the layer's, which `share`
 * of the rows pass. NULL with diag: no room. */
struct op *linear_add_product(struct rewrite *rewrite, const char *mechanism, int index, const char *name,
                              double n, double k, const struct element_type *type);

/* The first round(share * layers) layers, rounded up; an array of model->layers. NULL with diag: memory. */
bool *linear_first_layers(struct rewrite *rewrite, const struct model *model, double share);

#endif
