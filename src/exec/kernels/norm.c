#include "exec/kernels/lane_kernels.h"

#include <math.h>

void rms_norm(enum isa isa, const float *x, const float *weight, float eps, size_t n, float *y)
{
    lane_kernels(isa)->rms_norm(x, weight, eps, n, y);
}

void layer_norm(enum isa isa, const float *x, const float *weight, const float *bias, float eps, size_t n,
                float *y)
{
    lane_kernels(isa)->layer_norm(x, weight, bias, eps, n, y);
}

void rms_norm_plain(const float *x, const float *weight, float eps, size_t n, float *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    double rms = sqrt(sum / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(x[i] / rms * weight[i]);
}

void layer_norm_plain(const float *x, const float *weight, const float *bias, float eps, size_t n, float *y)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double deviation = sqrt(squares / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((x[i] - mean) / deviation * weight[i] + (bias ? bias[i] : 0.0F));
}
