/* Blocks of a model: the kinds of layers it is made of, read from a map of name -> {mixer, feed-forward}. */
#ifndef RAFTER_SPEC_MODEL_BLOCK_H
#define RAFTER_SPEC_MODEL_BLOCK_H

#include "spec/model.h"

/* Layers of a model, and kinds of blocks: struct model's pattern holds the kind in a byte. */
enum { LAYERS_MOST = 1000, BLOCKS_MOST = 255 };

/* The keys of one block, for the docs. */
extern const struct schema block_schema;

/* For FIELD_CUSTOM: member is a `struct block_spec *` directly followed by its `size_t` count. The mixer and
 * the feed-forward follow from which keys are there; `like: other` starts from another block of the map. */
bool blocks_read(struct reader *reader, const struct yaml_node *node, void *member);

/* The index of the block of that name, or -1. */
int block_index(const struct block_spec *blocks, size_t count, const char *name);

/* The name nearest to one that no block has, or NULL. */
const char *block_suggestion(struct arena *arena, const struct block_spec *blocks, size_t count,
                             const char *name);

#endif
