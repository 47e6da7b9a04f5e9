/* Prepared collectives and transfers. Private to cost/. */
#ifndef RAFTER_COST_LINK_COST_H
#define RAFTER_COST_LINK_COST_H

#include "cost/rates.h"

struct prepared_op;

/* Ranks that talk over one kind of link. */
struct link_level {
    double ranks; /* 1: nothing to do */
    double rate;  /* byte/s out of a device, data sheet, as far as the topology lets these ranks use it */
    double beta;
    double alpha;      /* s of one step */
    double hops;       /* links a byte crosses between random ranks, for all-to-all */
    bool reduces;      /* in-switch sums */
    bool direct_store; /* software writes straight into its peers: one-shot and two-shot all-reduce */
    bool all_linked;   /* any rank reaches any other without passing a third */
};

struct collective_cost {
    enum collective kind;
    double row_bytes;
    double fixed;
    struct link_level inside, across;
};

struct transfer_cost {
    double row_bytes;
    double fixed;
    double rate, beta;
    bool network;
};

bool collective_prepare(struct prepared_op *prepared, struct diag *diag);
bool transfer_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph);
void collective_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);
void transfer_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);

#endif
