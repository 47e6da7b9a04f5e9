/* What estimates of a static batch assume, done: all prompts in as few steps as a chunk allows, then one
 * token of every sequence a step. Steps are cut as estimate/prefill.c says. */
#ifndef RAFTER_VALIDATE_EXECUTOR_STEPS_H
#define RAFTER_VALIDATE_EXECUTOR_STEPS_H

#include "exec/runner.h"
#include "validate/executor_suite.h"

struct static_batch {
    struct runner *runner;
    int batch, prompt, output, chunk; /* chunk 0: all prompts in one step */
    int *tokens;                      /* [batch][prompt]: the prompts */
    int *last;                        /* [batch]: each sequence's newest token */
    float *logits;                    /* [batch][vocab] */
    int vocab;
    struct step_part *parts; /* [batch] */
};

/* Room for one batch in the arena, prompts of seeded random tokens. NULL with diag. */
struct static_batch *static_batch_new(struct arena *arena, struct diag *diag, struct runner *runner,
                                      const struct executor_case *run, int vocab);

/* The most new tokens of any of its steps. */
int static_batch_step_tokens(const struct executor_case *run);

/* Greedy: each phase's tokens from the logits before. false with diag. */
bool static_batch_prefill(struct static_batch *batch, struct diag *diag);
bool static_batch_decode(struct static_batch *batch, struct diag *diag);

#endif
