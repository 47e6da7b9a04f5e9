/* Speculation: something cheap proposes tokens, the model verifies them in one pass. With each proposal
 * accepted with probability a, given those before it, a chain of g proposals emits 1 + a + ... + a^g tokens
 * on average (Leviathan et al., arXiv:2211.17192, equation 1). Of w candidates at each position one is
 * accepted with probability 1 - (1 - a)^w where they are tried one after the other, each independently of the
 * others (SpecInfer, arXiv:2305.09781); deeper trees put that in place of a. Counted tokens a cycle go before
 * any model of acceptance. */
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Who proposes: another model; the model itself with what is scoped to the draft (skipped layers, narrow
 * weights); a few layers on the model's features (EAGLE, arXiv:2401.15077); heads on the last hidden state;
 * tokens trained into the pass that verifies (arXiv:2405.18628); a table or trie that the host looks up. */
enum drafter { DRAFTER_MODEL, DRAFTER_SELF, DRAFTER_FEATURES, DRAFTER_HEADS, DRAFTER_PROMPT, DRAFTER_LOOKUP };

struct speculative_parameters {
    int drafter;
    const char *draft_model;
    int draft_tokens;
    int draft_width;
    int draft_layers;
    int tree_nodes;
    int candidates;
    double acceptance;
    double tokens_per_cycle;
    int heads;
    int head_layers;
    double host_time;
    bool overlapped;
    bool rebuild;
    int layer_parallel;
    int draft_tp;
    const char *draft_device;
};

static bool runs_a_draft(const struct speculative_parameters *p)
{
    return p->drafter == DRAFTER_MODEL || p->drafter == DRAFTER_SELF || p->drafter == DRAFTER_FEATURES;
}

/* 1 + a + ... + a^g, summed: the closed form is 0/0 at a = 1 and loses its digits near it. */
static double tokens_emitted(const struct speculative_parameters *p)
{
    if (p->tokens_per_cycle > 0)
        return p->tokens_per_cycle;
    double level = p->candidates > 1 ? 1 - pow(1 - p->acceptance, p->candidates) : p->acceptance;
    double sum = 1, chance = 1;
    for (int i = 0; i < p->draft_tokens; i++)
        sum += chance *= level;
    return sum;
}

/* Proposals that a cycle verifies: a tree's nodes, or the chain. */
static int proposals_of(const struct speculative_parameters *p)
{
    return p->tree_nodes > 0 ? p->tree_nodes : p->draft_tokens;
}

static bool refuse(const struct rewrite *rewrite, const char *reason)
{
    return diag_error(rewrite->diag, NOWHERE, "speculative_decoding: %s", reason);
}

static bool check_stack(const struct rewrite *rewrite)
{
    if (rewrite->generation->whole_sequence)
        return refuse(rewrite, "a masked-diffusion model does not decode token by token");
    if (rewrite->draft || rewrite->generation->drafting.own)
        return refuse(rewrite, "the stack has a draft model already");
    if (rewrite->generation->phases > 1 || rewrite->generation->tokens_per_cycle != 1)
        return refuse(rewrite, "the stack emits several tokens a step already");
    return true;
}

static bool check_proposals(const struct rewrite *rewrite, const struct speculative_parameters *p)
{
    if (p->drafter == DRAFTER_MODEL && p->draft_model[0] == '\0')
        return refuse(rewrite, "draft_model is missing, for example llama-3.2-1b");
    if (p->drafter != DRAFTER_MODEL && p->draft_model[0] != '\0')
        return refuse(rewrite, "draft_model is for drafter: model; the others take none");
    if (p->tokens_per_cycle <= 0 && p->acceptance < 0)
        return refuse(rewrite, "acceptance is missing: give it, or tokens_per_cycle");
    if (p->tree_nodes > 0 && p->tree_nodes < p->draft_tokens)
        return refuse(rewrite, "tree_nodes must not be fewer than draft_tokens, the tree's depth");
    if (p->tokens_per_cycle > 1 + proposals_of(p))
        return refuse(rewrite, "tokens_per_cycle exceeds the proposals and the model's own token");
    return true;
}

/* Where and how the draft runs. */
static bool check_draft(const struct rewrite *rewrite, const struct speculative_parameters *p)
{
    if (!runs_a_draft(p) && (p->overlapped || p->rebuild || p->layer_parallel > 1 || p->draft_tp > 0 ||
                             p->draft_device[0] != '\0'))
        return refuse(rewrite,
                      "overlapped, rebuild, layer_parallel, draft_tp and draft_device are of drafters "
                      "that are models: model, self, features");
    if (p->drafter == DRAFTER_SELF && (p->overlapped || p->draft_device[0] != '\0'))
        return refuse(rewrite, "a model that drafts for itself cannot run beside itself or elsewhere");
    if (p->overlapped && p->draft_device[0] == '\0')
        return refuse(rewrite,
                      "a draft that runs beside the model needs units that the model leaves idle: name "
                      "them with draft_device");
    return true;
}

static bool check(const struct rewrite *rewrite, const struct speculative_parameters *p)
{
    return check_stack(rewrite) && check_proposals(rewrite, p) && check_draft(rewrite, p);
}

static void set_drafting(struct rewrite *rewrite, const struct speculative_parameters *p)
{
    struct drafting *drafting = &rewrite->generation->drafting;
    bool self = p->drafter == DRAFTER_SELF;
    *drafting = (struct drafting){.own = p->drafter != DRAFTER_MODEL,
                                  .layers = p->drafter == DRAFTER_FEATURES ? p->draft_layers : 0,
                                  .shares_weights = self,
                                  .shares_ends = p->drafter == DRAFTER_FEATURES,
                                  .shares_cache = self,
                                  .beside = p->overlapped,
                                  .tp = p->draft_tp,
                                  .device = p->draft_device[0] != '\0' ? p->draft_device : NULL};
    rewrite->generation->draft_prefills = !self;
    if (!drafting->own)
        rewrite->draft = p->draft_model;
}

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct speculative_parameters *p = parameters;
    struct generation *generation = rewrite->generation;
    if (!check(rewrite, p))
        return false;
    double proposals = proposals_of(p), width = p->draft_width;
    enum mask mask = p->tree_nodes > p->draft_tokens ? MASK_TREE : MASK_CAUSAL;
    *generation = (struct generation){.tokens_per_cycle = tokens_emitted(p)};
    if (runs_a_draft(p)) {
        set_drafting(rewrite, p);
        if (p->rebuild) /* of the cycle before, but what counts is that there is one in each */
            generation->cycle[generation->phases++] = (struct phase){.name = "draft rebuild",
                                                                     .plan = 1,
                                                                     .new_tokens = tokens_emitted(p),
                                                                     .steps = 1,
                                                                     .mask = MASK_CAUSAL};
        generation->cycle[generation->phases++] = (struct phase){.plan = 1,
                                                                 .new_tokens = width,
                                                                 .steps = p->draft_tokens,
                                                                 .sampled = width,
                                                                 .mask = width > 1 ? MASK_TREE : MASK_CAUSAL};
    }
    generation->cycle[generation->phases++] = (struct phase){.plan = 0,
                                                             .new_tokens = proposals + 1,
                                                             .steps = 1,
                                                             .sampled = proposals + 1,
                                                             .mask = mask,
                                                             .host = p->host_time};
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

/* The op of a layer that is cut over 1/wide of the ranks: so many times the heads. */
static void widen_op(struct graph *graph, struct op *op, double wide)
{
    static const char *const columns[] = {OP_NAME_QKV_PROJ, OP_NAME_Q_PROJ, OP_NAME_K_PROJ, OP_NAME_V_PROJ,
                                          NULL};
    static const char *const streams[] = {OP_NAME_ROPE,    OP_NAME_KV_WRITE,  OP_NAME_ROPE_KV_WRITE,
                                          OP_NAME_KV_COPY, OP_NAME_KV_REPEAT, NULL};
    if (is_one_of(op->name, columns)) {
        op->gemm.n *= wide;
        graph->buffers[op->weights].rows *= wide;
    } else if (strcmp(op->name, OP_NAME_O_PROJ) == 0) {
        op->gemm.k *= wide;
        graph->buffers[op->weights].cols *= wide;
    } else if (is_one_of(op->name, streams)) {
        op->stream.read *= wide;
        op->stream.written *= wide;
        op->stream.flops *= wide;
        op->stream.in_place *= wide;
    } else if (op->kind == OP_ATTENTION) {
        op->attention.heads *= wide;
        op->attention.kv_heads *= wide;
    }
}

/* The outputs of a group's layers go to all of its ranks. With tensor parallelism the sum over a layer's
 * ranks does that, once for a group. */
static bool gather_groups(struct rewrite *rewrite, int group, double groups)
{
    struct graph *graph = rewrite->graph;
    struct op *op = graph_add_op(graph, OP_NAME_LAYERS_ALLGATHER, OP_COLLECTIVE, OUTSIDE_LAYERS);
    op->per_layer = groups;
    op->collective = (struct collective_work){.kind = COLLECTIVE_ALL_GATHER,
                                              .ranks = group,
                                              .bytes_per_row = graph->model->hidden *
                                                               element_bytes_each(&graph->types.activations)};
    return !graph->failed ||
           diag_error(rewrite->diag, NOWHERE, "the techniques make more than %d operators", OPS_MOST);
}

/* Groups of N layers' attention run at once, each layer's on 1/N of the ranks (or ranks of its own, where the
 * draft has one alone), from the same input; the first and the last layer run alone and the feed-forward
 * networks in turn (EasySpec, arXiv:2502.02493). A rank does what one of the N does. */
static bool part_layers(struct rewrite *rewrite, int group)
{
    struct graph *graph = rewrite->graph;
    double layers = graph->model->layers, groups = ceil(fmax(layers - 2, 0) / group);
    double share = fmin(1, (groups + fmin(layers, 2)) / layers), wide = graph->parallel.tp > 1 ? group : 1;
    unsigned char sublayers[OPS_MOST];
    bool spread[BUFFERS_MOST] = {false};
    if (graph->parallel.tp > 1 && graph->parallel.tp % group != 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "speculative_decoding: layer_parallel %d does not divide the draft's %d ranks",
                          group, graph->parallel.tp);
    sublayers_of(graph, sublayers);
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (sublayers[i] != SUBLAYER_MIXER)
            continue;
        op->per_layer *= share;
        if (op->weights != BUFFER_NONE)
            spread[op->weights] = true;
        widen_op(graph, op, wide);
    }
    for (int i = 0; i < graph->buffer_count; i++) {
        struct buffer *buffer = &graph->buffers[i];
        if (buffer->class == BUFFER_KV)
            buffer->elements *= share * wide;
        else if (spread[i] && buffer->block != OUTSIDE_LAYERS)
            buffer->copies *= share;
    }
    return graph->parallel.tp > 1 || gather_groups(rewrite, group, groups);
}

/* The token's embedding and the feature before it become one input. */
static bool fuse_features(struct rewrite *rewrite)
{
    double hidden = rewrite->graph->model->hidden, tp = rewrite->graph->parallel.tp;
    return linear_insert(rewrite, rewrite->graph->op_count, OP_NAME_DRAFT_FUSION, OUTSIDE_LAYERS, hidden / tp,
                         2 * hidden) != NULL;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct speculative_parameters *p = parameters;
    bool draft = strcmp(rewrite->role, ROLE_DRAFT) == 0;
    if (!draft)
        return p->drafter != DRAFTER_HEADS || decoding_heads_add(rewrite, p->heads, p->head_layers);
    if (p->drafter == DRAFTER_FEATURES && !fuse_features(rewrite))
        return false;
    return p->layer_parallel < 2 || part_layers(rewrite, p->layer_parallel);
}

static const struct enum_name drafter_names[] = {{"model", DRAFTER_MODEL},
                                                 {"self", DRAFTER_SELF},
                                                 {"features", DRAFTER_FEATURES},
                                                 {"heads", DRAFTER_HEADS},
                                                 {"prompt", DRAFTER_PROMPT},
                                                 {"lookup", DRAFTER_LOOKUP},
                                                 {NULL, 0}};

#define COUNT(name, least, most, otherwise, text)                                                            \
    {                                                                                                        \
        .key = #name, .kind = FIELD_INT, .offset = offsetof(struct speculative_parameters, name),            \
        .min = (least), .max = (most), .fallback = (otherwise), .doc = (text)                                \
    }
#define SWITCH(name, text)                                                                                   \
    {                                                                                                        \
        .key = #name, .kind = FIELD_BOOL, .offset = offsetof(struct speculative_parameters, name),           \
        .fallback = "false", .doc = (text)                                                                   \
    }

static const struct field fields[] = {
    ENUM_FIELD(
        speculative_parameters, drafter, drafter_names, "model",
        "who proposes: a model; the model itself, changed by what is scoped to the draft; layers on its "
        "features; heads on its last hidden state; tokens of the verifying pass; a table of the host's"),
    STRING_FIELD(speculative_parameters, draft_model, "", "drafter: model: which"),
    COUNT(draft_tokens, 1, 127, "4", "proposals one behind the other: the chain, or the tree's depth"),
    COUNT(draft_width, 1, 128, "1", "tokens that a step of the draft runs: a level of its tree"),
    COUNT(draft_layers, 1, 64, "1", "drafter: features: layers like the model's"),
    COUNT(tree_nodes, 0, 1023, "0", "proposals verified in a cycle; 0: a chain of draft_tokens"),
    COUNT(candidates, 1, 64, "1", "of each position, tried in turn: for acceptance"),
    QUANTITY_FIELD(speculative_parameters, acceptance, DIM_NONE, -1, 1, "-1",
                   "probability that a proposal is accepted, given that those before it were; -1: not given"),
    QUANTITY_FIELD(speculative_parameters, tokens_per_cycle, DIM_NONE, 0, 1024, "0",
                   "tokens that a cycle emits, the model's own among them, as counted; 0: from acceptance"),
    COUNT(heads, 1, 16, "4", "drafter: heads: how many"),
    COUNT(head_layers, 0, 8, "1", "drafter: heads: square layers of a head below its vocabulary layer"),
    QUANTITY_FIELD(speculative_parameters, host_time, DIM_SECONDS, 0, 10, "0",
                   "host work of a cycle for which the device waits: look-ups, building the tree"),
    SWITCH(overlapped, "the draft goes on beside the verification: the longer of the two counts"),
    SWITCH(rebuild, "the draft runs the accepted tokens once more, to make its cache exact"),
    COUNT(layer_parallel, 1, 64, "1",
          "layers of the draft whose attention runs at once, on ranks of its own"),
    COUNT(draft_tp, 0, 64, "0", "ranks that the draft is cut over; 0: as the model"),
    STRING_FIELD(speculative_parameters, draft_device, "",
                 "the device that the draft runs on; none given: those of the model"),
};
static const struct schema schema = {.name = "speculative_decoding",
                                     .size = sizeof(struct speculative_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"acceptance", "tokens_per_cycle", NULL};

extern const struct mechanism speculative_decoding;
const struct mechanism speculative_decoding = {
    .name = "speculative_decoding",
    .summary = "cheap proposals, verified by the model in one pass",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct speculative_parameters),
    .of_draft = true,
    .on_generation = on_generation,
    .on_ops = on_ops,
};
