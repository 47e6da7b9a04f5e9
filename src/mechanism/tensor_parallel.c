/* How the ranks of a layer sum their results: the shape of the all-reduce (star: TPI-LLM arXiv:2410.00531)
 * and the norm inside it (TokenWeave arXiv:2505.11329: each rank norms its 1/p of the tokens between the
 * reduce-scatter and the all-gather that an all-reduce consists of; the values pass its registers anyway, so
 * that the norm adds nothing to the time on the wire). */
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <string.h>

struct tensor_parallel_parameters {
    int all_reduce;
    double path_links;
    bool fused_norm;
};

static bool is_summed(const struct graph *graph, int index)
{
    const struct op *op = &graph->ops[index];
    return op->kind == OP_COLLECTIVE && op->collective.kind == COLLECTIVE_ALL_REDUCE &&
           op->block != OUTSIDE_LAYERS;
}

/* The norm that takes the sum: behind it, or at the head of the next layer. */
static bool follows_sum(const struct op *op)
{
    return op->kind == OP_NORM &&
           (strcmp(op->name, OP_NAME_FFN_NORM) == 0 || strcmp(op->name, OP_NAME_ATTENTION_NORM) == 0);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct tensor_parallel_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool found = false;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (is_summed(graph, i)) {
            found = true;
            op->collective.shape = (enum reduction_shape)p->all_reduce;
            op->collective.path_links = p->path_links;
        }
    }
    if (!found)
        return diag_error(rewrite->diag, NOWHERE,
                          "tensor_parallel: no layer sums over ranks (tp 1, or sequence parallel)");
    for (int i = 0; i < graph->op_count && p->fused_norm; i++)
        if (follows_sum(&graph->ops[i]) ||
            (graph->ops[i].block != OUTSIDE_LAYERS && strcmp(graph->ops[i].name, OP_NAME_RESIDUAL_ADD) == 0))
            graph->ops[i].per_layer = 0;
    return true;
}

static const struct enum_name shape_names[] = {{"library", SHAPE_LIBRARY}, {"ring", SHAPE_RING},
                                               {"tree", SHAPE_TREE},       {"star", SHAPE_STAR},
                                               {"switch", SHAPE_SWITCH},   {NULL, 0}};

static const struct field fields[] = {
    ENUM_FIELD(tensor_parallel_parameters, all_reduce, shape_names, "library",
               "what layers' sums go along; library: what the communication library picks; switch: a kernel "
               "that has the switch sum"),
    QUANTITY_FIELD(tensor_parallel_parameters, path_links, DIM_COUNT, 1, 64, "1",
                   "links between two devices in a row, each with its latency (routers between them)"),
    BOOL_FIELD(tensor_parallel_parameters, fused_norm, "false",
               "residual add and norm inside the all-reduce, on 1/tp of the tokens"),
};
static const struct schema schema = {.name = "tensor_parallel",
                                     .size = sizeof(struct tensor_parallel_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism tensor_parallel;
const struct mechanism tensor_parallel = {
    .name = "tensor_parallel",
    .summary = "how ranks sum their parts of a layer, and the norm inside the sum",
    .lossless = true,
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct tensor_parallel_parameters),
    .on_ops = on_ops,
};
