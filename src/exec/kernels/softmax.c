#include "exec/kernels/lane_kernels.h"

#include <math.h>

void softmax(enum isa isa, float *x, size_t n)
{
    lane_kernels(isa)->softmax(x, n);
}

void softmax_plain(float *x, size_t n)
{
    double greatest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - greatest);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(exp(x[i] - greatest) / sum);
}
