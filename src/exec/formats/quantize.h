/* Any weights as a GGUF file of another type. */
#ifndef RAFTER_EXEC_FORMATS_QUANTIZE_H
#define RAFTER_EXEC_FORMATS_QUANTIZE_H

#include "exec/weights.h"

struct quantize_options {
    enum weight_type type;               /* of the linear layers and the embedding */
    const struct gguf_header *tokenizer; /* whose tokenizer.* pairs are taken; NULL: the weights' own */
};

/* The type that rows of `cols` values get where `type` is wanted: itself, or where its blocks do not divide
 * them q8_0, or fp16 (as ggml falls back to types of smaller blocks). */
enum weight_type quantize_type(enum weight_type type, size_t cols);

/* Writes the file. Vectors, routers, convolutions and what is not a linear layer's stay as they are (fp32).
 * From a GGUF file its metadata is kept; else that of an architecture which public engines read is made:
 * llama, qwen2, qwen3, qwen3moe. false with diag: a model that these cannot say. */
bool weights_quantize(const struct weights *weights, struct arena *arena, struct diag *diag, const char *path,
                      const struct quantize_options *options);

#endif
