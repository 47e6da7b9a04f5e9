/* Grouped GEMM over the experts of one rank.
 *
 * T tokens each choose top_k of E experts. With p_e the chance that a token chooses expert e (balanced: top_k
 * / E): P(e is chosen at all)   = 1 - (1 - p_e)^T distinct experts here   = D = sum over local e of that;
 * their weights are read rows here               = R = T * sum over local e of p_e tiles of t rows         ~
 * max( D, R / t + D (t - 1) / (2 t) ) Every chosen expert has a tile, and where experts have many rows their
 * last tile is on average half full: ceil(x / t) = x / t + (t - 1) / (2 t) in the mean over whole x.
 * (Simulated uniform routing of T tokens to 32 experts stays within 25%; tests/unit/cost_moe.c.) D and R grow
 * with T, so the count is continuous and monotone in T, also below one token, and never below R / t.
 *
 * Skew: popularity ~ (rank of the expert)^-skew, p_e = min(1, c * popularity) with c such that they sum to
 * top_k. Experts are dealt round-robin by popularity, so rank 0 holds experts 0, R, 2R, ... and is the
 * hottest: it bounds the step. Its experts are grouped into a few classes of like popularity. */
#include "cost/prepared.h"

#include <math.h>

enum { EXPERTS_MOST = 4096 };

static double popularity(double index, double skew)
{
    return pow(index + 1, -skew);
}

/* c such that sum of min(1, c * popularity) is top_k: the experts at probability 1 are the first `full` ones.
 */
static double popularity_scale(int experts, double top_k, double skew)
{
    double rest = 0;
    for (int e = 0; e < experts; e++)
        rest += popularity(e, skew);
    int full = 0;
    while (full < experts && full < top_k && (top_k - full) * popularity(full, skew) > rest) {
        rest -= popularity(full, skew);
        full++;
    }
    return rest > 0 ? (top_k - full) / rest : 0;
}

static bool skewed(struct routing *routing, const struct gemm_work *work)
{
    int experts = (int)work->experts, ranks = work->ranks > 1 ? (int)work->ranks : 1;
    int local = (int)lesser(work->local_experts, experts);
    if (experts > EXPERTS_MOST)
        return false;
    double scale = popularity_scale(experts, work->top_k, work->skew);
    int first = 0;
    routing->rows_per_token = 0;
    while (first < local && routing->classes < EXPERT_CLASSES) {
        int left_classes = EXPERT_CLASSES - routing->classes;
        /* the popular experts one by one, the tail in classes that double; the last takes what is left */
        int size =
            routing->classes < EXPERT_CLASSES / 2 ? 1 : 1 << (routing->classes - EXPERT_CLASSES / 2 + 1);
        if (left_classes == 1 || size > local - first)
            size = local - first;
        double sum = 0;
        for (int j = first; j < first + size; j++)
            sum += lesser(1, scale * popularity((double)j * ranks, work->skew));
        routing->class[routing->classes++] = (struct expert_class){size, log1p(-lesser(sum / size, 1))};
        routing->rows_per_token += sum;
        first += size;
    }
    return true;
}

bool routing_prepare(struct routing *routing, const struct gemm_work *work)
{
    if (!(work->top_k > 0) || work->top_k > work->experts || !(work->local_experts > 0))
        return false;
    if (work->skew > 0)
        return skewed(routing, work);
    double chance = work->top_k / work->experts;
    routing->classes = 1;
    routing->class[0] = (struct expert_class){work->local_experts, log1p(-chance)};
    routing->rows_per_token = chance * work->local_experts;
    return true;
}

static double distinct_experts(const struct routing *routing, double tokens)
{
    double distinct = 0;
    for (int i = 0; i < routing->classes; i++)
        distinct += routing->class[i].experts * -expm1(tokens * routing->class[i].log_miss);
    return distinct;
}

void moe_cost(const struct prepared_op *prepared, double tokens, struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    double distinct = distinct_experts(gemm->routing, tokens);
    double rows = tokens * gemm->routing->rows_per_token;
    double activations = rows * gemm->row_bytes, weights = distinct * gemm->weight_bytes;
    cost->launches = 1;
    cost->flops = 2 * rows * gemm->n * gemm->k * gemm->batch;
    cost->bytes[BYTES_WEIGHTS] = weights;
    cost->bytes[BYTES_ACTIVATIONS] = activations;
    cost->memory_bytes = weights + missing_bytes(prepared->target, activations);
    double row_tiles[TILE_EDGES];
    for (int i = 0; i < TILE_EDGES; i++) {
        double share = 1 / gemm->row_edge[i];
        row_tiles[i] = greater(distinct, rows * share + distinct * (1 - share) / 2);
    }
    tiled_cost(prepared, row_tiles, TILE_EDGES, rows, cost);
}
