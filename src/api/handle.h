/* The C interface's handle and plans. Private to api/. */
#ifndef RAFTER_API_HANDLE_H
#define RAFTER_API_HANDLE_H

#include "base/text.h"
#include "estimate/estimate.h"
#include "rafter.h"

struct rafter {
    struct arena *arena; /* the catalogue's folders */
    struct arena *work;  /* of one call, reset by the next */
    struct catalogue catalogue;
    struct arena *spare; /* of a plan that was freed, for the next one: its memory is warm */
    struct text errors;  /* of the last call */
    rafter_plan *plans;  /* doubly linked */
};

struct rafter_plan {
    rafter *handle;
    rafter_plan *previous, *next;
    struct arena *arena;
    struct resolved resolved;
    struct estimate_scratch *scratch;
    double longest; /* tokens a sequence may have; 0: no limit */
};

/* Starts a call: forgets the last one's messages and work. */
void handle_begin(rafter *handle);

/* Keeps the messages as text. */
void handle_keep(rafter *handle, const struct diag *diag);

/* Resolves the caller's question into `resolved`, everything copied into the arena. Messages are kept. */
bool handle_resolve(rafter *handle, struct arena *arena, const rafter_question *question,
                    struct resolved *resolved);

/* The public answer. Returns OK or NO. */
rafter_status answer_fill(rafter_answer *answer, const struct answer *from);

#endif
