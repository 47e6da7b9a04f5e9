/* The short causal convolution in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_CONV1D_LANES_H
#define RAFTER_EXEC_KERNELS_CONV1D_LANES_H

#include "exec/kernels/lanes.h"

/* One channel in scalars: the last channels that fill no vector. */
static void conv1d_channel(const struct conv1d *conv, const float *x, size_t stride, int tokens, int channel,
                           float *state, float *y)
{
    int before = conv->width - 1;
    const float *weight = conv->weight + (size_t)channel * (size_t)conv->width;
    float *past = state + (size_t)channel * (size_t)before;
    for (int t = 0; t < tokens; t++) {
        size_t at = (size_t)t * stride + (size_t)channel;
        float input = x[at], sum = conv->bias ? conv->bias[channel] : 0.0F;
        for (int j = 0; j < before; j++)
            sum += weight[j] * past[j];
        sum += weight[before] * input;
        for (int j = 0; j + 1 < before; j++)
            past[j] = past[j + 1];
        if (before > 0)
            past[before - 1] = input;
        y[at] = sum / (1 + expf(-sum));
    }
}

enum { CONV1D_WIDTH_MOST = 8 }; /* wider ones go channel by channel; published ones have 4 */

/* LANES channels from `channel` on: weights and past inputs turned into vectors over channels. */
static void conv1d_channels(const struct conv1d *conv, const float *x, size_t stride, int tokens, int channel,
                            float *state, float *y)
{
    int before = conv->width - 1;
    float turned[LANES];
    lanes weight[CONV1D_WIDTH_MOST], past[CONV1D_WIDTH_MOST];
    for (int j = 0; j < conv->width; j++) {
        for (int c = 0; c < LANES; c++)
            turned[c] = conv->weight[(size_t)(channel + c) * (size_t)conv->width + (size_t)j];
        weight[j] = lanes_load(turned);
    }
    for (int j = 0; j < before; j++) {
        for (int c = 0; c < LANES; c++)
            turned[c] = state[(size_t)(channel + c) * (size_t)before + (size_t)j];
        past[j] = lanes_load(turned);
    }
    lanes bias = conv->bias ? lanes_load(conv->bias + channel) : lanes_set(0.0F);
    for (int t = 0; t < tokens; t++) {
        size_t at = (size_t)t * stride + (size_t)channel;
        lanes input = lanes_load(x + at), sum = lanes_fma(weight[before], input, bias);
        for (int j = 0; j < before; j++)
            sum = lanes_fma(weight[j], past[j], sum);
        for (int j = 0; j + 1 < before; j++)
            past[j] = past[j + 1];
        if (before > 0)
            past[before - 1] = input;
        lanes_store(y + at, sum * lanes_sigmoid(sum));
    }
    for (int j = 0; j < before; j++) {
        lanes_store(turned, past[j]);
        for (int c = 0; c < LANES; c++)
            state[(size_t)(channel + c) * (size_t)before + (size_t)j] = turned[c];
    }
}

static void lanes_conv1d_silu(const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                              int to, float *state, float *y)
{
    int channel = from;
    if (conv->width <= CONV1D_WIDTH_MOST)
        for (; channel + LANES <= to; channel += LANES)
            conv1d_channels(conv, x, stride, tokens, channel, state, y);
    for (; channel < to; channel++)
        conv1d_channel(conv, x, stride, tokens, channel, state, y);
}

#endif
