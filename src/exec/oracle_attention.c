/* The oracle's attention: every score of every pair, and MLA with all heads' keys and values spelt out. */
#include "exec/oracle_parts.h"

#include <math.h>

struct heads {
    int heads, kv_heads, dim, v_dim, window;
    double scale;
    const double *q, *k, *v; /* [tokens][heads][dim] */
    const double *sinks;
};

/* softmax over what query `at` of one head sees, times the values; score has room for tokens + 1. */
static void attend(const struct oracle *oracle, const struct heads *h, size_t at, int head, double *score,
                   double *out)
{
    int kv_head = head / (h->heads / h->kv_heads);
    size_t from = h->window > 0 && at + 1 > (size_t)h->window ? at + 1 - (size_t)h->window : 0;
    size_t count = at + 1 - from;
    double softcap = oracle->hyper->attention_softcap;
    const double *q = h->q + (at * (size_t)h->heads + (size_t)head) * (size_t)h->dim;
    for (size_t j = 0; j < count; j++) {
        const double *k = h->k + ((from + j) * (size_t)h->kv_heads + (size_t)kv_head) * (size_t)h->dim;
        double sum = 0;
        for (int i = 0; i < h->dim; i++)
            sum += q[i] * k[i];
        score[j] = sum * h->scale;
        if (softcap > 0)
            score[j] = softcap * tanh(score[j] / softcap);
    }
    if (h->sinks != NULL)
        score[count] = h->sinks[head];
    oracle_softmax(score, count + (h->sinks != NULL));
    for (int i = 0; i < h->v_dim; i++)
        out[i] = 0;
    for (size_t j = 0; j < count; j++) {
        const double *v = h->v + ((from + j) * (size_t)h->kv_heads + (size_t)kv_head) * (size_t)h->v_dim;
        for (int i = 0; i < h->v_dim; i++)
            out[i] += score[j] * v[i];
    }
}

static double *attend_all(struct oracle *oracle, const struct heads *h)
{
    double *out = oracle_new(oracle, oracle->tokens * (size_t)h->heads * (size_t)h->v_dim);
    double *score = oracle_new(oracle, oracle->tokens + 1);
    if (h->q == NULL || h->k == NULL || h->v == NULL || out == NULL || score == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        for (int head = 0; head < h->heads; head++)
            attend(oracle, h, t, head, score, out + (t * (size_t)h->heads + (size_t)head) * (size_t)h->v_dim);
    return out;
}

static double score_scale(const struct oracle *oracle, int dim)
{
    return oracle->hyper->attention_scale > 0 ? oracle->hyper->attention_scale : 1 / sqrt(dim);
}

/* A projection of twice the width has each head's gate behind its query: [heads][2][dim]. */
static double *split_gate(struct oracle *oracle, const struct attention_spec *spec, const double *both,
                          double **gate)
{
    size_t dim = (size_t)spec->head_dim, rows = oracle->tokens * (size_t)spec->heads;
    double *q = oracle_new(oracle, rows * dim);
    *gate = oracle_new(oracle, rows * dim);
    if (both == NULL || q == NULL || *gate == NULL)
        return NULL;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < dim; i++) {
            q[r * dim + i] = both[r * 2 * dim + i];
            (*gate)[r * dim + i] = both[r * 2 * dim + dim + i];
        }
    return q;
}

static void norm_and_turn(struct oracle *oracle, const struct attention_spec *spec, enum tensor_role norm,
                          double *x, int heads)
{
    size_t dim = (size_t)spec->head_dim, rows = oracle->tokens * (size_t)heads;
    if (x == NULL)
        return;
    if (spec->qk_norm && spec->qk_norm_all_heads)
        oracle_norm(oracle, norm, ROLE_COUNT, x, oracle->tokens, (size_t)heads * dim);
    else if (spec->qk_norm)
        oracle_norm(oracle, norm, ROLE_COUNT, x, rows, dim);
    for (size_t r = 0; spec->rotary_dim > 0 && r < rows; r++)
        oracle_rope(oracle, x + r * dim, spec->rotary_dim, (int)(r / (size_t)heads), spec->window > 0);
}

double *oracle_attention(struct oracle *oracle, const struct attention_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, dim = (size_t)spec->head_dim;
    size_t v_dim = spec->v_head_dim > 0 ? (size_t)spec->v_head_dim : dim;
    size_t q_width = (size_t)spec->heads * dim * (spec->output_gate ? 2 : 1);
    double *q = oracle_linear(oracle, ROLE_Q, ROLE_Q_BIAS, 0, in, q_width, hidden), *gate = NULL;
    double *k = oracle_linear(oracle, ROLE_K, ROLE_K_BIAS, 0, in, (size_t)spec->kv_heads * dim, hidden);
    double *v = oracle_linear(oracle, ROLE_V, ROLE_V_BIAS, 0, in, (size_t)spec->kv_heads * v_dim, hidden);
    if (spec->output_gate)
        q = split_gate(oracle, spec, q, &gate);
    norm_and_turn(oracle, spec, ROLE_Q_NORM, q, spec->heads);
    norm_and_turn(oracle, spec, ROLE_K_NORM, k, spec->kv_heads);
    const struct heads heads = {
        .heads = spec->heads,
        .kv_heads = spec->kv_heads,
        .dim = spec->head_dim,
        .v_dim = (int)v_dim,
        .window = spec->window,
        .scale = score_scale(oracle, spec->head_dim),
        .q = q,
        .k = k,
        .v = v,
        .sinks = spec->sinks ? oracle_values(oracle, ROLE_SINKS, 0) : NULL,
    };
    double *out = attend_all(oracle, &heads);
    for (size_t i = 0; out != NULL && gate != NULL && i < oracle->tokens * (size_t)spec->heads * v_dim; i++)
        out[i] *= oracle_sigmoid(gate[i]);
    return oracle_linear(oracle, ROLE_O, ROLE_O_BIAS, 0, out, hidden, (size_t)spec->heads * v_dim);
}

static double *mla_query(struct oracle *oracle, const struct mla_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, rank = (size_t)spec->q_lora_rank;
    size_t width = (size_t)spec->heads * (size_t)(spec->qk_nope_head_dim + spec->qk_rope_head_dim);
    if (rank == 0)
        return oracle_linear(oracle, ROLE_Q, ROLE_COUNT, 0, in, width, hidden);
    double *low = oracle_linear(oracle, ROLE_MLA_Q_DOWN, ROLE_COUNT, 0, in, rank, hidden);
    oracle_norm(oracle, ROLE_MLA_Q_NORM, ROLE_COUNT, low, oracle->tokens, rank);
    return oracle_linear(oracle, ROLE_MLA_Q_UP, ROLE_COUNT, 0, low, width, rank);
}

/* A head's key: its own part, then the rotary part that all heads share. */
static double *mla_keys(struct oracle *oracle, const struct mla_spec *spec, const double *own,
                        const double *down)
{
    size_t heads = (size_t)spec->heads, nope = (size_t)spec->qk_nope_head_dim;
    size_t rope = (size_t)spec->qk_rope_head_dim, dim = nope + rope, rank = (size_t)spec->kv_lora_rank;
    double *k = oracle_new(oracle, oracle->tokens * heads * dim), *shared = oracle_new(oracle, rope);
    if (own == NULL || k == NULL || shared == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++) {
        for (size_t i = 0; i < rope; i++)
            shared[i] = down[t * (rank + rope) + rank + i];
        oracle_rope(oracle, shared, (int)rope, (int)t, false);
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < dim; i++)
                k[(t * heads + h) * dim + i] = i < nope ? own[(t * heads + h) * nope + i] : shared[i - nope];
    }
    return k;
}

double *oracle_mla(struct oracle *oracle, const struct mla_spec *spec, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, rank = (size_t)spec->kv_lora_rank;
    size_t heads = (size_t)spec->heads, nope = (size_t)spec->qk_nope_head_dim;
    size_t rope = (size_t)spec->qk_rope_head_dim, value = (size_t)spec->v_head_dim;
    double *q = mla_query(oracle, spec, in);
    double *down = oracle_linear(oracle, ROLE_MLA_KV_DOWN, ROLE_COUNT, 0, in, rank + rope, hidden);
    double *latent = oracle_new(oracle, oracle->tokens * rank);
    if (q == NULL || down == NULL || latent == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        for (size_t i = 0; i < rank; i++)
            latent[t * rank + i] = down[t * (rank + rope) + i];
    oracle_norm(oracle, ROLE_MLA_KV_NORM, ROLE_COUNT, latent, oracle->tokens, rank);
    for (size_t r = 0; r < oracle->tokens * heads; r++)
        oracle_rope(oracle, q + r * (nope + rope) + nope, (int)rope, (int)(r / heads), false);
    const struct heads h = {
        .heads = spec->heads,
        .kv_heads = spec->heads,
        .dim = (int)(nope + rope),
        .v_dim = spec->v_head_dim,
        .scale = score_scale(oracle, (int)(nope + rope)),
        .q = q,
        .k = mla_keys(oracle, spec,
                      oracle_linear(oracle, ROLE_MLA_K_UP, ROLE_COUNT, 0, latent, heads * nope, rank), down),
        .v = oracle_linear(oracle, ROLE_MLA_V_UP, ROLE_COUNT, 0, latent, heads * value, rank),
    };
    return oracle_linear(oracle, ROLE_O, ROLE_COUNT, 0, attend_all(oracle, &h), hidden, heads * value);
}
