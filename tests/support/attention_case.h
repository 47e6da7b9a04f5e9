/* A call of attention with random queries, keys and values, its pages in no order; for tests and benchmarks.
 */
#ifndef RAFTER_TESTS_SUPPORT_ATTENTION_CASE_H
#define RAFTER_TESTS_SUPPORT_ATTENTION_CASE_H

#include "exec/kernels/attention.h"

enum { CASE_SEQUENCES_MOST = 8 };

struct attention_shape {
    int heads, kv_heads, dim, v_dim;
    enum kv_type type;
    int page_tokens;
    int window;
    float softcap;
    bool sinks;
    bool latent; /* v is k */
    int count;
    int cached[CASE_SEQUENCES_MOST]; /* tokens before the new ones; the shape ends with `count` sequences */
    int fresh[CASE_SEQUENCES_MOST];
};

struct attention_case {
    struct attention attention;
    int rows;
    float *out; /* [rows][heads * v_dim], what attention.out points at */
    struct kv_pool k, v;
    void *k_pages, *v_pages, *q;
    size_t k_bytes, v_bytes, q_bytes, out_bytes;
    struct attention_rows sequences[CASE_SEQUENCES_MOST];
    int32_t *pages;
    float *sinks;
};

/* A random number in [-1, 1) and one of about a normal distribution; seeds follow each other. */
float case_uniform(uint64_t *seed);
float case_normal(uint64_t *seed);

/* The small arrays are in the arena, the large ones buffers that attention_case_free gives back. false with
 * diag: memory. */
bool attention_case_new(struct attention_case *made, struct arena *arena, struct diag *diag,
                        const struct attention_shape *shape, uint64_t seed);
void attention_case_free(struct attention_case *made);

#endif
