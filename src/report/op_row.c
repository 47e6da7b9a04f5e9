#include "report/op_row.h"
#include "report/result.h"

#include <math.h>
#include <stdio.h>

static const char *link_name(const struct link *link)
{
    return link != NULL && link->name != NULL ? link->name : "network";
}

static void write_bound(char *out, size_t size, const struct target *target, enum bound bound)
{
    const struct memory_tier *cache = device_shared_cache(target->device);
    const struct memory_tier *memory = device_memory(target->device);
    switch (bound) {
    case BOUND_CACHE:
        snprintf(out, size, "memory:%s", cache != NULL ? cache->name : "cache");
        return;
    case BOUND_MEMORY:
        snprintf(out, size, "memory:%s", memory != NULL ? memory->name : "main");
        return;
    case BOUND_LINK:
        snprintf(out, size, "link:%s", link_name(target->scale_up));
        return;
    case BOUND_NETWORK:
        snprintf(out, size, "link:%s", link_name(target->network));
        return;
    default:
        snprintf(out, size, "%s", bound_name(bound));
    }
}

double phase_rank_time(const struct phase_cost *phase)
{
    double sum = phase->step.host_gap;
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        sum += phase->step.ops[i].exposed;
    return sum;
}

static void fill_work(struct op_row *row, const struct step_op *op)
{
    row->flops = op->each.flops * op->count;
    for (int c = 0; c < BYTE_CLASS_COUNT; c++) {
        row->bytes[c] = op->each.bytes[c] * op->count;
        row->moved += c == BYTES_WIRE ? 0.0 : row->bytes[c];
    }
}

/* One rank's joules times the ranks that do what it does. */
static void fill_energy(struct op_row *row, const struct phase_cost *phase, int index)
{
    const struct step_op *op = &phase->step.ops[index];
    const struct parallelism *parallel = &phase->plan->parallel;
    double times = op->count * parallel->tp * parallel->dp;
    if (!(op->count > 0.0))
        return;
    cost_energy(phase->plan->prepared, index, &op->each, row->energy_parts);
    row->energy = times * op->each.energy;
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        row->energy_parts[e] *= times;
}

void op_row_make(struct op_row *row, const struct phase_cost *phase, int index)
{
    const struct plan *plan = phase->plan;
    const struct op *op = &plan->graph.ops[index];
    const struct target *target = &plan->targets[op->device];
    const struct step_op *cost = &phase->step.ops[index];
    double peak = cost_footing(plan->prepared, index, phase->step.regime).peak_flops;
    double whole = phase_rank_time(phase);
    *row = (struct op_row){.name = op->name, .kind = op_kind_name(op->kind), .count = cost->count};
    fill_work(row, cost);
    row->intensity = row->moved > 0.0 ? row->flops / row->moved : (double)NAN;
    row->attainable = row->flops > 0.0 ? fmin(peak, row->intensity * target->memory_bandwidth) : (double)NAN;
    row->time = cost->time;
    row->exposed = cost->exposed;
    double roof_time = cost_roof_time(plan->prepared, index, &cost->each);
    row->roof = cost->each.time > 0.0 ? roof_time / cost->each.time : 0.0;
    row->share = whole > 0.0 ? cost->exposed / whole : 0.0;
    fill_energy(row, phase, index);
    if (op->kind == OP_FETCH && cost->each.bound == BOUND_LINK)
        snprintf(row->bound, sizeof row->bound, "link:host");
    else if (op->kind == OP_TRANSFER && op->transfer.far)
        snprintf(row->bound, sizeof row->bound, "%s", bound_name(cost->each.bound));
    else
        write_bound(row->bound, sizeof row->bound, target, cost->each.bound);
}

static void phase_energy(const struct phase_cost *phase, double parts[ENERGY_PART_COUNT])
{
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        parts[e] = 0.0;
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        struct op_row row;
        op_row_make(&row, phase, i);
        for (int e = 0; e < ENERGY_PART_COUNT; e++)
            parts[e] += row.energy_parts[e];
    }
}

void result_energy(const struct result *result, double parts[ENERGY_PART_COUNT])
{
    for (int e = 0; e < ENERGY_PART_COUNT; e++)
        parts[e] = 0.0;
    for (int p = 0; p < result->breakdown.count; p++) {
        double phase[ENERGY_PART_COUNT];
        phase_energy(&result->breakdown.phases[p], phase);
        for (int e = 0; e < ENERGY_PART_COUNT; e++)
            parts[e] += phase[e];
    }
}

bool op_row_active(const struct op_row *row)
{
    return row->count > 0.0 && (row->time > 0.0 || row->flops > 0.0 || row->moved > 0.0);
}

/* Insertion into a short sorted list: `most` is about ten. */
int phase_top_ops(const struct phase_cost *phase, int most, int *indices)
{
    const struct step_op *ops = phase->step.ops;
    int count = 0;
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        if (!(ops[i].exposed > 0.0))
            continue;
        int at = count < most ? count++ : most;
        for (; at > 0 && ops[indices[at - 1]].exposed < ops[i].exposed; at--)
            if (at < most)
                indices[at] = indices[at - 1];
        if (at < most)
            indices[at] = i;
    }
    return count;
}
