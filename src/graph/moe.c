/* Mixture of experts: router, top-k, grouped GEMMs over the experts of this rank, shared experts beside them.
 * Experts are cut over ep ranks, each expert's columns over the rest (tp * dp / ep). Among attention groups
 * tokens travel to their experts and back (two all-to-alls), and shared experts are whole on every rank,
 * which runs its own tokens; otherwise every rank has all tokens already.
 * Experts of a latent space (LatentMoE, arXiv:2601.18089): router and shared experts work on hidden; a token
 * is projected to the latent before it is sent to its experts and back after their sum has come home. */
#include "graph/build.h"

#include <math.h>

struct moe_shard {
    double experts; /* on this rank */
    double width;   /* columns of an expert on this rank */
    double rows;    /* share of the step's tokens a rank starts from: router and shared experts */
    bool travels;
};

static struct moe_shard shard_experts(const struct graph *graph, int block, const struct moe_spec *spec)
{
    int ep = graph->parallel.ep, ranks = ffn_ranks(graph);
    bool travels = tokens_travel(graph, block);
    return (struct moe_shard){.experts = spec->experts / (double)ep,
                              .width = spec->intermediate / ((double)ranks / ep),
                              .rows = travels ? 1.0 / ranks : 1,
                              .travels = travels};
}

static struct op *add_grouped(struct graph *graph, const char *name, int block, double n, double k,
                              const struct moe_spec *spec, const struct moe_shard *shard)
{
    struct op *op = add_linear(graph, name, block, n, k, spec->bias);
    if (graph->failed)
        return op;
    graph->buffers[op->weights].type = graph->types.experts;
    graph->buffers[op->weights].copies = shard->experts;
    if (spec->bias)
        graph->buffers[op->weights + 1].copies = shard->experts;
    op->gemm.experts = spec->experts;
    op->gemm.marlin = graph->software->expert_kernels == EXPERTS_MARLIN;
    op->gemm.local_experts = shard->experts;
    op->gemm.top_k = spec->top_k;
    op->gemm.skew = graph->parallel.expert_skew;
    op->gemm.ranks = graph->parallel.ep;
    return op;
}

static void add_router(struct graph *graph, int block, const struct moe_spec *spec,
                       const struct moe_shard *shard)
{
    struct op *router = add_linear(graph, OP_NAME_ROUTER, block, spec->experts, graph->model->hidden, false);
    router->rows_factor = shard->rows;
    if (!graph->failed)
        graph->buffers[router->weights].type = graph->types.activations;
    /* softmax or sigmoid over the scores (5 FLOPs each) and a pass of top-k (1 comparison each) */
    add_stream(graph, OP_NAME_ROUTE, OP_ROUTE, block, spec->experts, 2.0 * spec->top_k, 6.0 * spec->experts)
        ->rows_factor = shard->rows;
}

/* A projection between hidden and the latent. Whole on every rank, as the released servers have it, so that
 * sums of partial results over ranks may be made after it as well as before; in the activations' type, which
 * the quantised checkpoints of Nemotron 3 leave it in. */
static void add_latent(struct graph *graph, const char *name, int block, double n, double k,
                       const struct moe_spec *spec, const struct moe_shard *shard)
{
    struct op *op = add_linear(graph, name, block, n, k, spec->bias);
    op->rows_factor = shard->rows;
    if (!graph->failed)
        graph->buffers[op->weights].type = graph->types.activations;
}

static void add_routed(struct graph *graph, int block, const struct moe_spec *spec,
                       const struct moe_shard *shard)
{
    double row = moe_width(graph->model, spec);
    /* of the step's (token, expert) pairs, those that this rank works on */
    double pairs = spec->top_k * shard->experts / spec->experts;
    add_stream(graph, OP_NAME_MOE_PERMUTE, OP_GATHER, block, row, row, 0)->rows_factor = pairs;
    add_grouped(graph, OP_NAME_MOE_GATE_UP, block, (spec->gated ? 2 : 1) * shard->width, row, spec, shard);
    struct op *activation = add_stream(graph, OP_NAME_MOE_ACTIVATION, OP_ELEMENTWISE, block,
                                       (spec->gated ? 2 : 1) * shard->width, shard->width, 5 * shard->width);
    activation->rows_factor = pairs;
    activation->stream.exponentials = activation->stream.in_place = shard->width;
    add_grouped(graph, OP_NAME_MOE_DOWN, block, row, shard->width, spec, shard);
    /* weighted sum of a token's experts: a multiply-add for each; the shared experts' result is one more row
     */
    double shared =
        spec->shared_intermediate > 0 && spec->latent == 0 ? graph->model->hidden * shard->rows / pairs : 0;
    add_stream(graph, OP_NAME_MOE_COMBINE, OP_ELEMENTWISE, block, row + shared, row / spec->top_k,
               2 * (row + shared))
        ->rows_factor = pairs;
}

static void add_shared(struct graph *graph, int block, const struct moe_spec *spec,
                       const struct moe_shard *shard)
{
    double hidden = graph->model->hidden;
    double width = spec->shared_intermediate / (shard->travels ? 1.0 : ffn_ranks(graph));
    double in = (spec->gated ? 2 : 1) * width;
    add_linear(graph, OP_NAME_SHARED_GATE_UP, block, in, hidden, false)->rows_factor = shard->rows;
    struct op *activation =
        add_stream(graph, OP_NAME_SHARED_ACTIVATION, OP_ELEMENTWISE, block, in, width, 5 * width);
    activation->rows_factor = shard->rows;
    activation->stream.exponentials = activation->stream.in_place = width;
    add_linear(graph, OP_NAME_SHARED_DOWN, block, hidden, width, false)->rows_factor = shard->rows;
    if (spec->shared_gate) {
        struct op *gate = add_linear(graph, OP_NAME_SHARED_GATE, block, 1, hidden, false);
        gate->rows_factor = shard->rows;
        keep_small_wide(graph, gate);
    }
}

/* A token goes once to each rank that holds columns of one of its experts: of ep places with ranks / ep ranks
 * each, ep (1 - (1 - 1/ep)^k) are chosen. What comes back is each rank's sum over its experts. */
static void add_travel(struct graph *graph, const char *name, int block, const struct moe_spec *spec,
                       const struct moe_shard *shard)
{
    double ep = graph->parallel.ep, ranks = ffn_ranks(graph);
    double copies = ranks * -expm1(spec->top_k * log1p(-1 / ep));
    add_collective(graph, name, block, COLLECTIVE_ALL_TO_ALL, ffn_ranks(graph),
                   moe_width(graph->model, spec) * copies, shard->rows);
}

void build_moe(struct graph *graph, int block)
{
    const struct moe_spec *spec = &graph->model->blocks[block].moe;
    struct moe_shard shard = shard_experts(graph, block, spec);
    double hidden = graph->model->hidden;

    add_router(graph, block, spec, &shard);
    if (spec->latent > 0)
        add_latent(graph, OP_NAME_MOE_LATENT_DOWN, block, spec->latent, hidden, spec, &shard);
    if (shard.travels)
        add_travel(graph, OP_NAME_MOE_DISPATCH, block, spec, &shard);
    add_routed(graph, block, spec, &shard);
    if (shard.travels)
        add_travel(graph, OP_NAME_MOE_GATHER, block, spec, &shard);
    if (spec->latent > 0)
        add_latent(graph, OP_NAME_MOE_LATENT_UP, block, hidden, spec->latent, spec, &shard);
    if (spec->shared_intermediate > 0)
        add_shared(graph, block, spec, &shard);
}
