/* Weights of the linear layers stored in another type: fewer bytes to read, and a conversion to what the
 * device multiplies in where it has no units for the type. The embedding table and the output head stay as
 * they are unless asked, as published methods leave them (GPTQ arXiv:2210.17323, AWQ arXiv:2306.00978).
 *
 * Mixed widths: a share of the weights is stored in a wider type, spread over each matrix (SliM-LLM
 * arXiv:2405.14917: groups of columns) or as whole layers. Spread, a matrix takes the mean bits of the two.
 *
 * What rounding spoils most may go by a path of its own beside the matrix: the largest weights as 16-bit
 * values with their places, multiplied one by one on the lanes (SpQR arXiv:2306.03078), or a low-rank
 * correction B A of the whole matrix (LQER arXiv:2402.02446). */
#include "mechanism/linear.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum spread { SPREAD_WEIGHTS, SPREAD_LAYERS };

struct weight_quantization_parameters {
    struct element_type type;
    struct element_type experts;
    bool embedding;
    double bits;
    struct element_type wide_type;
    double wide_share;
    int wide_by; /* enum spread */
    double outliers;
    double outlier_bits;
    int rank;
};

static bool same_grain(const struct element_type *a, const struct element_type *b)
{
    return a->grain == b->grain && a->group_size == b->group_size;
}

/* `share` of the values in `wide`, the others in `narrow`: the mean of what they take. */
static struct element_type mixed(const struct element_type *narrow, const struct element_type *wide,
                                 double share)
{
    if (!(share > 0))
        return *narrow;
    if (share >= 1)
        return *wide;
    struct element_type type = *narrow;
    if (same_grain(narrow, wide)) {
        type.value_bits += share * (wide->value_bits - narrow->value_bits);
        type.scale_bits += share * (wide->scale_bits - narrow->scale_bits);
        type.zero_bits += share * (wide->zero_bits - narrow->zero_bits);
    } else {
        double bytes = (1 - share) * element_bytes_each(narrow) + share * element_bytes_each(wide);
        type = (struct element_type){.format = narrow->format, .value_bits = 8 * bytes};
    }
    snprintf(type.name, sizeof type.name, "%.11s+%.11s", narrow->name, wide->name);
    return type;
}

static struct element_type stored_type(const struct weight_quantization_parameters *p)
{
    struct element_type type = p->type;
    if (p->bits > 0)
        type.value_bits = p->bits;
    return p->wide_by == SPREAD_WEIGHTS ? mixed(&type, &p->wide_type, p->wide_share) : type;
}

static bool check(struct rewrite *rewrite, const struct weight_quantization_parameters *p)
{
    if (p->wide_share > 0 && p->wide_type.format == FORMAT_NONE)
        return diag_error(rewrite->diag, NOWHERE,
                          "weight_quantization: wide_share without wide_type: say which type that share has");
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_quantization_parameters *p = parameters;
    if (!check(rewrite, p))
        return false;
    struct element_type type = stored_type(p);
    rewrite->types->weights = type;
    rewrite->types->experts = p->experts.format != FORMAT_NONE ? p->experts : type;
    if (p->embedding)
        rewrite->types->embedding = type;
    if (p->wide_by != SPREAD_LAYERS || !(p->wide_share > 0))
        return true;
    bool *chosen = linear_first_layers(rewrite, rewrite->model, p->wide_share);
    return chosen && layers_set_apart(rewrite, chosen);
}

static bool widen_layers(struct rewrite *rewrite, const struct weight_quantization_parameters *p)
{
    struct graph *graph = rewrite->graph;
    bool *chosen = linear_first_layers(rewrite, graph->model, p->wide_share);
    if (!chosen)
        return false;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (!linear_is_weights(op) || !block_is_chosen(graph->model, op->block, chosen))
            continue;
        struct element_type *type = &graph->buffers[op->weights].type;
        if (element_type_equal(type, &graph->types.weights))
            *type = p->wide_type;
    }
    return true;
}

/* Their places come with them, and lanes of 32 bits multiply what stands anywhere. */
static bool add_outliers(struct rewrite *rewrite, const struct weight_quantization_parameters *p, int index)
{
    struct element_type type = {
        .name = "sparse outliers", .format = FORMAT_FP32, .value_bits = p->outlier_bits};
    const struct gemm_work work = rewrite->graph->ops[index].gemm;
    return linear_add_product(rewrite, "weight_quantization", index, OP_NAME_OUTLIER_PRODUCT, work.n,
                              work.k * p->outliers, &type) != NULL;
}

static bool add_correction(struct rewrite *rewrite, const struct weight_quantization_parameters *p, int index)
{
    struct side_product side = {.rank = p->rank,
                                .columns = rewrite->graph->ops[index].gemm.n,
                                .tenants = 1,
                                .type = rewrite->graph->types.activations};
    int last;
    return linear_add_side(rewrite, "weight_quantization", index, &side, &last);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_quantization_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    if (p->wide_by == SPREAD_LAYERS && p->wide_share > 0 && !widen_layers(rewrite, p))
        return false;
    for (int i = graph->op_count - 1; i >= 0; i--) {
        if (linear_parts_of(&graph->ops[i]) == 0)
            continue;
        if ((p->outliers > 0 && !add_outliers(rewrite, p, i)) ||
            (p->rank > 0 && !add_correction(rewrite, p, i)))
            return false;
    }
    return true;
}

static const struct enum_name spread_names[] = {
    {"weights", SPREAD_WEIGHTS}, {"layers", SPREAD_LAYERS}, {NULL, 0}};

static const struct field fields[] = {
    {.key = "type",
     .kind = FIELD_TYPE,
     .offset = offsetof(struct weight_quantization_parameters, type),
     .required = true,
     .doc = "element type of the linear layers' weights"},
    TYPE_FIELD(weight_quantization_parameters, experts, "element type of routed experts; default: as type"),
    BOOL_FIELD(weight_quantization_parameters, embedding, "false",
               "also the embedding table and the output head"),
    {.key = "bits",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_quantization_parameters, bits),
     .min = 0,
     .max = 32,
     .fallback = "0",
     .doc = "mean bits of a value, scales apart, where it is not the type's; 0: the type's"},
    TYPE_FIELD(weight_quantization_parameters, wide_type, "element type of the share that is stored wider"),
    FRACTION_FIELD(weight_quantization_parameters, wide_share, "0",
                   "share of the weights (or layers) in wide_type"),
    ENUM_FIELD(weight_quantization_parameters, wide_by, spread_names, "weights",
               "what wide_share counts: weights of every matrix, or whole layers"),
    QUANTITY_FIELD(weight_quantization_parameters, outliers, DIM_FRACTION, 0, 0.5, "0",
                   "share of the weights kept apart as single values, multiplied on the lanes"),
    {.key = "outlier_bits",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_quantization_parameters, outlier_bits),
     .min = 8,
     .max = 64,
     .fallback = "32",
     .doc = "bits of such a value with its place"},
    INT_FIELD(weight_quantization_parameters, rank, 0, 4096, "0",
              "rank of a 16-bit correction beside each matrix; 0: none"),
};
static const struct schema schema = {.name = "weight_quantization",
                                     .size = sizeof(struct weight_quantization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism weight_quantization;
const struct mechanism weight_quantization = {
    .name = "weight_quantization",
    .summary = "weights of the linear layers in fewer bits",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct weight_quantization_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
