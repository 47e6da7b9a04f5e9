/* What it costs to pick the tokens that a step reads.
 *
 * A step scores entries of an index: each cached key itself, or vectors that stand for pages of keys (minimum
 * and maximum, mean, centroid, a few of them). For c cached tokens in pages of T it reads
 *   c / T * KV heads * head_dim * vectors * share of the dimensions
 * values as a decode attention reads keys, each query head scoring each entry; the scores, fp32, are written,
 * read and written by a softmax or a vote of heads, and read to find the best (a radix selection: a histogram
 * and a compare each). A prefill chunk is scored by one query that stands for it: sums of scores are scores
 * of sums. Both happen once every `select_every` steps, and not in the share `select_hit` of the steps whose
 * query is like the one before. */
#include "mechanism/sparse_reads.h"

double sparse_selections(const struct sparse_reads *reads)
{
    return (1 - reads->select_hit) / reads->select_every;
}

struct op *sparse_insert(struct rewrite *rewrite, int at, const char *name, enum op_kind kind)
{
    struct graph *graph = rewrite->graph;
    const struct op attention = graph->ops[at];
    struct op *op = graph_insert_op(graph, at, name, kind, attention.block);
    if (graph->failed) {
        diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
        return NULL;
    }
    op->regime = attention.regime;
    op->rows_factor = attention.rows_factor;
    op->per_layer = attention.per_layer;
    return op;
}

static struct element_type index_type(const struct rewrite *rewrite, const struct sparse_reads *reads,
                                      const struct op *attention)
{
    return reads->index_type.format != FORMAT_NONE ? reads->index_type
                                                   : rewrite->graph->buffers[attention->cache].type;
}

/* Values of an entry that are read, of one KV head. */
static double entry_values(const struct sparse_reads *reads, const struct op *attention)
{
    return attention->attention.qk_dim * reads->index_vectors * reads->index_dims;
}

/* Pages' vectors live beside the cache; keys are their own index. */
static int index_buffer(struct rewrite *rewrite, const struct sparse_reads *reads, const struct op *attention)
{
    if (reads->index == SPARSE_INDEX_KEYS && reads->index_type.format == FORMAT_NONE)
        return attention->cache;
    int index = buffer_copy(rewrite, attention->cache);
    if (index == BUFFER_NONE)
        return index;
    struct buffer *buffer = &rewrite->graph->buffers[index];
    buffer->name = "sparse_index";
    buffer->type = index_type(rewrite, reads, attention);
    buffer->elements = attention->attention.kv_heads * entry_values(reads, attention) / reads->index_tokens;
    buffer->kept = (struct kept){0, 0};
    buffer->page_tokens = 1;
    return index;
}

static bool score_decode(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    int cache = index_buffer(rewrite, reads, &attention);
    struct op *op =
        cache == BUFFER_NONE ? NULL : sparse_insert(rewrite, at, OP_NAME_SPARSE_SCORES, OP_ATTENTION);
    if (!op)
        return false;
    op->per_layer *= sparse_selections(reads);
    op->cache = cache;
    op->reads_cache = true;
    op->attention = (struct attention_work){.heads = attention.attention.heads,
                                            .kv_heads = attention.attention.kv_heads,
                                            .qk_dim = entry_values(reads, &attention),
                                            .latent = true, /* there is no V */
                                            .part = PART_INDEX,
                                            .block_scores = true,
                                            .q_type = attention.attention.q_type};
    double share = reads->index_scan / reads->index_tokens;
    if (share < 1)
        op->attention.kept = (struct kept){0, share};
    return true;
}

/* One query for the chunk: a pass over the index on lanes. */
static bool score_prefill(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    double values = entry_values(reads, &attention) / reads->index_tokens;
    struct op *op = sparse_insert(rewrite, at, OP_NAME_SPARSE_SCORES, OP_TRANSFORM);
    if (!op)
        return false;
    op->rows = ROWS_CONTEXT;
    op->stream.read = attention.attention.kv_heads * values;
    op->stream.flops = 2 * attention.attention.heads * values;
    op->stream.read_type = op->stream.write_type = index_type(rewrite, reads, &attention);
    return true;
}

static bool pick(struct rewrite *rewrite, const struct sparse_reads *reads, int at, double scores)
{
    enum { SELECT_FLOPS = 2, PASSES = 4 }; /* written; a softmax or vote reads and writes; picked from */
    struct op *op = sparse_insert(rewrite, at, OP_NAME_SPARSE_TOP_K, OP_TRANSFORM);
    if (!op)
        return false;
    if (op->regime == REGIME_DECODE)
        op->per_layer *= sparse_selections(reads);
    op->rows = ROWS_CONTEXT;
    op->stream.read = PASSES * scores;
    op->stream.flops = SELECT_FLOPS * PASSES * scores;
    element_type_parse("fp32", &op->stream.read_type);
    op->stream.write_type = op->stream.read_type;
    return true;
}

/* Each new key is read once more in prefill to make its page's vectors. */
static bool build_index(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = sparse_insert(rewrite, at, OP_NAME_SPARSE_INDEX_BUILD, OP_TRANSFORM);
    if (!op)
        return false;
    double keys = attention.attention.kv_heads * attention.attention.qk_dim;
    op->rows = ROWS_TOKENS;
    op->regime = REGIME_PREFILL;
    op->per_layer = 1;
    op->stream.read = keys;
    op->stream.written = keys * reads->index_vectors * reads->index_dims / reads->index_tokens;
    op->stream.flops = 2 * keys;
    op->stream.read_type = rewrite->graph->buffers[attention.cache].type;
    op->stream.write_type = index_type(rewrite, reads, &attention);
    return true;
}

int sparse_select(struct rewrite *rewrite, const struct sparse_reads *reads, int index, double dense_heads)
{
    const struct attention_work work = rewrite->graph->ops[index].attention;
    bool decode = rewrite->graph->ops[index].regime == REGIME_DECODE,
         scored = reads->index != SPARSE_INDEX_NONE;
    if (decode && reads->index == SPARSE_INDEX_PAGES && !build_index(rewrite, reads, index++))
        return -1;
    if (scored && !(decode ? score_decode : score_prefill)(rewrite, reads, index++))
        return -1;
    /* without an index the heads that read all hand their scores on */
    double scores = scored ? work.heads * reads->index_scan / reads->index_tokens : dense_heads;
    if (scores > 0 && !pick(rewrite, reads, index++, scores))
        return -1;
    return index;
}
