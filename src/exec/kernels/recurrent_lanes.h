/* Recurrences in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_RECURRENT_LANES_H
#define RAFTER_EXEC_KERNELS_RECURRENT_LANES_H

#include "exec/kernels/lanes.h"

/* Tokens that a channel takes at once: rows of x, dt, z and y of so many tokens stay in the L1 cache while
 * the next channels use the rest of their lines. */
enum { SCAN_TOKENS = 32 };

/* One token of one channel: h = exp(dt A) h + dt x B; returns C h. */
LANES_INLINE float scan_channel(const float *a, float *h, const float *b, const float *c, size_t state,
                                float dt, float x)
{
    lanes step = lanes_set(dt), input = lanes_set(dt * x), sums = lanes_set(0.0F);
    size_t i = 0;
    for (; i + LANES <= state; i += LANES) {
        lanes decay = lanes_exp(lanes_load(a + i) * step);
        lanes next = lanes_fma(decay, lanes_load(h + i), input * lanes_load(b + i));
        sums = lanes_fma(next, lanes_load(c + i), sums);
        lanes_store(h + i, next);
    }
    if (i < state) {
        size_t rest = state - i;
        lanes decay = lanes_exp(lanes_load_part(a + i, rest) * step);
        lanes next = lanes_fma(decay, lanes_load_part(h + i, rest), input * lanes_load_part(b + i, rest));
        sums = lanes_fma(next, lanes_load_part(c + i, rest), sums);
        lanes_store_part(h + i, next, rest);
    }
    return lanes_sum(sums);
}

static void lanes_mamba_scan(const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                             size_t stride, const float *b, const float *c, size_t bc_stride, int tokens,
                             int from, int to, float *h, float *y)
{
    size_t state = (size_t)scan->state;
    for (int begin = 0; begin < tokens; begin += SCAN_TOKENS) {
        int end = tokens - begin < SCAN_TOKENS ? tokens : begin + SCAN_TOKENS;
        for (int channel = from; channel < to; channel++)
            for (int t = begin; t < end; t++) {
                size_t at = (size_t)t * stride + (size_t)channel, bc = (size_t)t * bc_stride;
                float out = scan_channel(scan->a + (size_t)channel * state, h + (size_t)channel * state,
                                         b + bc, c + bc, state, dt[at], x[at]);
                y[at] = out + scan->d[channel] * x[at];
            }
        for (int t = begin; t < end; t++) { /* the gate, over channels */
            size_t at = (size_t)t * stride;
            int channel = from;
            for (; channel < to; channel += LANES) {
                size_t i = at + (size_t)channel, n = to - channel < LANES ? (size_t)(to - channel) : LANES;
                lanes gate = lanes_load_part(z + i, n);
                lanes_store_part(y + i, lanes_load_part(y + i, n) * gate * lanes_sigmoid(gate), n);
            }
        }
    }
}

/* One token of one channel of Mamba-2: the decay is its head's. */
LANES_INLINE float scan2_channel(float *h, const float *b, const float *c, size_t state, float decay,
                                 float input)
{
    lanes keep = lanes_set(decay), in = lanes_set(input), sums = lanes_set(0.0F);
    size_t i = 0;
    for (; i + LANES <= state; i += LANES) {
        lanes next = lanes_fma(keep, lanes_load(h + i), in * lanes_load(b + i));
        sums = lanes_fma(next, lanes_load(c + i), sums);
        lanes_store(h + i, next);
    }
    float sum = lanes_sum(sums);
    for (; i < state; i++) {
        h[i] = decay * h[i] + input * b[i];
        sum += h[i] * c[i];
    }
    return sum;
}

static void lanes_mamba2_scan(const struct mamba2_scan *scan, const float *x, size_t x_stride,
                              const float *dt, size_t dt_stride, const float *b, const float *c,
                              size_t bc_stride, int tokens, int from, int to, float *h, float *y,
                              size_t y_stride)
{
    size_t state = (size_t)scan->state, head_dim = (size_t)scan->head_dim;
    for (int head = from; head < to; head++) {
        size_t group = (size_t)(head / (scan->heads / scan->groups));
        float *rows = h + (size_t)head * head_dim * state;
        for (int t = 0; t < tokens; t++) {
            const float *in = x + (size_t)t * x_stride + (size_t)head * head_dim;
            float *out = y + (size_t)t * y_stride + (size_t)head * head_dim;
            const float *b_row = b + (size_t)t * bc_stride + group * state;
            const float *c_row = c + (size_t)t * bc_stride + group * state;
            float step = dt[(size_t)t * dt_stride + (size_t)head], decay = expf(step * scan->a[head]);
            for (size_t i = 0; i < head_dim; i++) {
                float input = in[i]; /* y may be x */
                out[i] = scan2_channel(rows + i * state, b_row, c_row, state, decay, step * input) +
                         scan->d[head] * input;
            }
        }
    }
}

enum { DELTA_VECTORS = 4 };

/* One token on `vectors` vectors of the value's columns, whose strip of S stays in the L1 cache from token to
 * token. k^T S and q^T S are taken in one pass before the update: q^T S' = g q^T S + (q k) change. */
LANES_INLINE void delta_columns(const float *q, const float *k, const float *v, float g, float beta,
                                size_t key_dim, size_t value_dim, int vectors, float *s, float *y)
{
    lanes seen[DELTA_VECTORS], out[DELTA_VECTORS], decay = lanes_set(g);
    float overlap = 0;
    for (int j = 0; j < vectors; j++)
        seen[j] = out[j] = lanes_set(0.0F);
    for (size_t i = 0; i < key_dim; i++) {
        lanes key = lanes_set(k[i]), query = lanes_set(q[i]);
        overlap += k[i] * q[i];
        for (int j = 0; j < vectors; j++) {
            lanes row = lanes_load(s + i * value_dim + (size_t)j * LANES);
            seen[j] = lanes_fma(key, row, seen[j]);
            out[j] = lanes_fma(query, row, out[j]);
        }
    }
    for (int j = 0; j < vectors; j++) {
        lanes change = lanes_set(beta) * (lanes_load(v + (size_t)j * LANES) - decay * seen[j]);
        lanes_store(y + (size_t)j * LANES, lanes_fma(decay, out[j], lanes_set(overlap) * change));
        seen[j] = change;
    }
    for (size_t i = 0; i < key_dim; i++) {
        lanes key = lanes_set(k[i]);
        for (int j = 0; j < vectors; j++) {
            float *row = s + i * value_dim + (size_t)j * LANES;
            lanes_store(row, lanes_fma(key, seen[j], decay * lanes_load(row)));
        }
    }
}

/* The same for one column. */
static void delta_column(const float *q, const float *k, float v, float g, float beta, size_t key_dim,
                         size_t value_dim, float *s, float *y)
{
    float seen = 0, out = 0;
    for (size_t i = 0; i < key_dim; i++)
        seen += k[i] * g * s[i * value_dim];
    for (size_t i = 0; i < key_dim; i++) {
        float *at = s + i * value_dim;
        *at = g * *at + k[i] * beta * (v - seen);
        out += q[i] * *at;
    }
    *y = out;
}

static void lanes_delta_rule(const struct delta_rule *rule, const float *q, const float *k, const float *v,
                             size_t stride, const float *g, const float *beta, int tokens, int from, int to,
                             float *s, float *y, size_t y_stride)
{
    size_t key_dim = (size_t)rule->key_dim, value_dim = (size_t)rule->value_dim;
    for (int head = from; head < to; head++) {
        int shared = rule->value_heads / rule->key_heads;
        size_t key_head = (size_t)(rule->tiled ? head % rule->key_heads : head / shared), h = (size_t)head;
        float *state = s + h * key_dim * value_dim;
        for (size_t column = 0; column < value_dim;) {
            size_t left = value_dim - column;
            size_t width = left >= DELTA_VECTORS * LANES ? DELTA_VECTORS * LANES : left >= LANES ? LANES : 1;
            for (int t = 0; t < tokens; t++) {
                size_t at = (size_t)t * stride, step = (size_t)t * (size_t)rule->value_heads + h;
                const float *query = q + at + key_head * key_dim, *key = k + at + key_head * key_dim;
                const float *value = v + at + h * value_dim + column;
                float *out = y + (size_t)t * y_stride + h * value_dim + column;
                if (width == 1)
                    delta_column(query, key, *value, g[step], beta[step], key_dim, value_dim, state + column,
                                 out);
                else if (width == LANES)
                    delta_columns(query, key, value, g[step], beta[step], key_dim, value_dim, 1,
                                  state + column, out);
                else
                    delta_columns(query, key, value, g[step], beta[step], key_dim, value_dim, DELTA_VECTORS,
                                  state + column, out);
            }
            column += width;
        }
    }
}

#endif
