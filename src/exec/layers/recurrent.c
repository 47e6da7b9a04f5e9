#include "exec/layers/recurrent.h"

#include <math.h>

/* Files have a channel's weights side by side; vectors are over channels. */
static bool load_weight(struct loading *loading, const struct layer *layer, struct conv1d *conv)
{
    size_t channels = (size_t)conv->channels, width = (size_t)conv->width;
    const float *stored = load_vector(loading, layer, ROLE_CONV, channels * width);
    float *weight = ARENA_ARRAY(loading->runner->arena, float, channels *width);
    if (stored == NULL)
        return false;
    if (weight == NULL)
        return diag_error(loading->diag, NOWHERE, "out of memory for a convolution's weights");
    for (size_t c = 0; c < channels; c++)
        for (size_t j = 0; j < width; j++)
            weight[j * channels + c] = stored[c * width + j];
    conv->weight = weight;
    return true;
}

bool load_conv(struct loading *loading, struct layer *layer, int channels, int width, bool bias,
               struct conv1d *conv)
{
    *conv = (struct conv1d){.channels = channels, .width = width};
    if (width < 1 || width > CONV1D_WIDTH_MOST)
        return diag_error(loading->diag, layer->block->where,
                          "a convolution over %d tokens, expected 1 to %d", width, CONV1D_WIDTH_MOST);
    if (!load_weight(loading, layer, conv))
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
