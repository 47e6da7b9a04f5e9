/* A tokenizer's tokens: by number, by text, and those that are cut out of a text before anything else. */
#ifndef RAFTER_EXEC_VOCABULARY_H
#define RAFTER_EXEC_VOCABULARY_H

#include "base/diag.h"

#include <stdint.h>

/* ggml's numbers in tokenizer.ggml.token_type. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER_DEFINED,
    TOKEN_UNUSED,
    TOKEN_BYTE
};

/* Bounds above any model's. */
enum { TOKENS_MOST = 1 << 20, MERGES_MOST = 1 << 21, TOKEN_BYTES_MOST = 1024 };

struct token {
    const char *bytes; /* byte-level BPE: what a normal token stands for; else its text */
    uint32_t length;
    enum token_type type;
    float score;
};

struct text_slot {
    uint32_t hash, next; /* next: token + 1, 0: free */
};

/* Tokens that are cut out of a text where it spells them. */
struct token_set {
    uint32_t *tokens; /* sorted by text */
    size_t count;
    size_t from[257]; /* where those begin that begin with a byte */
};

struct vocabulary {
    struct token *tokens;
    size_t count;
    struct text_slot *slots; /* of normal and unused tokens' texts; a power of two of them */
    size_t slot_count;
    struct token_set user;    /* user-defined tokens */
    struct token_set special; /* those, control tokens and unknown ones */
    int byte_token[256];      /* the token of a single byte; -1: none */
};

/* Indexes tokens and count, which are set: normal tokens, with `unused` also those. Of equal texts the
 * first token counts. false with diag: memory. */
bool vocabulary_index(struct vocabulary *vocabulary, struct arena *arena, struct diag *diag, const char *file,
                      bool unused);

/* The normal (or unused) token of a text; -1: none. */
int vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t length);

/* The longest token of one of the vocabulary's sets that the bytes begin with; -1: none. */
int vocabulary_cut(const struct vocabulary *vocabulary, const struct token_set *set, const char *bytes,
                   size_t length);

/* For tables of our own: spreads all bits. */
uint64_t hash_bytes(const char *bytes, size_t length);
uint64_t hash_mix(uint64_t value);

/* Entries further than this from their place are refused: only a file made for it has so many collisions. */
enum { PROBES_MOST = 1024 };

#endif
