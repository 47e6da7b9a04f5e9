/* Files that describe a model elsewhere, as models: Hugging Face config.json and GGUF. */
#ifndef RAFTER_SPEC_MODEL_IMPORT_H
#define RAFTER_SPEC_MODEL_IMPORT_H

#include "base/text.h"
#include "spec/model.h"

/* Reads the file at path, told apart by its first bytes. The description goes to `yaml`, and is read back by
 * model_read into *model, which is therefore checked and complete. name: what people call it; "owner/name" is
 * its Hub repository too; NULL: what the file says, or its own name. false with errors. */
bool model_import(struct arena *arena, struct diag *diag, const char *path, const char *name,
                  struct model *model, struct text *yaml);

/* The same of bytes that are there already; `path` is for messages. */
bool model_import_bytes(struct arena *arena, struct diag *diag, const char *path, const char *bytes,
                        size_t length, const char *name, struct model *model, struct text *yaml);

#endif
