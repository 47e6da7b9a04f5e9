/* GEMM: C[m,n] = A[m,k] B[n,k] on `units` units that each work through tiles.
 *
 *   t     = t0 + min over tile (tm, tn), split-K s of ( omega + join( busy, bytes / (beta * BW) ) + sums )
 *   busy  = max( waves * work, w * stream ) + w * store + (waves - 1) * omega
 *   waves = ceil( tiles / units ),  tiles = ceil(m/tm) * ceil(n/tn) * s * batch
 *   w     = waves - 1 + max( what is left of tiles / units for the last wave, port )
 *   work  = kk * max( 2 tm tn / (eps * peak / units),  multiply-adds of one tile on one unit
 *                     latency e_a / pipeline,          waiting for their operands
 *                     tn / dequant )                   its weights converted on the unit's lanes
 *   stream = kk * (tm e_a + tn e_b) units / (lambda * BW_cache), its operands through the shared cache
 *   store = tm tn e_c units / (lambda * BW_cache),   its results
 *   kk    = k / s rounded up to the depth of one matrix instruction
 *   sums  = split + s m n 4 / BW_cache when s > 1: fp32 partial results, summed through the cache
 *   omega: prologue and epilogue of a wave
 *
 * Units work in waves: all but the last wave is full, and the last takes as long as any. Every s is allowed
 * for every k and every tile for every m and n, so that the minimum is over the same candidates for all
 * sizes; each candidate grows with m, n, k and batch, hence so does their minimum: monotone exactly. One
 * multiply-add (2 FLOPs) on the lanes converts a stored weight to the compute format: value * scale + zero.
 *
 * Waiting is Little's law: a unit has the next `pipeline` bytes of each row of its operands on the way, which
 * take a memory latency to come (3 stages of 64 bytes on A100, 5 of 128 on H100). Only tiles too small for
 * their arithmetic to take longer feel it, and a k that nothing splits. Memory's traffic cannot start before
 * the kernel does nor its last result leave before the tile is done: omega comes on top of it too.
 *
 * The shared cache's bandwidth is divided among the units at work: in a last wave of few tiles each gets more
 * of it, up to the 64 bytes a clock that its port takes (port: its share among all units / that).
 *
 * Memory and the units are two machines in a row with a few buffers (pipeline stages) between them: even
 * when neither is slower than the other, each at times waits for the other. For two exponential servers of
 * mean times x and y with room for 4 items between them (one more in each), the mean time of an item is
 *   join(x, y) = (x^6 + x^5 y + ... + y^6) / (x^5 + x^4 y + ... + y^5)
 * (the M/M/1/K queue), which is max(x, y) where they differ much and 7/6 of it where they are equal. It grows
 * with both.
 *
 * Units of a cluster (`tile_cluster`) whose tiles lie in one row or column load the operand they share once:
 * the smaller of (tm e_a + tn e_b / c) and (tm e_a / c + tn e_b) is what one of them moves.
 *
 * A few rows may go without matrix units: the lanes multiply, k spread over all of them, at the share dequant
 * of their rate (the GEMV kernels of inference libraries).
 *   t = t0 + omega + max( (m [+ 1 where weights are converted]) n k / (dequant * lanes / 2), memory's )
 * is one more candidate for every m. Software that says how many rows it takes so (gemv_rows) has no choice,
 * and multiplies at `dequant` of the peak of the format it computes in. */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum { FP32_BYTES = 4, DEQUANT_FLOPS = 2, TILE_AREA_MOST = 256 * 128, PORT_BYTES = 64 };

/* Matrix instructions take 16 rows at least; lanes may multiply a single row. */
static const double matrix_edges[TILE_EDGES] = {16, 32, 64, 128, 256};
static const double lane_edges[TILE_EDGES] = {1, 4, 16, 64, 256};
static const double splits[SPLITS] = {1, 2, 3, 4, 6, 8, 16, 32};

/* A kernel that fills rows up has no shorter tiles; the tallest is there whatever it says. */
static void add_row_edge(struct prepared_op *prepared, double edge)
{
    struct gemm_cost *gemm = prepared->gemm;
    if (edge >= lesser(prepared->op->gemm.path.least_rows, matrix_edges[TILE_EDGES - 1]))
        gemm->row_edge[gemm->row_edges++] = edge;
}

/* Powers of two, and between them what matrix instructions of any width allow. */
static void set_row_edges(struct prepared_op *prepared)
{
    const double *edges = prepared->matrix ? matrix_edges : lane_edges;
    double step = prepared->matrix ? prepared->target->device->tile_step : 0;
    for (int i = 0; i < TILE_EDGES; i++) {
        double from = i > 0 ? edges[i - 1] : edges[0];
        for (double edge = (floor(from / step) + 1) * step; step > 0 && edge < edges[i]; edge += step)
            add_row_edge(prepared, edge);
        add_row_edge(prepared, edges[i]);
    }
}

/* t0 of fp8 kernels is measured with the pass that quantises A. Where a product has no such pass, its own
 * kernel starts as fast as one for 16-bit operands. */
static double kernel_fixed_s(const struct prepared_op *prepared, const double *scalars)
{
    const struct gemm_work *work = &prepared->op->gemm;
    double wide[SCALARS_MOST], own = greater(scalars[GEMM_T0], 0);
    if (work->a_type.format != FORMAT_FP8 || work->a_from.name[0] != '\0')
        return own;
    target_scalars(prepared->target, FAMILY_GEMM, FORMAT_BF16, (enum operand)FORMAT_BF16, wide);
    return lesser(own, greater(wide[GEMM_T0], 0));
}

/* What tiles are computed at: bf16 where the software rounds to it and the device gains by it. */
static double tile_peak(const struct prepared_op *prepared, const struct element_type *weights)
{
    const struct target *target = prepared->target;
    bool narrow = target->software->bf16_products && prepared->format == FORMAT_FP32 &&
                  (weights->format == FORMAT_BF16 || weights->format == FORMAT_FP16);
    return narrow ? greater(prepared->peak, format_peak(target->device, FORMAT_BF16)) : prepared->peak;
}

/* NVIDIA's units multiply 2 of 4 weights at twice the rate from the generation on that brought bf16. */
static bool skips_zeros(const struct prepared_op *prepared)
{
    const struct device *device = prepared->target->device;
    bool has_units = device->vendor && strcmp(device->vendor, "NVIDIA") == 0 &&
                     device->matrix[FORMAT_BF16].flops > 0 && prepared->matrix;
    const struct weight_path *path = &prepared->op->gemm.path;
    return path->density > 0 && (!path->two_of_four || (has_units && path->density >= 0.5));
}

/* s in which a unit decodes a weight. */
static double decoding_s(const struct target *target, const struct weight_path *path)
{
    return path->clocks > 0 ? path->clocks * target->units * unit_clock_s(target) : 0;
}

/* Weights that a unit's lanes convert in a second. */
static double lanes_rate(const struct target *target, const double *scalars)
{
    return greater(scalars[GEMM_DEQUANT], 1e-6) * target->vector_flops / target->units / DEQUANT_FLOPS;
}

/* The same where kernels are made to: as those of 8-bit ones are, for kernels of wide weights were not
 * measured doing so. */
static double conversion_rate(const struct prepared_op *prepared)
{
    double scalars[SCALARS_MOST];
    target_scalars(prepared->target, FAMILY_GEMM, prepared->format, (enum operand)FORMAT_INT8, scalars);
    return lanes_rate(prepared->target, scalars);
}

/* What the lanes do beside the matrix units, or instead of them; `lane_peak` is theirs. */
static void set_lanes(struct prepared_op *prepared, const struct element_type *weights, const double *scalars,
                      double lane_peak)
{
    const struct target *target = prepared->target;
    const struct weight_path *path = &prepared->op->gemm.path;
    struct gemm_cost *gemm = prepared->gemm;
    bool converts =
        weights->format != prepared->format && target->vector_flops > 0 && !target->device->wired_weights;
    double dequant = lanes_rate(target, scalars), each = 1 / (dequant * target->units);
    bool fills_up = path->density > 0 && !skips_zeros(prepared);
    double operations = greater((converts ? 1 : 0) + (fills_up ? 1 : 0) + path->operations, 0);
    double converting = converts ? dequant : conversion_rate(prepared);
    gemm->dequant_s = operations / converting + decoding_s(target, path);
    gemm->in_turn = path->in_turn;
    gemm->lane_s = prepared->matrix ? each : 0;
    gemm->lane_rows = path->least_rows > 0 ? path->lane_rows : INFINITY;
    gemm->convert_passes = gemm->lane_s > 0 ? gemm->dequant_s * dequant : 0;
    gemm->lane_convert_s = converts ? each : 0;
    if (target->software->gemv_rows > 0)
        gemm->lane_s = 2 / (greater(scalars[GEMM_DEQUANT], 1e-6) * lane_peak);
    gemm->lane_weights = gemm->n * gemm->k * gemm->batch;
    if (gemm->pass_row_bytes > 0)
        gemm->pass_row_s = greater(scalars[GEMM_ROW], 0) / target->units + gemm->k * gemm->batch * each;
}

static void set_rates(struct prepared_op *prepared, const struct element_type *weights)
{
    const struct target *target = prepared->target;
    struct gemm_cost *gemm = prepared->gemm;
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    double lane_peak = prepared->peak;
    prepared->peak = tile_peak(prepared, weights);
    gemm->inverse_units = inverse_count(target->units);
    gemm->compute_s = 2 * target->units / (efficiency(scalars[GEMM_EPS]) * prepared->peak);
    gemm->cache_s = target->units / (efficiency(scalars[GEMM_LAMBDA]) * target->cache_bandwidth);
    gemm->memory_rate = efficiency(scalars[GEMM_BETA]) * target->memory_bandwidth;
    gemm->omega = greater(scalars[GEMM_OMEGA], 0);
    gemm->port = 1;
    gemm->fixed = kernel_fixed_s(prepared, scalars);
    gemm->split_s = greater(scalars[GEMM_SPLIT], 0);
    gemm->lead_s = gemm->omega;
    const struct device *device = target->device;
    double share = target->cache_bandwidth / target->units, most = PORT_BYTES * device->units.clock;
    if (most > share)
        gemm->port = share / most;
    if (device->pipeline_bytes > 0 && prepared->matrix)
        gemm->stall_s = device_memory(device)->latency * gemm->a_bytes / device->pipeline_bytes;
    gemm->gemv_rows = target->software->gemv_rows;
    gemm->panel_columns = gemm->gemv_rows > 0 ? target->software->panel_columns : 0;
    gemm->panel_rows = greater(target->software->panel_rows, 1);
    if (gemm->panel_columns > 0)
        gemm->lead_s = 0; /* products of few rows wait for nothing to be unpacked */
    gemm->unpack_s = (gemm->a_bytes + gemm->b_bytes) * gemm->cache_s;
    set_lanes(prepared, weights, scalars, lane_peak);
}

/* Bytes that one element of depth brings a unit through the shared cache. */
static double tile_bytes_per_k(const struct gemm_cost *gemm, double tm, double tn)
{
    double a = tm * gemm->a_bytes, b = tn * gemm->b_bytes, shared_b = a + b / gemm->sharing;
    return lesser(shared_b, a / gemm->sharing + b);
}

/* What one element of depth takes the unit itself. */
static double tile_s_per_k(const struct gemm_cost *gemm, double tm, double tn)
{
    double multiply = greater(tm * tn * gemm->compute_s, gemm->stall_s), convert = tn * gemm->dequant_s;
    return gemm->in_turn ? multiply + convert : greater(multiply, convert);
}

/* Storing a tile's results: partial ones in fp32. */
static double tile_store_s(const struct gemm_cost *gemm, double tm, double tn, bool partial)
{
    double bytes = partial && gemm->c_bytes > 0 ? FP32_BYTES : gemm->c_bytes;
    return tm * tn * bytes * gemm->cache_s;
}

static void tabulate_edge(struct gemm_cost *gemm, int i)
{
    double tm = gemm->row_edge[i];
    gemm->least_work[i] = INFINITY;
    for (int c = 0; c < TILE_EDGES; c++) {
        double tn = matrix_edges[c];
        double work = tm * tn > TILE_AREA_MOST ? INFINITY : tile_s_per_k(gemm, tm, tn);
        double stream = tile_bytes_per_k(gemm, tm, tn) * gemm->cache_s;
        for (int s = 0; s < SPLITS; s++) {
            int j = s * TILE_EDGES + c;
            gemm->work[i][j] = work * gemm->depth[s];
            gemm->stream[i][j] = stream * gemm->depth[s];
            gemm->store[i][j] = tile_store_s(gemm, tm, tn, s > 0);
            double item = greater(gemm->work[i][j], gemm->stream[i][j]) + gemm->store[i][j] + gemm->omega;
            gemm->least_work[i] = lesser(gemm->columns[j] * item, gemm->least_work[i]);
        }
    }
}

static void tabulate(struct prepared_op *prepared)
{
    struct gemm_cost *gemm = prepared->gemm;
    const struct target *target = prepared->target;
    for (int s = 0; s < SPLITS; s++) {
        double parts = splits[s];
        gemm->depth[s] = prepared_depth(prepared, gemm->k / parts);
        gemm->reduction[s] = s > 0 ? parts * gemm->n * gemm->batch * FP32_BYTES / target->cache_bandwidth : 0;
        gemm->combine[s] = s > 0 ? gemm->split_s : 0;
        for (int c = 0; c < TILE_EDGES; c++)
            gemm->columns[s * TILE_EDGES + c] = ceil(gemm->n / matrix_edges[c]) * parts * gemm->batch;
    }
    for (int i = 0; i < gemm->row_edges; i++)
        tabulate_edge(gemm, i);
}

bool gemm_prepare_as(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                     const struct element_type *weights)
{
    const struct op *op = prepared->op;
    const struct gemm_work *work = &op->gemm;
    const struct target *target = prepared->target;
    prepared->family = FAMILY_GEMM;
    prepared->operand = operand_of(weights);
    const struct element_type a_type = prepared_left_type(prepared, &work->a_type, weights);
    if (!prepared_multiplies(prepared, diag, &a_type, weights))
        return false;
    struct gemm_cost *gemm = prepared->gemm = ARENA_NEW(arena, struct gemm_cost);
    if (!gemm)
        return diag_error(diag, NOWHERE, "out of memory");
    gemm->n = work->n;
    double density = skips_zeros(prepared) ? work->path.density : 1;
    gemm->k = density * work->k; /* units that skip a weight still load what it would have met */
    gemm->batch = work->batch > 0 ? work->batch : 1;
    set_row_edges(prepared);
    gemm->a_bytes = element_bytes_each(&a_type) / density;
    gemm->b_bytes = element_bytes_each(weights) / density;
    gemm->sharing = greater(greater(target->device->operand_sharing, target->device->tile_cluster), 1);
    double bias = work->bias ? work->n * element_bytes_each(&work->c_type) : 0;
    gemm->weight_bytes = gemm->batch * (element_bytes(weights, work->n, work->k) + bias);
    gemm->row_bytes =
        gemm->batch * (element_row_bytes(&work->a_type, work->k) + element_row_bytes(&work->c_type, work->n));
    gemm->weights_are_activations = op->weights == BUFFER_NONE;
    gemm->c_bytes = element_bytes_each(&work->c_type);
    gemm->weight_sets = greater(work->weight_sets, 1);
    if (work->a_from.name[0] != '\0')
        gemm->pass_row_bytes = gemm->batch * (element_row_bytes(&work->a_from, work->k) +
                                              element_row_bytes(&work->a_type, work->k));
    else if (!element_type_equal(&a_type, &work->a_type))
        gemm->pass_row_bytes =
            gemm->batch * (element_row_bytes(&work->a_type, work->k) + element_row_bytes(&a_type, work->k));
    set_rates(prepared, weights);
    tabulate(prepared);
    return true;
}

bool gemm_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                  const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct element_type *weights =
        op->weights != BUFFER_NONE ? &graph->buffers[op->weights].type : &op->gemm.a_type;
    if (!gemm_prepare_as(prepared, arena, diag, weights))
        return false;
    return op->gemm.low_bit.kernel == LOW_BIT_DEQUANTIZE || low_bit_prepare(prepared, arena, diag, weights);
}

struct choice {
    int edge, candidate;
    double waves, streams; /* waves as they weigh on the unit and on the cache: w above */
    double busy, sums, seconds;
};

/* What the candidates of one row edge and split are tried for. */
struct trial {
    double row_tiles, memory_s, sums;
};

/* Of one row edge and split the fastest column edge; of equally fast ones the one that keeps units least
 * busy. */
static inline void try_columns(const struct gemm_cost *gemm, int edge, int split, const struct trial *trial,
                               struct choice *best)
{
    int first = split * TILE_EDGES;
    const double *columns = &gemm->columns[first], *work = &gemm->work[edge][first];
    const double *stream = &gemm->stream[edge][first], *store = &gemm->store[edge][first];
    double tiles_per_unit = trial->row_tiles * gemm->inverse_units;
    double waves[TILE_EDGES], streams[TILE_EDGES], busy[TILE_EDGES];
    for (int c = 0; c < TILE_EDGES; c++) {
        double tiles = tiles_per_unit * columns[c];
        waves[c] = ceil_fast(tiles);
        double full = waves[c] - 1;
        streams[c] = full + greater(tiles - full, gemm->port);
        busy[c] = greater(waves[c] * work[c], streams[c] * stream[c]) + streams[c] * store[c] +
                  waves[c] * gemm->omega;
    }
    double spare = best->seconds - trial->sums;
    for (int c = 0; c < TILE_EDGES; c++) {
        if (!(busy[c] <= spare))
            continue;
        double own = busy[c] - gemm->lead_s;
        double both = gemm->in_turn ? own + trial->memory_s : join(own, trial->memory_s);
        double seconds = gemm->lead_s + both + trial->sums;
        if (seconds < best->seconds || (seconds <= best->seconds && busy[c] < best->busy))
            *best = (struct choice){edge, first + c, waves[c], streams[c], busy[c], trial->sums, seconds};
    }
}

/* Tall tiles first: they move least through the cache, so that the bound on short ones (units never idle: row
 * tiles times the least work a row tile can be) mostly rules them out unseen, as what sums cost rules out
 * splits. */
static struct choice choose(const struct gemm_cost *gemm, const double *row_tiles, int edges, double rows,
                            double memory_s)
{
    struct choice best = {.busy = INFINITY, .seconds = INFINITY};
    for (int i = edges - 1; i >= 0; i--) {
        double bound =
            greater(row_tiles[i] * gemm->inverse_units * gemm->least_work[i], memory_s + gemm->lead_s);
        for (int s = 0; s < SPLITS; s++) {
            struct trial trial = {row_tiles[i], memory_s, gemm->reduction[s] * rows + gemm->combine[s]};
            if (bound + trial.sums > best.seconds || best.seconds <= memory_s + gemm->lead_s)
                break;
            try_columns(gemm, i, s, &trial, &best);
        }
    }
    return best;
}

/* Splits the winner's wave time among resources: each at its own rate, the slowest with the waves' overhead.
 */
static void book_tiles(const struct prepared_op *prepared, const struct choice *choice, double row_tiles,
                       struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    double tm = gemm->row_edge[choice->edge], tn = matrix_edges[choice->candidate % TILE_EDGES];
    double kk = gemm->depth[choice->candidate / TILE_EDGES];
    double compute = tm * tn * gemm->compute_s * kk, dequant = tn * gemm->dequant_s * kk;
    double moved = tile_bytes_per_k(gemm, tm, tn) * kk;
    double cache = 0;
    double items = row_tiles * gemm->columns[choice->candidate];
    enum resource unit = prepared_unit(prepared);
    int edge = choice->edge, candidate = choice->candidate;
    cache = choice->streams * (gemm->stream[edge][candidate] + gemm->store[edge][candidate]);
    cost->use[unit] = choice->waves * compute;
    cost->use[RESOURCE_VECTOR] = greater(cost->use[RESOURCE_VECTOR], choice->waves * dequant);
    cost->use[RESOURCE_CACHE] = cache;
    enum resource slowest = cache > choice->waves * greater(compute, dequant) ? RESOURCE_CACHE
                            : dequant > compute                               ? RESOURCE_VECTOR
                                                                              : unit;
    cost->use[slowest] = choice->busy;
    cost->floor[unit] = items * 2 * tm * tn * kk / prepared->peak;
    cost->floor[RESOURCE_CACHE] = items * moved / prepared->target->cache_bandwidth;
}

/* Products and conversions on the lanes, all of them together. */
static double lane_work_s(const struct gemm_cost *gemm, double rows)
{
    if (gemm->gemv_rows > 0)
        return (rows + gemm->convert_passes) * gemm->lane_weights * gemm->lane_s;
    return gemm->lane_weights * (rows * gemm->lane_s + gemm->lane_convert_s);
}

/* Rows times weights on the lanes, where that is a candidate. */
static double lane_seconds(const struct gemm_cost *gemm, double rows, double led_s)
{
    if (!(gemm->lane_s > 0) || rows > gemm->lane_rows)
        return INFINITY;
    double work = lane_work_s(gemm, rows);
    if (gemm->in_turn)
        return work + led_s;
    return gemm->gemv_rows > 0 ? join(work, led_s - gemm->lead_s) + gemm->lead_s
                               : greater(work + gemm->lead_s, led_s);
}

static void finish_on_lanes(const struct prepared_op *prepared, double rows, double seconds,
                            struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    const struct target *target = prepared->target;
    double passes = rows + (gemm->gemv_rows > 0 ? (gemm->dequant_s > 0 ? 1 : 0) : gemm->convert_passes);
    cost->use[RESOURCE_VECTOR] = lane_work_s(gemm, rows);
    cost->floor[RESOURCE_VECTOR] = passes * gemm->lane_weights * DEQUANT_FLOPS / target->vector_flops;
    double overhead = gemm->fixed + gemm->lead_s;
    finish_with_overhead(target, prepared->format, overhead, overhead, cost);
    cost->time = gemm->fixed + seconds;
}

/* `row_tiles[i]` tiles of rows of row_edge[i], the first `edges` of them, `rows` real rows, operand bytes
 * already in cost. */
static void tiled_cost(const struct prepared_op *prepared, const double *row_tiles, int edges, double rows,
                       struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    if (target->ideal) {
        ideal_cost(target, prepared->format, prepared->matrix, prepared->peak, cost);
        return;
    }
    bool few = rows <= gemm->gemv_rows;
    if (!few && gemm->panel_columns > 0) {
        gemm_panels_cost(prepared, rows, cost);
        return;
    }
    double memory_s = cost->memory_bytes / gemm->memory_rate, led_s = memory_s + gemm->lead_s;
    cost->use[RESOURCE_MEMORY] = memory_s;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    struct choice choice = {.seconds = INFINITY};
    if (!few)
        choice = choose(gemm, row_tiles, edges, rows, memory_s);
    double on_lanes = few || !(gemm->gemv_rows > 0) ? lane_seconds(gemm, rows, led_s) : INFINITY;
    if (on_lanes < choice.seconds) {
        finish_on_lanes(prepared, rows, on_lanes, cost);
        return;
    }
    book_tiles(prepared, &choice, row_tiles[choice.edge], cost);
    double longest = greater(choice.busy, memory_s), lead = choice.busy > led_s ? choice.waves : 1;
    double overhead = gemm->fixed + choice.sums + lead * gemm->omega;
    finish_with_overhead(target, prepared->format, gemm->fixed + choice.seconds - longest, overhead, cost);
    cost->time = gemm->fixed + choice.seconds; /* as minimised, to the last bit */
}

/* The pass that quantises A, a kernel of its own before the product: a block of lanes for each row. */
void gemm_add_pass(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    const struct target *target = prepared->target;
    double bytes = rows * gemm->pass_row_bytes,
           all = cost->bytes[BYTES_WEIGHTS] + cost->bytes[BYTES_ACTIVATIONS];
    double missing = all > 0 ? bytes * cost->memory_bytes / all : 0;
    double lanes = rows * gemm->pass_row_s, memory = missing / gemm->memory_rate;
    cost->launches++;
    cost->bytes[BYTES_ACTIVATIONS] += bytes;
    cost->memory_bytes += missing;
    cost->energy += missing * target->energy_per_byte;
    cost->use[RESOURCE_VECTOR] += lanes;
    cost->use[RESOURCE_MEMORY] += memory;
    cost->floor[RESOURCE_MEMORY] += missing / target->memory_bandwidth;
    cost->time += greater(lanes, memory);
}

void gemm_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    (prepared->gemm->low_bit ? low_bit_cost : gemm_multiply_cost)(prepared, rows, cost);
}

void gemm_multiply_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct gemm_cost *gemm = prepared->gemm;
    double activations = rows * gemm->row_bytes;
    cost->launches = 1;
    cost->flops = 2 * rows * gemm->n * gemm->k * gemm->batch;
    cost->bytes[gemm->weights_are_activations ? BYTES_ACTIVATIONS : BYTES_WEIGHTS] = gemm->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] += activations;
    cost->memory_bytes = gemm_memory_bytes(prepared, activations);
    double row_tiles[ROW_EDGES_MOST];
    int edges = 0;
    /* a tile taller than m costs more than the first that holds all rows, for the same count */
    do
        row_tiles[edges] = ceil_fast(rows / gemm->row_edge[edges]);
    while (gemm->row_edge[edges++] < rows && edges < gemm->row_edges);
    tiled_cost(prepared, row_tiles, edges, rows, cost);
    if (gemm->pass_row_bytes > 0)
        gemm_add_pass(prepared, rows, cost);
}
