#include "mechanism/kv_cache.h"

#include <math.h>

bool kv_attends(const struct op *op)
{
    if (op->kind != OP_ATTENTION || op->attention.cross || op->attention.part == PART_INDEX || op->encodes)
        return false;
    return op->cache != BUFFER_NONE;
}

bool kv_writes(const struct graph *graph, const struct op *op)
{
    if (!op->writes_cache || op->cache == BUFFER_NONE || op->block == OUTSIDE_LAYERS)
        return false;
    const struct buffer *buffer = &graph->buffers[op->cache];
    return buffer->class == BUFFER_KV && !buffer->per_sequence && !buffer->source;
}

struct element_type kv_type_scaled(const struct element_type *type, double scale, double more_bits)
{
    struct element_type scaled = *type;
    scaled.value_bits = type->value_bits * scale + more_bits;
    scaled.scale_bits *= scale;
    scaled.zero_bits *= scale;
    return scaled;
}

bool kv_keeps_all(const struct kept *kept)
{
    return !(fabs(kept->tokens) > 0) && !(kept->share > 0);
}

struct op *kv_stream(struct rewrite *rewrite, int at, const char *name, enum regime regime, double read,
                     double written, double flops)
{
    struct graph *graph = rewrite->graph;
    struct op like = graph->ops[at];
    struct op *op = graph_insert_op(graph, at + 1, name, OP_TRANSFORM, like.block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
        return NULL;
    }
    op->regime = regime;
    op->rows_factor = 1.0 / graph->parallel.dp;
    op->stream = (struct stream_work){.read = read,
                                      .written = written,
                                      .flops = flops,
                                      .read_type = graph->types.activations,
                                      .write_type = graph->types.activations};
    return op;
}

struct op *kv_linear(struct rewrite *rewrite, int at, const char *name, double n, double k)
{
    struct graph *graph = rewrite->graph;
    int block = graph->ops[at].block;
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, block);
    struct op *op = graph_insert_op(graph, at + 1, name, OP_GEMM, block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators or %d buffers",
                   OPS_MOST, BUFFERS_MOST);
        return NULL;
    }
    struct buffer *buffer = &graph->buffers[weights];
    buffer->type = graph->types.activations;
    buffer->rows = n;
    buffer->cols = k;
    op->weights = weights;
    op->rows_factor = 1.0 / graph->parallel.dp;
    op->gemm = (struct gemm_work){
        .n = n, .k = k, .batch = 1, .a_type = graph->types.activations, .c_type = graph->types.activations};
    return op;
}

static const char *recent_name(enum attention_part part)
{
    switch (part) {
    case PART_QK:
        return OP_NAME_RECENT_QK;
    case PART_SOFTMAX:
        return OP_NAME_RECENT_SOFTMAX;
    case PART_PV:
        return OP_NAME_RECENT_PV;
    default:
        return OP_NAME_RECENT;
    }
}

bool kv_residual(struct rewrite *rewrite, int decode, double tokens, int *made)
{
    struct graph *graph = rewrite->graph;
    int cache = graph->ops[decode].cache;
    if (made[cache] == BUFFER_NONE) {
        made[cache] = buffer_copy(rewrite, cache);
        if (made[cache] == BUFFER_NONE)
            return false;
        struct buffer *older = &graph->buffers[cache], *recent = &graph->buffers[made[cache]];
        recent->type = graph->types.activations;
        recent->kept = (struct kept){.tokens = tokens};
        if (kv_keeps_all(&older->kept))
            older->kept.share = 1;
        older->kept.tokens -= tokens;
    }
    if (!op_copy(rewrite, decode))
        return false;
    struct op *older = &graph->ops[decode], *recent = &graph->ops[decode + 1];
    recent->name = recent_name(recent->attention.part);
    recent->cache = made[cache];
    recent->attention.kept = (struct kept){.tokens = tokens};
    recent->attention.convert_flops = 0;
    if (kv_keeps_all(&older->attention.kept))
        older->attention.kept.share = 1;
    older->attention.kept.tokens -= tokens;
    return true;
}

double kv_prompt_tokens(const struct rewrite *rewrite)
{
    const struct request *request = rewrite->request;
    if (request == NULL)
        return 0;
    if (rewrite->graph->model->encoder_layers > 0)
        return 1; /* what a decoder starts with: the prompt is the encoder's */
    if (rewrite->graph->software->pad_prompts)
        return request->prompt_max;
    double sum = 0;
    for (int i = 0; i < request->strata; i++)
        sum += request->prompt[i];
    return sum / request->strata;
}

bool kv_needs_cache(struct rewrite *rewrite, const char *mechanism)
{
    if (rewrite->model->generation != GENERATION_MASKED_DIFFUSION)
        return true;
    return diag_error(rewrite->diag, NOWHERE, "%s: %s is a masked-diffusion model, which caches nothing",
                      mechanism, rewrite->model->id);
}

bool kv_alone(struct rewrite *rewrite, const char *mechanism)
{
    if (rewrite->request == NULL || !rewrite->request->prefix_reused)
        return true;
    return diag_error(
        rewrite->diag, NOWHERE,
        "%s: each sequence keeps tokens of its own, so that a prefix cannot be shared with others",
        mechanism);
}

bool kv_found(struct rewrite *rewrite, const char *mechanism, int changed)
{
    if (changed > 0)
        return true;
    return diag_error(rewrite->diag, NOWHERE, "%s: %s has no attention over a cache that it could change",
                      mechanism, rewrite->graph->model->id);
}
