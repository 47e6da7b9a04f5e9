/* Routed experts in host memory or flash, a share of them cached on the device (MoE-Offloading
 * arXiv:2312.17238, EdgeMoE arXiv:2308.14352, HOBBIT arXiv:2411.01433, Fiddler arXiv:2402.07033). A layer
 * with E experts of b bytes of which a token takes k needs E (1 - (1 - k/E)^B) of them for B tokens; those
 * that the cache lacks are loaded, bytes = E (1 - (1 - k/E)^B) * (1 - hit) * b * mix,    mix = 1 - low_share
 * (1 - low_size) - skipped where some come as a smaller copy of size low_size or not at all. With
 * prefetching, a load is guessed right with probability `prefetch_accuracy` and then runs beside the layers
 * before; a wrong guess is paid for beside them too, and the right expert is loaded after it. Or the tier's
 * member computes what is missing. */
#include "mechanism/offload.h"
#include "mechanism/rewrites.h"

#include <stddef.h>
#include <string.h>

enum on_miss { MISS_LOAD, MISS_COMPUTE };

struct expert_offload_parameters {
    const char *tier;
    double cached;
    double hit_rate;
    double prefetch_accuracy;
    double low_share;
    double low_size;
    double skipped;
    int on_miss;
    struct reading reading;
};

static double hit_of(const struct expert_offload_parameters *p)
{
    return p->hit_rate > 0 ? p->hit_rate : p->cached;
}

/* Bytes of what a miss takes over those of an expert. */
static double mix_of(const struct expert_offload_parameters *p)
{
    return 1 - p->low_share * (1 - p->low_size) - p->skipped;
}

static bool is_expert_product(const struct op *op)
{
    return op->kind == OP_GEMM && op->gemm.experts > 0 && op->weights != BUFFER_NONE;
}

static double expert_bytes(const struct graph *graph, int block)
{
    double bytes = 0;
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].block == block && is_expert_product(&graph->ops[i]) &&
            graph->ops[i].regime & REGIME_DECODE)
            bytes += buffer_layer_bytes(&graph->buffers[graph->ops[i].weights]);
    return bytes;
}

static bool add_load(struct rewrite *rewrite, int at, const char *name, enum regime regime,
                     const struct place *place, const struct expert_offload_parameters *p, double bytes,
                     double chance)
{
    if (!(bytes > 0))
        return true;
    struct op *op = far_transfer(rewrite, at, name, regime, place, &p->reading);
    if (!op)
        return false;
    op->transfer.fixed_bytes = bytes;
    op->transfer.share_a_row = chance;
    return true;
}

/* What the cache lacks in a step of the regime. */
static bool add_loads(struct rewrite *rewrite, int at, enum regime regime, const struct place *place,
                      const struct expert_offload_parameters *p, double missing, double chance)
{
    double mix = mix_of(p);
    bool guesses = p->prefetch_accuracy > 0;
    double late = guesses ? missing * (1 - p->prefetch_accuracy) : missing;
    return add_load(rewrite, at, OP_NAME_EXPERT_LOAD, regime, place, p, late * mix, chance) &&
           (!guesses ||
            add_load(rewrite, at, OP_NAME_EXPERT_PREFETCH, regime, place, p, missing * mix, chance));
}

/* The products of missing experts go to the tier's member, with their tokens' activations. There they take
 * the time of reading weights, hence `mix` of it where some are smaller copies or left out. */
static bool compute_missing(struct rewrite *rewrite, int index, const struct place *place, double missing,
                            double mix)
{
    if (!op_copy(rewrite, index))
        return false;
    struct op *here = &rewrite->graph->ops[index], *there = here + 1;
    there->gemm.top_k *= missing * mix;
    here->gemm.top_k *= 1 - missing;
    there->device = place->device;
    double in = element_row_bytes(&there->gemm.a_type, there->gemm.k) * there->gemm.top_k;
    double out = element_row_bytes(&there->gemm.c_type, there->gemm.n) * there->gemm.top_k;
    bool first = strcmp(there->name, OP_NAME_MOE_GATE_UP) == 0;
    struct op *move = far_transfer(rewrite, first ? index + 1 : index + 2,
                                   first ? OP_NAME_OFFLOAD_SEND : OP_NAME_OFFLOAD_RECEIVE,
                                   rewrite->graph->ops[index].regime, place, NULL);
    if (!move)
        return false;
    move->block = rewrite->graph->ops[index].block;
    move->transfer.bytes_per_row = first ? in : out;
    return true;
}

static bool split_products(struct rewrite *rewrite, int block, const struct place *place,
                           const struct expert_offload_parameters *p)
{
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        const struct op *op = &rewrite->graph->ops[i];
        if (op->block != block || !is_expert_product(op) || op->device != 0)
            continue;
        int before = rewrite->graph->op_count;
        if (!compute_missing(rewrite, i, place, 1 - hit_of(p), mix_of(p)))
            return false;
        i += rewrite->graph->op_count - before;
    }
    return true;
}

static bool place_block(struct rewrite *rewrite, int block, const struct place *place,
                        const struct expert_offload_parameters *p)
{
    struct graph *graph = rewrite->graph;
    int at = -1;
    for (int i = graph->op_count - 1; i >= 0; i--)
        if (graph->ops[i].block == block && is_expert_product(&graph->ops[i])) {
            struct buffer *buffer = &graph->buffers[graph->ops[i].weights];
            at = i;
            if (buffer->away <= 0 &&
                !buffer_send_away(rewrite, "expert_offload", graph->ops[i].weights, 1 - p->cached, place))
                return false;
        }
    if (at < 0)
        return true;
    if (p->on_miss == MISS_COMPUTE)
        return !(hit_of(p) < 1) || split_products(rewrite, block, place, p);
    double bytes = expert_bytes(graph, block),
           chance = graph->ops[at].gemm.top_k / graph->ops[at].gemm.experts;
    return add_loads(rewrite, at, REGIME_DECODE, place, p, bytes * (1 - hit_of(p)), chance) &&
           add_loads(rewrite, at, REGIME_PREFILL, place, p, bytes * (1 - p->cached), chance);
}

static bool on_placement(struct rewrite *rewrite, const void *parameters)
{
    const struct expert_offload_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    struct place place;
    bool any = false;
    if (!place_find(rewrite, "expert_offload", p->tier, &place))
        return false;
    if (p->low_share + p->skipped > 1)
        return diag_error(rewrite->diag, NOWHERE,
                          "expert_offload: low_share %g and skipped %g are more than all", p->low_share,
                          p->skipped);
    if (p->on_miss == MISS_COMPUTE && place.device == 0)
        return diag_error(rewrite->diag, NOWHERE, "expert_offload: \"%s\" computes nothing", p->tier);
    for (int i = 0; i < graph->op_count; i++)
        any = any || is_expert_product(&graph->ops[i]);
    if (!any)
        return diag_error(rewrite->diag, NOWHERE, "expert_offload: %s has no routed experts",
                          graph->model->id);
    for (int block = 0; block < (int)graph->model->block_count; block++)
        if (!place_block(rewrite, block, &place, p))
            return false;
    return true;
}

static bool on_schedule(struct rewrite *rewrite, const void *parameters)
{
    const struct expert_offload_parameters *p = parameters;
    static const char *const guessed[] = {OP_NAME_EXPERT_PREFETCH, NULL};
    if (p->prefetch_accuracy > 0)
        run_beside(rewrite, LANES_LINKS, rewrite->graph->model->layers, guessed);
    return true;
}

static const struct enum_name miss_names[] = {{"load", MISS_LOAD}, {"compute", MISS_COMPUTE}, {NULL, 0}};

static const struct field fields[] = {
    STRING_FIELD(expert_offload_parameters, tier, "host",
                 "where the experts are: a member of the system (host, ssd) or a memory of the device"),
    FRACTION_FIELD(expert_offload_parameters, cached, "0", "share of the experts that device memory holds"),
    FRACTION_FIELD(expert_offload_parameters, hit_rate, "0",
                   "of the experts that a decode step needs, the share found there; 0: as cached"),
    FRACTION_FIELD(
        expert_offload_parameters, prefetch_accuracy, "0",
        "chance that a missing expert was guessed, and on its way, early enough; 0: nothing is guessed"),
    FRACTION_FIELD(expert_offload_parameters, low_share, "0",
                   "of the loads, the share served by smaller copies"),
    FRACTION_FIELD(expert_offload_parameters, low_size, "0.25",
                   "size of such a copy over that of the expert"),
    FRACTION_FIELD(expert_offload_parameters, skipped, "0", "of the loads, the share left out"),
    ENUM_FIELD(expert_offload_parameters, on_miss, miss_names, "load",
               "what happens to experts that are missing: loaded, or computed by the member that has them"),
    READING_FIELDS(expert_offload_parameters),
};
static const struct schema schema = {.name = "expert_offload",
                                     .size = sizeof(struct expert_offload_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"hit_rate", "prefetch_accuracy", "low_share", "skipped", NULL};

extern const struct mechanism expert_offload;
const struct mechanism expert_offload = {
    .name = "expert_offload",
    .summary = "routed experts live in host memory or flash, some of them cached",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct expert_offload_parameters),
    .on_placement = on_placement,
    .on_schedule = on_schedule,
};
