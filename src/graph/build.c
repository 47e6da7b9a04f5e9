#include "graph/build.h"

double attention_share(const struct graph *graph)
{
    return 1.0 / graph->parallel.dp;
}

double residual_share(const struct graph *graph)
{
    return attention_share(graph) / (graph->parallel.sp ? graph->parallel.tp : 1);
}

bool tokens_travel(const struct graph *graph, int block)
{
    return graph->model->blocks[block].ffn == FFN_MOE && graph->parallel.ep > 1 && graph->parallel.dp > 1;
}

int ffn_ranks(const struct graph *graph)
{
    return graph->parallel.tp * graph->parallel.dp;
}

struct op *add_linear(struct graph *graph, const char *name, int block, double n, double k, bool bias)
{
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, block);
    struct op *op = graph_add_op(graph, name, OP_GEMM, block);
    if (graph->failed)
        return op;
    struct buffer *buffer = &graph->buffers[weights];
    buffer->type = graph->types.weights;
    buffer->rows = n;
    buffer->cols = k;
    op->weights = weights;
    op->gemm.n = n;
    op->gemm.k = k;
    op->gemm.batch = 1;
    op->gemm.bias = bias;
    op->gemm.a_type = op->gemm.c_type = graph->types.activations;
    if (bias) {
        int index = graph_add_buffer(graph, name, BUFFER_WEIGHTS, block);
        if (graph->failed)
            return op;
        graph->buffers[index].type = graph->types.activations;
        graph->buffers[index].rows = 1;
        graph->buffers[index].cols = n;
    }
    return op;
}

void keep_small_wide(struct graph *graph, const struct op *linear)
{
    if (!graph->failed && graph->software->wide_small_weights)
        graph->buffers[linear->weights].type = graph->types.activations;
}

struct op *add_stream(struct graph *graph, const char *name, enum op_kind kind, int block, double read,
                      double written, double flops)
{
    struct op *op = graph_add_op(graph, name, kind, block);
    op->stream.read = read;
    op->stream.written = written;
    op->stream.flops = flops;
    op->stream.read_type = op->stream.write_type = graph->types.activations;
    return op;
}

struct op *add_norm(struct graph *graph, const char *name, int block, double width, double norms_a_row,
                    bool residual)
{
    enum { NORM_FLOPS = 7, ADD_FLOPS = 1 };
    double values = width * norms_a_row;
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, block);
    struct op *op =
        add_stream(graph, name, OP_NORM, block, values * (residual ? 2 : 1), values * (residual ? 2 : 1),
                   values * (NORM_FLOPS + (residual ? ADD_FLOPS : 0)));
    if (graph->failed)
        return op;
    graph->buffers[weights].type = graph->types.activations;
    graph->buffers[weights].rows = graph->model->norm_bias ? 2 : 1;
    graph->buffers[weights].cols = width;
    op->weights = weights;
    op->stream.fixed_read = width * (graph->model->norm_bias ? 2 : 1);
    op->stream.fixed_read_bytes_each = element_bytes_each(&graph->types.activations);
    return op;
}

void norm_set_values(struct graph *graph, struct op *norm, double values)
{
    if (graph->failed)
        return;
    struct buffer *buffer = &graph->buffers[norm->weights];
    buffer->cols = values;
    norm->stream.fixed_read = values * buffer->rows;
}

void add_block_norm(struct graph *graph, const char *name, int block)
{
    double hidden = graph->model->hidden, rows = residual_share(graph);
    bool fused = graph->software->fuse_norm_add;
    if (!fused) {
        struct op *op =
            add_stream(graph, OP_NAME_RESIDUAL_ADD, OP_ELEMENTWISE, block, 2 * hidden, hidden, hidden);
        op->rows_factor = rows;
        op->stream.in_place = hidden;
    }
    add_norm(graph, name, block, hidden, 1, fused)->rows_factor = rows;
}

void add_collective(struct graph *graph, const char *name, int block, enum collective kind, int ranks,
                    double width, double rows_factor)
{
    if (ranks <= 1)
        return;
    struct op *op = graph_add_op(graph, name, OP_COLLECTIVE, block);
    op->rows_factor = rows_factor;
    op->collective.kind = kind;
    op->collective.ranks = ranks;
    op->collective.bytes_per_row = width * element_bytes_each(&graph->types.activations);
}

int add_kv_buffer(struct graph *graph, const char *name, int block, double elements, double window)
{
    int index = graph_add_buffer(graph, name, BUFFER_KV, block);
    if (graph->failed)
        return index;
    struct buffer *buffer = &graph->buffers[index];
    buffer->type = graph->types.kv;
    buffer->elements = elements;
    buffer->window = window;
    buffer->page_tokens = graph->software->kv_block_tokens > 1 ? graph->software->kv_block_tokens : 1;
    buffer->sequence_share = attention_share(graph);
    return index;
}

int add_state_buffer(struct graph *graph, const char *name, int block, double elements,
                     const struct element_type *type)
{
    int index = add_kv_buffer(graph, name, block, elements, 0);
    if (graph->failed)
        return index;
    graph->buffers[index].type = *type;
    graph->buffers[index].per_sequence = true;
    return index;
}
