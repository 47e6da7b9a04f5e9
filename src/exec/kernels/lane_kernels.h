/* The kernels that are written in lanes (lanes.h), compiled for each instruction set: lane_*.c. */
#ifndef RAFTER_EXEC_KERNELS_LANE_KERNELS_H
#define RAFTER_EXEC_KERNELS_LANE_KERNELS_H

#include "exec/kernels/attention.h"
#include "exec/kernels/attention_item.h"
#include "exec/kernels/recurrent.h"
#include "exec/kernels/small.h"

/* Members are described where the header of their kind has them without an isa. */
struct lane_kernels {
    void (*rms_norm)(const float *x, const float *weight, float eps, size_t n, float *y);
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float eps, size_t n, float *y);
    void (*rope_heads)(const struct rope *rope, const float *table, float *heads, int count, size_t head_dim);
    void (*activate)(enum activation activation, const float *gate, const float *up, size_t n, float *y);
    void (*add_scaled)(const float *x, float scale, size_t n, float *y);
    void (*weighted_sum)(const float *const *rows, const float *weights, const float *const *next,
                         size_t count, size_t n, float *out);
    void (*softplus)(float *x, size_t n);
    void (*softmax)(float *x, size_t n);
    /* The greatest of n values but NaN; -inf where there is none. */
    float (*greatest)(const float *x, size_t n);
    void (*kv_encode_row)(enum kv_type type, const float *x, size_t dim, char *row);
    void (*mamba_scan)(const struct mamba_scan *scan, const float *x, const float *dt, const float *z,
                       size_t stride, const float *b, const float *c, size_t bc_stride, int tokens, int from,
                       int to, float *h, float *y);
    void (*mamba2_scan)(const struct mamba2_scan *scan, const float *x, size_t x_stride, const float *dt,
                        size_t dt_stride, const float *b, const float *c, size_t bc_stride, int tokens,
                        int from, int to, float *h, float *y, size_t y_stride);
    void (*delta_rule)(const struct delta_rule *rule, const float *q, const float *k, const float *v,
                       size_t stride, const float *g, const float *beta, int tokens, int from, int to,
                       float *s, float *y, size_t y_stride);
    void (*conv1d_silu)(const struct conv1d *conv, const float *x, size_t stride, int tokens, int from,
                        int to, float *state, float *y);
    void (*attention_item)(const struct attention *attention, const struct attention_item *item,
                           struct attention_room *room);
};

/* The best set that was built and is not above isa. */
const struct lane_kernels *lane_kernels(enum isa isa);

extern const struct lane_kernels lane_kernels_portable;
#if defined(__x86_64__)
extern const struct lane_kernels lane_kernels_avx2, lane_kernels_avx512;
#endif

#endif
