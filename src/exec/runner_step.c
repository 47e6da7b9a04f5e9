/* What all sub-layers of a step use: sharing rows among threads, products, norms, the clock. */
#include "exec/runner_parts.h"

#include <math.h>

void step_timed(struct stepping *step, const char *name, const struct layer *layer)
{
    step->now = op_clock_add(&step->runner->clock, name, layer != NULL ? layer->index : -1, step->now);
}

struct sharing {
    step_work *work;
    void *context;
    size_t count, grain;
};

static void run_share(void *context, int thread, int threads)
{
    const struct sharing *sharing = context;
    size_t from, to;
    team_share(sharing->count, sharing->grain, thread, threads, &from, &to);
    if (from < to)
        sharing->work(sharing->context, from, to);
}

void step_share(struct stepping *step, step_work *work, void *context, size_t count, size_t grain,
                size_t values_each)
{
    if (count <= grain || count * values_each <= RUNNER_VALUES_ALONE) {
        work(context, 0, count);
        return;
    }
    struct sharing sharing = {work, context, count, grain};
    team_run(step->runner->team, run_share, &sharing);
}

struct product step_product(const struct matrix *w, const float *x, size_t x_stride, size_t m, float *y,
                            size_t y_stride)
{
    return (struct product){.w = w, .x = x, .x_stride = x_stride, .m = (int)m, .y = y, .y_stride = y_stride};
}

bool step_gemm(struct stepping *step, const struct product *products, int count)
{
    struct runner *runner = step->runner;
    return gemm(runner->team, runner->isa, products, count, &runner->gemm, step->diag);
}

bool step_linear(struct stepping *step, const struct matrix *w, const float *x, size_t m, float *y)
{
    struct product product = step_product(w, x, w->stored.cols, m, y, w->stored.rows);
    return step_gemm(step, &product, 1);
}

void norm_row(enum isa isa, const struct norm *norm, const float *x, size_t n, float *y)
{
    if (norm->layer)
        layer_norm(isa, x, norm->weight, norm->bias, norm->eps, n, y);
    else
        rms_norm(isa, x, norm->weight, norm->eps, n, y);
}

struct norms {
    enum isa isa;
    const struct norm *norm;
    float *x;
    size_t stride, n;
};

static void norm_rows(void *context, size_t from, size_t to)
{
    const struct norms *norms = context;
    for (size_t i = from; i < to; i++)
        norm_row(norms->isa, norms->norm, norms->x + i * norms->stride, norms->n,
                 norms->x + i * norms->stride);
}

void step_norms(struct stepping *step, const struct norm *norm, float *x, size_t count, size_t stride,
                size_t n)
{
    struct norms norms = {step->runner->isa, norm, x, stride, n};
    step_share(step, norm_rows, &norms, count, 1, n);
}

struct activating {
    enum isa isa;
    enum activation activation;
    float *gate;
    const float *up;
};

static void activate_values(void *context, size_t from, size_t to)
{
    const struct activating *a = context;
    activate(a->isa, a->activation, a->gate + from, a->up != NULL ? a->up + from : NULL, to - from,
             a->gate + from);
}

void step_activate(struct stepping *step, enum activation activation, float *gate, const float *up,
                   size_t count)
{
    enum { GRAIN = 64 };
    struct activating activating = {step->runner->isa, activation, gate, up};
    step_share(step, activate_values, &activating, count, GRAIN, 1);
}

void step_views(struct stepping *step, const struct layer *layer)
{
    struct runner *runner = step->runner;
    for (int p = 0; p < step->part_count; p++)
        runner->views[p] = runner->cache.view(runner->cache.state, step->parts[p].sequence, layer->index);
}

const float *rotary_table(const struct rotary *rotary, int position)
{
    return rotary->tables + (size_t)position * (size_t)rotary->rope.n;
}

float *state_of(const struct state_pool *pool, int sequence)
{
    return pool->base + (size_t)sequence * pool->floats;
}
