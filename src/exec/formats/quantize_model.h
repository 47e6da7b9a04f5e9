/* GGUF files of weights that come from elsewhere: metadata and names are made. */
#ifndef RAFTER_EXEC_FORMATS_QUANTIZE_MODEL_H
#define RAFTER_EXEC_FORMATS_QUANTIZE_MODEL_H

#include "exec/formats/gguf_writer.h"
#include "exec/formats/quantize.h"

bool quantize_model(const struct weights *weights, struct arena *arena, struct diag *diag, const char *path,
                    const struct quantize_options *options);

/* general.file_type and general.quantization_version. */
void quantize_add_type(struct gguf_pairs *pairs, enum weight_type type);
/* The tokenizer.* pairs of a header that keeps its bytes. */
void quantize_add_tokenizer(struct gguf_pairs *pairs, const struct gguf_header *header);

#endif
