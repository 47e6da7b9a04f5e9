/* Transfers to the next pipeline stage: t = t0 + latency + bytes / (beta * rate). Stages are placed node by
 * node, so when a deployment fits one node its stages talk over the scale-up link, else the slowest pair,
 * which all wait for, is across the network. */
#include "cost/prepared.h"

bool transfer_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph)
{
    const struct target *target = prepared->target;
    struct transfer_cost *transfer = &prepared->transfer;
    const struct parallelism *parallel = &graph->parallel;
    double ranks = (double)parallel->tp * parallel->pp * (parallel->dp > 0 ? parallel->dp : 1);
    prepared->family = FAMILY_TRANSFER;
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

void transfer_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct transfer_cost *transfer = &prepared->transfer;
    double bytes = rows * transfer->row_bytes;
    enum resource resource = transfer->network ? RESOURCE_NETWORK : RESOURCE_LINK;
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = bytes;
    cost->floor[resource] = bytes / transfer->rate;
    cost->use[resource] = cost->floor[resource] / transfer->beta;
    cost_finish(prepared->target, FORMAT_NONE, transfer->fixed, cost);
}
