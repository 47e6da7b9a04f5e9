/* Decode steps that skip what multiplies zeros. Of the channels inside a feed-forward network a token needs
 * the share 1 - sparsity; rows of the matrix before them and columns of the one behind stay where they are.
 * Steps of several tokens read what any of them needs: with the share `hot` needed by all, and the others
 * chosen by each token for itself,
 *   used(T) = hot + (1 - hot) (1 - (1 - p)^T),   p such that used(1) = 1 - sparsity.
 * Channels are known by a threshold on what the gate has computed (CHESS arXiv:2409.01366), which is dense
 * then, or by a predictor of low rank on the layer's input (Deja Vu arXiv:2310.17157). Thresholds on the
 * inputs of attention's projections skip columns of q and o. Prompts run densely, and all weights stay in
 * memory. */
#include "mechanism/linear.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct activation_sparsity_parameters {
    double sparsity, attention_sparsity, hot;
    int predictor_rank;
    bool gate;
    int tokens;
};

/* Share of the channels that a step of so many tokens uses. */
static double used(const struct activation_sparsity_parameters *p, double sparsity, double tokens)
{
    double active = 1 - sparsity;
    if (!(sparsity > 0))
        return 1;
    if (active <= p->hot)
        return active;
    double chance = (active - p->hot) / (1 - p->hot);
    return p->hot + (1 - p->hot) * (1 - pow(1 - chance, fmax(1, tokens)));
}

static double tokens_together(const struct rewrite *rewrite, const struct activation_sparsity_parameters *p)
{
    if (p->tokens > 0)
        return p->tokens;
    double batch = rewrite->request ? rewrite->request->batch : 1;
    return ceil(batch / rewrite->graph->parallel.dp);
}

/* The gate comes first when it says which channels are needed. */
static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct activation_sparsity_parameters *p = parameters;
    bool threshold = p->sparsity > 0 && !p->gate;
    if (threshold)
        rewrite->software->fuse_gate_up = false;
    if (p->attention_sparsity > 0)
        rewrite->software->fuse_qkv = false;
    return true;
}

static bool no_room(struct rewrite *rewrite)
{
    return diag_error(rewrite->diag, NOWHERE, "activation_sparsity: more than %d operators", OPS_MOST);
}

/* Compares what was computed and lists the channels: in the layers' decode steps, before ops[index]. */
static bool add_selection(struct rewrite *rewrite, int index, double channels)
{
    enum { COMPARE_FLOPS = 2, LIST_BYTES = 2 };
    struct graph *graph = rewrite->graph;
    struct op user = graph->ops[index];
    struct op *op = graph_insert_op(graph, index, OP_NAME_SELECT_CHANNELS, OP_TRANSFORM, user.block);
    if (graph->failed)
        return no_room(rewrite);
    op->regime = REGIME_DECODE;
    op->rows_factor = user.rows_factor;
    op->stream.read = channels;
    op->stream.written = channels * LIST_BYTES / element_bytes_each(&graph->types.activations);
    op->stream.flops = COMPARE_FLOPS * channels;
    op->stream.read_type = op->stream.write_type = graph->types.activations;
    return true;
}

static bool add_predictor(struct rewrite *rewrite, int index, double channels,
                          const struct activation_sparsity_parameters *p)
{
    struct graph *graph = rewrite->graph;
    double k = graph->ops[index].gemm.k;
    const struct element_type *type = &graph->types.activations;
    struct op *up = linear_add_product(rewrite, "activation_sparsity", index, OP_NAME_PREDICTOR, channels,
                                       p->predictor_rank, type);
    struct op *down = up ? linear_add_product(rewrite, "activation_sparsity", index, OP_NAME_PREDICTOR,
                                              p->predictor_rank, k, type)
                         : NULL;
    if (!down)
        return false;
    struct op layer = graph->ops[index];
    graph->ops[index] = graph->ops[index + 1];
    graph->ops[index + 1] = graph->ops[index + 2];
    graph->ops[index + 2] = layer;
    graph->ops[index].regime = graph->ops[index + 1].regime = REGIME_DECODE;
    return true;
}

/* The op, parted: *decode is the index of decode's. */
static bool part(struct rewrite *rewrite, int index, int *decode)
{
    return attention_part_regimes(rewrite, index, &(int){0}, decode);
}

static bool is_projection(unsigned parts)
{
    return parts == LINEAR_Q || parts == LINEAR_O;
}

/* Whether it is known before the products that channels of theirs are not needed. */
static bool can_skip(const struct activation_sparsity_parameters *p, unsigned parts, bool known_late)
{
    bool gated = parts & LINEAR_GATE, up = parts & LINEAR_UP, down = parts & LINEAR_DOWN;
    if (up)
        return !known_late;
    return gated ? p->gate : down || is_projection(parts);
}

static bool skip(struct rewrite *rewrite, int index, const struct activation_sparsity_parameters *p,
                 double tokens)
{
    struct graph *graph = rewrite->graph;
    unsigned parts = linear_parts_of(&graph->ops[index]);
    bool gated = parts & LINEAR_GATE, up = parts & LINEAR_UP, down = parts & LINEAR_DOWN;
    bool projects = is_projection(parts);
    double share = used(p, projects ? p->attention_sparsity : p->sparsity, tokens);
    /* Without a gate or a predictor a network's own results say which channels are zero. */
    int block = graph->ops[index].block, decode;
    if (block == OUTSIDE_LAYERS)
        return true;
    bool known_late = p->predictor_rank == 0 && !graph->model->blocks[block].dense.gated;
    if (!can_skip(p, parts, known_late) || share >= 1)
        return true;
    double channels = up ? graph->ops[index].gemm.n / (gated ? 2 : 1) : graph->ops[index].gemm.k;
    if (!part(rewrite, index, &decode) || decode < 0)
        return decode < 0;
    struct gemm_work *work = &graph->ops[decode].gemm;
    if (up || gated)
        work->n *= share;
    else
        work->k *= share;
    if (up && p->predictor_rank > 0)
        return add_predictor(rewrite, decode, channels, p);
    return !(up || projects || (down && known_late)) || add_selection(rewrite, decode, channels);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct activation_sparsity_parameters *p = parameters;
    double tokens = tokens_together(rewrite, p);
    if (p->gate && p->sparsity > 0 && p->predictor_rank == 0)
        return diag_error(
            rewrite->diag, NOWHERE,
            "activation_sparsity: without the gate nothing says which channels are needed; give "
            "predictor_rank");
    for (int i = rewrite->graph->op_count - 1; i >= 0; i--)
        if (rewrite->graph->ops[i].regime & REGIME_DECODE && !skip(rewrite, i, p, tokens))
            return false;
    return true;
}

#define SHARE(name, text)                                                                                    \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY,                                                                \
        .offset = offsetof(struct activation_sparsity_parameters, name), .dimension = DIM_FRACTION,          \
        .min = 0, .max = 0.999, .fallback = "0", .doc = text                                                 \
    }

static const struct field fields[] = {
    SHARE(sparsity, "share of a feed-forward network's channels that a token does without"),
    SHARE(attention_sparsity, "share of the inputs of q and o that a token does without"),
    SHARE(hot, "share of the channels that every token needs"),
    BOOL_FIELD(activation_sparsity_parameters, gate, "false",
               "the gate's rows are skipped too; false: it is dense and says which channels are needed"),
    INT_FIELD(
        activation_sparsity_parameters, predictor_rank, 0, 65536, "0",
        "inner width of the two products that predict the channels; 0: a threshold on the gate's results"),
    INT_FIELD(activation_sparsity_parameters, tokens, 0, 1000000, "0",
              "tokens of a step that choose together; 0: one a sequence of the batch"),
};
static const struct schema schema = {.name = "activation_sparsity",
                                     .size = sizeof(struct activation_sparsity_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"sparsity", "attention_sparsity", "hot", NULL};

extern const struct mechanism activation_sparsity;
const struct mechanism activation_sparsity = {
    .name = "activation_sparsity",
    .summary = "decode steps skip the weights of channels that are zero",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct activation_sparsity_parameters),
    .on_software = on_software,
    .on_ops = on_ops,
};
