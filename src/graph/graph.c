#include "graph/build.h"

#include <string.h>

struct element_type element_type_of(const char *name)
{
    struct element_type type = {0};
    element_type_parse(name, &type);
    return type;
}

/* Types that carry activations between operators; integer and 8-bit ones are made just before a GEMM. */
static bool carries_activations(const struct element_type *type)
{
    return type->format == FORMAT_BF16 || type->format == FORMAT_FP16 || type->format == FORMAT_FP32;
}

struct graph_types graph_default_types(const struct model *model)
{
    struct graph_types types = {.weights = model->weight_type, .experts = model->expert_type};
    if (types.experts.format == FORMAT_NONE)
        types.experts = types.weights;
    types.activations =
        carries_activations(&model->activation_type) ? model->activation_type : element_type_of("bf16");
    types.embedding = carries_activations(&types.weights) ? types.weights : types.activations;
    types.kv = types.activations;
    types.state = element_type_of("fp32");
    return types;
}

struct op *graph_insert_op(struct graph *graph, int at, const char *name, enum op_kind kind, int block)
{
    if (graph->op_count >= graph->op_capacity) {
        /* the last slot takes what no longer fits, so that builders need not check each addition */
        graph->failed = true;
        graph->ops[graph->op_capacity - 1] =
            (struct op){.weights = BUFFER_NONE, .cache = BUFFER_NONE, .cache_more = BUFFER_NONE};
        return &graph->ops[graph->op_capacity - 1];
    }
    struct op *op = &graph->ops[at];
    memmove(op + 1, op, (size_t)(graph->op_count - at) * sizeof *op);
    graph->op_count++;
    for (int i = 0; i < graph->op_count; i++)
        graph->ops[i].waits_for += graph->ops[i].waits_for >= at;
    *op = (struct op){.name = name,
                      .kind = kind,
                      .block = block,
                      .regime = REGIME_ANY,
                      .rows_factor = 1,
                      .per_layer = 1,
                      .weights = BUFFER_NONE,
                      .cache = BUFFER_NONE,
                      .cache_more = BUFFER_NONE,
                      .encodes = block != OUTSIDE_LAYERS && model_encodes(graph->model, block),
                      .waits_for = -1};
    return op;
}

struct op *graph_add_op(struct graph *graph, const char *name, enum op_kind kind, int block)
{
    return graph_insert_op(graph, graph->op_count, name, kind, block);
}

int graph_add_buffer(struct graph *graph, const char *name, enum buffer_class class, int block)
{
    if (graph->buffer_count >= graph->buffer_capacity) {
        graph->failed = true;
        return graph->buffer_capacity - 1;
    }
    graph->buffers[graph->buffer_count] = (struct buffer){.name = name,
                                                          .class = class,
                                                          .block = block,
                                                          .copies = 1,
                                                          .touched = 1,
                                                          .page_tokens = 1,
                                                          .sequence_share = 1,
                                                          .tier = -1,
                                                          .away_tier = -1};
    return graph->buffer_count++;
}

int block_layers_between(const struct model *model, int block, int first, int last)
{
    int layers = 0;
    for (int i = first; i < last && i < model->layers; i++)
        layers += model->pattern[i] == block;
    return layers;
}

/* After a sub-layer that is cut by columns and rows, the ranks of an attention group add up their partial
 * sums. With sequence parallelism each keeps its tokens of the sum (reduce-scatter), and gathers all before
 * the next sub-layer. */
struct reduction {
    const char *reduce, *scatter, *gather;
};

static void add_gather(struct graph *graph, int block, const char *name)
{
    int tp = graph->parallel.tp;
    add_collective(graph, name, block, COLLECTIVE_ALL_GATHER, tp, graph->model->hidden / (double)tp,
                   attention_share(graph));
}

static void add_reduction(struct graph *graph, int block, const struct reduction *names, bool gathers)
{
    double hidden = graph->model->hidden, share = attention_share(graph);
    int tp = graph->parallel.tp;
    if (!graph->parallel.sp) {
        add_collective(graph, names->reduce, block, COLLECTIVE_ALL_REDUCE, tp, hidden, share);
        return;
    }
    add_collective(graph, names->scatter, block, COLLECTIVE_REDUCE_SCATTER, tp, hidden, share);
    if (gathers)
        add_gather(graph, block, names->gather);
}

static void build_mixer(struct graph *graph, int block)
{
    const struct block_spec *spec = &graph->model->blocks[block];
    if (spec->mixer == MIXER_NONE)
        return;
    add_block_norm(graph, OP_NAME_ATTENTION_NORM, block);
    if (spec->mixer == MIXER_ATTENTION)
        build_attention(graph, block);
    else if (spec->mixer == MIXER_MLA)
        build_mla(graph, block);
    else
        build_recurrent(graph, block);
    bool summed_later = spec->mixer == MIXER_ATTENTION && spec->attention.parallel && spec->ffn == FFN_DENSE;
    static const struct reduction names = {OP_NAME_ATTENTION_ALLREDUCE, OP_NAME_ATTENTION_REDUCE_SCATTER,
                                           OP_NAME_ATTENTION_ALLGATHER};
    bool crosses = spec->cross_attention.heads > 0;
    if (!summed_later) /* tokens that travel start from the rank that keeps them */
        add_reduction(graph, block, &names, crosses || !tokens_travel(graph, block));
}

static void build_cross(struct graph *graph, int block)
{
    if (graph->model->blocks[block].cross_attention.heads == 0)
        return;
    static const struct reduction names = {OP_NAME_CROSS_ALLREDUCE, OP_NAME_CROSS_REDUCE_SCATTER,
                                           OP_NAME_CROSS_ALLGATHER};
    add_block_norm(graph, OP_NAME_CROSS_NORM, block);
    build_cross_attention(graph, block);
    add_reduction(graph, block, &names, !tokens_travel(graph, block));
}

/* Layers cut over all attention groups work on all groups' tokens, gathered before; each rank keeps its
 * tokens of the sum after, and the group gathers its own. */
static void build_over_groups(struct graph *graph, int block)
{
    const struct parallelism *parallel = &graph->parallel;
    double hidden = graph->model->hidden;
    add_collective(graph, OP_NAME_GROUPS_ALLGATHER, block, COLLECTIVE_ALL_GATHER, parallel->dp, hidden,
                   attention_share(graph));
    if (graph->model->blocks[block].ffn == FFN_DENSE)
        build_ffn(graph, block);
    else
        build_moe(graph, block);
    add_collective(graph, OP_NAME_GROUPS_REDUCE_SCATTER, block, COLLECTIVE_REDUCE_SCATTER, ffn_ranks(graph),
                   hidden, 1);
    add_gather(graph, block, OP_NAME_FFN_ALLGATHER);
}

static void build_feed_forward(struct graph *graph, int block)
{
    const struct block_spec *spec = &graph->model->blocks[block];
    if (spec->ffn == FFN_NONE)
        return;
    bool parallel_attention = spec->mixer == MIXER_ATTENTION && spec->attention.parallel;
    if (!parallel_attention || spec->norms != 1) /* one norm may feed both */
        add_block_norm(graph, OP_NAME_FFN_NORM, block);
    if (tokens_travel(graph, block)) {
        build_moe(graph, block);
        add_gather(graph, block,
                   OP_NAME_FFN_ALLGATHER); /* each rank of a group has the results of its tokens */
        return;
    }
    if (graph->parallel.dp > 1) {
        build_over_groups(graph, block);
        return;
    }
    static const struct reduction names = {OP_NAME_FFN_ALLREDUCE, OP_NAME_FFN_REDUCE_SCATTER,
                                           OP_NAME_FFN_ALLGATHER};
    if (spec->ffn == FFN_DENSE)
        build_ffn(graph, block);
    else
        build_moe(graph, block);
    add_reduction(graph, block, &names, true);
}

/* Norms beyond the one at the head of each sub-layer (Gemma's post-norms). */
static void add_extra_norms(struct graph *graph, int block)
{
    const struct block_spec *spec = &graph->model->blocks[block];
    int natural = (spec->mixer != MIXER_NONE) + (spec->cross_attention.heads > 0) + (spec->ffn != FFN_NONE);
    if (spec->norms <= natural)
        return;
    double hidden = graph->model->hidden, extra = spec->norms - natural;
    struct op *norm = add_norm(graph, OP_NAME_POST_NORM, block, hidden, extra, false);
    norm->rows_factor = residual_share(graph);
    norm_set_values(graph, norm, extra * hidden);
}

static void add_stage_transfer(struct graph *graph)
{
    if (graph->parallel.pp < 2)
        return;
    struct op *op = graph_add_op(graph, OP_NAME_STAGE_TRANSFER, OP_TRANSFER, OUTSIDE_LAYERS);
    op->per_layer = graph->parallel.pp - 1; /* a step passes them all in turn */
    op->rows_factor = attention_share(graph);
    op->transfer.bytes_per_row = graph->model->hidden * element_bytes_each(&graph->types.activations);
}

/* The kinds of layers of the encoder, or those of the decoder. */
static void build_blocks(struct graph *graph, bool encoder)
{
    for (int block = 0; block < (int)graph->model->block_count; block++) {
        bool loaded = graph->model->block_layers[block] > 0; /* else of multi-token prediction only */
        if (!loaded || model_encodes(graph->model, block) != encoder)
            continue;
        build_mixer(graph, block);
        build_cross(graph, block);
        build_feed_forward(graph, block);
        add_extra_norms(graph, block);
        add_small_tensors(graph, block);
    }
}

bool graph_build(struct graph *graph, struct arena *arena, struct diag *diag, const struct model *model,
                 const struct software *software, const struct parallelism *parallel,
                 const struct graph_types *types)
{
    *graph = (struct graph){.model = model,
                            .software = software,
                            .parallel = *parallel,
                            .types = *types,
                            .op_capacity = OPS_MOST,
                            .buffer_capacity = BUFFERS_MOST,
                            .arena = arena};
    graph->ops = ARENA_ARRAY(arena, struct op, OPS_MOST);
    graph->buffers = ARENA_ARRAY(arena, struct buffer, BUFFERS_MOST);
    if (!graph->ops || !graph->buffers)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!check_parallelism(diag, model, parallel))
        return false;
    build_input(graph);
    if (model->encoder_layers > 0) {
        build_encoder_input(graph);
        build_blocks(graph, true);
        build_encoder_output(graph);
    }
    build_blocks(graph, false);
    add_stage_transfer(graph);
    build_output(graph);
    add_small_tensors(graph, OUTSIDE_LAYERS);
    add_vision_buffer(graph);
    add_activation_buffers(graph);
    add_reserved_buffers(graph);
    if (graph->failed)
        return diag_error(diag, NOWHERE, "%s: more than %d operators or %d buffers", model->id, OPS_MOST,
                          BUFFERS_MOST);
    return true;
}
