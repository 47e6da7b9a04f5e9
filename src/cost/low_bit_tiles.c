/* Tiles of the kernels that convert no weights (forms: gemm_lookup.c, gemm_bit_serial.c).
 *
 *   t     = t0 + min over tile (tm, tn), split-K s of ( omega + max( waves * item, bytes / (beta * BW) ) +
 * sums )
 *           [+ pass]
 *   waves = ceil( ceil(m/tm) * ceil(n/tn) * s * batch / units )
 *   item  = kk * max( unit, lanes, stream ) + results + omega,  kk = k / s rounded up to the form's depth
 *   unit  = tm' tn value [ / eps of matrix units ]   tm': tm filled up to the form's row step
 *   lanes = tm tn lane_value / dequant [ + tm prepare / dequant where tables are made in the tile ]
 *           (unit + lanes in place of their maximum where the same pipes do both)
 *   stream = (tm T + tn e_b) units / (lambda BW_cache)   T: bytes of tables or planes of one activation
 *   results = tm tn * groups of scales in kk * result / dequant, on the lanes
 *   sums  = split + s m n 4 / BW_cache when s > 1
 *   pass  = max( m k prepare / dequant, m k T / (lambda BW_cache) ) where a kernel before makes tables
 *
 * A unit's weights serve tm rows, its tables tn columns (table reuse): the tile trades one for the other. The
 * scalars are those of the device's GEMM kernels for the stored type: nothing was measured of these. Matrix
 * units reach eps; look-ups on lanes and in banks issue at the rate that the data sheet gives, since all
 * their instructions are counted, which makes those times lower bounds; the lanes' other work goes at
 * dequant, the share of their rate that kernels converting weights reach, or eps where lanes do a device's
 * GEMMs. */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <math.h>

static const double row_edges[LOW_BIT_ROWS] = {1, 2, 4, 8, 16, 32, 64};
static const double column_edges[LOW_BIT_COLUMNS] = {32, 64, 128, 256, 512, 1024};
static const double splits[SPLITS] = {1, 2, 3, 4, 6, 8, 16, 32};
enum { TILE_AREA_MOST = 256 * 128, FP32_BYTES = 4 };

struct rates {
    double unit, lanes; /* shares of the data sheet's */
    double units;
};

static struct rates rates_of(const struct prepared_op *prepared, enum resource unit)
{
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    double eps = efficiency(scalars[GEMM_EPS]), dequant = efficiency(scalars[GEMM_DEQUANT]);
    struct rates rates = {.units = prepared->target->units};
    rates.lanes = prepared->matrix ? dequant : eps;
    rates.unit = unit == RESOURCE_COMPUTE ? eps : 1;
    return rates;
}

static void tabulate(struct low_bit_tiles *tiles, const struct gemm_cost *gemm, const struct rates *rates)
{
    const struct low_bit_form *form = &tiles->form;
    double in_tile = form->preparation == PREPARED_IN_TILE ? form->prepare_lane_s : 0;
    tiles->a_bytes = form->preparation == PREPARED_IN_TILE ? gemm->a_bytes : form->prepared_bytes;
    for (int i = 0; i < LOW_BIT_ROWS; i++) {
        double tm = row_edges[i], filled = ceil(tm / form->row_step) * form->row_step;
        for (int j = 0; j < LOW_BIT_COLUMNS; j++) {
            double tn = column_edges[j];
            double unit = filled * tn * form->value_s * rates->units / rates->unit;
            double lanes = (tm * tn * form->lane_value_s + tm * in_tile) * rates->units / rates->lanes;
            bool fits = tm * tn <= TILE_AREA_MOST;
            tiles->unit_s[i][j] = unit;
            tiles->lane_s[i][j] = lanes;
            tiles->work[i][j] = !fits ? INFINITY : form->lanes_apart ? greater(unit, lanes) : unit + lanes;
            tiles->stream[i][j] = (tm * tiles->a_bytes + tn * gemm->b_bytes) * gemm->cache_s;
        }
    }
}

const struct low_bit_tiles *low_bit_tiles_prepare(const struct prepared_op *prepared, struct arena *arena,
                                                  const struct low_bit_form *form)
{
    struct low_bit_tiles *tiles = ARENA_NEW(arena, struct low_bit_tiles);
    if (!tiles)
        return NULL;
    const struct gemm_cost *gemm = prepared->gemm;
    struct rates rates = rates_of(prepared, form->unit);
    double row = gemm->k * gemm->batch;
    tiles->form = *form;
    tiles->result_s = form->result_lane_s * rates.units / rates.lanes;
    if (form->preparation != PREPARED_IN_TILE)
        tiles->row_bytes = row * form->prepared_bytes;
    if (form->preparation == PREPARED_BEFORE)
        tiles->pass_row_s = row * form->prepare_lane_s / rates.lanes;
    tabulate(tiles, gemm, &rates);
    return tiles;
}

struct tile_choice {
    int row, column;
    double depth, waves, results, sums, busy, seconds;
};

static double scale_groups(const struct low_bit_form *form, double depth)
{
    return form->scale_group > 0 ? greater(depth / form->scale_group, 1) : 1;
}

static struct tile_choice choose(const struct prepared_op *prepared, const struct low_bit_tiles *tiles,
                                 double rows, double memory_s)
{
    const struct gemm_cost *gemm = prepared->gemm;
    const struct low_bit_form *form = &tiles->form;
    struct tile_choice best = {.seconds = INFINITY};
    for (int s = 0; s < SPLITS; s++) {
        double depth = ceil(gemm->k / splits[s] / form->depth) * form->depth;
        double groups = scale_groups(form, depth);
        double sums = s > 0 ? gemm->split_s + splits[s] * rows * gemm->n * gemm->batch * FP32_BYTES /
                                                  prepared->target->cache_bandwidth
                            : 0;
        for (int i = 0; i < LOW_BIT_ROWS; i++)
            for (int j = 0; j < LOW_BIT_COLUMNS; j++) {
                double items =
                    ceil(rows / row_edges[i]) * ceil(gemm->n / column_edges[j]) * splits[s] * gemm->batch;
                double waves = ceil(items * gemm->inverse_units);
                double results = row_edges[i] * column_edges[j] * groups * tiles->result_s;
                double item = depth * greater(tiles->work[i][j], tiles->stream[i][j]) + results + gemm->omega;
                double busy = waves * item;
                double seconds = gemm->lead_s + greater(busy, memory_s) + sums;
                if (seconds < best.seconds)
                    best = (struct tile_choice){i, j, depth, waves, results, sums, busy, seconds};
            }
    }
    return best;
}

/* Work at data-sheet rates, nothing filled up. */
static void set_floors(const struct prepared_op *prepared, const struct low_bit_tiles *tiles, double rows,
                       struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    const struct low_bit_form *form = &tiles->form;
    double values = rows * gemm->n * gemm->k * gemm->batch;
    double results = rows * gemm->n * gemm->batch * scale_groups(form, gemm->k);
    double passes = form->preparation == PREPARED_FUSED ? 0 : rows * gemm->k * gemm->batch;
    double lanes = values * form->lane_value_s;
    double others = results * form->result_lane_s + passes * form->prepare_lane_s;
    if (form->unit == RESOURCE_VECTOR)
        cost->floor[RESOURCE_VECTOR] = greater(values * form->value_s, lanes) + others;
    else {
        cost->floor[form->unit] = values * form->value_s;
        cost->floor[RESOURCE_VECTOR] = lanes + others;
    }
    double streamed = gemm->lane_weights * gemm->b_bytes + rows * gemm->k * gemm->batch * tiles->a_bytes;
    double written = form->preparation == PREPARED_BEFORE ? rows * tiles->row_bytes : 0;
    cost->floor[RESOURCE_CACHE] = (streamed + written) / target->cache_bandwidth;
    cost->floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
}

static void finish_ideal(const struct prepared_op *prepared, struct op_cost *cost)
{
    for (int i = 0; i < RESOURCE_COUNT; i++)
        cost->use[i] = cost->floor[i];
    finish_with_overhead(prepared->target, prepared->format, 0, 0, cost);
}

static double book(const struct prepared_op *prepared, const struct low_bit_tiles *tiles,
                   const struct tile_choice *choice, double rows, double memory_s, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    int i = choice->row, j = choice->column;
    double kk = choice->waves * choice->depth, lanes = choice->waves * choice->results;
    double written = rows * tiles->row_bytes * gemm->cache_s / target->units;
    double pass_lanes = rows * tiles->pass_row_s, pass = 0;
    cost->use[RESOURCE_CACHE] = kk * tiles->stream[i][j];
    cost->use[RESOURCE_VECTOR] = kk * tiles->lane_s[i][j] + lanes;
    if (tiles->form.unit == RESOURCE_VECTOR)
        cost->use[RESOURCE_VECTOR] = kk * tiles->work[i][j] + lanes;
    else
        cost->use[tiles->form.unit] = kk * tiles->unit_s[i][j];
    if (tiles->pass_row_s > 0) {
        pass = greater(pass_lanes, written);
        cost->use[RESOURCE_VECTOR] += pass_lanes;
        cost->use[RESOURCE_CACHE] += written;
        cost->launches++;
    }
    cost->use[RESOURCE_MEMORY] = memory_s;
    return pass;
}

void low_bit_tiles_cost(const struct prepared_op *prepared, const struct low_bit_tiles *tiles, double rows,
                        struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    double activations = rows * (gemm->row_bytes + 2 * tiles->row_bytes);
    cost->launches = 1;
    cost->flops = 2 * rows * gemm->n * gemm->k * gemm->batch;
    cost->bytes[BYTES_WEIGHTS] = gemm->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] = activations;
    cost->memory_bytes = gemm_memory_bytes(prepared, activations);
    set_floors(prepared, tiles, rows, cost);
    if (target->ideal) {
        finish_ideal(prepared, cost);
    } else {
        double memory_s = cost->memory_bytes / gemm->memory_rate;
        struct tile_choice choice = choose(prepared, tiles, rows, memory_s);
        double pass = book(prepared, tiles, &choice, rows, memory_s, cost);
        double overhead = gemm->fixed + gemm->lead_s + choice.sums;
        finish_with_overhead(target, prepared->format, overhead, overhead, cost);
        cost->time = gemm->fixed + choice.seconds + pass;
    }
    if (gemm->pass_row_bytes > 0)
        gemm_add_pass(prepared, rows, cost);
}
