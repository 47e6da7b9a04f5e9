/* Mixture of experts: tokens are sorted by expert, so that each expert multiplies all of its tokens at once;
 * all experts' products are one call. */
#include "exec/runner_parts.h"

#include <math.h>
#include <string.h>

struct moe_layer {
    struct matrix router, switch_;
    const float *router_bias;
    struct matrix *gate, *up, *down; /* [experts] */
    struct matrix shared_gate, shared_up, shared_down;
};

struct buffers {
    float *scores;            /* [rows][experts] */
    int *chosen;              /* [rows][top_k] */
    float *weights;           /* [rows][top_k] */
    int *offset;              /* [experts + 1]: where an expert's (token, expert) pairs begin */
    int *row_of;              /* [pairs]: their tokens */
    int *pair_of;             /* [rows][top_k]: and back */
    struct product *products; /* [2 experts] */
    float *gate, *up;         /* [pairs][intermediate] */
    float *out;               /* [pairs][hidden] */
    float *shared_gate, *shared_up, *shared_out, *switches;
};

static struct buffers cut(const struct runner *runner, const struct moe_spec *spec,
                          struct workspace *workspace, size_t rows)
{
    size_t hidden = (size_t)runner->model->hidden, experts = (size_t)spec->experts;
    size_t pairs = rows * (size_t)spec->top_k, shared = (size_t)spec->shared_intermediate;
    return (struct buffers){
        .scores = workspace_floats(workspace, rows, experts),
        .chosen = workspace_take(workspace, pairs, sizeof(int)),
        .weights = workspace_floats(workspace, pairs, 1),
        .offset = workspace_take(workspace, experts + 1, sizeof(int)),
        .row_of = workspace_take(workspace, pairs, sizeof(int)),
        .pair_of = workspace_take(workspace, pairs, sizeof(int)),
        .products = workspace_take(workspace, 2 * experts, sizeof(struct product)),
        .gate = workspace_floats(workspace, pairs, (size_t)spec->intermediate),
        .up = workspace_floats(workspace, pairs, (size_t)spec->intermediate),
        .out = workspace_floats(workspace, pairs, hidden),
        .shared_gate = workspace_floats(workspace, rows, shared),
        .shared_up = workspace_floats(workspace, rows, shared),
        .shared_out = workspace_floats(workspace, rows, shared > 0 ? hidden : 0),
        .switches = workspace_floats(workspace, rows, 1),
    };
}

static void plan(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut(runner, &layer->block->moe, workspace, (size_t)runner->options.step_tokens);
}

/* ---- loading ---- */

static bool load_experts(struct loading *loading, struct layer *layer, const struct moe_spec *spec,
                         struct moe_layer *own)
{
    struct arena *arena = loading->runner->arena;
    size_t hidden = (size_t)loading->runner->model->hidden, width = (size_t)spec->intermediate;
    own->gate = ARENA_ARRAY(arena, struct matrix, (size_t)spec->experts);
    own->up = ARENA_ARRAY(arena, struct matrix, (size_t)spec->experts);
    own->down = ARENA_ARRAY(arena, struct matrix, (size_t)spec->experts);
    if (own->gate == NULL || own->up == NULL || own->down == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    for (int e = 0; e < spec->experts; e++)
        if ((spec->gated &&
             !load_matrix(loading, layer, ROLE_EXPERT_GATE, ROLE_COUNT, e, width, hidden, &own->gate[e])) ||
            !load_matrix(loading, layer, ROLE_EXPERT_UP, ROLE_COUNT, e, width, hidden, &own->up[e]) ||
            !load_matrix(loading, layer, ROLE_EXPERT_DOWN, ROLE_COUNT, e, hidden, width, &own->down[e]))
            return false;
    return true;
}

static bool load_shared(struct loading *loading, struct layer *layer, const struct moe_spec *spec,
                        struct moe_layer *own)
{
    size_t hidden = (size_t)loading->runner->model->hidden, width = (size_t)spec->shared_intermediate;
    if (width == 0)
        return true;
    return (!spec->gated ||
            load_matrix(loading, layer, ROLE_SHARED_GATE, ROLE_COUNT, 0, width, hidden, &own->shared_gate)) &&
           load_matrix(loading, layer, ROLE_SHARED_UP, ROLE_COUNT, 0, width, hidden, &own->shared_up) &&
           load_matrix(loading, layer, ROLE_SHARED_DOWN, ROLE_COUNT, 0, hidden, width, &own->shared_down) &&
           (!spec->shared_gate ||
            load_matrix(loading, layer, ROLE_SHARED_SWITCH, ROLE_COUNT, 0, 1, hidden, &own->switch_));
}

enum { CHOSEN_MOST = 64 };

static bool check(const struct moe_spec *spec, const struct hyper *hyper, struct diag *diag,
                  const struct layer *layer)
{
    if (spec->experts < 1 || spec->top_k < 1 || spec->top_k > spec->experts)
        return diag_error(diag, layer->block->where, "the best %d of %d experts", spec->top_k, spec->experts);
    if (spec->top_k > CHOSEN_MOST)
        return diag_error(diag, layer->block->where, "the best %d experts: at most %d", spec->top_k,
                          CHOSEN_MOST);
    int groups = hyper->route_groups;
    if (groups > 1 &&
        (spec->experts % groups != 0 || hyper->route_top_groups < 1 || hyper->route_top_groups > groups ||
         spec->experts / groups * hyper->route_top_groups < spec->top_k))
        return diag_error(diag, layer->block->where, "the best %d of %d experts in the best %d of %d groups",
                          spec->top_k, spec->experts, hyper->route_top_groups, groups);
    return true;
}

static bool load(struct loading *loading, struct layer *layer)
{
    const struct moe_spec *spec = &layer->block->moe;
    size_t hidden = (size_t)loading->runner->model->hidden, experts = (size_t)spec->experts;
    struct moe_layer *own = ARENA_NEW(loading->runner->arena, struct moe_layer);
    layer->feeding = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    if (!check(spec, loading->runner->hyper, loading->diag, layer))
        return false;
    if (spec->router_bias &&
        (own->router_bias = load_vector(loading, layer, ROLE_ROUTER_BIAS, experts)) == NULL)
        return false;
    loading->share = spec->top_k / (double)spec->experts;
    bool loaded = load_experts(loading, layer, spec, own);
    loading->share = 1;
    return loaded && load_matrix(loading, layer, ROLE_ROUTER, ROLE_COUNT, 0, experts, hidden, &own->router) &&
           load_shared(loading, layer, spec, own);
}

/* ---- a step ---- */

struct rows {
    struct stepping *step;
    const struct layer *layer;
    const struct moe_spec *spec;
    const struct moe_layer *own;
    struct buffers buffers;
    size_t hidden, pairs;
    const float *in;
    float *out;
};

static bool run_shared(struct rows *r)
{
    struct stepping *step = r->step;
    const struct buffers *b = &r->buffers;
    size_t width = (size_t)r->spec->shared_intermediate;
    struct product products[2] = {
        step_product(&r->own->shared_up, r->in, r->hidden, step->rows, b->shared_up, width)};
    if (r->spec->gated)
        products[1] = step_product(&r->own->shared_gate, r->in, r->hidden, step->rows, b->shared_gate, width);
    if (!step_gemm(step, products, r->spec->gated ? 2 : 1))
        return false;
    step_timed(step, OP_NAME_SHARED_GATE_UP, r->layer);
    float *active = r->spec->gated ? b->shared_gate : b->shared_up;
    step_activate(step, step->runner->hyper->activation, active, r->spec->gated ? b->shared_up : NULL,
                  step->rows * width);
    step_timed(step, OP_NAME_SHARED_ACTIVATION, r->layer);
    if (!step_linear(step, &r->own->shared_down, active, step->rows, b->shared_out))
        return false;
    step_timed(step, OP_NAME_SHARED_DOWN, r->layer);
    if (!r->spec->shared_gate)
        return true;
    if (!step_linear(step, &r->own->switch_, r->in, step->rows, b->switches))
        return false;
    for (size_t row = 0; row < step->rows; row++)
        b->switches[row] = 1 / (1 + expf(-b->switches[row]));
    step_timed(step, OP_NAME_SHARED_GATE, r->layer);
    return true;
}

static void route_rows(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct hyper *hyper = r->step->runner->hyper;
    size_t experts = (size_t)r->spec->experts, top = (size_t)r->spec->top_k;
    const struct routing routing = {.experts = r->spec->experts,
                                    .top_k = r->spec->top_k,
                                    .sigmoid = hyper->route_sigmoid,
                                    .bias = r->own->router_bias,
                                    .groups = hyper->route_groups > 1 ? hyper->route_groups : 0,
                                    .top_groups = hyper->route_top_groups,
                                    .normalise = hyper->route_normalise,
                                    .scale = hyper->route_scale};
    for (size_t row = from; row < to; row++)
        route(&routing, r->buffers.scores + row * experts, r->buffers.chosen + row * top,
              r->buffers.weights + row * top);
}

/* Pairs in the order of their experts, tokens in order within each (a counting sort). */
static void sort_pairs(const struct rows *r)
{
    const struct buffers *b = &r->buffers;
    size_t experts = (size_t)r->spec->experts, top = (size_t)r->spec->top_k;
    memset(b->offset, 0, (experts + 1) * sizeof *b->offset);
    for (size_t pair = 0; pair < r->pairs; pair++)
        b->offset[b->chosen[pair] + 1]++;
    for (size_t e = 0; e < experts; e++)
        b->offset[e + 1] += b->offset[e];
    for (size_t pair = 0; pair < r->pairs; pair++) { /* offsets move on to the next expert's */
        int at = b->offset[b->chosen[pair]]++;
        b->row_of[at] = (int)(pair / top);
        b->pair_of[pair] = at;
    }
    memmove(b->offset + 1, b->offset, experts * sizeof *b->offset);
    b->offset[0] = 0;
}

/* The products of all experts that have tokens: of the layer's input (rows NULL: of x itself, sorted). */
static int add_products(const struct rows *r, int count, const struct matrix *w, bool gather, const float *x,
                        float *y)
{
    const struct buffers *b = &r->buffers;
    for (int e = 0; e < r->spec->experts; e++) {
        size_t first = (size_t)b->offset[e], m = (size_t)(b->offset[e + 1] - b->offset[e]);
        size_t n = w[e].stored.rows, k = w[e].stored.cols;
        if (m == 0)
            continue;
        struct product *product = &b->products[count++];
        *product = step_product(&w[e], gather ? x : x + first * k, k, m, y + first * n, n);
        product->rows = gather ? b->row_of + first : NULL;
    }
    return count;
}

static bool run_experts(struct rows *r)
{
    struct stepping *step = r->step;
    const struct buffers *b = &r->buffers;
    int count = add_products(r, 0, r->own->up, true, r->in, b->up);
    if (r->spec->gated)
        count = add_products(r, count, r->own->gate, true, r->in, b->gate);
    if (!step_gemm(step, b->products, count))
        return false;
    step_timed(step, OP_NAME_MOE_GATE_UP, r->layer);
    float *active = r->spec->gated ? b->gate : b->up;
    step_activate(step, step->runner->hyper->activation, active, r->spec->gated ? b->up : NULL,
                  r->pairs * (size_t)r->spec->intermediate);
    step_timed(step, OP_NAME_MOE_ACTIVATION, r->layer);
    count = add_products(r, 0, r->own->down, false, active, b->out);
    if (!step_gemm(step, b->products, count))
        return false;
    step_timed(step, OP_NAME_MOE_DOWN, r->layer);
    return true;
}

/* The outputs of a token's experts, and of the shared ones; returns how many. */
static size_t outputs_of(const struct rows *r, size_t row, const float **rows, float *weights)
{
    const struct buffers *b = &r->buffers;
    size_t top = (size_t)r->spec->top_k, count = 0;
    for (size_t pair = row * top; pair < (row + 1) * top; pair++, count++) {
        rows[count] = b->out + (size_t)b->pair_of[pair] * r->hidden;
        weights[count] = b->weights[pair];
    }
    if (r->spec->shared_intermediate > 0) {
        rows[count] = b->shared_out + row * r->hidden;
        weights[count++] = r->spec->shared_gate ? b->switches[row] : 1;
    }
    return count;
}

static void combine_rows(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const float *rows[2][CHOSEN_MOST + 1];
    float weights[2][CHOSEN_MOST + 1];
    size_t count = outputs_of(r, from, rows[from % 2], weights[from % 2]);
    for (size_t row = from; row < to; row++) {
        size_t this = row % 2, next = row + 1 < to ? 1 - this : this;
        if (next != this)
            outputs_of(r, row + 1, rows[next], weights[next]);
        weighted_sum(r->step->runner->isa, rows[this], weights[this], rows[next], count, r->hidden,
                     r->out + row * r->hidden);
    }
}

static bool run(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct moe_spec *spec = &layer->block->moe;
    struct rows r = {.step = step,
                     .layer = layer,
                     .spec = spec,
                     .own = layer->feeding,
                     .buffers = cut(step->runner, spec, &step->work, step->rows),
                     .hidden = (size_t)step->runner->model->hidden,
                     .pairs = step->rows * (size_t)spec->top_k,
                     .in = in,
                     .out = out};
    if (!step_linear(step, &r.own->router, in, step->rows, r.buffers.scores))
        return false;
    step_timed(step, OP_NAME_ROUTER, layer);
    step_share(step, route_rows, &r, step->rows, 1, 8 * (size_t)spec->experts);
    step_timed(step, OP_NAME_ROUTE, layer);
    sort_pairs(&r);
    step_timed(step, OP_NAME_MOE_PERMUTE, layer);
    if (!run_experts(&r) || (spec->shared_intermediate > 0 && !run_shared(&r)))
        return false;
    step_share(step, combine_rows, &r, step->rows, 1, r.hidden * (size_t)(spec->top_k + 1));
    step_timed(step, OP_NAME_MOE_COMBINE, layer);
    return true;
}

const struct sublayer sublayer_moe = {load, plan, run};
