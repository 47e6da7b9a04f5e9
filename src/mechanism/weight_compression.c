/* Weights kept in an entropy code and decoded for every forward pass, bit by bit the same values (DFloat11
 * arXiv:2504.11651). What lies in memory shrinks to coded_bits / stored bits, but for the scratch that holds
 * the largest group of weights decoded at once.
 *
 * In a pass of its own: before a layer (or the table, or the head) a kernel reads its codes and writes its
 * weights, and products read them again as always. With v values and c clocks of a unit for each
 *   t = t0 + start_clocks / clock + max( codes and values through memory, v c / (units * clock) )
 * for each forward pass, whatever its tokens. Within the product: each tile decodes the weights that it
 * loads, memory brings codes only, and every further tile of rows decodes them again.
 *
 * Clocks for a value are measured: codes of different lengths are followed one after the other, so that
 * neither bytes nor operations say how fast a kernel is. They carry over to devices like the one measured as
 * units and clocks do. */
#include "mechanism/linear.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct weight_compression_parameters {
    double coded_bits;
    double clocks;
    double start_clocks;
    bool fused;
    bool outside;
};

/* Floats of 16 bits and more have redundant exponents; integers have been rounded to use their bits. */
static bool is_coded(const struct buffer *buffer, const struct weight_compression_parameters *p)
{
    bool wide = buffer->type.format == FORMAT_BF16 || buffer->type.format == FORMAT_FP16 ||
                buffer->type.format == FORMAT_FP32 || buffer->type.format == FORMAT_FP8;
    bool matrix = buffer->rows > 1 && buffer->cols > 1;
    bool here = buffer->block != OUTSIDE_LAYERS || p->outside;
    return buffer->class == BUFFER_WEIGHTS && wide && matrix && here &&
           p->coded_bits < buffer->type.value_bits;
}

/* Weights that are decoded together: a block's, or one of the matrices outside the layers. */
struct group {
    double values, bytes, coded;
};

static struct group group_of(const struct graph *graph, int block, int buffer,
                             const struct weight_compression_parameters *p)
{
    struct group group = {0};
    for (int i = 0; i < graph->buffer_count; i++) {
        const struct buffer *each = &graph->buffers[i];
        bool chosen = buffer == BUFFER_NONE ? each->block == block : i == buffer;
        if (!chosen || !is_coded(each, p))
            continue;
        double values = each->copies * each->rows * each->cols;
        group.values += values;
        group.bytes += each->copies * element_bytes(&each->type, each->rows, each->cols);
        group.coded += values * p->coded_bits / 8;
    }
    return group;
}

static bool add_decoding(struct rewrite *rewrite, int index, const struct group *group,
                         const struct weight_compression_parameters *p)
{
    struct graph *graph = rewrite->graph;
    struct op user = graph->ops[index];
    const char *name = user.block != OUTSIDE_LAYERS ? OP_NAME_DECOMPRESS
                       : user.kind == OP_GEMM       ? OP_NAME_DECOMPRESS_HEAD
                                                    : OP_NAME_DECOMPRESS_TABLE;
    struct op *op = graph_insert_op(graph, index, name, OP_TRANSFORM, user.block);
    if (graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "weight_compression: more than %d operators", OPS_MOST);
    op->rows = ROWS_STEP;
    op->encodes = user.encodes;
    op->on_first_stage = user.on_first_stage;
    op->stream.fixed_read = group->coded;
    op->stream.fixed_read_bytes_each = 1;
    op->stream.written = group->values;
    op->stream.write_type = graph->types.weights;
    op->stream.write_type.value_bits = 8 * group->bytes / group->values;
    op->stream.read_type = op->stream.write_type;
    op->stream.clocks = p->clocks * group->values;
    op->stream.start_clocks = p->start_clocks;
    return true;
}

/* Before the block's first operator. */
static bool decode_blocks(struct rewrite *rewrite, const struct weight_compression_parameters *p,
                          double *largest)
{
    struct graph *graph = rewrite->graph;
    int block = OUTSIDE_LAYERS;
    for (int i = 0; i < graph->op_count; i++) {
        if (graph->ops[i].block == block)
            continue;
        block = graph->ops[i].block;
        struct group group = group_of(graph, block, BUFFER_NONE, p);
        if (block == OUTSIDE_LAYERS || !(group.values > 0))
            continue;
        if (!add_decoding(rewrite, i++, &group, p))
            return false;
        *largest = fmax(*largest, group.bytes);
    }
    return true;
}

static bool decode_outside(struct rewrite *rewrite, const struct weight_compression_parameters *p,
                           double *largest)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        bool uses = op->block == OUTSIDE_LAYERS && op->weights != BUFFER_NONE &&
                    (op->kind == OP_GEMM || op->kind == OP_GATHER);
        if (!uses || !is_coded(&graph->buffers[op->weights], p))
            continue;
        struct group group = group_of(graph, OUTSIDE_LAYERS, op->weights, p);
        if (!add_decoding(rewrite, i++, &group, p))
            return false;
        *largest = fmax(*largest, group.bytes);
    }
    return true;
}

static bool add_scratch(struct rewrite *rewrite, double bytes)
{
    int index = graph_add_buffer(rewrite->graph, "decoded_weights", BUFFER_RESERVED, OUTSIDE_LAYERS);
    if (rewrite->graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "weight_compression: more than %d buffers", BUFFERS_MOST);
    rewrite->graph->buffers[index].bytes = bytes;
    return true;
}

/* Products read the codes themselves. Rows of a table are looked up whole: it stays as it is. */
static void decode_in_products(struct graph *graph, const struct weight_compression_parameters *p)
{
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (op->kind != OP_GEMM || op->gemm.experts > 0 || op->weights == BUFFER_NONE)
            continue;
        struct buffer *buffer = &graph->buffers[op->weights];
        if (!is_coded(buffer, p) || buffer->touched == 0)
            continue;
        op->gemm.path.clocks = p->clocks;
        buffer->type.value_bits = p->coded_bits;
    }
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_compression_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    double largest = 0;
    bool any = false;
    for (int i = 0; i < graph->buffer_count; i++)
        any |= is_coded(&graph->buffers[i], p);
    if (!any)
        return diag_error(rewrite->diag, NOWHERE,
                          "weight_compression: no weights are floats wider than %g bits; integers have no "
                          "exponents to code",
                          p->coded_bits);
    if (p->fused) {
        decode_in_products(graph, p);
        return true;
    }
    if (!decode_blocks(rewrite, p, &largest) || (p->outside && !decode_outside(rewrite, p, &largest)))
        return false;
    for (int i = 0; i < graph->buffer_count; i++)
        if (is_coded(&graph->buffers[i], p))
            graph->buffers[i].stored = p->coded_bits / graph->buffers[i].type.value_bits;
    return add_scratch(rewrite, largest);
}

static const struct field fields[] = {
    {.key = "coded_bits",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_compression_parameters, coded_bits),
     .min = 1,
     .max = 32,
     .required = true,
     .doc = "mean bits of a coded value, with all that decoding needs"},
    {.key = "clocks",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_compression_parameters, clocks),
     .min = 0,
     .max = 1000,
     .required = true,
     .doc = "clocks of one unit (SM, core) in which it decodes a value"},
    {.key = "start_clocks",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct weight_compression_parameters, start_clocks),
     .min = 0,
     .max = 1e9,
     .fallback = "0",
     .doc = "clocks before a decoding kernel's first value: its phases begin one after the other"},
    BOOL_FIELD(weight_compression_parameters, fused, "false",
               "products decode what they load, instead of a pass before each layer"),
    BOOL_FIELD(weight_compression_parameters, outside, "true",
               "also the embedding table and the output head"),
};
static const struct schema schema = {.name = "weight_compression",
                                     .size = sizeof(struct weight_compression_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"coded_bits", "clocks", "start_clocks", NULL};

extern const struct mechanism weight_compression;
const struct mechanism weight_compression = {
    .name = "weight_compression",
    .summary = "weights in an entropy code, decoded for each forward pass",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct weight_compression_parameters),
    .on_ops = on_ops,
};
