/* Dense feed-forward networks: gated (SwiGLU, GeGLU: arXiv:2002.05202) or plain. */
#include "graph/build.h"

/* silu or gelu: about 4 FLOPs; the gate's product 1 more. */
enum { ACTIVATION_FLOPS = 4, GATE_FLOPS = 1 };

/* Ranks hold columns, not tokens: all of them work on all rows, which is what add_linear and add_stream
 * assume. */
static void add_gated(struct graph *graph, int block, const struct dense_spec *spec, double width)
{
    double hidden = graph->model->hidden;
    if (graph->software->fuse_gate_up) {
        add_linear(graph, OP_NAME_GATE_UP_PROJ, block, 2 * width, hidden, spec->bias);
    } else {
        add_linear(graph, OP_NAME_GATE_PROJ, block, width, hidden, spec->bias);
        add_linear(graph, OP_NAME_UP_PROJ, block, width, hidden, spec->bias);
    }
    if (graph->software->fuse_activation) {
        struct op *op = add_stream(graph, OP_NAME_ACTIVATION, OP_ELEMENTWISE, block, 2 * width, width,
                                   (ACTIVATION_FLOPS + GATE_FLOPS) * width);
        op->stream.exponentials = op->stream.in_place = width;
        return;
    }
    add_stream(graph, OP_NAME_ACTIVATION, OP_ELEMENTWISE, block, width, width, ACTIVATION_FLOPS * width)
        ->stream.exponentials = width;
    add_stream(graph, OP_NAME_ACTIVATION_MUL, OP_ELEMENTWISE, block, 2 * width, width, GATE_FLOPS * width);
}

void build_ffn(struct graph *graph, int block)
{
    const struct dense_spec *spec = &graph->model->blocks[block].dense;
    double hidden = graph->model->hidden, width = spec->intermediate / (double)ffn_ranks(graph);
    if (spec->gated) {
        add_gated(graph, block, spec, width);
    } else {
        add_linear(graph, OP_NAME_UP_PROJ, block, width, hidden, spec->bias);
        struct op *op = add_stream(graph, OP_NAME_ACTIVATION, OP_ELEMENTWISE, block, width, width,
                                   ACTIVATION_FLOPS * width);
        op->stream.exponentials = op->stream.in_place = width;
    }
    if (spec->sub_norm)
        add_norm(graph, OP_NAME_FFN_SUB_NORM, block, width, 1, false);
    add_linear(graph, OP_NAME_DOWN_PROJ, block, hidden, width, spec->bias);
}
