/* Byte-pair encoding: neighbours of a word are merged, best first, leftmost first among equals, until none
 * can be. A heap keeps the candidates, so that a word of n symbols takes n log n. */
#ifndef RAFTER_EXEC_MERGE_H
#define RAFTER_EXEC_MERGE_H

#include "base/diag.h"

#include <stdint.h>

struct symbol {
    uint32_t begin, length; /* bytes of the word; length 0: merged into an earlier one */
    int32_t previous, next; /* -1: none */
    int32_t token;          /* -1: none yet */
};

/* Whether neighbours merge: the token they become and its priority, lowest first. */
struct merge_rule {
    bool (*find)(void *context, const char *word, const struct symbol *left, const struct symbol *right,
                 uint32_t *priority, int32_t *token);
    void *context;
};

struct merge_candidate {
    uint32_t priority;
    int32_t left, right;
    uint32_t length; /* of both: other lengths now mean that one has merged since */
    int32_t token;
};

/* Reused from word to word; zeroed before the first. */
struct merger {
    struct symbol *symbols;
    size_t count, capacity;
    struct merge_candidate *heap;
    size_t heap_count;
};

/* Room for a word of `most` symbols; empties it. false: out of memory. */
bool merger_begin(struct merger *merger, size_t most);
void merger_add(struct merger *merger, size_t begin, size_t length, int token);

/* Merges what can be; symbols[0] is the first, `next` leads to the rest. */
void merger_run(struct merger *merger, const char *word, struct merge_rule rule);
void merger_free(struct merger *merger);

#endif
