/* Keys, values or both cached as latents of a lower rank, for all heads together: of a token's w values a
 * share r is kept. Bits of a value of the pair shrink to the mean of the two shares. Attention reads latents
 * with queries projected to them (absorbed), or each step rebuilds all K and V by a product [tokens, r w] x
 * [r w, w] whose result passes through memory (after positions were applied to keys that were cached before
 * them). The down-projection of new tokens is folded into the projections that make them. */
#include "mechanism/kv_cache.h"

#include <stddef.h>

struct kv_low_rank_parameters {
    double keys, values;
    bool rebuild;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    (void)parameters;
    return kv_needs_cache(rewrite, "kv_low_rank");
}

/* Before decode op `at`. */
static bool add_rebuilding(struct rewrite *rewrite, int at, double width, double rank, struct kept kept)
{
    struct op *op = kv_linear(rewrite, at - 1, OP_NAME_KV_REMATERIALIZE, width, rank);
    if (op == NULL)
        return false;
    op->regime = REGIME_DECODE;
    op->rows = ROWS_CONTEXT;
    op->rows_kept = kept;
    return true;
}

/* Products before decode op `at` that make K and V of the cache's latents; *added: how many. */
static bool rebuild(struct rewrite *rewrite, const struct kv_low_rank_parameters *p, int at, int *added)
{
    struct graph *graph = rewrite->graph;
    struct kept kept = graph->ops[at].attention.kept;
    double half = graph->buffers[graph->ops[at].cache].elements / 2;
    *added = 0;
    if (p->keys < 1) {
        if (!add_rebuilding(rewrite, at, half, p->keys * half, kept))
            return false;
        *added += 1;
    }
    if (p->values < 1) {
        if (!add_rebuilding(rewrite, at, half, p->values * half, kept))
            return false;
        *added += 1;
    }
    return true;
}

/* The attention op at *index; *index goes to the last op that came of it. */
static bool narrow(struct rewrite *rewrite, const struct kv_low_rank_parameters *p, int *index, bool *done)
{
    struct graph *graph = rewrite->graph;
    int prefill, decode, added = 0;
    if (graph->ops[*index].attention.latent)
        return diag_error(rewrite->diag, NOWHERE, "kv_low_rank: %s caches latents already", graph->model->id);
    if (!attention_part_regimes(rewrite, *index, &prefill, &decode))
        return false;
    if (prefill >= 0)
        graph->ops[prefill].reads_cache = false; /* fresh K and V are at hand */
    if (decode < 0)
        return true;
    int cache = graph->ops[decode].cache;
    bool first = !done[cache]; /* unfused attention has three ops */
    done[cache] = true;
    if (first)
        graph->buffers[cache].type =
            kv_type_scaled(&graph->buffers[cache].type, (p->keys + p->values) / 2, 0);
    if (p->rebuild)
        graph->ops[decode].reads_cache = false;
    if (p->rebuild && first && !rebuild(rewrite, p, decode, &added))
        return false;
    *index = decode + added;
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_low_rank_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool done[BUFFERS_MOST] = {false};
    int changed = 0;
    if (p->keys >= 1 && p->values >= 1)
        return true;
    for (int i = 0; i < graph->op_count; i++) {
        if (!kv_attends(&graph->ops[i]))
            continue;
        changed++;
        if (!narrow(rewrite, p, &i, done))
            return false;
    }
    return kv_found(rewrite, "kv_low_rank", changed);
}

static const struct field fields[] = {
    QUANTITY_FIELD(kv_low_rank_parameters, keys, DIM_FRACTION, 0.001, 1, "1",
                   "rank of cached keys over their width"),
    QUANTITY_FIELD(kv_low_rank_parameters, values, DIM_FRACTION, 0.001, 1, "1", "of cached values"),
    BOOL_FIELD(
        kv_low_rank_parameters, rebuild, "false",
        "K and V are rebuilt in each step before attention reads them; else queries attend to latents"),
};
static const struct schema schema = {.name = "kv_low_rank",
                                     .size = sizeof(struct kv_low_rank_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_low_rank;
const struct mechanism kv_low_rank = {
    .name = "kv_low_rank",
    .summary = "keys and values cached as latents of a lower rank",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_low_rank_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
