#include "exec/kernels/lane_kernels.h"

#include <math.h>

void mamba_scan(enum isa isa, const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                size_t stride, const float *b, const float *c, size_t bc_stride, int tokens, int from, int to,
                float *h, float *y)
{
    lane_kernels(isa)->mamba_scan(scan, x, dt, z, stride, b, c, bc_stride, tokens, from, to, h, y);
}

void mamba2_scan(enum isa isa, const struct mamba2_scan *scan, const float *x, size_t x_stride,
                 const float *dt, size_t dt_stride, const float *b, const float *c, size_t bc_stride,
                 int tokens, int from, int to, float *h, float *y, size_t y_stride)
{
    lane_kernels(isa)->mamba2_scan(scan, x, x_stride, dt, dt_stride, b, c, bc_stride, tokens, from, to, h, y,
                                   y_stride);
}

void delta_rule(enum isa isa, const struct delta_rule *rule, const float *q, const float *k, const float *v,
                size_t stride, const float *g, const float *beta, int tokens, int from, int to, float *s,
                float *y, size_t y_stride)
{
    lane_kernels(isa)->delta_rule(rule, q, k, v, stride, g, beta, tokens, from, to, s, y, y_stride);
}

/* States are kept in fp32 as their type is; the arithmetic of each token is in double. */
void mamba_scan_plain(const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                      size_t stride, const float *b, const float *c, size_t bc_stride, int tokens, float *h,
                      float *y)
{
    size_t state = (size_t)scan->state;
    for (int t = 0; t < tokens; t++)
        for (size_t i = 0; i < (size_t)scan->inner; i++) {
            size_t at = (size_t)t * stride + i, bc = (size_t)t * bc_stride;
            double sum = (double)scan->d[i] * x[at], gate = z[at];
            for (size_t j = 0; j < state; j++) {
                double next = exp((double)dt[at] * scan->a[i * state + j]) * h[i * state + j] +
                              (double)dt[at] * b[bc + j] * x[at];
                sum += next * c[bc + j];
                h[i * state + j] = (float)next;
            }
            y[at] = (float)(sum * gate / (1 + exp(-gate)));
        }
}

void delta_rule_plain(const struct delta_rule *rule, const float *q, const float *k, const float *v,
                      size_t stride, const float *g, const float *beta, int tokens, float *s, float *y,
                      size_t y_stride)
{
    size_t key_dim = (size_t)rule->key_dim, value_dim = (size_t)rule->value_dim;
    size_t heads = (size_t)rule->value_heads;
    for (int t = 0; t < tokens; t++)
        for (size_t head = 0; head < heads; head++) {
            size_t row = (size_t)t * stride, step = (size_t)t * heads + head;
            size_t key_heads = (size_t)rule->key_heads;
            size_t key_head = rule->tiled ? head % key_heads : head / (heads / key_heads);
            for (size_t j = 0; j < value_dim; j++) {
                double seen = 0, out = 0;
                for (size_t i = 0; i < key_dim; i++)
                    seen += (double)k[row + key_head * key_dim + i] * g[step] *
                            s[(head * key_dim + i) * value_dim + j];
                double change = beta[step] * (v[row + head * value_dim + j] - seen);
                for (size_t i = 0; i < key_dim; i++) {
                    float *at = s + (head * key_dim + i) * value_dim + j;
                    double next = (double)g[step] * *at + k[row + key_head * key_dim + i] * change;
                    out += q[row + key_head * key_dim + i] * next;
                    *at = (float)next;
                }
                y[(size_t)t * y_stride + head * value_dim + j] = (float)out;
            }
        }
}
