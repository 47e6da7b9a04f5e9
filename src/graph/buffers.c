/* Memory that no operator owns: activations, what the software reserves, the vision tower. */
#include "graph/build.h"

/* The widest set of tensors alive at once for a token: residual stream and the two widest neighbours of the
 * layers (input and output of the widest GEMM), plus the logits of sampled positions. */
void add_activation_buffers(struct graph *graph)
{
    double widest = 0;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (op->kind != OP_GEMM || (op->rows != ROWS_TOKENS && op->rows != ROWS_SOURCE))
            continue;
        double scale = op->gemm.experts > 0 ? op->gemm.top_k * op->gemm.local_experts / op->gemm.experts
                                            : op->rows_factor * op->gemm.batch;
        double values = scale * (op->gemm.n + op->gemm.k);
        widest = values > widest ? values : widest;
    }
    int index = graph_add_buffer(graph, "activations", BUFFER_ACTIVATIONS, OUTSIDE_LAYERS);
    int logits = graph_add_buffer(graph, "logits", BUFFER_ACTIVATIONS, OUTSIDE_LAYERS);
    if (graph->failed)
        return;
    graph->buffers[index].type = graph->types.activations;
    graph->buffers[index].elements = widest + graph->model->hidden * attention_share(graph);
    graph->buffers[logits].type = element_type_of("fp32"); /* sampling works on fp32 logits */
    graph->buffers[logits].elements = graph->model->vocab * attention_share(graph);
    graph->buffers[logits].per_sequence = true;
}

void add_reserved_buffers(struct graph *graph)
{
    const struct software *software = graph->software;
    bool several = ffn_ranks(graph) * graph->parallel.pp > 1;
    double bytes =
        software->context_bytes + software->graph_bytes + (several ? software->collective_bytes : 0);
    int index = graph_add_buffer(graph, "reserved", BUFFER_RESERVED, OUTSIDE_LAYERS);
    if (!graph->failed)
        graph->buffers[index].bytes = bytes;
}

/* The vision tower's weights take memory; images are not part of a step. */
void add_vision_buffer(struct graph *graph)
{
    struct parameter_count count;
    model_parameters(graph->model, &count);
    if (count.vision <= 0)
        return;
    int index = graph_add_buffer(graph, "vision_tower", BUFFER_WEIGHTS, OUTSIDE_LAYERS);
    if (graph->failed)
        return;
    struct buffer *buffer = &graph->buffers[index];
    buffer->type = graph->types.embedding;
    buffer->rows = 1;
    buffer->cols = count.vision;
    buffer->touched = 0;
    buffer->on_first_stage = true;
}
