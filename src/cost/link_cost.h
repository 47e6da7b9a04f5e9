/* Prepared collectives and transfers. Private to cost/. */
#ifndef RAFTER_COST_LINK_COST_H
#define RAFTER_COST_LINK_COST_H

#include "cost/rates.h"

struct prepared_op;

/* Ranks that talk over one kind of link. Times in s, rates in byte/s out of a device. */
struct link_level {
    double ranks; /* 1: nothing to do */
    double rate;  /* data sheet, as far as the topology lets these ranks use it */
    double reached, flagged_reached, switch_reached; /* of it: in bulk, with flags, summed in the switch */
    double alpha, hop;                               /* one step with flags, one step in bulk */
    double fill, start;
    double hops;   /* links a byte crosses between random ranks, for all-to-all */
    double copied; /* of the last block's sending time, what its copy into place takes */
    double flag_lat, flag128_lat, bulk_lat, flag_share; /* what the library believes when it chooses */
    bool reduces;                                       /* in-switch sums */
    bool all_linked; /* any rank reaches any other without passing a third */
    bool protocols;  /* NCCL and its forks: low-latency protocols for small messages */
    bool flag128;    /* they include the one with a flag per 128 bytes */
    bool tree;       /* low-latency all-reduces go along a tree */
};

/* All-reduce kernels that read peers' memory. */
struct peer_kernel {
    bool offered;
    double ranks, rate, reached, fixed, stage;
};

struct collective_cost {
    enum collective kind;
    enum reduction_shape shape;
    bool narrow;
    double row_bytes;
    double fixed;
    struct link_level inside, across;
    struct peer_kernel peer;
};

struct transfer_cost {
    double row_bytes;
    double fixed;
    double rate, beta;
    bool network;
    double memory_rate; /* far: byte/s of the far memory, of which this rank takes what it moves */
    double request_s;   /* far: s a request takes besides its bytes */
    double granularity; /* far: bytes that the smallest access moves */
};

bool collective_prepare(struct prepared_op *prepared, struct diag *diag);
bool transfer_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph);
bool fetch_prepare(struct prepared_op *prepared, struct diag *diag);
void fetch_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                struct op_cost *cost);
void collective_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);
void transfer_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);

#endif
