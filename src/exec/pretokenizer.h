/* Pre-tokenizers: byte-level BPE merges bytes only inside words, and where words end is told by regular
 * expressions that are part of the model (tokenizer.ggml.pre). Each is a scanner over character classes here,
 * one pass, no backtracking beyond a run of spaces or capitals. */
#ifndef RAFTER_EXEC_PRETOKENIZER_H
#define RAFTER_EXEC_PRETOKENIZER_H

#include "base/text.h"

enum word_family { WORDS_GPT2, WORDS_LLAMA3, WORDS_CASED, WORDS_DEEPSEEK, WORDS_STAGES, WORDS_BLOOM };

enum { WORD_STAGES_MOST = 6 };

struct pretokenizer {
    const char *name; /* value of tokenizer.ggml.pre */
    enum word_family family;
    int digits;        /* most numerals of a word; 0: any number */
    bool lone_digits;  /* numerals are cut out before words are looked for */
    bool contractions; /* CASED: a word takes a contraction behind it */
    bool whole_words;  /* a word that is a token needs no merges */
    bool add_bos;      /* where the file does not say */
    bool marks;        /* LLAMA3: marks are letters */
    bool bare_signs;   /* LLAMA3: signs do not take the line ends behind them */
};

/* By name; NULL: unknown. */
const struct pretokenizer *pretokenizer_find(const char *name, size_t length);
void pretokenizer_names(struct text *out); /* "gpt-2, phi-2, ..." */

/* A walk over the words of a text. */
struct words {
    const struct pretokenizer *kind;
    const char *text;
    size_t length, at;
    size_t part;                         /* end of the part without lone digits that `at` is in */
    size_t stage_ends[WORD_STAGES_MOST]; /* STAGES: of the piece that `at` is in after each stage */
};

/* The next word is text[*from, at); false at the end. Words join up to the text. Bytes that are no UTF-8
 * count as characters of no class. */
bool words_next(struct words *words, size_t *from);

#endif
