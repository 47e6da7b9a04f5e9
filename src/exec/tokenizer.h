/* Tokenizers of GGUF files: byte-level BPE ("gpt2") and SentencePiece's unigram and BPE ("llama"). */
#ifndef RAFTER_EXEC_TOKENIZER_H
#define RAFTER_EXEC_TOKENIZER_H

#include "base/text.h"
#include "spec/gguf_header.h"

struct tokenizer;

/* From a GGUF header's metadata (tokenizer.ggml.*); all of it is checked. NULL with diag: none, or a kind not
 * supported, named. */
struct tokenizer *tokenizer_new(struct arena *arena, struct diag *diag, const struct gguf_header *header);

enum { TEXT_BYTES_MOST = 16 << 20 };

/* What "<|im_start|>" in a text is: those characters, so that no prompt smuggles control tokens in, or the
 * control token, for whom writes the prompt's frame. User-defined tokens are read in both. */
enum text_reading { READ_LITERALLY, READ_CONTROL_TOKENS };

/* UTF-8 text of at most TEXT_BYTES_MOST to tokens in the arena, the model's beginning token first where it
 * wants one. false with diag. */
bool tokenizer_encode(const struct tokenizer *tokenizer, struct arena *arena, struct diag *diag,
                      const char *text, size_t length, enum text_reading reading, int **tokens,
                      size_t *count);

/* Appends the bytes of a token; control tokens have none. Output may end inside a UTF-8 sequence. */
void tokenizer_decode(const struct tokenizer *tokenizer, int token, struct text *out);

int tokenizer_end(const struct tokenizer *tokenizer); /* the end-of-sequence token; -1: none */
int tokenizer_size(const struct tokenizer *tokenizer);

#endif
