/* One forward pass: operators one by one, then what they add up to on the device and the host. */
#include "estimate/plan.h"

#include <math.h>
#include <string.h>

/* Layers that the same segments pass. */
struct slice {
    int first, last;
    struct segment segments[SEGMENTS_MOST];
    int count;
    struct step_totals totals[REGIME_ANY + 1];
};

static int segment_last(const struct segment *segment, int layers)
{
    return segment->layer_last > 0 ? segment->layer_last : layers;
}

/* Fills the slice that starts at layer `first`: as long as no segment begins or ends. */
static void slice_fill(struct slice *slice, const struct step *step, int first, int layers)
{
    slice->first = first;
    slice->last = layers;
    slice->count = 0;
    memset(slice->totals, 0, sizeof slice->totals);
    for (int i = 0; i < step->count; i++) {
        const struct segment *segment = &step->segments[i];
        int last = segment_last(segment, layers);
        if (segment->layer_first > first && segment->layer_first < slice->last)
            slice->last = segment->layer_first;
        if (segment->layer_first > first || last <= first)
            continue;
        if (last < slice->last)
            slice->last = last;
        slice->segments[slice->count++] = *segment;
        step_totals_add(&slice->totals[segment_regime(segment)], segment);
        step_totals_add(&slice->totals[REGIME_ANY], segment);
    }
}

/* How often the op runs in the slice. What is outside the layers runs with the tokens that enter or leave
 * them. */
static double executions(const struct plan *plan, const struct op *op, const struct slice *slice)
{
    const struct model *model = plan->model;
    int first = op->encodes ? 0 : model->encoder_layers; /* of the stack that the op belongs to */
    int last = op->encodes ? model->encoder_layers : model->layers;
    if (op->block != OUTSIDE_LAYERS) {
        bool all = slice->first <= first && slice->last >= last;
        int layers = all ? model->block_layers[op->block]
                         : block_layers_between(model, op->block, slice->first > first ? slice->first : first,
                                                slice->last < last ? slice->last : last);
        return op->per_layer * layers;
    }
    bool here = op->on_first_stage ? slice->first == first : slice->last == last;
    return here ? op->per_layer : 0;
}

/* each becomes the mean over all executions so far. */
static void step_op_add(struct step_op *total, double count, const struct op_cost *cost)
{
    if (total->count == 0) {
        total->count = count;
        total->each = *cost;
        total->time = count * cost->time;
        return;
    }
    double sum = total->count + count, old = total->count / sum, new = count / sum;
    total->each.flops = old * total->each.flops + new * cost->flops;
    for (int i = 0; i < BYTE_CLASS_COUNT; i++)
        total->each.bytes[i] = old * total->each.bytes[i] + new * cost->bytes[i];
    total->each.memory_bytes = old * total->each.memory_bytes + new * cost->memory_bytes;
    for (int i = 0; i < RESOURCE_COUNT; i++) {
        total->each.use[i] = old * total->each.use[i] + new * cost->use[i];
        total->each.floor[i] = old * total->each.floor[i] + new * cost->floor[i];
    }
    total->each.time = old * total->each.time + new * cost->time;
    total->each.energy = old * total->each.energy + new * cost->energy;
    total->count = sum;
    total->time += count * cost->time;
}

void step_cost_add(const struct plan *plan, struct step_cost *sum, const struct step_cost *cost, double times)
{
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        if (op->count == 0)
            continue;
        step_op_add(&sum->ops[i], times * op->count, &op->each);
        sum->ops[i].exposed += times * op->exposed;
    }
    sum->time += times * cost->time;
    sum->device_time += times * cost->device_time;
    sum->host_gap += times * cost->host_gap;
    sum->energy += times * cost->energy;
    sum->flops += times * cost->flops;
    sum->bytes += times * cost->bytes;
    sum->launches += times * cost->launches;
    sum->regime = cost->regime;
}

static void cost_slice(const struct plan *plan, const struct slice *slice, bool only_context,
                       struct step_cost *cost)
{
    const struct graph *graph = &plan->graph;
    for (int i = 0; i < graph->op_count; i++) {
        if (only_context && !plan->follows_context[i])
            continue;
        double count = executions(plan, &graph->ops[i], slice);
        if (count == 0)
            continue;
        struct op_cost each;
        cost_op(plan->prepared, i, slice->segments, slice->count, slice->totals, &each);
        if (only_context)
            cost->ops[i].count = 0;
        step_op_add(&cost->ops[i], count, &each);
    }
}

static enum resource binding_resource(const struct op_cost *cost)
{
    int longest = 0;
    for (int r = 1; r < RESOURCE_COUNT; r++)
        if (cost->use[r] > cost->use[longest])
            longest = r;
    return (enum resource)longest;
}

/* An overlap group cut into `chunks` pieces. Each op's time alone is charged to the resource that binds it:
 * with one chunk they run in turn, with many only the busiest resource shows, t = max_r S_r + (sum_r S_r -
 * max_r S_r) / chunks, and no resource can be used for longer than the group lasts. Exposed times share t as
 * the times alone do. */
static void expose_group(const struct graph *graph, int group, struct step_cost *cost)
{
    double charged[RESOURCE_COUNT] = {0}, used[RESOURCE_COUNT] = {0}, alone = 0;
    for (int i = 0; i < graph->op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        if (graph->ops[i].overlap_group != group || op->count == 0)
            continue;
        charged[binding_resource(&op->each)] += op->time;
        alone += op->time;
        for (int r = 0; r < RESOURCE_COUNT; r++)
            used[r] += op->count * op->each.use[r];
    }
    double most = 0, busiest = 0;
    for (int r = 0; r < RESOURCE_COUNT; r++) {
        most = fmax(most, charged[r]);
        busiest = fmax(busiest, used[r]);
    }
    int chunks = graph->overlap_chunks[group] > 1 ? graph->overlap_chunks[group] : 1;
    double time = fmin(alone, fmax(busiest, most + (alone - most) / chunks));
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].overlap_group == group)
            cost->ops[i].exposed = alone > 0 ? cost->ops[i].time * time / alone : 0;
}

static void expose(const struct plan *plan, struct step_cost *cost)
{
    const struct graph *graph = &plan->graph;
    unsigned groups = 0;
    for (int i = 0; i < graph->op_count; i++) {
        cost->ops[i].exposed = cost->ops[i].time;
        groups |= 1u << graph->ops[i].overlap_group;
    }
    for (int group = 1; group < OVERLAP_GROUPS_MOST; group++)
        if (groups & 1u << group)
            expose_group(graph, group, cost);
}

/* What a step takes beyond its operators. The host launches eager kernels ahead of the device, so such a step
 * takes the longer of the two; between captured kernels the device itself pauses. The host's own work per
 * step comes between steps, or beside them where the software says so. */
static double host_gap(const struct plan *plan, double device_time, double launches, bool captured)
{
    const struct software *software = plan->software;
    if (plan->target.ideal)
        return 0;
    double launch = software->launch_host > 0 ? software->launch_host : plan->target.device->launch_host;
    double launching = captured ? 0 : launches * launch;
    double pauses = captured ? launches * software->kernel_gap : 0;
    double device = device_time + pauses, work = plan->drafts ? 0 : software->host_per_step;
    if (software->async_host)
        return pauses + fmax(0, fmax(launching, work) - device);
    return pauses + fmax(0, launching - device) + work;
}

/* Of all the op's executions in a step, the share that the stage does. A stage receives what the one before
 * sends. */
static double share_of_stage(const struct plan *plan, const struct op *op, int stage)
{
    int stages = plan->parallel.pp;
    if (op->block != OUTSIDE_LAYERS)
        return (double)plan_stage_layers(plan, stage, op->block) / plan->model->block_layers[op->block];
    if (op->kind == OP_TRANSFER)
        return stage > 0 ? 1.0 / (stages - 1) : 0;
    return op->on_first_stage ? stage == 0 : stage == stages - 1;
}

static double slowest_stage(const struct plan *plan, const struct step_cost *cost, bool captured)
{
    double slowest = 0;
    for (int stage = 0; stage < plan->parallel.pp; stage++) {
        double time = 0, launches = 0;
        for (int i = 0; i < plan->graph.op_count; i++) {
            const struct step_op *op = &cost->ops[i];
            if (op->count == 0)
                continue;
            double share = share_of_stage(plan, &plan->graph.ops[i], stage);
            time += share * op->exposed;
            launches += share * op->count * op->each.launches;
        }
        slowest = fmax(slowest, time + host_gap(plan, time, launches, captured));
    }
    return slowest;
}

static void sum_up(const struct plan *plan, const struct step *step, struct step_cost *cost)
{
    double device = 0, energy = 0, flops = 0, bytes = 0, launches = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        device += op->exposed;
        energy += op->count * op->each.energy;
        flops += op->count * op->each.flops;
        launches += op->count * op->each.launches;
        for (int b = 0; b < BYTES_WIRE; b++)
            bytes += op->count * op->each.bytes[b];
    }
    bool decode = true;
    for (int i = 0; i < step->count; i++)
        decode &= segment_regime(&step->segments[i]) == REGIME_DECODE;
    bool captured = decode ? plan->software->graph_capture : plan->software->graph_capture_prefill;
    cost->regime = decode ? REGIME_DECODE : REGIME_PREFILL;
    cost->device_time = device;
    cost->energy = energy;
    cost->flops = flops;
    cost->bytes = bytes;
    cost->launches = launches;
    cost->host_gap = host_gap(plan, device, launches, captured);
    cost->time = cost->device_time + cost->host_gap;
    cost->stage_time = plan->parallel.pp > 1 ? slowest_stage(plan, cost, captured) : cost->time;
}

/* The first layer that any segment passes: an encoder's are behind a decode step. */
static int first_layer(const struct step *step)
{
    int first = step->count > 0 ? step->segments[0].layer_first : 0;
    for (int i = 1; i < step->count; i++)
        if (step->segments[i].layer_first < first)
            first = step->segments[i].layer_first;
    return first;
}

void plan_step(const struct plan *plan, const struct step *step, bool only_context, struct step_cost *cost)
{
    struct slice slice;
    int layers = plan->model->layers;
    slice_fill(&slice, step, first_layer(step), layers);
    only_context = only_context && slice.last == layers;
    if (!only_context)
        memset(cost->ops, 0, (size_t)plan->graph.op_count * sizeof *cost->ops);
    cost_slice(plan, &slice, only_context, cost);
    while (slice.last < layers) {
        slice_fill(&slice, step, slice.last, layers);
        if (slice.count > 0)
            cost_slice(plan, &slice, false, cost);
    }
    expose(plan, cost);
    sum_up(plan, step, cost);
}
