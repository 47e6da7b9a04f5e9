#include "exec/kernels/lane_kernels.h"

void conv1d_silu(enum isa isa, const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                 int to, float *state, float *y)
{
    lane_kernels(isa)->conv1d_silu(conv, x, stride, tokens, from, to, state, y);
}
