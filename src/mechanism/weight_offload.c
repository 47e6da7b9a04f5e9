/* Weights that live in host memory or flash and are read when a step needs them (FlexGen arXiv:2303.06865,
 * LLM in a flash arXiv:2312.11514, PowerInfer-2 arXiv:2406.06282), or once before the first token
 * (TZ-LLM arXiv:2511.13717). Of W bytes in the scope a decode step of B rows loads
 *   W (1 - (1 - active)^B) (1 - hit)
 * where a row uses the share `active` of the weights and the share `hit` of those is found in memory; a
 * prefill step loads all that is not resident, W (1 - resident). With prefetch the loads run beside
 * computing, layer by layer, else before it. */
#include "mechanism/offload.h"
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum scope { SCOPE_LAYERS, SCOPE_FFN, SCOPE_EVERYTHING };

struct weight_offload_parameters {
    const char *tier;
    int scope;
    double resident;
    double active;
    double hit_rate;
    bool prefetch;
    int staged_layers;
    struct reading reading;
    bool cold_start;
    double allocate;
    double decrypt;
    double initialize;
    const char *worker;
};

static double hit_of(const struct weight_offload_parameters *p)
{
    return p->hit_rate > 0 ? p->hit_rate : p->resident;
}

/* The buffers of FFN products, marked. */
static void mark_ffn(const struct graph *graph, bool *marked)
{
    for (int i = 0; i < graph->op_count; i++)
        if (is_ffn_product(&graph->ops[i]) && graph->ops[i].weights != BUFFER_NONE)
            marked[graph->ops[i].weights] = true;
}

static bool in_scope(const struct graph *graph, int scope, const bool *ffn, int index)
{
    const struct buffer *buffer = &graph->buffers[index];
    if (buffer->class != BUFFER_WEIGHTS)
        return false;
    return scope == SCOPE_EVERYTHING || (scope == SCOPE_FFN ? ffn[index] : buffer->block != OUTSIDE_LAYERS);
}

static double scope_bytes(const struct graph *graph, int scope, const bool *ffn, int block)
{
    double bytes = 0;
    for (int i = 0; i < graph->buffer_count; i++)
        if (graph->buffers[i].block == block && in_scope(graph, scope, ffn, i))
            bytes += buffer_layer_bytes(&graph->buffers[i]);
    return bytes;
}

static bool add_load(struct rewrite *rewrite, int at, enum regime regime, const struct place *place,
                     const struct weight_offload_parameters *p, double bytes, double share_a_row)
{
    struct reading bulk = {.bandwidth = p->reading.bandwidth};
    bool random = regime == REGIME_DECODE && p->reading.request_bytes > 0;
    if (!(bytes > 0))
        return true;
    struct op *op =
        far_transfer(rewrite, at, OP_NAME_WEIGHT_LOAD, regime, place, random ? &p->reading : &bulk);
    if (!op)
        return false;
    op->transfer.fixed_bytes = bytes;
    op->transfer.share_a_row = share_a_row;
    op->on_first_stage = true;
    return true;
}

static bool add_work(struct rewrite *rewrite, int at, const char *name, int device, double seconds)
{
    if (!(seconds > 0))
        return true;
    struct op *op =
        graph_insert_op(rewrite->graph, at, name, OP_HOST,
                        at < rewrite->graph->op_count ? rewrite->graph->ops[at].block : OUTSIDE_LAYERS);
    if (rewrite->graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
    op->regime = REGIME_PREFILL;
    op->device = device;
    op->on_first_stage = true;
    op->host = (struct host_work){.seconds = seconds, .at_start = true};
    return true;
}

/* Once, before the first token: allocation of memory, reading, decryption. */
static bool add_cold_load(struct rewrite *rewrite, int at, const struct place *place, int worker,
                          const struct weight_offload_parameters *p, double bytes)
{
    double loaded = bytes * (1 - p->resident);
    struct reading bulk = {.bandwidth = p->reading.bandwidth};
    struct op *op = far_transfer(rewrite, at, OP_NAME_WEIGHT_LOAD, REGIME_PREFILL, place, &bulk);
    if (!op)
        return false;
    op->transfer.fixed_bytes = loaded;
    op->transfer.at_start = true;
    op->on_first_stage = true;
    return add_work(rewrite, at + 1, OP_NAME_WEIGHT_DECRYPT, worker,
                    p->decrypt > 0 ? loaded / p->decrypt : 0) &&
           add_work(rewrite, at, OP_NAME_WEIGHT_ALLOCATE, worker, p->allocate > 0 ? loaded / p->allocate : 0);
}

/* The first op of the block, or of the graph for what is outside the layers. */
static int place_of_load(const struct graph *graph, int block)
{
    return block == OUTSIDE_LAYERS ? 0 : first_of_block(graph, block);
}

static bool add_block(struct rewrite *rewrite, const struct place *place, int worker,
                      const struct weight_offload_parameters *p, int block, double bytes)
{
    int at = place_of_load(rewrite->graph, block);
    if (at < 0 || !(bytes > 0))
        return true;
    if (p->cold_start)
        return add_cold_load(rewrite, at, place, worker, p, bytes);
    double decode = bytes * (1 - hit_of(p)), prefill = bytes * (1 - p->resident);
    if (decode == prefill && !(p->active < 1) && !(p->reading.request_bytes > 0))
        return add_load(rewrite, at, REGIME_ANY, place, p, decode, 0);
    return add_load(rewrite, at, REGIME_PREFILL, place, p, prefill, 0) &&
           add_load(rewrite, at, REGIME_DECODE, place, p, decode, p->active < 1 ? p->active : 0);
}

/* A decode step's FFN computes the columns of the first product and rows of the last that any of its tokens
 * uses; prefill is dense. Of routed experts, the share of those that are chosen. */
static bool compute_active(struct rewrite *rewrite, const struct weight_offload_parameters *p)
{
    struct graph *graph = rewrite->graph;
    double active = -expm1(decode_rows(rewrite) * log1p(-fmin(p->active, 1 - 1e-12)));
    for (int i = 0; i < graph->op_count; i++) {
        if (!is_ffn_product(&graph->ops[i]) || graph->ops[i].regime != REGIME_ANY)
            continue;
        int decode, prefill;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        struct op *op = &graph->ops[decode];
        bool down = strcmp(op->name, OP_NAME_DOWN_PROJ) == 0 || strcmp(op->name, OP_NAME_MOE_DOWN) == 0;
        double chosen = op->gemm.experts > 0 ? op->gemm.top_k / op->gemm.experts : 1;
        double share = fmin(1, active / chosen);
        *(down ? &op->gemm.k : &op->gemm.n) *= share;
        i = decode;
    }
    return true;
}

/* Layers on their way take room where they are used. */
static bool add_staging(struct rewrite *rewrite, double bytes)
{
    if (!(bytes > 0))
        return true;
    int index = graph_add_buffer(rewrite->graph, OP_NAME_WEIGHT_LOAD, BUFFER_RESERVED, OUTSIDE_LAYERS);
    if (rewrite->graph->failed)
        return diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d buffers", BUFFERS_MOST);
    rewrite->graph->buffers[index].bytes = bytes;
    return true;
}

static bool check(struct rewrite *rewrite, const struct weight_offload_parameters *p)
{
    if (p->active < 1 && p->scope != SCOPE_FFN)
        return diag_error(
            rewrite->diag, NOWHERE,
            "weight_offload: active is of the neurons of feed-forward networks; it needs scope: ffn");
    if (p->cold_start && (p->active < 1 || p->hit_rate > 0))
        return diag_error(
            rewrite->diag, NOWHERE,
            "weight_offload: after a cold start all weights are resident; active and hit_rate are "
            "of weights read in each step");
    return true;
}

static bool send_away(struct rewrite *rewrite, const struct weight_offload_parameters *p,
                      const struct place *place, const bool *ffn)
{
    for (int i = 0; i < rewrite->graph->buffer_count; i++)
        if (in_scope(rewrite->graph, p->scope, ffn, i) &&
            !buffer_send_away(rewrite, "weight_offload", i, 1 - p->resident, place))
            return false;
    return true;
}

static bool on_placement(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_offload_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    struct place place, worker = {0, -1};
    bool *ffn = ARENA_ARRAY(rewrite->arena, bool, BUFFERS_MOST);
    if (!ffn)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    if (!check(rewrite, p) || !place_find(rewrite, "weight_offload", p->tier, &place) ||
        (p->worker && p->worker[0] && !place_find(rewrite, "weight_offload", p->worker, &worker)))
        return false;
    mark_ffn(graph, ffn);
    double largest = 0;
    for (int block = OUTSIDE_LAYERS; block < (int)graph->model->block_count; block++) {
        double bytes = scope_bytes(graph, p->scope, ffn, block);
        if (block != OUTSIDE_LAYERS)
            largest = fmax(largest, bytes);
        if (!add_block(rewrite, &place, worker.device, p, block, bytes))
            return false;
    }
    if (!add_work(rewrite, 0, OP_NAME_HOST, worker.device, p->cold_start ? p->initialize : 0))
        return false;
    if (p->cold_start)
        return true;
    return send_away(rewrite, p, &place, ffn) && (!(p->active < 1) || compute_active(rewrite, p)) &&
           add_staging(rewrite, p->active < 1 ? 0 : p->staged_layers * largest * (1 - p->resident));
}

static bool on_schedule(struct rewrite *rewrite, const void *parameters)
{
    const struct weight_offload_parameters *p = parameters;
    static const char *const loads[] = {OP_NAME_WEIGHT_LOAD, OP_NAME_WEIGHT_ALLOCATE, OP_NAME_WEIGHT_DECRYPT,
                                        NULL};
    if (p->prefetch)
        run_beside(rewrite, LANES_LINKS, rewrite->graph->model->layers, loads);
    return true;
}

static const struct enum_name scope_names[] = {
    {"layers", SCOPE_LAYERS}, {"ffn", SCOPE_FFN}, {"model", SCOPE_EVERYTHING}, {NULL, 0}};

static const struct field fields[] = {
    STRING_FIELD(
        weight_offload_parameters, tier, "host",
        "where the weights are: a member of the system (host, ssd) or a memory of the device (ssd, ufs)"),
    ENUM_FIELD(weight_offload_parameters, scope, scope_names, "layers",
               "which weights: of all layers, of their feed-forward networks, of the whole model"),
    FRACTION_FIELD(weight_offload_parameters, resident, "0", "share of them that stays in device memory"),
    FRACTION_FIELD(
        weight_offload_parameters, active, "1",
        "scope ffn: share of the neurons that a decoded token uses; only those are read and computed"),
    FRACTION_FIELD(
        weight_offload_parameters, hit_rate, "0",
        "of the weights that a decode step uses, the share found in device memory; 0: as resident"),
    BOOL_FIELD(weight_offload_parameters, prefetch, "true", "loads run beside computing, a layer ahead"),
    INT_FIELD(weight_offload_parameters, staged_layers, 0, 64, "2",
              "layers on their way that take device memory at once"),
    READING_FIELDS(weight_offload_parameters),
    BOOL_FIELD(weight_offload_parameters, cold_start, "false",
               "the weights are read once, before or beside the prefill, and stay; resident: already there"),
    QUANTITY_FIELD(weight_offload_parameters, allocate, DIM_BYTES_PER_SECOND, 0, 1e15, "0 GB/s",
                   "cold start: bytes a second at which memory is allocated for them; 0: no time"),
    QUANTITY_FIELD(weight_offload_parameters, decrypt, DIM_BYTES_PER_SECOND, 0, 1e15, "0 GB/s",
                   "cold start: bytes a second at which they are decrypted; 0: no time"),
    QUANTITY_FIELD(weight_offload_parameters, initialize, DIM_SECONDS, 0, 1e6, "0 s",
                   "cold start: time before anything else"),
    STRING_FIELD(weight_offload_parameters, worker, "",
                 "cold start: the member that allocates and decrypts; none: the first"),
};
static const struct schema schema = {.name = "weight_offload",
                                     .size = sizeof(struct weight_offload_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"active", "hit_rate", NULL};

extern const struct mechanism weight_offload;
const struct mechanism weight_offload = {
    .name = "weight_offload",
    .summary = "weights live in host memory or flash and are read when they are needed",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct weight_offload_parameters),
    .on_placement = on_placement,
    .on_schedule = on_schedule,
};
