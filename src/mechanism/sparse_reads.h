/* What the files of sparse_attention_reads share. Private to mechanism/. */
#ifndef RAFTER_MECHANISM_SPARSE_READS_H
#define RAFTER_MECHANISM_SPARSE_READS_H

#include "mechanism/rewrites.h"

enum sparse_index { SPARSE_INDEX_NONE, SPARSE_INDEX_KEYS, SPARSE_INDEX_PAGES };
enum sparse_host { SPARSE_HOST_NONE, SPARSE_HOST_VALUES, SPARSE_HOST_CACHE, SPARSE_HOST_ATTENDS };
enum sparse_overlap { SPARSE_OVERLAP_NONE, SPARSE_OVERLAP_REBUILD, SPARSE_OVERLAP_LAYER };

struct sparse_reads {
    double budget_tokens, budget_share, always_tokens; /* a step reads */
    int dense_layers, dense_every;
    double sparse_heads;
    double streaming_heads, streaming_tokens;
    bool prefill;
    double chunk_tokens;
    /* selection */
    int index; /* enum sparse_index */
    double index_tokens, index_vectors, index_dims, index_scan;
    struct element_type index_type;
    double select_every, select_hit;
    /* the cache in the host's memory */
    int host, overlap; /* enum sparse_host, sparse_overlap */
    double device_tokens, device_share, fetch_hit, link_efficiency;
    double rebuild_rank, handoff;
};

/* Executions of the selection in a step: it is done again every so many steps, and not at all on a hit. */
double sparse_selections(const struct sparse_reads *reads);

/* Inserts before the attention op at `index`, of one regime, what picks its tokens; dense_heads: KV heads
 * beside it that read all. The op's new index, or -1 with diag. */
int sparse_select(struct rewrite *rewrite, const struct sparse_reads *reads, int index, double dense_heads);

/* Inserts before the attention op at `index` what brings its tokens from the host or attends to them there.
 * The op's new index, or -1 with diag. */
int sparse_from_host(struct rewrite *rewrite, const struct sparse_reads *reads, int index);

/* The cache's buffer keeps on the device what the host has not; the prefill op at `index` sends its tokens
 * there. false with diag. */
bool sparse_to_host(struct rewrite *rewrite, const struct sparse_reads *reads, int index);

/* A new op before `at` for the same block, sequences and regime as the attention op that is there now; NULL
 * with diag: no room. */
struct op *sparse_insert(struct rewrite *rewrite, int at, const char *name, enum op_kind kind);

#endif
