/* Layers that not every token runs: early exits, skipped attention or feed-forward parts, depth schedules,
 * layers run twice. With a share s of the layers a token runs s of their work. Where all tokens of a batch
 * skip the same layers, s of the weights are read; where each chooses its own, a layer is read when any of B
 * tokens needs it, with probability 1 - (1 - s)^B, by B s of the tokens on average. Costs are as linear in
 * the number of layers as the work is, so that a schedule counts by its mean. */
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum skipped_cache { SKIPPED_ABSENT, SKIPPED_COMPUTED };

struct layer_skipping_parameters {
    double layers;
    double attention;
    double ffn;
    int max_layers;
    bool prefill;
    bool per_token;
    int cache;
    int exits;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct layer_skipping_parameters *p = parameters;
    struct model *model = rewrite->model;
    double share = p->layers * fmax(p->attention, p->ffn);
    if (p->per_token && share > 1)
        return diag_error(rewrite->diag, NOWHERE, "layer_skipping: per_token is of shares up to 1");
    if (model->encoder_layers > 0)
        return diag_error(rewrite->diag, NOWHERE, "layer_skipping: %s has an encoder, which is not modelled",
                          model->id);
    if (p->max_layers == 0 || p->max_layers == model->layers)
        return true;
    if (p->max_layers > model->layers)
        return diag_error(rewrite->diag, NOWHERE, "layer_skipping: max_layers %d, but %s has %d",
                          p->max_layers, model->id, model->layers);
    model->block_layers = ARENA_ARRAY(rewrite->arena, int, model->block_count);
    if (!model->block_layers)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    model->layers = p->max_layers;
    for (int i = 0; i < model->layers; i++)
        model->block_layers[model->pattern[i]]++;
    return true;
}

/* K and V of a token that skips the layer are made from its hidden state all the same: the share of the op
 * that does so. */
static double share_for_cache(const struct graph *graph, const struct op *op)
{
    static const char *const all[] = {OP_NAME_ATTENTION_NORM, OP_NAME_K_PROJ,        OP_NAME_V_PROJ,
                                      OP_NAME_KV_WRITE,       OP_NAME_ROPE_KV_WRITE, OP_NAME_MLA_KV_DOWN};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(op->name, all[i]) == 0)
            return 1;
    if (strcmp(op->name, OP_NAME_QKV_PROJ) != 0)
        return 0;
    const struct attention_spec *spec = &graph->model->blocks[op->block].attention;
    double kv = 2.0 * spec->kv_heads, q = spec->heads * (spec->output_gate ? 2.0 : 1.0);
    return kv / (kv + q);
}

struct scaling {
    const struct layer_skipping_parameters *p;
    const struct graph *graph;
    double batch;
};

static void scale_op(const struct scaling *scaling, struct op *op, double share)
{
    double union_share = share;
    bool own = scaling->p->per_token && share > 0 && share < 1;
    if (own && op->kind != OP_ATTENTION)
        union_share = 1 - pow(1 - share, scaling->batch);
    if (scaling->p->cache == SKIPPED_COMPUTED && share < 1) {
        double cached = share_for_cache(scaling->graph, op);
        union_share += (1 - union_share) * cached;
        share += (1 - share) * cached;
    }
    op->per_layer *= union_share;
    if (own && op->kind != OP_ATTENTION)
        op->rows_factor *= share / union_share;
}

/* The op's work in decode, and in prefill where prompts skip too. */
static bool scale_part(struct rewrite *rewrite, const struct scaling *scaling, int index, double share)
{
    struct op *op = &rewrite->graph->ops[index];
    if (!scaling->p->prefill && op->regime == REGIME_PREFILL)
        return true;
    if (!scaling->p->prefill && op->regime == REGIME_ANY) {
        if (!op_copy(rewrite, index))
            return false;
        op = &rewrite->graph->ops[index];
        op->regime = REGIME_PREFILL;
        op++;
        op->regime = REGIME_DECODE;
    }
    scale_op(scaling, op, share);
    return true;
}

/* An exit looks at the logits there: the model's own head, once more for each. */
static bool add_exits(struct rewrite *rewrite, const struct layer_skipping_parameters *p)
{
    static const char *const of[][2] = {{OP_NAME_LM_HEAD, OP_NAME_EXIT_HEAD},
                                        {OP_NAME_SAMPLE, OP_NAME_EXIT_SAMPLE}};
    struct graph *graph = rewrite->graph;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < graph->op_count; i++) {
            if (strcmp(graph->ops[i].name, of[k][0]) != 0)
                continue;
            struct op *op = op_copy(rewrite, i++);
            if (!op)
                return false;
            op->name = of[k][1];
            op->per_layer = p->exits;
            op->regime = p->prefill ? REGIME_ANY : REGIME_DECODE;
        }
    return true;
}

/* What tokens leave in the caches of layers that they skip is nothing; layers run twice keep both. */
static void scale_caches(const struct rewrite *rewrite, const struct layer_skipping_parameters *p,
                         double share)
{
    double prompt = 0;
    for (int i = 0; rewrite->request && i < rewrite->request->strata; i++)
        prompt += rewrite->request->prompt[i] / rewrite->request->strata;
    for (int i = 0; i < rewrite->graph->buffer_count; i++) {
        struct buffer *buffer = &rewrite->graph->buffers[i];
        bool whole = buffer->kept.tokens == 0 && buffer->kept.share == 0;
        if (buffer->class != BUFFER_KV || buffer->per_sequence)
            continue;
        if (share > 1)
            buffer->elements *= share;
        else if (p->cache == SKIPPED_ABSENT && whole && share > 0)
            buffer->kept = (struct kept){p->prefill ? 0 : prompt * (1 - share), share};
    }
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct layer_skipping_parameters *p = parameters;
    double shares[] = {1, p->layers * p->attention, p->layers * p->ffn};
    unsigned char sublayers[OPS_MOST];
    struct graph *graph = rewrite->graph;
    struct scaling scaling = {p, graph, rewrite->request ? rewrite->request->batch : 1};
    if (p->exits > 0 && !add_exits(rewrite, p))
        return false;
    sublayers_of(graph, sublayers);
    for (int i = graph->op_count - 1; i >= 0; i--) /* from the end: copies move what is behind them */
        if (shares[sublayers[i]] != 1 && !scale_part(rewrite, &scaling, i, shares[sublayers[i]]))
            return false;
    if (shares[SUBLAYER_MIXER] != 1)
        scale_caches(rewrite, p, shares[SUBLAYER_MIXER]);
    return true;
}

static const struct enum_name cache_names[] = {
    {"absent", SKIPPED_ABSENT}, {"computed", SKIPPED_COMPUTED}, {NULL, 0}};

#define SHARE(name, text)                                                                                    \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY, .offset = offsetof(struct layer_skipping_parameters, name),    \
        .dimension = DIM_FRACTION, .min = 0.001, .max = 4, .fallback = "1", .doc = (text)                    \
    }

static const struct field fields[] = {
    SHARE(layers, "mean share of the layers that a token runs; above 1: some more than once"),
    SHARE(attention, "of these, the share whose attention it runs"),
    SHARE(ffn, "of these, the share whose feed-forward network it runs"),
    INT_FIELD(layer_skipping_parameters, max_layers, 0, 1000, "0",
              "layers that are held at all, the first of the model; shares are of these; 0: all"),
    BOOL_FIELD(layer_skipping_parameters, prefill, "false", "prompts skip too"),
    BOOL_FIELD(layer_skipping_parameters, per_token, "false",
               "each sequence of a batch skips layers of its own: those that any needs are read"),
    ENUM_FIELD(
        layer_skipping_parameters, cache, cache_names, "absent",
        "keys and values of layers that a token skips: absent, or computed from its last hidden state"),
    INT_FIELD(layer_skipping_parameters, exits, 0, 64, "0",
              "exits that a token passes, each with the output head's logits"),
};
static const struct schema schema = {.name = "layer_skipping",
                                     .size = sizeof(struct layer_skipping_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"layers", "attention", "ffn", NULL};

extern const struct mechanism layer_skipping;
const struct mechanism layer_skipping = {
    .name = "layer_skipping",
    .summary = "tokens run only some of the layers, or some of them twice",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct layer_skipping_parameters),
    .of_all_layers = true,
    .on_model = on_model,
    .on_ops = on_ops,
};
