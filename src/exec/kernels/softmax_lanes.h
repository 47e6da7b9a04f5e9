/* Softmax, and the greatest value, in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_SOFTMAX_LANES_H
#define RAFTER_EXEC_KERNELS_SOFTMAX_LANES_H

#include "exec/kernels/lanes.h"

/* Four chains hide the latency of the comparisons. */
static float lanes_greatest_of(const float *x, size_t n)
{
    lanes most[4];
    for (int j = 0; j < 4; j++)
        most[j] = lanes_set(-INFINITY);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++) {
            lanes_fetch(x + i + j * LANES);
            most[j] = lanes_max(lanes_load(x + i + j * LANES), most[j]);
        }
    float greatest = lanes_greatest(lanes_max(lanes_max(most[0], most[1]), lanes_max(most[2], most[3])));
    for (; i < n; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    return greatest;
}

static void lanes_softmax(float *x, size_t n)
{
    lanes most = lanes_set(-INFINITY), sums = lanes_set(0.0F);
    size_t i = 0, whole = n / LANES * LANES;
    for (; i < whole; i += LANES)
        most = lanes_max(most, lanes_load(x + i));
    float greatest = lanes_greatest(most);
    for (; i < n; i++)
        greatest = x[i] > greatest ? x[i] : greatest;
    lanes shift = lanes_set(greatest);
    for (i = 0; i < whole; i += LANES) {
        lanes e = lanes_exp(lanes_load(x + i) - shift);
        sums = sums + e;
        lanes_store(x + i, e);
    }
    float sum = lanes_sum(sums);
    if (whole < n) {
        lanes_store_part(x + whole, lanes_exp(lanes_load_part(x + whole, n - whole) - shift), n - whole);
        for (i = whole; i < n; i++)
            sum += x[i];
    }
    lanes scale = lanes_set(1.0F / sum);
    for (i = 0; i < whole; i += LANES)
        lanes_store(x + i, lanes_load(x + i) * scale);
    for (; i < n; i++)
        x[i] *= 1.0F / sum;
}

#endif
