/* The graph of a model on one rank: its operators in order and its buffers. */
#ifndef RAFTER_GRAPH_GRAPH_H
#define RAFTER_GRAPH_GRAPH_H

#include "graph/op.h"
#include "spec/model.h"
#include "spec/software.h"

struct parallelism {
    int tp;  /* tensor parallel */
    int pp;  /* pipeline stages */
    int ep;  /* expert parallel; divides the devices of tp * dp */
    int dp;  /* data-parallel attention groups (DP-attention) */
    bool sp; /* sequence parallel: norms and residuals on 1/tp of the tokens, reduce-scatter + all-gather */
    int micro_batches;  /* 0: as many as stages */
    double expert_skew; /* exponent of the experts' popularity; 0: balanced */
};

/* Operators of a group that share one device at once: collectives, and attention of decodes, each beside all
 * the others. What is given `share` of the device runs at `rate` of what it reaches alone. */
struct device_share {
    bool given;
    double share, rate;
};
enum sharer { SHARER_REST, SHARER_LINKS, SHARER_DECODES, SHARER_COUNT };
struct sharing {
    struct device_share of[SHARER_COUNT];
    int chunks;         /* pieces, one behind the other through all layers; 0: no sharing */
    double from_tokens; /* of a step from which on ops run in `pieces` and groups share */
};

/* Element types of the operands, before mechanisms. */
struct graph_types {
    struct element_type weights;     /* linear layers */
    struct element_type experts;     /* routed experts */
    struct element_type embedding;   /* token table and output head */
    struct element_type activations; /* between operators */
    struct element_type kv;
    struct element_type state; /* recurrent states */
};

/* What the checkpoint says: weights and experts by the model, embedding and head at activation width, KV as
 * activations, states fp32. */
struct graph_types graph_default_types(const struct model *model);

enum { OPS_MOST = 256, BUFFERS_MOST = 256, OVERLAP_GROUPS_MOST = 16 };

/* What runs beside what in an overlap group. RESOURCES: operators that different resources bind. LINKS:
 * links, and another member's host work, beside all members' computing, which goes in turn. MEMBERS: each
 * member's computing and each link. */
enum overlap_lanes { LANES_RESOURCES, LANES_LINKS, LANES_MEMBERS };

struct graph {
    const struct model *model;
    const struct software *software;
    struct parallelism parallel;
    struct graph_types types;
    struct op *ops;
    int op_count;
    int op_capacity;
    struct buffer *buffers;
    int buffer_count;
    int buffer_capacity;
    /* by overlap group: pieces that its ops are cut into; 1: serial. Group 0 is no group */
    int overlap_chunks[OVERLAP_GROUPS_MOST];
    enum overlap_lanes overlap_lanes[OVERLAP_GROUPS_MOST];
    struct arena *arena;
    bool failed; /* memory ran out while building */
    struct sharing sharing[OVERLAP_GROUPS_MOST];
};

/* Builds the graph. Refuses (diag) what does not divide: heads and intermediate sizes by tp, experts by ep,
 * stages more than layers; KV heads fewer than tp are replicated. */
bool graph_build(struct graph *graph, struct arena *arena, struct diag *diag, const struct model *model,
                 const struct software *software, const struct parallelism *parallel,
                 const struct graph_types *types);

/* For builders and mechanisms. A new op or buffer, zeroed but for its defaults (rows_factor 1, per_layer 1,
 * no buffers, waits for the one before). insert: before position `at` (op indices after it move up). */
struct op *graph_add_op(struct graph *graph, const char *name, enum op_kind kind, int block);
struct op *graph_insert_op(struct graph *graph, int at, const char *name, enum op_kind kind, int block);
int graph_add_buffer(struct graph *graph, const char *name, enum buffer_class class, int block);

/* Layers of the block in [first, last). */
int block_layers_between(const struct model *model, int block, int first, int last);

#endif
