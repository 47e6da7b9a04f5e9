/* Mamba-1 and Mamba-2. */
#include "exec/layers/recurrent.h"

/* ---- Mamba-1 ---- */

struct mamba1_layer {
    struct matrix in_x, in_z, x_proj, dt_proj, out;
    struct conv1d conv;
    struct mamba_scan scan;
};

struct mamba1_buffers {
    float *x, *z, *conv, *dt, *y; /* [rows][inner] */
    float *dbc;                   /* [rows][dt_rank + 2 state] */
};

static struct mamba1_buffers cut1(const struct mamba_spec *spec, struct workspace *workspace, size_t rows)
{
    size_t inner = (size_t)spec->inner;
    return (struct mamba1_buffers){
        .x = workspace_floats(workspace, rows, inner),
        .z = workspace_floats(workspace, rows, inner),
        .conv = workspace_floats(workspace, rows, inner),
        .dt = workspace_floats(workspace, rows, inner),
        .y = workspace_floats(workspace, rows, inner),
        .dbc = workspace_floats(workspace, rows, (size_t)spec->dt_rank + 2 * (size_t)spec->state),
    };
}

static void plan1(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut1(&layer->block->mamba, workspace, (size_t)runner->options.step_tokens);
}

static bool load1(struct loading *loading, struct layer *layer)
{
    const struct mamba_spec *spec = &layer->block->mamba;
    size_t hidden = (size_t)loading->runner->model->hidden, inner = (size_t)spec->inner;
    size_t rank = (size_t)spec->dt_rank, state = (size_t)spec->state;
    struct mamba1_layer *own = ARENA_NEW(loading->runner->arena, struct mamba1_layer);
    layer->mixing = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    own->scan = (struct mamba_scan){.inner = spec->inner, .state = spec->state};
    layer->state.floats = inner * state;
    if ((own->scan.a = load_vector(loading, layer, ROLE_A, inner * state)) == NULL ||
        (own->scan.d = load_vector(loading, layer, ROLE_D, inner)) == NULL)
        return false;
    return load_rows(loading, layer, ROLE_IN_PROJ, 2 * inner, hidden, 0, inner, &own->in_x) &&
           load_rows(loading, layer, ROLE_IN_PROJ, 2 * inner, hidden, inner, inner, &own->in_z) &&
           load_conv(loading, layer, spec->inner, spec->conv_width, spec->conv_bias, &own->conv) &&
           load_matrix(loading, layer, ROLE_X_PROJ, ROLE_COUNT, 0, rank + 2 * state, inner, &own->x_proj) &&
           load_matrix(loading, layer, ROLE_DT_PROJ, ROLE_DT_BIAS, 0, inner, rank, &own->dt_proj) &&
           load_matrix(loading, layer, ROLE_OUT_PROJ, ROLE_COUNT, 0, hidden, inner, &own->out);
}

struct scanning1 {
    const struct stepping *step;
    const struct layer *layer;
    const struct mamba1_layer *own;
    struct mamba1_buffers buffers;
    size_t inner, rank, small; /* small: dt_rank + 2 state */
};

/* Channels [from, to) of all sequences. */
static void scan1(void *context, size_t from, size_t to)
{
    const struct scanning1 *s = context;
    const struct mamba1_buffers *b = &s->buffers;
    for (size_t row = 0; row < s->step->rows; row++)
        softplus_values(s->step->runner->isa, b->dt + row * s->inner + from, to - from);
    for (int p = 0; p < s->step->part_count; p++) {
        const struct step_part *part = &s->step->parts[p];
        size_t row = (size_t)s->step->runner->first_row[p], at = row * s->inner;
        const float *bc = b->dbc + row * s->small + s->rank;
        mamba_scan(s->step->runner->isa, &s->own->scan, b->conv + at, b->dt + at, b->z + at, s->inner, bc,
                   bc + s->own->scan.state, s->small, part->count, (int)from, (int)to,
                   state_of(&s->layer->state, part->sequence), b->y + at);
    }
}

static bool project1(struct stepping *step, const struct layer *layer, const struct mamba1_buffers *b,
                     const float *in)
{
    const struct mamba1_layer *own = layer->mixing;
    size_t hidden = (size_t)step->runner->model->hidden, inner = (size_t)layer->block->mamba.inner;
    const struct product products[] = {
        step_product(&own->in_x, in, hidden, step->rows, b->x, inner),
        step_product(&own->in_z, in, hidden, step->rows, b->z, inner),
    };
    if (!step_gemm(step, products, 2))
        return false;
    step_timed(step, OP_NAME_IN_PROJ, layer);
    step_conv(step, layer, &own->conv, b->x, b->conv);
    if (!step_linear(step, &own->x_proj, b->conv, step->rows, b->dbc))
        return false;
    step_timed(step, OP_NAME_X_PROJ, layer);
    struct product dt =
        step_product(&own->dt_proj, b->dbc, own->x_proj.stored.rows, step->rows, b->dt, inner);
    if (!step_gemm(step, &dt, 1))
        return false;
    step_timed(step, OP_NAME_DT_PROJ, layer);
    return true;
}

static bool run1(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    enum { GRAIN = 16 };
    const struct mamba_spec *spec = &layer->block->mamba;
    const struct mamba1_layer *own = layer->mixing;
    struct scanning1 s = {.step = step,
                          .layer = layer,
                          .own = own,
                          .buffers = cut1(spec, &step->work, step->rows),
                          .inner = (size_t)spec->inner,
                          .rank = (size_t)spec->dt_rank,
                          .small = own->x_proj.stored.rows};
    if (!project1(step, layer, &s.buffers, in))
        return false;
    step_share(step, scan1, &s, s.inner, GRAIN, step->rows * (size_t)spec->state);
    step_timed(step, OP_NAME_RECURRENCE, layer);
    if (!step_linear(step, &own->out, s.buffers.y, step->rows, out))
        return false;
    step_timed(step, OP_NAME_OUT_PROJ, layer);
    return true;
}

const struct sublayer sublayer_mamba1 = {load1, plan1, run1};

/* ---- Mamba-2 ---- */

struct mamba2_layer {
    struct matrix in_z, in_xbc, in_dt, out;
    struct conv1d conv;
    struct mamba2_scan scan;
    const float *dt_bias; /* [heads] */
    const float *norm;    /* [inner] */
};

struct mamba2_buffers {
    float *z, *y;      /* [rows][inner] */
    float *xbc, *conv; /* [rows][inner + 2 groups state] */
    float *dt;         /* [rows][heads] */
};

static size_t channels2(const struct mamba_spec *spec)
{
    return (size_t)spec->inner + 2 * (size_t)spec->groups * (size_t)spec->state;
}

static struct mamba2_buffers cut2(const struct mamba_spec *spec, struct workspace *workspace, size_t rows)
{
    return (struct mamba2_buffers){
        .z = workspace_floats(workspace, rows, (size_t)spec->inner),
        .y = workspace_floats(workspace, rows, (size_t)spec->inner),
        .xbc = workspace_floats(workspace, rows, channels2(spec)),
        .conv = workspace_floats(workspace, rows, channels2(spec)),
        .dt = workspace_floats(workspace, rows, (size_t)spec->heads),
    };
}

static void plan2(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut2(&layer->block->mamba, workspace, (size_t)runner->options.step_tokens);
}

static bool load2(struct loading *loading, struct layer *layer)
{
    const struct mamba_spec *spec = &layer->block->mamba;
    size_t hidden = (size_t)loading->runner->model->hidden, inner = (size_t)spec->inner;
    size_t heads = (size_t)spec->heads, channels = channels2(spec), all = inner + channels + heads;
    struct mamba2_layer *own = ARENA_NEW(loading->runner->arena, struct mamba2_layer);
    layer->mixing = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    if (spec->heads < 1 || spec->groups < 1 || spec->inner % spec->heads != 0 ||
        spec->heads % spec->groups != 0)
        return diag_error(loading->diag, layer->block->where, "%d channels in %d heads of %d groups",
                          spec->inner, spec->heads, spec->groups);
    own->scan = (struct mamba2_scan){.heads = spec->heads,
                                     .head_dim = spec->inner / spec->heads,
                                     .groups = spec->groups,
                                     .state = spec->state};
    layer->state.floats = inner * (size_t)spec->state;
    if ((own->scan.a = load_vector(loading, layer, ROLE_A, heads)) == NULL ||
        (own->scan.d = load_vector(loading, layer, ROLE_D, heads)) == NULL ||
        (own->dt_bias = load_vector(loading, layer, ROLE_DT_BIAS, heads)) == NULL ||
        (own->norm = load_vector(loading, layer, ROLE_GATED_NORM, inner)) == NULL)
        return false;
    return load_rows(loading, layer, ROLE_IN_PROJ, all, hidden, 0, inner, &own->in_z) &&
           load_rows(loading, layer, ROLE_IN_PROJ, all, hidden, inner, channels, &own->in_xbc) &&
           load_rows(loading, layer, ROLE_IN_PROJ, all, hidden, inner + channels, heads, &own->in_dt) &&
           load_conv(loading, layer, (int)channels, spec->conv_width, spec->conv_bias, &own->conv) &&
           load_matrix(loading, layer, ROLE_OUT_PROJ, ROLE_COUNT, 0, hidden, inner, &own->out);
}

struct scanning2 {
    const struct stepping *step;
    const struct layer *layer;
    const struct mamba2_layer *own;
    struct mamba2_buffers buffers;
    size_t inner, heads, channels, group; /* group: channels of one */
};

/* Heads [from, to) of all sequences. */
static void scan2(void *context, size_t from, size_t to)
{
    const struct scanning2 *s = context;
    const struct mamba2_buffers *b = &s->buffers;
    for (size_t row = 0; row < s->step->rows; row++)
        for (size_t h = from; h < to; h++)
            b->dt[row * s->heads + h] = softplus(b->dt[row * s->heads + h] + s->own->dt_bias[h]);
    for (int p = 0; p < s->step->part_count; p++) {
        const struct step_part *part = &s->step->parts[p];
        size_t row = (size_t)s->step->runner->first_row[p];
        const float *x = b->conv + row * s->channels, *bs = x + s->inner;
        mamba2_scan(s->step->runner->isa, &s->own->scan, x, s->channels, b->dt + row * s->heads, s->heads, bs,
                    bs + s->own->scan.groups * s->own->scan.state, s->channels, part->count, (int)from,
                    (int)to, state_of(&s->layer->state, part->sequence), b->y + row * s->inner, s->inner);
    }
}

/* y silu(z), then a norm over the channels of each group, as in mamba_ssm's gated norm. */
static void gate_rows(void *context, size_t from, size_t to)
{
    const struct scanning2 *s = context;
    const struct runner *runner = s->step->runner;
    for (size_t row = from; row < to; row++) {
        float *z = s->buffers.z + row * s->inner;
        activate(runner->isa, ACTIVATION_SILU, z, s->buffers.y + row * s->inner, s->inner, z);
        for (size_t i = 0; i < s->inner; i += s->group)
            rms_norm(runner->isa, z + i, s->own->norm + i, runner->hyper->norm_eps, s->group, z + i);
    }
}

static bool project2(struct scanning2 *s, struct stepping *step, const float *in)
{
    size_t hidden = (size_t)step->runner->model->hidden;
    const struct mamba2_buffers *b = &s->buffers;
    const struct product products[] = {
        step_product(&s->own->in_z, in, hidden, step->rows, b->z, s->inner),
        step_product(&s->own->in_xbc, in, hidden, step->rows, b->xbc, s->channels),
        step_product(&s->own->in_dt, in, hidden, step->rows, b->dt, s->heads),
    };
    if (!step_gemm(step, products, 3))
        return false;
    step_timed(step, OP_NAME_IN_PROJ, s->layer);
    return true;
}

static bool run2(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct mamba_spec *spec = &layer->block->mamba;
    struct scanning2 s = {.step = step,
                          .layer = layer,
                          .own = layer->mixing,
                          .buffers = cut2(spec, &step->work, step->rows),
                          .inner = (size_t)spec->inner,
                          .heads = (size_t)spec->heads,
                          .channels = channels2(spec),
                          .group = (size_t)(spec->inner / spec->groups)};
    if (!project2(&s, step, in))
        return false;
    step_conv(step, layer, &s.own->conv, s.buffers.xbc, s.buffers.conv);
    step_share(step, scan2, &s, s.heads, 1, step->rows * s.inner / s.heads * (size_t)spec->state);
    step_timed(step, OP_NAME_RECURRENCE, layer);
    step_share(step, gate_rows, &s, step->rows, 1, 2 * s.inner);
    step_timed(step, OP_NAME_GATED_NORM, layer);
    if (!step_linear(step, &s.own->out, s.buffers.z, step->rows, out))
        return false;
    step_timed(step, OP_NAME_OUT_PROJ, layer);
    return true;
}

const struct sublayer sublayer_mamba2 = {load2, plan2, run2};
