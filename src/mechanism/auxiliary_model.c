/* Work beside the model's own: dense layers that run with its steps (predictors, gates, embedders, exit or
 * action heads), layers of its own kind behind its last, and networks that steer its cache
 * (auxiliary_readers.c). */
#include "mechanism/auxiliary_readers.h"
#include "mechanism/rewrites.h"

#include <stddef.h>
#include <string.h>

enum when { WHEN_ALWAYS, WHEN_PREFILL, WHEN_DECODE };

struct auxiliary_parameters {
    int extra_layers;
    int linears;
    int inputs, outputs;
    bool per_layer;
    bool sampled;
    int when;
    double executions;
    double memory;
    struct auxiliary_readers readers;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct auxiliary_parameters *p = parameters;
    struct model *model = rewrite->model;
    if (p->extra_layers == 0)
        return true;
    int layers = model->layers + p->extra_layers, block = model->pattern[model->layers - 1];
    unsigned char *pattern = ARENA_ARRAY(rewrite->arena, unsigned char, (size_t)layers);
    int *block_layers = ARENA_ARRAY(rewrite->arena, int, model->block_count);
    if (!pattern || !block_layers)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    memcpy(pattern, model->pattern, (size_t)model->layers);
    memset(pattern + model->layers, block, (size_t)p->extra_layers);
    memcpy(block_layers, model->block_layers, model->block_count * sizeof *block_layers);
    block_layers[block] += p->extra_layers;
    model->layers = layers;
    model->pattern = pattern;
    model->block_layers = block_layers;
    return true;
}

static bool add_linears(struct rewrite *rewrite, const struct auxiliary_parameters *p, int at, int block)
{
    static const enum regime regimes[] = {REGIME_ANY, REGIME_PREFILL, REGIME_DECODE};
    double hidden = rewrite->graph->model->hidden, tp = rewrite->graph->parallel.tp;
    double inputs = p->inputs > 0 ? p->inputs : hidden, outputs = p->outputs > 0 ? p->outputs : hidden;
    for (int i = 0; i < p->linears; i++) {
        struct op *op = linear_insert(rewrite, at, OP_NAME_AUXILIARY, block, outputs / tp, inputs);
        if (!op)
            return false;
        op->per_layer = p->executions;
        op->regime = regimes[p->when];
        op->rows = p->sampled ? ROWS_SAMPLED : ROWS_TOKENS;
    }
    return true;
}

/* At the head of each block, or behind all operators. */
static bool place_linears(struct rewrite *rewrite, const struct auxiliary_parameters *p)
{
    struct graph *graph = rewrite->graph;
    if (!p->per_layer)
        return add_linears(rewrite, p, graph->op_count, OUTSIDE_LAYERS);
    for (int i = graph->op_count - 1; i >= 0; i--) {
        int block = graph->ops[i].block;
        bool head = block != OUTSIDE_LAYERS && (i == 0 || graph->ops[i - 1].block != block);
        if (head && !add_linears(rewrite, p, i, block))
            return false;
    }
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct auxiliary_parameters *p = parameters;
    if (!place_linears(rewrite, p) || !auxiliary_readers_on_ops(rewrite, &p->readers))
        return false;
    if (p->memory <= 0)
        return true;
    int held = graph_add_buffer(rewrite->graph, OP_NAME_AUXILIARY, BUFFER_RESERVED, OUTSIDE_LAYERS);
    if (rewrite->graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d buffers", BUFFERS_MOST);
    rewrite->graph->buffers[held].bytes = p->memory / rewrite->graph->parallel.tp;
    return true;
}

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct auxiliary_parameters *p = parameters;
    return auxiliary_readers_on_generation(rewrite, &p->readers);
}

static const struct enum_name when_names[] = {
    {"always", WHEN_ALWAYS}, {"prefill", WHEN_PREFILL}, {"decode", WHEN_DECODE}, {NULL, 0}};

#define COUNT(name, most, text)                                                                              \
    {                                                                                                        \
        .key = #name, .kind = FIELD_INT, .offset = offsetof(struct auxiliary_parameters, name), .min = 0,    \
        .max = (most), .fallback = "0", .doc = (text)                                                        \
    }

#define READER(name, low, high, otherwise, text)                                                             \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY, .offset = offsetof(struct auxiliary_parameters, readers.name), \
        .dimension = DIM_NONE, .min = (low), .max = (high), .fallback = (otherwise), .doc = (text)           \
    }

static const struct field fields[] = {
    COUNT(extra_layers, 256, "layers like the model's last, behind it"),
    COUNT(linears, 64, "dense layers that run beside the model"),
    COUNT(inputs, 1000000, "inputs of each; 0: the hidden size"),
    COUNT(outputs, 1000000, "outputs of each, cut over the tensor-parallel ranks; 0: the hidden size"),
    BOOL_FIELD(auxiliary_parameters, per_layer, "false",
               "so many in each layer of the model, else once a step"),
    BOOL_FIELD(auxiliary_parameters, sampled, "false",
               "they work on the positions whose logits are computed, else on all tokens"),
    ENUM_FIELD(auxiliary_parameters, when, when_names, "always", "in which steps"),
    QUANTITY_FIELD(auxiliary_parameters, executions, DIM_NONE, 0.001, 1000, "1",
                   "how often each runs in a step (or layer), on average"),
    QUANTITY_FIELD(auxiliary_parameters, memory, DIM_BYTES, 0, 1e13, "0 B", "bytes that it holds besides"),
    READER(hidden, 0, 1e6, "0", "inner width of a retaining head in each layer; 0: none"),
    READER(gate_width, 0, 1e6, "0", "width of an attention gate before each layer's; 0: none"),
    READER(gate_head, 8, 1024, "64", "width of each of its heads"),
    READER(parameters, 0, 1e13, "0", "of an encoder that reads each prompt once; 0: none"),
    {.key = "draft",
     .kind = FIELD_STRING,
     .offset = offsetof(struct auxiliary_parameters, readers.draft),
     .fallback = "",
     .doc = "a model that reads the prompt before; empty: none"},
};
static const struct schema schema = {.name = "auxiliary_model",
                                     .size = sizeof(struct auxiliary_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism auxiliary_model;
const struct mechanism auxiliary_model = {
    .name = "auxiliary_model",
    .summary = "layers or dense parts that run beside the model",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct auxiliary_parameters),
    .of_all_layers = true,
    .on_model = on_model,
    .on_ops = on_ops,
    .on_generation = on_generation,
};
