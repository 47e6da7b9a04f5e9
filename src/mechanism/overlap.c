/* Operators that use different parts of a device run at once: a step's tokens are cut into pieces, and while
 * one piece is being multiplied another's sums are on the wire (TokenWeave arXiv:2505.11329) or its decodes
 * attend (NanoFlow arXiv:2408.12757). Each piece reads the weights again. estimate/plan_step.c has the times.
 */
#include "mechanism/rewrites.h"

#include <stddef.h>
#include <string.h>

struct overlap_parameters {
    int pieces;
    int attention_pieces;
    double from_tokens;
    bool links;
    double link_share;
    double link_rate;
    bool decodes;
    double decode_share;
    double decode_rate;
};

enum { GROUP = 1 };

static bool part_attention(struct rewrite *rewrite)
{
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        int prefill, decode;
        if (!is_cached_attention(&rewrite->graph->ops[i]))
            continue;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        i = decode > i ? decode : i;
    }
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct overlap_parameters *p = parameters;
    return !p->decodes || part_attention(rewrite);
}

/* What runs row by row, and so in pieces: not what works on whole sequences. */
static bool has_rows(const struct op *op)
{
    return op->kind == OP_GEMM || op->kind == OP_NORM || op->kind == OP_ELEMENTWISE || op->kind == OP_ROUTE ||
           op->kind == OP_GATHER || op->kind == OP_TRANSFORM || op->kind == OP_COLLECTIVE;
}

/* The first part of a layer, up to the sums behind attention. */
static bool before_feed_forward(const struct graph *graph, int index)
{
    for (int i = index; i < graph->op_count && graph->ops[i].block == graph->ops[index].block; i++)
        if (graph->ops[i].kind == OP_ATTENTION || graph->ops[i].kind == OP_RECURRENT ||
            strcmp(graph->ops[i].name, OP_NAME_ATTENTION_ALLREDUCE) == 0)
            return true;
    return false;
}

static void cut_op(const struct graph *graph, int index, const struct overlap_parameters *p)
{
    struct op *op = &graph->ops[index];
    if (has_rows(op) && op->rows != ROWS_CONTEXT)
        op->pieces =
            p->attention_pieces > 0 && before_feed_forward(graph, index) ? p->attention_pieces : p->pieces;
    op->pieces_from = p->from_tokens;
}

/* What runs beside the rest of the layer. */
static bool is_beside(const struct op *op, const struct overlap_parameters *p)
{
    return (p->links && op->kind == OP_COLLECTIVE) ||
           (p->decodes && op->kind == OP_ATTENTION && op->regime == REGIME_DECODE);
}

static bool on_schedule(struct rewrite *rewrite, const void *parameters)
{
    const struct overlap_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool shares = p->links || p->decodes, found = false;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (op->block == OUTSIDE_LAYERS)
            continue;
        if (op->overlap_group != 0)
            return diag_error(rewrite->diag, NOWHERE, "overlap: another technique overlaps %s already",
                              op->name);
        cut_op(graph, i, p);
        if (shares)
            op->overlap_group = GROUP;
        found |= is_beside(op, p);
    }
    if (shares && !found)
        return diag_error(rewrite->diag, NOWHERE,
                          "overlap: nothing to overlap: no collectives (one device) and no attention of "
                          "decodes apart");
    graph->overlap_chunks[GROUP] = 1; /* in turn, but for what shares */
    if (shares)
        graph->sharing[GROUP] = (struct sharing){
            .of = {[SHARER_LINKS] = {p->links, p->link_share, p->link_rate},
                   [SHARER_DECODES] = {p->decodes, p->decode_share, p->decode_rate}},
            .chunks = p->pieces * graph->model->layers, /* from layer to layer without a stop */
            .from_tokens = p->from_tokens};
    return true;
}

static const struct field fields[] = {
    INT_FIELD(overlap_parameters, pieces, 2, 16, "2",
              "that a step's tokens are cut into; each reads the weights"),
    INT_FIELD(overlap_parameters, attention_pieces, 0, 16, "0",
              "of the operators before and around attention; 0: as pieces"),
    QUANTITY_FIELD(overlap_parameters, from_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "steps of fewer tokens stay whole and serial"),
    BOOL_FIELD(overlap_parameters, links, "true", "collectives run beside the rest"),
    QUANTITY_FIELD(overlap_parameters, link_share, DIM_FRACTION, 0, 0.9, "0.1",
                   "of the device that collectives take while they run beside the rest"),
    QUANTITY_FIELD(overlap_parameters, link_rate, DIM_FRACTION, 0.01, 1, "1",
                   "of their rate alone that they reach with it"),
    BOOL_FIELD(overlap_parameters, decodes, "false", "attention of decodes runs beside the rest"),
    QUANTITY_FIELD(overlap_parameters, decode_share, DIM_FRACTION, 0, 0.9, "0.4",
                   "of the device that it takes"),
    QUANTITY_FIELD(overlap_parameters, decode_rate, DIM_FRACTION, 0.01, 1, "0.8",
                   "of its rate alone that it reaches with it"),
};
static const struct schema schema = {.name = "overlap",
                                     .size = sizeof(struct overlap_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"link_rate", "decode_rate", NULL};

extern const struct mechanism overlap;
const struct mechanism overlap = {
    .name = "overlap",
    .summary = "pieces of a step's tokens take turns on the compute units, the links and the memory",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct overlap_parameters),
    .on_ops = on_ops,
    .on_schedule = on_schedule,
};
