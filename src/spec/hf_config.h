/* Hugging Face configs to models. The architectures are tables: hf_decoder_table.c, hf_recurrent.c,
 * hf_vision.c. */
#ifndef RAFTER_SPEC_HF_CONFIG_H
#define RAFTER_SPEC_HF_CONFIG_H

#include "spec/model.h"

/* Reads the text of a config.json into a model without name: blocks, runs, element types; what follows from
 * them (pattern, checks) is model_read's. Keys that the config leaves out take the architecture's defaults,
 * as transformers would have it; sizes must be there. All that is wrong is reported, with line and column.
 * The name, for messages, must outlive the model. */
bool hf_config_read(struct arena *arena, struct diag *diag, const char *name, const char *text, size_t length,
                    struct model *model);

#endif
