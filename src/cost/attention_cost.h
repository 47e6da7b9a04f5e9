/* Prepared attention. Private to cost/. */
#ifndef RAFTER_COST_ATTENTION_COST_H
#define RAFTER_COST_ATTENTION_COST_H

#include "cost/rates.h"

struct prepared_op;

/* Rates of one regime's kernel; _s: seconds on one unit. */
struct attention_rates {
    double fixed;       /* t0 */
    double omega;       /* s a work item */
    double split;       /* s of launching the merge of splits */
    double memory_rate; /* byte/s reached */
    double pair_s;      /* matrix work of one (query row, KV token) pair */
    double lane_pair_s; /* softmax of the pair on lanes */
    double kv_cache_s;  /* one KV token of one KV head from the shared cache */
    double kv_lane_s;   /* converting it to the compute format on lanes */
};

struct attention_cost {
    double heads, kv_heads, group, qk_dim, v_dim, window;
    double pair_flops;     /* of one head: 2 * (qk_dim + v_dim) */
    double kv_token_bytes; /* one token, all KV heads */
    double kv_head_bytes;  /* one token, one KV head */
    double query_bytes;    /* Q read and O written per new token, all heads */
    double merge_bytes;    /* one split's partial result per new token, written and read */
    double score_bytes;    /* one score, unfused */
    double q_bytes, k_token_bytes, v_token_bytes, o_bytes; /* unfused: per token, all heads */
    double inverse_units, units;
    enum byte_class kv_class;
    struct attention_rates prefill, decode;
};

/* One segment as attention sees it. */
struct attention_segment {
    double sequences, new_tokens, context;
    double kv_tokens; /* read by a sequence */
    double shared;    /* of them, read once for all sequences */
    double pairs;     /* (query, key) pairs of a sequence, to the token */
    bool causal;
};

/* What a regime's kernel does, summed over its segments. */
struct attention_sums {
    double seconds;               /* units busy, waves included */
    double compute, lanes, cache; /* the same by resource, without waves' overhead */
    double executed_flops, lane_flops, cache_bytes;
    double memory_bytes;
    double extra_s;    /* merging splits */
    double overhead_s; /* of seconds, omega's part */
};

bool attention_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph);
void attention_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost);

void attention_prefill(const struct prepared_op *prepared, const struct attention_segment *segments,
                       int count, struct attention_sums *sums);
void attention_decode(const struct prepared_op *prepared, const struct attention_segment *segments, int count,
                      struct attention_sums *sums);
void attention_unfused(const struct prepared_op *prepared, const struct attention_rates *rates,
                       const struct attention_segment *segments, int count, struct op_cost *cost);

/* s on one unit for one KV token met by `rows` query rows: its slowest resource. */
double attention_step_s(const struct attention_rates *rates, bool matrix, double rows);

/* Memory traffic of the segments' operands after residency, KV excluded. */
double attention_query_bytes(const struct prepared_op *prepared, const struct attention_segment *segments,
                             int count);

#endif
