/* Recurrences in lanes; included by lane_*.c only. */
#ifndef RAFTER_EXEC_KERNELS_RECURRENT_LANES_H
#define RAFTER_EXEC_KERNELS_RECURRENT_LANES_H

#include "exec/kernels/lanes.h"

enum { SCAN_TOKENS = 32 /* of a tile */ };

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

/* A vector of channels of some tokens. Rows of x, dt and y may be powers of two apart, where few of them fit
 * in the L1 cache's sets at once: a tile of each is taken out for the channels, which take a value a row. */
struct scan_tile {
    float x[SCAN_TOKENS][LANES], dt[SCAN_TOKENS][LANES], out[SCAN_TOKENS][LANES];
};

LANES_INLINE void scan_tile_channels(const struct mamba_scan *scan, int channel, size_t channels, int tokens,
                                     const float *b, const float *c, size_t bc_stride, float *h,
                                     struct scan_tile *tile)
{
    size_t state = (size_t)scan->state;
    for (size_t i = 0; i < channels; i++) {
        size_t at = ((size_t)channel + i) * state;
        for (size_t j = 0; j < state; j += LANES) {
            lanes_fetch(scan->a + at + j);
            lanes_fetch(h + at + j);
        }
        for (int t = 0; t < tokens; t++)
            tile->out[t][i] = scan_channel(scan->a + at, h + at, b + (size_t)t * bc_stride,
                                           c + (size_t)t * bc_stride, state, tile->dt[t][i], tile->x[t][i]);
    }
}

static void lanes_mamba_scan(const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                             size_t stride, const float *b, const float *c, size_t bc_stride, int tokens,
                             int from, int to, float *h, float *y)
{
    struct scan_tile tile;
    for (int begin = 0; begin < tokens; begin += SCAN_TOKENS) {
        int count = tokens - begin < SCAN_TOKENS ? tokens - begin : SCAN_TOKENS;
        for (int channel = from; channel < to; channel += LANES) {
            size_t channels = to - channel < LANES ? (size_t)(to - channel) : LANES;
            size_t first = (size_t)begin * stride + (size_t)channel, bc = (size_t)begin * bc_stride;
            for (size_t t = 0; t < (size_t)count; t++) {
                lanes_store(tile.x[t], lanes_load_part(x + first + t * stride, channels));
                lanes_store(tile.dt[t], lanes_load_part(dt + first + t * stride, channels));
            }
            scan_tile_channels(scan, channel, channels, count, b + bc, c + bc, bc_stride, h, &tile);
            lanes d = lanes_load_part(scan->d + channel, channels);
            for (size_t t = 0; t < (size_t)count; t++) {
                lanes gate = lanes_load_part(z + first + t * stride, channels);
                lanes out = lanes_fma(d, lanes_load(tile.x[t]), lanes_load(tile.out[t]));
                lanes_store_part(y + first + t * stride, out * gate * lanes_sigmoid(gate), channels);
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

enum { DELTA_VECTORS = 4, DELTA_STRIP = 8192 /* floats */, DELTA_COPIED = 4 /* tokens, at least */ };

/* One value head's tokens; q, k, v, y of the first one, `column` columns of v and y on. */
struct delta_head {
    const float *q, *k, *v, *g, *beta;
    float *y;
    size_t stride, y_stride, gate_stride, key_dim;
};

/* k^T S, q^T S and q k of a token. */
struct delta_sums {
    lanes seen[DELTA_VECTORS], out[DELTA_VECTORS];
    float overlap;
};

LANES_INLINE void delta_clear(int vectors, struct delta_sums *sums)
{
    LANES_UNROLL
    for (int j = 0; j < vectors; j++)
        sums->seen[j] = sums->out[j] = lanes_set(0.0F);
    sums->overlap = 0;
}

LANES_INLINE void delta_add_row(int vectors, float k, float q, const lanes *row, struct delta_sums *sums)
{
    lanes key = lanes_set(k), query = lanes_set(q);
    sums->overlap += k * q;
    LANES_UNROLL
    for (int j = 0; j < vectors; j++) {
        sums->seen[j] = lanes_fma(key, row[j], sums->seen[j]);
        sums->out[j] = lanes_fma(query, row[j], sums->out[j]);
    }
}

/* One token's output and the change of each column; q^T S' = g q^T S + (q k) change. */
LANES_INLINE void delta_change(int vectors, const struct delta_sums *sums, float g, float beta,
                               const float *v, float *y, lanes *change)
{
    lanes decay = lanes_set(g);
    LANES_UNROLL
    for (int j = 0; j < vectors; j++) {
        change[j] = lanes_set(beta) * (lanes_load(v + j * LANES) - decay * sums->seen[j]);
        lanes_store(y + j * LANES, lanes_fma(decay, sums->out[j], lanes_set(sums->overlap) * change[j]));
    }
}

/* S' = g S + k change, rows of S `row` floats apart, summed for the next token where there is one. */
LANES_INLINE void delta_update(int vectors, size_t key_dim, float g, const float *k, const lanes *change,
                               const float *next_k, const float *next_q, float *s, size_t row,
                               struct delta_sums *sums)
{
    lanes decay = lanes_set(g), rows[DELTA_VECTORS];
    for (size_t i = 0; i < key_dim; i++, s += row) {
        lanes key = lanes_set(k[i]);
        LANES_UNROLL
        for (int j = 0; j < vectors; j++) {
            rows[j] = lanes_fma(key, change[j], decay * lanes_load(s + (size_t)j * LANES));
            lanes_store(s + (size_t)j * LANES, rows[j]);
        }
        if (sums)
            delta_add_row(vectors, next_k[i], next_q[i], rows, sums);
    }
}

/* All tokens on `vectors` vectors of columns, in a pass for each. */
LANES_INLINE void delta_columns(int vectors, const struct delta_head *head, int tokens, float *s, size_t row)
{
    struct delta_sums sums;
    lanes rows[DELTA_VECTORS], change[DELTA_VECTORS];
    delta_clear(vectors, &sums);
    for (size_t i = 0; i < head->key_dim; i++) {
        LANES_UNROLL
        for (int j = 0; j < vectors; j++)
            rows[j] = lanes_load(s + i * row + (size_t)j * LANES);
        delta_add_row(vectors, head->k[i], head->q[i], rows, &sums);
    }
    for (int t = 0; t < tokens; t++) {
        size_t at = (size_t)t * head->stride, next = at + head->stride, gate = (size_t)t * head->gate_stride;
        delta_change(vectors, &sums, head->g[gate], head->beta[gate], head->v + at,
                     head->y + (size_t)t * head->y_stride, change);
        delta_clear(vectors, &sums);
        if (t + 1 < tokens)
            delta_update(vectors, head->key_dim, head->g[gate], head->k + at, change, head->k + next,
                         head->q + next, s, row, &sums);
        else
            delta_update(vectors, head->key_dim, head->g[gate], head->k + at, change, NULL, NULL, s, row,
                         NULL);
    }
}

/* Rows of a state are a power of two apart, so that a strip of its columns falls on few sets of the L1 cache:
 * for more tokens than one it is copied to where it fits. */
LANES_INLINE void delta_strip(int vectors, const struct delta_head *head, int tokens, float *s, size_t row)
{
    size_t width = (size_t)vectors * LANES, bytes = width * sizeof(float);
    if (tokens < DELTA_COPIED || head->key_dim * width > DELTA_STRIP) {
        delta_columns(vectors, head, tokens, s, row);
        return;
    }
    float strip[DELTA_STRIP] __attribute__((aligned(64)));
    for (size_t i = 0; i < head->key_dim; i++)
        memcpy(strip + i * width, s + i * row, bytes);
    delta_columns(vectors, head, tokens, strip, width);
    for (size_t i = 0; i < head->key_dim; i++)
        memcpy(s + i * row, strip + i * width, bytes);
}

/* The same on one column. */
static void delta_column(const struct delta_head *head, int tokens, float *s, size_t row)
{
    for (int t = 0; t < tokens; t++) {
        size_t at = (size_t)t * head->stride, gate = (size_t)t * head->gate_stride;
        const float *k = head->k + at, *q = head->q + at;
        float seen = 0, out = 0, g = head->g[gate], change;
        for (size_t i = 0; i < head->key_dim; i++)
            seen += k[i] * g * s[i * row];
        change = head->beta[gate] * (head->v[at] - seen);
        for (size_t i = 0; i < head->key_dim; i++) {
            s[i * row] = g * s[i * row] + k[i] * change;
            out += q[i] * s[i * row];
        }
        head->y[(size_t)t * head->y_stride] = out;
    }
}

static void lanes_delta_rule(const struct delta_rule *rule, const float *q, const float *k, const float *v,
                             size_t stride, const float *g, const float *beta, int tokens, int from, int to,
                             float *s, float *y, size_t y_stride)
{
    size_t key_dim = (size_t)rule->key_dim, value_dim = (size_t)rule->value_dim;
    int shared = rule->value_heads / rule->key_heads;
    for (int h = from; h < to; h++) {
        size_t value_head = (size_t)h, key_head = (size_t)(rule->tiled ? h % rule->key_heads : h / shared);
        struct delta_head head = {.q = q + key_head * key_dim,
                                  .k = k + key_head * key_dim,
                                  .g = g + value_head,
                                  .beta = beta + value_head,
                                  .stride = stride,
                                  .y_stride = y_stride,
                                  .gate_stride = (size_t)rule->value_heads,
                                  .key_dim = key_dim};
        for (size_t column = 0, width; column < value_dim; column += width) {
            size_t left = value_dim - column, at = value_head * value_dim + column;
            float *columns = s + value_head * key_dim * value_dim + column;
            head.v = v + at;
            head.y = y + at;
            width = left >= DELTA_VECTORS * LANES ? DELTA_VECTORS * LANES : left >= LANES ? LANES : 1;
            if (width == 1)
                delta_column(&head, tokens, columns, value_dim);
            else if (width == LANES)
                delta_strip(1, &head, tokens, columns, value_dim);
            else
                delta_strip(DELTA_VECTORS, &head, tokens, columns, value_dim);
        }
    }
}

#endif
