/* Which kernel multiplies by weights of few bits, and what converting all of them first costs.
 *
 * Expand first: a kernel reads the stored weights and writes them in the format of the activations, a product
 * of that format follows: what libraries do for many rows, where converting again for every tile of rows
 * costs more than memory does once. The expanded matrix goes to memory and comes back.
 *
 * The fastest kernel that is allowed is taken for each number of rows: each grows with m, n, k, hence so does
 * the least of them. */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <string.h>

enum { CONVERSION_FLOPS = 2 };

static bool prepare_expanded(struct low_bit_cost *low_bit, const struct prepared_op *prepared,
                             struct arena *arena, struct diag *diag)
{
    const struct gemm_work *work = &prepared->op->gemm;
    struct prepared_op *wide = ARENA_NEW(arena, struct prepared_op);
    struct op *op = ARENA_NEW(arena, struct op);
    if (!wide || !op)
        return diag_error(diag, NOWHERE, "out of memory");
    *wide = *prepared;
    *op = *prepared->op; /* the pass before has converted its weights */
    op->gemm.path.operations = op->gemm.path.clocks = 0;
    op->gemm.path.in_turn = false;
    wide->op = op;
    wide->operand = operand_of(&work->a_type);
    if (!gemm_prepare_as(wide, arena, diag, &work->a_type))
        return false;
    low_bit->expanded = wide;
    low_bit->expanded_bytes = prepared->gemm->batch * element_bytes(&work->a_type, work->n, work->k);
    low_bit->peak = greater(low_bit->peak, wide->peak);
    return true;
}

typedef const char *(*form_function)(const struct prepared_op *prepared, struct arena *arena,
                                     const struct element_type *weights, struct low_bit_form *form);

/* A kernel asked for by name must run; among others it is left out where it cannot. */
static bool prepare_form(struct low_bit_cost *low_bit, const struct low_bit_tiles **tiles,
                         const struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                         const struct element_type *weights, form_function form_of)
{
    struct low_bit_form form;
    const char *reason = form_of(prepared, arena, weights, &form);
    bool asked = prepared->op->gemm.low_bit.kernel != LOW_BIT_BEST;
    if (reason)
        return !asked || diag_error(diag, NOWHERE, "low_bit_gemm: %s: %s", prepared->op->name, reason);
    *tiles = low_bit_tiles_prepare(prepared, arena, &form);
    if (!*tiles)
        return diag_error(diag, NOWHERE, "out of memory");
    low_bit->peak = greater(low_bit->peak, 2 / form.value_s);
    return true;
}

bool low_bit_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                     const struct element_type *weights)
{
    enum low_bit_kernel kernel = prepared->op->gemm.low_bit.kernel;
    bool best = kernel == LOW_BIT_BEST;
    struct low_bit_cost *low_bit = ARENA_NEW(arena, struct low_bit_cost);
    if (!low_bit)
        return diag_error(diag, NOWHERE, "out of memory");
    low_bit->dequantize = best;
    low_bit->peak = best ? prepared->peak : 0;
    prepared->gemm->low_bit = low_bit;
    return (!(best || kernel == LOW_BIT_LOOKUP) ||
            prepare_form(low_bit, &low_bit->lookup, prepared, arena, diag, weights, lookup_form)) &&
           (!(best || kernel == LOW_BIT_BIT_SERIAL) ||
            prepare_form(low_bit, &low_bit->bit_serial, prepared, arena, diag, weights, bit_serial_form)) &&
           (!(best || kernel == LOW_BIT_EXPAND_FIRST) || prepare_expanded(low_bit, prepared, arena, diag));
}

/* The kernel that converts all weights: reads them, writes them wide, an operation of the lanes for each. */
static void add_expansion(const struct prepared_op *prepared, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct gemm_cost *gemm = prepared->gemm;
    double bytes = gemm->weight_bytes + gemm->low_bit->expanded_bytes;
    double memory = bytes / (target->ideal ? target->memory_bandwidth : gemm->memory_rate);
    double floor = gemm->lane_weights * CONVERSION_FLOPS / target->vector_flops;
    double lanes =
        target->ideal ? floor : greater(gemm->lane_weights * gemm->dequant_s / target->units, floor);
    cost->launches++;
    cost->bytes[BYTES_WEIGHTS] += bytes;
    cost->memory_bytes += bytes;
    cost->energy += bytes * target->energy_per_byte;
    cost->use[RESOURCE_VECTOR] += lanes;
    cost->floor[RESOURCE_VECTOR] += floor;
    cost->use[RESOURCE_MEMORY] += memory;
    cost->floor[RESOURCE_MEMORY] += bytes / target->memory_bandwidth;
    cost->time += greater(lanes, memory);
}

static void keep_faster(const struct op_cost *other, struct op_cost *cost, bool *any)
{
    if (!*any || other->time < cost->time)
        *cost = *other;
    *any = true;
}

void low_bit_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct low_bit_cost *low_bit = prepared->gemm->low_bit;
    const struct low_bit_tiles *tiled[] = {low_bit->lookup, low_bit->bit_serial};
    bool any = false;
    if (low_bit->dequantize) {
        gemm_multiply_cost(prepared, rows, cost);
        any = true;
    }
    for (size_t i = 0; i < sizeof tiled / sizeof *tiled; i++) {
        struct op_cost other;
        if (!tiled[i])
            continue;
        memset(&other, 0, sizeof other);
        low_bit_tiles_cost(prepared, tiled[i], rows, &other);
        keep_faster(&other, cost, &any);
    }
    if (low_bit->expanded) {
        struct op_cost other;
        memset(&other, 0, sizeof other);
        gemm_multiply_cost(low_bit->expanded, rows, &other);
        add_expansion(prepared, &other);
        keep_faster(&other, cost, &any);
    }
}
