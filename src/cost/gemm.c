/* GEMM: C[m,n] = A[m,k] B[n,k] on `units` units that each work through tiles.
 *
 *   t     = t0 + min over tile (tm, tn), split-K s of ( max( waves * tau, bytes / (beta * BW) ) + sums )
 *   waves = ceil( ceil(m/tm) * ceil(n/tn) * s * batch / units )
 *   tau   = max( 2 tm tn kk / (eps * peak / units),                 multiply-adds of one tile on one unit
 *                (tm e_a + tn e_b) kk units / (lambda * BW_cache),  its operands through the shared cache
 *                tn kk / dequant ) + omega                          its weights converted on the unit's lanes
 *   kk    = k / s rounded up to the depth of one matrix instruction
 *   sums  = s m n 4 / BW_cache when s > 1: fp32 partial results, summed through the cache
 *
 * Units work in waves: all but the last wave is full, and the last takes as long as any. Every s is allowed
 * for every k and every tile for every m and n, so that the minimum is over the same candidates for all
 * sizes; each candidate grows with m, n, k and batch, hence so does their minimum: monotone exactly. One
 * multiply-add (2 FLOPs) on the lanes converts a stored weight to the compute format: value * scale + zero.
 * Memory moves the weights (cold: each layer has its own) and the activations that missed the cache. */
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum { FP32_BYTES = 4, DEQUANT_FLOPS = 2, TILE_AREA_MOST = 256 * 128 };

/* Matrix instructions take 16 rows at least; lanes may multiply a single row. */
static const double matrix_edges[TILE_EDGES] = {16, 32, 64, 128, 256};
static const double lane_edges[TILE_EDGES] = {1, 4, 16, 64, 256};
static const double splits[SPLITS] = {1, 2, 4, 8, 16, 32};

static void set_rates(struct prepared_op *prepared, const struct element_type *weights)
{
    const struct target *target = prepared->target;
    struct gemm_cost *gemm = prepared->gemm;
    const double *scalars = prepared_scalars(prepared);
    gemm->inverse_units = inverse_count(target->units);
    gemm->compute_s = 2 * target->units / (efficiency(scalars[GEMM_EPS]) * prepared->peak);
    gemm->cache_s = target->units / (efficiency(scalars[GEMM_LAMBDA]) * target->cache_bandwidth);
    gemm->memory_rate = efficiency(scalars[GEMM_BETA]) * target->memory_bandwidth;
    gemm->omega = greater(scalars[GEMM_OMEGA], 0);
    gemm->fixed = greater(scalars[GEMM_T0], 0);
    bool converts = weights->format != prepared->format && target->vector_flops > 0;
    double dequant =
        greater(scalars[GEMM_DEQUANT], 1e-6) * target->vector_flops / target->units / DEQUANT_FLOPS;
    gemm->dequant_s = converts ? 1 / dequant : 0;
}

static double tile_s_per_k(const struct gemm_cost *gemm, double tm, double tn)
{
    double compute = tm * tn * gemm->compute_s;
    double cache = (tm * gemm->a_bytes + tn * gemm->b_bytes) * gemm->cache_s;
    return greater(greater(compute, cache), tn * gemm->dequant_s);
}

static void tabulate(struct prepared_op *prepared)
{
    struct gemm_cost *gemm = prepared->gemm;
    const struct target *target = prepared->target;
    double bytes = number_format_bits(prepared->format) / 8;
    double instruction = prepared->matrix && target->device->matrix_depth_bytes > 0
                             ? greater(target->device->matrix_depth_bytes / bytes, 1)
                             : 1;
    int split_count = gemm->candidates / TILE_EDGES;
    for (int s = 0; s < split_count; s++)
        gemm->depth[s] = ceil(gemm->k / splits[s] / instruction) * instruction;
    for (int j = 0; j < gemm->candidates; j++) {
        double tn = matrix_edges[j / split_count], s = splits[j % split_count];
        gemm->columns[j] = ceil(gemm->n / tn) * s * gemm->batch;
        gemm->reduction[j] = s > 1 ? s * gemm->n * gemm->batch * FP32_BYTES / target->cache_bandwidth : 0;
    }
    for (int i = 0; i < TILE_EDGES; i++) {
        double tm = gemm->row_edge[i];
        gemm->least_work[i] = INFINITY;
        for (int c = 0; c < TILE_EDGES; c++) {
            double tn = matrix_edges[c];
            double per_k = tm * tn > TILE_AREA_MOST ? INFINITY : tile_s_per_k(gemm, tm, tn);
            for (int s = 0; s < split_count; s++)
                gemm->tau[i][c * split_count + s] = per_k * gemm->depth[s] + gemm->omega;
        }
        for (int j = 0; j < gemm->candidates; j++)
            gemm->least_work[i] = lesser(gemm->columns[j] * gemm->tau[i][j], gemm->least_work[i]);
    }
}

bool gemm_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                  const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct gemm_work *work = &op->gemm;
    const struct target *target = prepared->target;
    bool stored = op->weights != BUFFER_NONE;
    const struct element_type *weights = stored ? &graph->buffers[op->weights].type : &work->a_type;
    prepared->family = work->experts > 0 ? FAMILY_MOE : FAMILY_GEMM;
    prepared->format =
        compute_format(target->device, &work->a_type, weights, &prepared->matrix, &prepared->peak);
    if (prepared->format == FORMAT_NONE)
        return diag_error(diag, NOWHERE, "%s: %s cannot multiply %s by %s", op->name, target->device->id,
                          work->a_type.name, weights->name);
    struct gemm_cost *gemm = prepared->gemm = ARENA_NEW(arena, struct gemm_cost);
    if (!gemm)
        return diag_error(diag, NOWHERE, "out of memory");
    gemm->n = work->n;
    gemm->k = work->k;
    gemm->batch = work->batch > 0 ? work->batch : 1;
    gemm->candidates = work->experts > 0 ? TILE_EDGES : TILE_CANDIDATES;
    memcpy(gemm->row_edge, prepared->matrix ? matrix_edges : lane_edges, sizeof gemm->row_edge);
    gemm->a_bytes = element_bytes_each(&work->a_type);
    gemm->b_bytes = element_bytes_each(weights) / greater(target->device->operand_sharing, 1);
    double bias = work->bias ? work->n * element_bytes_each(&work->c_type) : 0;
    gemm->weight_bytes = gemm->batch * (element_bytes(weights, work->n, work->k) + bias);
    gemm->row_bytes =
        gemm->batch * (element_row_bytes(&work->a_type, work->k) + element_row_bytes(&work->c_type, work->n));
    gemm->weights_are_activations = !stored;
    if (work->experts > 0) {
        gemm->routing = ARENA_NEW(arena, struct routing);
        if (!gemm->routing)
            return diag_error(diag, NOWHERE, "out of memory");
        if (!routing_prepare(gemm->routing, work))
            return diag_error(diag, NOWHERE, "%s: a token cannot go to %g of %g experts", op->name,
                              work->top_k, work->experts);
    }
    set_rates(prepared, weights);
    tabulate(prepared);
    return true;
}

struct choice {
    int edge, candidate;
    double waves, busy, seconds; /* busy: waves * tau */
};

/* What the candidates of one row edge are tried for. */
struct trial {
    double row_tiles, rows, memory_s;
};

/* Times of one row edge's candidates. `count` is a constant where this is inlined, so that compilers
 * vectorise. */
static inline void time_candidates(const struct gemm_cost *gemm, int edge, const struct trial *trial,
                                   int count, double *restrict seconds)
{
    const double *restrict columns = gemm->columns, *restrict tau = gemm->tau[edge];
    const double *restrict reduction = gemm->reduction;
    double tiles_per_unit = trial->row_tiles * gemm->inverse_units, rows = trial->rows,
           memory_s = trial->memory_s;
    for (int j = 0; j < count; j++) {
        double busy = ceil_fast(tiles_per_unit * columns[j]) * tau[j];
        seconds[j] = greater(busy, memory_s) + reduction[j] * rows;
    }
}

static inline double least_of(const double *values, int count)
{
    double least[4] = {values[0], values[1], values[2], values[3]};
    int j = 4;
    for (; j + 3 < count; j += 4)
        for (int lane = 0; lane < 4; lane++)
            least[lane] = lesser(values[j + lane], least[lane]);
    for (; j < count; j++)
        least[0] = lesser(values[j], least[0]);
    return lesser(lesser(least[0], least[1]), lesser(least[2], least[3]));
}

/* Of one row edge the fastest candidate; of equally fast ones (memory-bound) the one that keeps units least
 * busy. */
static inline void try_edge(const struct gemm_cost *gemm, int edge, const struct trial *trial, int count,
                            struct choice *best)
{
    double seconds[TILE_CANDIDATES];
    time_candidates(gemm, edge, trial, count, seconds);
    double least = least_of(seconds, count);
    if (least > best->seconds)
        return;
    for (int j = 0; j < count; j++) {
        if (seconds[j] > least)
            continue;
        double waves = ceil_fast(trial->row_tiles * gemm->inverse_units * gemm->columns[j]);
        double busy = waves * gemm->tau[edge][j];
        if (least < best->seconds || busy < best->busy)
            *best = (struct choice){edge, j, waves, busy, least};
    }
}

/* Tall tiles first: they move least through the cache, so that the bound on short ones (units never idle: row
 * tiles times the least work a row tile can be) mostly rules them out unseen. Experts of few rows pad them to
 * the tile, so that all edges are tried for the one that is least busy. */
static struct choice choose(const struct gemm_cost *gemm, const double *row_tiles, int edges, double rows,
                            double memory_s)
{
    bool plain = gemm->candidates == TILE_CANDIDATES;
    struct choice best = {.busy = INFINITY, .seconds = INFINITY};
    for (int i = edges - 1; i >= 0; i--) {
        struct trial trial = {row_tiles[i], rows, memory_s};
        double bound = row_tiles[i] * gemm->inverse_units * gemm->least_work[i];
        if (bound > best.seconds || (plain && best.seconds <= memory_s))
            continue;
        if (plain)
            try_edge(gemm, i, &trial, TILE_CANDIDATES, &best);
        else
            try_edge(gemm, i, &trial, TILE_EDGES, &best);
    }
    return best;
}

/* Splits the winner's wave time among resources: each at its own rate, the slowest with the waves' overhead.
 */
static void book_tiles(const struct prepared_op *prepared, const struct choice *choice, double row_tiles,
                       struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    int split_count = gemm->candidates / TILE_EDGES;
    double tm = gemm->row_edge[choice->edge], tn = matrix_edges[choice->candidate / split_count];
    double kk = gemm->depth[choice->candidate % split_count];
    double compute = tm * tn * gemm->compute_s * kk, dequant = tn * gemm->dequant_s * kk;
    double cache = (tm * gemm->a_bytes + tn * gemm->b_bytes) * gemm->cache_s * kk;
    double items = row_tiles * gemm->columns[choice->candidate];
    enum resource unit = prepared_unit(prepared);
    cost->use[unit] = choice->waves * compute;
    cost->use[RESOURCE_VECTOR] = greater(cost->use[RESOURCE_VECTOR], choice->waves * dequant);
    cost->use[RESOURCE_CACHE] = choice->waves * cache;
    enum resource slowest = cache > greater(compute, dequant) ? RESOURCE_CACHE
                            : dequant > compute               ? RESOURCE_VECTOR
                                                              : unit;
    cost->use[slowest] = choice->busy;
    cost->floor[unit] = items * 2 * tm * tn * kk / prepared->peak;
    cost->floor[RESOURCE_CACHE] =
        items * (tm * gemm->a_bytes + tn * gemm->b_bytes) * kk / prepared->target->cache_bandwidth;
}

void tiled_cost(const struct prepared_op *prepared, const double *row_tiles, int edges, double rows,
                struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    if (target->ideal) {
        ideal_cost(target, prepared->format, prepared->matrix, prepared->peak, cost);
        return;
    }
    double memory_s = cost->memory_bytes / gemm->memory_rate;
    struct choice choice = choose(gemm, row_tiles, edges, rows, memory_s);
    book_tiles(prepared, &choice, row_tiles[choice.edge], cost);
    cost->use[RESOURCE_MEMORY] = memory_s;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double sums = choice.seconds - greater(choice.busy, memory_s);
    double overhead = gemm->fixed + (choice.busy > memory_s ? choice.waves * gemm->omega : 0);
    finish_with_overhead(target, prepared->format, gemm->fixed + sums, overhead + sums, cost);
    cost->time = gemm->fixed + choice.seconds; /* as minimised, to the last bit */
}

void gemm_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    double activations = rows * gemm->row_bytes;
    cost->launches = 1;
    cost->flops = 2 * rows * gemm->n * gemm->k * gemm->batch;
    cost->bytes[gemm->weights_are_activations ? BYTES_ACTIVATIONS : BYTES_WEIGHTS] = gemm->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] += activations;
    cost->memory_bytes = gemm->weight_bytes + missing_bytes(prepared->target, activations);
    double row_tiles[TILE_EDGES];
    int edges = 0;
    /* a tile taller than m costs more than the first that holds all rows, for the same count */
    do
        row_tiles[edges] = ceil_fast(rows / gemm->row_edge[edges]);
    while (gemm->row_edge[edges++] < rows && edges < TILE_EDGES);
    tiled_cost(prepared, row_tiles, edges, rows, cost);
}
