/* Models as YAML, as people write them: what has its default is left out, short parts stand on one line, and
 * a block that differs little from an earlier one says `like`. The keys come from the schemas that read them.
 */
#ifndef RAFTER_SPEC_MODEL_WRITER_H
#define RAFTER_SPEC_MODEL_WRITER_H

#include "base/text.h"
#include "spec/model.h"

/* Adds the whole description, `extends` resolved; model_read gets the same model from it. comment: lines
 * above it, without "# "; NULL: none. false when memory ran out. */
bool model_write(const struct model *model, const char *comment, struct text *out);

/* Whether two blocks are alike but for their names. */
bool model_same_block(const struct block_spec *a, const struct block_spec *b);

#endif
