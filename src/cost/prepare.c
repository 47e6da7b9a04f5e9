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
    case OP_FETCH:
        return fetch_prepare(prepared, diag);
    default:
        stream_prepare(prepared, graph);
        return true;
    }
}

struct prepared_op *cost_prepare(struct arena *arena, struct diag *diag, const struct graph *graph,
                                 const struct target *targets)
{
    size_t count = graph->op_count > 0 ? (size_t)graph->op_count : 1;
    struct prepared_op *prepared = ARENA_ARRAY(arena, struct prepared_op, count);
    if (!prepared) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (int i = 0; i < graph->op_count; i++) {
        prepared[i].target = &targets[graph->ops[i].device];
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

/* Whether any sequence of the step has nothing cached yet. */
static bool starts(const struct segment *segments, int count)
{
    for (int i = 0; i < count; i++)
        if (segments[i].context == 0 && segments[i].source == 0)
            return true;
    return false;
}

static void host_cost(const struct prepared_op *one, const struct segment *segments, int count,
                      const struct step_totals totals[REGIME_ANY + 1], struct op_cost *cost)
{
    const struct op *op = one->op;
    if (!(op->host.seconds > 0) || !(totals[op->regime].tokens > 0) ||
        (op->host.at_start && !starts(segments, count)))
        return;
    cost->use[RESOURCE_COMPUTE] = cost->time = op->host.seconds;
    cost->bound = BOUND_HOST;
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
        host_cost(one, segments, count, totals, cost);
        return;
    case OP_FETCH:
        fetch_cost(one, segments, count, cost);
        return;
    case OP_TRANSFER:
        if (op->transfer.at_start && !starts(segments, count))
            return;
        break;
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

/* A device of another member works for ranks_each ranks at a time (below 1: several of them for one rank),
 * which get that share of its rates; launches and other fixed times are each rank's own. */
static void share_member(const struct target *target, struct op_cost *cost)
{
    double most = 0, ranks = target->ranks_each;
    for (int i = 0; i < RESOURCE_COUNT; i++) {
        most = greater(most, cost->use[i]);
        cost->use[i] *= ranks;
        cost->floor[i] *= ranks;
    }
    cost->time += most * (ranks - 1);
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

/* On a mesh of cores each product, norm and sample ends in a sum along a side and its way back; attention has
 * one each for scores, softmax and output, and is spread over all cores, not item by item. */
static void cross_mesh(const struct prepared_op *one, struct op_cost *cost)
{
    const struct device *device = one->target->device;
    enum op_kind kind = one->op->kind;
    bool attends = kind == OP_ATTENTION, sums_up = kind == OP_GEMM || kind == OP_NORM || kind == OP_SAMPLE;
    if (attends)
        cost->time = 0;
    for (int r = 0; r < RESOURCE_COUNT && attends; r++) {
        cost->use[r] = cost->floor[r];
        cost->time = greater(cost->time, cost->floor[r]);
    }
    cost->time += (attends ? 3 : sums_up ? 1 : 0) * 2 * device->mesh_side * device->mesh_hop;
}

void cost_op(const struct prepared_op *prepared, int index, const struct segment *segments, int count,
             const struct step_totals totals[REGIME_ANY + 1], struct op_cost *cost)
{
    memset(cost, 0, sizeof *cost);
    cost_kind(&prepared[index], segments, count, totals, cost);
    if (prepared[index].target->member > 0 && prepared[index].op->kind != OP_TRANSFER)
        share_member(prepared[index].target, cost);
    if (cost->time > 0 && prepared[index].target->device->mesh_side > 0)
        cross_mesh(&prepared[index], cost);
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
    if (op->kind == OP_FETCH)
        return true;
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
