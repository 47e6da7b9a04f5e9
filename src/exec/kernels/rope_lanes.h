/* Rotary embedding in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_ROPE_LANES_H
#define RAFTER_EXEC_KERNELS_ROPE_LANES_H

#include "exec/kernels/lanes.h"

/* A head is read once, from its front to its end; the table stays in the L1 cache. */
static void lanes_rope_halves(size_t half, const float *table, float *heads, int count, size_t head_dim)
{
    const float *cosines = table, *sines = table + half;
    for (int h = 0; h < count; h++) {
        float *x = heads + (size_t)h * head_dim;
        size_t i = 0;
        for (; i + LANES <= half; i += LANES) {
            lanes_fetch(x + i);
            lanes_fetch(x + half + i);
            lanes c = lanes_load(cosines + i), s = lanes_load(sines + i);
            lanes a = lanes_load(x + i), b = lanes_load(x + half + i);
            lanes_store(x + i, a * c - b * s);
            lanes_store(x + half + i, lanes_fma(a, s, b * c));
        }
        for (; i < half; i++) {
            float a = x[i], b = x[half + i];
            x[i] = a * cosines[i] - b * sines[i];
            x[half + i] = a * sines[i] + b * cosines[i];
        }
    }
}

static void lanes_rope_pairs(size_t half, const float *table, float *heads, int count, size_t head_dim)
{
    const float *cosines = table, *sines = table + half;
    size_t i = 0;
    for (; i + LANES / 2 <= half; i += LANES / 2) {
        float twice[2][LANES];
        for (size_t j = 0; j < LANES; j++) {
            twice[0][j] = cosines[i + j / 2];
            twice[1][j] = sines[i + j / 2];
        }
        lanes c = lanes_load(twice[0]), s = lanes_load(twice[1]);
        for (int h = 0; h < count; h++) {
            float *x = heads + (size_t)h * head_dim + 2 * i;
            lanes v = lanes_load(x);
            lanes_store(x, lanes_fma_sub_add(v, c, lanes_swap_pairs(v) * s));
        }
    }
    for (; i < half; i++)
        for (int h = 0; h < count; h++) {
            float *x = heads + (size_t)h * head_dim + 2 * i, a = x[0], b = x[1];
            x[0] = a * cosines[i] - b * sines[i];
            x[1] = a * sines[i] + b * cosines[i];
        }
}

static void lanes_rope_heads(const struct rope *rope, const float *table, float *heads, int count,
                             size_t head_dim)
{
    size_t half = (size_t)rope->n / 2;
    if (rope->interleaved)
        lanes_rope_pairs(half, table, heads, count, head_dim);
    else
        lanes_rope_halves(half, table, heads, count, head_dim);
}

#endif
