/* Grouped GEMM over the experts of one rank.
 *
 * T tokens each choose top_k of E experts. With p_e the chance that a token chooses expert e (balanced:
 * top_k / E), sums over this rank's experts:
 *   D         = sum of 1 - (1 - p_e)^T      experts chosen at all: their weights are read
 *   R         = T * sum of p_e              rows
 *   tiles(tm) ~ max(D, R / tm + D (tm - 1) / (2 tm))
 * Every chosen expert has a tile, and where experts have many rows their last tile is on average half full:
 * ceil(x / t) = x / t + (t - 1) / (2 t) in the mean over whole x. (Simulated uniform routing of T tokens to
 * 32 experts stays within 25%; tests/unit/cost_moe.c.) D and R grow with T, so the count is continuous and
 * monotone in T, also below one token, and never below R / tm. Where tokens are dealt (benchmarks), rows of
 * each expert are known and tiles counted.
 *
 *   t   = t0 + max( min over tm, tn ( ceil(tiles(tm) ceil(n / tn) / units) tau ), bytes / (beta BW) )
 *   tau = max( tm tn k / (eps peak / 2 units) + tn k / dequant,   multiply-adds, after the weights'
 * conversion (tm e_a + tn e_b) k units / (lambda BW_cache) ) + omega
 *
 * Conversion and multiply-adds add up: the same warps issue both, and a second tile of rows converts the
 * weights again (Marlin, Triton mxfp4: time per tile is a + b tm). Libraries choose a tile by the rows an
 * expert has in the mean, T top_k / local experts: all pairs over the experts they know, those of other ranks
 * too. Heights allowed are the powers of two from `room` times that mean up to `tall`; the fastest of them is
 * taken. A higher mean only takes heights away, hence time is monotone in T exactly.
 *
 * Weights of 16 bits or more that need no conversion are loaded in vectors where the compiler knows rows to
 * be aligned: k a multiple of 16. Else single elements at a rate NARROW_LOADS times less: a rounded mean of
 * what rows of experts 22 to 232 wide suggest, about 2.4 times on A100 and 5 on H100. This variant is not
 * monotone in k across that line. That libraries choose heights so is inferred from where measured times
 * step.
 *
 * CUTLASS' grouped GEMM of fp8 weights with a scale per tensor streams them the slower the emptier its tiles:
 * balanced rows of whole multiples of 128 an expert take half the time of 1 to 96 rows (H100, vLLM 0.24.0).
 * beta is what nearly empty tiles reach; where tokens are dealt, a tile full of rows streams FULL_STREAMS
 * times faster, one in between in proportion. Under routing by chance hardly any expert has whole tiles only,
 * and time could fall as tokens grow: there beta holds.
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

static bool routing_prepare(struct routing *routing, const struct gemm_work *work)
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

static const double matrix_heights[MOE_HEIGHTS] = {16, 32, 64, 128, 256};
static const double lane_heights[MOE_HEIGHTS] = {1, 4, 16, 64, 256};
static const double widths[MOE_WIDTHS] = {64, 128};
enum { VECTOR_ELEMENTS = 16, NARROW_LOADS = 4, FULL_STREAMS = 2 };
enum { TILE_AREA_MOST = 256 * 128, DEQUANT_FLOPS = 2 };

static void set_rates(struct prepared_op *prepared, const struct element_type *weights)
{
    const struct target *target = prepared->target;
    struct moe_cost *moe = prepared->moe;
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    bool converts = weights->format != prepared->format && target->vector_flops > 0;
    moe->inverse_units = inverse_count(target->units);
    moe->compute_s = 2 * target->units / (efficiency(scalars[MOE_EPS]) * prepared->peak);
    moe->cache_s = target->units / (efficiency(scalars[MOE_LAMBDA]) * target->cache_bandwidth);
    moe->memory_rate = efficiency(scalars[MOE_BETA]) * target->memory_bandwidth;
    if (!converts && moe->b_bytes >= 2 && fmod(moe->k, VECTOR_ELEMENTS) != 0) {
        moe->cache_s *= NARROW_LOADS;
        moe->memory_rate /= NARROW_LOADS;
    }
    moe->omega = greater(scalars[MOE_OMEGA], 0);
    moe->fixed = greater(scalars[MOE_T0], 0);
    moe->room = greater(scalars[MOE_ROOM], 1);
    moe->dequant_s =
        converts ? DEQUANT_FLOPS * target->units / (efficiency(scalars[MOE_DEQUANT]) * target->vector_flops)
                 : 0;
    moe->gemv_rows = target->software->gemv_rows;
    moe->gemv_s = 2 / (efficiency(scalars[MOE_DEQUANT]) * prepared->peak);
    moe->whole_s = moe->compute_s / target->units;
    const double *heights = prepared->matrix ? matrix_heights : lane_heights;
    moe->heights = 1;
    for (int i = 0; i < MOE_HEIGHTS; i++) {
        moe->height[i] = heights[i];
        moe->inverse_height[i] = 1 / heights[i];
        if (heights[i] <= scalars[MOE_TALL])
            moe->heights = i + 1;
    }
}

static double tile_s(const struct moe_cost *moe, double rows, double columns)
{
    double work = rows * columns * moe->compute_s + columns * moe->dequant_s;
    double cache = (rows * moe->a_bytes + columns * moe->b_bytes) * moe->cache_s;
    return greater(work, cache) * moe->depth + moe->omega;
}

static void tabulate(struct moe_cost *moe)
{
    for (int j = 0; j < MOE_WIDTHS; j++) {
        moe->columns[j] = ceil(moe->n / widths[j]);
        for (int i = 0; i < MOE_HEIGHTS; i++)
            moe->tau[i][j] = moe->height[i] * widths[j] > TILE_AREA_MOST
                                 ? INFINITY
                                 : tile_s(moe, moe->height[i], widths[j]);
    }
}

bool moe_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                 const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct gemm_work *work = &op->gemm;
    const struct target *target = prepared->target;
    const struct element_type *weights =
        op->weights != BUFFER_NONE ? &graph->buffers[op->weights].type : &work->a_type;
    prepared->family = FAMILY_MOE;
    prepared->operand = work->marlin ? operand_of_marlin(weights) : operand_of(weights);
    const struct element_type a_type = prepared_left_type(prepared, &work->a_type, weights);
    if (!prepared_multiplies(prepared, diag, &a_type, weights))
        return false;
    struct moe_cost *moe = prepared->moe = ARENA_NEW(arena, struct moe_cost);
    if (!moe)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!work->dealt && !routing_prepare(&moe->routing, work))
        return diag_error(diag, NOWHERE, "%s: a token cannot go to %g of %g experts", op->name, work->top_k,
                          work->experts);
    moe->dealt = work->dealt;
    moe->dealt_count = work->dealt_count;
    moe->ragged = work->dealt && prepared->matrix && prepared->format == FORMAT_FP8 &&
                  prepared->operand == (enum operand)FORMAT_FP8;
    moe->n = work->n;
    moe->k = work->k;
    moe->experts_per_choice = work->local_experts / work->top_k;
    moe->a_bytes = element_bytes_each(&a_type);
    moe->c_bytes = element_bytes_each(&work->c_type);
    moe->b_bytes = element_bytes_each(weights) / greater(target->device->operand_sharing, 1);
    double bias = work->bias ? work->n * element_bytes_each(&work->c_type) : 0;
    moe->weight_bytes = element_bytes(weights, work->n, work->k) + bias;
    moe->row_bytes = element_row_bytes(&work->a_type, work->k) + element_row_bytes(&work->c_type, work->n);
    moe->depth = prepared_depth(prepared, work->k);
    set_rates(prepared, weights);
    tabulate(moe);
    return true;
}

/* What the rank's experts get of so many tokens. */
struct loads {
    double distinct, rows;
};

static struct loads loads_of(const struct moe_cost *moe, double tokens)
{
    struct loads loads = {0, 0};
    const struct routing *routing = &moe->routing;
    for (int i = 0; i < moe->dealt_count; i++) {
        double rows = tokens * moe->dealt[i].share;
        loads.rows += moe->dealt[i].experts * rows;
        loads.distinct += moe->dealt[i].experts * lesser(rows, 1);
    }
    if (moe->dealt)
        return loads;
    for (int i = 0; i < routing->classes; i++)
        loads.distinct += routing->class[i].experts * -expm1(tokens * routing->class[i].log_miss);
    loads.rows = tokens * routing->rows_per_token;
    return loads;
}

static double tiles_of(const struct moe_cost *moe, const struct loads *loads, double tokens, int height)
{
    double share = moe->inverse_height[height];
    if (!moe->dealt)
        return greater(loads->distinct, loads->rows * share + loads->distinct * (1 - share) / 2);
    double tiles = 0;
    for (int i = 0; i < moe->dealt_count; i++)
        tiles += moe->dealt[i].experts * ceil_fast(tokens * moe->dealt[i].share * share - 1e-9);
    return tiles;
}

struct pick {
    int height, width;
    double tiles, waves, busy;
};

static void try_height(const struct moe_cost *moe, int height, double tiles, struct pick *best)
{
    for (int j = 0; j < MOE_WIDTHS; j++) {
        double waves = ceil_fast(tiles * moe->inverse_units * moe->columns[j]);
        double busy = waves * moe->tau[height][j];
        if (busy < best->busy)
            *best = (struct pick){height, j, tiles, waves, busy};
    }
}

/* s of moving bytes, less where rows fill tiles as tall as the kernel has them; never beyond the data sheet.
 */
static double memory_time(const struct moe_cost *moe, const struct target *target, const struct loads *loads,
                          double tokens, double bytes)
{
    double even = bytes / moe->memory_rate;
    int tall = moe->heights - 1;
    double tiles = moe->ragged ? tiles_of(moe, loads, tokens, tall) : 0;
    if (!(tiles > 0))
        return even;
    double full = lesser(loads->rows * moe->inverse_height[tall] / tiles, 1);
    return greater(even * (1 - full * (1 - 1.0 / FULL_STREAMS)), bytes / target->memory_bandwidth);
}

/* Software that tells up to how many rows it goes without tiles (gemv_rows) shares all experts' products
 * among the units at once. Where an expert's rows, as many as in the mean, are few they are multiplied at
 * `dequant` of the peak, weights taken as stored. Else at `eps` of it, each expert's weights unpacked once,
 * rows turned into the kernels' order and results stored as in gemm_panels.c, all three through the shared
 * cache. */
static void cost_shared(const struct prepared_op *prepared, const struct loads *loads, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct moe_cost *moe = prepared->moe;
    bool few = loads->rows <= moe->gemv_rows * loads->distinct;
    double weights = moe->n * moe->depth;
    double moved = few ? 0
                       : loads->distinct * weights * (moe->a_bytes + moe->b_bytes) +
                             loads->rows * (2 * moe->a_bytes * moe->depth + moe->c_bytes * moe->n);
    double cache_s = moved * moe->cache_s * moe->inverse_units;
    double busy = loads->rows * weights * (few ? moe->gemv_s : moe->whole_s) + cache_s;
    cost->use[RESOURCE_CACHE] = cache_s;
    cost->use[prepared_unit(prepared)] = busy;
    cost->use[RESOURCE_MEMORY] = cost->memory_bytes / moe->memory_rate;
    cost->floor[prepared_unit(prepared)] = 2 * loads->rows * weights / prepared->peak;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double memory_s = cost->use[RESOURCE_MEMORY];
    cost_finish(target, prepared->format, moe->fixed + join(busy, memory_s) - greater(busy, memory_s), cost);
}

void moe_cost(const struct prepared_op *prepared, double tokens, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct moe_cost *moe = prepared->moe;
    struct loads loads = loads_of(moe, tokens);
    double activations = loads.rows * moe->row_bytes, weights = loads.distinct * moe->weight_bytes;
    cost->launches = 1;
    cost->flops = 2 * loads.rows * moe->n * moe->k;
    cost->bytes[BYTES_WEIGHTS] = weights;
    cost->bytes[BYTES_ACTIVATIONS] = activations;
    cost->memory_bytes = weights + missing_bytes(target, activations);
    if (target->ideal) {
        ideal_cost(target, prepared->format, prepared->matrix, prepared->peak, cost);
        return;
    }
    if (moe->gemv_rows > 0) {
        cost_shared(prepared, &loads, cost);
        return;
    }
    double mean = greater(tokens / moe->experts_per_choice, 1);
    int low = 0;
    while (low + 1 < moe->heights && moe->height[low] < moe->room * mean - 1e-9)
        low++;
    struct pick best = {.busy = INFINITY};
    for (int i = low; i < moe->heights; i++)
        try_height(moe, i, tiles_of(moe, &loads, tokens, i), &best);
    double memory_s = memory_time(moe, target, &loads, tokens, cost->memory_bytes);
    double tm = moe->height[best.height], tn = widths[best.width];
    double items = best.tiles * moe->columns[best.width];
    double cache = (tm * moe->a_bytes + tn * moe->b_bytes) * moe->depth;
    enum resource unit = prepared_unit(prepared);
    double compute_s = best.waves * tm * tn * moe->compute_s * moe->depth;
    double dequant_s = best.waves * tn * moe->dequant_s * moe->depth;
    double cache_s = best.waves * cache * moe->cache_s;
    cost->use[unit] = compute_s;
    cost->use[RESOURCE_VECTOR] = greater(cost->use[RESOURCE_VECTOR], dequant_s);
    cost->use[RESOURCE_CACHE] = cache_s;
    cost->use[RESOURCE_MEMORY] = memory_s;
    cost->use[cache_s > compute_s + dequant_s ? RESOURCE_CACHE
              : dequant_s > compute_s         ? RESOURCE_VECTOR
                                              : unit] = best.busy;
    cost->floor[unit] = items * 2 * tm * tn * moe->depth / prepared->peak;
    cost->floor[RESOURCE_CACHE] = items * cache / target->cache_bandwidth;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double waves_fixed = best.busy > memory_s ? best.waves * moe->omega : 0;
    finish_with_overhead(target, prepared->format, moe->fixed, moe->fixed + waves_fixed, cost);
    cost->time = moe->fixed + greater(best.busy, memory_s);
}
