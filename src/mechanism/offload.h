/* What offloading mechanisms share: places that are not the first member's main memory, transfers to and from
 * them, and streams of work that run beside each other. */
#ifndef RAFTER_MECHANISM_OFFLOAD_H
#define RAFTER_MECHANISM_OFFLOAD_H

#include "mechanism/mechanism.h"

/* A member's main memory, or a further tier of the first member's own. */
struct place {
    int device; /* member of the system */
    int tier;   /* of that device; -1: its main memory */
};

/* The place by name: a member's role ("host", "ssd") or a memory of the first member ("ssd", "ufs"). false
 * with diag that names what there is. */
bool place_find(struct rewrite *rewrite, const char *mechanism, const char *name, struct place *place);

/* How a tier is read. */
struct reading {
    double request_bytes; /* pieces at random places; 0: in bulk */
    double queue;         /* such requests under way at once */
    double bandwidth;     /* byte/s reached; 0: the link's and the memory's */
};

/* A transfer before op `at`, of the same block and executions; pointers into the graph's ops are void then.
 * NULL with diag: no room. */
struct op *far_transfer(struct rewrite *rewrite, int at, const char *name, enum regime regime,
                        const struct place *place, const struct reading *reading);

/* The buffer's `share` is in the place instead of the first member's main memory. false with diag: another
 * mechanism has moved it already. */
bool buffer_send_away(struct rewrite *rewrite, const char *mechanism, int index, double share,
                      const struct place *place);

/* on_schedule: far transfers and host work of the names (ended by NULL) run beside all computing, cut into
 * `chunks`; lanes as of graph.h. Operators of other overlap groups stay there. */
void run_beside(struct rewrite *rewrite, enum overlap_lanes lanes, int chunks, const char *const *names);

/* One of the feed-forward network's products: dense, or of routed experts. */
bool is_ffn_product(const struct op *op);

/* The first op of the block that reads weights, or -1. */
int first_of_block(const struct graph *graph, int block);

/* Rows of the request's decode steps that see weights at once; 1 where nobody knows. */
double decode_rows(const struct rewrite *rewrite);

/* Of a struct with a struct reading named `reading`. */
#define READING_FIELDS(parameters)                                                                           \
    {.key = "request_bytes",                                                                                 \
     .kind = FIELD_QUANTITY,                                                                                 \
     .offset = offsetof(struct parameters, reading.request_bytes),                                           \
     .dimension = DIM_BYTES,                                                                                 \
     .min = 0,                                                                                               \
     .max = 1e12,                                                                                            \
     .fallback = "0 B",                                                                                      \
     .doc = "size of reads at random places; 0: all in bulk"},                                               \
        {.key = "queue",                                                                                     \
         .kind = FIELD_QUANTITY,                                                                             \
         .offset = offsetof(struct parameters, reading.queue),                                               \
         .dimension = DIM_NONE,                                                                              \
         .min = 1,                                                                                           \
         .max = 65536,                                                                                       \
         .fallback = "32",                                                                                   \
         .doc = "such reads under way at once, each of which takes the memory's latency"},                   \
    {                                                                                                        \
        .key = "bandwidth", .kind = FIELD_QUANTITY,                                                          \
        .offset = offsetof(struct parameters, reading.bandwidth), .dimension = DIM_BYTES_PER_SECOND,         \
        .min = 0, .max = 1e15, .fallback = "0 GB/s",                                                         \
        .doc = "bytes a second that transfers reach; 0: what link and memory are calibrated to"              \
    }

#endif
