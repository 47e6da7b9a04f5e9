/* What the kinds of tokenizers share; for tokenizer*.c only. */
#ifndef RAFTER_EXEC_TOKENIZER_PARTS_H
#define RAFTER_EXEC_TOKENIZER_PARTS_H

#include "exec/merge.h"
#include "exec/pretokenizer.h"
#include "exec/tokenizer.h"
#include "exec/vocabulary.h"

enum tokenizer_kind { TOKENIZER_BPE, TOKENIZER_SPM };

/* Merges of byte-level BPE, by their parts. */
struct merge_slot {
    uint32_t left, right, rank, token;
    bool used;
};

struct tokenizer {
    enum tokenizer_kind kind;
    struct vocabulary vocabulary;
    int bos, eos, unknown; /* -1: none */
    bool add_bos, add_eos;
    /* byte-level BPE */
    const struct pretokenizer *words;
    struct merge_slot *merges; /* a power of two */
    size_t merge_slots;
    /* SentencePiece */
    bool space_prefix;
    bool words_apart; /* no token has a space behind anything else: merges stay within words */
    bool has_unused;
};

/* One text on its way to tokens. */
struct encoder {
    const struct tokenizer *tokenizer;
    struct diag *diag;
    const char *text; /* normalised */
    size_t length;
    const struct token_set *cuts; /* tokens that are read from the text before words are */
    int *tokens;
    size_t count, most;
    struct merger merger;
    uint32_t *splits;   /* SPM: by unused token, bytes of its left part when it was made; NULL */
    struct text part;   /* SPM: what lies between cuts, with a space in front */
    bool after_unknown; /* SPM: the last token stands for unknown characters */
};

struct source_location tokenizer_file(const struct gguf_header *header);
bool encoder_add(struct encoder *encoder, int token);

/* Reads the rest of a kind's metadata and indexes the vocabulary. */
bool tokenizer_bpe_read(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header);
bool tokenizer_spm_read(struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                        const struct gguf_header *header);

/* Encodes text[from, to), in which there is no token of the cuts. */
bool tokenizer_bpe_encode(struct encoder *encoder, size_t from, size_t to);
bool tokenizer_spm_encode(struct encoder *encoder, size_t from, size_t to);

/* The text as SentencePiece sees it: spaces as U+2581. */
void tokenizer_spm_normalise(const char *text, size_t length, struct text *out);
/* The other way: appends the bytes with U+2581 as spaces. */
void tokenizer_spm_spaces(const char *bytes, size_t length, struct text *out);

/* An array of a type and (count > 0) length, a boolean, a token's number: false with diag where they are not
 * what they should be; what is missing leaves *value. */
bool tokenizer_array(struct diag *diag, const struct gguf_header *header, const char *key, bool strings,
                     size_t count, struct gguf_elements *elements);
bool tokenizer_bool(struct diag *diag, const struct gguf_header *header, const char *key, bool *value);

#endif
