/* Dense feed-forward networks. */
#include "exec/runner_parts.h"

struct dense_layer {
    struct matrix gate, up, down;
};

struct buffers {
    float *gate, *up; /* [rows][intermediate]; gate NULL: not gated */
};

static struct buffers cut(const struct dense_spec *spec, struct workspace *workspace, size_t rows)
{
    struct buffers buffers = {.up = workspace_floats(workspace, rows, (size_t)spec->intermediate)};
    if (spec->gated)
        buffers.gate = workspace_floats(workspace, rows, (size_t)spec->intermediate);
    return buffers;
}

static void plan(const struct runner *runner, const struct layer *layer, struct workspace *workspace)
{
    cut(&layer->block->dense, workspace, (size_t)runner->options.step_tokens);
}

static bool load(struct loading *loading, struct layer *layer)
{
    const struct dense_spec *spec = &layer->block->dense;
    size_t hidden = (size_t)loading->runner->model->hidden, width = (size_t)spec->intermediate;
    struct dense_layer *own = ARENA_NEW(loading->runner->arena, struct dense_layer);
    layer->feeding = own;
    if (own == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory");
    bool bias = spec->bias;
    return (!spec->gated || load_matrix(loading, layer, ROLE_GATE, bias ? ROLE_GATE_BIAS : ROLE_COUNT, 0,
                                        width, hidden, &own->gate)) &&
           load_matrix(loading, layer, ROLE_UP, bias ? ROLE_UP_BIAS : ROLE_COUNT, 0, width, hidden,
                       &own->up) &&
           load_matrix(loading, layer, ROLE_DOWN, bias ? ROLE_DOWN_BIAS : ROLE_COUNT, 0, hidden, width,
                       &own->down);
}

static bool run(struct stepping *step, const struct layer *layer, const float *in, float *out)
{
    const struct dense_spec *spec = &layer->block->dense;
    const struct dense_layer *own = layer->feeding;
    struct buffers b = cut(spec, &step->work, step->rows);
    size_t hidden = (size_t)step->runner->model->hidden, width = (size_t)spec->intermediate;
    struct product products[2] = {step_product(&own->up, in, hidden, step->rows, b.up, width)};
    if (spec->gated)
        products[1] = step_product(&own->gate, in, hidden, step->rows, b.gate, width);
    if (!step_gemm(step, products, spec->gated ? 2 : 1))
        return false;
    step_timed(step, spec->gated ? OP_NAME_GATE_UP_PROJ : OP_NAME_UP_PROJ, layer);
    float *active = spec->gated ? b.gate : b.up;
    step_activate(step, step->runner->hyper->activation, active, spec->gated ? b.up : NULL,
                  step->rows * width);
    step_timed(step, OP_NAME_ACTIVATION, layer);
    if (!step_linear(step, &own->down, active, step->rows, out))
        return false;
    step_timed(step, OP_NAME_DOWN_PROJ, layer);
    return true;
}

const struct sublayer sublayer_dense = {load, plan, run};
