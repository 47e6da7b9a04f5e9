/* Elements of cached keys and values dropped one by one (Mustafar arXiv:2505.22913): tiles of t values hold a
 * bitmap, an offset and the values that remain, their number rounded up to a multiple of a, (a - 1) / 2 more
 * on average. With sparsity s and values of b bits bits of a value = b (1 - s) + (bitmap + offset + b (a - 1)
 * / 2) / t,   no more than b Attention reads that and expands it on chip, then computes as if dense. New
 * tokens are pruned as they come (their largest values found: a read, a write and a few FLOPs for each bit of
 * the search) and stay dense until a group of them is compressed. */
#include "mechanism/kv_cache.h"

#include <stddef.h>

struct kv_sparsity_parameters {
    double keys, values;
    double tile, bitmap_bits, offset_bits, align;
    double window_tokens;
    int compress_every;
    double convert_flops, prune_flops;
};

static double stored_bits(const struct kv_sparsity_parameters *p, double bits, double sparsity)
{
    double more = (p->bitmap_bits + p->offset_bits + bits * (p->align - 1) / 2) / p->tile;
    double stored = bits * (1 - sparsity) + more;
    return stored < bits ? stored : bits;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    (void)parameters;
    return kv_needs_cache(rewrite, "kv_sparsity");
}

/* Behind what writes the cache: pruning of each token, compression of a group. */
static bool add_passes(struct rewrite *rewrite, const struct kv_sparsity_parameters *p)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        if (!kv_writes(graph, &graph->ops[i]))
            continue;
        double values = graph->buffers[graph->ops[i].cache].elements;
        for (int regime = REGIME_DECODE; regime >= REGIME_PREFILL; regime--) {
            struct op *compress =
                kv_stream(rewrite, i, OP_NAME_KV_ENCODE, (enum regime)regime, values,
                          values * (1 - (p->keys + p->values) / 2), p->convert_flops * values);
            if (compress == NULL || !kv_stream(rewrite, i, OP_NAME_KV_PRUNE, (enum regime)regime, values,
                                               values, p->prune_flops * values))
                return false;
            compress = &graph->ops[i + 2]; /* behind the pruning */
            if (regime == REGIME_DECODE) {
                compress->per_layer = 1.0 / p->compress_every;
                compress->rows_factor *= p->compress_every;
            }
        }
        i += 4;
    }
    return true;
}

/* What has been done to the graph's buffers. */
struct sparse_buffers {
    bool packed[BUFFERS_MOST];
    int recent[BUFFERS_MOST];
};

static void pack(struct buffer *buffer, const struct kv_sparsity_parameters *p)
{
    double bits = buffer->type.value_bits;
    buffer->type.value_bits = (stored_bits(p, bits, p->keys) + stored_bits(p, bits, p->values)) / 2;
}

/* The attention op at *index; *index goes to the last op that came of it. */
static bool thin_out(struct rewrite *rewrite, const struct kv_sparsity_parameters *p, int *index,
                     struct sparse_buffers *buffers)
{
    struct graph *graph = rewrite->graph;
    int prefill, decode;
    if (!attention_part_regimes(rewrite, *index, &prefill, &decode))
        return false;
    if (prefill >= 0)
        graph->ops[prefill].reads_cache = false; /* the prompt is pruned after it was seen */
    if (decode < 0)
        return true;
    int cache = graph->ops[decode].cache;
    if (!buffers->packed[cache])
        pack(&graph->buffers[cache], p);
    buffers->packed[cache] = true;
    graph->ops[decode].attention.convert_flops += p->convert_flops;
    *index = decode + (p->window_tokens > 0);
    return !(p->window_tokens > 0) || kv_residual(rewrite, decode, p->window_tokens, buffers->recent);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_sparsity_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    struct sparse_buffers buffers = {.packed = {false}};
    int changed = 0;
    if (!(p->keys > 0) && !(p->values > 0))
        return true;
    for (int i = 0; i < BUFFERS_MOST; i++)
        buffers.recent[i] = BUFFER_NONE;
    for (int i = 0; i < graph->op_count; i++) {
        if (!kv_attends(&graph->ops[i]))
            continue;
        changed++;
        if (!thin_out(rewrite, p, &i, &buffers))
            return false;
    }
    return kv_found(rewrite, "kv_sparsity", changed) && add_passes(rewrite, p);
}

#define AT(member) offsetof(struct kv_sparsity_parameters, member)
#define COUNT_FIELD(name, low, high, otherwise, text)                                                        \
    {                                                                                                        \
        .key = #name, .kind = FIELD_QUANTITY, .offset = AT(name), .dimension = DIM_NONE, .min = (low),       \
        .max = (high), .fallback = (otherwise), .doc = (text)                                                \
    }
static const struct field fields[] = {
    QUANTITY_FIELD(kv_sparsity_parameters, keys, DIM_FRACTION, 0, 0.99, "0",
                   "share of each key's elements that is dropped"),
    QUANTITY_FIELD(kv_sparsity_parameters, values, DIM_FRACTION, 0, 0.99, "0", "of each value's"),
    COUNT_FIELD(tile, 8, 1024, "64", "elements that share a bitmap"),
    COUNT_FIELD(bitmap_bits, 0, 1024, "64", "its bits"),
    COUNT_FIELD(offset_bits, 0, 128, "32", "bits that say where a tile's elements begin"),
    COUNT_FIELD(align, 1, 64, "8", "a tile's elements are padded to multiples of so many"),
    QUANTITY_FIELD(kv_sparsity_parameters, window_tokens, DIM_TOKENS, 0, 1e6, "32",
                   "recent tokens that stay dense, read by a kernel of their own"),
    INT_FIELD(kv_sparsity_parameters, compress_every, 1, 4096, "64",
              "decode steps after which a group is compressed"),
    COUNT_FIELD(
        convert_flops, 0, 1000, "14",
        "lane FLOPs to expand or pack an element: test its bit, count those before it, add the offset (2 "
        "each), and read it from on-chip memory (8)"),
    COUNT_FIELD(prune_flops, 0, 1000, "32",
                "lane FLOPs for each element to find the largest: a compare and a count for each of 16 bits"),
};
static const struct schema schema = {.name = "kv_sparsity",
                                     .size = sizeof(struct kv_sparsity_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_sparsity;
const struct mechanism kv_sparsity = {
    .name = "kv_sparsity",
    .summary = "elements of cached keys and values dropped one by one",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_sparsity_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
