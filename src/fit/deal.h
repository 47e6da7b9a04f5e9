/* How the benchmark behind moe.csv deals tokens to experts. Private to fit/. */
#ifndef RAFTER_FIT_DEAL_H
#define RAFTER_FIT_DEAL_H

#include "base/arena.h"
#include "graph/op.h"

struct deal {
    int tokens, experts, top_k, ranks;
    double exponent; /* of the power law; 0: balanced */
    bool unbounded;  /* the first version: counts above T stay, see deal.c */
};

/* The loads of the timed rank's experts, in gemm_work.dealt and .dealt_count; false: out of memory. */
bool deal_tokens(const struct deal *deal, struct arena *arena, struct gemm_work *work);

#endif
