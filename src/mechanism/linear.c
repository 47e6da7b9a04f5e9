#include "mechanism/linear.h"

#include <math.h>
#include <string.h>

struct part_name {
    const char *name;
    unsigned parts;
};

static const struct part_name part_names[] = {
    {"q", LINEAR_Q},
    {"k", LINEAR_K},
    {"v", LINEAR_V},
    {"o", LINEAR_O},
    {"gate", LINEAR_GATE},
    {"up", LINEAR_UP},
    {"down", LINEAR_DOWN},
    {"attention", LINEAR_Q | LINEAR_K | LINEAR_V | LINEAR_O},
    {"ffn", LINEAR_GATE | LINEAR_UP | LINEAR_DOWN},
    {"all", LINEAR_ALL},
};

static const struct part_name operator_parts[] = {
    {OP_NAME_Q_PROJ, LINEAR_Q},       {OP_NAME_K_PROJ, LINEAR_K},
    {OP_NAME_V_PROJ, LINEAR_V},       {OP_NAME_QKV_PROJ, LINEAR_Q | LINEAR_K | LINEAR_V},
    {OP_NAME_O_PROJ, LINEAR_O},       {OP_NAME_GATE_PROJ, LINEAR_GATE},
    {OP_NAME_UP_PROJ, LINEAR_UP},     {OP_NAME_GATE_UP_PROJ, LINEAR_GATE | LINEAR_UP},
    {OP_NAME_DOWN_PROJ, LINEAR_DOWN},
};

/* Stay as they are: small, or a technique's own. */
static const char *const left_alone[] = {OP_NAME_ROUTER,    OP_NAME_SHARED_GATE, OP_NAME_INDEX_WEIGHTS_PROJ,
                                         OP_NAME_SIDE_DOWN, OP_NAME_SIDE_UP,     OP_NAME_OUTLIER_PRODUCT,
                                         OP_NAME_PREDICTOR};

static unsigned parts_named(const struct part_name *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].parts;
    return 0;
}

bool linear_parts_read(struct rewrite *rewrite, const char *mechanism, const struct string_list *names,
                       unsigned fallback, unsigned *parts)
{
    *parts = names->count > 0 ? 0 : fallback;
    for (size_t i = 0; i < names->count; i++) {
        unsigned found = parts_named(part_names, sizeof part_names / sizeof *part_names, names->items[i]);
        if (found == 0)
            return diag_error(
                rewrite->diag, NOWHERE,
                "%s: found \"%.40s\", expected q, k, v, o, gate, up, down, attention, ffn or all", mechanism,
                names->items[i]);
        *parts |= found;
    }
    return true;
}

unsigned linear_parts_of(const struct op *op)
{
    if (op->kind != OP_GEMM || op->gemm.experts > 0 || op->block == OUTSIDE_LAYERS)
        return 0;
    return parts_named(operator_parts, sizeof operator_parts / sizeof *operator_parts, op->name);
}

double linear_columns(const struct graph *graph, const struct op *op, unsigned parts)
{
    unsigned has = linear_parts_of(op);
    parts &= has;
    if (parts == has)
        return op->gemm.n;
    if (has & LINEAR_GATE)
        return parts ? op->gemm.n / 2 : 0;
    const struct attention_spec *spec = &graph->model->blocks[op->block].attention;
    double qk = spec->head_dim, v = spec->v_head_dim ? spec->v_head_dim : spec->head_dim;
    double q = spec->heads * qk * (spec->output_gate ? 2 : 1), k = spec->kv_heads * qk;
    double all = q + k + spec->kv_heads * v, chosen = 0;
    chosen += parts & LINEAR_Q ? q : 0;
    chosen += parts & LINEAR_K ? k : 0;
    chosen += parts & LINEAR_V ? spec->kv_heads * v : 0;
    return op->gemm.n * chosen / all;
}

bool linear_is_weights(const struct op *op)
{
    if (op->kind != OP_GEMM || op->block == OUTSIDE_LAYERS || op->weights == BUFFER_NONE)
        return false;
    for (size_t i = 0; i < sizeof left_alone / sizeof *left_alone; i++)
        if (strcmp(op->name, left_alone[i]) == 0)
            return false;
    return true;
}

static bool no_room(struct rewrite *rewrite, const char *mechanism)
{
    return diag_error(rewrite->diag, NOWHERE, "%s: more than %d operators or %d buffers", mechanism, OPS_MOST,
                      BUFFERS_MOST);
}

struct op *linear_add_product(struct rewrite *rewrite, const char *mechanism, int index, const char *name,
                              double n, double k, const struct element_type *type)
{
    struct graph *graph = rewrite->graph;
    struct op layer = graph->ops[index];
    int weights = graph_add_buffer(graph, name, BUFFER_WEIGHTS, layer.block);
    struct op *op = graph_insert_op(graph, index + 1, name, OP_GEMM, layer.block);
    if (graph->failed) {
        no_room(rewrite, mechanism);
        return NULL;
    }
    graph->buffers[weights].type = *type;
    graph->buffers[weights].rows = n;
    graph->buffers[weights].cols = k;
    op->regime = layer.regime;
    op->rows = layer.rows;
    op->rows_factor = layer.rows_factor;
    op->per_layer = layer.per_layer;
    op->weights = weights;
    op->gemm = (struct gemm_work){.n = n,
                                  .k = k,
                                  .batch = 1,
                                  .a_type = layer.gemm.a_from.name[0] != '\0' ? layer.gemm.a_from
                                                                              : graph->types.activations,
                                  .c_type = layer.gemm.c_type};
    return op;
}

/* Rows are dealt to the pairs: each product is `tenants` small ones of as many rows each. */
static bool add_dealt(struct rewrite *rewrite, const char *mechanism, int index, const char *name, double n,
                      double k, const struct side_product *side)
{
    struct op *op = linear_add_product(rewrite, mechanism, index, name, n, k, &side->type);
    if (!op)
        return false;
    op->gemm.batch = side->tenants;
    op->rows_factor /= side->tenants;
    rewrite->graph->buffers[op->weights].copies = fmax(side->stored, side->tenants);
    return true;
}

bool linear_add_side(struct rewrite *rewrite, const char *mechanism, int index,
                     const struct side_product *side, int *last)
{
    struct graph *graph = rewrite->graph;
    double k = graph->ops[index].gemm.k;
    enum { ADD_FLOPS = 1 };
    if (!add_dealt(rewrite, mechanism, index, OP_NAME_SIDE_DOWN, side->rank, k, side) ||
        !add_dealt(rewrite, mechanism, index + 1, OP_NAME_SIDE_UP, side->columns, side->rank, side))
        return false;
    *last = index + 2;
    if (!side->adds)
        return true;
    struct op layer = graph->ops[index];
    struct op *op = graph_insert_op(graph, index + 3, OP_NAME_SIDE_ADD, OP_ELEMENTWISE, layer.block);
    if (graph->failed)
        return no_room(rewrite, mechanism);
    op->regime = layer.regime;
    op->rows = layer.rows;
    op->rows_factor = layer.rows_factor;
    op->stream.read = 2 * side->columns;
    op->stream.written = op->stream.in_place = side->columns;
    op->stream.flops = ADD_FLOPS * side->columns;
    op->stream.read_type = op->stream.write_type = layer.gemm.c_type;
    *last = index + 3;
    return true;
}

bool *linear_first_layers(struct rewrite *rewrite, const struct model *model, double share)
{
    bool *chosen = ARENA_ARRAY(rewrite->arena, bool, (size_t)model->layers + 1);
    if (!chosen) {
        diag_error(rewrite->diag, NOWHERE, "out of memory");
        return NULL;
    }
    double count = ceil(share * model->layers - 1e-9);
    for (int i = 0; i < model->layers; i++)
        chosen[i] = i < count;
    return chosen;
}
