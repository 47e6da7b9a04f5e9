/* Collectives. Among p ranks that each hold B bytes a rank sends, in so many steps,
 *   all-reduce      ring       2 (p-1)/p B   2 (p-1)      tree  2 B in 2 log2 p (between nodes)
 *                   in-switch  (1 + 1/p) B                (the switch sums: send all, receive the sum)
 *   reduce-scatter  ring       (p-1)/p B     p-1
 *   all-gather      ring       (p-1) B       p-1
 *   all-to-all                 (p-1)/p B     1            (p-1 where not all are linked)
 * (Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH", 2005.)
 *
 * On GPUs the library (NCCL, and RCCL after it) moves them by one of three protocols; W is what a rank
 * sends, s the steps, M the whole message, L the link's rate, block = W/s:
 *   flagged   t0 + s (alpha + fill min(1, block / 8 KiB)) + passes M / (flagged L)
 *   flag128   t0 + start/2 + s (alpha + hop)/2 + (W + block/2) / (120/128 beta L)
 *   bulk      t0 + start + s hop + (W + block/2) / (beta L)
 *   in-switch t0 + start + 14 hop + W / (in_switch L)
 * flagged: each 4 bytes carry a 4-byte flag, so that nobody waits for memory fences: at most half of L.
 * passes is 2 for all-reduce, else 1. Up to 8 KiB of a block go through one channel, above it more
 * channels share it. flag128: a flag per 120 bytes; NCCL's own table puts its latencies half-way between
 * the two others. block/2: a ring has one more block to copy into place than to send, at about twice the
 * sending rate. in-switch: NCCL's table gives it 48 us, as long as 14 of its hops. All-to-all is p-1 sends
 * side by side: flagged up to 16 KiB a pair, above it in bulk with t0 + alpha + hop + start M/(M + 4 MiB),
 * 4 MiB being the buffer that a message must fill before it waits.
 *
 * Which protocol runs is the library's choice, made with constants of its own (latencies by kind of link,
 * 0.3 of a link's rate flagged, 0.8 in bulk: src/graph/tuning.cc of github.com/NVIDIA/nccl) and not always
 * the best one: where it goes from flagged to bulk times jump. As bytes grow it only moves from flagged to
 * flag128 to bulk, and a protocol is never charged more than those after it, so that time stays monotone.
 *
 * Elsewhere (TPUs, CPUs): t0 + s alpha + W / (beta L), the faster of ring and tree.
 *
 * Engines bring all-reduce kernels of their own for up to 8 ranks of a node and messages below 8 MiB
 * (vLLM's csrc/custom_all_reduce.cuh; SGLang's and TensorRT-LLM's are alike): a rank reads all peers' data
 * and sums ((p-1) B, one stage) or sums its part and reads the others' sums (2 (p-1)/p B, two stages). One
 * stage for two ranks, below 512 KiB for up to 4, below 256 KiB for up to 8. t = t0 + signal (p-1) [+
 * stage] + W / (beta L). The library's collective is taken where it is faster.
 *
 * rate: a switch gives any pair the device's full rate. Direct links give 1/peers of it to each peer, so p
 * ranks can use (p-1)/peers of it. On rings and tori each all-to-all byte crosses several links: p/4 on
 * average on a ring with both directions, sqrt(p)/2 on a square torus. Several nodes of q ranks: all-
 * reduce is a reduce-scatter inside, an all-reduce of B/q across, an all-gather inside; the others
 * likewise, the parts one after the other (all-to-all: side by side, the halves touch different links). */
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum { PEER_RANKS_MOST = 8, IN_SWITCH_HOPS = 14 };

#define CHANNEL_BYTES     8192.0              /* of a block that one low-latency channel carries */
#define PAIR_FLAGGED_MOST 16384.0             /* bytes to one peer of an all-to-all (NCCL_P2P_LL_THRESHOLD) */
#define BUFFER_BYTES      (4.0 * 1024 * 1024) /* NCCL_BUFFSIZE */
#define PEER_BYTES_MOST   (8.0 * 1024 * 1024) /* vLLM's max_size */
#define ONE_STAGE_4       (512.0 * 1024)
#define ONE_STAGE_8       (256.0 * 1024)
#define FLAG128_SHARE     (120.0 / 128)

/* The library's own beliefs: latency of the first step by protocol, shares of the link's rate. */
static const double flag_base = 6.6e-6, flag128_base = 14e-6, bulk_base = 8.4e-6, bulk_share = 0.8;

/* What a rank sends and how long it takes. */
struct exchange {
    double bytes;
    double load;    /* bytes on its link, forwarding for others included */
    double busy_s;  /* of the link */
    double steps_s; /* latencies */
    double start_s; /* of the protocol */
};

static double exchange_time(const struct exchange *e)
{
    return e->busy_s + e->steps_s + e->start_s;
}

static struct exchange faster(struct exchange a, struct exchange b)
{
    return exchange_time(&b) < exchange_time(&a) ? b : a;
}

/* A ring of `steps` blocks; message: all that passes a rank, as the flagged protocol counts. */
static struct exchange ring_flagged(const struct link_level *level, double bytes, double message,
                                    double steps)
{
    double filled = lesser(bytes / steps * (1 / CHANNEL_BYTES), 1);
    double taken = level->tree ? lesser(steps, 2 * ceil(log2(level->ranks))) : steps;
    return (struct exchange){.bytes = bytes,
                             .load = bytes,
                             .busy_s = message / level->flagged_reached,
                             .steps_s = taken * (level->alpha + level->fill * filled)};
}

static struct exchange ring_bulk(const struct link_level *level, double bytes, double steps)
{
    return (struct exchange){.bytes = bytes,
                             .load = bytes,
                             .busy_s = bytes * (1 + level->copied / steps) / level->reached,
                             .steps_s = steps * level->hop,
                             .start_s = level->start};
}

static struct exchange ring_flag128(const struct link_level *level, double bytes, double steps)
{
    struct exchange e = ring_bulk(level, bytes, steps);
    e.busy_s /= FLAG128_SHARE;
    e.steps_s = 0.5 * steps * (level->alpha + level->hop);
    e.start_s *= 0.5;
    return e;
}

/* The protocol that the library picks, or one of those it picks for more bytes when that is cheaper. */
static struct exchange ring(const struct link_level *level, double bytes, double message, double steps)
{
    struct exchange best = ring_bulk(level, bytes, steps);
    if (!level->protocols)
        return best;
    double sending = bytes / level->rate;
    double flag = flag_base + steps * level->flag_lat + sending / level->flag_share;
    double flag128 = flag128_base + steps * level->flag128_lat + sending / (FLAG128_SHARE * bulk_share);
    double bulk = bulk_base + steps * level->bulk_lat + sending / bulk_share;
    bool flag128_before = level->flag128 && flag128 < bulk;
    if (level->flag128 && (flag128_before || flag < bulk))
        best = faster(best, ring_flag128(level, bytes, steps));
    if (flag < bulk && !(flag128_before && flag128 < flag))
        best = faster(best, ring_flagged(level, bytes, message, steps));
    return best;
}

static struct exchange all_reduce(const struct link_level *level, double bytes, bool narrow)
{
    double p = level->ranks;
    if (p <= 1)
        return (struct exchange){0};
    struct exchange best = ring(level, 2 * (p - 1) / p * bytes, 2 * bytes, 2 * (p - 1));
    if (level->tree || (level->all_linked && !level->protocols)) {
        struct exchange tree = {.bytes = 2 * bytes,
                                .load = 2 * bytes,
                                .busy_s = 2 * bytes / level->reached,
                                .steps_s = 2 * ceil(log2(p)) * level->hop,
                                .start_s = level->start};
        best = faster(best, tree);
    }
    if (level->reduces && !narrow) {
        double sent = (1 + 1 / p) * bytes;
        struct exchange summed = {.bytes = sent,
                                  .load = sent,
                                  .busy_s = sent / level->switch_reached,
                                  .steps_s = (level->protocols ? IN_SWITCH_HOPS : 2) * level->hop,
                                  .start_s = level->start};
        best = faster(best, summed);
    }
    return best;
}

/* What the caller asks for in place of the library's choice. The hub of a star takes p - 1 messages and sends
 * as many, in two steps. */
static struct exchange all_reduce_along(const struct link_level *level, enum reduction_shape shape,
                                        double bytes, bool narrow)
{
    double p = level->ranks;
    if (shape == SHAPE_LIBRARY || p <= 1 || (shape == SHAPE_SWITCH && !level->reduces))
        return all_reduce(level, bytes, narrow);
    if (shape == SHAPE_RING)
        return ring(level, 2 * (p - 1) / p * bytes, 2 * bytes, 2 * (p - 1));
    if (shape == SHAPE_SWITCH) {
        double sent = (1 + 1 / p) * bytes; /* a barrier before and behind */
        return (struct exchange){
            .bytes = sent, .load = sent, .busy_s = sent / level->switch_reached, .steps_s = 2 * level->alpha};
    }
    bool star = shape == SHAPE_STAR;
    double sent = star ? (p - 1) * bytes : 2 * bytes, load = star ? 2 * sent : sent;
    return (struct exchange){.bytes = sent,
                             .load = load,
                             .busy_s = load / level->reached,
                             .steps_s = (star ? 2 : 2 * ceil(log2(p))) * level->hop,
                             .start_s = level->start};
}

static struct exchange reduce_scatter(const struct link_level *level, double bytes)
{
    double p = level->ranks;
    return p <= 1 ? (struct exchange){0} : ring(level, (p - 1) / p * bytes, bytes, p - 1);
}

static struct exchange all_gather(const struct link_level *level, double shard)
{
    double p = level->ranks;
    return p <= 1 ? (struct exchange){0} : ring(level, (p - 1) * shard, p * shard, p - 1);
}

/* leaving: bytes for other ranks. */
static struct exchange all_to_all(const struct link_level *level, double leaving)
{
    double p = level->ranks;
    if (p <= 1)
        return (struct exchange){0};
    double pair = leaving / (p - 1), whole = leaving + pair, load = leaving * level->hops;
    double steps = level->all_linked ? 1 : p - 1;
    struct exchange e = {.bytes = leaving,
                         .load = load,
                         .busy_s = (load + level->copied * pair) / level->reached,
                         .steps_s = level->alpha + (steps - 1) * level->hop};
    if (!level->protocols)
        return e;
    struct exchange flagged = e;
    e.steps_s += level->hop;
    e.start_s = level->start * (whole / (whole + BUFFER_BYTES));
    flagged.busy_s = (load + pair) / level->flagged_reached;
    flagged.steps_s += level->fill * lesser(pair * (1 / CHANNEL_BYTES), 1);
    return pair <= PAIR_FLAGGED_MOST ? faster(e, flagged) : e;
}

/* The library's constants by kind of link: NVLink, PCIe, network. Fewer than half of a network's bytes may be
 * flags: its flagged rate is the host's processor's. */
static void set_choice(struct link_level *level, const struct link *link)
{
    static const double nvlink[] = {0.6e-6, 1.9e-6, 3.4e-6, 0.3};
    static const double pcie[] = {1e-6, 2.5e-6, 5.7e-6, 0.4};
    static const double network[] = {2.7e-6, 4e-6, 14e-6, 0.1};
    const double *choice = link->kind == LINK_NETWORK       ? network
                           : link->topology == TOPOLOGY_BUS ? pcie
                                                            : nvlink;
    level->flag_lat = choice[0];
    level->flag128_lat = choice[1];
    level->bulk_lat = choice[2];
    level->flag_share = choice[3];
    level->flag128 = choice != pcie;
    level->tree = link->kind == LINK_NETWORK;
}

static void set_rates(struct link_level *level, const struct target *target, const double *scalars,
                      double latency, double links)
{
    bool ideal = target->ideal;
    level->protocols = !ideal && target->device->class == CLASS_GPU;
    level->reached = level->rate * (ideal ? 1 : efficiency(scalars[LINK_BETA]));
    level->flagged_reached = level->rate * lesser(efficiency(scalars[LINK_FLAGGED]), 0.5);
    level->switch_reached = level->rate * (ideal ? 1 : efficiency(scalars[LINK_IN_SWITCH]));
    if (ideal)
        return;
    double wire = greater(latency, 0) * greater(links, 1);
    level->alpha = wire + greater(scalars[LINK_ALPHA], 0);
    level->hop = level->protocols ? wire + greater(scalars[LINK_HOP], 0) : level->alpha;
    level->fill = greater(scalars[LINK_FILL], 0);
    level->start = level->protocols ? greater(scalars[LINK_START], 0) : 0;
    level->copied = level->protocols ? 0.5 : 0;
}

static bool level_set(struct link_level *level, const struct prepared_op *prepared, const struct link *link,
                      double ranks)
{
    const struct target *target = prepared->target;
    double scalars[SCALARS_MOST];
    target_scalars(target, FAMILY_COLLECTIVE, FORMAT_NONE, OPERAND_ANY, scalars);
    *level = (struct link_level){.ranks = ranks, .rate = 1, .reached = 1, .hops = 1};
    if (ranks <= 1)
        return true;
    if (!link || !(link->bandwidth > 0))
        return false;
    level->rate = link->bandwidth;
    bool along = link->topology == TOPOLOGY_RING, torus = link->topology == TOPOLOGY_TORUS;
    level->all_linked = !along && !torus;
    if (link->topology == TOPOLOGY_DIRECT && link->peers > 0)
        level->rate *= lesser((ranks - 1) / link->peers, 1);
    if (along)
        level->hops = greater(ranks / 4, 1);
    if (torus)
        level->hops = greater(sqrt(ranks) / 2, 1);
    level->reduces = link->reduces && link->topology == TOPOLOGY_SWITCH;
    set_choice(level, link);
    set_rates(level, target, scalars, link->latency, prepared->op->collective.path_links);
    level->tree = level->tree && level->protocols;
    return true;
}

/* vLLM's and TensorRT-LLM's kernels need peer access among all ranks: two at most across a PCIe bus. */
static void set_peer_kernel(struct peer_kernel *peer, const struct prepared_op *prepared,
                            const struct link_level *level, double nodes)
{
    const struct target *target = prepared->target;
    const struct link *link = target->scale_up;
    *peer = (struct peer_kernel){.ranks = level->ranks, .rate = level->rate};
    double ranks_most = link && link->topology == TOPOLOGY_BUS ? 2 : PEER_RANKS_MOST;
    peer->offered = prepared->op->collective.kind == COLLECTIVE_ALL_REDUCE && nodes <= 1 &&
                    level->ranks > 1 && level->all_linked && target->software->custom_all_reduce &&
                    prepared->op->collective.shape == SHAPE_LIBRARY && level->ranks <= ranks_most;
    if (!peer->offered)
        return;
    double scalars[SCALARS_MOST];
    target_scalars(target, FAMILY_ALL_REDUCE_KERNEL, FORMAT_NONE, OPERAND_ANY, scalars);
    peer->reached = level->rate * (target->ideal ? 1 : efficiency(scalars[PEER_BETA]));
    if (target->ideal)
        return;
    double wire = greater(link->latency, 0);
    peer->fixed = wire + greater(scalars[PEER_T0], 0) + (level->ranks - 1) * greater(scalars[PEER_SIGNAL], 0);
    peer->stage = wire + greater(scalars[PEER_STAGE], 0);
}

bool collective_prepare(struct prepared_op *prepared, struct diag *diag)
{
    const struct target *target = prepared->target;
    const struct collective_work *work = &prepared->op->collective;
    struct collective_cost *collective = &prepared->collective;
    double node = target->ranks_per_node > 0 ? (double)target->ranks_per_node : work->ranks;
    double inside = lesser(work->ranks, node), nodes = ceil(work->ranks / inside);
    collective->kind = work->kind;
    collective->shape = work->shape;
    collective->narrow = work->narrow;
    collective->row_bytes = work->bytes_per_row;
    double scalars[SCALARS_MOST];
    target_scalars(target, FAMILY_COLLECTIVE, FORMAT_NONE, OPERAND_ANY, scalars);
    collective->fixed = target->ideal ? 0 : greater(scalars[LINK_T0], 0);
    if (!level_set(&collective->inside, prepared, target->scale_up, inside) ||
        !level_set(&collective->across, prepared, target->network, nodes))
        return diag_error(diag, NOWHERE, "%s: no link joins %g devices of %s", prepared->op->name,
                          work->ranks, target->device->id);
    if (work->shape == SHAPE_SWITCH && nodes <= 1 && !collective->inside.reduces)
        return diag_error(diag, NOWHERE, "%s: the switch between devices of %s does not sum",
                          prepared->op->name, target->device->id);
    set_peer_kernel(&collective->peer, prepared, &collective->inside, nodes);
    prepared->family = collective->peer.offered ? FAMILY_ALL_REDUCE_KERNEL : FAMILY_COLLECTIVE;
    return true;
}

/* Parts inside the node (one or two) and across nodes. */
struct phases {
    struct exchange inside, inside_after, across;
    double fixed;
};

/* One stage where the kernels' own rule says so and it is faster, so that time stays monotone. */
static struct exchange peer_reduce(const struct peer_kernel *peer, double bytes)
{
    double p = peer->ranks, one = (p - 1) * bytes, two = 2 * (p - 1) / p * bytes;
    struct exchange single = {.bytes = one, .load = one, .busy_s = one / peer->reached};
    struct exchange both = {.bytes = two, .load = two, .busy_s = two / peer->reached, .steps_s = peer->stage};
    if (p <= 2)
        return single;
    bool one_stage = bytes < (p <= 4 ? ONE_STAGE_4 : ONE_STAGE_8);
    return one_stage ? faster(both, single) : both;
}

static void reduce_in_node(const struct collective_cost *collective, double bytes, struct phases *phases)
{
    phases->inside = all_reduce_along(&collective->inside, collective->shape, bytes, collective->narrow);
    if (!collective->peer.offered || bytes >= PEER_BYTES_MOST)
        return;
    struct exchange kernel = peer_reduce(&collective->peer, bytes);
    if (collective->peer.fixed + exchange_time(&kernel) >= phases->fixed + exchange_time(&phases->inside))
        return;
    phases->inside = kernel;
    phases->fixed = collective->peer.fixed;
}

static struct phases run_phases(const struct collective_cost *collective, double bytes)
{
    const struct link_level *inside = &collective->inside, *across = &collective->across;
    double q = inside->ranks, nodes = across->ranks, p = q * nodes;
    struct phases phases;
    memset(&phases, 0, sizeof phases);
    phases.fixed = collective->fixed;
    switch (collective->kind) {
    case COLLECTIVE_ALL_REDUCE:
        if (nodes <= 1) {
            reduce_in_node(collective, bytes, &phases);
            break;
        }
        phases.inside = reduce_scatter(inside, bytes);
        phases.across = all_reduce_along(across, collective->shape, bytes / q, collective->narrow);
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
    const struct exchange *first = &phases.inside, *after = &phases.inside_after, *between = &phases.across;
    cost->launches = 1;
    cost->bytes[BYTES_WIRE] = first->bytes + after->bytes + between->bytes;
    cost->floor[RESOURCE_LINK] = (first->load + after->load) / inside->rate;
    cost->floor[RESOURCE_NETWORK] = between->load / across->rate;
    cost->use[RESOURCE_LINK] = first->busy_s + after->busy_s;
    cost->use[RESOURCE_NETWORK] = between->busy_s;
    double steps = first->steps_s + after->steps_s + between->steps_s;
    double start = first->start_s + after->start_s + between->start_s;
    double shorter = lesser(cost->use[RESOURCE_LINK], cost->use[RESOURCE_NETWORK]);
    double waits = collective->kind == COLLECTIVE_ALL_TO_ALL ? 0 : shorter; /* phases in turn */
    double fixed = phases.fixed + steps + start;
    finish_with_overhead(prepared->target, FORMAT_NONE, fixed + waits, fixed, cost);
}
