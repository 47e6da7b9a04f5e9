/* Preparing a graph's operators and costing them by kind. */
#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <string.h>

static bool prepare_op(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph)
{
    switch (prepared->op->kind) {
    case OP_GEMM:
        return (prepared->op->gemm.experts > 0 ? moe_prepare : gemm_prepare)(prepared, arena, diag, graph);
    case OP_ATTENTION:
        return attention_prepare(prepared, arena, diag, graph);
    case OP_RECURRENT:
        return recurrent_prepare(prepared, arena, diag, graph);
    case OP_CONV:
        return conv_prepare(prepared, diag, graph);
    case OP_COLLECTIVE:
        return collective_prepare(prepared, diag);
    case OP_TRANSFER:
        return transfer_prepare(prepared, diag, graph);
    case OP_HOST:
        return true;
    default:
        stream_prepare(prepared, graph);
        return true;
    }
}

struct prepared_op *cost_prepare(struct arena *arena, struct diag *diag, const struct graph *graph,
                                 const struct target *target)
{
    size_t count = graph->op_count > 0 ? (size_t)graph->op_count : 1;
    struct prepared_op *prepared = ARENA_ARRAY(arena, struct prepared_op, count);
    if (!prepared) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (int i = 0; i < graph->op_count; i++) {
        prepared[i].target = target;
        prepared[i].op = &graph->ops[i];
        if (!prepare_op(&prepared[i], arena, diag, graph))
            return NULL;
    }
    return prepared;
}

static double tokens_a_pair(const struct step_totals *totals)
{
    return totals->pairs > 0 ? totals->tokens / totals->pairs : 0;
}

static void cost_kind(const struct prepared_op *one, const struct segment *segments, int count,
                      const struct step_totals totals[REGIME_ANY + 1], struct op_cost *cost)
{
    const struct op *op = one->op;
    switch (op->kind) {
    case OP_ATTENTION:
        attention_cost(one, segments, count, cost);
        return;
    case OP_RECURRENT:
        recurrent_cost(one, segments, count, cost);
        return;
    case OP_CONV:
        conv_cost(one, segments, count, cost);
        return;
    case OP_HOST:
        return;
    default:
        break;
    }
    double rows = op_rows(op, &totals[op->regime]);
    if (!(rows > 0))
        return;
    switch (op->kind) {
    case OP_GEMM:
        (op->gemm.experts > 0 ? moe_cost : gemm_cost)(one, rows, cost);
        break;
    case OP_COLLECTIVE:
        collective_cost(one, rows, cost);
        break;
    case OP_TRANSFER:
        transfer_cost(one, rows, cost);
        break;
    default:
        stream_cost(one, rows, op->rows == ROWS_PAIRS ? rows * tokens_a_pair(&totals[op->regime]) : 0, cost);
        break;
    }
}

static enum family family_in(const struct prepared_op *prepared, enum regime regime)
{
    const struct op *op = prepared->op;
    if (op->kind != OP_ATTENTION || op->attention.part >= PART_QK)
        return prepared->family;
    if (regime == REGIME_DECODE)
        return op->attention.mla ? FAMILY_MLA_DECODE : FAMILY_ATTENTION_DECODE;
    return op->attention.mla ? FAMILY_MLA_PREFILL : FAMILY_ATTENTION_PREFILL;
}

/* Steps that are decodes and prefills at once are scattered as prefills. */
static void scatter(const struct prepared_op *one, const struct step_totals totals[REGIME_ANY + 1],
                    struct op_cost *cost)
{
    enum regime regime = totals[REGIME_PREFILL].tokens > 0 ? REGIME_PREFILL : REGIME_DECODE;
    double factor = one->target->scatter[family_in(one, regime)];
    cost->time *= factor;
    for (int i = 0; i < RESOURCE_COUNT; i++)
        cost->use[i] *= factor;
}

void cost_op(const struct prepared_op *prepared, int index, const struct segment *segments, int count,
             const struct step_totals totals[REGIME_ANY + 1], struct op_cost *cost)
{
    memset(cost, 0, sizeof *cost);
    cost_kind(&prepared[index], segments, count, totals, cost);
    if (prepared[index].target->scattered)
        scatter(&prepared[index], totals, cost);
    keep_power_limit(prepared[index].target, cost);
}

void cost_energy(const struct prepared_op *prepared, int index, const struct op_cost *cost,
                 double parts[ENERGY_PART_COUNT])
{
    double sum = 0;
    energy_parts(prepared[index].target, prepared[index].format, cost, parts);
    for (int i = 0; i < ENERGY_PART_COUNT; i++)
        sum += parts[i];
    /* the op's time may have been stretched since: the shares are what counts */
    for (int i = 0; i < ENERGY_PART_COUNT && sum > 0; i++)
        parts[i] *= cost->energy / sum;
}

bool cost_follows_context(const struct prepared_op *prepared, int index)
{
    const struct op *op = prepared[index].op;
    if (op->kind == OP_ATTENTION)
        return !op->attention.cross;
    return op->kind != OP_HOST &&
           (op->rows == ROWS_CONTEXT || op->rows == ROWS_PAIRS || op->rows == ROWS_SOURCE);
}

/* Kernels that convert no weights may have faster units than the one the op is named after. */
static double roof_peak(const struct prepared_op *one)
{
    bool low_bit = one->op->kind == OP_GEMM && !(one->op->gemm.experts > 0) && one->gemm->low_bit;
    return low_bit ? one->gemm->low_bit->peak : one->peak;
}

struct op_footing cost_footing(const struct prepared_op *prepared, int index, enum regime regime)
{
    const struct prepared_op *one = &prepared[index];
    struct op_footing footing = {.family = family_in(one, regime),
                                 .format = one->format,
                                 .operand = one->operand,
                                 .peak_flops = roof_peak(one)};
    footing.calibration =
        target_scalars(one->target, footing.family, footing.format, footing.operand, footing.scalars);
    return footing;
}

double cost_roof_time(const struct prepared_op *prepared, int index, const struct op_cost *cost)
{
    double peak = roof_peak(&prepared[index]);
    double compute = cost->flops > 0 && peak > 0 ? cost->flops / peak : 0;
    double links = greater(cost->floor[RESOURCE_LINK], cost->floor[RESOURCE_NETWORK]);
    /* what a stream finds in the cache has the cache's rate for a roof; matrix products read operands more
     * than once */
    double cache = prepared[index].family == FAMILY_ELEMENTWISE ? cost->floor[RESOURCE_CACHE] : 0;
    return greater(greater(compute, greater(cost->floor[RESOURCE_MEMORY], cache)), links);
}
