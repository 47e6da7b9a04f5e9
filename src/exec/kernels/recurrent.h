/* Recurrences, token by token over a state that stays in the sequence's cache, and the short convolutions
 * before them. Each call works on one sequence's `tokens` rows and the heads or channels [from, to) of one
 * thread. */
#ifndef RAFTER_EXEC_KERNELS_RECURRENT_H
#define RAFTER_EXEC_KERNELS_RECURRENT_H

#include "exec/cpu.h"

/* Causal depthwise convolution and SiLU. x, y [tokens][stride], apart; weight [width][channels];
 * bias [channels] or NULL; state [width - 1][channels]: the inputs before, updated. */
enum { CONV1D_WIDTH_MOST = 16 };
struct conv1d {
    int channels, width; /* width: 1 to CONV1D_WIDTH_MOST */
    const float *weight, *bias;
};
void conv1d_silu(enum isa isa, const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                 int to, float *state, float *y);

/* Mamba-1's selective scan: h = exp(dt A) h + dt B x, y = C h + D x; then y *= silu(z).
 * x, dt (after softplus), z, y [tokens][stride]; A [inner][state] (negative), D [inner];
 * b, c [tokens][bc_stride]; h [inner][state]: updated. */
struct mamba_scan {
    int inner, state;
    const float *a, *d;
};
void mamba_scan(enum isa isa, const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                size_t stride, const float *b, const float *c, size_t bc_stride, int tokens, int from, int to,
                float *h, float *y);

/* Mamba-2: as above with one A, dt and D a head of `head_dim` channels, B and C shared by heads / groups; the
 * gate comes after, with the norm. dt [tokens][heads], h [heads][head_dim][state]. */
struct mamba2_scan {
    int heads, head_dim, groups, state;
    const float *a, *d; /* [heads] */
};
void mamba2_scan(enum isa isa, const struct mamba2_scan *scan, const float *x, size_t x_stride,
                 const float *dt, size_t dt_stride, const float *b, const float *c, size_t bc_stride,
                 int tokens, int from, int to, float *h, float *y, size_t y_stride);

/* Gated delta rule: S = g (S - beta k (k^T S) ...): S <- g S; S <- S + beta k (v - k^T S); y = q^T S.
 * q, k [tokens][key_heads][key_dim] (normalised by the caller), v, y [tokens][value_heads][value_dim];
 * g = exp(log decay), beta [tokens][value_heads]; S [value_heads][key_dim][value_dim]: updated. Rows of q, k,
 * v are `stride` floats apart. */
struct delta_rule {
    int key_heads, value_heads, key_dim, value_dim;
    bool tiled; /* value head h has key head h mod key_heads, else h / (value_heads / key_heads) */
};
void delta_rule(enum isa isa, const struct delta_rule *rule, const float *q, const float *k, const float *v,
                size_t stride, const float *g, const float *beta, int tokens, int from, int to, float *s,
                float *y, size_t y_stride);

/* The oracles, in double: the same arguments without isa. */
void mamba_scan_plain(const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                      size_t stride, const float *b, const float *c, size_t bc_stride, int tokens, float *h,
                      float *y);
void delta_rule_plain(const struct delta_rule *rule, const float *q, const float *k, const float *v,
                      size_t stride, const float *g, const float *beta, int tokens, float *s, float *y,
                      size_t y_stride);

#endif
