/* GGUF headers to models: sizes from the metadata, and what a layer is made of from its tensors. */
#ifndef RAFTER_SPEC_GGUF_MODEL_H
#define RAFTER_SPEC_GGUF_MODEL_H

#include "spec/gguf_header.h"
#include "spec/model.h"

/* Like hf_config_read: a model without name, of the file's blocks, runs and element types. weight_type and
 * expert_type are the types of most values of the layers' matrices; a warning says where a fifth or more is
 * of other types. */
bool gguf_model_read(struct arena *arena, struct diag *diag, const struct gguf_header *header,
                     struct model *model);

/* Values of all tensors: what a count from the dimensions is checked against. */
double gguf_parameters(const struct gguf_header *header);

#endif
