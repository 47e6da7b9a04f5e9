/* A cache in the host's memory of which a step needs a budget.
 *
 *   kv_fetch        (1 - hit) * budget tokens, K and V or V alone, over the host link
 *   key_rebuild     K of the budget from factors of low rank: 2 * rank * keys FLOP a token
 *   host_search     entries of an index that the host visits, at random: a core has one visit under way,
 * which takes the memory's latency and the entry's bytes at the core's share of the bandwidth host_attention
 * K and V of each query head's own tokens, read likewise; queries and results are small
 *
 * Fetches may run beside the rebuilding of keys, or beside the whole layer before. */
#include "mechanism/sparse_reads.h"

#include <string.h>

enum { REBUILD_PIECES = 8 }; /* heads and sequences come one after the other */

/* Loads of DRAM on servers and desktops come back after 80 to 100 ns (unverified). */
static const double dram_latency = 90e-9;

static const struct link *host_link(const struct rewrite *rewrite)
{
    const struct system *system = rewrite->system;
    for (size_t i = 0; i < system->link_count; i++) {
        const struct string_list *between = &system->links[i].between;
        bool joins = false;
        for (size_t k = 0; k < between->count; k++)
            joins |= system->members[0].role && strcmp(between->items[k], system->members[0].role) == 0;
        if (joins && system->links[i].link.kind == LINK_HOST)
            return &system->links[i].link;
    }
    return device_link(system->members[0].device, LINK_HOST);
}

static const struct device *host_device(const struct rewrite *rewrite)
{
    const struct system *system = rewrite->system;
    for (size_t i = 1; i < system->member_count; i++)
        if (system->members[i].role && strcmp(system->members[i].role, "host") == 0)
            return system->members[i].device;
    return NULL;
}

static bool set_link(struct rewrite *rewrite, const struct sparse_reads *reads, struct fetch_work *work)
{
    const struct link *link = host_link(rewrite);
    if (!link || !(link->bandwidth > 0))
        return diag_error(rewrite->diag, NOWHERE, "sparse_attention_reads: %s has no link to a host",
                          rewrite->system->id);
    work->rate = link->bandwidth;
    work->efficiency = reads->link_efficiency;
    work->fixed = link->latency + reads->handoff;
    work->waited_for = reads->handoff > 0;
    return true;
}

/* Reads of `bytes` each from places that nothing foretells. */
static bool set_host_reads(struct rewrite *rewrite, double bytes, struct fetch_work *work)
{
    const struct device *host = host_device(rewrite);
    const struct memory_tier *memory = host ? device_memory(host) : NULL;
    if (!memory || !(memory->bandwidth > 0))
        return diag_error(rewrite->diag, NOWHERE,
                          "sparse_attention_reads: %s has no host to attend on; describe one, as "
                          "hardware/rtx-4090-i9-10900x.yaml does",
                          rewrite->system->id);
    double cores = host->units.count > 0 ? host->units.count : 1;
    double latency = memory->latency > 0 ? memory->latency : dram_latency;
    work->waited_for = true;
    work->rate = memory->bandwidth;
    work->efficiency = cores * bytes / (latency + bytes * cores / memory->bandwidth) / memory->bandwidth;
    return true;
}

static double value_share(const struct attention_work *work)
{
    return work->latent ? 0 : work->v_dim / (work->qk_dim + work->v_dim);
}

static double token_bytes(const struct rewrite *rewrite, const struct sparse_reads *reads,
                          const struct op *attention)
{
    double all = buffer_token_bytes(&rewrite->graph->buffers[attention->cache]);
    return reads->host == SPARSE_HOST_VALUES ? all * value_share(&attention->attention) : all;
}

static bool fetch(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = sparse_insert(rewrite, at, OP_NAME_KV_FETCH, OP_FETCH);
    if (!op)
        return false;
    op->fetch.token_bytes = (1 - reads->fetch_hit) * token_bytes(rewrite, reads, &attention);
    op->fetch.kept = (struct kept){reads->budget_tokens, reads->budget_share};
    return set_link(rewrite, reads, &op->fetch);
}

static bool rebuild(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    struct op *op = sparse_insert(rewrite, at, OP_NAME_KEY_REBUILD, OP_GEMM);
    if (!op)
        return false;
    op->rows = reads->budget_tokens > 0 ? ROWS_SEQUENCES : ROWS_CONTEXT;
    op->rows_factor *= reads->budget_tokens > 0 ? reads->budget_tokens : reads->budget_share;
    op->gemm.n = attention.attention.kv_heads * attention.attention.qk_dim;
    op->gemm.k = reads->rebuild_rank;
    op->gemm.batch = 1;
    op->gemm.a_type = op->gemm.c_type = attention.attention.q_type;
    return true;
}

/* The fetch at `at` beside the op behind it, or beside all of its block. */
static bool overlap(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    struct graph *graph = rewrite->graph;
    int group = reads->overlap == SPARSE_OVERLAP_NONE ? 0 : overlap_group_free(graph);
    if (reads->overlap == SPARSE_OVERLAP_NONE)
        return true;
    if (group == 0)
        return diag_error(rewrite->diag, NOWHERE, "sparse_attention_reads: no overlap group is left");
    graph->ops[at].overlap_group = group;
    graph->overlap_chunks[group] = REBUILD_PIECES;
    if (reads->overlap == SPARSE_OVERLAP_REBUILD) {
        graph->ops[at + 1].overlap_group = group;
        return true;
    }
    graph->overlap_chunks[group] = rewrite->model->layers; /* the next layer's tokens come meanwhile */
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].block == graph->ops[at].block && graph->ops[i].overlap_group == 0)
            graph->ops[i].overlap_group = group;
    return true;
}

/* Search and attention in the host's memory, for each query head by itself. */
static int attend_on_host(struct rewrite *rewrite, const struct sparse_reads *reads, int at)
{
    const struct op attention = rewrite->graph->ops[at];
    const struct attention_work *work = &attention.attention;
    double each = element_bytes_each(&rewrite->graph->buffers[attention.cache].type);
    double key = work->qk_dim * each, value = work->latent ? 0 : work->v_dim * each;
    if (reads->index != SPARSE_INDEX_NONE) {
        struct op *search = sparse_insert(rewrite, at++, OP_NAME_HOST_SEARCH, OP_FETCH);
        if (!search || !set_host_reads(rewrite, key, &search->fetch))
            return -1;
        search->per_layer *= sparse_selections(reads);
        search->fetch.token_bytes = work->heads * key * reads->index_vectors * reads->index_dims;
        search->fetch.kept = (struct kept){0, reads->index_scan / reads->index_tokens};
    }
    struct op *op = sparse_insert(rewrite, at++, OP_NAME_HOST_ATTENTION, OP_FETCH);
    if (!op || !set_host_reads(rewrite, key + value, &op->fetch))
        return -1;
    op->fetch.token_bytes = work->heads * (key + value);
    op->fetch.kept = (struct kept){reads->budget_tokens, reads->budget_share};
    const struct link *link = host_link(rewrite);
    op->fetch.fixed = reads->handoff + (link ? 2 * link->latency : 0);
    return at;
}

int sparse_from_host(struct rewrite *rewrite, const struct sparse_reads *reads, int index)
{
    if (reads->host == SPARSE_HOST_NONE)
        return index;
    if (reads->host == SPARSE_HOST_ATTENDS)
        return attend_on_host(rewrite, reads, index);
    int at = index;
    if (!fetch(rewrite, reads, index++))
        return -1;
    if (reads->rebuild_rank > 0 && !rebuild(rewrite, reads, index++))
        return -1;
    return overlap(rewrite, reads, at) ? index : -1;
}

/* Tokens and share of the cache that stay: what the file says, or room for what a step reads; where values
 * alone leave, keys as well, or the factors that they are rebuilt from. */
static struct kept stays(const struct sparse_reads *reads, const struct op *attention)
{
    const struct attention_work *work = &attention->attention;
    struct kept kept = {reads->device_tokens, reads->device_share};
    if (kept.tokens == 0 && kept.share == 0)
        kept.tokens = reads->always_tokens + (reads->host == SPARSE_HOST_ATTENDS ? 0 : reads->budget_tokens);
    if (kept.tokens == 0 && kept.share == 0)
        kept.share = reads->budget_share;
    double width = work->kv_heads * work->qk_dim;
    double keys = reads->rebuild_rank > 0 ? reads->rebuild_rank / width : 1;
    if (reads->host == SPARSE_HOST_VALUES)
        kept.share += (1 - value_share(work)) * keys;
    return kept;
}

bool sparse_to_host(struct rewrite *rewrite, const struct sparse_reads *reads, int index)
{
    if (reads->host == SPARSE_HOST_NONE)
        return true;
    if (reads->host == SPARSE_HOST_VALUES && rewrite->graph->ops[index].attention.latent)
        return diag_error(rewrite->diag, NOWHERE,
                          "sparse_attention_reads: host: values: %s caches no values apart from keys",
                          rewrite->model->id);
    struct graph *graph = rewrite->graph;
    const struct op attention = graph->ops[index];
    graph->buffers[attention.cache].kept = stays(reads, &attention);
    int group = overlap_group_free(graph);
    struct op *op = sparse_insert(rewrite, index, OP_NAME_KV_STORE, OP_FETCH);
    if (!op)
        return false;
    op->regime = REGIME_PREFILL;
    op->per_layer = 1;
    op->fetch.token_bytes = token_bytes(rewrite, reads, &attention);
    op->fetch.of_new = true;
    /* it goes out while the layer attends */
    op->overlap_group = group;
    if (group > 0 && graph->ops[index + 1].regime == REGIME_PREFILL)
        graph->ops[index + 1].overlap_group = group;
    if (group > 0)
        graph->overlap_chunks[group] = REBUILD_PIECES;
    if (!set_link(rewrite, reads, &op->fetch))
        return false;
    op->fetch.fixed -= reads->handoff; /* nothing waits for it */
    op->fetch.waited_for = false;
    return true;
}
