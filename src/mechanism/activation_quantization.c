/* Inputs of the linear layers quantised just before each multiplication, so that it runs on the narrow type's
 * units (SmoothQuant arXiv:2211.10438, FP8 arXiv:2209.05433). Dynamic scales cost a kernel that reads the
 * activations, finds their largest magnitude and writes them narrow; static ones ride in the kernel before.
 */
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <string.h>

struct activation_quantization_parameters {
    struct element_type type;
    bool fused;
};

/* Linear layers inside the blocks, but for the small ones that published methods leave wide. */
static bool quantises(const struct op *op)
{
    return op->kind == OP_GEMM && op->block != OUTSIDE_LAYERS && op->gemm.batch == 1 &&
           strcmp(op->name, OP_NAME_ROUTER) != 0 && strcmp(op->name, OP_NAME_SHARED_GATE) != 0 &&
           strcmp(op->name, OP_NAME_INDEX_WEIGHTS_PROJ) != 0;
}

/* Linear layers one after the other with no operator between them read the same input: it is quantised once.
 */
static bool shares_input(const struct graph *graph, int index)
{
    const struct op *op = &graph->ops[index], *before = index > 0 ? &graph->ops[index - 1] : NULL;
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

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct activation_quantization_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        if (!quantises(&graph->ops[i]) || strcmp(graph->ops[i].gemm.a_type.name, p->type.name) == 0)
            continue;
        struct op *op = &graph->ops[i];
        if (!p->fused && !shares_input(graph, i) && within_the_call(op, &p->type))
            op->gemm.a_from = op->gemm.a_type;
        else if (!p->fused && !shares_input(graph, i))
            insert_quantise(graph, i++, &p->type);
        graph->ops[i].gemm.a_type = p->type;
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
    {.key = "fused",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct activation_quantization_parameters, fused),
     .fallback = "false",
     .doc = "static scales: quantised inside the kernel before, at no pass of its own"},
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
    .on_ops = on_ops,
};
