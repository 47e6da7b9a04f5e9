/* Reading a model's description for running it: what the description leaves out, such as a mixture of types,
 * is in the tensors, so that warnings about it would mislead. */
#ifndef RAFTER_EXEC_FORMATS_QUIET_H
#define RAFTER_EXEC_FORMATS_QUIET_H

#include "spec/model.h"

/* model_import_bytes without its warnings. */
bool model_import_quietly(struct arena *arena, struct diag *diag, const char *path, const char *bytes,
                          size_t length, struct model *model);

#endif
