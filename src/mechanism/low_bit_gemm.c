/* The kernels that multiply by weights of few bits. Usual ones convert them to what the units multiply; these
 * look sums of activations up (LUT-GEMM arXiv:2206.09557, T-MAC arXiv:2407.00088, LUT Tensor Core
 * arXiv:2408.06003), multiply planes of bits (ABQ-LLM arXiv:2408.08554), or convert all weights before a wide
 * product; libraries pick by the number of rows. Of the usual ones it says what a conversion takes and
 * whether loads, conversions and products run beside each other (asynchronous dequantisation,
 * arXiv:2311.16442). Bit planes of activations are those of activation_quantization's type. Routed experts
 * keep their kernels. */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct low_bit_gemm_parameters {
    int kernel;      /* enum low_bit_kernel */
    int preparation; /* enum low_bit_preparation */
    int group;
    bool mirrored;
    struct element_type table;
    double operations;
    bool overlapped;
};

static bool has_planes(const struct graph *graph, const struct op *op)
{
    return op->kind == OP_GEMM && !(op->gemm.experts > 0) && op->weights != BUFFER_NONE &&
           number_format_is_integer(graph->buffers[op->weights].type.format);
}

/* Converted weights of the largest layer lie in memory beside the stored ones. */
static bool add_expanded(struct rewrite *rewrite, double bytes)
{
    struct graph *graph = rewrite->graph;
    int index = graph_add_buffer(graph, "expanded_weights", BUFFER_RESERVED, OUTSIDE_LAYERS);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "low_bit_gemm: more than %d buffers", BUFFERS_MOST);
    graph->buffers[index].bytes = bytes;
    return true;
}

static bool table_type_known(const struct rewrite *rewrite, const struct element_type *table)
{
    bool sums = table->format == FORMAT_INT8 || table->format == FORMAT_FP16 ||
                table->format == FORMAT_BF16 || table->format == FORMAT_FP32;
    return sums ||
           diag_error(rewrite->diag, NOWHERE,
                      "low_bit_gemm: table: found %s, expected int8, fp16, bf16 or fp32", table->name);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct low_bit_gemm_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    double largest = 0;
    bool any = false;
    if (!table_type_known(rewrite, &p->table))
        return false;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (!has_planes(graph, op))
            continue;
        any = true;
        op->gemm.low_bit = (struct low_bit_work){.kernel = (enum low_bit_kernel)p->kernel,
                                                 .preparation = (enum low_bit_preparation)p->preparation,
                                                 .group = p->group,
                                                 .mirrored = p->mirrored,
                                                 .table = p->table};
        op->gemm.path.operations += p->operations - 1;
        op->gemm.path.in_turn = !p->overlapped;
        double batch = op->gemm.batch > 0 ? op->gemm.batch : 1;
        double bytes = batch * element_bytes(&op->gemm.a_type, op->gemm.n, op->gemm.k);
        largest = bytes > largest ? bytes : largest;
    }
    if (!any)
        return diag_error(rewrite->diag, NOWHERE,
                          "low_bit_gemm: no linear layer has integer weights; store them so by "
                          "weight_quantization (routed experts keep their kernels)");
    bool expands = p->kernel == LOW_BIT_EXPAND_FIRST || p->kernel == LOW_BIT_BEST;
    return !expands || add_expanded(rewrite, largest);
}

static const struct enum_name kernel_names[] = {
    {"dequantize", LOW_BIT_DEQUANTIZE},     {"lookup", LOW_BIT_LOOKUP}, {"bit-serial", LOW_BIT_BIT_SERIAL},
    {"expand-first", LOW_BIT_EXPAND_FIRST}, {"best", LOW_BIT_BEST},     {NULL, 0},
};

static const struct enum_name preparation_names[] = {
    {"before", PREPARED_BEFORE},
    {"fused", PREPARED_FUSED},
    {"in-tile", PREPARED_IN_TILE},
    {NULL, 0},
};

static const struct field fields[] = {
    ENUM_FIELD(
        low_bit_gemm_parameters, kernel, kernel_names, "best",
        "convert on the way, look sums up, multiply bit planes, convert all first; best: the fastest of "
        "those that the device has units for, for each number of rows"),
    ENUM_FIELD(
        low_bit_gemm_parameters, preparation, preparation_names, "before",
        "where tables or bit planes are made: in a kernel before, in the operator before at no pass of its "
        "own, in each tile that needs them"),
    {.key = "group",
     .kind = FIELD_INT,
     .offset = offsetof(struct low_bit_gemm_parameters, group),
     .dimension = DIM_COUNT,
     .min = 2,
     .max = 12,
     .fallback = "4",
     .doc = "activations that a table covers: 2^group sums"},
    BOOL_FIELD(low_bit_gemm_parameters, mirrored, "false",
               "half of the sums are stored, the others are their negatives"),
    {.key = "table",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct low_bit_gemm_parameters, table),
     .fallback = "int8",
     .doc = "element type of a table's sums: int8, fp16, bf16, fp32"},
    {.key = "operations",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct low_bit_gemm_parameters, operations),
     .min = 0,
     .max = 100,
     .fallback = "1",
     .doc =
         "multiply-adds of the lanes that converting a weight takes: scales of two levels 2, scales applied "
         "to sums 0"},
    BOOL_FIELD(low_bit_gemm_parameters, overlapped, "true",
               "kernels that convert do so beside loads and products; false: each waits for the one before"),
};
static const struct schema schema = {.name = "low_bit_gemm",
                                     .size = sizeof(struct low_bit_gemm_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism low_bit_gemm;
const struct mechanism low_bit_gemm = {
    .name = "low_bit_gemm",
    .summary = "products by weights of few bits without converting them",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct low_bit_gemm_parameters),
    .on_ops = on_ops,
};
