/* Cross-attention of decoder layers to an encoder's output (arXiv:1706.03762). Keys and values are made of
 * that output once, in the decoder's first step, and kept as they are: each step reads all of them and adds
 * none. */
#include "graph/build.h"

static void add_keys_and_values(struct graph *graph, int block, const struct cross_attention_spec *spec,
                                double width)
{
    double hidden = graph->model->hidden, rows = attention_share(graph);
    static const char *const fused[] = {OP_NAME_CROSS_KV_PROJ}, *const apart[] = {OP_NAME_CROSS_K_PROJ,
                                                                                  OP_NAME_CROSS_V_PROJ};
    bool one = graph->software->fuse_qkv;
    for (int i = 0; i < (one ? 1 : 2); i++) {
        struct op *op = add_linear(graph, one ? fused[0] : apart[i], block, one ? 2 * width : width, hidden,
                                   spec->qkv_bias);
        op->rows = ROWS_SOURCE;
        op->rows_factor = rows;
    }
}

static int add_cross_cache(struct graph *graph, int block, double width)
{
    int cache = add_kv_buffer(graph, "cross_kv_cache", block, 2 * width, 0);
    if (!graph->failed)
        graph->buffers[cache].source = true;
    struct op *op = add_stream(graph, OP_NAME_CROSS_KV_WRITE, OP_ELEMENTWISE, block, 2 * width, 0, 0);
    op->rows = ROWS_SOURCE;
    op->rows_factor = attention_share(graph);
    op->cache = cache;
    op->writes_cache = true;
    return cache;
}

void build_cross_attention(struct graph *graph, int block)
{
    static const struct attention_names names = {OP_NAME_CROSS_ATTENTION, OP_NAME_CROSS_QK,
                                                 OP_NAME_CROSS_SOFTMAX, OP_NAME_CROSS_PV};
    const struct cross_attention_spec *spec = &graph->model->blocks[block].cross_attention;
    double hidden = graph->model->hidden, rows = attention_share(graph);
    double heads = spec->heads / (double)graph->parallel.tp, width = heads * spec->head_dim;
    const struct attention_work work = {.heads = heads,
                                        .kv_heads = heads,
                                        .qk_dim = spec->head_dim,
                                        .v_dim = spec->head_dim,
                                        .cross = true,
                                        .q_type = graph->types.activations};

    add_linear(graph, OP_NAME_CROSS_Q_PROJ, block, width, hidden, spec->qkv_bias)->rows_factor = rows;
    add_keys_and_values(graph, block, spec, width);
    int cache = add_cross_cache(graph, block, width);
    add_attention_core(graph, block, &names, &work, cache);
    add_linear(graph, OP_NAME_CROSS_O_PROJ, block, hidden, width, spec->o_bias)->rows_factor = rows;
}
