/* Gated DeltaNet, as Qwen3-Next has it. */
#include "exec/layers/recurrent.h"

#include <math.h>

struct deltanet_layer {
    struct matrix in_qkv, in_z, gates, out;
    struct conv1d conv;
    struct delta_rule rule;
    const float *a, *dt_bias;        /* [value_heads] */
    const float *norm;               /* [value_dim] */
    const float *unit, *scaled_unit; /* [key_dim]: RMS norm's weights that make unit vectors of keys, and
                                        queries of length 1 / sqrt(key_dim) */
};

struct buffers {
    float *qkv, *conv; /* [rows][2 keys + values] */
    float *z, *y;      /* [rows][values] */
    float *gates;      /* [rows][2 value_heads]: beta, decay as projected */
    float *g, *beta;   /* [rows][value_heads] */
};

struct sizes {
    size_t key_heads, heads, key, value; /* key, value: of one head */
    size_t keys, values, channels;
};

static struct sizes sizes_of(const struct deltanet_spec *spec)
{
    struct sizes s = {.key_heads = (size_t)spec->key_heads,
                      .heads = (size_t)spec->value_heads,
                      .key = (size_t)spec->key_head_dim,
                      .value = (size_t)spec->value_head_dim};
    s.keys = s.key_heads * s.key;
    s.values = s.heads * s.value;
    s.channels = 2 * s.keys + s.values;
    return s;
}

static struct buffers cut(const struct deltanet_spec *spec, struct workspace *workspace, size_t rows)
{
    struct sizes s = sizes_of(spec);
    return (struct buffers){
        .qkv = workspace_floats(workspace, rows, s.channels),
        .conv = workspace_floats(workspace, rows, s.channels),
        .z = workspace_floats(workspace, rows, s.values),
        .y = workspace_floats(workspace, rows, s.values),
        .gates = workspace_floats(workspace, rows, 2 * s.heads),
        .g = workspace_floats(workspace, rows, s.heads),
        .beta = workspace_floats(workspace, rows, s.heads),
    };
}

static void plan(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut(&layer->block->deltanet, workspace, (size_t)runner->options.step_tokens);
}

/* ---- loading ---- */

static const float *constant(struct loading *loading, size_t n, double value)
{
    float *values = ARENA_ARRAY(loading->runner->arena, float, n);
    if (values == NULL)
        diag_error(loading->diag, NOWHERE, "out of memory");
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = (float)value;
    return values;
}

static bool load_vectors(struct loading *loading, struct layer *layer, const struct sizes *s,
                         struct deltanet_layer *own)
{
    double key = (double)s->key;
    return (own->a = load_vector(loading, layer, ROLE_A, s->heads)) != NULL &&
           (own->dt_bias = load_vector(loading, layer, ROLE_DT_BIAS, s->heads)) != NULL &&
           (own->norm = load_vector(loading, layer, ROLE_GATED_NORM, s->value)) != NULL &&
           (own->unit = constant(loading, s->key, 1 / sqrt(key))) != NULL &&
           (own->scaled_unit = constant(loading, s->key, 1 / key)) != NULL;
}

static bool load(struct loading *loading, struct layer *layer)
{
    const struct deltanet_spec *spec = &layer->block->deltanet;
    struct sizes s = sizes_of(spec);
    size_t hidden = (size_t)loading->runner->model->hidden;
    struct deltanet_layer *own = ARENA_NEW(loading->runner->arena, struct deltanet_layer);
    layer->mixing = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    if (s.key_heads == 0 || s.heads % s.key_heads != 0)
        return diag_error(loading->diag, layer->block->where, "%d value heads on %d key heads",
                          spec->value_heads, spec->key_heads);
    own->rule = (struct delta_rule){.key_heads = spec->key_heads,
                                    .value_heads = spec->value_heads,
                                    .key_dim = spec->key_head_dim,
                                    .value_dim = spec->value_head_dim,
                                    .tiled = loading->runner->hyper->delta_tiled};
    layer->state.floats = s.values * s.key;
    return load_vectors(loading, layer, &s, own) &&
           load_matrix(loading, layer, ROLE_IN_PROJ, ROLE_COUNT, 0, s.channels, hidden, &own->in_qkv) &&
           load_matrix(loading, layer, ROLE_IN_Z, ROLE_COUNT, 0, s.values, hidden, &own->in_z) &&
           load_matrix(loading, layer, ROLE_IN_GATES, ROLE_COUNT, 0, 2 * s.heads, hidden, &own->gates) &&
           load_conv(loading, layer, (int)s.channels, spec->conv_width, false, &own->conv) &&
           load_matrix(loading, layer, ROLE_OUT_PROJ, ROLE_COUNT, 0, hidden, s.values, &own->out);
}

/* ---- a step ---- */

struct rows {
    const struct stepping *step;
    const struct layer *layer;
    const struct deltanet_layer *own;
    struct buffers buffers;
    struct sizes sizes;
};

/* Queries and keys to their lengths; gates. */
static void prepare_rows(void *context, size_t from, size_t to)
{
    const float eps = 1e-6F; /* added to the squares' sum, as in Qwen3-Next's released code */
    const struct rows *r = context;
    const struct sizes *s = &r->sizes;
    enum isa isa = r->step->runner->isa;
    for (size_t row = from; row < to; row++) {
        float *q = r->buffers.conv + row * s->channels, *k = q + s->keys;
        const float *gates = r->buffers.gates + row * 2 * s->heads;
        for (size_t h = 0; h < s->key_heads; h++) {
            rms_norm(isa, q + h * s->key, r->own->scaled_unit, eps / (float)s->key, s->key, q + h * s->key);
            rms_norm(isa, k + h * s->key, r->own->unit, eps / (float)s->key, s->key, k + h * s->key);
        }
        for (size_t h = 0; h < s->heads; h++) {
            r->buffers.beta[row * s->heads + h] = 1 / (1 + expf(-gates[h]));
            r->buffers.g[row * s->heads + h] =
                expf(r->own->a[h] * softplus(gates[s->heads + h] + r->own->dt_bias[h]));
        }
    }
}

/* Value heads [from, to) of all sequences. */
static void recur(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct sizes *s = &r->sizes;
    for (int p = 0; p < r->step->part_count; p++) {
        const struct step_part *part = &r->step->parts[p];
        size_t row = (size_t)r->step->runner->first_row[p];
        const float *q = r->buffers.conv + row * s->channels, *k = q + s->keys, *v = k + s->keys;
        delta_rule(r->step->runner->isa, &r->own->rule, q, k, v, s->channels, r->buffers.g + row * s->heads,
                   r->buffers.beta + row * s->heads, part->count, (int)from, (int)to,
                   state_of(&r->layer->state, part->sequence), r->buffers.y + row * s->values, s->values);
    }
}

/* norm(y) silu(z), a norm a head; in place of z. */
static void gate_rows(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct runner *runner = r->step->runner;
    const struct sizes *s = &r->sizes;
    for (size_t row = from; row < to; row++) {
        float *y = r->buffers.y + row * s->values, *z = r->buffers.z + row * s->values;
        for (size_t h = 0; h < s->heads; h++)
            rms_norm(runner->isa, y + h * s->value, r->own->norm, runner->hyper->norm_eps, s->value,
                     y + h * s->value);
        activate(runner->isa, ACTIVATION_SILU, z, y, s->values, z);
    }
}

static bool project(struct rows *r, struct stepping *step, const float *in)
{
    size_t hidden = (size_t)step->runner->model->hidden;
    const struct buffers *b = &r->buffers;
    const struct product products[] = {
        step_product(&r->own->in_qkv, in, hidden, step->rows, b->qkv, r->sizes.channels),
        step_product(&r->own->in_z, in, hidden, step->rows, b->z, r->sizes.values),
    };
    if (!step_gemm(step, products, 2))
        return false;
    step_timed(step, OP_NAME_IN_PROJ, r->layer);
    if (!step_linear(step, &r->own->gates, in, step->rows, b->gates))
        return false;
    step_timed(step, OP_NAME_GATES, r->layer);
    return true;
}

static bool run(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct deltanet_spec *spec = &layer->block->deltanet;
    struct rows r = {.step = step,
                     .layer = layer,
                     .own = layer->mixing,
                     .buffers = cut(spec, &step->work, step->rows),
                     .sizes = sizes_of(spec)};
    if (!project(&r, step, in))
        return false;
    step_conv(step, layer, &r.own->conv, r.buffers.qkv, r.buffers.conv);
    step_share(step, prepare_rows, &r, step->rows, 1, 2 * r.sizes.keys);
    step_share(step, recur, &r, r.sizes.heads, 1, step->rows * r.sizes.key * r.sizes.value);
    step_timed(step, OP_NAME_RECURRENCE, layer);
    step_share(step, gate_rows, &r, step->rows, 1, 2 * r.sizes.values);
    step_timed(step, OP_NAME_GATED_NORM, layer);
    if (!step_linear(step, &r.own->out, r.buffers.z, step->rows, out))
        return false;
    step_timed(step, OP_NAME_OUT_PROJ, layer);
    return true;
}

const struct sublayer sublayer_deltanet = {load, plan, run};
