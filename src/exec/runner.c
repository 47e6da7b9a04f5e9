#include "exec/runner.h"

#include "exec/kernels/blocks.h"
#include "exec/runner_check.h"
#include "exec/runner_parts.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- making ---- */

static bool read_all(void *state, struct team *team, enum isa isa, int layer, const struct attention *rows,
                     struct attention_scratch *scratch, struct diag *diag)
{
    (void)state;
    (void)layer;
    return attention(team, isa, rows, scratch, diag);
}

const struct attention_reader attention_reader_all = {.name = "all", .read = read_all};

static bool check_options(const struct runner_options *options, const struct model *model, struct diag *diag)
{
    enum { SEQUENCES_MOST = 1 << 16, TOKENS_MOST = 1 << 27 }; /* products of sizes stay in size_t */
    if (options->sequences < 1 || options->sequences > SEQUENCES_MOST)
        return diag_error(diag, NOWHERE, "%d sequences at once, expected 1 to %d", options->sequences,
                          SEQUENCES_MOST);
    if (options->context_tokens < 1 || options->context_tokens > TOKENS_MOST || options->step_tokens < 1 ||
        options->step_tokens > TOKENS_MOST)
        return diag_error(diag, NOWHERE, "a context of %d and steps of %d tokens, expected 1 to %d",
                          options->context_tokens, options->step_tokens, TOKENS_MOST);
    if (options->page_tokens < 1 || options->page_tokens > TOKENS_MOST)
        return diag_error(diag, NOWHERE, "pages of %d tokens", options->page_tokens);
    int positions = model->learned_positions - position_offset(model);
    if (model->learned_positions > 0 && options->context_tokens > positions)
        return diag_error(diag, model->where, "a context of %d tokens, but the model has %d positions",
                          options->context_tokens, positions);
    return true;
}

static bool make_cache(struct runner *runner, struct diag *diag)
{
    const struct runner_options *options = &runner->options;
    if (options->cache != NULL) {
        runner->cache = *options->cache;
        return true;
    }
    long long pages =
        (options->context_tokens + options->page_tokens - 1LL) / options->page_tokens * options->sequences;
    if (pages > INT_MAX)
        return diag_error(diag, NOWHERE, "a cache of %lld pages", pages);
    return cache_paged(runner->arena, diag, options->sequences, options->context_tokens, options->page_tokens,
                       (int)pages, &runner->cache);
}

struct runner *runner_new(struct arena *arena, struct diag *diag, const struct weights *weights,
                          const struct runner_options *options)
{
    struct runner *runner = ARENA_NEW(arena, struct runner);
    if (runner == NULL) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    *runner = (struct runner){.arena = arena,
                              .weights = weights,
                              .model = weights_model(weights),
                              .hyper = weights_hyper(weights),
                              .options = *options};
    if (options->page_tokens == 0)
        runner->options.page_tokens = RUNNER_PAGE_TOKENS;
    runner->isa = options->isa <= cpu_isa() ? options->isa : cpu_isa();
    runner->reader = options->reader != NULL ? options->reader : &attention_reader_all;
    if (runner_check_model(runner->model, diag) && check_options(&runner->options, runner->model, diag) &&
        (runner->team = team_new(arena, diag, options->threads)) != NULL && make_cache(runner, diag) &&
        op_clock_start(&runner->clock, diag, options->trace) && runner_load(runner, diag))
        return runner;
    runner_free(runner);
    return NULL;
}

void runner_free(struct runner *runner)
{
    if (runner == NULL)
        return;
    for (struct owned *owned = runner->owned; owned != NULL; owned = owned->next)
        buffer_free(owned->bytes, owned->size);
    runner->owned = NULL;
    gemm_scratch_free(&runner->gemm);
    attention_scratch_free(&runner->attention);
    op_clock_free(&runner->clock);
}

/* ---- sequences ---- */

int runner_context(const struct runner *runner, int sequence)
{
    return runner->cache.view(runner->cache.state, sequence, 0).tokens;
}

void runner_forget(struct runner *runner, int sequence)
{
    runner->cache.release(runner->cache.state, sequence);
    for (int i = 0; i < runner->model->layers; i++) {
        const struct layer *layer = &runner->layers[i];
        if (layer->conv.floats > 0)
            memset(state_of(&layer->conv, sequence), 0, layer->conv.floats * sizeof(float));
        if (layer->state.floats > 0)
            memset(state_of(&layer->state, sequence), 0, layer->state.floats * sizeof(float));
    }
}

struct op_clock *runner_clock(struct runner *runner)
{
    return &runner->clock;
}

struct team *runner_team(struct runner *runner)
{
    return runner->team;
}

enum isa runner_isa(const struct runner *runner)
{
    return runner->isa;
}

const struct weights *runner_weights(const struct runner *runner)
{
    return runner->weights;
}

/* ---- a step's parts ---- */

static bool check_part(const struct runner *runner, struct diag *diag, const struct step_part *parts, int at)
{
    const struct step_part *part = &parts[at];
    if (part->sequence < 0 || part->sequence >= runner->options.sequences)
        return diag_error(diag, NOWHERE, "sequence %d of %d", part->sequence, runner->options.sequences);
    for (int other = 0; other < at; other++)
        if (parts[other].sequence == part->sequence)
            return diag_error(diag, NOWHERE, "sequence %d is twice in a step", part->sequence);
    if (part->count < 1 || part->logits < 0 || part->logits > part->count)
        return diag_error(diag, NOWHERE, "a part of %d tokens with logits of %d", part->count, part->logits);
    for (int t = 0; t < part->count; t++)
        if (part->tokens[t] < 0 || part->tokens[t] >= runner->model->vocab)
            return diag_error(diag, NOWHERE, "token %d is not one of the model's %d", part->tokens[t],
                              runner->model->vocab);
    return true;
}

static bool check_parts(const struct runner *runner, struct diag *diag, const struct step_part *parts,
                        int count)
{
    long long rows = 0;
    if (count < 1 || count > runner->options.sequences)
        return diag_error(diag, NOWHERE, "a step of %d parts, expected 1 to %d", count,
                          runner->options.sequences);
    for (int p = 0; p < count; p++) {
        if (!check_part(runner, diag, parts, p))
            return false;
        rows += parts[p].count;
    }
    if (rows > runner->options.step_tokens)
        return diag_error(diag, NOWHERE, "a step of %lld tokens, at most %d", rows,
                          runner->options.step_tokens);
    return true;
}

static void take_back(struct runner *runner, const struct step_part *parts, int count)
{
    for (int p = 0; p < count; p++)
        runner->cache.shorten(runner->cache.state, parts[p].sequence, parts[p].count);
}

/* Room for all parts or for none. */
static bool reserve(struct stepping *step)
{
    struct runner *runner = step->runner;
    for (int p = 0; p < step->part_count; p++) {
        const struct step_part *part = &step->parts[p];
        int context = runner_context(runner, part->sequence);
        runner->before[p] = context;
        runner->first_row[p] = (int)step->rows;
        if (part->count > runner->options.context_tokens - context ||
            !runner->cache.reserve(runner->cache.state, part->sequence, part->count)) {
            take_back(runner, step->parts, p);
            return diag_error(step->diag, NOWHERE,
                              "no room in the cache for %d tokens of sequence %d behind its %d", part->count,
                              part->sequence, context);
        }
        for (int t = 0; t < part->count; t++) {
            runner->position[step->rows] = context + t;
            runner->part_of[step->rows++] = p;
        }
    }
    return true;
}

/* ---- embedding ---- */

static int token_of(const struct stepping *step, size_t row)
{
    int part = step->runner->part_of[row];
    return step->parts[part].tokens[row - (size_t)step->runner->first_row[part]];
}

static void look_up_rows(void *context, size_t from, size_t to)
{
    const struct stepping *step = context;
    const struct runner *runner = step->runner;
    const struct tensor *table = &runner->embedding;
    float scale = runner->hyper->embedding_scale;
    for (size_t row = from; row < to; row++) {
        float *x = runner->x + row * table->cols;
        weights_decode(table->type, tensor_row(table, (size_t)token_of(step, row)), table->cols, x);
        for (size_t i = 0; scale != 1 && i < table->cols; i++)
            x[i] *= scale;
    }
}

static void add_positions(void *context, size_t from, size_t to)
{
    const struct stepping *step = context;
    const struct runner *runner = step->runner;
    const struct tensor *table = &runner->positions;
    size_t offset = (size_t)position_offset(runner->model);
    for (size_t row = from; row < to; row++) {
        float *learned = runner->normed + row * table->cols;
        size_t position = (size_t)runner->position[row] + offset;
        weights_decode(table->type, tensor_row(table, position), table->cols, learned);
        add_scaled(runner->isa, learned, 1, table->cols, runner->x + row * table->cols);
    }
}

static void embed(struct stepping *step)
{
    struct runner *runner = step->runner;
    size_t hidden = (size_t)runner->model->hidden;
    step_share(step, look_up_rows, step, step->rows, 1, hidden);
    step_timed(step, OP_NAME_EMBEDDING, NULL);
    if (runner->model->learned_positions > 0) {
        step_share(step, add_positions, step, step->rows, 1, hidden);
        step_timed(step, OP_NAME_POSITIONS, NULL);
    }
    if (runner->embedding_norm.weight != NULL) {
        step_norms(step, &runner->embedding_norm, runner->x, step->rows, hidden, hidden);
        step_timed(step, OP_NAME_EMBEDDING_NORM, NULL);
    }
}

/* ---- layers ---- */

/* x += what the sub-layers before have left to add; normed = norm(x). rows NULL: all, else row i of normed is
 * row rows[i] of x. */
struct adding {
    const struct runner *runner;
    const struct norm *norm;
    int summands;
    const int *rows;
};

static void add_and_norm(void *context, size_t from, size_t to)
{
    const struct adding *adding = context;
    const struct runner *runner = adding->runner;
    size_t hidden = (size_t)runner->model->hidden;
    for (size_t i = from; i < to; i++) {
        size_t row = adding->rows != NULL ? (size_t)adding->rows[i] : i;
        float *x = runner->x + row * hidden;
        for (int s = 0; s < adding->summands; s++)
            add_scaled(runner->isa, runner->added[s] + row * hidden, runner->hyper->residual_scale, hidden,
                       x);
        norm_row(runner->isa, adding->norm, x, hidden, runner->normed + i * hidden);
    }
}

static void step_norm(struct stepping *step, const struct norm *norm, int *summands, const char *name,
                      const struct layer *layer)
{
    size_t hidden = (size_t)step->runner->model->hidden;
    struct adding adding = {step->runner, norm, *summands, NULL};
    step_share(step, add_and_norm, &adding, step->rows, 1, hidden);
    *summands = 0;
    step_timed(step, name, layer);
}

/* Runs a sub-layer on the normed rows; what it adds waits in added[*summands]. */
static bool run_sublayer(struct stepping *step, const struct sublayer *sublayer, const struct layer *layer,
                         const struct norm *post, int *summands)
{
    struct runner *runner = step->runner;
    size_t hidden = (size_t)runner->model->hidden;
    float *out = runner->added[*summands];
    step->work = (struct workspace){.base = runner->work.base};
    if (!sublayer->run(step, layer, runner->normed, out))
        return false;
    ++*summands;
    if (post->weight != NULL) {
        step_norms(step, post, out, step->rows, hidden, hidden);
        step_timed(step, OP_NAME_POST_NORM, layer);
    }
    return true;
}

static bool run_layer(struct stepping *step, const struct layer *layer, int *summands)
{
    if (layer->mixer != NULL) {
        step_norm(step, &layer->mixer_norm, summands, OP_NAME_ATTENTION_NORM, layer);
        if (!run_sublayer(step, layer->mixer, layer, &layer->post_mixer, summands))
            return false;
    }
    if (layer->ffn == NULL)
        return true;
    if (layer->parallel) { /* both read x as it was before either */
        int none = 0;
        if (layer->ffn_norm.weight != NULL)
            step_norm(step, &layer->ffn_norm, &none, OP_NAME_FFN_NORM, layer);
    } else {
        step_norm(step, &layer->ffn_norm, summands, OP_NAME_FFN_NORM, layer);
    }
    return run_sublayer(step, layer->ffn, layer, &layer->post_ffn, summands);
}

/* ---- logits ---- */

struct capping {
    float *logits;
    float scale, cap;
};

static void cap_logits(void *context, size_t from, size_t to)
{
    const struct capping *capping = context;
    for (size_t i = from; i < to; i++) {
        float value = capping->logits[i] * capping->scale;
        capping->logits[i] = capping->cap > 0 ? capping->cap * tanhf(value / capping->cap) : value;
    }
}

/* The rows asked for, in order; returns how many. They take the place of the positions, which are no longer
 * needed. */
static size_t wanted_rows(const struct stepping *step)
{
    int *rows = step->runner->position;
    size_t count = 0;
    for (int p = 0; p < step->part_count; p++) {
        int end = step->runner->first_row[p] + step->parts[p].count;
        for (int row = end - step->parts[p].logits; row < end; row++)
            rows[count++] = row;
    }
    return count;
}

static bool put_logits(struct stepping *step, int summands, float *logits)
{
    struct runner *runner = step->runner;
    size_t hidden = (size_t)runner->model->hidden, vocab = (size_t)runner->model->vocab;
    size_t count = wanted_rows(step);
    if (count == 0)
        return true;
    struct adding adding = {runner, &runner->final_norm, summands, runner->position};
    step_share(step, add_and_norm, &adding, count, 1, hidden);
    step_timed(step, OP_NAME_FINAL_NORM, NULL);
    if (!step_linear(step, &runner->head, runner->normed, count, logits))
        return false;
    struct capping capping = {logits, runner->hyper->logit_scale, runner->hyper->logit_softcap};
    if (capping.scale != 1 || capping.cap > 0)
        step_share(step, cap_logits, &capping, count * vocab, 64, 4);
    step_timed(step, OP_NAME_LM_HEAD, NULL);
    return true;
}

bool runner_step(struct runner *runner, struct diag *diag, const struct step_part *parts, int count,
                 float *logits)
{
    struct stepping step = {.runner = runner, .diag = diag, .parts = parts, .part_count = count};
    int summands = 0;
    if (!check_parts(runner, diag, parts, count) || !reserve(&step))
        return false;
    runner->clock.step++; /* what follows the step, sampling, belongs to it */
    step.now = clock_seconds();
    embed(&step);
    for (int i = 0; i < runner->model->layers; i++)
        if (!run_layer(&step, &runner->layers[i], &summands))
            return false;
    if (!put_logits(&step, summands, logits))
        return false;
    return true;
}
