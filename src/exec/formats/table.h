/* The table of tensors by role that every weight source fills. */
#ifndef RAFTER_EXEC_FORMATS_TABLE_H
#define RAFTER_EXEC_FORMATS_TABLE_H

#include "exec/weights.h"

/* One role in one layer. Experts: `parts` tensors. */
struct weights_slot {
    struct tensor tensor; /* data NULL: none */
    struct tensor *parts; /* NULL: the role has one tensor */
    size_t part_count;
};

/* Memory that goes when the weights are closed: a mapped file, or our own. */
struct weights_region {
    void *data; /* from mmap */
    size_t bytes;
    bool of_file;
    struct weights_region *next;
};

struct weights {
    struct arena *arena; /* the caller's */
    const char *path;    /* for messages */
    struct model model;
    struct hyper hyper;
    struct weights_slot *slots; /* [max(layers, 1)][ROLE_COUNT] */
    struct weights_region *regions;
    double bytes;
    struct gguf_header *gguf;    /* NULL: the source is no GGUF file */
    struct tensor *gguf_tensors; /* as the file has them, in the header's order */
    const char *tokenizer_path;  /* NULL: none */
};

/* An empty table; its model and path are set by the source. NULL with diag: out of memory. */
struct weights *weights_table_new(struct arena *arena, struct diag *diag, const char *path);
/* Makes the slots once the model's layers are known. */
bool weights_table_slots(struct weights *weights, struct diag *diag);

struct weights_slot *weights_slot(const struct weights *weights, enum tensor_role role, int layer);

/* Puts a tensor in its place; weights_bytes grows by it. part -1: the role's only one. part_count: of the
 * role in this layer. false with diag: out of memory. */
bool weights_put(struct weights *weights, struct diag *diag, enum tensor_role role, int layer, int part,
                 size_t part_count, const struct tensor *tensor);

/* Whether each tensor that the model needs is there and has the shape that follows from its sizes. false with
 * diag: the first that is not; a part of the model for which there is no role. */
bool weights_check(const struct weights *weights, struct diag *diag);

/* Zeroed memory of our own, aligned to pages. NULL with diag: more than the machine has available. */
void *weights_memory(struct weights *weights, struct diag *diag, size_t bytes);

/* Maps a regular file, read only. NULL with diag. */
const char *weights_map(struct weights *weights, struct diag *diag, const char *path, size_t *bytes);

/* An error about the source as a whole; returns false. */
bool weights_error(const struct weights *weights, struct diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
