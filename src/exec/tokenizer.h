/* Tokenizers of GGUF files: byte-level BPE ("gpt2") and SentencePiece's unigram and BPE ("llama"). */
#ifndef RAFTER_EXEC_TOKENIZER_H
#define RAFTER_EXEC_TOKENIZER_H

#include "base/text.h"
#include "spec/gguf_header.h"

struct tokenizer;

/* From a GGUF header's metadata (tokenizer.ggml.*); all of it is checked. NULL with diag: none, or a kind not
 * supported, named. */
struct tokenizer *tokenizer_new(struct arena *arena, struct diag *diag, const struct gguf_header *header);

/* UTF-8 text to tokens in the arena, the model's beginning token first where it wants one. false with diag.
 */
bool tokenizer_encode(const struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                      const char *text, size_t length, int **tokens, size_t *count);

/* Appends the bytes of a token; control tokens have none. Output may end inside a UTF-8 sequence. */
void tokenizer_decode(const struct tokenizer *tokenizer, int token, struct text *out);

int tokenizer_end(const struct tokenizer *tokenizer); /* the end-of-sequence token; -1: none */
int tokenizer_size(const struct tokenizer *tokenizer);

#endif
