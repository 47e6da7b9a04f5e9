/* Step schedulers: which sequences run how many tokens in the next step. */
#ifndef RAFTER_EXEC_SCHEDULER_H
#define RAFTER_EXEC_SCHEDULER_H

#include "base/arena.h"
#include "base/diag.h"

/* How far a sequence is. Its known tokens are the prompt's and those generated. */
struct sequence_progress {
    int prompt;
    int known; /* tokens: prompt + generated */
    int done;  /* of them, in the cache */
    bool ended;
};

struct step_choice {
    int sequence;
    int tokens; /* the next ones that are known and not done */
};

struct scheduler {
    const char *name;
    /* Fills choices [count], a sequence at most once; returns how many, 0 when all have ended. */
    int (*next)(void *state, const struct sequence_progress *progress, int count,
                struct step_choice *choices);
    void *state;
};

/* Whole prompts first, as many at once as step_tokens has room for (one at least), then one token of each
 * sequence a step. false with diag: memory. */
bool scheduler_static(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler);

/* One token of each sequence that has its prompt behind it, and in what is left of step_tokens chunks of
 * prompts in order (Sarathi-Serve, arXiv:2403.02310). */
bool scheduler_chunked(struct arena *arena, struct diag *diag, int step_tokens, struct scheduler *scheduler);

/* As estimates cut the prompts of a static batch (estimate/prefill.c): what each prompt has over whole chunks
 * of step_tokens first, of as many sequences as a step holds; then whole chunks, one sequence after the
 * other; then one token of each sequence a step. false with diag: memory. */
bool scheduler_estimated(struct arena *arena, struct diag *diag, int step_tokens,
                         struct scheduler *scheduler);

#endif
