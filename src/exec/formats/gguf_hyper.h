/* Constants of the formulas, from a GGUF file's metadata. */
#ifndef RAFTER_EXEC_FORMATS_GGUF_HYPER_H
#define RAFTER_EXEC_FORMATS_GGUF_HYPER_H

#include "exec/hyper.h"
#include "spec/gguf_header.h"
#include "spec/model.h"

/* false with diag: an architecture whose formulas are not known here, named; a value out of range. */
bool gguf_hyper(struct hyper *hyper, struct diag *diag, const struct gguf_header *header,
                const struct model *model);

#endif
