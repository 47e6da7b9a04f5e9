#include "exec/kernels/lane_kernels.h"

#include <math.h>

void activate(enum isa isa, enum activation activation, const float *gate, const float *up, size_t n,
              float *y)
{
    lane_kernels(isa)->activate(activation, gate, up, n, y);
}

void softplus_values(enum isa isa, float *x, size_t n)
{
    lane_kernels(isa)->softplus(x, n);
}

void weighted_sum(enum isa isa, const float *const *rows, const float *weights, const float *const *next,
                  size_t count, size_t n, float *out)
{
    lane_kernels(isa)->weighted_sum(rows, weights, next, count, n, out);
}

void add_scaled(enum isa isa, const float *x, float scale, size_t n, float *y)
{
    lane_kernels(isa)->add_scaled(x, scale, n, y);
}

static double activation_of(enum activation activation, double x)
{
    switch (activation) {
    case ACTIVATION_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case ACTIVATION_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU:
        return x < 0 ? 0 : x;
    case ACTIVATION_RELU2:
        return x < 0 ? 0 : x * x;
    case ACTIVATION_SILU:
        break;
    }
    return x / (1 + exp(-x));
}

void activate_plain(enum activation activation, const float *gate, const float *up, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(activation_of(activation, gate[i]) * (up ? (double)up[i] : 1.0));
}
