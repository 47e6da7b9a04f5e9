/* Decode attention that reads a budget of the cache: tokens, pages or clusters picked for the query at hand
 * (Quest arXiv:2406.10774, TokenSelect arXiv:2411.02886 ...), by all heads or by some, with what the picking
 * costs (sparse_selection.c) and, where the cache lives in the host's memory, what it takes to bring them
 * (sparse_host.c). */
#include "mechanism/sparse_reads.h"

#include <stddef.h>

static bool is_off(const struct sparse_reads *reads)
{
    return reads->budget_tokens == 0 && reads->budget_share == 0 && reads->streaming_heads == 0;
}

static bool is_target(const struct op *op)
{
    return is_cached_attention(op) && !(op->attention.window > 0) && !op->encodes;
}

static bool check(struct rewrite *rewrite, const struct sparse_reads *reads)
{
    struct diag *diag = rewrite->diag;
    bool fetches = reads->host == SPARSE_HOST_VALUES || reads->host == SPARSE_HOST_CACHE;
    if (reads->streaming_heads > 0 && reads->sparse_heads < 1)
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: give streaming_heads or sparse_heads: the "
                          "heads that do not stream all read a budget");
    if (reads->streaming_heads >= 1)
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: streaming_heads: found 1, expected less: "
                          "heads that read a budget are what this is about");
    bool both = reads->budget_tokens > 0 && reads->budget_share > 0;
    if (reads->rebuild_rank > 0 && (reads->host != SPARSE_HOST_VALUES || both))
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: rebuild_rank needs host: values and either budget_tokens "
                          "or budget_share: the keys of those are rebuilt");
    if (reads->overlap == SPARSE_OVERLAP_REBUILD && !(reads->rebuild_rank > 0))
        return diag_error(diag, NOWHERE, "sparse_attention_reads: overlap: rebuild without rebuild_rank");
    if (reads->overlap != SPARSE_OVERLAP_NONE && !fetches)
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: nothing is fetched that could overlap; give "
                          "host: cache or values");
    if (reads->host == SPARSE_HOST_ATTENDS && !(reads->always_tokens >= 1))
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: host: attends needs always_tokens, which "
                          "the device attends to");
    if (reads->prefill && (reads->host == SPARSE_HOST_ATTENDS || reads->rebuild_rank > 0))
        return diag_error(diag, NOWHERE,
                          "sparse_attention_reads: prefill with a cache on the host works by "
                          "fetching alone");
    return true;
}

/* Sparse readers gather from a cache of their own: neither growing it by copies nor repeating its heads. */
static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct sparse_reads *reads = parameters;
    if (is_off(reads))
        return true;
    rewrite->software->copy_kv = false;
    rewrite->software->expand_gqa = false;
    if (reads->chunk_tokens > 0)
        rewrite->software->prefill_chunk_tokens = (int)reads->chunk_tokens;
    return true;
}

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct sparse_reads *reads = parameters;
    if (is_off(reads))
        return true;
    if (!check(rewrite, reads))
        return false;
    if (rewrite->model->generation == GENERATION_MASKED_DIFFUSION)
        return diag_error(rewrite->diag, NOWHERE,
                          "sparse_attention_reads: %s is a masked-diffusion model, which caches nothing",
                          rewrite->model->id);
    if (reads->dense_layers == 0)
        return true;
    bool *chosen = layers_from(rewrite, rewrite->model, reads->dense_layers);
    return chosen && layers_set_apart(rewrite, chosen);
}

/* Below what a cache policy left already, if both are plain numbers of tokens. */
static bool limit(struct rewrite *rewrite, struct op *op, struct kept kept)
{
    struct kept *had = &op->attention.kept;
    if (had->share > 0 || (had->tokens > 0 && kept.share > 0))
        return diag_error(rewrite->diag, NOWHERE,
                          "sparse_attention_reads: %s reads a share of its cache already", op->name);
    if (!(had->tokens > 0) || kept.tokens < had->tokens)
        *had = kept;
    return true;
}

/* Of the pairs of all prompts, those within `most` tokens of a query. */
static double streaming_density(const struct request *request, double most)
{
    double seen = 0, all = 0;
    for (int i = 0; i < request->strata; i++) {
        struct segment segment = {.sequences = 1, .new_tokens = request->prompt[i]};
        seen += segment_selected_pairs(&segment, most);
        all += segment_pairs(&segment, 0);
    }
    return all > 0 ? seen / all : 1;
}

/* Heads that see the first tokens and a window, keep no others, and do so in prefill as well. */
static int stream_heads(struct rewrite *rewrite, const struct sparse_reads *reads, int index)
{
    struct graph *graph = rewrite->graph;
    if (!attention_part_heads(rewrite, index, reads->streaming_heads))
        return -1;
    int prefill, decode, before = graph->op_count;
    struct kept kept = {reads->streaming_tokens, 0};
    graph->buffers[graph->ops[index].cache].kept = kept;
    if (!attention_part_regimes(rewrite, index, &prefill, &decode))
        return -1;
    if (decode >= 0)
        graph->ops[decode].attention.kept = kept;
    if (prefill >= 0 && rewrite->request)
        graph->ops[prefill].attention.density = streaming_density(rewrite->request, reads->streaming_tokens);
    return index + 1 + graph->op_count - before;
}

/* Every `dense_every`-th step reads all: an op of its own, behind. */
static bool refresh(struct rewrite *rewrite, const struct sparse_reads *reads, int index)
{
    if (reads->dense_every == 0)
        return true;
    if (!op_copy(rewrite, index))
        return false;
    rewrite->graph->ops[index].per_layer *= 1 - 1.0 / reads->dense_every;
    rewrite->graph->ops[index + 1].per_layer /= reads->dense_every;
    return true;
}

/* The op of one regime reads its budget. The last index that belongs to it, or -1. */
static int read_budget(struct rewrite *rewrite, const struct sparse_reads *reads, int index,
                       double dense_heads)
{
    double budget = reads->host == SPARSE_HOST_ATTENDS ? 0 : reads->budget_tokens;
    double share = reads->host == SPARSE_HOST_ATTENDS ? 0 : reads->budget_share;
    bool decode = rewrite->graph->ops[index].regime == REGIME_DECODE;
    if (decode && !refresh(rewrite, reads, index))
        return -1;
    if (!limit(rewrite, &rewrite->graph->ops[index], (struct kept){reads->always_tokens + budget, share}))
        return -1;
    if (reads->host != SPARSE_HOST_ATTENDS)
        index = sparse_select(rewrite, reads, index, dense_heads);
    if (index < 0)
        return -1;
    index = sparse_from_host(rewrite, reads, index);
    return index < 0 ? -1 : index + (decode && reads->dense_every > 0);
}

/* The op at `index`, of any regime, reads a budget where its phase does. The last index that belongs to it,
 * or -1. */
static int read_by_regime(struct rewrite *rewrite, const struct sparse_reads *reads, int index,
                          double dense_heads)
{
    int prefill, decode, before = rewrite->graph->op_count;
    if (!attention_part_regimes(rewrite, index, &prefill, &decode) ||
        !sparse_to_host(rewrite, reads, prefill >= 0 ? prefill : decode))
        return -1;
    int last = index + rewrite->graph->op_count - before;
    if (decode < 0)
        return reads->prefill ? read_budget(rewrite, reads, last, 0) : last;
    if (prefill >= 0 && reads->prefill) {
        int end = read_budget(rewrite, reads, last - 1, 0);
        if (end < 0)
            return -1;
        last = end + 1;
    }
    return read_budget(rewrite, reads, last, dense_heads);
}

/* Parts the op by heads, then each part as it reads. The last index that came of it, or -1. */
static int rewrite_attention(struct rewrite *rewrite, const struct sparse_reads *reads, int index)
{
    struct graph *graph = rewrite->graph;
    if (graph->ops[index].attention.selected > 0) {
        diag_error(rewrite->diag, NOWHERE, "sparse_attention_reads: %s picks tokens by an indexer of its own",
                   rewrite->model->id);
        return -1;
    }
    if (reads->streaming_heads > 0 && (index = stream_heads(rewrite, reads, index)) < 0)
        return -1;
    if (reads->budget_tokens == 0 && reads->budget_share == 0)
        return index;
    if (reads->sparse_heads == 1)
        return read_by_regime(rewrite, reads, index, 0);
    if (!attention_part_heads(rewrite, index, reads->sparse_heads))
        return -1;
    int last = read_by_regime(rewrite, reads, index, graph->ops[index + 1].attention.kv_heads);
    return last < 0 ? -1 : last + 1; /* behind them the heads that read all */
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct sparse_reads *reads = parameters;
    if (is_off(reads))
        return true;
    bool *chosen = layers_from(rewrite, rewrite->model, reads->dense_layers), any = false;
    if (!chosen)
        return false;
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        const struct op *op = &rewrite->graph->ops[i];
        if (!is_target(op) || !block_is_chosen(rewrite->model, op->block, chosen))
            continue;
        i = rewrite_attention(rewrite, reads, i);
        if (i < 0)
            return false;
        any = true;
    }
    return any || diag_error(rewrite->diag, NOWHERE,
                             "sparse_attention_reads: %s with %s has no fused attention over a whole cache",
                             rewrite->model->id, rewrite->graph->software->id);
}

#define READS(member) offsetof(struct sparse_reads, member)
#define TOKENS(member, least, most, default_, text)                                                          \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = READS(member), .dimension = DIM_TOKENS,            \
        .min = least, .max = most, .fallback = default_, .doc = text                                         \
    }
#define SHARE(member, least, default_, text)                                                                 \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = READS(member), .dimension = DIM_FRACTION,          \
        .min = least, .max = 1, .fallback = default_, .doc = text                                            \
    }
#define COUNT(member, least, most, default_, text)                                                           \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = READS(member), .min = least, .max = most,               \
        .fallback = default_, .doc = text                                                                    \
    }

static const struct enum_name index_names[] = {
    {"none", SPARSE_INDEX_NONE}, {"keys", SPARSE_INDEX_KEYS}, {"pages", SPARSE_INDEX_PAGES}, {NULL, 0}};
static const struct enum_name host_names[] = {{"none", SPARSE_HOST_NONE},
                                              {"values", SPARSE_HOST_VALUES},
                                              {"cache", SPARSE_HOST_CACHE},
                                              {"attends", SPARSE_HOST_ATTENDS},
                                              {NULL, 0}};
static const struct enum_name overlap_names[] = {{"none", SPARSE_OVERLAP_NONE},
                                                 {"rebuild", SPARSE_OVERLAP_REBUILD},
                                                 {"layer", SPARSE_OVERLAP_LAYER},
                                                 {NULL, 0}};

static const struct field fields[] = {
    TOKENS(budget_tokens, 0, 1e9, "0", "picked tokens that a decode step reads; 0 with budget_share 0: off"),
    SHARE(budget_share, 0, "0", "of the cached tokens, picked besides"),
    TOKENS(always_tokens, 0, 1e9, "0", "first and newest tokens that are read whatever is picked"),
    COUNT(dense_layers, 0, 1000, "0", "first layers that read all"),
    COUNT(dense_every, 0, 1000000, "0", "steps from one that reads all to the next; 0: none does"),
    SHARE(sparse_heads, 0.001, "1", "of the KV heads, that read a budget; the others read all"),
    SHARE(streaming_heads, 0, "0", "of the KV heads, that see and keep streaming_tokens alone"),
    TOKENS(streaming_tokens, 1, 1e9, "1", "first and newest tokens of a streaming head"),
    {.key = "prefill",
     .kind = FIELD_BOOL,
     .offset = READS(prefill),
     .fallback = "false",
     .doc = "chunks of the prompt read a budget of what is cached, picked for the chunk"},
    TOKENS(chunk_tokens, 0, 1e6, "0", "of a prefill chunk; 0: the software's"),
    {.key = "index",
     .kind = FIELD_ENUM,
     .offset = READS(index),
     .names = index_names,
     .fallback = "none",
     .doc = "what is scored: none (no cost), the cached keys, or vectors that stand for pages of keys"},
    TOKENS(index_tokens, 1, 1e6, "1", "keys of a page"),
    {.key = "index_vectors",
     .kind = FIELD_QUANTITY,
     .offset = READS(index_vectors),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 64,
     .fallback = "1",
     .doc = "vectors that stand for a page"},
    SHARE(index_dims, 0.001, "1", "of the head's dimensions that are scored"),
    {.key = "index_type",
     .kind = FIELD_TYPE,
     .offset = READS(index_type),
     .doc = "element type of the index; the cache's unless given"},
    SHARE(index_scan, 0.0001, "1", "of the index that a search visits"),
    {.key = "select_every",
     .kind = FIELD_QUANTITY,
     .offset = READS(select_every),
     .dimension = DIM_COUNT,
     .min = 1,
     .max = 1e6,
     .fallback = "1",
     .doc = "steps that use one selection"},
    SHARE(select_hit, 0, "0", "of the steps that keep the selection before"),
    {.key = "host",
     .kind = FIELD_ENUM,
     .offset = READS(host),
     .names = host_names,
     .fallback = "none",
     .doc =
         "what lives in the host's memory: none, values, the cache (fetched), or the cache, attended there"},
    {.key = "overlap",
     .kind = FIELD_ENUM,
     .offset = READS(overlap),
     .names = overlap_names,
     .fallback = "none",
     .doc = "what fetching runs beside: none, the rebuilding of keys, or all of the layer before"},
    TOKENS(device_tokens, 0, 1e9, "0",
           "of the cache that stay on the device; 0 with device_share 0: the budget"),
    SHARE(device_share, 0, "0", "of the cache that stays besides"),
    SHARE(fetch_hit, 0, "0", "of the picked tokens, found on the device"),
    SHARE(link_efficiency, 0.001, "1", "of the host link's rate in large copies, what these reach"),
    {.key = "rebuild_rank",
     .kind = FIELD_QUANTITY,
     .offset = READS(rebuild_rank),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 1e5,
     .fallback = "0",
     .doc = "rank of the factors that keys are kept as and rebuilt from; 0: they are kept"},
    {.key = "handoff",
     .kind = FIELD_QUANTITY,
     .offset = READS(handoff),
     .dimension = DIM_SECONDS,
     .min = 0,
     .max = 10,
     .fallback = "0",
     .doc = "a layer's waiting for the host beyond the bytes' time"},
};
static const struct schema schema = {.name = "sparse_attention_reads",
                                     .size = sizeof(struct sparse_reads),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"index_scan",      "select_hit", "fetch_hit",
                                        "link_efficiency", "handoff",    NULL};

extern const struct mechanism sparse_attention_reads;
const struct mechanism sparse_attention_reads = {
    .name = "sparse_attention_reads",
    .summary = "attention reads a budget of the cache, picked for the query at hand",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct sparse_reads),
    .on_software = on_software,
    .on_model = on_model,
    .on_ops = on_ops,
};
