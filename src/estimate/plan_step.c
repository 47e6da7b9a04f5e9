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

/* Layers from `first` on that have the same share of the tokens left. */
static int same_share_until(const struct plan *plan, int first)
{
    int last = first + 1;
    while (last < plan->model->layers && plan->layer_share[last] == plan->layer_share[first])
        last++;
    return last;
}

/* The segment as the layers from `first` on see it: without the tokens dropped before them, with those that
 * this step brings back. */
static void drop_tokens(const struct plan *plan, int first, struct segment *segment)
{
    double share = plan->layer_share[first], back = fmax(plan->revived_share - share, 0);
    segment->new_tokens += back * segment->revived_new - (1 - share) * segment->droppable_new;
    segment->context -= (1 - share - back * segment->revived) * segment->droppable_context;
    segment->prefix = segment->prefix < segment->context ? segment->prefix : segment->context;
}

/* Fills the slice that starts at layer `first`: as long as no segment begins, ends or loses tokens. */
static void slice_fill(const struct plan *plan, struct slice *slice, const struct step *step, int first)
{
    int layers = plan->model->layers;
    slice->first = first;
    slice->last = plan->layer_share ? same_share_until(plan, first) : layers;
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
        struct segment *here = &slice->segments[slice->count];
        *here = *segment;
        if (plan->layer_share)
            drop_tokens(plan, first, here);
        if (!(here->new_tokens > 0))
            continue;
        slice->count++;
        step_totals_add(&slice->totals[segment_regime(here)], here);
        step_totals_add(&slice->totals[REGIME_ANY], here);
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

static double step_tokens(const struct step *step)
{
    double tokens = 0;
    for (int i = 0; i < step->count; i++)
        tokens += step->segments[i].sequences * step->segments[i].new_tokens;
    return tokens;
}

static void share_totals(struct step_totals totals[REGIME_ANY + 1], int pieces)
{
    for (int i = 0; i <= REGIME_ANY; i++) {
        totals[i].sequences /= pieces;
        totals[i].tokens /= pieces;
        totals[i].sampled /= pieces;
        totals[i].context /= pieces;
        totals[i].pairs /= pieces;
        totals[i].source /= pieces;
    }
}

/* All pieces alike: each with its share of the rows. What works on whole sequences stays as it is. */
static double cost_pieces(const struct plan *plan, int index, const struct slice *slice, double tokens,
                          struct op_cost *each)
{
    const struct op *op = &plan->graph.ops[index];
    int pieces = tokens >= op->pieces_from ? op->pieces : 0;
    if (pieces <= 1) {
        cost_op(plan->prepared, index, slice->segments, slice->count, slice->totals, each);
        return 1;
    }
    struct step_totals totals[REGIME_ANY + 1];
    memcpy(totals, slice->totals, sizeof totals);
    share_totals(totals, pieces);
    cost_op(plan->prepared, index, slice->segments, slice->count, totals, each);
    return pieces;
}

static void cost_slice(const struct plan *plan, const struct slice *slice, bool only_context, double tokens,
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
        count *= cost_pieces(plan, i, slice, tokens, &each);
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

/* Where a group fetches, the fetches run beside the other ops, which follow each other. */
static bool group_fetches(const struct graph *graph, int group)
{
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].overlap_group == group && graph->ops[i].kind == OP_FETCH)
            return true;
    return false;
}

/* What runs in turn, by what binds it or by who works: see enum overlap_lanes. */
static int lane_of(const struct op *op, const struct op_cost *cost, enum overlap_lanes lanes, bool fetches)
{
    if (fetches && op->kind != OP_FETCH)
        return op->device * RESOURCE_COUNT + RESOURCE_COMPUTE;
    bool link = op->kind == OP_TRANSFER && op->transfer.far;
    if (lanes == LANES_RESOURCES)
        return op->device * RESOURCE_COUNT + (int)binding_resource(cost);
    if (link)
        return op->device * RESOURCE_COUNT + RESOURCE_LINK;
    return lanes == LANES_MEMBERS || op->kind == OP_HOST ? op->device * RESOURCE_COUNT : 0;
}

/* An overlap group cut into `chunks` pieces. Each op's time alone is charged to its lane, the resource of its
 * device that binds it: with one chunk they run in turn, with many only the busiest lane shows, t = max_r S_r
 * + (sum_r S_r - max_r S_r) / chunks, and no resource can be used for longer than the group lasts. Exposed
 * times share t as the times alone do. */
static void expose_group(const struct plan *plan, int group, struct step_cost *cost)
{
    const struct graph *graph = &plan->graph;
    bool fetches = group_fetches(graph, group);
    double charged[MEMBERS_MOST * RESOURCE_COUNT] = {0}, used[MEMBERS_MOST * RESOURCE_COUNT] = {0}, alone = 0;
    for (int i = 0; i < graph->op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        if (graph->ops[i].overlap_group != group || op->count == 0)
            continue;
        charged[lane_of(&graph->ops[i], &op->each, graph->overlap_lanes[group], fetches)] += op->time;
        alone += op->time;
        for (int r = 0; r < RESOURCE_COUNT; r++)
            used[graph->ops[i].device * RESOURCE_COUNT + r] += op->count * op->each.use[r];
    }
    double most = 0, busiest = 0;
    int lanes = (int)plan->system->member_count * RESOURCE_COUNT;
    for (int r = 0; r < lanes; r++) {
        most = fmax(most, charged[r]);
        busiest = fmax(busiest, used[r]);
    }
    int chunks = graph->overlap_chunks[group] > 1 ? graph->overlap_chunks[group] : 1;
    double time = fmin(alone, fmax(busiest, most + (alone - most) / chunks));
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].overlap_group == group)
            cost->ops[i].exposed = alone > 0 ? cost->ops[i].time * time / alone : 0;
}

static enum sharer sharer_of(const struct sharing *sharing, const struct op *op)
{
    enum sharer sharer = op->kind == OP_COLLECTIVE                                 ? SHARER_LINKS
                         : op->kind == OP_ATTENTION && op->regime == REGIME_DECODE ? SHARER_DECODES
                                                                                   : SHARER_REST;
    return sharing->of[sharer].given ? sharer : SHARER_REST;
}

/* A group whose operators share the device. While one with `share` of it works, for S / rate, the rest has 1
 * - share and so falls behind by share S / rate; before the first chunk and behind the last nothing is beside
 * it: t = max(rest + sum share S / rate, max S / rate, longest use of a resource) + (sum S) / chunks. */
static void expose_sharing(const struct graph *graph, int group, struct step_cost *cost)
{
    const struct sharing *sharing = &graph->sharing[group];
    double time[SHARER_COUNT] = {0}, used[RESOURCE_COUNT] = {0}, alone = 0, longest = 0, beside = 0;
    for (int i = 0; i < graph->op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        if (graph->ops[i].overlap_group != group || op->count == 0)
            continue;
        time[sharer_of(sharing, &graph->ops[i])] += op->time;
        alone += op->time;
        for (int r = 0; r < RESOURCE_COUNT; r++)
            used[r] += op->count * op->each.use[r];
    }
    for (int s = SHARER_REST + 1; s < SHARER_COUNT; s++) {
        if (!sharing->of[s].given)
            continue;
        double taken = time[s] / sharing->of[s].rate;
        time[SHARER_REST] += sharing->of[s].share * taken;
        longest = fmax(longest, taken);
        beside += time[s];
    }
    for (int r = 0; r < RESOURCE_COUNT; r++)
        longest = fmax(longest, used[r]);
    double together = fmax(time[SHARER_REST], longest) + beside / sharing->chunks;
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].overlap_group == group)
            cost->ops[i].exposed = alone > 0 ? cost->ops[i].time * fmin(together / alone, 1) : 0;
}

static void expose(const struct plan *plan, double tokens, struct step_cost *cost)
{
    const struct graph *graph = &plan->graph;
    unsigned groups = 0;
    for (int i = 0; i < graph->op_count; i++) {
        cost->ops[i].exposed = cost->ops[i].time;
        groups |= 1u << graph->ops[i].overlap_group;
    }
    for (int group = 1; group < OVERLAP_GROUPS_MOST; group++)
        if (groups & 1u << group)
            expose_group(plan, group, cost);
    for (int group = 1; group < OVERLAP_GROUPS_MOST; group++)
        if (graph->sharing[group].chunks > 1 && tokens >= graph->sharing[group].from_tokens)
            expose_sharing(graph, group, cost);
}

/* A spatial pipeline: each token passes all stages, one token a stage, whatever its operators would take of a
 * shared device. Decodes go round without a gap, so that a round has at least as many slots as stages; a
 * prompt's last token follows the others through. */
static void expose_stages(const struct plan *plan, const struct step *step, double tokens,
                          struct step_cost *cost)
{
    const struct device *device = plan->target.device;
    bool decode = true;
    double sum = 0;
    for (int i = 0; i < step->count; i++)
        decode &= segment_regime(&step->segments[i]) == REGIME_DECODE;
    for (int i = 0; i < plan->graph.op_count; i++)
        sum += cost->ops[i].exposed;
    double slots = decode ? fmax(tokens, device->stages) : tokens + device->stages - 1;
    for (int i = 0; i < plan->graph.op_count && sum > 0; i++)
        cost->ops[i].exposed *= slots * device->stage_time / sum;
}

/* What a step takes beyond its operators. The host launches eager kernels ahead of the device, so such a step
 * takes the longer of the two; between captured kernels the device itself pauses. The host's own work per
 * step and for each of its sequences comes between steps, or beside them where the software says so, and so
 * do the masks of constrained decoding. */
static double host_gap(const struct plan *plan, double device_time, double launches, double sequences,
                       bool captured)
{
    const struct software *software = plan->software;
    if (plan->target.ideal)
        return 0;
    double launch = software->launch_host > 0 ? software->launch_host : plan->target.device->launch_host;
    double launching = captured ? 0 : launches * launch;
    double pauses = captured ? launches * software->kernel_gap : 0;
    double device = device_time + pauses, work = plan->drafts ? 0 : software->host_per_step;
    work += plan->ranks > 1 && !plan->drafts ? software->host_per_step_parallel : 0;
    work += plan->drafts ? 0 : software->host_per_sequence * sequences;
    double masks = plan->drafts ? 0 : software->mask_per_sequence * sequences;
    double beside = fmax(launching, software->async_masks ? masks : 0);
    double between = software->async_masks ? 0 : masks;
    if (software->async_host)
        return pauses + fmax(0, fmax(beside, work) - device) + between;
    return pauses + fmax(0, beside - device) + work + between;
}

/* Of all the op's executions in a step, the share that the stage does. A stage receives what the one before
 * sends. */
static double share_of_stage(const struct plan *plan, const struct op *op, int stage)
{
    int stages = plan->parallel.pp;
    if (op->block != OUTSIDE_LAYERS)
        return (double)plan_stage_layers(plan, stage, op->block) / plan->model->block_layers[op->block];
    if (op->kind == OP_TRANSFER && !op->transfer.far)
        return stage > 0 ? 1.0 / (stages - 1) : 0;
    return op->on_first_stage ? stage == 0 : stage == stages - 1;
}

/* Nothing is launched ahead while the host itself works for an operator or waits for it. */
static bool host_waits(const struct op *op)
{
    return op->kind == OP_FETCH && op->fetch.waited_for;
}

static double slowest_stage(const struct plan *plan, const struct step_cost *cost, double sequences,
                            bool captured)
{
    double slowest = 0;
    for (int stage = 0; stage < plan->parallel.pp; stage++) {
        double time = 0, launches = 0, waits = 0;
        for (int i = 0; i < plan->graph.op_count; i++) {
            const struct step_op *op = &cost->ops[i];
            if (op->count == 0)
                continue;
            double share = share_of_stage(plan, &plan->graph.ops[i], stage);
            time += share * op->exposed;
            launches += share * op->count * op->each.launches;
            waits += host_waits(&plan->graph.ops[i]) ? share * op->exposed : 0;
        }
        slowest = fmax(slowest, time + host_gap(plan, time - waits, launches, sequences, captured));
    }
    return slowest;
}

static void sum_up(const struct plan *plan, const struct step *step, struct step_cost *cost)
{
    double device = 0, energy = 0, flops = 0, bytes = 0, launches = 0, waits = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct step_op *op = &cost->ops[i];
        device += op->exposed;
        waits += host_waits(&plan->graph.ops[i]) ? op->exposed : 0;
        energy += op->count * op->each.energy;
        flops += op->count * op->each.flops;
        launches += op->count * op->each.launches;
        for (int b = 0; b < BYTES_WIRE; b++)
            bytes += op->count * op->each.bytes[b];
    }
    double sequences = 0;
    bool decode = true;
    for (int i = 0; i < step->count; i++) {
        decode &= segment_regime(&step->segments[i]) == REGIME_DECODE;
        sequences += step->segments[i].sequences;
    }
    bool verifies = step->count > 0 && step->segments[0].mask == MASK_TREE; /* of one shape in each cycle */
    bool captured =
        decode || verifies ? plan->software->graph_capture : plan->software->graph_capture_prefill;
    cost->regime = decode ? REGIME_DECODE : REGIME_PREFILL;
    cost->device_time = device;
    cost->energy = energy;
    cost->flops = flops;
    cost->bytes = bytes;
    cost->launches = launches;
    cost->host_gap = host_gap(plan, device - waits, launches, sequences, captured);
    cost->time = cost->device_time + cost->host_gap;
    cost->stage_time = plan->parallel.pp > 1 ? slowest_stage(plan, cost, sequences, captured) : cost->time;
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
    double tokens = step_tokens(step);
    slice_fill(plan, &slice, step, first_layer(step));
    only_context = only_context && slice.last == layers;
    if (!only_context)
        memset(cost->ops, 0, (size_t)plan->graph.op_count * sizeof *cost->ops);
    cost_slice(plan, &slice, only_context, tokens, cost);
    while (slice.last < layers) {
        slice_fill(plan, &slice, step, slice.last);
        if (slice.count > 0)
            cost_slice(plan, &slice, false, tokens, cost);
    }
    expose(plan, tokens, cost);
    if (plan->target.device->stages > 0)
        expose_stages(plan, step, tokens, cost);
    sum_up(plan, step, cost);
}
