/* Prepared attention. Private to cost/. */
#ifndef RAFTER_COST_ATTENTION_COST_H
#define RAFTER_COST_ATTENTION_COST_H

#include "cost/rates.h"

struct prepared_op;

/* Prefill: query blocks of one processing unit that share their KV reads. */
enum { PREFILL_SHARING = 2 };

/* Rates of one regime's kernel; _s: seconds on one unit. */
struct attention_rates {
    double fixed;       /* t0 */
    double omega;       /* s a work item */
    double split;       /* s of launching the merge of splits */
    double lane_omega;  /* as omega, on lanes */
    double lane_row_s;  /* as pair_s, on lanes */
    double memory_rate; /* byte/s reached */
    double pair_s;      /* matrix work of one (query row, KV token) pair */
    double lane_pair_s; /* softmax of the pair on lanes */
    double kv_cache_s;  /* one KV token of one KV head from the shared cache */
    double kv_lane_s;   /* converting it to the compute format on lanes */
    double lane_rate;   /* prefill: lane FLOP/s of one unit that the softmax reaches */
    double row_s;       /* prefill: loading a query row of one head, storing its result */
    double pack;        /* prefill: share of the KV heads whose query heads share blocks */
    double single;      /* prefill: the same for sequences of one token */
    double setup_s;     /* prefill: of one token on all units, writing its KV */
};

/* How many chunks a sequence's KV is cut into. */
enum split_rule {
    SPLIT_NEVER,
    SPLIT_BEST,  /* whichever of 1, 2, 4 .. 64 is fastest */
    SPLIT_WAVES, /* n tiles: min(n, sqrt(8 n)), but no more items than `slots` a unit */
    SPLIT_EVEN,  /* so that each unit gets about as many tiles */
    SPLIT_FILL   /* one where 0.8 of all slots are taken; else the least that fills its last wave 0.85 as
                    well as the best */
};

/* How a decode kernel deals out its work. */
struct decode_kernel {
    enum split_rule rule;
    double row_step, row_tile; /* query rows of an item: padded to, at most */
    double least_tokens;       /* KV tokens an item passes over at least: a tile */
    double split_tokens;       /* KV tokens of a chunk, at least */
    double slots;              /* items a unit, as the rule counts them */
    double waits;              /* memory latencies that each KV tile of an item waits for, not prefetched */
    double resident;           /* items that share a unit, at most */
    bool whole_window;         /* the rule divides what lies before the window too */
    bool overlaps;             /* items start while those before them run */
    bool repacks;              /* a kernel before copies the queries of a KV head together */
    bool serial_merge;         /* partial results are read one after the other */
    bool packs;                /* an item has the rows of all heads that share its KV head */
    bool lanes;                /* dot products on ordinary lanes */
};

/* The kernels that an op's library has for it. `small`, where there is one, runs up to a few items a unit. */
struct decode_kernels {
    const struct decode_kernel *main, *small;
};
struct decode_kernels decode_kernels_of(const struct target *target, const struct attention_work *work,
                                        enum operand kv);

/* Splits of KV caches of `tiles` whole tiles, for `items` unsplit items; no SPLIT_BEST. */
double decode_splits(const struct decode_kernel *kernel, double units, double items, double tiles);

struct attention_cost {
    struct decode_kernels kernels;
    double heads, kv_heads, group, qk_dim, v_dim, window, selected;
    double pair_flops;     /* of one head: 2 * (qk_dim + v_dim) */
    double kv_token_bytes; /* one token, all KV heads */
    double kv_head_bytes;  /* one token, one KV head */
    double query_bytes;    /* Q read and O written per new token, all heads */
    double merge_bytes;    /* one split's partial result per new token, written and read */
    double score_bytes;    /* one score, unfused */
    double written_score;  /* bytes of one (query, token) score of an indexer; 0: none is written */
    double q_bytes, k_token_bytes, v_token_bytes, o_bytes; /* unfused: per token, all heads */
    double tile; /* prefill: KV tokens that a block takes at a time */
    double inverse_units, units;
    double cache_latency;  /* s */
    double memory_latency; /* s */
    enum byte_class kv_class;
    struct attention_rates prefill, decode;
};

/* One segment as attention sees it. */
struct attention_segment {
    double sequences, new_tokens, context;
    double kv_tokens; /* read by a sequence */
    double span;      /* tokens of the cache that a sequence's reads come from */
    double distinct;  /* tokens that all sequences' reads touch at least once, nothing shared */
    double shared;    /* of them, read once for all sequences */
    double pairs;     /* (query, key) pairs of a sequence, to the token */
    double density;   /* share of the blocks of pairs that are computed */
    bool causal;
};

/* What a regime's kernel does, summed over its segments. */
struct attention_sums {
    double seconds;               /* units busy, waves included */
    double compute, lanes, cache; /* the same by resource, without waves' overhead */
    double executed_flops, lane_flops, cache_bytes;
    double memory_bytes;
    double extra_s;     /* merging splits; prefill: writing the cache before */
    double setup_bytes; /* prefill: moved by that */
    double overhead_s;  /* of seconds, omega's part */
};

bool attention_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph);
void attention_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost);

void attention_prefill(const struct prepared_op *prepared, const struct attention_segment *segments,
                       int count, struct attention_sums *sums);
/* KV tokens of a tile of 16 KB of K, a power of two; dim: values of a token's K. */
double prefill_tile(double dim, double value_bytes);
void attention_decode(const struct prepared_op *prepared, const struct attention_segment *segments, int count,
                      struct attention_sums *sums);
void attention_unfused(const struct prepared_op *prepared, const struct attention_rates *rates,
                       const struct attention_segment *segments, int count, struct op_cost *cost);

/* s on one unit for one KV token met by `rows` query rows: its slowest resource. */
double attention_step_s(const struct attention_rates *rates, bool matrix, double rows);

/* KV tokens that a segment reads from memory at least once: a shared prefix for all sequences together. */
double attention_kv_tokens(const struct attention_segment *segment);

/* Memory traffic of the segments' operands after residency, KV excluded. */
double attention_query_bytes(const struct prepared_op *prepared, const struct attention_segment *segments,
                             int count);

#endif
