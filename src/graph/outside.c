/* What runs once per step, outside the layers: embedding at the front; final norm, head and sampling at the
 * end; embedding and norm of an encoder. */
#include "graph/build.h"

/* A table whose rows are looked up, not multiplied: one row read and one written a token. */
static void add_table(struct graph *graph, const char *name, double table_rows, double width)
{
    const struct element_type *type = &graph->types.embedding;
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, OUTSIDE_LAYERS);
    struct op *op = add_stream(graph, name, OP_GATHER, OUTSIDE_LAYERS, width, width, 0);
    if (graph->failed)
        return;
    struct buffer *buffer = &graph->buffers[weights];
    buffer->type = *type;
    buffer->rows = table_rows;
    buffer->cols = width;
    buffer->touched = 0;
    buffer->on_first_stage = true;
    op->weights = weights;
    op->stream.read_type = *type;
    op->on_first_stage = true;
    op->rows_factor = attention_share(graph);
}

static void put_on_first_stage(struct graph *graph, struct op *op)
{
    op->on_first_stage = true;
    if (!graph->failed)
        graph->buffers[op->weights].on_first_stage = true;
}

void build_input(struct graph *graph)
{
    const struct model *model = graph->model;
    double width = model->embedding_dim > 0 ? model->embedding_dim : model->hidden;
    int tp = graph->parallel.tp;
    add_table(graph, OP_NAME_EMBEDDING, model->vocab / (double)tp, width);
    if (model->tied_embeddings && !graph->failed) {
        /* the head multiplies by the same table; stages share it only when they are one */
        graph->buffers[graph->buffer_count - 1].on_last_stage = true;
    }
    /* each rank holds a slice of the vocabulary and leaves zeros for the other tokens */
    add_collective(graph, OP_NAME_EMBEDDING_ALLREDUCE, OUTSIDE_LAYERS, COLLECTIVE_ALL_REDUCE, tp, width,
                   attention_share(graph));
    if (!graph->failed && tp > 1)
        graph->ops[graph->op_count - 1].on_first_stage = true;
    if (model->learned_positions > 0)
        add_table(graph, OP_NAME_POSITIONS, model->learned_positions, model->hidden);
    if (model->embedding_dim > 0) {
        struct op *op =
            add_linear(graph, OP_NAME_EMBEDDING_PROJ, OUTSIDE_LAYERS, model->hidden, width, false);
        put_on_first_stage(graph, op);
        op->rows_factor = attention_share(graph);
    }
    if (model->embedding_norm) {
        struct op *op = add_norm(graph, OP_NAME_EMBEDDING_NORM, OUTSIDE_LAYERS, model->hidden, 1, false);
        put_on_first_stage(graph, op);
        op->rows_factor = attention_share(graph);
    }
}

static int embedding_buffer(const struct graph *graph)
{
    for (int i = 0; i < graph->buffer_count; i++)
        if (graph->buffers[i].class == BUFFER_WEIGHTS && graph->buffers[i].touched == 0)
            return i;
    return BUFFER_NONE;
}

static void add_head(struct graph *graph, double share)
{
    const struct model *model = graph->model;
    double width = model->embedding_dim > 0 ? model->embedding_dim : model->hidden;
    double columns = model->vocab / (double)graph->parallel.tp;
    struct op *op;
    if (model->tied_embeddings) {
        op = graph_add_op(graph, OP_NAME_LM_HEAD, OP_GEMM, OUTSIDE_LAYERS);
        op->weights = embedding_buffer(graph);
        op->gemm.n = columns;
        op->gemm.k = width;
        op->gemm.batch = 1;
    } else {
        op = add_linear(graph, OP_NAME_LM_HEAD, OUTSIDE_LAYERS, columns, width, model->head_bias);
        if (graph->failed)
            return;
        graph->buffers[op->weights].type = graph->types.embedding;
    }
    op->gemm.a_type = graph->types.activations;
    op->gemm.c_type = graph->types.activations;
    op->rows = ROWS_SAMPLED;
    op->rows_factor = share;
}

void build_output(struct graph *graph)
{
    const struct model *model = graph->model;
    double share = attention_share(graph), vocab = model->vocab;
    if (!model->no_final_norm) {
        struct op *norm = add_norm(graph, OP_NAME_FINAL_NORM, OUTSIDE_LAYERS, model->hidden, 1,
                                   graph->software->fuse_norm_add);
        norm->rows = ROWS_SAMPLED; /* positions that are not sampled are dropped before it */
        norm->rows_factor = share;
    }
    if (model->embedding_dim > 0) {
        struct op *op =
            add_linear(graph, "output_proj", OUTSIDE_LAYERS, model->embedding_dim, model->hidden, false);
        op->rows = ROWS_SAMPLED;
        op->rows_factor = share;
    }
    add_head(graph, share);
    add_collective(graph, OP_NAME_LOGITS_ALLGATHER, OUTSIDE_LAYERS, COLLECTIVE_ALL_GATHER, graph->parallel.tp,
                   vocab / graph->parallel.tp, share);
    if (!graph->failed && graph->parallel.tp > 1)
        graph->ops[graph->op_count - 1].rows = ROWS_SAMPLED;
    /* softmax (5 FLOPs a logit, as in LLM-Viewer's softmax row) and one pass of selection */
    struct op *sample = add_stream(graph, OP_NAME_SAMPLE, OP_SAMPLE, OUTSIDE_LAYERS, vocab, 1, 6 * vocab);
    sample->rows = ROWS_SAMPLED;
    sample->rows_factor = share;
}

/* The prompt's look-ups in the same table. */
void build_encoder_input(struct graph *graph)
{
    double width = graph->model->hidden, share = attention_share(graph);
    struct op *op = add_stream(graph, OP_NAME_ENCODER_EMBEDDING, OP_GATHER, OUTSIDE_LAYERS, width, width, 0);
    op->weights = embedding_buffer(graph);
    op->stream.read_type = graph->types.embedding;
    op->on_first_stage = true;
    op->encodes = true;
    op->rows_factor = share;
    if (graph->parallel.tp == 1)
        return;
    add_collective(graph, OP_NAME_ENCODER_ALLREDUCE, OUTSIDE_LAYERS, COLLECTIVE_ALL_REDUCE,
                   graph->parallel.tp, width, share);
    op = &graph->ops[graph->op_count - 1];
    op->on_first_stage = true;
    op->encodes = true;
}

/* The norm of all tokens before the decoder attends to them. */
void build_encoder_output(struct graph *graph)
{
    if (graph->model->no_final_norm)
        return;
    struct op *norm = add_norm(graph, OP_NAME_ENCODER_NORM, OUTSIDE_LAYERS, graph->model->hidden, 1,
                               graph->software->fuse_norm_add);
    norm->rows_factor = attention_share(graph);
    norm->encodes = true;
}
