/* A map's entries by key: look-ups that stay fast when a hostile file has a map of 100,000 keys. */
#ifndef RAFTER_SPEC_KEY_INDEX_H
#define RAFTER_SPEC_KEY_INDEX_H

#include "spec/yaml_tree.h"

struct key_index {
    const struct yaml_node **sorted; /* by key; equal keys in file order */
    size_t count;
};

/* Indexes a map's entries, in the arena. false when memory is out. */
bool key_index_make(struct arena *arena, const struct yaml_node *map, struct key_index *index);

/* The entry with a key, or NULL. */
const struct yaml_node *key_index_find(const struct key_index *index, const char *key);

#endif
