/* Weights left out.
 *
 * Structured: whole heads (with their part of q, k, v, o and of the KV cache), channels of the feed-forward
 * network, channels of the residual stream: narrower matrices for ordinary kernels (LLM-Pruner
 * arXiv:2305.11627). Numbers of heads are rounded; those of a GQA model go by whole groups.
 *
 * In a pattern: of each matrix only `density` is kept. What is stored of a value of b bits:
 *   zeros         b                             nothing is saved
 *   bitmap        density b + 1
 *   coordinates   density (b + index_bits)
 *   n of m        n/m (b + log2 m)              as the units want it (2:4: two bits)
 *   blocks        density (b + index_bits / area of a block)
 * Products: units for 2:4 skip the zeros (NVIDIA from Ampere on), and so does any unit of whole blocks. All
 * other patterns are filled up with zeros on the way to the units, an operation of the lanes for each weight
 * of the full matrix, and multiplied in full. */
#include "mechanism/linear.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum pattern {
    PATTERN_NONE,
    PATTERN_ZEROS,
    PATTERN_BITMAP,
    PATTERN_COORDINATES,
    PATTERN_N_OF_M,
    PATTERN_BLOCKS
};

struct weight_pruning_parameters {
    double heads, ffn, hidden;
    int first_layer, last_layer;
    int pattern; /* enum pattern */
    double density;
    int group;
    double index_bits;
    int block;
};

/* ---- structured ---- */

static int left_of(double count, double removed)
{
    return (int)fmax(1, round(count * (1 - removed)));
}

static void narrow_attention(struct attention_spec *spec, double removed)
{
    int group = spec->heads / (spec->kv_heads > 0 ? spec->kv_heads : 1);
    if (spec->kv_heads > 1) { /* each group with its keys and values */
        spec->kv_heads = left_of(spec->kv_heads, removed);
        spec->heads = spec->kv_heads * group;
    } else {
        spec->heads = left_of(spec->heads, removed);
    }
}

static bool narrows(const struct weight_pruning_parameters *p)
{
    return p->heads > 0 || p->ffn > 0;
}

static bool check_layers(struct rewrite *rewrite, const struct weight_pruning_parameters *p, int last)
{
    int layers = rewrite->model->layers;
    if (p->first_layer < last && last <= layers)
        return true;
    return diag_error(rewrite->diag, NOWHERE, "weight_pruning: layers %d to %d of %s, which has %d",
                      p->first_layer, last, rewrite->model->id, layers);
}

static bool narrow_layers(struct rewrite *rewrite, const struct weight_pruning_parameters *p)
{
    struct model *model = rewrite->model;
    int last = p->last_layer > 0 ? p->last_layer : model->layers;
    bool *chosen = ARENA_ARRAY(rewrite->arena, bool, (size_t)model->layers + 1);
    if (!chosen)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    if (!check_layers(rewrite, p, last))
        return false;
    for (int i = p->first_layer; i < last; i++)
        chosen[i] = true;
    if (!layers_set_apart(rewrite, chosen))
        return false;
    for (int b = 0; b < (int)model->block_count; b++) {
        struct block_spec *block = &model->blocks[b];
        if (model->block_layers[b] == 0 || !block_is_chosen(model, b, chosen))
            continue;
        if (p->heads > 0 && block->mixer == MIXER_ATTENTION)
            narrow_attention(&block->attention, p->heads);
        if (p->ffn > 0 && block->ffn == FFN_DENSE)
            block->dense.intermediate = left_of(block->dense.intermediate, p->ffn);
    }
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_pruning_parameters *p = parameters;
    if (p->hidden > 0)
        rewrite->model->hidden = left_of(rewrite->model->hidden, p->hidden);
    return !narrows(p) || narrow_layers(rewrite, p);
}

/* ---- patterns ---- */

static double stored_bits(const struct weight_pruning_parameters *p, double bits)
{
    switch ((enum pattern)p->pattern) {
    case PATTERN_BITMAP:
        return p->density * bits + 1;
    case PATTERN_COORDINATES:
        return p->density * (bits + p->index_bits);
    case PATTERN_N_OF_M:
        return p->density * (bits + log2(p->group));
    case PATTERN_BLOCKS:
        return p->density * (bits + p->index_bits / ((double)p->block * p->block));
    case PATTERN_NONE:
    case PATTERN_ZEROS:
        break;
    }
    return bits;
}

static bool prune(struct rewrite *rewrite, const struct weight_pruning_parameters *p, bool *done)
{
    enum { FILLING_OPERATIONS = 1 };
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (!linear_is_weights(op) || op->gemm.experts > 0)
            continue;
        struct element_type *type = &graph->buffers[op->weights].type;
        if (!done[op->weights]) {
            type->value_bits = stored_bits(p, type->value_bits);
            snprintf(type->name + strcspn(type->name, "*"), 2, "*");
        }
        done[op->weights] = true;
        if (p->pattern == PATTERN_ZEROS)
            continue;
        op->gemm.path.density = p->pattern >= PATTERN_N_OF_M ? p->density : 0;
        op->gemm.path.two_of_four = p->pattern == PATTERN_N_OF_M;
        if (p->pattern <= PATTERN_COORDINATES)
            op->gemm.path.operations += FILLING_OPERATIONS;
    }
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_pruning_parameters *p = parameters;
    if (p->pattern == PATTERN_NONE || p->density >= 1)
        return true;
    if (p->pattern == PATTERN_N_OF_M && fabs(p->density * p->group - round(p->density * p->group)) > 1e-9)
        return diag_error(rewrite->diag, NOWHERE, "weight_pruning: %g of %d weights are no whole number",
                          p->density * p->group, p->group);
    bool *done = ARENA_ARRAY(rewrite->arena, bool, BUFFERS_MOST);
    return done ? prune(rewrite, p, done) : diag_error(rewrite->diag, NOWHERE, "out of memory");
}

static const struct enum_name pattern_names[] = {{"none", PATTERN_NONE},
                                                 {"zeros", PATTERN_ZEROS},
                                                 {"bitmap", PATTERN_BITMAP},
                                                 {"coordinates", PATTERN_COORDINATES},
                                                 {"n-of-m", PATTERN_N_OF_M},
                                                 {"blocks", PATTERN_BLOCKS},
                                                 {NULL, 0}};

#define SHARE(name, text)                                                                                    \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY, .offset = offsetof(struct weight_pruning_parameters, name),    \
        .dimension = DIM_FRACTION, .min = 0, .max = 0.99, .fallback = "0", .doc = text                       \
    }

static const struct field fields[] = {
    SHARE(heads, "share of the attention heads removed, with their keys and values"),
    SHARE(ffn, "share of the feed-forward network's channels removed"),
    SHARE(hidden, "share of the residual stream's channels removed, in all layers and outside them"),
    INT_FIELD(weight_pruning_parameters, first_layer, 0, 1000, "0",
              "first layer whose heads and channels are removed, from 0"),
    INT_FIELD(weight_pruning_parameters, last_layer, 0, 1000, "0",
              "the layer behind the last of them; 0: to the end"),
    ENUM_FIELD(weight_pruning_parameters, pattern, pattern_names, "none",
               "how single weights are left out: none are; zeros in place; kept ones with a bitmap or "
               "coordinates; n "
               "of each m; whole blocks"),
    QUANTITY_FIELD(weight_pruning_parameters, density, DIM_FRACTION, 0.001, 1, "1",
                   "share of the weights that the pattern keeps"),
    INT_FIELD(weight_pruning_parameters, group, 2, 64, "4", "m of n-of-m"),
    {.key = "index_bits",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_pruning_parameters, index_bits),
     .min = 1,
     .max = 64,
     .fallback = "16",
     .doc = "bits of the place of a kept value, or block"},
    INT_FIELD(weight_pruning_parameters, block, 1, 1024, "32", "edge of a block"),
};
static const struct schema schema = {.name = "weight_pruning",
                                     .size = sizeof(struct weight_pruning_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism weight_pruning;
const struct mechanism weight_pruning = {
    .name = "weight_pruning",
    .summary = "weights left out: heads, channels, or single ones in a pattern",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct weight_pruning_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
