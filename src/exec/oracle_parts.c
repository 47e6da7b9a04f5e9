#include "exec/oracle_parts.h"

#include "exec/kernels/blocks.h"
#include "exec/rope_scaling.h"

#include <math.h>

double *oracle_new(struct oracle *oracle, size_t values)
{
    double *array = ARENA_ARRAY(oracle->arena, double, values);
    if (array == NULL)
        diag_error(oracle->diag, NOWHERE, "out of memory");
    return array;
}

static double *decode(struct oracle *oracle, const struct tensor *tensor)
{
    double *values = oracle_new(oracle, tensor->rows * tensor->cols);
    float *row = ARENA_ARRAY(oracle->arena, float, tensor->cols);
    if (values == NULL || row == NULL)
        return NULL;
    for (size_t r = 0; r < tensor->rows; r++) {
        weights_decode(tensor->type, tensor_row(tensor, r), tensor->cols, row);
        for (size_t c = 0; c < tensor->cols; c++)
            values[r * tensor->cols + c] = row[c];
    }
    return values;
}

double *oracle_values(struct oracle *oracle, enum tensor_role role, int part)
{
    struct tensor tensor;
    if (role == ROLE_COUNT || !weights_find(oracle->weights, role, oracle->layer, part, &tensor))
        return NULL;
    return decode(oracle, &tensor);
}

double *oracle_linear(struct oracle *oracle, enum tensor_role role, enum tensor_role bias, int part,
                      const double *x, size_t out, size_t in)
{
    struct tensor tensor;
    if (x == NULL ||
        !weights_need(oracle->weights, oracle->diag, role, oracle->layer, part, out, in, &tensor))
        return NULL;
    double *w = decode(oracle, &tensor), *y = oracle_new(oracle, oracle->tokens * out);
    const double *b = oracle_values(oracle, bias, part);
    if (w == NULL || y == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        for (size_t o = 0; o < out; o++) {
            double sum = b != NULL ? b[o] : 0;
            for (size_t i = 0; i < in; i++)
                sum += x[t * in + i] * w[o * in + i];
            y[t * out + o] = sum;
        }
    return y;
}

void oracle_rms_norm(double *x, const double *weight, double eps, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    double scale = 1 / sqrt(squares / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        x[i] *= scale * weight[i];
}

static void layer_norm_row(double *x, const double *weight, const double *bias, double eps, size_t n)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + (bias != NULL ? bias[i] : 0);
}

void oracle_norm(struct oracle *oracle, enum tensor_role weight, enum tensor_role bias, double *x,
                 size_t count, size_t n)
{
    double *w = oracle_values(oracle, weight, 0);
    const double *b = oracle_values(oracle, bias, 0);
    if (x == NULL)
        return;
    if (w == NULL) {
        diag_error(oracle->diag, NOWHERE, "layer %d has no %s", oracle->layer, tensor_role_name(weight));
        return;
    }
    for (size_t i = 0; i < n; i++)
        w[i] += oracle->hyper->norm_plus_one ? 1 : 0;
    for (size_t r = 0; r < count; r++) {
        if (oracle->model->norm == NORM_LAYER)
            layer_norm_row(x + r * n, w, b, oracle->hyper->norm_eps, n);
        else
            oracle_rms_norm(x + r * n, w, oracle->hyper->norm_eps, n);
    }
}

void oracle_rope(struct oracle *oracle, double *head, int n, int position, bool local)
{
    enum { PAIRS_MOST = 4096 };
    double frequencies[PAIRS_MOST];
    float factors[PAIRS_MOST];
    struct tensor tensor;
    if (n > 2 * PAIRS_MOST) {
        diag_error(oracle->diag, NOWHERE, "more than %d rotary pairs", PAIRS_MOST);
        return;
    }
    bool scaled = weights_find(oracle->weights, ROLE_ROPE_FACTORS, 0, 0, &tensor);
    if (scaled)
        weights_decode(tensor.type, tensor.data, (size_t)(n / 2), factors);
    double magnitude = rope_frequencies(oracle->hyper, n, local, scaled ? factors : NULL, frequencies);
    for (int i = 0; i < n / 2; i++) {
        bool neighbours = oracle->hyper->rope_interleaved;
        double *a = head + (neighbours ? 2 * i : i), *b = head + (neighbours ? 2 * i + 1 : i + n / 2);
        double cosine = magnitude * cos(position * frequencies[i]);
        double sine = magnitude * sin(position * frequencies[i]);
        double turned = *a * cosine - *b * sine;
        *b = *a * sine + *b * cosine;
        *a = turned;
    }
}

double oracle_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

double oracle_softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

double oracle_activate(enum activation activation, double x)
{
    const double root = 0.7978845608028654; /* sqrt(2 / pi) */
    switch (activation) {
    case ACTIVATION_SILU:
        return x * oracle_sigmoid(x);
    case ACTIVATION_GELU:
        return x / 2 * (1 + erf(x / sqrt(2)));
    case ACTIVATION_GELU_TANH:
        return x / 2 * (1 + tanh(root * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_RELU2:
        return x > 0 ? x * x : 0;
    }
    return x;
}

void oracle_softmax(double *x, size_t n)
{
    double most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = fmax(most, x[i]);
    for (size_t i = 0; i < n; i++)
        sum += x[i] = exp(x[i] - most);
    for (size_t i = 0; i < n; i++)
        x[i] /= sum;
}
