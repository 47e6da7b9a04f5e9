/* Norms in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_NORM_LANES_H
#define RAFTER_EXEC_KERNELS_NORM_LANES_H

#include "exec/kernels/lanes.h"

/* Sum of (x - shift)^2, or of x where not squared; four chains of additions hide their latency. */
LANES_INLINE float lanes_sum_of(const float *x, size_t n, float shift, bool squared)
{
    lanes s[4], mean = lanes_set(shift);
    for (int j = 0; j < 4; j++)
        s[j] = lanes_set(0.0F);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++) {
            lanes_fetch(x + i + j * LANES);
            lanes v = lanes_load(x + i + j * LANES) - mean;
            s[j] = squared ? lanes_fma(v, v, s[j]) : lanes_add(s[j], v);
        }
    for (; i + LANES <= n; i += LANES) {
        lanes v = lanes_load(x + i) - mean;
        s[0] = squared ? lanes_fma(v, v, s[0]) : lanes_add(s[0], v);
    }
    float sum = lanes_sum((s[0] + s[1]) + (s[2] + s[3]));
    for (; i < n; i++) {
        float v = x[i] - shift;
        sum += squared ? v * v : v;
    }
    return sum;
}

static void lanes_rms_norm(const float *x, const float *weight, float eps, size_t n, float *y)
{
    float scale = 1.0F / sqrtf(lanes_sum_of(x, n, 0.0F, true) / (float)n + eps);
    lanes s = lanes_set(scale);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(y + i, lanes_load(x + i) * s * lanes_load(weight + i));
    for (; i < n; i++)
        y[i] = x[i] * scale * weight[i];
}

static void lanes_layer_norm(const float *x, const float *weight, const float *bias, float eps, size_t n,
                             float *y)
{
    float mean = lanes_sum_of(x, n, 0.0F, false) / (float)n;
    float scale = 1.0F / sqrtf(lanes_sum_of(x, n, mean, true) / (float)n + eps);
    lanes m = lanes_set(mean), s = lanes_set(scale);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes v = (lanes_load(x + i) - m) * s, b = bias ? lanes_load(bias + i) : lanes_set(0.0F);
        lanes_store(y + i, lanes_fma(v, lanes_load(weight + i), b));
    }
    for (; i < n; i++)
        y[i] = (x[i] - mean) * scale * weight[i] + (bias ? bias[i] : 0.0F);
}

#endif
