/* Recurrent mixers: Mamba-1 (arXiv:2312.00752), Mamba-2 (arXiv:2405.21060), gated DeltaNet (arXiv:2412.06464)
 * and mLSTM (arXiv:2405.04517). Channels and heads are cut by tp; a state per sequence lives beside the KV
 * cache. */
#include "graph/build.h"

static struct op *add_conv(struct graph *graph, int block, double channels, double width)
{
    int state =
        add_state_buffer(graph, "conv_state", block, channels * (width - 1), &graph->types.activations);
    int weights = graph_add_buffer(graph, OP_NAME_CONV1D, BUFFER_WEIGHTS, block);
    struct op *op = graph_add_op(graph, OP_NAME_CONV1D, OP_CONV, block);
    if (graph->failed)
        return op;
    graph->buffers[weights].type = graph->types.activations;
    graph->buffers[weights].rows = channels;
    graph->buffers[weights].cols = width;
    op->weights = weights;
    op->cache = state;
    op->reads_cache = op->writes_cache = true;
    op->rows_factor = attention_share(graph);
    op->conv.channels = channels;
    op->conv.width = width;
    return op;
}

static void add_recurrence(struct graph *graph, int block, enum recurrence kind, double heads, double key_dim,
                           double value_dim, double extra_state, double chunk)
{
    double elements = heads * key_dim * value_dim + extra_state;
    int state = add_state_buffer(graph, "state", block, elements, &graph->types.state);
    struct op *op = graph_add_op(graph, OP_NAME_RECURRENCE, OP_RECURRENT, block);
    op->cache = state;
    op->reads_cache = op->writes_cache = true;
    op->rows_factor = attention_share(graph);
    op->recurrent.kind = kind;
    op->recurrent.heads = heads;
    op->recurrent.key_dim = key_dim;
    op->recurrent.value_dim = value_dim;
    op->recurrent.chunk = chunk;
}

static struct op *linear(struct graph *graph, const char *name, int block, double n, double k, bool bias)
{
    struct op *op = add_linear(graph, name, block, n, k, bias);
    op->rows_factor = attention_share(graph);
    return op;
}

/* RMS norm times a gate: the norm's 7 FLOPs a value, 4 for the sigmoid or silu, 1 for the product. */
static void add_gated_norm(struct graph *graph, int block, double width, double norm_width)
{
    struct op *op = add_norm(graph, OP_NAME_GATED_NORM, block, norm_width, width / norm_width, false);
    op->rows_factor = attention_share(graph);
    op->stream.read = 2 * width;
    op->stream.flops = 12 * width;
}

static void build_mamba1(struct graph *graph, int block, const struct mamba_spec *spec)
{
    double tp = graph->parallel.tp, hidden = graph->model->hidden, inner = spec->inner / tp;
    double small = spec->dt_rank + 2.0 * spec->state;
    linear(graph, OP_NAME_IN_PROJ, block, 2 * inner, hidden, false);
    add_conv(graph, block, inner, spec->conv_width);
    linear(graph, OP_NAME_X_PROJ, block, small, inner, false);
    /* dt, B and C are sums over all channels: ranks that hold a part of them add up */
    add_collective(graph, OP_NAME_X_PROJ_ALLREDUCE, block, COLLECTIVE_ALL_REDUCE, graph->parallel.tp, small,
                   attention_share(graph));
    if (spec->norm_dt_bc)
        add_norm(graph, OP_NAME_DT_BC_NORM, block, small, 1, false)->rows_factor = attention_share(graph);
    keep_small_wide(graph, linear(graph, OP_NAME_DT_PROJ, block, inner, spec->dt_rank, true));
    add_recurrence(graph, block, RECURRENCE_MAMBA1, inner, spec->state, 1, 0, 1);
    linear(graph, OP_NAME_OUT_PROJ, block, hidden, inner, false);
}

static void build_mamba2(struct graph *graph, int block, const struct mamba_spec *spec)
{
    enum { SSD_CHUNK = 256 }; /* tokens; the reference implementation's chunk (mamba_ssm, Mamba2 default) */
    double tp = graph->parallel.tp, hidden = graph->model->hidden;
    double inner = spec->inner / tp, heads = spec->heads / tp;
    double groups = spec->groups > tp ? spec->groups / tp : 1;
    double shared = 2 * groups * spec->state;
    linear(graph, OP_NAME_IN_PROJ, block, 2 * inner + shared + heads, hidden, false);
    add_conv(graph, block, inner + shared, spec->conv_width);
    add_recurrence(graph, block, RECURRENCE_MAMBA2, heads, spec->state, inner / heads, 0, SSD_CHUNK);
    add_gated_norm(graph, block, inner, inner);
    linear(graph, OP_NAME_OUT_PROJ, block, hidden, inner, false);
}

static void build_deltanet(struct graph *graph, int block, const struct deltanet_spec *spec)
{
    enum { DELTA_CHUNK = 64 }; /* tokens; arXiv:2406.06484 (chunkwise DeltaNet) and its public kernels */
    double tp = graph->parallel.tp, hidden = graph->model->hidden;
    double value_heads = spec->value_heads / tp;
    double keys = spec->key_heads / tp * spec->key_head_dim, values = value_heads * spec->value_head_dim;
    linear(graph, OP_NAME_IN_PROJ, block, 2 * keys + 2 * values, hidden, false); /* q, k, v, z */
    linear(graph, OP_NAME_GATES, block, 2 * value_heads, hidden, false);         /* beta, alpha */
    add_conv(graph, block, 2 * keys + values, spec->conv_width);
    add_recurrence(graph, block, RECURRENCE_GATED_DELTANET, value_heads, spec->key_head_dim,
                   spec->value_head_dim, 0, DELTA_CHUNK);
    add_gated_norm(graph, block, values, spec->value_head_dim);
    linear(graph, OP_NAME_OUT_PROJ, block, hidden, values, false);
}

static void build_mlstm(struct graph *graph, int block, const struct mlstm_spec *spec)
{
    double tp = graph->parallel.tp, hidden = graph->model->hidden, heads = spec->heads / tp;
    double keys = heads * spec->qk_head_dim, values = heads * spec->v_head_dim;
    linear(graph, OP_NAME_IN_PROJ, block, 2 * keys + 2 * values, hidden, false); /* q, k, v, output gate */
    linear(graph, OP_NAME_GATES, block, 2 * heads, hidden, true);                /* input and forget gates */
    /* beside the matrix memory: the normaliser [qk] and the stabiliser of each head */
    add_recurrence(graph, block, RECURRENCE_MLSTM, heads, spec->qk_head_dim, spec->v_head_dim,
                   heads * (spec->qk_head_dim + 1), spec->chunk > 0 ? spec->chunk : 64);
    add_gated_norm(graph, block, values, values); /* over each head, with weights for all of them */
    linear(graph, OP_NAME_OUT_PROJ, block, hidden, values, false);
}

void build_recurrent(struct graph *graph, int block)
{
    const struct block_spec *spec = &graph->model->blocks[block];
    switch (spec->mixer) {
    case MIXER_MAMBA1:
        build_mamba1(graph, block, &spec->mamba);
        break;
    case MIXER_MAMBA2:
        build_mamba2(graph, block, &spec->mamba);
        break;
    case MIXER_GATED_DELTANET:
        build_deltanet(graph, block, &spec->deltanet);
        break;
    case MIXER_MLSTM:
        build_mlstm(graph, block, &spec->mlstm);
        break;
    default:
        break;
    }
}
