/* Collectives: alpha-beta models, the fastest of the algorithms a topology and a stack offer. Among p ranks
 * that each hold B bytes, sent by a rank / steps: all-reduce  ring      2 (p-1)/p B / 2 (p-1)      tree 2 B /
 * 2 log2 p one-shot  (p-1) B     / 1            two-shot  2 (p-1)/p B / 2      (peers written directly)
 *               in-switch (1 + 1/p) B / 2            (the switch sums: send all, receive the sum)
 *   reduce-scatter (p-1)/p B / p-1;  all-gather (p-1) B / p-1;  all-to-all (p-1)/p B / 1 (p-1 where not all
 * linked) (Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH",
 * 2005, for ring and tree.) t = t0 + bytes / (beta rate) + steps * alpha, alpha = the link's latency + the
 * calibrated step.
 *
 * rate: a switch gives any pair the device's full rate. Direct links give 1/peers of it to each peer, so p
 * ranks can use (p-1)/peers of it. On rings and tori each all-to-all byte crosses several links: p/4 on
 * average on a ring with both directions, sqrt(p)/2 on a square torus. Several nodes of q ranks: all-reduce
 * is a reduce-scatter inside, an all-reduce of B/q across, an all-gather inside; the others likewise, the
 * parts one after the other (all-to-all: side by side, the halves touch different links). The local reads and
 * writes of the messages are left out: memory is an order of magnitude faster than any link. */
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum { CUSTOM_RANKS_MOST = 8 };

/* What a rank sends and how long it takes. */
struct exchange {
    double bytes;
    double load; /* bytes on its link, forwarding for others included */
    double steps_s;
    double seconds;
};

static struct exchange exchange(const struct link_level *level, double bytes, double hops, double steps)
{
    struct exchange e = {.bytes = bytes, .load = bytes * hops, .steps_s = steps * level->alpha};
    e.seconds = e.load / (level->beta * level->rate) + e.steps_s;
    return e;
}

static struct exchange faster(struct exchange a, struct exchange b)
{
    return b.seconds < a.seconds ? b : a;
}

static struct exchange all_reduce(const struct link_level *level, double bytes)
{
    double p = level->ranks, share = (p - 1) / p;
    if (p <= 1)
        return (struct exchange){0};
    struct exchange best = exchange(level, 2 * share * bytes, 1, 2 * (p - 1));
    if (level->all_linked)
        best = faster(best, exchange(level, 2 * bytes, 1, 2 * ceil(log2(p))));
    if (level->direct_store) {
        best = faster(best, exchange(level, (p - 1) * bytes, 1, 1));
        best = faster(best, exchange(level, 2 * share * bytes, 1, 2));
    }
    if (level->reduces)
        best = faster(best, exchange(level, (1 + 1 / p) * bytes, 1, 2));
    return best;
}

static struct exchange reduce_scatter(const struct link_level *level, double bytes)
{
    double p = level->ranks;
    return p <= 1 ? (struct exchange){0} : exchange(level, (p - 1) / p * bytes, 1, p - 1);
}

static struct exchange all_gather(const struct link_level *level, double shard)
{
    double p = level->ranks;
    return p <= 1 ? (struct exchange){0} : exchange(level, (p - 1) * shard, 1, p - 1);
}

static struct exchange all_to_all(const struct link_level *level, double leaving)
{
    double p = level->ranks;
    return p <= 1 ? (struct exchange){0}
                  : exchange(level, leaving, level->hops, level->all_linked ? 1 : p - 1);
}

static bool level_set(struct link_level *level, const struct prepared_op *prepared, const struct link *link,
                      double ranks)
{
    const struct target *target = prepared->target;
    const double *scalars = prepared_scalars(prepared);
    *level = (struct link_level){.ranks = ranks, .rate = 1, .beta = 1, .hops = 1};
    if (ranks <= 1)
        return true;
    if (!link || !(link->bandwidth > 0))
        return false;
    level->rate = link->bandwidth;
    level->beta = target->ideal ? 1 : efficiency(scalars[LINK_BETA]);
    level->alpha = target->ideal ? 0 : greater(link->latency, 0) + greater(scalars[LINK_ALPHA], 0);
    bool ring = link->topology == TOPOLOGY_RING, torus = link->topology == TOPOLOGY_TORUS;
    level->all_linked = !ring && !torus;
    if (link->topology == TOPOLOGY_DIRECT && link->peers > 0)
        level->rate *= lesser((ranks - 1) / link->peers, 1);
    if (ring)
        level->hops = greater(ranks / 4, 1);
    if (torus)
        level->hops = greater(sqrt(ranks) / 2, 1);
    level->reduces = link->reduces && link->topology == TOPOLOGY_SWITCH;
    /* vLLM's and TensorRT-LLM's kernels need peer access among all ranks: two at most across a PCIe bus */
    double ranks_most = link->topology == TOPOLOGY_BUS ? 2 : CUSTOM_RANKS_MOST;
    level->direct_store = level->all_linked && target->software->custom_all_reduce && ranks <= ranks_most;
    return true;
}

bool collective_prepare(struct prepared_op *prepared, struct diag *diag)
{
    const struct target *target = prepared->target;
    const struct collective_work *work = &prepared->op->collective;
    struct collective_cost *collective = &prepared->collective;
    prepared->family = FAMILY_COLLECTIVE;
    double node = target->ranks_per_node > 0 ? (double)target->ranks_per_node : work->ranks;
    double inside = lesser(work->ranks, node), nodes = ceil(work->ranks / inside);
    collective->kind = work->kind;
    collective->row_bytes = work->bytes_per_row;
    collective->fixed = target->ideal ? 0 : greater(prepared_scalars(prepared)[LINK_T0], 0);
    if (!level_set(&collective->inside, prepared, target->scale_up, inside) ||
        !level_set(&collective->across, prepared, target->network, nodes))
        return diag_error(diag, NOWHERE, "%s: no link joins %g devices of %s", prepared->op->name,
                          work->ranks, target->device->id);
    collective->across.direct_store = false;
    return true;
}

/* Parts inside the node (one or two) and across nodes. */
struct phases {
    struct exchange inside, inside_after, across;
};

static struct phases run_phases(const struct collective_cost *collective, double bytes)
{
    const struct link_level *inside = &collective->inside, *across = &collective->across;
    double q = inside->ranks, nodes = across->ranks, p = q * nodes;
    struct phases phases;
    memset(&phases, 0, sizeof phases);
    switch (collective->kind) {
    case COLLECTIVE_ALL_REDUCE:
        if (nodes <= 1) {
            phases.inside = all_reduce(inside, bytes);
            break;
        }
        phases.inside = reduce_scatter(inside, bytes);
        phases.across = all_reduce(across, bytes / q);
        phases.inside_after = all_gather(inside, bytes / q);
        break;
    case COLLECTIVE_ALL_GATHER:
        phases.across = all_gather(across, bytes);
        phases.inside = all_gather(inside, bytes * nodes);
        break;
    case COLLECTIVE_REDUCE_SCATTER:
        phases.inside = reduce_scatter(inside, bytes);
        phases.across = reduce_scatter(across, bytes / q);
        break;
    case COLLECTIVE_ALL_TO_ALL:
        phases.inside = all_to_all(inside, bytes * (q - 1) / p);
        phases.across = all_to_all(across, bytes * (p - q) / p);
        break;
    }
    return phases;
}

void collective_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost)
{
    const struct collective_cost *collective = &prepared->collective;
    const struct link_level *inside = &collective->inside, *across = &collective->across;
    if (inside->ranks * across->ranks <= 1)
        return;
    struct phases phases = run_phases(collective, rows * collective->row_bytes);
    double inside_load = phases.inside.load + phases.inside_after.load;
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = phases.inside.bytes + phases.inside_after.bytes + phases.across.bytes;
    cost->floor[RESOURCE_LINK] = inside_load / inside->rate;
    cost->floor[RESOURCE_NETWORK] = phases.across.load / across->rate;
    cost->use[RESOURCE_LINK] = cost->floor[RESOURCE_LINK] / inside->beta;
    cost->use[RESOURCE_NETWORK] = cost->floor[RESOURCE_NETWORK] / across->beta;
    double steps = phases.inside.steps_s + phases.inside_after.steps_s + phases.across.steps_s;
    double shorter = lesser(cost->use[RESOURCE_LINK], cost->use[RESOURCE_NETWORK]);
    double waits = collective->kind == COLLECTIVE_ALL_TO_ALL ? 0 : shorter; /* phases in turn */
    double fixed = collective->fixed + steps;
    finish_with_overhead(prepared->target, FORMAT_NONE, fixed + waits, fixed, cost);
}
