/* Steps: one forward pass each. Prefill, decode, chunks on cached context, verification trees and diffusion
 * blocks are all steps, so that there is one cost path. */
#ifndef RAFTER_GRAPH_STEP_H
#define RAFTER_GRAPH_STEP_H

#include <stdbool.h>

enum mask {
    MASK_CAUSAL, /* each new token sees the cached ones and the new ones up to itself */
    MASK_TREE,   /* draft trees: ancestors only; kernels compute all pairs among the new tokens */
    MASK_BLOCK,  /* diffusion block: cached ones and all new ones */
    MASK_FULL    /* bidirectional: all new ones; as BLOCK, named for encoders */
};

/* Sequences that move alike. Counts may be expected values. A layer's own window limits any mask further. */
struct segment {
    double sequences;
    double new_tokens; /* a sequence */
    double context;    /* tokens a sequence has in the KV cache before this step, shared prefix included */
    double prefix;     /* of these, how many are one shared prefix of all the segment's sequences */
    double source;     /* tokens of an encoder's output that cross-attention sees; 0: no encoder */
    double sampled;    /* positions a sequence whose logits are computed */
    enum mask mask;
    int layer_first; /* layers [first, last) that the tokens pass; last 0: to the end */
    int layer_last;
    /* where layers drop tokens (estimate/plan.h): how many of the new and of the cached ones they may; tokens
     * a step brings back where all are dropped, and the share of the dropped that is back already */
    double droppable_new, droppable_context, revived_new, revived;
};

enum { SEGMENTS_MOST = 16 };

struct step {
    struct segment segments[SEGMENTS_MOST];
    int count;
};

/* Which kernels a segment runs on: DECODE where few new tokens per sequence meet a cached context or an
 * encoder's output (query rows fit one tile; at most DECODE_TOKENS_MOST), else PREFILL. */
enum { DECODE_TOKENS_MOST = 16 };
enum regime { REGIME_PREFILL = 1, REGIME_DECODE = 2, REGIME_ANY = 3 };
enum regime segment_regime(const struct segment *segment);

/* Sums over the segments of a regime that pass the layers in question. */
struct step_totals {
    double sequences;
    double tokens;
    double sampled;
    double context; /* cached and new tokens */
    double pairs;   /* (new token, token it may see) */
    double source; /* tokens of the encoder's output met for the first time: by sequences without a context */
};

void step_totals_add(struct step_totals *totals, const struct segment *segment);

/* (query, key) pairs of one sequence under mask and window (0: none): what attention must compute, to the
 * token. */
double segment_pairs(const struct segment *segment, double window);
/* The same where each query attends to at most `most` of the tokens it may see, wherever they stand. */
double segment_selected_pairs(const struct segment *segment, double most);
/* KV tokens of one sequence that its new tokens read, the new ones included. */
double segment_kv_tokens(const struct segment *segment, double window);

#endif
