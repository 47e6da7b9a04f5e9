/* Inputs of the linear layers quantised just before each multiplication, so that it runs on the narrow type's
 * units (SmoothQuant arXiv:2211.10438, FP8 arXiv:2209.05433). Dynamic scales cost a kernel that reads the
 * activations, finds their largest magnitude and writes them narrow; static ones ride in the kernel before.
 *
 * Layers that suffer may keep a wider type (FlexQ arXiv:2508.04405), and in each the channels with outliers
 * may be multiplied apart in the type that activations are carried in (LLM.int8() arXiv:2208.07339).
 */
#include "mechanism/linear.h"

#include <stddef.h>
#include <string.h>

struct activation_quantization_parameters {
    struct element_type type;
    bool fused;
    struct element_type wide_type;
    double wide_share;
    double outliers;
};

/* Linear layers inside the blocks, but for the small ones that published methods leave wide and what other
 * techniques put beside them. */
static bool quantises(const struct op *op)
{
    return linear_is_weights(op) && op->gemm.batch == 1;
}

/* Linear layers one after the other with no operator between them read the same input: it is quantised once.
 */
static bool shares_input(const struct graph *graph, int index)
{
    const struct op *op = &graph->ops[index], *before = index > 0 ? op - 1 : NULL;
    while (before > graph->ops && strcmp(before->name, OP_NAME_OUTLIER_PRODUCT) == 0)
        before--;
    return before && quantises(before) && before->block == op->block && before->gemm.k == op->gemm.k &&
           before->rows == op->rows;
}

static void insert_quantise(struct graph *graph, int index, const struct element_type *type)
{
    enum { QUANTISE_FLOPS = 3 }; /* |x| and max, then scale */
    struct op linear = graph->ops[index];
    struct op *op = graph_insert_op(graph, index, OP_NAME_QUANTIZE, OP_TRANSFORM, linear.block);
    double share =
        linear.gemm.experts > 0 ? linear.gemm.top_k * linear.gemm.local_experts / linear.gemm.experts : 1;
    op->regime = linear.regime;
    op->rows = linear.rows;
    op->rows_factor = linear.rows_factor * share;
    op->stream.read = op->stream.written = linear.gemm.k;
    op->stream.flops = QUANTISE_FLOPS * linear.gemm.k;
    op->stream.read_type = linear.gemm.a_type;
    op->stream.write_type = *type;
}

/* Libraries quantise to fp8 within the call of the layer, and are measured so; experts' rows before they are
 * dealt, integers in a kernel before. */
static bool within_the_call(const struct op *op, const struct element_type *type)
{
    return type->format == FORMAT_FP8 && op->gemm.experts <= 0;
}

/* The channels with outliers, gathered: their weights are read once more and converted. */
static bool add_outliers(struct rewrite *rewrite, int index, double share)
{
    struct graph *graph = rewrite->graph;
    struct op layer = graph->ops[index];
    struct op *op = op_copy(rewrite, index);
    if (!op)
        return false;
    op->name = OP_NAME_OUTLIER_PRODUCT;
    op->gemm.k = share * layer.gemm.k;
    op->gemm.a_type = graph->types.activations;
    op->gemm.a_from = (struct element_type){0};
    op->gemm.bias = false;
    return true;
}

static bool *wide_layers(struct rewrite *rewrite, const struct model *model,
                         const struct activation_quantization_parameters *p)
{
    return linear_first_layers(rewrite, model, p->wide_share);
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct activation_quantization_parameters *p = parameters;
    if (!(p->wide_share > 0))
        return true;
    if (p->wide_type.format == FORMAT_NONE)
        return diag_error(rewrite->diag, NOWHERE,
                          "activation_quantization: wide_share without wide_type: say which type they keep");
    bool *chosen = wide_layers(rewrite, rewrite->model, p);
    return chosen && layers_set_apart(rewrite, chosen);
}

static bool quantise_input(struct rewrite *rewrite, int *index, const struct element_type *type, bool fused)
{
    struct graph *graph = rewrite->graph;
    struct op *op = &graph->ops[*index];
    if (!fused && !shares_input(graph, *index) && within_the_call(op, type))
        op->gemm.a_from = op->gemm.a_type;
    else if (!fused && !shares_input(graph, *index))
        insert_quantise(graph, (*index)++, type);
    graph->ops[*index].gemm.a_type = *type;
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct activation_quantization_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool *wide = p->wide_share > 0 ? wide_layers(rewrite, graph->model, p) : NULL;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        bool keeps = wide && op->block != OUTSIDE_LAYERS && block_is_chosen(graph->model, op->block, wide);
        const struct element_type *type = keeps ? &p->wide_type : &p->type;
        if (!quantises(op) || strcmp(op->gemm.a_type.name, type->name) == 0)
            continue;
        bool apart = p->outliers > 0 && op->gemm.experts <= 0;
        if (!quantise_input(rewrite, &i, type, p->fused) || (apart && !add_outliers(rewrite, i, p->outliers)))
            return false;
    }
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "activation_quantization: more than %d operators",
                          OPS_MOST);
    return true;
}

static const struct field fields[] = {
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct activation_quantization_parameters, type),
     .required = true,
     .doc = "element type the linear layers' inputs are quantised to"},
    BOOL_FIELD(activation_quantization_parameters, fused, "false",
               "static scales: quantised inside the kernel before, at no pass of its own"),
    TYPE_FIELD(activation_quantization_parameters, wide_type,
               "element type in the layers that keep a wider one"),
    FRACTION_FIELD(activation_quantization_parameters, wide_share, "0", "share of the layers that keep it"),
    QUANTITY_FIELD(activation_quantization_parameters, outliers, DIM_FRACTION, 0, 0.5, "0",
                   "share of the channels that are multiplied apart, not quantised"),
};
static const struct schema schema = {.name = "activation_quantization",
                                     .size = sizeof(struct activation_quantization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism activation_quantization;
const struct mechanism activation_quantization = {
    .name = "activation_quantization",
    .summary = "inputs of the linear layers in fewer bits, on the narrow type's units",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct activation_quantization_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
