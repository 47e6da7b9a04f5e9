/* The KV cache stored in another type: fewer bytes to keep and to read; values are converted in the attention
 * kernel on their way to the multiply units. Beside the plain type: keys and values of widths of their own;
 * product quantisation (a code of b bits for each group of s values, MILLION arXiv:2504.03661); outliers kept
 * exactly in a sparse structure (KVQuant arXiv:2401.18079) and a low-rank correction (GEAR arXiv:2403.05527);
 * recent tokens in full precision (KIVI arXiv:2402.02750).
 *
 * Bits of a value: those of the type, or b / s; + sparse_share * sparse_bits; + rank * 16 / head dimension.
 * Recent tokens: attention over all but the last R tokens, and a second kernel over those R in 16 bits.
 * Encoding what is new: encode_flops a value; product quantisation compares each group with 2^b centroids of
 * s values, 3 FLOPs a value of each (subtract, multiply, add), and unless that is fused the 2^b distances
 * pass through memory. Decoding: convert_flops a value beyond a plain conversion's; product quantisation
 * looks a group up in on-chip memory, which serves 32 of a unit's 128 lanes a clock: as long as 8 FLOPs, and
 * the sum, 9 / s a value. An outlier is met again at 8; the low-rank part costs 2 rank / head dimension a
 * value and query head of the group. */
#include "mechanism/kv_cache.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct kv_quantization_parameters {
    struct element_type type, keys, values;
    int code_bits, sub_vector;
    bool encode_fused;
    double residual_tokens;
    double sparse_share, sparse_bits;
    double rank;
    double convert_flops, encode_flops;
    int encode_every;
    bool async_encode, exact_prefill, in_place;
};

enum { LOOKUP_FLOPS = 9, OUTLIER_FLOPS = 8, CENTROID_FLOPS = 3, FULL_BITS = 16, ASYNC_CHUNKS = 1000000 };

/* Both halves of the cache have as many values in models that this is for; where they have not, the mean over
 * them is close. */
static struct element_type mixed_type(const struct element_type *keys, const struct element_type *values)
{
    struct element_type mixed = *keys;
    double bits = 4 * (element_bytes_each(keys) + element_bytes_each(values));
    mixed.value_bits = bits;
    mixed.grain = GRAIN_NONE;
    mixed.scale_bits = mixed.zero_bits = 0;
    snprintf(mixed.name, sizeof mixed.name, "k%.3gv%.3g", keys->value_bits, values->value_bits);
    return mixed;
}

static struct element_type code_type(const struct kv_quantization_parameters *p)
{
    double bits = (double)p->code_bits / p->sub_vector;
    struct element_type type = {.value_bits = bits};
    type.format = bits <= 2 ? FORMAT_INT2 : bits <= 4 ? FORMAT_INT4 : FORMAT_INT8;
    snprintf(type.name, sizeof type.name, "code%d-of-%d", p->code_bits, p->sub_vector);
    return type;
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_quantization_parameters *p = parameters;
    if (p->in_place)
        rewrite->software->copy_kv = false;
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_quantization_parameters *p = parameters;
    if (!kv_needs_cache(rewrite, "kv_quantization"))
        return false;
    bool plain = p->type.format != FORMAT_NONE;
    bool apart = p->keys.format != FORMAT_NONE || p->values.format != FORMAT_NONE;
    bool both = p->keys.format != FORMAT_NONE && p->values.format != FORMAT_NONE;
    if (apart && !plain && !both)
        return diag_error(rewrite->diag, NOWHERE,
                          "kv_quantization: give keys and values, or type for the other of the two");
    if ((plain || apart) == (p->code_bits > 0))
        return diag_error(rewrite->diag, NOWHERE,
                          "kv_quantization: give type (or keys and values), or code_bits for product "
                          "quantisation; not both");
    if (p->code_bits > 0)
        rewrite->types->kv = code_type(p);
    else if (apart) {
        struct element_type keys = p->keys.format != FORMAT_NONE ? p->keys : p->type;
        struct element_type values = p->values.format != FORMAT_NONE ? p->values : p->type;
        rewrite->types->kv = mixed_type(&keys, &values);
    } else
        rewrite->types->kv = p->type;
    return true;
}

static double head_dim_of(const struct graph *graph, int cache)
{
    for (int i = 0; i < graph->op_count; i++)
        if (kv_attends(&graph->ops[i]) && graph->ops[i].cache == cache)
            return graph->ops[i].attention.qk_dim;
    return 0;
}

static void widen(const struct rewrite *rewrite, const struct kv_quantization_parameters *p)
{
    for (int i = 0; i < rewrite->graph->buffer_count; i++) {
        struct buffer *buffer = &rewrite->graph->buffers[i];
        double head = head_dim_of(rewrite->graph, i);
        if (buffer->class != BUFFER_KV || !(head > 0))
            continue;
        double more = p->sparse_share * p->sparse_bits + p->rank * FULL_BITS / head;
        buffer->type = kv_type_scaled(&buffer->type, 1, more);
    }
}

/* On a stream of its own: beside the matrix products of the step. */
static void encode_beside(struct graph *graph)
{
    int group = overlap_group_free(graph);
    if (group == 0)
        return;
    graph->overlap_chunks[group] = ASYNC_CHUNKS;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        bool encodes = strcmp(op->name, OP_NAME_KV_ENCODE) == 0 && op->regime == REGIME_DECODE;
        if (op->overlap_group == 0 && (encodes || (op->kind == OP_GEMM && op->block != OUTSIDE_LAYERS)))
            op->overlap_group = group;
    }
}

static bool add_encoding(struct rewrite *rewrite, const struct kv_quantization_parameters *p)
{
    struct graph *graph = rewrite->graph;
    double flops = p->encode_flops, scratch = 0;
    if (p->code_bits > 0) {
        double centroids = pow(2, p->code_bits);
        flops += CENTROID_FLOPS * centroids;
        scratch = p->encode_fused ? 0 : centroids / p->sub_vector;
    }
    if (!(flops > 0))
        return true;
    for (int i = 0; i < graph->op_count; i++) {
        if (!kv_writes(graph, &graph->ops[i]))
            continue;
        double values = graph->buffers[graph->ops[i].cache].elements;
        for (int regime = REGIME_DECODE; regime >= REGIME_PREFILL; regime--) {
            struct op *op = kv_stream(rewrite, i, OP_NAME_KV_ENCODE, (enum regime)regime,
                                      values * (1 + scratch), values * scratch, values * flops);
            if (op == NULL)
                return false;
            if (regime == REGIME_DECODE) { /* so many tokens at a time, so often more rarely */
                op->per_layer = 1.0 / p->encode_every;
                op->rows_factor *= p->encode_every;
            }
        }
        i += 2;
    }
    if (p->async_encode)
        encode_beside(graph);
    return true;
}

static double convert_flops(const struct kv_quantization_parameters *p, const struct attention_work *work)
{
    double flops = p->convert_flops + OUTLIER_FLOPS * p->sparse_share;
    if (p->code_bits > 0)
        flops += (double)LOOKUP_FLOPS / p->sub_vector;
    return flops + 2 * p->rank / work->qk_dim * work->heads / work->kv_heads;
}

static bool part_attention(struct rewrite *rewrite, const struct kv_quantization_parameters *p)
{
    struct graph *graph = rewrite->graph;
    int made[BUFFERS_MOST];
    for (int i = 0; i < BUFFERS_MOST; i++)
        made[i] = BUFFER_NONE;
    for (int i = 0; i < graph->op_count; i++) {
        int prefill, decode;
        if (!kv_attends(&graph->ops[i]))
            continue;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        if (prefill >= 0 && p->exact_prefill)
            graph->ops[prefill].reads_cache = false;
        if (decode < 0)
            continue;
        struct attention_work *work = &graph->ops[decode].attention;
        work->convert_flops += convert_flops(p, work);
        i = decode;
        if (p->residual_tokens > 0) {
            if (!kv_residual(rewrite, decode, p->residual_tokens, made))
                return false;
            i++;
        }
    }
    return true;
}

/* Software that copies the cache to let it grow copies what is stored. */
static void copy_as_stored(struct graph *graph)
{
    for (int i = 0; i < graph->op_count; i++)
        if (strcmp(graph->ops[i].name, OP_NAME_KV_COPY) == 0)
            graph->ops[i].stream.read_type = graph->ops[i].stream.write_type = graph->types.kv;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_quantization_parameters *p = parameters;
    copy_as_stored(rewrite->graph);
    if (p->sparse_share > 0 || p->rank > 0)
        widen(rewrite, p);
    bool decodes = p->code_bits > 0 || p->convert_flops > 0 || p->sparse_share > 0 || p->rank > 0;
    if ((decodes || p->residual_tokens > 0 || p->exact_prefill) && !part_attention(rewrite, p))
        return false;
    return add_encoding(rewrite, p);
}

static const struct field fields[] = {
    TYPE_FIELD(kv_quantization_parameters, type, "element type of cached keys and values"),
    TYPE_FIELD(kv_quantization_parameters, keys, "of keys; default: as type"),
    TYPE_FIELD(kv_quantization_parameters, values, "of values; default: as type"),
    INT_FIELD(
        kv_quantization_parameters, code_bits, 0, 16, "0",
        "product quantisation: bits of the code that stands for sub_vector values, in place of type; 0: "
        "none"),
    INT_FIELD(kv_quantization_parameters, sub_vector, 1, 64, "2",
              "product quantisation: values that a code stands for"),
    BOOL_FIELD(kv_quantization_parameters, encode_fused, "false",
               "product quantisation: distances to the centroids stay on chip"),
    QUANTITY_FIELD(kv_quantization_parameters, residual_tokens, DIM_TOKENS, 0, 1e6, "0",
                   "recent tokens that stay in full precision, read by a kernel of their own"),
    FRACTION_FIELD(kv_quantization_parameters, sparse_share, "0",
                   "share of the values that are stored exactly beside the others"),
    QUANTITY_FIELD(kv_quantization_parameters, sparse_bits, DIM_NONE, 8, 64, "32",
                   "bits of such a value with its index"),
    QUANTITY_FIELD(kv_quantization_parameters, rank, DIM_NONE, 0, 128, "0",
                   "of a low-rank correction of each head: 16-bit values a token and head"),
    QUANTITY_FIELD(kv_quantization_parameters, convert_flops, DIM_NONE, 0, 1000, "0",
                   "lane FLOPs for each cached value that is read, beyond a plain conversion's 2"),
    QUANTITY_FIELD(kv_quantization_parameters, encode_flops, DIM_NONE, 0, 1e5, "0",
                   "lane FLOPs for each new value in a pass of its own; 0: encoded as it is written"),
    INT_FIELD(kv_quantization_parameters, encode_every, 1, 4096, "1",
              "decode steps after which that pass takes all tokens since the last"),
    BOOL_FIELD(kv_quantization_parameters, async_encode, "false",
               "that pass runs beside a decode step's matrix products"),
    BOOL_FIELD(kv_quantization_parameters, exact_prefill, "false",
               "prefill attends to K and V as they were computed"),
    BOOL_FIELD(kv_quantization_parameters, in_place, "false",
               "the cache is written in place where the software would copy it to let it grow"),
};
static const struct schema schema = {.name = "kv_quantization",
                                     .size = sizeof(struct kv_quantization_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_quantization;
const struct mechanism kv_quantization = {
    .name = "kv_quantization",
    .summary = "cached keys and values in fewer bits",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_quantization_parameters),
    .on_software = on_software,
    .on_model = on_model,
    .on_ops = on_ops,
};
