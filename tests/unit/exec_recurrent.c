#include "exec/kernels/recurrent.h"
#include "support/attention_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *drawn(size_t n, float low, float high, uint64_t seed)
{
    float *x = (float *)malloc(n * sizeof *x);
    cr_assert_not_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = low + (high - low) * (case_uniform(&seed) + 1) / 2;
    return x;
}

/* Decaying states forget: an error of a step of 2^-23 for each of the few dozen tokens that are remembered,
 * of values of about `size`. */
static void expect_close(const float *got, const float *expected, size_t n, double size, const char *what,
                         int isa)
{
    for (size_t i = 0; i < n; i++)
        cr_assert(fabs((double)got[i] - expected[i]) <= 64 * 0x1p-23 * size,
                  "%s, isa %d, %zu of %zu: %g, expected %g", what, isa, i, n, (double)got[i],
                  (double)expected[i]);
}

static float *copy_of(const float *x, size_t n)
{
    float *y = (float *)malloc(n * sizeof *y);
    cr_assert_not_null(y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

/* All at once by the oracle; in two calls and two shares of the channels by the kernel. */
static void check_mamba(int isa, int inner, int state, int tokens)
{
    size_t n = (size_t)tokens * (size_t)inner, states = (size_t)inner * (size_t)state;
    size_t bc = (size_t)tokens * 2 * (size_t)state;
    float *x = drawn(n, -1, 1, 1), *dt = drawn(n, 0.01F, 0.5F, 2), *z = drawn(n, -3, 3, 3);
    float *a = drawn(states, -4, -0.2F, 4), *d = drawn((size_t)inner, -1, 1, 5), *b = drawn(bc, -1, 1, 6);
    float *h = drawn(states, -1, 1, 7), *h2 = copy_of(h, states), *y = drawn(n, 0, 0, 8), *y2 = copy_of(y, n);
    struct mamba_scan scan = {inner, state, a, d};
    size_t stride = (size_t)inner, bc_stride = 2 * (size_t)state;
    mamba_scan_plain(&scan, x, dt, z, stride, b, b + state, bc_stride, tokens, h, y);
    int first = tokens / 3, half = inner / 2;
    for (int share = 0; share < 2; share++) {
        int from = share ? half : 0, to = share ? inner : half;
        size_t at = (size_t)first * stride;
        mamba_scan((enum isa)isa, &scan, x, dt, z, stride, b, b + state, bc_stride, first, from, to, h2, y2);
        mamba_scan((enum isa)isa, &scan, x + at, dt + at, z + at, stride, b + (size_t)first * bc_stride,
                   b + state + (size_t)first * bc_stride, bc_stride, tokens - first, from, to, h2, y2 + at);
    }
    expect_close(y2, y, n, 4, "mamba's output", isa);
    expect_close(h2, h, states, 1, "mamba's state", isa);
    float *all[] = {x, dt, z, a, d, b, h, h2, y, y2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

Test(exec_recurrent, mamba)
{
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        check_mamba(isa, 40, 16, 70);
        check_mamba(isa, 33, 8, 5);
        check_mamba(isa, 7, 5, 100);
        check_mamba(isa, 18, 37, 33);
        check_mamba(isa, 1, 1, 1);
    }
}

/* Mamba-2 is Mamba with a head's values repeated for its channels; the gate of z with silu(z) = 1 is off. */
static void check_mamba2(int isa, int heads, int head_dim, int groups, int state, int tokens)
{
    size_t inner = (size_t)heads * (size_t)head_dim, n = (size_t)tokens * inner;
    size_t bc_stride = 2 * (size_t)groups * (size_t)state, bc = (size_t)tokens * bc_stride;
    size_t states = inner * (size_t)state, steps = (size_t)tokens * (size_t)heads;
    float *x = drawn(n, -1, 1, 1), *dt = drawn(steps, 0.01F, 0.5F, 2), *b = drawn(bc, -1, 1, 3);
    float *a = drawn((size_t)heads, -4, -0.2F, 4), *d = drawn((size_t)heads, -1, 1, 5);
    float *h = drawn(states, -1, 1, 6), *h2 = copy_of(h, states), *y = copy_of(x, n), *y2 = copy_of(x, n);
    struct mamba2_scan scan = {heads, head_dim, groups, state, a, d};
    const float *c = b + (size_t)groups * (size_t)state;
    for (size_t t = 0; t < (size_t)tokens; t++)
        for (size_t i = 0; i < inner; i++) {
            size_t head = i / (size_t)head_dim, group = head / ((size_t)heads / (size_t)groups);
            double step = dt[t * (size_t)heads + head], sum = (double)d[head] * x[t * inner + i];
            for (size_t j = 0; j < (size_t)state; j++) {
                size_t at = t * bc_stride + group * (size_t)state + j;
                double next =
                    exp(step * a[head]) * h[i * (size_t)state + j] + step * x[t * inner + i] * b[at];
                h[i * (size_t)state + j] = (float)next;
                sum += next * c[at];
            }
            y[t * inner + i] = (float)sum;
        }
    for (int from = 0, to; from < heads; from = to) { /* in place, y over x */
        to = from + 2 < heads ? from + 2 : heads;
        mamba2_scan((enum isa)isa, &scan, y2, inner, dt, (size_t)heads, b, c, bc_stride, tokens, from, to, h2,
                    y2, inner);
    }
    expect_close(y2, y, n, 4, "mamba-2's output", isa);
    expect_close(h2, h, states, 1, "mamba-2's state", isa);
    float *all[] = {x, dt, b, a, d, h, h2, y, y2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

Test(exec_recurrent, mamba2)
{
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        check_mamba2(isa, 4, 16, 2, 64, 40);
        check_mamba2(isa, 6, 8, 1, 19, 7);
        check_mamba2(isa, 3, 5, 3, 3, 11);
    }
}

static void check_delta(int isa, int key_heads, int value_heads, int key_dim, int value_dim, int tokens,
                        bool tiled)
{
    size_t keys = (size_t)key_heads * (size_t)key_dim, values = (size_t)value_heads * (size_t)value_dim;
    size_t stride = 2 * keys + values, rows = (size_t)tokens, steps = rows * (size_t)value_heads;
    size_t states = values * (size_t)key_dim;
    float *qkv = drawn(rows * stride, -1, 1, 1), *g = drawn(steps, 0.7F, 1, 2), *beta = drawn(steps, 0, 1, 3);
    for (size_t head = 0; head < rows * 2 * (size_t)key_heads; head++) { /* |q| = |k| = 1 */
        float *x =
            qkv + head / (2 * (size_t)key_heads) * stride + head % (2 * (size_t)key_heads) * (size_t)key_dim;
        double sum = 0;
        for (int i = 0; i < key_dim; i++)
            sum += (double)x[i] * x[i];
        for (int i = 0; i < key_dim; i++)
            x[i] = (float)(x[i] / sqrt(sum));
    }
    float *s = drawn(states, -0.5F, 0.5F, 4), *s2 = copy_of(s, states);
    float *y = drawn(rows * values, 0, 0, 5), *y2 = copy_of(y, rows * values);
    struct delta_rule rule = {key_heads, value_heads, key_dim, value_dim, tiled};
    const float *q = qkv, *k = qkv + keys, *v = qkv + 2 * keys;
    delta_rule_plain(&rule, q, k, v, stride, g, beta, tokens, s, y, values);
    int first = tokens / 2;
    size_t at = (size_t)first * stride, step = (size_t)first * (size_t)value_heads;
    for (int head = 0; head < value_heads; head++) {
        delta_rule((enum isa)isa, &rule, q, k, v, stride, g, beta, first, head, head + 1, s2, y2, values);
        delta_rule((enum isa)isa, &rule, q + at, k + at, v + at, stride, g + step, beta + step,
                   tokens - first, head, head + 1, s2, y2 + (size_t)first * values, values);
    }
    expect_close(y2, y, rows * values, 2, "the delta rule's output", isa);
    expect_close(s2, s, states, 2, "the delta rule's state", isa);
    float *all[] = {qkv, g, beta, s, s2, y, y2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

Test(exec_recurrent, delta_rule)
{
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        check_delta(isa, 2, 4, 64, 128, 30, false);
        check_delta(isa, 1, 1, 16, 83, 9, false);
        check_delta(isa, 3, 3, 5, 3, 20, false);
        check_delta(isa, 3, 6, 5, 33, 7, true);
    }
}

Test(exec_recurrent, convolution)
{
    enum { CHANNELS = 37, TOKENS = 20, WIDTH_MOST = 10 };
    for (int width = 1; width <= WIDTH_MOST; width++)
        for (int kind = 0; kind < 2 * ((int)cpu_isa() + 1); kind++) {
            int biased = kind % 2, isa = kind / 2;
            size_t before = (size_t)width - 1, n = (size_t)TOKENS * CHANNELS;
            float *x = drawn(n, -1, 1, 1), *weight = drawn((size_t)CHANNELS * (size_t)width, -1, 1, 2);
            float *bias = drawn(CHANNELS, -1, 1, 3), *y = drawn(n, 0, 0, 4);
            float *state = drawn(CHANNELS * before + 1, -1, 1, 5),
                  *start = copy_of(state, CHANNELS * before + 1);
            struct conv1d conv = {CHANNELS, width, weight, biased ? bias : NULL};
            for (int from = 0; from < CHANNELS; from += 19) /* two shares, tokens in two calls */
                for (int t = 0; t < TOKENS; t += 13)
                    conv1d_silu((enum isa)isa, &conv, x + (size_t)t * CHANNELS, CHANNELS,
                                TOKENS - t < 13 ? TOKENS - t : 13, from,
                                from + 19 < CHANNELS ? from + 19 : CHANNELS, state, y + (size_t)t * CHANNELS);
            for (int c = 0; c < CHANNELS; c++)
                for (int t = 0; t < TOKENS; t++) {
                    double sum = biased ? (double)bias[c] : 0;
                    for (int j = 0; j < width; j++) {
                        int at = t - (width - 1) + j;
                        double input = at >= 0 ? (double)x[at * CHANNELS + c]
                                               : (double)start[(before + (size_t)at) * CHANNELS + (size_t)c];
                        sum += input * weight[j * CHANNELS + c];
                    }
                    cr_assert_float_eq(y[t * CHANNELS + c], sum / (1 + exp(-sum)), 5e-6,
                                       "width %d, channel %d, token %d", width, c, t);
                }
            for (int c = 0; c < CHANNELS; c++)
                for (size_t j = 0; j < before; j++)
                    cr_assert_eq(state[j * CHANNELS + (size_t)c],
                                 x[(TOKENS - before + j) * CHANNELS + (size_t)c]);
            float *all[] = {x, weight, bias, y, state, start};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                free(all[i]);
        }
}
