/* Models of each architecture that the executor runs, small enough for the oracle. */
#ifndef RAFTER_TESTS_SMALL_MODELS_H
#define RAFTER_TESTS_SMALL_MODELS_H

#include "exec/weights.h"

struct small_model {
    const char *name;
    const char *yaml; /* what follows the common head: hidden, vocab, norm ... */
};

extern const struct small_model small_models[];
extern const int small_model_count;

/* The model, its memory in the arena; fails the running test when it cannot be read. */
const struct model *small_model_read(struct arena *arena, const struct small_model *small);

/* Random weights of it. */
struct weights *small_model_weights(struct arena *arena, const struct small_model *small,
                                    enum weight_type type, uint64_t seed);

const struct small_model *small_model_find(const char *name);

#endif
