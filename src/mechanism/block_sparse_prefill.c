/* Prefill attention that computes some blocks of scores only: a pattern found offline or for the prompt at
 * hand (MInference arXiv:2407.02490, SALE arXiv:2505.24179 ...).
 *
 * Of the n (n + 1) / 2 causal pairs of a prompt of n tokens are computed
 *
 *   waste * sum over i = 1..n of min(i, keys_per_query)
 *
 * whose queries each have a pattern of their own (whole blocks exceed what it asks for by `waste`), and
 * `density` of all pairs besides. Segments of s tokens that do not see each other leave (s + 1) / (n + 1) of
 * that.
 *
 * Finding what matters is work of its own: scores of the last queries with all keys (written, read and
 * written by a softmax, read to be summed), queries and keys pooled in blocks, or all scores in few bits
 * without V. */
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>

struct block_sparse {
    double density, keys_per_query, waste, segment_tokens, from_tokens;
    int dense_layers;
    double estimate_queries, estimate_block;
    struct element_type estimate_type;
    bool reorder;
    double first_use;
};

static bool is_off(const struct block_sparse *sparse)
{
    return sparse->density == 1 && sparse->keys_per_query == 0 && sparse->segment_tokens == 0;
}

/* Share of a prompt's pairs that are computed. */
static double prompt_density(const struct block_sparse *sparse, double prompt)
{
    struct segment segment = {.sequences = 1, .new_tokens = prompt};
    double all = segment_pairs(&segment, 0), share = sparse->density;
    if (prompt < sparse->from_tokens)
        return 1;
    if (sparse->keys_per_query > 0) {
        double keys = sparse->waste * segment_selected_pairs(&segment, sparse->keys_per_query) / all;
        share = fmin(1, keys + (sparse->density < 1 ? sparse->density : 0));
    }
    if (sparse->segment_tokens > 0)
        share *= fmin(1, (sparse->segment_tokens + 1) / (prompt + 1));
    return share;
}

/* Of all prompts' pairs; each stratum's weigh by their number. */
static double density_of(const struct block_sparse *sparse, const struct request *request)
{
    double all = 0, computed = 0;
    for (int i = 0; i < request->strata; i++) {
        double pairs = request->prompt[i] * (request->prompt[i] + 1) / 2;
        all += pairs;
        computed += pairs * prompt_density(sparse, request->prompt[i]);
    }
    return all > 0 ? computed / all : 1;
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct block_sparse *sparse = parameters;
    if (!is_off(sparse))
        rewrite->software->host_per_request += sparse->first_use;
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct block_sparse *sparse = parameters;
    if (is_off(sparse))
        return true;
    if (sparse->density == 0 && sparse->keys_per_query == 0 && sparse->segment_tokens == 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "block_sparse_prefill: density: found 0, and nothing else "
                          "to attend to; give keys_per_query or segment_tokens");
    if (sparse->dense_layers == 0)
        return true;
    bool *chosen = layers_from(rewrite, rewrite->model, sparse->dense_layers);
    return chosen && layers_set_apart(rewrite, chosen);
}

static struct op *insert(struct rewrite *rewrite, int at, const char *name, enum op_kind kind)
{
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = graph_insert_op(rewrite->graph, at, name, kind, attention.block);
    if (rewrite->graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
        return NULL;
    }
    op->regime = REGIME_PREFILL;
    op->rows_factor = attention.rows_factor;
    op->per_layer = attention.per_layer;
    return op;
}

/* Scores of a few queries or of pooled blocks: `scores` for each row. */
static bool add_estimate(struct rewrite *rewrite, int at, enum rows rows, double scores, double keys_read)
{
    /* Written; softmax in and out; summed and sorted: read as often as written. */
    enum { READS = 2, WRITES = 2, SOFTMAX_FLOPS = 20 };
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = insert(rewrite, at, OP_NAME_SPARSE_ESTIMATE, OP_TRANSFORM);
    if (!op)
        return false;
    op->rows = rows;
    element_type_parse("fp32", &op->stream.read_type);
    op->stream.write_type = op->stream.read_type;
    op->stream.read = READS * scores + keys_read;
    op->stream.written = WRITES * scores;
    op->stream.flops = scores * (SOFTMAX_FLOPS + 2 * attention.attention.qk_dim / 16); /* on matrix units */
    return true;
}

/* All pairs in few bits, as an attention without V whose scores stay on chip. */
static bool add_low_bit_estimate(struct rewrite *rewrite, const struct block_sparse *sparse, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = insert(rewrite, at, OP_NAME_SPARSE_ESTIMATE, OP_ATTENTION);
    if (!op)
        return false;
    op->attention = (struct attention_work){.heads = attention.attention.heads,
                                            .kv_heads = attention.attention.kv_heads,
                                            .qk_dim = attention.attention.qk_dim,
                                            .latent = true,
                                            .part = PART_INDEX,
                                            .block_scores = true,
                                            .q_type = sparse->estimate_type};
    return true;
}

/* K and V read, sorted within segments, and written. */
static bool add_reorder(struct rewrite *rewrite, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    const struct buffer *cache = &rewrite->graph->buffers[attention.cache];
    struct element_type type = cache->type;
    double values = cache->elements;
    struct op *op = insert(rewrite, at, OP_NAME_SPARSE_REORDER, OP_GATHER);
    if (!op)
        return false;
    op->rows = ROWS_CONTEXT;
    op->stream.read = op->stream.written = values;
    op->stream.read_type = op->stream.write_type = type;
    return true;
}

/* Inserts before the op at *index what finds its pattern. */
static bool add_selection(struct rewrite *rewrite, const struct block_sparse *sparse, int *index)
{
    const struct op attention = rewrite->graph->ops[*index];
    double heads = attention.attention.heads, queries = sparse->estimate_queries,
           block = sparse->estimate_block;
    double keys = attention.attention.kv_heads * attention.attention.qk_dim / 2; /* 2 bytes each, of fp32 */
    if (queries > 0 && !add_estimate(rewrite, (*index)++, ROWS_CONTEXT, heads * queries, keys))
        return false;
    if (block > 0 && !add_estimate(rewrite, (*index)++, ROWS_PAIRS, heads / (block * block), 0))
        return false;
    if (sparse->estimate_type.format != FORMAT_NONE && !add_low_bit_estimate(rewrite, sparse, (*index)++))
        return false;
    return !sparse->reorder || add_reorder(rewrite, (*index)++);
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct block_sparse *sparse = parameters;
    if (is_off(sparse))
        return true;
    if (!rewrite->request)
        return diag_error(rewrite->diag, NOWHERE,
                          "block_sparse_prefill: a draft's prompts are not known here");
    double density = density_of(sparse, rewrite->request);
    bool *chosen = layers_from(rewrite, rewrite->model, sparse->dense_layers), any = false;
    if (!chosen)
        return false;
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        struct op *op = &rewrite->graph->ops[i];
        int decode;
        if (!is_cached_attention(op) || op->attention.window > 0 || op->encodes ||
            !block_is_chosen(rewrite->model, op->block, chosen))
            continue;
        if (op->attention.selected > 0)
            return diag_error(rewrite->diag, NOWHERE,
                              "block_sparse_prefill: %s picks tokens by an indexer of its own",
                              rewrite->model->id);
        any = true;
        if (op->regime == REGIME_DECODE || op->attention.density > 0)
            continue; /* streaming heads have a pattern already */
        int at, prefill;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        at = prefill;
        if (density < 1 && !add_selection(rewrite, sparse, &at))
            return false;
        rewrite->graph->ops[at].attention.density = density;
        i = at + (decode >= 0);
    }
    return any || diag_error(rewrite->diag, NOWHERE,
                             "block_sparse_prefill: %s with %s has no fused attention over a whole cache",
                             rewrite->model->id, rewrite->graph->software->id);
}

#define OF(member) offsetof(struct block_sparse, member)
static const struct field fields[] = {
    {.key = "density",
     .kind = FIELD_QUANTITY,
     .offset = OF(density),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .fallback = "1",
     .doc = "of the causal pairs that are computed; beside keys_per_query: of those besides"},
    {.key = "keys_per_query",
     .kind = FIELD_QUANTITY,
     .offset = OF(keys_per_query),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e9,
     .fallback = "0",
     .doc = "tokens that a query's pattern has: sink, window, columns, diagonals; 0: none of its own"},
    {.key = "waste",
     .kind = FIELD_QUANTITY,
     .offset = OF(waste),
     .dimension = DIM_NONE,
     .min = 1,
     .max = 1000,
     .fallback = "1",
     .doc = "pairs in the blocks that a pattern touches over the pairs it has"},
    {.key = "segment_tokens",
     .kind = FIELD_QUANTITY,
     .offset = OF(segment_tokens),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e9,
     .fallback = "0",
     .doc = "of segments that do not see each other; 0: one"},
    {.key = "from_tokens",
     .kind = FIELD_QUANTITY,
     .offset = OF(from_tokens),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e9,
     .fallback = "0",
     .doc = "shorter prompts are computed in full"},
    {.key = "dense_layers",
     .kind = FIELD_INT,
     .offset = OF(dense_layers),
     .min = 0,
     .max = 1000,
     .fallback = "0",
     .doc = "first layers that compute all"},
    {.key = "estimate_queries",
     .kind = FIELD_QUANTITY,
     .offset = OF(estimate_queries),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 4096,
     .fallback = "0",
     .doc = "last queries of the prompt whose scores with all keys show what matters"},
    {.key = "estimate_block",
     .kind = FIELD_QUANTITY,
     .offset = OF(estimate_block),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 65536,
     .fallback = "0",
     .doc = "tokens pooled to one query and one key whose score shows what matters; 0: none are"},
    {.key = "estimate_type",
     .kind = FIELD_TYPE,
     .offset = OF(estimate_type),
     .doc = "type in which all scores are computed before, without V; none unless given"},
    {.key = "reorder",
     .kind = FIELD_BOOL,
     .offset = OF(reorder),
     .fallback = "false",
     .doc = "keys and values are sorted within segments first"},
    {.key = "first_use",
     .kind = FIELD_QUANTITY,
     .offset = OF(first_use),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 100,
     .fallback = "0",
     .doc = "of a prompt's time, what its kernels' compiling and set-up take"},
};
static const struct schema schema = {.name = "block_sparse_prefill",
                                     .size = sizeof(struct block_sparse),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"density", "waste", "first_use", NULL};

extern const struct mechanism block_sparse_prefill;
const struct mechanism block_sparse_prefill = {
    .name = "block_sparse_prefill",
    .summary = "prefill computes the blocks of scores that matter",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct block_sparse),
    .on_software = on_software,
    .on_model = on_model,
    .on_ops = on_ops,
};
