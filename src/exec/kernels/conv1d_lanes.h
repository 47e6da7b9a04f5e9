/* The short causal convolution in lanes; included by lane_*.c only.
 *
 * A tile of channels goes through all tokens, so that some cache lines of each row are read one after the
 * other, and the rows before are still in the L1 cache when they are needed again. */
#ifndef RAFTER_EXEC_KERNELS_CONV1D_LANES_H
#define RAFTER_EXEC_KERNELS_CONV1D_LANES_H

#include "exec/kernels/lanes.h"
#include "exec/kernels/recurrent.h"

enum { CONV1D_TILE = 16 * LANES, CONV1D_PUBLISHED = 4 /* width of all models known */ };

/* All channels' inputs of a token, which may be before the first one. */
static const float *conv1d_inputs(const struct conv1d *conv, const float *x, size_t stride,
                                  const float *state, int token)
{
    return token < 0 ? state + (size_t)(token + conv->width - 1) * (size_t)conv->channels
                     : x + (size_t)token * stride;
}

/* One vector of `lanes_used` channels from c on; the width is a constant where this is inlined. */
LANES_INLINE void conv1d_vector(int width, const struct conv1d *conv, const float *const *inputs, int c,
                                size_t lanes_used, float *y)
{
    const float *weight = conv->weight + c;
    lanes sum = conv->bias ? lanes_load_part(conv->bias + c, lanes_used) : lanes_set(0.0F);
    LANES_UNROLL
    for (int j = 0; j < width; j++, weight += conv->channels)
        sum = lanes_fma(lanes_load_part(weight, lanes_used), lanes_load_part(inputs[j] + c, lanes_used), sum);
    lanes_store_part(y + c, sum * lanes_sigmoid(sum), lanes_used);
}

LANES_INLINE void conv1d_token(int width, const struct conv1d *conv, const float *const *inputs, int from,
                               int to, float *y)
{
    int c = from;
    for (; c + LANES <= to; c += LANES)
        conv1d_vector(width, conv, inputs, c, LANES, y);
    if (c < to)
        conv1d_vector(width, conv, inputs, c, (size_t)(to - c), y);
}

static void conv1d_channels(const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                            int to, const float *state, float *y)
{
    enum { AHEAD = 4, LINE = 64 / sizeof *x };
    for (int t = 0; t < tokens; t++) {
        const float *inputs[CONV1D_WIDTH_MOST];
        for (int j = 0; j < conv->width; j++)
            inputs[j] = conv1d_inputs(conv, x, stride, state, t - conv->width + 1 + j);
        if (t + AHEAD < tokens)
            for (int c = from; c < to; c += LINE)
                __builtin_prefetch(x + (size_t)(t + AHEAD) * stride + c);
        if (conv->width == CONV1D_PUBLISHED)
            conv1d_token(CONV1D_PUBLISHED, conv, inputs, from, to, y + (size_t)t * stride);
        else
            conv1d_token(conv->width, conv, inputs, from, to, y + (size_t)t * stride);
    }
}

static void lanes_conv1d_silu(const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                              int to, float *state, float *y)
{
    for (int c = from; c < to; c += CONV1D_TILE)
        conv1d_channels(conv, x, stride, tokens, c, c + CONV1D_TILE < to ? c + CONV1D_TILE : to, state, y);
    /* one that stays moves towards the first: none is overwritten early */
    for (int j = 0; j < conv->width - 1; j++)
        memmove(state + (size_t)j * (size_t)conv->channels + from,
                conv1d_inputs(conv, x, stride, state, tokens - conv->width + 1 + j) + from,
                (size_t)(to - from) * sizeof *state);
}

#endif
