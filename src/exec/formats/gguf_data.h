/* The data behind a GGUF header: where each tensor's rows lie. */
#ifndef RAFTER_EXEC_FORMATS_GGUF_DATA_H
#define RAFTER_EXEC_FORMATS_GGUF_DATA_H

#include "exec/formats/table.h"
#include "spec/gguf_header.h"

/* general.alignment, 32 where the file has none; 0 with diag: no power of two from 1 to 65536. */
size_t gguf_alignment(const struct gguf_header *header, struct diag *diag);

/* Each of the header's tensors as rows in the file's bytes, tensors[i] of header->tensors[i]: types that are
 * known, sizes that the blocks divide, inside the file, aligned, none over another. NULL with diag. */
struct tensor *gguf_tensors(struct arena *arena, struct diag *diag, const struct gguf_header *header,
                            const char *bytes, size_t length);

#endif
