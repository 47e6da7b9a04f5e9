/* The oracle's recurrences, token by token. */
#include "exec/oracle_parts.h"

#include <math.h>

/* Columns [from, from + n) of rows `width` wide. */
static double *columns(struct oracle *oracle, const double *x, size_t width, size_t from, size_t n)
{
    double *y = x != NULL ? oracle_new(oracle, oracle->tokens * n) : NULL;
    for (size_t t = 0; y != NULL && t < oracle->tokens; t++)
        for (size_t i = 0; i < n; i++)
            y[t * n + i] = x[t * width + from + i];
    return y;
}

/* Causal depthwise convolution and SiLU of x [tokens][channels]. */
static double *convolve(struct oracle *oracle, const double *x, size_t channels, size_t width)
{
    const double *w = oracle_values(oracle, ROLE_CONV, 0), *bias = oracle_values(oracle, ROLE_CONV_BIAS, 0);
    double *y = oracle_new(oracle, oracle->tokens * channels);
    if (x == NULL || w == NULL || y == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        for (size_t c = 0; c < channels; c++) {
            double sum = bias != NULL ? bias[c] : 0;
            for (size_t i = 0; i < width; i++) /* weight i meets the input width - 1 - i tokens before */
                if (t + i + 1 >= width)
                    sum += w[c * width + i] * x[(t + i + 1 - width) * channels + c];
            y[t * channels + c] = oracle_activate(ACTIVATION_SILU, sum);
        }
    return y;
}

double *oracle_mamba1(struct oracle *oracle, const struct mamba_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, inner = (size_t)spec->inner, state = (size_t)spec->state;
    size_t rank = (size_t)spec->dt_rank, small = rank + 2 * state;
    double *both = oracle_linear(oracle, ROLE_IN_PROJ, ROLE_COUNT, 0, in, 2 * inner, hidden);
    double *x = convolve(oracle, columns(oracle, both, 2 * inner, 0, inner), inner, (size_t)spec->conv_width);
    double *dbc = oracle_linear(oracle, ROLE_X_PROJ, ROLE_COUNT, 0, x, small, inner);
    double *dt = oracle_linear(oracle, ROLE_DT_PROJ, ROLE_DT_BIAS, 0, columns(oracle, dbc, small, 0, rank),
                               inner, rank);
    const double *a = oracle_values(oracle, ROLE_A, 0), *d = oracle_values(oracle, ROLE_D, 0);
    double *h = oracle_new(oracle, inner * state), *y = oracle_new(oracle, oracle->tokens * inner);
    if (dt == NULL || a == NULL || d == NULL || h == NULL || y == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++) {
        const double *b = dbc + t * small + rank, *c = b + state;
        for (size_t i = 0; i < inner; i++) {
            double step = oracle_softplus(dt[t * inner + i]), u = x[t * inner + i], sum = d[i] * u;
            for (size_t s = 0; s < state; s++) {
                double *cell = &h[i * state + s];
                *cell = exp(step * a[i * state + s]) * *cell + step * b[s] * u;
                sum += c[s] * *cell;
            }
            y[t * inner + i] = sum * oracle_activate(ACTIVATION_SILU, both[t * 2 * inner + inner + i]);
        }
    }
    return oracle_linear(oracle, ROLE_OUT_PROJ, ROLE_COUNT, 0, y, hidden, inner);
}

/* One token of Mamba-2: xbc [inner + 2 groups state], dt [heads] before its bias. */
static void mamba2_token(const struct mamba_spec *spec, const double *xbc, const double *dt,
                         const double *const abd[3], double *h, double *y)
{
    int dim = spec->inner / spec->heads, state = spec->state;
    for (int head = 0; head < spec->heads; head++) {
        int group = head / (spec->heads / spec->groups);
        const double *b = xbc + spec->inner + group * state, *c = b + spec->groups * state;
        double step = oracle_softplus(dt[head] + (abd[1] != NULL ? abd[1][head] : 0));
        double decay = exp(step * abd[0][head]);
        for (int i = head * dim; i < (head + 1) * dim; i++) {
            double sum = abd[2][head] * xbc[i];
            for (int s = 0; s < state; s++) {
                double *cell = &h[i * state + s];
                *cell = decay * *cell + step * b[s] * xbc[i];
                sum += c[s] * *cell;
            }
            y[i] = sum;
        }
    }
}

double *oracle_mamba2(struct oracle *oracle, const struct mamba_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, inner = (size_t)spec->inner, heads = (size_t)spec->heads;
    size_t shared = 2 * (size_t)spec->groups * (size_t)spec->state, channels = inner + shared;
    size_t width = inner + channels + heads, group = inner / (size_t)spec->groups;
    double *all = oracle_linear(oracle, ROLE_IN_PROJ, ROLE_COUNT, 0, in, width, hidden);
    double *xbc =
        convolve(oracle, columns(oracle, all, width, inner, channels), channels, (size_t)spec->conv_width);
    const double *abd[] = {oracle_values(oracle, ROLE_A, 0), oracle_values(oracle, ROLE_DT_BIAS, 0),
                           oracle_values(oracle, ROLE_D, 0)};
    const double *norm = oracle_values(oracle, ROLE_GATED_NORM, 0);
    double *h = oracle_new(oracle, inner * (size_t)spec->state),
           *y = oracle_new(oracle, oracle->tokens * inner);
    if (all == NULL || xbc == NULL || abd[0] == NULL || abd[2] == NULL || norm == NULL || h == NULL ||
        y == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++) {
        mamba2_token(spec, xbc + t * channels, all + t * width + inner + channels, abd, h, y + t * inner);
        for (size_t i = 0; i < inner; i++)
            y[t * inner + i] *= oracle_activate(ACTIVATION_SILU, all[t * width + i]);
        for (size_t i = 0; i < inner; i += group) /* a norm over the channels of each group */
            oracle_rms_norm(y + t * inner + i, norm + i, oracle->hyper->norm_eps, group);
    }
    return oracle_linear(oracle, ROLE_OUT_PROJ, ROLE_COUNT, 0, y, hidden, inner);
}

static void unit_length(double *x, size_t n)
{
    double squares = 1e-6; /* as Qwen3-Next's released code has it */
    for (size_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        x[i] /= sqrt(squares);
}

/* S <- g S; S <- S + beta k (v - k^T S); y = q^T S / sqrt(key size). S [key][value]. */
static void delta_token(const double *q, const double *k, const double *v, double g, double beta, size_t key,
                        size_t value, double *s, double *y)
{
    for (size_t i = 0; i < key * value; i++)
        s[i] *= g;
    for (size_t j = 0; j < value; j++) {
        double seen = 0, out = 0;
        for (size_t i = 0; i < key; i++)
            seen += k[i] * s[i * value + j];
        for (size_t i = 0; i < key; i++) {
            s[i * value + j] += beta * k[i] * (v[j] - seen);
            out += q[i] * s[i * value + j];
        }
        y[j] = out / sqrt((double)key);
    }
}

double *oracle_deltanet(struct oracle *oracle, const struct deltanet_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, key = (size_t)spec->key_head_dim;
    size_t value = (size_t)spec->value_head_dim, key_heads = (size_t)spec->key_heads;
    size_t heads = (size_t)spec->value_heads, keys = key_heads * key, values = heads * value;
    size_t channels = 2 * keys + values;
    double *in_qkv = oracle_linear(oracle, ROLE_IN_PROJ, ROLE_COUNT, 0, in, channels, hidden);
    double *z = oracle_linear(oracle, ROLE_IN_Z, ROLE_COUNT, 0, in, values, hidden);
    double *gates = oracle_linear(oracle, ROLE_IN_GATES, ROLE_COUNT, 0, in, 2 * heads, hidden);
    double *qkv = convolve(oracle, in_qkv, channels, (size_t)spec->conv_width);
    const double *a = oracle_values(oracle, ROLE_A, 0), *bias = oracle_values(oracle, ROLE_DT_BIAS, 0);
    const double *norm = oracle_values(oracle, ROLE_GATED_NORM, 0);
    double *s = oracle_new(oracle, heads * key * value), *y = oracle_new(oracle, oracle->tokens * values);
    if (z == NULL || gates == NULL || qkv == NULL || a == NULL || bias == NULL || norm == NULL || s == NULL ||
        y == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++) {
        double *q = qkv + t * channels, *k = q + keys;
        for (size_t h = 0; h < 2 * key_heads; h++)
            unit_length(q + h * key, key);
        for (size_t h = 0; h < heads; h++) {
            bool tiled = oracle->hyper->delta_tiled;
            size_t from = (tiled ? h % key_heads : h / (heads / key_heads)) * key;
            double beta = oracle_sigmoid(gates[t * 2 * heads + h]);
            double g = exp(a[h] * oracle_softplus(gates[t * 2 * heads + heads + h] + bias[h]));
            double *out = y + t * values + h * value;
            delta_token(q + from, k + from, q + 2 * keys + h * value, g, beta, key, value,
                        s + h * key * value, out);
            oracle_rms_norm(out, norm, oracle->hyper->norm_eps, value);
            for (size_t i = 0; i < value; i++)
                out[i] *= oracle_activate(ACTIVATION_SILU, z[t * values + h * value + i]);
        }
    }
    return oracle_linear(oracle, ROLE_OUT_PROJ, ROLE_COUNT, 0, y, hidden, values);
}
