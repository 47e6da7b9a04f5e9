/* Activations in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_ACTIVATION_LANES_H
#define RAFTER_EXEC_KERNELS_ACTIVATION_LANES_H

#include "exec/kernels/lanes.h"

/* erf x of x >= 0: Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7 and fp32's rounding. */
LANES_INLINE lanes lanes_erf_of_positive(lanes x)
{
    lanes one = lanes_set(1.0F), t = lanes_reciprocal(lanes_fma(x, lanes_set(0.3275911F), one));
    lanes p = lanes_fma(t, lanes_set(1.061405429F), lanes_set(-1.453152027F));
    p = lanes_fma(p, t, lanes_set(1.421413741F));
    p = lanes_fma(p, t, lanes_set(-0.284496736F));
    p = lanes_fma(p, t, lanes_set(0.254829592F));
    return one - p * t * lanes_exp(lanes_set(0.0F) - x * x);
}

LANES_INLINE lanes lanes_activation(enum activation activation, lanes x)
{
    lanes half = lanes_set(0.5F), zero = lanes_set(0.0F);
    switch (activation) {
    case ACTIVATION_GELU: {
        lanes size = lanes_abs(x);
        return half * lanes_fma(size, lanes_erf_of_positive(size * lanes_set(0.707106781F)), x);
    }
    case ACTIVATION_GELU_TANH: { /* (1 + tanh u) / 2 = sigmoid 2u, u = sqrt(2 / pi) (x + 0.044715 x^3) */
        lanes u =
            x * lanes_fma(x * x, lanes_set(2 * 0.7978845608F * 0.044715F), lanes_set(2 * 0.7978845608F));
        return x * lanes_sigmoid(u);
    }
    case ACTIVATION_RELU:
        return lanes_max(zero, x);
    case ACTIVATION_RELU2: {
        lanes kept = lanes_max(zero, x);
        return kept * kept;
    }
    case ACTIVATION_SILU:
        break;
    }
    return x * lanes_sigmoid(x);
}

LANES_INLINE void lanes_activate_as(enum activation activation, const float *gate, const float *up, size_t n,
                                    float *y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes_fetch(gate + i);
        if (up)
            lanes_fetch(up + i);
        lanes a = lanes_activation(activation, lanes_load(gate + i));
        lanes_store(y + i, up ? lanes_mul(a, lanes_load(up + i)) : a);
    }
    if (i < n) {
        lanes a = lanes_activation(activation, lanes_load_part(gate + i, n - i));
        lanes_store_part(y + i, up ? lanes_mul(a, lanes_load_part(up + i, n - i)) : a, n - i);
    }
}

static void lanes_activate(enum activation activation, const float *gate, const float *up, size_t n, float *y)
{
    switch (activation) { /* the kind is a constant in each loop */
    case ACTIVATION_SILU:
        lanes_activate_as(ACTIVATION_SILU, gate, up, n, y);
        break;
    case ACTIVATION_GELU:
        lanes_activate_as(ACTIVATION_GELU, gate, up, n, y);
        break;
    case ACTIVATION_GELU_TANH:
        lanes_activate_as(ACTIVATION_GELU_TANH, gate, up, n, y);
        break;
    case ACTIVATION_RELU:
        lanes_activate_as(ACTIVATION_RELU, gate, up, n, y);
        break;
    case ACTIVATION_RELU2:
        lanes_activate_as(ACTIVATION_RELU2, gate, up, n, y);
        break;
    }
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + t), t = e^-|x|; ln(1 + t) = 2 artanh s, s = t / (2 + t) <= 1/3, whose
 * series ends at s^15: the next term is below 2e-9 of the sum. */
LANES_INLINE lanes lanes_softplus_of(lanes x)
{
    enum { TERMS = 8 };
    lanes t = lanes_exp(lanes_set(0.0F) - lanes_abs(x)), s = t / (t + lanes_set(2.0F)), square = s * s;
    lanes series = lanes_set(1.0F / (2 * TERMS - 1));
    LANES_UNROLL
    for (int i = TERMS - 2; i >= 0; i--)
        series = lanes_fma(series, square, lanes_set(1.0F / (float)(2 * i + 1)));
    return lanes_fma(s + s, series, lanes_max(lanes_set(0.0F), x));
}

static void lanes_softplus(float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        lanes_store(x + i, lanes_softplus_of(lanes_load(x + i)));
    if (i < n)
        lanes_store_part(x + i, lanes_softplus_of(lanes_load_part(x + i, n - i)), n - i);
}

/* Rows side by side: the sum stays in registers, while the rows of the next sum are fetched. */
static void lanes_weighted_sum(const float *const *rows, const float *weights, const float *const *next,
                               size_t count, size_t n, float *out)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes sum = lanes_set(0);
        for (size_t row = 0; row < count; row++) {
            __builtin_prefetch(next[row] + i, 0, 2);
            sum = lanes_fma(lanes_load(rows[row] + i), lanes_set(weights[row]), sum);
        }
        lanes_store(out + i, sum);
    }
    for (; i < n; i++) {
        out[i] = 0;
        for (size_t row = 0; row < count; row++)
            out[i] += weights[row] * rows[row][i];
    }
}

static void lanes_add_scaled(const float *x, float scale, size_t n, float *y)
{
    lanes s = lanes_set(scale);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes_fetch(x + i);
        lanes_fetch(y + i);
        lanes_store(y + i, lanes_fma(lanes_load(x + i), s, lanes_load(y + i)));
    }
    for (; i < n; i++)
        y[i] += scale * x[i];
}

#endif
