/* The operators between the products, on rows of fp32 values; each on one thread's share of the rows. Every
 * one has a plain form in double, `..._plain`, beside it for tests. */
#ifndef RAFTER_EXEC_KERNELS_SMALL_H
#define RAFTER_EXEC_KERNELS_SMALL_H

#include "exec/cpu.h"

/* y = x / rms(x) * weight, rms(x) = sqrt(mean(x^2) + eps). y may be x. */
void rms_norm(enum isa isa, const float *x, const float *weight, float eps, size_t n, float *y);
/* y = (x - mean) / sqrt(variance + eps) * weight + bias; bias NULL: 0. y may be x. */
void layer_norm(enum isa isa, const float *x, const float *weight, const float *bias, float eps, size_t n,
                float *y);
void rms_norm_plain(const float *x, const float *weight, float eps, size_t n, float *y);
void layer_norm_plain(const float *x, const float *weight, const float *bias, float eps, size_t n, float *y);

/* Rotary embedding: the pair (a, b) of frequency i becomes (a cos - b sin, a sin + b cos) of the angle
 * position * frequencies[i]. Pairs: neighbours (2i, 2i+1) when interleaved, else (i, i + n/2). */
struct rope {
    int n; /* rotary values of a head, even; those behind stay */
    bool interleaved;
    const float *frequencies; /* [n/2] radians a position, scaling included */
    float magnitude;          /* both cos and sin are multiplied by it (YaRN); 1 */
};
/* cos and sin of one position: table[n], n/2 cosines then n/2 sines. */
void rope_table(const struct rope *rope, int position, float *table);
void rope_heads(enum isa isa, const struct rope *rope, const float *table, float *heads, int count,
                size_t head_dim);
void rope_heads_plain(const struct rope *rope, int position, float *heads, int count, size_t head_dim);

enum activation { ACTIVATION_SILU, ACTIVATION_GELU, ACTIVATION_GELU_TANH, ACTIVATION_RELU, ACTIVATION_RELU2 };
/* y = act(gate) * up; up NULL: act(gate). y may be gate. */
void activate(enum isa isa, enum activation activation, const float *gate, const float *up, size_t n,
              float *y);
void activate_plain(enum activation activation, const float *gate, const float *up, size_t n, float *y);

/* In place: ln(1 + e^x); relative error below 5e-7. */
void softplus_values(enum isa isa, float *x, size_t n);

/* y += scale * x */
void add_scaled(enum isa isa, const float *x, float scale, size_t n, float *y);

/* out [n] = sum over `count` rows [n] of weights[row] * rows[row]. next: as many rows that the sum after this
 * one wants, which are fetched meanwhile. */
void weighted_sum(enum isa isa, const float *const *rows, const float *weights, const float *const *next,
                  size_t count, size_t n, float *out);
/* In place; returns nothing, n >= 1. */
void softmax(enum isa isa, float *x, size_t n);
void softmax_plain(float *x, size_t n);

/* Routing of one token: the top_k experts by score, the first of equals, best first; and their weights.
 * Logits that are NaN are chosen last. top_k at most the experts in the top_groups, groups divide experts and
 * are at most ROUTING_GROUPS_MOST: the caller sees to it. */
enum { ROUTING_GROUPS_MOST = 64 };
struct routing {
    int experts, top_k;
    bool sigmoid;      /* scores are sigmoids, else a softmax over all experts */
    const float *bias; /* [experts] added to the scores for choosing only; NULL */
    int groups,
        top_groups; /* experts in groups, of which the best top_groups may be chosen from; 0: no groups */
    bool normalise; /* weights are divided by their sum */
    float scale;    /* of the weights */
};
void route(const struct routing *routing, const float *logits, int *chosen, float *weights);

/* Sampling of one row of logits: of those left by top_k the least set whose probability reaches top_p, the
 * first of equals first. temperature 0: the greatest, the first of equals. NaN logits are never taken (all
 * NaN: token 0), an infinite one always. Out of range: temperature below 0 or NaN is 0; top_k below 0 is 0;
 * top_p NaN or below 0 leaves the greatest; random is brought into [0, 1). */
struct sampling {
    float temperature;
    int top_k;   /* 0: all */
    float top_p; /* 1: all */
};
/* random in [0, 1). scratch: n values of room for candidates. Returns the token. */
struct candidate {
    float value;
    int token;
};
int sample(enum isa isa, const struct sampling *sampling, const float *logits, size_t n, double random,
           struct candidate *scratch);

#endif
