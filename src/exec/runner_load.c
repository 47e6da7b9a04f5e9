/* Loading: a layer's tensors, the sizes of what it keeps, and memory for it. */
#include "exec/runner_parts.h"

#include "exec/rope_scaling.h"

#include <limits.h>
#include <string.h>

void *workspace_take(struct workspace *workspace, size_t count, size_t size)
{
    enum { LINE = 64 };
    size_t bytes, end;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - LINE ||
        __builtin_add_overflow(workspace->used, (bytes + LINE - 1) / LINE * LINE, &end)) {
        workspace->failed = true;
        return NULL;
    }
    char *at = workspace->base != NULL ? workspace->base + workspace->used : NULL;
    workspace->used = end;
    return at;
}

float *workspace_floats(struct workspace *workspace, size_t rows, size_t width)
{
    size_t count;
    if (__builtin_mul_overflow(rows, width, &count)) {
        workspace->failed = true;
        return NULL;
    }
    return workspace_take(workspace, count, sizeof(float));
}

void *runner_own(struct runner *runner, struct diag *diag, size_t count, size_t size)
{
    size_t bytes;
    struct owned *owned = ARENA_NEW(runner->arena, struct owned);
    if (owned == NULL || __builtin_mul_overflow(count, size, &bytes)) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    owned->size = bytes > 0 ? bytes : 1;
    owned->bytes = buffer_new(diag, owned->size);
    if (owned->bytes == NULL)
        return NULL;
    owned->next = runner->owned;
    runner->owned = owned;
    return owned->bytes;
}

static int layer_index(const struct layer *layer)
{
    return layer != NULL ? layer->index : 0;
}

bool load_own(struct loading *loading, struct matrix *matrix)
{
    struct matrix_node *node = ARENA_NEW(loading->runner->arena, struct matrix_node);
    if (node == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    *node = (struct matrix_node){matrix, loading->share, loading->runner->matrices};
    loading->runner->matrices = node;
    return true;
}

const float *load_vector(struct loading *loading, const struct layer *layer, enum tensor_role role, size_t n)
{
    struct runner *runner = loading->runner;
    int errors = loading->diag->errors;
    const float *vector =
        weights_vector(runner->weights, runner->arena, loading->diag, role, layer_index(layer), 0, n);
    if (vector == NULL && loading->diag->errors == errors)
        diag_error(loading->diag, NOWHERE, "layer %d has no %s", layer_index(layer), tensor_role_name(role));
    return vector;
}

bool load_matrix(struct loading *loading, const struct layer *layer, enum tensor_role role,
                 enum tensor_role bias, int part, size_t rows, size_t cols, struct matrix *matrix)
{
    *matrix = (struct matrix){0};
    if (!weights_need(loading->runner->weights, loading->diag, role, layer_index(layer), part, rows, cols,
                      &matrix->stored))
        return false;
    if (bias != ROLE_COUNT && (matrix->bias = load_vector(loading, layer, bias, rows)) == NULL)
        return false;
    return load_own(loading, matrix);
}

bool load_rows(struct loading *loading, const struct layer *layer, enum tensor_role role, size_t rows,
               size_t cols, size_t from, size_t count, struct matrix *matrix)
{
    *matrix = (struct matrix){0};
    if (!weights_need(loading->runner->weights, loading->diag, role, layer_index(layer), 0, rows, cols,
                      &matrix->stored))
        return false;
    matrix->stored.data = tensor_row(&matrix->stored, from);
    matrix->stored.rows = count;
    return load_own(loading, matrix);
}

bool load_norm(struct loading *loading, const struct layer *layer, enum tensor_role role,
               enum tensor_role bias, size_t n, struct norm *norm)
{
    struct runner *runner = loading->runner;
    *norm = (struct norm){.eps = runner->hyper->norm_eps, .layer = runner->model->norm == NORM_LAYER};
    norm->weight = load_vector(loading, layer, role, n);
    if (norm->weight == NULL)
        return false;
    if (runner->hyper->norm_plus_one) {
        float *weight = ARENA_ARRAY(runner->arena, float, n);
        if (weight == NULL)
            return diag_error(loading->diag, NOWHERE, "out of memory");
        for (size_t i = 0; i < n; i++)
            weight[i] = 1 + norm->weight[i];
        norm->weight = weight;
    }
    if (bias == ROLE_COUNT || !runner->model->norm_bias)
        return true;
    norm->bias = load_vector(loading, layer, bias, n);
    return norm->bias != NULL;
}

/* Frequencies, then every position's cosines and sines. */
static bool fill_rotary(struct loading *loading, struct rotary *rotary, int n)
{
    struct runner *runner = loading->runner;
    size_t pairs = (size_t)n / 2, context = (size_t)runner->options.context_tokens;
    struct tensor tensor;
    const float *factors = NULL;
    /* one set for the whole run, by the context that there is room for, as llama.cpp chooses */
    bool beyond = (float)context > runner->hyper->rope_original_context &&
                  weights_find(runner->weights, ROLE_ROPE_FACTORS_LONG, 0, 0, &tensor);
    enum tensor_role role = beyond ? ROLE_ROPE_FACTORS_LONG : ROLE_ROPE_FACTORS;
    if (weights_find(runner->weights, role, 0, 0, &tensor) &&
        (factors = load_vector(loading, NULL, role, pairs)) == NULL)
        return false;
    double *exact = ARENA_ARRAY(runner->arena, double, pairs);
    float *frequencies = ARENA_ARRAY(runner->arena, float, pairs);
    rotary->tables = runner_own(runner, loading->diag, context, (size_t)n * sizeof(float));
    if (exact == NULL || frequencies == NULL || rotary->tables == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    double magnitude = rope_frequencies(runner->hyper, n, rotary->local, factors, exact);
    for (size_t i = 0; i < pairs; i++)
        frequencies[i] = (float)exact[i];
    rotary->rope = (struct rope){.n = n,
                                 .interleaved = runner->hyper->rope_interleaved,
                                 .frequencies = frequencies,
                                 .magnitude = (float)magnitude};
    for (size_t position = 0; position < context; position++)
        rope_table(&rotary->rope, (int)position, rotary->tables + position * (size_t)n);
    return true;
}

int load_rotary(struct loading *loading, int n, bool local)
{
    struct runner *runner = loading->runner;
    local = local && runner->hyper->rope_theta_local > 0;
    for (int i = 0; i < runner->rotary_count; i++)
        if (runner->rotaries[i].rope.n == n && runner->rotaries[i].local == local)
            return i;
    if (n < 2 || n % 2 != 0 || runner->rotary_count == ROTARIES_MOST) {
        diag_error(loading->diag, NOWHERE,
                   "rotary embeddings of %d values, expected an even number, and at most %d kinds", n,
                   ROTARIES_MOST);
        return -1;
    }
    struct rotary *rotary = &runner->rotaries[runner->rotary_count];
    rotary->local = local;
    return fill_rotary(loading, rotary, n) ? runner->rotary_count++ : -1;
}

bool load_pool(struct loading *loading, int heads, int dim, struct kv_pool *pool)
{
    const struct runner_options *options = &loading->runner->options;
    enum { BLOCK = 32 };
    if ((options->kv == KV_Q8_0 || options->kv == KV_Q4_0) && dim % BLOCK != 0)
        return diag_error(loading->diag, NOWHERE,
                          "KV heads of %d values cannot be cached as %s, which has blocks of %d", dim,
                          kv_type_name(options->kv), BLOCK);
    *pool = (struct kv_pool){.type = options->kv,
                             .heads = heads,
                             .dim = dim,
                             .page_tokens = options->page_tokens,
                             .row_bytes = kv_row_bytes(options->kv, (size_t)dim)};
    if (__builtin_mul_overflow((size_t)heads * (size_t)options->page_tokens, pool->row_bytes,
                               &pool->page_stride))
        return diag_error(loading->diag, NOWHERE, "pages of the KV cache are too large");
    return true;
}

/* ---- layers ---- */

static const struct sublayer *const mixers[] = {
    [MIXER_ATTENTION] = &sublayer_attention,     [MIXER_MLA] = &sublayer_mla,
    [MIXER_MAMBA1] = &sublayer_mamba1,           [MIXER_MAMBA2] = &sublayer_mamba2,
    [MIXER_GATED_DELTANET] = &sublayer_deltanet, [MIXER_NONE] = NULL,
};
static const struct sublayer *const ffns[] = {
    [FFN_NONE] = NULL, [FFN_DENSE] = &sublayer_dense, [FFN_MOE] = &sublayer_moe};

static bool load_post_norm(struct loading *loading, const struct layer *layer, enum tensor_role role,
                           struct norm *norm)
{
    struct tensor tensor;
    return !weights_find(loading->runner->weights, role, layer->index, 0, &tensor) ||
           load_norm(loading, layer, role, ROLE_COUNT, (size_t)loading->runner->model->hidden, norm);
}

static bool load_layer(struct loading *loading, struct layer *layer)
{
    const struct block_spec *block = layer->block;
    size_t hidden = (size_t)loading->runner->model->hidden;
    layer->mixer = mixers[block->mixer];
    layer->ffn = ffns[block->ffn];
    layer->parallel = block->mixer == MIXER_ATTENTION && block->attention.parallel && layer->ffn != NULL;
    bool one_norm = layer->parallel && block->norms == 1;
    if (layer->mixer != NULL &&
        !load_norm(loading, layer, ROLE_ATTENTION_NORM, ROLE_ATTENTION_NORM_BIAS, hidden, &layer->mixer_norm))
        return false;
    if (layer->ffn != NULL && !one_norm &&
        !load_norm(loading, layer, ROLE_FFN_NORM, ROLE_FFN_NORM_BIAS, hidden, &layer->ffn_norm))
        return false;
    return load_post_norm(loading, layer, ROLE_POST_ATTENTION_NORM, &layer->post_mixer) &&
           load_post_norm(loading, layer, ROLE_POST_FFN_NORM, &layer->post_ffn) &&
           (layer->mixer == NULL || layer->mixer->load(loading, layer)) &&
           (layer->ffn == NULL || layer->ffn->load(loading, layer));
}

static bool load_layers(struct loading *loading)
{
    struct runner *runner = loading->runner;
    runner->layers = ARENA_ARRAY(runner->arena, struct layer, (size_t)runner->model->layers);
    if (runner->layers == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    for (int i = 0; i < runner->model->layers; i++) {
        struct layer *layer = &runner->layers[i];
        layer->index = i;
        layer->block = &runner->model->blocks[runner->model->pattern[i]];
        if (!load_layer(loading, layer))
            return false;
    }
    return true;
}

static bool load_outside(struct loading *loading)
{
    struct runner *runner = loading->runner;
    const struct model *model = runner->model;
    size_t hidden = (size_t)model->hidden, vocab = (size_t)model->vocab;
    if (!weights_need(runner->weights, loading->diag, ROLE_EMBEDDING, 0, 0, vocab, hidden,
                      &runner->embedding))
        return false;
    if (model->learned_positions > 0 &&
        !weights_need(runner->weights, loading->diag, ROLE_POSITIONS, 0, 0, (size_t)model->learned_positions,
                      hidden, &runner->positions))
        return false;
    if (model->embedding_norm && !load_norm(loading, NULL, ROLE_EMBEDDING_NORM, ROLE_EMBEDDING_NORM_BIAS,
                                            hidden, &runner->embedding_norm))
        return false;
    return load_norm(loading, NULL, ROLE_FINAL_NORM, ROLE_FINAL_NORM_BIAS, hidden, &runner->final_norm) &&
           load_matrix(loading, NULL, ROLE_HEAD, model->head_bias ? ROLE_HEAD_BIAS : ROLE_COUNT, 0, vocab,
                       hidden, &runner->head);
}

/* ---- memory ---- */

/* Cuts all layers' caches from one piece of memory. */
static void cut_caches(struct runner *runner, struct workspace *workspace)
{
    size_t pages = (size_t)runner->cache.pages, sequences = (size_t)runner->options.sequences;
    for (int i = 0; i < runner->model->layers; i++) {
        struct layer *layer = &runner->layers[i];
        layer->k.base = workspace_take(workspace, pages, layer->k.page_stride);
        layer->v.base = workspace_take(workspace, pages, layer->v.page_stride);
        layer->conv.base = workspace_floats(workspace, sequences, layer->conv.floats);
        layer->state.base = workspace_floats(workspace, sequences, layer->state.floats);
    }
}

/* The step's arrays, and behind them the most that any sub-layer takes. */
static void cut_step(struct runner *runner, struct workspace *workspace)
{
    size_t rows = (size_t)runner->options.step_tokens, parts = (size_t)runner->options.sequences;
    size_t hidden = (size_t)runner->model->hidden, most = 0;
    runner->x = workspace_floats(workspace, rows, hidden);
    runner->normed = workspace_floats(workspace, rows, hidden);
    for (int i = 0; i < SUMMANDS_MOST; i++)
        runner->added[i] = workspace_floats(workspace, rows, hidden);
    runner->first_row = workspace_take(workspace, parts, sizeof(int));
    runner->before = workspace_take(workspace, parts, sizeof(int));
    runner->position = workspace_take(workspace, rows, sizeof(int));
    runner->part_of = workspace_take(workspace, rows, sizeof(int));
    runner->views = workspace_take(workspace, parts, sizeof *runner->views);
    runner->spans = workspace_take(workspace, parts, sizeof *runner->spans);
    for (int i = 0; i < runner->model->layers; i++) {
        const struct layer *layer = &runner->layers[i];
        const struct sublayer *const subs[] = {layer->mixer, layer->ffn};
        for (int s = 0; s < 2; s++) {
            struct workspace own = {0};
            if (subs[s] != NULL)
                subs[s]->plan(runner, layer, &own);
            most = own.used > most ? own.used : most;
            workspace->failed |= own.failed;
        }
    }
    runner->work.base = workspace_take(workspace, most, 1);
}

struct touching {
    char *bytes;
    size_t count;
};

static void touch_share(void *context, int thread, int threads)
{
    enum { PAGE = 4096 };
    const struct touching *touching = context;
    size_t from, to;
    team_share(touching->count, PAGE, thread, threads, &from, &to);
    memset(touching->bytes + from, 0, to - from);
}

static void touch(struct runner *runner, void *bytes, size_t count)
{
    struct touching touching = {bytes, count};
    if (count > 0)
        team_run(runner->team, touch_share, &touching);
}

/* Memory that its threads have written once: the first step does not wait for pages. */
static bool cut(struct loading *loading, void (*cutter)(struct runner *, struct workspace *))
{
    struct workspace workspace = {0};
    cutter(loading->runner, &workspace);
    if (workspace.failed)
        return diag_error(loading->diag, NOWHERE, "the step or its cache is too large");
    workspace.base = runner_own(loading->runner, loading->diag, workspace.used, 1);
    if (workspace.base == NULL)
        return false;
    touch(loading->runner, workspace.base, workspace.used);
    workspace.used = 0;
    cutter(loading->runner, &workspace);
    return true;
}

/* Scratch of a step's products; experts take shares of its rows that are not known here. */
static bool reserve_products(struct loading *loading)
{
    enum { TOGETHER = 4 }; /* q, k and v, gate and up: with the same x */
    struct runner *runner = loading->runner;
    for (const struct matrix_node *node = runner->matrices; node != NULL; node = node->next) {
        const struct tensor *w = &node->matrix->stored;
        struct product products[TOGETHER];
        for (int i = 0; i < TOGETHER; i++)
            products[i] = (struct product){.w = node->matrix,
                                           .x_stride = w->cols,
                                           .m = runner->options.step_tokens,
                                           .y_stride = w->rows};
        if (!gemm_reserve(runner->team, runner->isa, products, TOGETHER, &runner->gemm, loading->diag))
            return false;
    }
    return true;
}

/* Scratch of attention where each of `parts` sequences has so many new tokens at the end of its context. */
static bool reserve_attention(struct loading *loading, const struct layer *layer, int parts, int new_tokens)
{
    struct runner *runner = loading->runner;
    const struct attention_spec *spec = &layer->block->attention;
    const struct attention attention = {.heads = spec->heads,
                                        .k = &layer->k,
                                        .v = &layer->v,
                                        .v_dim = layer->v.dim,
                                        .scale = 1,
                                        .window = spec->window,
                                        .sequences = runner->spans,
                                        .count = parts};
    for (int p = 0; p < parts; p++)
        runner->spans[p] = (struct attention_rows){.cache = {.tokens = runner->options.context_tokens},
                                                   .new_tokens = new_tokens};
    return attention_reserve(runner->team, &attention, &runner->attention, loading->diag);
}

/* Scratch of the largest steps, so that the first one does not wait for its pages either. */
static bool reserve_scratch(struct loading *loading)
{
    struct runner *runner = loading->runner;
    const struct runner_options *options = &runner->options;
    const struct block_spec *before = NULL;
    int parts = options->sequences < options->step_tokens ? options->sequences : options->step_tokens;
    int each = options->step_tokens / parts;
    each = each < options->context_tokens ? each : options->context_tokens;
    for (int i = 0; i < runner->model->layers; i++) {
        const struct layer *layer = &runner->layers[i];
        if (layer->block->mixer == MIXER_ATTENTION && layer->block != before &&
            (!reserve_attention(loading, layer, parts, each) || !reserve_attention(loading, layer, parts, 1)))
            return false;
        before = layer->block;
    }
    if (!reserve_products(loading))
        return false;
    touch(runner, runner->gemm.bytes, runner->gemm.capacity);
    touch(runner, runner->attention.bytes, runner->attention.capacity);
    return true;
}

/* ---- copies ---- */

/* A matrix is copied packed where kernels have such an order for its type, else as it is where it stands in
 * small pages, as mapped files do: reading 2 GB of bf16 weights from them took 5% longer. Copies stand in the
 * order of their use: what is fetched ahead at the end of one is the beginning of the next. */
struct copies {
    const struct runner *runner;
    struct matrix **matrices; /* [count], as they were loaded */
    void **to;                /* of each; NULL: it stays where it is */
    size_t count;
};

static size_t copy_bytes(const struct runner *runner, const struct tensor *stored)
{
    size_t packed = matrix_packed_bytes(stored, runner->isa);
    if (packed > 0 || weights_in_large_pages(runner->weights, stored->data))
        return packed;
    return stored->rows * weight_row_bytes(stored->type, stored->cols);
}

static void copy_rows(const struct tensor *stored, enum isa isa, size_t from, size_t to, void *copy)
{
    size_t row = weight_row_bytes(stored->type, stored->cols);
    if (matrix_packed_bytes(stored, isa) > 0)
        matrix_pack(stored, isa, from, to, copy);
    else
        memcpy((char *)copy + from * row, tensor_row(stored, from), (to - from) * row);
}

static void copy_share(void *context, int thread, int threads)
{
    enum { GRAIN = 64 }; /* rows: a multiple of every kernel's panel */
    const struct copies *copies = context;
    for (size_t i = 0; i < copies->count; i++) {
        const struct tensor *stored = &copies->matrices[i]->stored;
        size_t from, to;
        team_share(stored->rows, GRAIN, thread, threads, &from, &to);
        if (copies->to[i] != NULL && from < to)
            copy_rows(stored, copies->runner->isa, from, to, copies->to[i]);
    }
}

static void use_copies(const struct copies *copies)
{
    for (size_t i = 0; i < copies->count; i++) {
        struct matrix *matrix = copies->matrices[i];
        if (matrix_packed_bytes(&matrix->stored, copies->runner->isa) > 0)
            matrix->packed = copies->to[i];
        else if (copies->to[i] != NULL)
            matrix->stored.data = copies->to[i];
    }
}

/* The runner's list has the last one first. */
static bool list_matrices(struct runner *runner, struct copies *copies)
{
    *copies = (struct copies){.runner = runner};
    for (const struct matrix_node *node = runner->matrices; node != NULL; node = node->next)
        copies->count++;
    copies->matrices = ARENA_ARRAY(runner->arena, struct matrix *, copies->count);
    copies->to = ARENA_ARRAY(runner->arena, void *, copies->count);
    if (copies->matrices == NULL || copies->to == NULL)
        return false;
    size_t at = copies->count;
    for (const struct matrix_node *node = runner->matrices; node != NULL; node = node->next)
        copies->matrices[--at] = node->matrix;
    return true;
}

/* Without a base the workspace only counts. */
static void place_copies(struct copies *copies, struct workspace *workspace)
{
    for (size_t i = 0; i < copies->count; i++) {
        size_t bytes = copy_bytes(copies->runner, &copies->matrices[i]->stored);
        copies->to[i] = bytes > 0 ? workspace_take(workspace, bytes, 1) : NULL;
    }
}

static bool copy_weights(struct loading *loading)
{
    struct runner *runner = loading->runner;
    struct workspace workspace = {0};
    struct copies copies;
    if (!list_matrices(runner, &copies))
        return diag_error(loading->diag, NOWHERE, "out of memory for a copy of the weights");
    place_copies(&copies, &workspace);
    if (workspace.used == 0)
        return true;
    workspace.base = runner_own(runner, loading->diag, workspace.used, 1);
    if (workspace.base == NULL || workspace.failed)
        return diag_error(loading->diag, NOWHERE, "out of memory for a copy of the weights");
    workspace.used = 0;
    place_copies(&copies, &workspace);
    team_run(runner->team, copy_share, &copies);
    use_copies(&copies);
    return true;
}

bool runner_load(struct runner *runner, struct diag *diag)
{
    struct loading loading = {runner, diag, 1};
    return load_outside(&loading) && load_layers(&loading) && cut(&loading, cut_caches) &&
           cut(&loading, cut_step) && reserve_scratch(&loading) &&
           (!runner->options.copy || copy_weights(&loading));
}
