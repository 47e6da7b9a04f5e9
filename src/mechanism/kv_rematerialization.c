/* Instead of keys and values the layers' inputs X are cached, in few bits, and K = X Wk, V = X Wv are
 * computed again for the whole context in each decode step (XQuant arXiv:2508.10395): a token costs hidden
 * values instead of 2 heads d, half with as many KV heads as heads, and 4 hidden * width FLOPs a layer and
 * step. With grouped queries X is wider than K and V: factors Wk = Uk Bk are cached by, latents X Uk and X Uv
 * as wide as K and V, and the products are square. X is the same on all tensor-parallel ranks, so each caches
 * all of it; latents are made of a rank's own columns. The rebuilt K and V pass through memory. With deltas
 * (XQuant-CL) a layer caches its difference from the layer before, and a running sum is read and written: 2
 * passes a value.
 */
#include "mechanism/kv_cache.h"

#include <stddef.h>

struct kv_rematerialization_parameters {
    struct element_type type, first_type, sum_type;
    int first_layers;
    bool latents, deltas;
    double residual_tokens;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_rematerialization_parameters *p = parameters;
    if (!kv_needs_cache(rewrite, "kv_rematerialization"))
        return false;
    if (p->first_layers == 0)
        return true;
    bool *chosen = layers_from(rewrite, rewrite->model, p->first_layers);
    return chosen && layers_set_apart(rewrite, chosen);
}

/* The buffer that the block's keys and values are projected by; BUFFER_NONE where they are one with the
 * queries'. */
static int projection(const struct graph *graph, int block, double width)
{
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (op->kind == OP_GEMM && op->block == block && op->weights != BUFFER_NONE && op->gemm.n >= width &&
            op->gemm.k >= graph->model->hidden && op->gemm.k <= graph->model->hidden)
            return op->weights;
    }
    return BUFFER_NONE;
}

/* Before decode op `at`: K and V from what is cached, `width` values a token from `from`. */
static bool add_products(struct rewrite *rewrite, const struct kv_rematerialization_parameters *p, int at,
                         double width, double from, bool deltas, int *added)
{
    struct graph *graph = rewrite->graph;
    int block = graph->ops[at].block, weights = p->latents ? BUFFER_NONE : projection(graph, block, width);
    struct kept kept = graph->ops[at].attention.kept;
    struct op *op = kv_linear(rewrite, at - 1, OP_NAME_KV_REMATERIALIZE, width, from);
    if (op == NULL)
        return false;
    if (weights != BUFFER_NONE) { /* the layer's own, in the type that they are stored in */
        graph->buffers[op->weights].type = graph->buffers[weights].type;
        graph->buffers[op->weights].copies = 0;
    }
    op->regime = REGIME_DECODE;
    op->rows = ROWS_CONTEXT;
    op->rows_kept = kept;
    *added = 1;
    if (!deltas)
        return true;
    struct op *sum = kv_stream(rewrite, at - 1, OP_NAME_KV_RESTORE, REGIME_DECODE, 2 * from, from, 2 * from);
    if (sum == NULL)
        return false;
    sum->rows = ROWS_CONTEXT;
    sum->rows_kept = kept;
    sum->stream.read_type = sum->stream.write_type = p->sum_type;
    *added = 2;
    return true;
}

/* What has been done to the graph's buffers. */
struct input_buffers {
    bool done[BUFFERS_MOST];
    int recent[BUFFERS_MOST];
};

/* Decode op `decode` computes K and V again; *added: ops before and behind it. */
static bool compute_again(struct rewrite *rewrite, const struct kv_rematerialization_parameters *p,
                          const bool *later, int decode, struct input_buffers *buffers, int *added)
{
    struct graph *graph = rewrite->graph;
    int cache = graph->ops[decode].cache, products;
    double width = graph->buffers[cache].elements, from = p->latents ? width : graph->model->hidden;
    bool is_later = block_is_chosen(graph->model, graph->ops[decode].block, later);
    buffers->done[cache] = true;
    if (p->residual_tokens > 0) {
        if (!kv_residual(rewrite, decode, p->residual_tokens, buffers->recent))
            return false;
        buffers->done[buffers->recent[cache]] = true;
    }
    graph->ops[decode].reads_cache = false;
    graph->buffers[cache].elements = from;
    graph->buffers[cache].type = is_later || p->first_type.format == FORMAT_NONE ? p->type : p->first_type;
    double each = p->latents ? width / 2 : from;
    if (!add_products(rewrite, p, decode, width, each, p->deltas && is_later, &products))
        return false;
    *added = products + (p->residual_tokens > 0);
    return true;
}

static bool is_plain(struct rewrite *rewrite, const struct op *op)
{
    if (!op->attention.latent && op->attention.part == PART_FUSED)
        return true;
    return diag_error(rewrite->diag, NOWHERE,
                      "kv_rematerialization: %s: keys and values of fused attention are computed again, "
                      "latents and unfused attention are not",
                      rewrite->graph->model->id);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_rematerialization_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    struct input_buffers buffers = {.done = {false}};
    int changed = 0;
    bool *later = layers_from(rewrite, graph->model, p->first_layers);
    for (int i = 0; i < BUFFERS_MOST; i++)
        buffers.recent[i] = BUFFER_NONE;
    for (int i = 0; later && i < graph->op_count; i++) {
        int prefill, decode, added = 0;
        if (!kv_attends(&graph->ops[i]) || buffers.done[graph->ops[i].cache])
            continue;
        if (!is_plain(rewrite, &graph->ops[i]) || !attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        changed++;
        if (prefill >= 0)
            graph->ops[prefill].reads_cache = false;
        if (decode < 0)
            continue;
        if (!compute_again(rewrite, p, later, decode, &buffers, &added))
            return false;
        i = decode + added;
    }
    return later && kv_found(rewrite, "kv_rematerialization", changed);
}

#define AT(member) offsetof(struct kv_rematerialization_parameters, member)
static const struct field fields[] = {
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = AT(type),
     .required = true,
     .doc = "element type of the cached inputs (latents)"},
    BOOL_FIELD(kv_rematerialization_parameters, latents, "false",
               "inputs projected to the widths of K and V are cached, for grouped queries"),
    INT_FIELD(kv_rematerialization_parameters, first_layers, 0, 10000, "0",
              "first layers that have a type of their own, and no deltas"),
    TYPE_FIELD(kv_rematerialization_parameters, first_type, "theirs; default: as type"),
    BOOL_FIELD(kv_rematerialization_parameters, deltas, "false",
               "the other layers cache differences from the layer before, added to a running sum"),
    {.key = "sum_type",
     .kind = FIELD_TYPE,
     .offset = AT(sum_type),
     .fallback = "int4-g128",
     .doc = "element type of the running sum"},
    QUANTITY_FIELD(kv_rematerialization_parameters, residual_tokens, DIM_TOKENS, 0, 1e6, "0",
                   "recent tokens whose keys and values are cached in full precision"),
};
static const struct schema schema = {.name = "kv_rematerialization",
                                     .size = sizeof(struct kv_rematerialization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_rematerialization;
const struct mechanism kv_rematerialization = {
    .name = "kv_rematerialization",
    .summary = "layers' inputs are cached, keys and values computed again",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_rematerialization_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
