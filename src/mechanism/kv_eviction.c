/* Of the cached tokens only some are kept, and read: a budget B of the prompt's S tokens,
 *   B = min(S, max(tokens + share * S, at_least)),
 * in a part of the layers and heads; the others keep all. What each policy does to the work:
 *   prefill   one selection after the prompt; generated tokens are added: B + generated
 *   decode    the budget also bounds the growing cache: min(context, B), or the share of the context
 *   chunk     as decode, and each chunk of a prompt meets only what is kept of the chunks before it
 *             (streaming heads: sink and recent tokens; Locret arXiv:2410.01805): with chunks of c tokens
 *             attention is S (B + c / 2) pairs a head instead of S^2 / 2
 * Heads that keep all and heads that do not are two kernels and two buffers (DuoAttention arXiv:2410.10819).
 * Choosing: from the attention that the last `observed` queries of a prompt pay to its keys (2 heads d FLOPs
 * a key and query), or from that of all queries, which a fused kernel does not return: a second pass over Q
 * K^T. With indexes shared by layers only a part of them chooses. Then the kept K and V are gathered.
 * Evicted tokens may be merged into those kept ones whose keys are most like theirs (D2O arXiv:2406.13035): a
 * product [S - B, d] x [d, B] for each KV head. */
#include "mechanism/kv_cache.h"

#include <math.h>
#include <stddef.h>

enum when { WHEN_PREFILL, WHEN_DECODE, WHEN_CHUNK };
enum scores { SCORES_NONE, SCORES_WINDOW, SCORES_ALL };

struct kv_eviction_parameters {
    double tokens, share, at_least;
    double full_heads;
    int full_layers;
    int when, scores;
    double observed, choosing_layers;
    bool gather, merge;
};

static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_eviction_parameters *p = parameters;
    if (!kv_needs_cache(rewrite, "kv_eviction"))
        return false;
    if (p->full_layers == 0)
        return true;
    bool *chosen = layers_from(rewrite, rewrite->model, p->full_layers);
    return chosen && layers_set_apart(rewrite, chosen);
}

/* Of the context; zero: all of it. */
static struct kept budget(const struct rewrite *rewrite, const struct kv_eviction_parameters *p)
{
    double prompt = kv_prompt_tokens(rewrite);
    double kept = fmax(p->tokens + p->share * prompt, p->at_least);
    if (!(p->tokens + p->share + p->at_least > 0))
        return (struct kept){0};
    if (p->when == WHEN_PREFILL && prompt > 0)
        return kept < prompt ? (struct kept){.tokens = kept - prompt, .share = 1} : (struct kept){0};
    if (p->at_least > p->tokens + p->share * prompt)
        return (struct kept){.tokens = p->at_least};
    return (struct kept){.tokens = p->tokens, .share = p->share};
}

/* What is bounded already stays so; tokens that another mechanism left to a kernel of their own are part of
 * the budget. */
static void bound(struct kept *kept, struct kept budget)
{
    if (kept->tokens > 0)
        return;
    double apart = kept->share > 0 ? kept->tokens : 0;
    *kept = budget;
    kept->tokens += apart;
}

/* The same for passes over the cache of all heads: f of them keep all. */
static void bound_rows(struct op *op, struct kept budget, double full_heads)
{
    struct kept all = kv_keeps_all(&op->rows_kept) ? (struct kept){.share = 1} : op->rows_kept;
    op->rows_kept = (struct kept){.tokens = full_heads * all.tokens + (1 - full_heads) * budget.tokens,
                                  .share = full_heads * all.share + (1 - full_heads) * budget.share};
}

static bool bound_passes(struct rewrite *rewrite, const bool *chosen, struct kept budget, double full_heads)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (op->kind != OP_ELEMENTWISE || op->rows != ROWS_CONTEXT || op->block == OUTSIDE_LAYERS ||
            !block_is_chosen(graph->model, op->block, chosen))
            continue;
        int prefill, decode;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        if (decode >= 0) {
            bound_rows(&graph->ops[decode], budget, full_heads);
            i = decode;
        }
    }
    return true;
}

/* Behind prefill op `at`, of which `each` layers choose: scores, then the gathering of what is kept. Inserts
 * *added. */
static bool add_choice(struct rewrite *rewrite, const struct kv_eviction_parameters *p, int at,
                       struct kept kept, int *added)
{
    struct graph *graph = rewrite->graph;
    struct attention_work work = graph->ops[at].attention;
    double prompt = kv_prompt_tokens(rewrite), observed = p->observed;
    double keys = work.kv_heads * work.qk_dim, values = keys + (work.latent ? 0 : work.kv_heads * work.v_dim);
    *added = 0;
    if (p->scores == SCORES_NONE && !p->gather)
        return true;
    double remaining = p->when == WHEN_PREFILL ? kept.tokens + prompt : kept_of(&kept, prompt);
    struct op *compact = kv_stream(rewrite, at, OP_NAME_KV_COMPACT, REGIME_PREFILL, values, values, 0);
    if (compact == NULL)
        return false;
    compact->rows = ROWS_CONTEXT;
    compact->rows_kept = (struct kept){.tokens = remaining};
    *added = 1;
    if (p->scores == SCORES_NONE)
        return true;
    if (p->scores == SCORES_WINDOW) {
        struct op *select =
            kv_stream(rewrite, at, OP_NAME_KV_SELECT, REGIME_PREFILL, keys + work.heads * observed,
                      work.heads * observed, 2 * work.heads * work.qk_dim * observed);
        if (select == NULL)
            return false;
        select->per_layer = p->choosing_layers;
        *added = 2;
        return true;
    }
    if (work.part != PART_FUSED) /* scores pass through memory anyway */
        return true;
    struct op *again = op_copy(rewrite, at);
    if (again == NULL)
        return false;
    again->name = OP_NAME_KV_SCORES;
    again->attention.v_dim = 0;
    again->per_layer = p->choosing_layers;
    *added = 2;
    return true;
}

/* Behind op `at`. */
static bool add_merging(struct rewrite *rewrite, int at, double remaining)
{
    struct graph *graph = rewrite->graph;
    struct attention_work work = graph->ops[at].attention;
    double prompt = kv_prompt_tokens(rewrite);
    struct op *op = kv_linear(rewrite, at, OP_NAME_KV_MATCH, remaining, work.qk_dim);
    if (op == NULL)
        return false;
    graph->buffers[op->weights].copies = 0; /* the kept keys: no memory of their own */
    op->gemm.batch = work.kv_heads;
    op->regime = REGIME_PREFILL;
    op->rows_factor *= prompt > remaining ? 1 - remaining / prompt : 0;
    return true;
}

static bool evict(struct rewrite *rewrite, const struct kv_eviction_parameters *p, int index,
                  struct kept kept, int *last)
{
    struct graph *graph = rewrite->graph;
    int prefill, decode, added = 0;
    if (!attention_part_regimes(rewrite, index, &prefill, &decode))
        return false;
    struct buffer *buffer = &graph->buffers[graph->ops[index].cache];
    if (decode >= 0)
        bound(&graph->ops[decode].attention.kept, kept);
    if (prefill >= 0 && p->when == WHEN_CHUNK)
        bound(&graph->ops[prefill].attention.kept, kept);
    bool first =
        graph->ops[index].attention.part == PART_FUSED || graph->ops[index].attention.part == PART_QK;
    if (first && decode >= 0)
        bound(&buffer->kept, kept);
    *last = decode >= 0 ? decode : index;
    if (prefill < 0 || !first)
        return true;
    if (!add_choice(rewrite, p, prefill, kept, &added))
        return false;
    *last += added;
    double prompt = kv_prompt_tokens(rewrite);
    double remaining = p->when == WHEN_PREFILL ? kept.tokens + prompt : kept_of(&kept, prompt);
    if (!p->merge || !(remaining < prompt))
        return true;
    *last += 1;
    return add_merging(rewrite, prefill, remaining);
}

/* Heads told apart have caches of their own, and a kernel for each kind. */
static bool heads_part(struct rewrite *rewrite, const struct op *op)
{
    const struct graph *graph = rewrite->graph;
    if (op->attention.mla)
        return diag_error(rewrite->diag, NOWHERE,
                          "kv_eviction: the heads of %s share one latent cache and cannot be told apart",
                          graph->model->id);
    if (op->attention.part != PART_FUSED)
        return diag_error(rewrite->diag, NOWHERE,
                          "kv_eviction: heads are told apart in fused attention only; %s runs it as three "
                          "kernels",
                          graph->software->id);
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_eviction_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    bool *chosen = layers_from(rewrite, graph->model, p->full_layers);
    struct kept kept = budget(rewrite, p);
    if (chosen == NULL)
        return false;
    if (!kv_keeps_all(&kept) && !kv_alone(rewrite, "kv_eviction"))
        return false;
    if (kv_keeps_all(&kept) || p->full_heads >= 1 ||
        (!(kept.tokens < 0 || kept.tokens > 0) && kept.share >= 1))
        return true;
    int changed = 0;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (!kv_attends(op) || op->attention.window > 0 || !block_is_chosen(graph->model, op->block, chosen))
            continue;
        bool parts = p->full_heads > 0;
        if (parts && (!heads_part(rewrite, op) || !attention_part_heads(rewrite, i, p->full_heads)))
            return false;
        if (!evict(rewrite, p, i + parts, kept, &i))
            return false;
        changed++;
    }
    return kv_found(rewrite, "kv_eviction", changed) && bound_passes(rewrite, chosen, kept, p->full_heads);
}

static const struct enum_name when_names[] = {
    {"prefill", WHEN_PREFILL}, {"decode", WHEN_DECODE}, {"chunk", WHEN_CHUNK}, {NULL, 0}};
static const struct enum_name score_names[] = {
    {"none", SCORES_NONE}, {"window", SCORES_WINDOW}, {"all", SCORES_ALL}, {NULL, 0}};
static const struct field fields[] = {
    QUANTITY_FIELD(
        kv_eviction_parameters, tokens, DIM_TOKENS, 0, 1e9, "0",
        "budget: tokens that are kept of a sequence; with all of tokens, share and at_least 0 all are"),
    FRACTION_FIELD(kv_eviction_parameters, share, "0",
                   "budget: and this share of the prompt (of the context, where it bounds decoding too)"),
    QUANTITY_FIELD(kv_eviction_parameters, at_least, DIM_TOKENS, 0, 1e9, "0",
                   "budget: and no fewer tokens than these"),
    FRACTION_FIELD(kv_eviction_parameters, full_heads, "0", "share of the KV heads that keep all tokens"),
    INT_FIELD(kv_eviction_parameters, full_layers, 0, 10000, "0", "first layers that keep all tokens"),
    ENUM_FIELD(
        kv_eviction_parameters, when, when_names, "prefill",
        "once after the prompt, generated tokens being added; in decode steps too; after each chunk of a "
        "prompt too"),
    ENUM_FIELD(
        kv_eviction_parameters, scores, score_names, "none",
        "what is chosen by: positions or a score that comes for free; the attention of the last queries; "
        "of all"),
    QUANTITY_FIELD(kv_eviction_parameters, observed, DIM_TOKENS, 0, 1e6, "32",
                   "scores = window: queries that are looked at"),
    FRACTION_FIELD(kv_eviction_parameters, choosing_layers, "1",
                   "share of the layers that choose; the others take over their choice"),
    BOOL_FIELD(
        kv_eviction_parameters, gather, "false",
        "scores = none: kept keys and values are gathered all the same, chosen by what is scored elsewhere"),
    BOOL_FIELD(kv_eviction_parameters, merge, "false",
               "evicted tokens are matched to kept ones and averaged into them"),
};
static const struct schema schema = {.name = "kv_eviction",
                                     .size = sizeof(struct kv_eviction_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism kv_eviction;
const struct mechanism kv_eviction = {
    .name = "kv_eviction",
    .summary = "only some of the cached tokens are kept and read",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct kv_eviction_parameters),
    .on_model = on_model,
    .on_ops = on_ops,
};
