#include "exec/layers/recurrent.h"

#include <math.h>

bool load_conv(struct loading *loading, struct layer *layer, int channels, int width, bool bias,
               struct conv1d *conv)
{
    *conv = (struct conv1d){.channels = channels, .width = width};
    if (width < 1)
        return diag_error(loading->diag, layer->block->where, "a convolution over %d tokens", width);
    conv->weight = load_vector(loading, layer, ROLE_CONV, (size_t)channels * (size_t)width);
    if (conv->weight == NULL)
        return false;
    if (bias && (conv->bias = load_vector(loading, layer, ROLE_CONV_BIAS, (size_t)channels)) == NULL)
        return false;
    layer->conv.floats = (size_t)channels * (size_t)(width - 1);
    return true;
}

struct convolving {
    const struct stepping *step;
    const struct layer *layer;
    const struct conv1d *conv;
    const float *x;
    float *y;
};

static void convolve(void *context, size_t from, size_t to)
{
    const struct convolving *c = context;
    size_t stride = (size_t)c->conv->channels;
    for (int p = 0; p < c->step->part_count; p++) {
        const struct step_part *part = &c->step->parts[p];
        size_t at = (size_t)c->step->runner->first_row[p] * stride;
        conv1d_silu(c->step->runner->isa, c->conv, c->x + at, stride, part->count, (int)from, (int)to,
                    state_of(&c->layer->conv, part->sequence), c->y + at);
    }
}

void step_conv(struct stepping *step, const struct layer *layer, const struct conv1d *conv, const float *x,
               float *y)
{
    enum { GRAIN = 64 };
    struct convolving convolving = {step, layer, conv, x, y};
    step_share(step, convolve, &convolving, (size_t)conv->channels, GRAIN, step->rows * (size_t)conv->width);
    step_timed(step, OP_NAME_CONV1D, layer);
}

float softplus(float x)
{
    enum { LINEAR_FROM = 20 }; /* log1p(exp(-x)) is below fp32's rounding of x */
    return x > LINEAR_FROM ? x : log1pf(expf(x));
}
