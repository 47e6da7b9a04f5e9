/* Operators on another member of the system: attention where the KV cache lies (host CPU, memory devices,
 * drives, banks: Lamina arXiv:2405.01814, InstInfer arXiv:2409.04992, NeuPIMs arXiv:2403.00579), or a share
 * of the linear layers' columns on a second processor at the same time (PowerInfer-2 arXiv:2406.06282).
 * Inputs go there and results come back over the link of the two: q, k, v and the attention's output, or a
 * linear layer's input and its part of the output. A prompt's keys and values are sent once, beside its
 * prefill. With `sub_batches` the batch is cut: while one part is at the other member the next computes here,
 * so that a step lasts as long as the busier of the two, and each part reads the weights again. */
#include "mechanism/offload.h"
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum offloaded { OFFLOAD_ATTENTION, OFFLOAD_LINEAR, OFFLOAD_FFN, OFFLOAD_EXPERTS };
enum offload_phase { PHASE_DECODE, PHASE_PREFILL, PHASE_BOTH };

struct operator_offload_parameters {
    int operators;
    const char *device;
    int phase;
    double share;
    int sub_batches;
    int least_batch;
    double read_share;
    double copies;
    bool moves_weights;
    bool overlaps_transfers;
    bool concurrent;
    struct reading reading;
};

static bool meant(const struct op *op, const struct operator_offload_parameters *p)
{
    if (op->block == OUTSIDE_LAYERS || op->device != 0)
        return false;
    switch ((enum offloaded)p->operators) {
    case OFFLOAD_ATTENTION:
        return op->kind == OP_ATTENTION && !op->attention.cross && op->attention.part != PART_INDEX;
    case OFFLOAD_LINEAR:
        return op->kind == OP_GEMM;
    case OFFLOAD_FFN:
        return is_ffn_product(op);
    case OFFLOAD_EXPERTS:
        return op->kind == OP_GEMM && op->gemm.experts > 0;
    }
    return false;
}

static enum regime regime_of(const struct operator_offload_parameters *p)
{
    return p->phase == PHASE_DECODE ? REGIME_DECODE : p->phase == PHASE_PREFILL ? REGIME_PREFILL : REGIME_ANY;
}

/* The op alone in the phase that moves: its index, or -1 where it has no part in it. false with diag. */
static bool part_of_phase(struct rewrite *rewrite, int index, enum regime regime, int *part)
{
    int prefill, decode;
    *part = index;
    if (regime == REGIME_ANY || rewrite->graph->ops[index].regime == regime)
        return true;
    if (!attention_part_regimes(rewrite, index, &prefill, &decode))
        return false;
    *part = regime == REGIME_DECODE ? decode : prefill;
    return true;
}

static bool move(struct rewrite *rewrite, int at, const char *name, const struct op *op,
                 const struct place *place, const struct operator_offload_parameters *p, double bytes)
{
    enum regime regime = op->regime;
    double factor = op->rows_factor, times = op->per_layer;
    bool encodes = op->encodes;
    int block = op->block;
    struct reading bulk = {.bandwidth = p->reading.bandwidth};
    struct op *transfer = far_transfer(rewrite, at, name, regime, place, &bulk);
    if (!transfer)
        return false;
    transfer->block = block;
    transfer->encodes = encodes;
    transfer->rows_factor = factor;
    transfer->per_layer = times;
    transfer->transfer.bytes_per_row = bytes;
    return true;
}

/* Attention there: q, k and v of new tokens go, the output comes; what a prefill caches here is sent over. */
static bool attention_there(struct rewrite *rewrite, int index, const struct place *place,
                            const struct operator_offload_parameters *p, int *added)
{
    struct graph *graph = rewrite->graph;
    struct op *op = &graph->ops[index];
    struct attention_work *work = &op->attention;
    double each = element_bytes_each(&work->q_type);
    bool first = work->part == PART_FUSED || work->part == PART_QK;
    bool last = work->part == PART_FUSED || work->part == PART_PV;
    double in =
        (work->heads * work->qk_dim + work->kv_heads * (work->qk_dim + (work->latent ? 0 : work->v_dim))) *
        each;
    double out = work->heads * work->v_dim * each;
    int cache = op->cache, block = op->block, before = graph->op_count;
    op->device = place->device;
    if (cache != BUFFER_NONE && graph->buffers[cache].away <= 0 && p->share > 0) {
        if (!buffer_send_away(rewrite, "operator_offload", cache, 1, place))
            return false;
        if (p->phase == PHASE_DECODE) {
            struct reading bulk = {.bandwidth = p->reading.bandwidth};
            double bytes = buffer_token_bytes(&graph->buffers[cache]),
                   share = graph->buffers[cache].sequence_share;
            struct op *store = far_transfer(rewrite, index, OP_NAME_KV_STORE, REGIME_PREFILL, place, &bulk);
            if (!store)
                return false;
            store->block = block;
            store->rows_factor = share;
            store->transfer.bytes_per_row = bytes * p->copies;
            store->transfer.writes = true;
            index++;
        }
    }
    if (last &&
        !move(rewrite, index + 1, OP_NAME_OFFLOAD_RECEIVE, &rewrite->graph->ops[index], place, p, out))
        return false;
    if (first && !move(rewrite, index, OP_NAME_OFFLOAD_SEND, &rewrite->graph->ops[index], place, p, in))
        return false;
    *added = rewrite->graph->op_count - before;
    return true;
}

/* A share of the columns there; all of them: the op itself moves. */
static bool linear_there(struct rewrite *rewrite, int index, const struct place *place,
                         const struct operator_offload_parameters *p, int *added)
{
    struct graph *graph = rewrite->graph;
    int before = graph->op_count, there = index;
    if (p->share < 1) {
        if (!op_copy(rewrite, index))
            return false;
        there = index + 1;
        graph->ops[there].gemm.n *= p->share;
        graph->ops[index].gemm.n *= 1 - p->share;
    }
    struct op *op = &graph->ops[there];
    op->device = place->device;
    double in = element_row_bytes(&op->gemm.a_type, op->gemm.k);
    double out =
        element_row_bytes(&op->gemm.c_type, op->gemm.n) * (op->gemm.experts > 0 ? op->gemm.top_k : 1);
    int weights = op->weights;
    if (p->moves_weights && weights != BUFFER_NONE && graph->buffers[weights].away <= 0 &&
        !buffer_send_away(rewrite, "operator_offload", weights, p->share, place))
        return false;
    if (!move(rewrite, there + 1, OP_NAME_OFFLOAD_RECEIVE, &rewrite->graph->ops[there], place, p, out) ||
        !move(rewrite, there, OP_NAME_OFFLOAD_SEND, &rewrite->graph->ops[there], place, p, in))
        return false;
    *added = rewrite->graph->op_count - before;
    return true;
}

static bool check(const struct rewrite *rewrite, const struct operator_offload_parameters *p,
                  const struct place *place)
{
    const struct graph *graph = rewrite->graph;
    if (place->device == 0)
        return diag_error(rewrite->diag, NOWHERE, "operator_offload: \"%s\" is a memory and computes nothing",
                          p->device);
    if (p->operators != OFFLOAD_ATTENTION)
        return true;
    if (p->share < 1 && p->share > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "operator_offload: attention moves as a whole, to where its cache is; share is of "
                          "linear layers' columns");
    for (int i = 0; i < graph->op_count; i++)
        if (strcmp(graph->ops[i].name, OP_NAME_KV_LOAD) == 0)
            return diag_error(rewrite->diag, NOWHERE,
                              "operator_offload: kv_offload brings the cache to the first member; attention "
                              "cannot be elsewhere too");
    return true;
}

/* The op at *index goes there, in the phase meant; *index goes to the last op that came of it. */
static bool op_there(struct rewrite *rewrite, int *index, const struct place *place,
                     const struct operator_offload_parameters *p)
{
    struct graph *graph = rewrite->graph;
    bool attention = p->operators == OFFLOAD_ATTENTION;
    int part, before = graph->op_count, added = 0;
    if (!part_of_phase(rewrite, *index, regime_of(p), &part))
        return false;
    int split = graph->op_count - before;
    if (attention && graph->ops[part].regime == REGIME_DECODE && p->read_share < 1)
        graph->ops[part].attention.kept = (struct kept){.share = p->read_share};
    if (!(attention ? attention_there : linear_there)(rewrite, part, place, p, &added))
        return false;
    *index += split + added;
    return true;
}

static bool on_placement(struct rewrite *rewrite, const void *parameters)
{
    const struct operator_offload_parameters *p = parameters;
    const struct graph *graph = rewrite->graph;
    struct place place;
    bool any = false;
    if (!place_find(rewrite, "operator_offload", p->device, &place) || !check(rewrite, p, &place))
        return false;
    for (int i = 0; i < graph->op_count && p->share > 0; i++) {
        if (!meant(&graph->ops[i], p) || !(graph->ops[i].regime & regime_of(p)))
            continue;
        if (!op_there(rewrite, &i, &place, p))
            return false;
        any = true;
    }
    return any || !(p->share > 0) ||
           diag_error(rewrite->diag, NOWHERE,
                      "operator_offload: %s has none of these operators on the first member",
                      graph->model->id);
}

/* A batch too small is not cut; drafts' are not known. */
static int parts_of(const struct rewrite *rewrite, const struct operator_offload_parameters *p)
{
    double batch = rewrite->request ? rewrite->request->batch : INFINITY;
    if (p->sub_batches < 2 || batch < p->least_batch || batch < 2)
        return 1;
    return (int)fmin(p->sub_batches, floor(batch));
}

/* Decode steps run as `parts` passes over as many parts of the batch. */
static bool cut_batch(struct rewrite *rewrite, int parts)
{
    struct graph *graph = rewrite->graph;
    for (int i = 0; i < graph->op_count; i++) {
        int prefill, decode;
        const struct op *op = &graph->ops[i];
        bool once = op->kind == OP_HOST || (op->kind == OP_TRANSFER && op->transfer.fixed_bytes > 0);
        if (op->block == OUTSIDE_LAYERS || op->encodes || once) /* what is loaded serves all parts */
            continue;
        if (!attention_part_regimes(rewrite, i, &prefill, &decode))
            return false;
        if (decode < 0)
            continue;
        graph->ops[decode].per_layer *= parts;
        graph->ops[decode].rows_factor /= parts;
        i = decode;
    }
    return true;
}

/* Of the operators whose columns are shared, the two members' parts run at once, with what they move. */
static bool columns_beside(struct rewrite *rewrite, const struct operator_offload_parameters *p)
{
    struct graph *graph = rewrite->graph;
    int group = overlap_group_free(graph);
    if (group == 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "operator_offload: more than %d groups of operators overlap", OVERLAP_GROUPS_MOST);
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        bool moved = op->kind == OP_TRANSFER && (strcmp(op->name, OP_NAME_OFFLOAD_SEND) == 0 ||
                                                 strcmp(op->name, OP_NAME_OFFLOAD_RECEIVE) == 0);
        bool part = op->kind == OP_GEMM && op->regime & regime_of(p) && (op->device != 0 || meant(op, p));
        if (op->overlap_group == 0 && (moved || part))
            op->overlap_group = group;
    }
    graph->overlap_lanes[group] = LANES_MEMBERS;
    graph->overlap_chunks[group] =
        graph->model->layers * 64; /* each operator joins its parts: no tail of a layer */
    return true;
}

/* Parts of the batch at two members at once; or shares of the columns. */
static bool on_schedule(struct rewrite *rewrite, const void *parameters)
{
    const struct operator_offload_parameters *p = parameters;
    static const char *const moved[] = {OP_NAME_OFFLOAD_SEND, OP_NAME_OFFLOAD_RECEIVE, OP_NAME_KV_STORE,
                                        NULL};
    static const char *const stored[] = {OP_NAME_KV_STORE, NULL};
    struct graph *graph = rewrite->graph;
    bool shared = p->operators != OFFLOAD_ATTENTION && p->share > 0 && p->share < 1;
    if (!(p->share > 0))
        return true;
    int parts = parts_of(rewrite, p);
    if (parts > 1) {
        if (!cut_batch(rewrite, parts))
            return false;
        run_beside(rewrite, LANES_MEMBERS, parts * graph->model->layers, moved);
    } else if (p->concurrent) {
        run_beside(rewrite, LANES_MEMBERS, graph->model->layers, moved);
    } else if (shared) {
        return columns_beside(rewrite, p);
    } else {
        run_beside(rewrite, LANES_LINKS, graph->model->layers, p->overlaps_transfers ? moved : stored);
    }
    return true;
}

static const struct enum_name operator_names[] = {{"attention", OFFLOAD_ATTENTION},
                                                  {"linear", OFFLOAD_LINEAR},
                                                  {"ffn", OFFLOAD_FFN},
                                                  {"experts", OFFLOAD_EXPERTS},
                                                  {NULL, 0}};
static const struct enum_name phase_names[] = {
    {"decode", PHASE_DECODE}, {"prefill", PHASE_PREFILL}, {"both", PHASE_BOTH}, {NULL, 0}};

static const struct field fields[] = {
    ENUM_FIELD(operator_offload_parameters, operators, operator_names, "attention",
               "which: attention with its cache, linear layers, feed-forward networks, routed experts"),
    STRING_FIELD(operator_offload_parameters, device, "host", "the member of the system that computes them"),
    ENUM_FIELD(operator_offload_parameters, phase, phase_names, "decode", "in which phase"),
    FRACTION_FIELD(
        operator_offload_parameters, share, "1",
        "of linear layers' columns that it computes, at the same time as the first member the rest; 0: off"),
    INT_FIELD(operator_offload_parameters, sub_batches, 1, 16, "1",
              "parts that decode batches are cut into, at both members in turn"),
    INT_FIELD(operator_offload_parameters, least_batch, 1, 1000000, "2", "batches below it are not cut"),
    FRACTION_FIELD(operator_offload_parameters, read_share, "1",
                   "of the cached tokens, those that attention looks at there"),
    QUANTITY_FIELD(operator_offload_parameters, copies, DIM_NONE, 1, 8, "1",
                   "times that a token's keys and values are written there"),
    BOOL_FIELD(operator_offload_parameters, moves_weights, "true",
               "linear layers' weights are in that member's memory; false: both have one memory"),
    BOOL_FIELD(
        operator_offload_parameters, concurrent, "false",
        "both members work at the same time without cutting the batch: on chunks of prompts out of order"),
    BOOL_FIELD(operator_offload_parameters, overlaps_transfers, "false",
               "inputs and results travel beside computing"),
    READING_FIELDS(operator_offload_parameters),
};
static const struct schema schema = {.name = "operator_offload",
                                     .size = sizeof(struct operator_offload_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"read_share", NULL};

extern const struct mechanism operator_offload;
const struct mechanism operator_offload = {
    .name = "operator_offload",
    .summary = "operators run on another member of the system",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct operator_offload_parameters),
    .on_placement = on_placement,
    .on_schedule = on_schedule,
};
