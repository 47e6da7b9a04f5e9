/* The KV cache in host memory or on a drive (FlexGen arXiv:2303.06865): a decode step brings each layer's
 * back to compute attention on it, and new keys and values are written through. Of a context of c tokens a
 * layer loads share * read_share * c tokens' bytes; with prefetch beside the computing of the layers before.
 * A prompt's keys and values are still there while it is computed; its prefill only writes. Layers with a
 * window keep their few tokens. */
#include "mechanism/offload.h"
#include "mechanism/rewrites.h"

#include <stddef.h>

struct kv_offload_parameters {
    const char *tier;
    double share;
    double read_share;
    double copies;
    bool prefetch;
    struct reading reading;
};

static bool add_transfers(struct rewrite *rewrite, int attention, const struct place *place,
                          const struct kv_offload_parameters *p)
{
    struct graph *graph = rewrite->graph;
    const struct buffer *buffer = &graph->buffers[graph->ops[attention].cache];
    double share = buffer->sequence_share;
    double kept = buffer->kept.share > 0 && buffer->kept.share < 1 ? buffer->kept.share : 1;
    double bytes = buffer_token_bytes(buffer) * p->share;
    struct reading bulk = {.bandwidth = p->reading.bandwidth};
    enum regime regime = graph->ops[attention].regime;
    if (regime & REGIME_DECODE) {
        struct op *load =
            far_transfer(rewrite, attention, OP_NAME_KV_LOAD, REGIME_DECODE, place, &p->reading);
        if (!load)
            return false;
        load->rows = ROWS_CONTEXT;
        load->rows_factor = share;
        load->transfer.bytes_per_row = bytes * kept * p->read_share;
    }
    struct op *store = far_transfer(rewrite, attention, OP_NAME_KV_STORE, regime, place, &bulk);
    if (!store)
        return false;
    store->rows_factor = share;
    store->transfer.bytes_per_row = bytes * p->copies;
    store->transfer.writes = true;
    return true;
}

static bool on_placement(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_offload_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    struct place place;
    bool *moved = ARENA_ARRAY(rewrite->arena, bool, BUFFERS_MOST),
         *mine = ARENA_ARRAY(rewrite->arena, bool, BUFFERS_MOST), any = false;
    if (!moved || !mine)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    if (!place_find(rewrite, "kv_offload", p->tier, &place))
        return false;
    for (int i = 0; i < graph->op_count && p->share > 0; i++) {
        const struct op *op = &graph->ops[i];
        if (op->kind != OP_ATTENTION || op->attention.cross || op->cache == BUFFER_NONE || op->device != 0 ||
            op->attention.part == PART_INDEX || op->attention.part == PART_SOFTMAX ||
            op->attention.part == PART_PV || graph->buffers[op->cache].window > 0 || moved[op->cache])
            continue;
        int cache = op->cache, before = graph->op_count;
        bool halves = op->regime != REGIME_ANY; /* prefill and decode apart: one buffer, two operators */
        any = true;
        moved[cache] = !halves;
        if (!mine[cache] && !buffer_send_away(rewrite, "kv_offload", cache, p->share, &place))
            return false;
        mine[cache] = true;
        if (!add_transfers(rewrite, i, &place, p))
            return false;
        i += graph->op_count - before;
    }
    return any || !(p->share > 0) ||
           diag_error(rewrite->diag, NOWHERE,
                      "kv_offload: %s has no KV cache on the first device to place elsewhere",
                      graph->model->id);
}

static bool on_schedule(struct rewrite *rewrite, const void *parameters)
{
    const struct kv_offload_parameters *p = parameters;
    static const char *const both[] = {OP_NAME_KV_LOAD, OP_NAME_KV_STORE, NULL};
    static const char *const writes[] = {OP_NAME_KV_STORE, NULL};
    run_beside(rewrite, LANES_LINKS, rewrite->graph->model->layers, p->prefetch ? both : writes);
    return true;
}

static const struct field fields[] = {
    STRING_FIELD(kv_offload_parameters, tier, "host",
                 "where the cache is: a member of the system (host, ssd) or a memory of the device"),
    FRACTION_FIELD(kv_offload_parameters, share, "1", "share of the cache that is there"),
    FRACTION_FIELD(kv_offload_parameters, read_share, "1",
                   "of those tokens the share that a decode step brings back; below 1: chosen ones"),
    QUANTITY_FIELD(kv_offload_parameters, copies, DIM_NONE, 1, 8, "1",
                   "times that a token's keys and values are written"),
    BOOL_FIELD(kv_offload_parameters, prefetch, "true",
               "reads run beside the computing of earlier layers; writes always do"),
    READING_FIELDS(kv_offload_parameters),
};
static const struct schema schema = {.name = "kv_offload",
                                     .size = sizeof(struct kv_offload_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"read_share", NULL};

extern const struct mechanism kv_offload;
const struct mechanism kv_offload = {
    .name = "kv_offload",
    .summary = "the KV cache lives in host memory or on a drive",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct kv_offload_parameters),
    .on_placement = on_placement,
    .on_schedule = on_schedule,
};
