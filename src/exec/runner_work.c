/* What a step must do at least: multiplications and bytes, for the roof that its time is held against. */
#include "exec/runner_parts.h"

#include <math.h>

void runner_work_add(struct runner_work *sum, const struct runner_work *work)
{
    for (int type = 0; type < WEIGHT_TYPE_COUNT; type++)
        sum->linear_flops[type] += work->linear_flops[type];
    sum->other_flops += work->other_flops;
    sum->weight_bytes += work->weight_bytes;
    sum->cache_bytes += work->cache_bytes;
}

/* Products with matrices. Of a matrix that a token uses with probability `share` (an expert), n tokens touch
 * 1 - (1 - share)^n. */
static void add_matrices(const struct runner *runner, double rows, double wanted, struct runner_work *work)
{
    for (const struct matrix_node *node = runner->matrices; node != NULL; node = node->next) {
        const struct tensor *w = &node->matrix->stored;
        double tokens = node->matrix == &runner->head ? wanted : rows;
        double touched = node->share < 1 ? 1 - pow(1 - node->share, tokens) : tokens > 0;
        work->linear_flops[w->type] += 2 * (double)w->rows * (double)w->cols * tokens * node->share;
        work->weight_bytes += (double)w->rows * (double)weight_row_bytes(w->type, w->cols) * touched;
    }
}

/* (query, key) pairs of n new tokens behind `before`, each seeing the last `window` (0: all). */
static double pairs(double n, double before, double window)
{
    double all = n * before + n * (n + 1) / 2, hidden = 0;
    double over = before + n - window; /* how much more than the window the last token has */
    if (window > 0 && over > 0) {
        double first = fmax(before + 1 - window, 0), steps = over - first + 1;
        hidden = first > 0 ? steps * (first + over) / 2 : over * (over + 1) / 2;
    }
    return all - hidden;
}

/* FLOPs of one (query, key) pair over all heads, and what a sequence's window is; 0: no attention. */
static double pair_flops(const struct layer *layer, bool prefill, double *window)
{
    const struct attention_spec *a = &layer->block->attention;
    const struct mla_spec *m = &layer->block->mla;
    *window = 0;
    if (layer->block->mixer == MIXER_ATTENTION) {
        *window = a->window;
        return 2.0 * a->heads * (a->head_dim + (a->v_head_dim > 0 ? a->v_head_dim : a->head_dim));
    }
    if (layer->block->mixer != MIXER_MLA)
        return 0;
    if (prefill)
        return 2.0 * m->heads * (m->qk_nope_head_dim + m->qk_rope_head_dim + m->v_head_dim);
    return 2.0 * m->heads * (2 * m->kv_lora_rank + m->qk_rope_head_dim);
}

static void add_sequence(const struct layer *layer, double tokens, double before, struct runner_work *work)
{
    enum { STATE_FLOPS = 6 }; /* a cell and token: decay, product, sum; product and sum of the output */
    double window, each = pair_flops(layer, before == 0, &window);
    double row = (double)layer->k.heads * (double)layer->k.row_bytes +
                 (double)layer->v.heads * (double)layer->v.row_bytes;
    double seen = window > 0 ? fmin(before + tokens, window + tokens - 1) : before + tokens;
    if (each > 0)
        work->other_flops += each * pairs(tokens, before, window);
    work->cache_bytes += row * seen;
    work->other_flops += STATE_FLOPS * (double)layer->state.floats * tokens;
    work->cache_bytes += 2 * sizeof(float) * (double)(layer->state.floats + layer->conv.floats);
}

void runner_work(const struct runner *runner, const struct step_part *parts, int count,
                 struct runner_work *work)
{
    double rows = 0, wanted = 0;
    *work = (struct runner_work){0};
    for (int p = 0; p < count; p++) {
        double before = runner_context(runner, parts[p].sequence);
        rows += parts[p].count;
        wanted += parts[p].logits;
        for (int i = 0; i < runner->model->layers; i++)
            add_sequence(&runner->layers[i], parts[p].count, before, work);
    }
    add_matrices(runner, rows, wanted, work);
}
