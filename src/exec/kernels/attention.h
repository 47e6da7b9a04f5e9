/* Attention over a paged KV cache: out = softmax(scale q k^T + mask) v, heads / kv_heads query heads share a
 * KV head. A sequence's new tokens are the last ones of its cache; token i sees those before it and itself,
 * the last `window` of them where there is one.
 *
 * Prefill works through blocks of queries x keys with a running maximum and sum (FlashAttention); decode (few
 * new tokens) reads the cache once, split over (sequence, KV head, chunk of keys), partial results merged by
 * their maxima and sums. Causally masked blocks are skipped. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_H
#define RAFTER_EXEC_KERNELS_ATTENTION_H

#include "exec/cpu.h"
#include "exec/kernels/kv.h"

struct attention_rows {
    struct kv_sequence cache;
    int new_tokens; /* the last so many of cache.tokens */
    int first_row;  /* of them in q and out */
};

/* q [row][heads][k->dim], out [row][heads][v_dim]; rows are q_stride and out_stride floats apart. MLA's
 * latent cache: v is k, v_dim its first values. */
struct attention {
    int heads;
    const struct kv_pool *k, *v;
    int v_dim;
    float scale;
    int window;         /* 0: none */
    const float *sinks; /* [heads] a logit that takes part in the softmax and has no value; NULL */
    float softcap;      /* scores become softcap * tanh(score / softcap); 0: none */
    const float *q;
    size_t q_stride;
    float *out;
    size_t out_stride;
    const struct attention_rows *sequences;
    int count;
};

struct attention_scratch {
    void *bytes;
    size_t capacity;
};

/* false with diag: memory for scratch. */
bool attention(struct team *team, enum isa isa, const struct attention *attention,
               struct attention_scratch *scratch, struct diag *diag);
/* Makes room for what such a call needs; q, out and pages may be NULL here. */
bool attention_reserve(const struct team *team, const struct attention *attention,
                       struct attention_scratch *scratch, struct diag *diag);
void attention_scratch_free(struct attention_scratch *scratch);

/* The oracle: every score in double. */
void attention_plain(const struct attention *attention);

#endif
