/* Device descriptions with other calibration blocks: the text of a file rewritten, not its meaning written
 * anew, so that comments, order and spelling stay. */
#ifndef RAFTER_FIT_DEVICE_WRITER_H
#define RAFTER_FIT_DEVICE_WRITER_H

#include "base/text.h"
#include "spec/calibration.h"

/* Adds to `out` the device file `text` (of `length` bytes; `path` is for messages) with `blocks`: its own
 * `calibration:` list is taken out and appended at the end, without the blocks that one of `blocks` replaces,
 * the others as they stand, then the new ones. What the file extends is not looked at. false with diag: the
 * file is no description, or is written in a way that this cannot take apart (one map in braces). */
bool device_write(const char *path, const char *text, size_t length, const struct calibration *blocks,
                  size_t count, struct arena *arena, struct diag *diag, struct text *out);

#endif
