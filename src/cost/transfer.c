/* Transfers to the next pipeline stage: t = t0 + latency + bytes / (beta * rate). Stages are placed node by
 * node, so when a deployment fits one node its stages talk over the scale-up link, else the slowest pair,
 * which all wait for, is across the network.
 *
 * Transfers between the first member and another one's memory (or a further tier of its own) go over the
 * system's link between the two at the slower of the link and what the far memory gives one rank:
 *   t = t0 + latency + bytes / (beta * rate) [+ n * latency of the memory / queue]
 * The last term is of reads at random places: n requests, `queue` of which wait at a time; each moves whole
 * grains. On M1 Max, 10 requests under way in 100 us each: 1.2 GB/s in pieces of 16 KiB, 2.1 in 32 KiB; 1.25
 * and 2.25 were measured (arXiv:2312.11514). */
#include "cost/prepared.h"

#include <math.h>

static bool prepare_stage(struct prepared_op *prepared, struct diag *diag, const struct graph *graph)
{
    const struct target *target = prepared->target;
    struct transfer_cost *transfer = &prepared->transfer;
    const struct parallelism *parallel = &graph->parallel;
    double ranks = (double)parallel->tp * parallel->pp * (parallel->dp > 0 ? parallel->dp : 1);
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    transfer->network = !target->scale_up || (target->ranks_per_node > 0 && ranks > target->ranks_per_node);
    const struct link *link = transfer->network ? target->network : target->scale_up;
    if (!link || !(link->bandwidth > 0))
        return diag_error(diag, NOWHERE, "%s: no link joins %g devices of %s", prepared->op->name, ranks,
                          target->device->id);
    double part = link->topology == TOPOLOGY_DIRECT && link->peers > 0 ? 1.0 / link->peers : 1;
    transfer->row_bytes = prepared->op->transfer.bytes_per_row;
    transfer->rate = link->bandwidth * part;
    transfer->beta = target->ideal ? 1 : efficiency(scalars[LINK_BETA]);
    if (!target->ideal)
        transfer->fixed =
            greater(scalars[LINK_T0], 0) + greater(link->latency, 0) + greater(scalars[LINK_ALPHA], 0);
    return true;
}

/* Links of the way, one or two: a drive behind the host has none to the first member itself. */
static bool find_way(const struct system *system, int member, const struct link *way[2])
{
    const char *from = system->members[0].role, *to = system->members[member].role;
    way[0] = system_link_between(system, from, to);
    way[1] = NULL;
    for (size_t i = 1; i < system->member_count && !way[0]; i++) {
        const char *between = system->members[i].role;
        way[0] = system_link_between(system, from, between);
        way[1] = way[0] ? system_link_between(system, between, to) : NULL;
        if (!way[1])
            way[0] = NULL;
    }
    return way[0] != NULL;
}

static bool prepare_far(struct prepared_op *prepared, struct diag *diag)
{
    const struct target *target = prepared->target;
    const struct transfer_work *work = &prepared->op->transfer;
    const struct system *system = target->system;
    const struct memory_tier *tier =
        work->tier >= 0 ? &target->device->tiers[work->tier] : device_memory(target->device);
    struct transfer_cost *transfer = &prepared->transfer;
    const struct link *way[2] = {NULL, NULL};
    if (target->member > 0 && !find_way(system, target->member, way))
        return diag_error(diag, NOWHERE, "%s: no link of %s joins %s and %s", prepared->op->name, system->id,
                          system->members[0].role, system->members[target->member].role);
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    double memory = work->writes && tier->write_bandwidth > 0 ? tier->write_bandwidth : tier->bandwidth;
    transfer->memory_rate = memory / target->ranks_each;
    transfer->rate = transfer->memory_rate;
    for (int i = 0; i < 2 && way[i]; i++) {
        transfer->rate = lesser(transfer->rate, way[i]->bandwidth);
        transfer->fixed += target->ideal ? 0 : greater(way[i]->latency, 0);
    }
    transfer->network = way[0] && way[0]->kind == LINK_NETWORK;
    transfer->beta = target->ideal ? 1 : efficiency(scalars[LINK_BETA]);
    if (work->bandwidth > 0)
        transfer->beta = lesser(work->bandwidth / transfer->rate, 1);
    if (!target->ideal)
        transfer->fixed += greater(scalars[LINK_T0], 0) + greater(tier->latency, 0);
    transfer->granularity = greater(tier->granularity, 1);
    transfer->request_s = greater(tier->latency, 0) / greater(work->queue, 1);
    return true;
}

bool transfer_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph)
{
    prepared->family = FAMILY_TRANSFER;
    return prepared->op->transfer.far ? prepare_far(prepared, diag) : prepare_stage(prepared, diag, graph);
}

static double far_bytes(const struct transfer_work *work, double rows)
{
    double share =
        work->share_a_row > 0 && work->share_a_row < 1 ? -expm1(rows * log1p(-work->share_a_row)) : 1;
    return rows * work->bytes_per_row + work->fixed_bytes * share;
}

static void cost_far(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct transfer_cost *transfer = &prepared->transfer;
    const struct transfer_work *work = &prepared->op->transfer;
    double bytes = far_bytes(work, rows), moved = bytes, requests = 0;
    if (!(bytes > 0))
        return;
    if (work->request_bytes > 0) {
        requests = bytes / work->request_bytes;
        moved = requests * ceil(work->request_bytes / transfer->granularity - 1e-9) * transfer->granularity;
    }
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = bytes;
    cost->floor[RESOURCE_LINK] = moved / transfer->rate;
    cost->use[RESOURCE_LINK] = cost->floor[RESOURCE_LINK] / transfer->beta + requests * transfer->request_s;
    /* what the far memory moves for all ranks is time that its device's own operators do not have */
    if (prepared->target->member > 0)
        cost->use[RESOURCE_MEMORY] = cost->floor[RESOURCE_MEMORY] = moved / transfer->memory_rate;
    cost_finish(prepared->target, FORMAT_NONE, transfer->fixed, cost);
}

void transfer_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct transfer_cost *transfer = &prepared->transfer;
    if (prepared->op->transfer.far) {
        cost_far(prepared, rows, cost);
        return;
    }
    double bytes = rows * transfer->row_bytes;
    enum resource resource = transfer->network ? RESOURCE_NETWORK : RESOURCE_LINK;
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = bytes;
    cost->floor[resource] = bytes / transfer->rate;
    cost->use[resource] = cost->floor[resource] / transfer->beta;
    cost_finish(prepared->target, FORMAT_NONE, transfer->fixed, cost);
}
