/* Multi-head latent attention. The cache has one latent a token, and the rotary part of its key. Prompts
 * expand the latents to all heads' keys and values; a few tokens on a cached context multiply their queries
 * by the keys' up-projection instead and attend to the latents themselves (arXiv:2405.04434, 2.1). */
#include "exec/runner_parts.h"

#include "exec/kernels/blocks.h"

#include <math.h>
#include <string.h>

/* Up to so many new tokens of a sequence on a cached context are decoded: DECODE_TOKENS_MOST of
 * graph/step.h. */
enum { ABSORBED_MOST = 16 };

struct mla_layer {
    struct matrix q, q_down, q_up, kv_down, o;
    struct norm q_norm, kv_norm;
    struct matrix *k_up;     /* [heads]: [nope][latent] */
    struct matrix *k_absorb; /* [heads]: its transpose */
    struct matrix *v_up;     /* [heads]: [value][latent] */
    const struct rotary *rotary;
};

struct sizes {
    size_t heads, nope, rope, value, latent;
    size_t dim, cached, q, out; /* nope + rope, latent + rope, heads * dim, heads * value */
};

struct buffers {
    float *q_low;      /* [rows][q_lora_rank] */
    float *q;          /* [rows][heads][dim] */
    float *down;       /* [rows][cached] */
    float *out;        /* [rows][heads][value] */
    float *q_latent;   /* [rows][heads][cached] */
    float *out_latent; /* [rows][heads][latent] */
    float *out_some;   /* [rows][heads][value] of the absorbed rows */
    int *some;         /* [rows]: which rows those are */
    /* of one sequence's whole context */
    float *latents;           /* [context][cached] */
    float *k, *v;             /* [context][heads][dim], [context][heads][value] */
    int32_t *pages;           /* 0, 1, 2 ...: K and V as pools of pages of one token */
    struct product *products; /* [2 heads] */
};

static struct sizes sizes_of(const struct mla_spec *spec)
{
    struct sizes s = {.heads = (size_t)spec->heads,
                      .nope = (size_t)spec->qk_nope_head_dim,
                      .rope = (size_t)spec->qk_rope_head_dim,
                      .value = (size_t)spec->v_head_dim,
                      .latent = (size_t)spec->kv_lora_rank};
    s.dim = s.nope + s.rope;
    s.cached = s.latent + s.rope;
    s.q = s.heads * s.dim;
    s.out = s.heads * s.value;
    return s;
}

static struct buffers cut(const struct runner *runner, const struct mla_spec *spec,
                          struct workspace *workspace, size_t rows)
{
    struct sizes s = sizes_of(spec);
    size_t context = (size_t)runner->options.context_tokens;
    return (struct buffers){
        .q_low = workspace_floats(workspace, rows, (size_t)spec->q_lora_rank),
        .q = workspace_floats(workspace, rows, s.q),
        .down = workspace_floats(workspace, rows, s.cached),
        .out = workspace_floats(workspace, rows, s.out),
        .q_latent = workspace_floats(workspace, rows, s.heads * s.cached),
        .out_latent = workspace_floats(workspace, rows, s.heads * s.latent),
        .out_some = workspace_floats(workspace, rows, s.out),
        .some = workspace_take(workspace, rows, sizeof(int)),
        .latents = workspace_floats(workspace, context, s.cached),
        .k = workspace_floats(workspace, context, s.q),
        .v = workspace_floats(workspace, context, s.out),
        .pages = workspace_take(workspace, context, sizeof(int32_t)),
        .products = workspace_take(workspace, 2 * s.heads, sizeof(struct product)),
    };
}

static void plan(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut(runner, &layer->block->mla, workspace, (size_t)runner->options.step_tokens);
}

/* ---- loading ---- */

/* Each head's rows of an up-projection. */
static struct matrix *load_heads(struct loading *loading, struct layer *layer, enum tensor_role role,
                                 size_t heads, size_t rows, size_t cols)
{
    struct matrix *matrices = ARENA_ARRAY(loading->runner->arena, struct matrix, heads);
    if (matrices == NULL) {
        diag_error(loading->diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (size_t h = 0; h < heads; h++)
        if (!load_rows(loading, layer, role, heads * rows, cols, h * rows, rows, &matrices[h]))
            return NULL;
    return matrices;
}

/* turned [cols][rows] = W^T. values: room for rows (cols + 1) floats. */
static void turn(const struct tensor *from, enum weight_type type, float *values, char *turned)
{
    size_t rows = from->rows, cols = from->cols;
    float *row = values + rows * cols;
    for (size_t r = 0; r < rows; r++)
        weights_decode(from->type, tensor_row(from, r), cols, values + r * cols);
    for (size_t c = 0; c < cols; c++) {
        for (size_t r = 0; r < rows; r++)
            row[r] = values[r * cols + c];
        weights_encode(type, row, rows, turned + c * weight_row_bytes(type, rows));
    }
}

/* W^T of a head's [nope][latent], in fp32 or bf16 as it stands, else in fp16: a quantised block cannot be
 * turned. */
static bool transpose(struct loading *loading, const struct matrix *from, struct matrix *to)
{
    size_t rows = from->stored.rows, cols = from->stored.cols, room = rows * (cols + 1) * sizeof(float);
    bool kept = from->stored.type == WEIGHT_F32 || from->stored.type == WEIGHT_BF16;
    enum weight_type type = kept ? from->stored.type : WEIGHT_F16;
    char *turned = runner_own(loading->runner, loading->diag, cols, weight_row_bytes(type, rows));
    float *values = buffer_new(loading->diag, room);
    if (turned != NULL && values != NULL)
        turn(&from->stored, type, values, turned);
    buffer_free(values, room);
    *to = (struct matrix){
        .stored = {.name = from->stored.name, .type = type, .rows = cols, .cols = rows, .data = turned}};
    return turned != NULL && values != NULL && load_own(loading, to);
}

static bool load_absorbed(struct loading *loading, struct mla_layer *own, size_t heads)
{
    own->k_absorb = ARENA_ARRAY(loading->runner->arena, struct matrix, heads);
    if (own->k_absorb == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    bool loaded = true;
    loading->share = 0; /* work is counted where the weights stand as they are stored */
    for (size_t h = 0; h < heads && loaded; h++)
        loaded = transpose(loading, &own->k_up[h], &own->k_absorb[h]);
    loading->share = 1;
    return loaded;
}

static bool load_query(struct loading *loading, struct layer *layer, const struct mla_spec *spec,
                       struct mla_layer *own)
{
    size_t hidden = (size_t)loading->runner->model->hidden, rank = (size_t)spec->q_lora_rank;
    size_t width = sizes_of(spec).q;
    if (rank == 0)
        return load_matrix(loading, layer, ROLE_Q, ROLE_COUNT, 0, width, hidden, &own->q);
    return load_matrix(loading, layer, ROLE_MLA_Q_DOWN, ROLE_COUNT, 0, rank, hidden, &own->q_down) &&
           load_norm(loading, layer, ROLE_MLA_Q_NORM, ROLE_COUNT, rank, &own->q_norm) &&
           load_matrix(loading, layer, ROLE_MLA_Q_UP, ROLE_COUNT, 0, width, rank, &own->q_up);
}

static bool load(struct loading *loading, struct layer *layer)
{
    const struct mla_spec *spec = &layer->block->mla;
    struct sizes s = sizes_of(spec);
    size_t hidden = (size_t)loading->runner->model->hidden;
    struct mla_layer *own = ARENA_NEW(loading->runner->arena, struct mla_layer);
    layer->mixing = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    int rotary = load_rotary(loading, spec->qk_rope_head_dim, false);
    if (rotary < 0 || !load_query(loading, layer, spec, own))
        return false;
    own->rotary = &loading->runner->rotaries[rotary];
    own->k_up = load_heads(loading, layer, ROLE_MLA_K_UP, s.heads, s.nope, s.latent);
    own->v_up = load_heads(loading, layer, ROLE_MLA_V_UP, s.heads, s.value, s.latent);
    return own->k_up != NULL && own->v_up != NULL && load_absorbed(loading, own, s.heads) &&
           load_matrix(loading, layer, ROLE_MLA_KV_DOWN, ROLE_COUNT, 0, s.cached, hidden, &own->kv_down) &&
           load_norm(loading, layer, ROLE_MLA_KV_NORM, ROLE_COUNT, s.latent, &own->kv_norm) &&
           load_matrix(loading, layer, ROLE_O, ROLE_COUNT, 0, hidden, s.out, &own->o) &&
           load_pool(loading, 1, (int)s.cached, &layer->k);
}

/* ---- a step: queries and latents ---- */

struct rows {
    struct stepping *step;
    const struct layer *layer;
    const struct mla_spec *spec;
    const struct mla_layer *own;
    struct sizes sizes;
    struct buffers buffers;
    size_t absorbed; /* how many rows */
};

static bool project_query(struct rows *r, const float *in)
{
    struct stepping *step = r->step;
    const struct buffers *b = &r->buffers;
    size_t rank = (size_t)r->spec->q_lora_rank;
    if (rank == 0) {
        if (!step_linear(step, &r->own->q, in, step->rows, b->q))
            return false;
        step_timed(step, OP_NAME_Q_PROJ, r->layer);
        return true;
    }
    if (!step_linear(step, &r->own->q_down, in, step->rows, b->q_low))
        return false;
    step_timed(step, OP_NAME_MLA_Q_DOWN, r->layer);
    step_norms(step, &r->own->q_norm, b->q_low, step->rows, rank, rank);
    step_timed(step, OP_NAME_MLA_Q_NORM, r->layer);
    if (!step_linear(step, &r->own->q_up, b->q_low, step->rows, b->q))
        return false;
    step_timed(step, OP_NAME_MLA_Q_UP, r->layer);
    return true;
}

static void turn_and_write(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct runner *runner = r->step->runner;
    const struct sizes *s = &r->sizes;
    const struct rope *rope = &r->own->rotary->rope;
    for (size_t row = from; row < to; row++) {
        const float *table = rotary_table(r->own->rotary, runner->position[row]);
        float *down = r->buffers.down + row * s->cached;
        for (size_t h = 0; h < s->heads; h++)
            rope_heads(runner->isa, rope, table, r->buffers.q + row * s->q + h * s->dim + s->nope, 1,
                       s->rope);
        rope_heads(runner->isa, rope, table, down + s->latent, 1, s->rope);
        kv_write_token(runner->isa, &r->layer->k, &runner->views[runner->part_of[row]], runner->position[row],
                       down);
    }
}

static bool make_latents(struct rows *r, const float *in)
{
    struct stepping *step = r->step;
    const struct sizes *s = &r->sizes;
    if (!step_linear(step, &r->own->kv_down, in, step->rows, r->buffers.down))
        return false;
    step_timed(step, OP_NAME_MLA_KV_DOWN, r->layer);
    step_norms(step, &r->own->kv_norm, r->buffers.down, step->rows, s->cached, s->latent);
    step_timed(step, OP_NAME_MLA_KV_NORM, r->layer);
    step_views(step, r->layer);
    step_share(step, turn_and_write, r, step->rows, 1, s->heads * s->rope + s->cached);
    step_timed(step, OP_NAME_ROPE_KV_WRITE, r->layer);
    return true;
}

static float score_scale(const struct rows *r)
{
    float scale = r->step->runner->hyper->attention_scale;
    return scale > 0 ? scale : 1 / sqrtf((float)r->sizes.dim);
}

static bool attend(struct rows *r, const struct attention *attention)
{
    struct runner *runner = r->step->runner;
    if (!runner->reader->read(runner->reader->state, runner->team, runner->isa, r->layer->index, attention,
                              &runner->attention, r->step->diag))
        return false;
    step_timed(r->step, OP_NAME_ATTENTION, r->layer);
    return true;
}

/* ---- a prompt: keys and values of all heads ---- */

struct expanding {
    const struct rows *rows;
    int part;
    const float *latents; /* [tokens][cached] */
};

static void read_latents(void *context, size_t from, size_t to)
{
    const struct expanding *e = context;
    const struct kv_pool *pool = &e->rows->layer->k;
    const struct kv_sequence *view = &e->rows->step->runner->views[e->part];
    for (size_t t = from; t < to; t++)
        kv_decode_row(pool->type, kv_row(pool, view, 0, (int)t), e->rows->sizes.cached,
                      e->rows->buffers.latents + t * e->rows->sizes.cached);
}

static void share_rope(void *context, size_t from, size_t to)
{
    const struct expanding *e = context;
    const struct sizes *s = &e->rows->sizes;
    for (size_t t = from; t < to; t++) {
        e->rows->buffers.pages[t] = (int32_t)t;
        for (size_t h = 0; h < s->heads; h++)
            memcpy(e->rows->buffers.k + t * s->q + h * s->dim + s->nope,
                   e->latents + t * s->cached + s->latent, s->rope * sizeof(float));
    }
}

static bool expand(const struct rows *r, int part)
{
    struct stepping *step = r->step;
    const struct sizes *s = &r->sizes;
    const struct buffers *b = &r->buffers;
    struct expanding expanding = {.rows = r, .part = part};
    size_t tokens = (size_t)step->runner->views[part].tokens;
    if (step->runner->before[part] > 0) {
        step_share(step, read_latents, &expanding, tokens, 1, s->cached);
        expanding.latents = b->latents;
    } else {
        expanding.latents = b->down + (size_t)step->runner->first_row[part] * s->cached;
    }
    for (size_t h = 0; h < s->heads; h++) {
        b->products[2 * h] =
            step_product(&r->own->k_up[h], expanding.latents, s->cached, tokens, b->k + h * s->dim, s->q);
        b->products[2 * h + 1] =
            step_product(&r->own->v_up[h], expanding.latents, s->cached, tokens, b->v + h * s->value, s->out);
    }
    if (!step_gemm(step, b->products, 2 * (int)s->heads))
        return false;
    step_share(step, share_rope, &expanding, tokens, 1, s->heads * s->rope);
    step_timed(step, OP_NAME_MLA_KV_UP, r->layer);
    return true;
}

static struct kv_pool whole_pool(size_t heads, size_t dim, float *base)
{
    return (struct kv_pool){.type = KV_F32,
                            .heads = (int)heads,
                            .dim = (int)dim,
                            .page_tokens = 1,
                            .row_bytes = dim * sizeof(float),
                            .page_stride = heads * dim * sizeof(float),
                            .base = (char *)base};
}

static bool run_expanded(struct rows *r, int part)
{
    struct runner *runner = r->step->runner;
    const struct sizes *s = &r->sizes;
    const struct buffers *b = &r->buffers;
    if (!expand(r, part))
        return false;
    const struct kv_pool k = whole_pool(s->heads, s->dim, b->k), v = whole_pool(s->heads, s->value, b->v);
    const struct attention_rows span = {.cache = {b->pages, runner->views[part].tokens},
                                        .new_tokens = r->step->parts[part].count,
                                        .first_row = runner->first_row[part]};
    const struct attention attention = {.heads = (int)s->heads,
                                        .k = &k,
                                        .v = &v,
                                        .v_dim = (int)s->value,
                                        .scale = score_scale(r),
                                        .softcap = runner->hyper->attention_softcap,
                                        .q = b->q,
                                        .q_stride = s->q,
                                        .out = b->out,
                                        .out_stride = s->out,
                                        .sequences = &span,
                                        .count = 1};
    return attend(r, &attention);
}

/* ---- decoding: attention to the latents ---- */

static bool is_absorbed(const struct stepping *step, int part)
{
    return step->runner->before[part] > 0 && step->parts[part].count <= ABSORBED_MOST;
}

static void copy_rope(void *context, size_t from, size_t to)
{
    const struct rows *r = context;
    const struct sizes *s = &r->sizes;
    for (size_t i = from; i < to; i++)
        for (size_t h = 0; h < s->heads; h++)
            memcpy(r->buffers.q_latent + (i * s->heads + h) * s->cached + s->latent,
                   r->buffers.q + (size_t)r->buffers.some[i] * s->q + h * s->dim + s->nope,
                   s->rope * sizeof(float));
}

static bool absorb_query(struct rows *r)
{
    struct stepping *step = r->step;
    const struct sizes *s = &r->sizes;
    const struct buffers *b = &r->buffers;
    for (size_t h = 0; h < s->heads; h++) {
        b->products[h] = step_product(&r->own->k_absorb[h], b->q + h * s->dim, s->q, r->absorbed,
                                      b->q_latent + h * s->cached, s->heads * s->cached);
        b->products[h].rows = b->some;
    }
    if (!step_gemm(step, b->products, (int)s->heads))
        return false;
    step_share(step, copy_rope, r, r->absorbed, 1, s->heads * s->rope);
    step_timed(step, OP_NAME_MLA_Q_ABSORB, r->layer);
    return true;
}

static bool raise_values(struct rows *r)
{
    struct stepping *step = r->step;
    const struct sizes *s = &r->sizes;
    const struct buffers *b = &r->buffers;
    for (size_t h = 0; h < s->heads; h++)
        b->products[h] = step_product(&r->own->v_up[h], b->out_latent + h * s->latent, s->heads * s->latent,
                                      r->absorbed, b->out_some + h * s->value, s->out);
    if (!step_gemm(step, b->products, (int)s->heads))
        return false;
    for (size_t i = 0; i < r->absorbed; i++)
        memcpy(b->out + (size_t)b->some[i] * s->out, b->out_some + i * s->out, s->out * sizeof(float));
    step_timed(step, OP_NAME_MLA_V_UP, r->layer);
    return true;
}

/* The rows of the parts that are decoded, and the spans of q_latent that they take. Returns the parts. */
static int gather_absorbed(struct rows *r)
{
    struct stepping *step = r->step;
    struct runner *runner = step->runner;
    int spans = 0;
    for (int p = 0; p < step->part_count; p++) {
        if (!is_absorbed(step, p))
            continue;
        runner->spans[spans++] = (struct attention_rows){
            .cache = runner->views[p], .new_tokens = step->parts[p].count, .first_row = (int)r->absorbed};
        for (int t = 0; t < step->parts[p].count; t++)
            r->buffers.some[r->absorbed++] = runner->first_row[p] + t;
    }
    return spans;
}

static bool run_absorbed(struct rows *r)
{
    struct runner *runner = r->step->runner;
    const struct sizes *s = &r->sizes;
    const struct buffers *b = &r->buffers;
    int spans = gather_absorbed(r);
    if (spans == 0)
        return true;
    if (!absorb_query(r))
        return false;
    const struct attention attention = {.heads = (int)s->heads,
                                        .k = &r->layer->k,
                                        .v = &r->layer->k,
                                        .v_dim = (int)s->latent,
                                        .scale = score_scale(r),
                                        .softcap = runner->hyper->attention_softcap,
                                        .q = b->q_latent,
                                        .q_stride = s->heads * s->cached,
                                        .out = b->out_latent,
                                        .out_stride = s->heads * s->latent,
                                        .sequences = runner->spans,
                                        .count = spans};
    return attend(r, &attention) && raise_values(r);
}

static bool run(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct mla_spec *spec = &layer->block->mla;
    struct rows r = {.step = step,
                     .layer = layer,
                     .spec = spec,
                     .own = layer->mixing,
                     .sizes = sizes_of(spec),
                     .buffers = cut(step->runner, spec, &step->work, step->rows)};
    if (!project_query(&r, in) || !make_latents(&r, in))
        return false;
    for (int p = 0; p < step->part_count; p++)
        if (!is_absorbed(step, p) && !run_expanded(&r, p))
            return false;
    if (!run_absorbed(&r) || !step_linear(step, &r.own->o, r.buffers.out, step->rows, out))
        return false;
    step_timed(step, OP_NAME_O_PROJ, layer);
    return true;
}

const struct sublayer sublayer_mla = {load, plan, run};
