/* Attention: projections, norms of heads, RoPE and the cache's new rows, softmax over the cache. */
#include "exec/runner_parts.h"

#include <math.h>
#include <string.h>

struct attention_layer {
    struct matrix q, k, v, o;
    struct norm q_norm, k_norm; /* weight NULL: none */
    const float *sinks;
    const struct rotary *rotary; /* NULL: none */
};

struct buffers {
    float *both;        /* [rows][heads][2][dim]: queries and gates as the projection has them */
    float *q, *gate;    /* [rows][heads][dim] */
    float *k, *v, *out; /* [rows][kv_heads][dim], [rows][kv_heads][v_dim], [rows][heads][v_dim] */
};

struct sizes {
    size_t heads, kv_heads, dim, v_dim, q, k, v, out; /* widths: heads * dim ... */
};

static struct sizes sizes_of(const struct attention_spec *spec)
{
    struct sizes s = {.heads = (size_t)spec->heads,
                      .kv_heads = (size_t)spec->kv_heads,
                      .dim = (size_t)spec->head_dim,
                      .v_dim = (size_t)(spec->v_head_dim > 0 ? spec->v_head_dim : spec->head_dim)};
    s.q = s.heads * s.dim;
    s.k = s.kv_heads * s.dim;
    s.v = s.kv_heads * s.v_dim;
    s.out = s.heads * s.v_dim;
    return s;
}

static struct buffers cut(const struct attention_spec *spec, struct workspace *workspace, size_t rows)
{
    struct sizes s = sizes_of(spec);
    struct buffers buffers = {0};
    if (spec->output_gate) {
        buffers.both = workspace_floats(workspace, rows, 2 * s.q);
        buffers.gate = workspace_floats(workspace, rows, s.q);
    }
    buffers.q = workspace_floats(workspace, rows, s.q);
    buffers.k = workspace_floats(workspace, rows, s.k);
    buffers.v = workspace_floats(workspace, rows, s.v);
    buffers.out = workspace_floats(workspace, rows, s.out);
    return buffers;
}

static void plan(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut(&layer->block->attention, workspace, (size_t)runner->options.step_tokens);
}

static bool load_head_norms(struct loading *loading, struct layer *layer, struct attention_layer *own)
{
    const struct attention_spec *spec = &layer->block->attention;
    struct sizes s = sizes_of(spec);
    bool all = spec->qk_norm_all_heads;
    return !spec->qk_norm ||
           (load_norm(loading, layer, ROLE_Q_NORM, ROLE_COUNT, all ? s.q : s.dim, &own->q_norm) &&
            load_norm(loading, layer, ROLE_K_NORM, ROLE_COUNT, all ? s.k : s.dim, &own->k_norm));
}

static bool load_rope(struct loading *loading, struct layer *layer, struct attention_layer *own)
{
    const struct attention_spec *spec = &layer->block->attention;
    if (spec->rotary_dim == 0)
        return true;
    int rotary = load_rotary(loading, spec->rotary_dim, spec->window > 0);
    if (rotary >= 0)
        own->rotary = &loading->runner->rotaries[rotary];
    return rotary >= 0;
}

static bool check(const struct attention_spec *spec, struct diag *diag, const struct layer *layer)
{
    struct sizes s = sizes_of(spec);
    if (s.heads == 0 || s.kv_heads == 0 || s.heads % s.kv_heads != 0 || s.dim == 0 ||
        spec->rotary_dim > spec->head_dim)
        return diag_error(diag, layer->block->where,
                          "%d heads on %d KV heads of %d values, %d of them rotary", spec->heads,
                          spec->kv_heads, spec->head_dim, spec->rotary_dim);
    if (spec->output_gate && s.v_dim != s.dim)
        return diag_error(diag, layer->block->where,
                          "an output gate of heads whose values have another width is not run");
    return true;
}

static bool load(struct loading *loading, struct layer *layer)
{
    const struct attention_spec *spec = &layer->block->attention;
    struct sizes s = sizes_of(spec);
    size_t hidden = (size_t)loading->runner->model->hidden;
    struct attention_layer *own = ARENA_NEW(loading->runner->arena, struct attention_layer);
    layer->mixing = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    if (!check(spec, loading->diag, layer))
        return false;
    bool bias = spec->qkv_bias;
    if (spec->sinks && (own->sinks = load_vector(loading, layer, ROLE_SINKS, s.heads)) == NULL)
        return false;
    return load_matrix(loading, layer, ROLE_Q, bias ? ROLE_Q_BIAS : ROLE_COUNT, 0,
                       s.q * (spec->output_gate ? 2 : 1), hidden, &own->q) &&
           load_matrix(loading, layer, ROLE_K, bias ? ROLE_K_BIAS : ROLE_COUNT, 0, s.k, hidden, &own->k) &&
           load_matrix(loading, layer, ROLE_V, bias ? ROLE_V_BIAS : ROLE_COUNT, 0, s.v, hidden, &own->v) &&
           load_matrix(loading, layer, ROLE_O, spec->o_bias ? ROLE_O_BIAS : ROLE_COUNT, 0, hidden, s.out,
                       &own->o) &&
           load_head_norms(loading, layer, own) && load_rope(loading, layer, own) &&
           load_pool(loading, spec->kv_heads, spec->head_dim, &layer->k) &&
           load_pool(loading, spec->kv_heads, (int)s.v_dim, &layer->v);
}

/* ---- a step ---- */

struct rows {
    struct stepping *step;
    const struct layer *layer;
    const struct attention_layer *own;
    struct buffers buffers;
    struct sizes sizes;
};

static void split_gates(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    size_t dim = r->sizes.dim;
    for (size_t i = from * r->sizes.heads; i < to * r->sizes.heads; i++) {
        memcpy(r->buffers.q + i * dim, r->buffers.both + 2 * i * dim, dim * sizeof(float));
        memcpy(r->buffers.gate + i * dim, r->buffers.both + (2 * i + 1) * dim, dim * sizeof(float));
    }
}

static bool project(struct rows *r, const float *in)
{
    struct stepping *step = r->step;
    const struct buffers *b = &r->buffers;
    size_t hidden = (size_t)step->runner->model->hidden;
    bool gated = b->gate != NULL;
    const struct product products[] = {
        step_product(&r->own->q, in, hidden, step->rows, gated ? b->both : b->q, r->own->q.stored.rows),
        step_product(&r->own->k, in, hidden, step->rows, b->k, r->sizes.k),
        step_product(&r->own->v, in, hidden, step->rows, b->v, r->sizes.v),
    };
    if (!step_gemm(step, products, 3))
        return false;
    if (gated)
        step_share(step, split_gates, r, step->rows, 1, 2 * r->sizes.q);
    step_timed(step, OP_NAME_QKV_PROJ, r->layer);
    return true;
}

static void norm_heads(struct rows *r)
{
    struct stepping *step = r->step;
    const struct sizes *s = &r->sizes;
    if (r->own->q_norm.weight == NULL)
        return;
    if (r->layer->block->attention.qk_norm_all_heads) {
        step_norms(step, &r->own->q_norm, r->buffers.q, step->rows, s->q, s->q);
        step_norms(step, &r->own->k_norm, r->buffers.k, step->rows, s->k, s->k);
    } else {
        step_norms(step, &r->own->q_norm, r->buffers.q, step->rows * s->heads, s->dim, s->dim);
        step_norms(step, &r->own->k_norm, r->buffers.k, step->rows * s->kv_heads, s->dim, s->dim);
    }
    step_timed(step, OP_NAME_QK_NORM, r->layer);
}

static void turn_and_write(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct runner *runner = r->step->runner;
    for (size_t row = from; row < to; row++) {
        float *q = r->buffers.q + row * r->sizes.q, *k = r->buffers.k + row * r->sizes.k;
        const struct kv_sequence *view = &runner->views[runner->part_of[row]];
        int position = runner->position[row];
        if (r->own->rotary != NULL) {
            const float *table = rotary_table(r->own->rotary, position);
            rope_heads(runner->isa, &r->own->rotary->rope, table, q, (int)r->sizes.heads, r->sizes.dim);
            rope_heads(runner->isa, &r->own->rotary->rope, table, k, (int)r->sizes.kv_heads, r->sizes.dim);
        }
        kv_write_token(runner->isa, &r->layer->k, view, position, k);
        kv_write_token(runner->isa, &r->layer->v, view, position, r->buffers.v + row * r->sizes.v);
    }
}

static bool attend(struct rows *r)
{
    struct stepping *step = r->step;
    struct runner *runner = step->runner;
    const struct attention_spec *spec = &r->layer->block->attention;
    float scale = runner->hyper->attention_scale;
    for (int p = 0; p < step->part_count; p++)
        runner->spans[p] = (struct attention_rows){
            .cache = runner->views[p], .new_tokens = step->parts[p].count, .first_row = runner->first_row[p]};
    const struct attention attention = {
        .heads = spec->heads,
        .k = &r->layer->k,
        .v = &r->layer->v,
        .v_dim = (int)r->sizes.v_dim,
        .scale = scale > 0 ? scale : 1 / sqrtf((float)spec->head_dim),
        .window = spec->window,
        .sinks = r->own->sinks,
        .softcap = runner->hyper->attention_softcap,
        .q = r->buffers.q,
        .q_stride = r->sizes.q,
        .out = r->buffers.out,
        .out_stride = r->sizes.out,
        .sequences = runner->spans,
        .count = step->part_count,
    };
    if (!runner->reader->read(runner->reader->state, runner->team, runner->isa, r->layer->index, &attention,
                              &runner->attention, step->diag))
        return false;
    step_timed(step, OP_NAME_ATTENTION, r->layer);
    return true;
}

static void gate_values(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    for (size_t i = from; i < to; i++)
        r->buffers.out[i] /= 1 + expf(-r->buffers.gate[i]);
}

static bool run(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct attention_spec *spec = &layer->block->attention;
    struct rows r = {.step = step, .layer = layer, .own = layer->mixing, .sizes = sizes_of(spec)};
    r.buffers = cut(spec, &step->work, step->rows);
    if (!project(&r, in))
        return false;
    norm_heads(&r);
    step_views(step, layer);
    step_share(step, turn_and_write, &r, step->rows, 1, r.sizes.q + r.sizes.k + r.sizes.v);
    step_timed(step, r.own->rotary != NULL ? OP_NAME_ROPE_KV_WRITE : OP_NAME_KV_WRITE, layer);
    if (!attend(&r))
        return false;
    if (r.buffers.gate != NULL) {
        enum { GRAIN = 64, EXPONENTIAL = 8 }; /* an exponential costs about as much as so many values */
        step_share(step, gate_values, &r, step->rows * r.sizes.out, GRAIN, EXPONENTIAL);
        step_timed(step, OP_NAME_ATTENTION_GATE, layer);
    }
    if (!step_linear(step, &r.own->o, r.buffers.out, step->rows, out))
        return false;
    step_timed(step, OP_NAME_O_PROJ, layer);
    return true;
}

const struct sublayer sublayer_attention = {load, plan, run};
