/* The items of a call, and the scratch that they need. */
#ifndef RAFTER_EXEC_KERNELS_ATTENTION_PLAN_H
#define RAFTER_EXEC_KERNELS_ATTENTION_PLAN_H

#include "base/diag.h"
#include "exec/kernels/attention_item.h"

/* Items [first, first + count) are the same rows times consecutive keys. */
struct attention_merge {
    int first, count;
};

struct attention_plan {
    struct attention_item *items;
    struct attention_item **order; /* the dearest first */
    struct attention_merge *merges;
    int item_count, merge_count;
    struct attention_room *rooms; /* one a thread */
};

/* false with diag: memory for scratch. */
bool attention_plan(const struct attention *attention, int threads, struct attention_scratch *scratch,
                    struct attention_plan *plan, struct diag *diag);

#endif
