#include "mechanism/rewrites.h"

#include <string.h>

bool block_is_chosen(const struct model *model, int block, const bool *chosen)
{
    for (int layer = 0; layer < model->layers; layer++)
        if (model->pattern[layer] == block && !chosen[layer])
            return false;
    return true;
}

static bool block_has_chosen(const struct model *model, int block, const bool *chosen)
{
    for (int layer = 0; layer < model->layers; layer++)
        if (model->pattern[layer] == block && chosen[layer])
            return true;
    return false;
}

/* The model's own blocks and pattern in place of those it shares with the catalogue. */
static bool own_blocks(struct rewrite *rewrite)
{
    struct model *model = rewrite->model;
    struct block_spec *blocks = ARENA_ARRAY(rewrite->arena, struct block_spec, BLOCKS_MOST);
    unsigned char *pattern = ARENA_ARRAY(rewrite->arena, unsigned char, (size_t)model->layers + 1);
    int *layers = ARENA_ARRAY(rewrite->arena, int, BLOCKS_MOST);
    if (!blocks || !pattern || !layers)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    if (model->block_count > BLOCKS_MOST)
        return diag_error(rewrite->diag, NOWHERE, "%s has more than %d blocks", model->id, BLOCKS_MOST);
    memcpy(blocks, model->blocks, model->block_count * sizeof *blocks);
    memcpy(pattern, model->pattern, (size_t)model->layers);
    memcpy(layers, model->block_layers, model->block_count * sizeof *layers);
    model->blocks = blocks;
    model->pattern = pattern;
    model->block_layers = layers;
    return true;
}

bool layers_set_apart(struct rewrite *rewrite, const bool *chosen)
{
    struct model *model = rewrite->model;
    if (!own_blocks(rewrite))
        return false;
    int before = (int)model->block_count;
    for (int block = 0; block < before; block++) {
        if (!block_has_chosen(model, block, chosen) || block_is_chosen(model, block, chosen))
            continue;
        if (model->block_count == BLOCKS_MOST)
            return diag_error(rewrite->diag, NOWHERE, "%s: more than %d kinds of layers", model->id,
                              BLOCKS_MOST);
        int own = (int)model->block_count++;
        model->blocks[own] = model->blocks[block];
        for (int layer = 0; layer < model->layers; layer++) {
            if (model->pattern[layer] != block || !chosen[layer])
                continue;
            model->pattern[layer] = (unsigned char)own;
            model->block_layers[block]--;
            model->block_layers[own]++;
        }
    }
    return true;
}

bool *layers_from(struct rewrite *rewrite, const struct model *model, int first)
{
    bool *chosen = ARENA_ARRAY(rewrite->arena, bool, (size_t)model->layers + 1);
    if (!chosen)
        diag_error(rewrite->diag, NOWHERE, "out of memory");
    for (int layer = 0; chosen && layer < model->layers; layer++)
        chosen[layer] = layer >= model->encoder_layers + first;
    return chosen;
}

int overlap_group_free(const struct graph *graph)
{
    bool used[OVERLAP_GROUPS_MOST] = {true}; /* group 0 is no group */
    for (int i = 0; i < graph->op_count; i++)
        used[graph->ops[i].overlap_group] = true;
    for (int group = 1; group < OVERLAP_GROUPS_MOST; group++)
        if (!used[group])
            return group;
    return 0;
}

struct op *op_copy(struct rewrite *rewrite, int index)
{
    struct graph *graph = rewrite->graph;
    const struct op *op = &graph->ops[index];
    struct op *copy = graph_insert_op(graph, index + 1, op->name, op->kind, op->block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
        return NULL;
    }
    int waits_for = copy->waits_for;
    *copy = graph->ops[index];
    copy->waits_for = waits_for;
    return copy;
}

int buffer_copy(struct rewrite *rewrite, int index)
{
    struct graph *graph = rewrite->graph;
    int copy = graph_add_buffer(graph, graph->buffers[index].name, graph->buffers[index].class,
                                graph->buffers[index].block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d buffers", BUFFERS_MOST);
        return BUFFER_NONE;
    }
    graph->buffers[copy] = graph->buffers[index];
    return copy;
}

bool attention_part_regimes(struct rewrite *rewrite, int index, int *prefill, int *decode)
{
    struct op *op = &rewrite->graph->ops[index];
    *prefill = op->regime == REGIME_PREFILL ? index : -1;
    *decode = op->regime == REGIME_DECODE ? index : -1;
    if (op->regime != REGIME_ANY)
        return true;
    if (!op_copy(rewrite, index))
        return false;
    *prefill = index;
    *decode = index + 1;
    rewrite->graph->ops[*prefill].regime = REGIME_PREFILL;
    rewrite->graph->ops[*decode].regime = REGIME_DECODE;
    return true;
}

bool attention_part_heads(struct rewrite *rewrite, int index, double share)
{
    struct graph *graph = rewrite->graph;
    int cache = graph->ops[index].cache, rest = buffer_copy(rewrite, cache);
    if (rest == BUFFER_NONE || !op_copy(rewrite, index))
        return false;
    struct op *first = &graph->ops[index], *second = &graph->ops[index + 1];
    first->attention.heads *= share;
    first->attention.kv_heads *= share;
    second->attention.heads -= first->attention.heads;
    second->attention.kv_heads -= first->attention.kv_heads;
    graph->buffers[rest].elements *= 1 - share;
    graph->buffers[cache].elements *= share;
    second->cache = rest;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (!op->writes_cache || op->cache != cache)
            continue;
        if (op->cache_more != BUFFER_NONE)
            return diag_error(rewrite->diag, NOWHERE, "two techniques part the heads of %s", op->name);
        op->cache_more = rest;
    }
    return true;
}

bool is_cached_attention(const struct op *op)
{
    return op->kind == OP_ATTENTION && op->attention.part == PART_FUSED && op->reads_cache &&
           !op->attention.cross;
}

/* ---- sub-layers ---- */

static bool begins_ffn(const struct op *op)
{
    static const char *const names[] = {OP_NAME_FFN_NORM, OP_NAME_GATE_UP_PROJ,   OP_NAME_GATE_PROJ,
                                        OP_NAME_UP_PROJ,  OP_NAME_ROUTER,         OP_NAME_FFN_ALLGATHER,
                                        OP_NAME_ROUTE,    OP_NAME_SHARED_GATE_UP, OP_NAME_GROUPS_ALLGATHER};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op->name, names[i]) == 0)
            return true;
    return false;
}

void sublayers_of(const struct graph *graph, unsigned char sublayers[OPS_MOST])
{
    int block = OUTSIDE_LAYERS;
    bool ffn = false;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (op->block != block)
            ffn = false;
        block = op->block;
        ffn |= begins_ffn(op);
        sublayers[i] = block == OUTSIDE_LAYERS ? SUBLAYER_NONE : ffn ? SUBLAYER_FFN : SUBLAYER_MIXER;
    }
}

/* ---- layers of a technique's own ---- */

struct op *linear_insert(struct rewrite *rewrite, int at, const char *name, int block, double n, double k)
{
    struct graph *graph = rewrite->graph;
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, block);
    struct op *op = graph_insert_op(graph, at, name, OP_GEMM, block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators or %d buffers",
                   OPS_MOST, BUFFERS_MOST);
        return NULL;
    }
    graph->buffers[weights].type = graph->types.weights;
    graph->buffers[weights].rows = n;
    graph->buffers[weights].cols = k;
    op->weights = weights;
    op->gemm = (struct gemm_work){
        .n = n, .k = k, .batch = 1, .a_type = graph->types.activations, .c_type = graph->types.activations};
    op->rows_factor = 1.0 / graph->parallel.dp;
    return op;
}

static bool head_add(struct rewrite *rewrite, int layers)
{
    struct graph *graph = rewrite->graph;
    double hidden = graph->model->hidden, tp = graph->parallel.tp, columns = graph->model->vocab / tp;
    struct op *op;
    for (int i = 0; i < layers; i++) {
        op = linear_insert(rewrite, graph->op_count, OP_NAME_HEAD_HIDDEN, OUTSIDE_LAYERS, hidden, hidden);
        if (!op)
            return false;
        op->rows = ROWS_SAMPLED;
    }
    op = linear_insert(rewrite, graph->op_count, OP_NAME_HEAD_LOGITS, OUTSIDE_LAYERS, columns, hidden);
    if (!op)
        return false;
    op->rows = ROWS_SAMPLED;
    graph->buffers[op->weights].type = graph->types.embedding;
    if (graph->parallel.tp == 1)
        return true;
    op = graph_add_op(graph, OP_NAME_HEAD_ALLGATHER, OP_COLLECTIVE, OUTSIDE_LAYERS);
    op->rows = ROWS_SAMPLED;
    op->rows_factor = 1.0 / graph->parallel.dp;
    op->collective =
        (struct collective_work){.kind = COLLECTIVE_ALL_GATHER,
                                 .ranks = tp,
                                 .bytes_per_row = columns * element_bytes_each(&graph->types.activations)};
    return !graph->failed ||
           diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
}

bool decoding_heads_add(struct rewrite *rewrite, int heads, int layers)
{
    for (int i = 0; i < heads; i++)
        if (!head_add(rewrite, layers))
            return false;
    return true;
}
