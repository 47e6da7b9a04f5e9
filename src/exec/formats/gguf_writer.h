/* GGUF files, version 3, written in one pass. */
#ifndef RAFTER_EXEC_FORMATS_GGUF_WRITER_H
#define RAFTER_EXEC_FORMATS_GGUF_WRITER_H

#include "base/text.h"
#include "exec/tensor.h"
#include "spec/gguf_header.h"

/* Key-value pairs in the making. */
struct gguf_pairs {
    struct text bytes;
    uint64_t count;
};
void gguf_add_u32(struct gguf_pairs *pairs, const char *key, uint32_t value);
void gguf_add_f32(struct gguf_pairs *pairs, const char *key, float value);
void gguf_add_bool(struct gguf_pairs *pairs, const char *key, bool value);
void gguf_add_text(struct gguf_pairs *pairs, const char *key, const char *value, size_t length);
/* As it stands in another file whose bytes these are. */
void gguf_add_copy(struct gguf_pairs *pairs, const struct gguf_pair *pair, const char *bytes);

/* A tensor to write: the rows of its parts, one part after the other, converted to `type`. */
struct gguf_entry {
    const char *name;
    int dimensions;
    uint64_t size[4]; /* fastest first; 1 beyond dimensions */
    enum weight_type type;
    const struct tensor *parts;
    size_t part_count;
    size_t head_rows; /* > 0: rows of each head this high, of halves, go to neighbours: as RoPE's pairs lie */
};

/* Writes it all to a temporary file, then renames. The data is aligned to 32 bytes. Values of
 * general.alignment are not the writer's business: leave that pair out. false with diag. */
bool gguf_write(struct diag *diag, const char *path, const struct gguf_pairs *pairs,
                const struct gguf_entry *entries, size_t count);

#endif
