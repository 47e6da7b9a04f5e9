/* Cached tokens merged into fewer.
 * Along the sequence (Chelsea arXiv:2506.11418): within chunks of c tokens each is matched to its most
 * similar neighbour of the other half, (c / 2)^2 scores of 2 d FLOPs a KV head and chunk, so heads d c / 2 a
 * token; `keep` of the tokens remain, to be kept and read. Across layers (MiniCache arXiv:2405.14366): from a
 * depth on, g adjacent layers share one K and V a token and have a magnitude each; a share u of the tokens,
 * too different, stays with each layer. A layer then stores 1 / g + u of its cache and a 16-bit scalar for K
 * and for V. Before attention its vectors are rebuilt: a pass that reads the shared ones and those kept apart
 * and writes all, unless attention does so on the way. */
#include "mechanism/kv_cache.h"

#include <stddef.h>
#include <string.h>

struct kv_merging_parameters {
    double keep, chunk;
    int group;
    double from_depth, unmerged;
    bool fused_restore;
};

enum { MAGNITUDES = 2, BITS = 16 };

static bool *deep_layers(struct rewrite *rewrite, const struct model *model, double depth)
{
    return layers_from(rewrite, model, (int)(depth * (model->layers - model->encoder_layers) + 1e-9));
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_merging_parameters *p = parameters;
    if (!kv_needs_cache(rewrite, "kv_merging"))
        return false;
    if (p->group == 1)
        return true;
    bool *chosen = deep_layers(rewrite, rewrite->model, p->from_depth);
    return chosen && layers_set_apart(rewrite, chosen);
}

static bool merge_tokens(struct rewrite *rewrite, const struct kv_merging_parameters *p)
{
    struct graph *graph = rewrite->graph;
    int changed = 0;
    for (int i = 0; i < graph->op_count; i++) {
        int prefill, decode;
        if (!kv_attends(&graph->ops[i]) || graph->ops[i].attention.window > 0)
            continue;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        changed++;
        if (decode < 0)
            continue;
        struct kept *kept = &graph->ops[decode].attention.kept;
        struct kept *held = &graph->buffers[graph->ops[decode].cache].kept;
        if (!kv_keeps_all(kept))
            return diag_error(rewrite->diag, NOWHERE,
                              "kv_merging: another technique chooses which tokens are kept already");
        *kept = *held = (struct kept){.share = p->keep};
        i = decode;
    }
    return kv_found(rewrite, "kv_merging", changed);
}

static bool add_matching(struct rewrite *rewrite, const struct kv_merging_parameters *p)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (op->rows == ROWS_CONTEXT && op->kind == OP_ELEMENTWISE && op->regime == REGIME_DECODE)
            op->rows_kept = (struct kept){.share = p->keep};
        if (!kv_writes(graph, op))
            continue;
        double values = graph->buffers[op->cache].elements; /* keys are half of them: heads d = values / 2 */
        if (!kv_stream(rewrite, i, OP_NAME_KV_MATCH, REGIME_PREFILL, values, values * p->keep,
                       values / 2 * p->chunk / 2))
            return false;
        i++;
    }
    return true;
}

/* Software that copies the cache to let it grow copies what is stored. */
static void shrink_copies(struct graph *graph, const bool *chosen, double stored)
{
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (strcmp(op->name, OP_NAME_KV_COPY) != 0 || !block_is_chosen(graph->model, op->block, chosen))
            continue;
        op->stream.read *= stored;
        op->stream.written *= stored;
    }
}

static bool merge_layers(struct rewrite *rewrite, const struct kv_merging_parameters *p)
{
    struct graph *graph = rewrite->graph;
    bool *chosen = deep_layers(rewrite, graph->model, p->from_depth);
    bool scaled[BUFFERS_MOST] = {false};
    int changed = 0;
    if (chosen == NULL)
        return false;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (!kv_attends(op) || !block_is_chosen(graph->model, op->block, chosen))
            continue;
        changed++;
        struct buffer *buffer = &graph->buffers[op->cache];
        if (scaled[op->cache])
            continue;
        scaled[op->cache] = true;
        double values = buffer->elements, stored = 1.0 / p->group + p->unmerged;
        buffer->elements = values * stored + MAGNITUDES * (double)BITS / buffer->type.value_bits;
        if (p->fused_restore)
            continue;
        struct op *restore = kv_stream(rewrite, i - 1, OP_NAME_KV_RESTORE, REGIME_DECODE,
                                       values * (1 + p->unmerged), values, values);
        if (restore == NULL)
            return false;
        restore->rows = ROWS_CONTEXT;
        restore->stream.read_type = graph->types.kv;
        i++;
    }
    shrink_copies(graph, chosen, 1.0 / p->group + p->unmerged);
    return kv_found(rewrite, "kv_merging", changed);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_merging_parameters *p = parameters;
    if (p->keep < 1 &&
        (!kv_alone(rewrite, "kv_merging") || !merge_tokens(rewrite, p) || !add_matching(rewrite, p)))
        return false;
    return p->group == 1 || merge_layers(rewrite, p);
}

#define AT(member) offsetof(struct kv_merging_parameters, member)
static const struct field fields[] = {
    QUANTITY_FIELD(kv_merging_parameters, keep, DIM_FRACTION, 0.001, 1, "1",
                   "of the cached tokens, the share that remains after merging them with each other"),
    QUANTITY_FIELD(kv_merging_parameters, chunk, DIM_TOKENS, 2, 1e6, "128",
                   "tokens among which the most similar is looked for"),
    {.key = "layers",
     .kind = FIELD_INT,
     .offset = AT(group),
     .min = 1,
     .max = 16,
     .fallback = "1",
     .doc = "adjacent layers that share one K and V a token; 1: none do"},
    QUANTITY_FIELD(kv_merging_parameters, from_depth, DIM_FRACTION, 0, 0.99, "0.5",
                   "layers above this share of the depth do"),
    FRACTION_FIELD(kv_merging_parameters, unmerged, "0.05",
                   "share of the tokens that each layer still has for itself"),
    BOOL_FIELD(kv_merging_parameters, fused_restore, "false",
               "attention rebuilds a layer's vectors on the way, without a pass before it"),
};
static const struct schema schema = {.name = "kv_merging",
                                     .size = sizeof(struct kv_merging_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_merging;
const struct mechanism kv_merging = {
    .name = "kv_merging",
    .summary = "cached tokens merged along the sequence, or shared by layers",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_merging_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
