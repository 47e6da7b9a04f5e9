/* Weights that tenants of one model do not share.
 *
 *   lora      B (A x) beside chosen matrices, rank r: 2 r (d_in + d_out) FLOPs a token. Merged: nothing at
 * run time. A batch of several tenants deals its rows to their pairs of matrices (Punica arXiv:2310.18547):
 * each pair is read once. series,   a narrow network of width r behind attention and the feed-forward
 * network, or beside them: two parallel  products, an activation, an addition (arXiv:2304.01933). They have a
 * non-linearity: no merging. prefix    r learned tokens before each prompt, whose keys and values are in the
 * cache from the start. rows      r rows of chosen matrices are a tenant's own (S2FT arXiv:2412.06289): one
 * thin product and a scatter. scales    scales of quantised weights are a tenant's own (PEQA
 * arXiv:2305.14152): 2 bytes an output channel, no work. layers    whole layers are a tenant's own, the
 * others are shared (BlockLLM arXiv:2404.18322): in shared ones tenants' rows meet in one product, in private
 * ones each tenant's go by themselves. */
#include "mechanism/linear.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum kind {
    ADAPTER_LORA,
    ADAPTER_SERIES,
    ADAPTER_PARALLEL,
    ADAPTER_PREFIX,
    ADAPTER_ROWS,
    ADAPTER_SCALES,
    ADAPTER_LAYERS
};

struct adapters_parameters {
    int kind; /* enum kind */
    int rank;
    struct string_list targets;
    bool merged;
    int tenants, stored;
    double private_layers;
};

enum { SCALE_BYTES = 2 };

static bool is_merged(const struct adapters_parameters *p)
{
    return p->merged && (p->kind == ADAPTER_LORA || p->kind == ADAPTER_ROWS);
}

static bool check(struct rewrite *rewrite, const struct adapters_parameters *p)
{
    const struct request *request = rewrite->request;
    if (p->merged && !is_merged(p))
        return diag_error(rewrite->diag, NOWHERE,
                          "adapters: only lora and rows are changes of a matrix that can be merged into it");
    if (is_merged(p) && p->tenants > 1)
        return diag_error(rewrite->diag, NOWHERE,
                          "adapters: merged weights serve one tenant; %d are in the batch", p->tenants);
    if (request && p->tenants > request->batch)
        return diag_error(rewrite->diag, NOWHERE, "adapters: a batch of %g has no %d tenants", request->batch,
                          p->tenants);
    return true;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct adapters_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (!check(rewrite, p))
        return false;
    if (p->kind != ADAPTER_PREFIX)
        return true;
    if (request->prefix_reused)
        return diag_error(rewrite->diag, NOWHERE,
                          "adapters: learned tokens stand before all others, which a shared prefix does too");
    for (int i = 0; i < request->strata; i++)
        request->prompt[i] += p->rank;
    request->prompt_max += p->rank;
    request->shared_prefix = p->rank;
    request->prefix_reused = request->prefix_cached = true;
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct adapters_parameters *p = parameters;
    if (p->kind != ADAPTER_LAYERS || p->tenants == 1)
        return true;
    bool *chosen = linear_first_layers(rewrite, rewrite->model, p->private_layers);
    return chosen && layers_set_apart(rewrite, chosen);
}

static double stored_pairs(const struct adapters_parameters *p)
{
    return p->stored > p->tenants ? p->stored : p->tenants;
}

static struct side_product side_of(const struct rewrite *rewrite, const struct adapters_parameters *p)
{
    return (struct side_product){.rank = p->rank,
                                 .tenants = p->tenants,
                                 .stored = stored_pairs(p),
                                 .type = rewrite->graph->types.activations,
                                 .adds = true};
}

/* Fused operators read their input once, so all chosen matrices in them have one A of their ranks. */
static bool add_lora(struct rewrite *rewrite, const struct adapters_parameters *p, int index, unsigned parts)
{
    const struct op *op = &rewrite->graph->ops[index];
    struct side_product side = side_of(rewrite, p);
    unsigned chosen = parts & linear_parts_of(op);
    int matrices = __builtin_popcount(chosen), last;
    side.columns = linear_columns(rewrite->graph, op, chosen);
    side.rank *= matrices;
    if (!linear_add_side(rewrite, "adapters", index, &side, &last))
        return false;
    /* B is a matrix for each, of its own rank: block-diagonal */
    struct op *up = &rewrite->graph->ops[index + 2];
    up->gemm.k /= matrices;
    rewrite->graph->buffers[up->weights].cols /= matrices;
    return true;
}

/* One product of a tenant's own rows, and their results put in place. */
static bool add_rows(struct rewrite *rewrite, const struct adapters_parameters *p, int index)
{
    struct graph *graph = rewrite->graph;
    struct op *product = linear_add_product(rewrite, "adapters", index, OP_NAME_SIDE_ROWS, p->rank,
                                            graph->ops[index].gemm.k, &graph->types.activations);
    if (!product)
        return false;
    product->gemm.batch = p->tenants;
    product->rows_factor /= p->tenants;
    graph->buffers[product->weights].copies = stored_pairs(p);
    struct op layer = graph->ops[index];
    struct op *op = graph_insert_op(graph, index + 2, OP_NAME_SIDE_ADD, OP_ELEMENTWISE, layer.block);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "adapters: more than %d operators", OPS_MOST);
    op->rows_factor = layer.rows_factor;
    op->regime = layer.regime;
    op->stream.read = 2.0 * p->rank;
    op->stream.written = op->stream.in_place = op->stream.flops = p->rank;
    op->stream.read_type = op->stream.write_type = layer.gemm.c_type;
    return true;
}

/* Behind or beside a sublayer: hidden to rank and back, an activation between. Each rank of a tensor-parallel
 * group has all of it. */
static bool add_bottleneck(struct rewrite *rewrite, const struct adapters_parameters *p, int index)
{
    enum { ACTIVATION_FLOPS = 4 };
    struct graph *graph = rewrite->graph;
    struct side_product side = side_of(rewrite, p);
    double hidden = side.columns = graph->ops[index].gemm.n;
    int last;
    if (!linear_add_side(rewrite, "adapters", index, &side, &last))
        return false;
    struct op *down = &graph->ops[index + 1];
    down->gemm.k = graph->buffers[down->weights].cols = hidden;
    struct op layer = *down;
    struct op *op = graph_insert_op(graph, index + 2, OP_NAME_SIDE_ACTIVATION, OP_ELEMENTWISE, layer.block);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "adapters: more than %d operators", OPS_MOST);
    op->regime = layer.regime;
    op->rows_factor = layer.rows_factor * p->tenants;
    op->stream.read = op->stream.written = op->stream.in_place = p->rank;
    op->stream.flops = ACTIVATION_FLOPS * p->rank;
    op->stream.exponentials = p->rank;
    op->stream.read_type = op->stream.write_type = layer.gemm.c_type;
    return true;
}

/* Every tenant's scales but those that the weights have already. */
static bool add_scales(struct rewrite *rewrite, const struct adapters_parameters *p)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        if (!linear_is_weights(&graph->ops[i]) || !(stored_pairs(p) > 1))
            continue;
        struct op layer = graph->ops[i];
        const struct element_type *type = &graph->buffers[layer.weights].type;
        double groups = type->grain == GRAIN_GROUP ? ceil(layer.gemm.k / type->group_size) : 1;
        double copies = graph->buffers[layer.weights].copies;
        int index = graph_add_buffer(graph, "scales", BUFFER_WEIGHTS, layer.block);
        if (graph->failed)
            return diag_error(rewrite->diag, NOWHERE, "adapters: more than %d buffers", BUFFERS_MOST);
        graph->buffers[index].type = graph->types.activations;
        graph->buffers[index].type.value_bits = 8 * SCALE_BYTES;
        graph->buffers[index].rows = layer.gemm.n;
        graph->buffers[index].cols = groups;
        graph->buffers[index].copies = copies * (stored_pairs(p) - 1);
    }
    return true;
}

/* Private layers run once for each tenant, on its own rows with its own weights. */
static bool part_tenants(struct rewrite *rewrite, const struct adapters_parameters *p)
{
    struct graph *graph = rewrite->graph;
    bool *chosen = linear_first_layers(rewrite, graph->model, p->private_layers);
    if (!chosen || p->tenants == 1)
        return chosen != NULL;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (op->kind != OP_GEMM || op->block == OUTSIDE_LAYERS ||
            !block_is_chosen(graph->model, op->block, chosen))
            continue;
        op->per_layer *= p->tenants;
        op->rows_factor /= p->tenants;
    }
    for (int i = 0; i < graph->buffer_count; i++) {
        struct buffer *buffer = &graph->buffers[i];
        if (buffer->class == BUFFER_WEIGHTS && buffer->block != OUTSIDE_LAYERS &&
            block_is_chosen(graph->model, buffer->block, chosen))
            buffer->copies *= stored_pairs(p);
    }
    return true;
}

static bool add_beside(struct rewrite *rewrite, const struct adapters_parameters *p)
{
    unsigned targets;
    if (!linear_parts_read(rewrite, "adapters", &p->targets, LINEAR_Q | LINEAR_V, &targets))
        return false;
    for (int i = rewrite->graph->op_count - 1; i >= 0; i--) {
        unsigned parts = linear_parts_of(&rewrite->graph->ops[i]);
        bool added = true;
        if (p->kind == ADAPTER_LORA && parts & targets)
            added = add_lora(rewrite, p, i, targets);
        else if (p->kind == ADAPTER_ROWS && parts & targets)
            added = add_rows(rewrite, p, i);
        else if (p->kind != ADAPTER_LORA && p->kind != ADAPTER_ROWS && parts & (LINEAR_O | LINEAR_DOWN))
            added = add_bottleneck(rewrite, p, i);
        if (!added)
            return false;
    }
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct adapters_parameters *p = parameters;
    switch ((enum kind)p->kind) {
    case ADAPTER_PREFIX:
        return true;
    case ADAPTER_SCALES:
        return add_scales(rewrite, p);
    case ADAPTER_LAYERS:
        return part_tenants(rewrite, p);
    default:
        return is_merged(p) || add_beside(rewrite, p);
    }
}

static const struct enum_name kind_names[] = {{"lora", ADAPTER_LORA},         {"series", ADAPTER_SERIES},
                                              {"parallel", ADAPTER_PARALLEL}, {"prefix", ADAPTER_PREFIX},
                                              {"rows", ADAPTER_ROWS},         {"scales", ADAPTER_SCALES},
                                              {"layers", ADAPTER_LAYERS},     {NULL, 0}};

static const struct field fields[] = {
    ENUM_FIELD(adapters_parameters, kind, kind_names, "lora", "what a tenant has of its own"),
    INT_FIELD(adapters_parameters, rank, 1, 65536, "8", "inner width; rows of a matrix; tokens of a prefix"),
    {.key = "targets",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct adapters_parameters, targets),
     .doc = "matrices with a lora or rows of their own: q, k, v, o, gate, up, down, attention, ffn, all; "
            "default: "
            "q and v"},
    BOOL_FIELD(adapters_parameters, merged, "false", "added to the weights before serving"),
    INT_FIELD(adapters_parameters, tenants, 1, 100000, "1", "that a batch's sequences are dealt to evenly"),
    INT_FIELD(adapters_parameters, stored, 0, 1000000, "0",
              "tenants whose weights lie in memory; 0: those of the batch"),
    FRACTION_FIELD(adapters_parameters, private_layers, "0",
                   "kind layers: share of the layers that each tenant has of its own"),
};
static const struct schema schema = {.name = "adapters",
                                     .size = sizeof(struct adapters_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism adapters;
const struct mechanism adapters = {
    .name = "adapters",
    .summary = "tenants with small weights of their own beside a shared model",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct adapters_parameters),
    .on_workload = on_workload,
    .on_model = on_model,
    .on_ops = on_ops,
};
