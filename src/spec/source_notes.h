/* The `sources:` map that every description carries: dotted path -> source or list of sources. */
#ifndef RAFTER_SPEC_SOURCE_NOTES_H
#define RAFTER_SPEC_SOURCE_NOTES_H

#include "spec/hardware.h"

/* For FIELD_CUSTOM: member is a `struct source_note *` directly followed by its `size_t` count, which
 * COUNT_FOLLOWS asserts at compile time. */
bool source_notes_read(struct reader *reader, const struct yaml_node *node, void *member);

/* How many notes name "unverified" as a source. */
int source_notes_unverified(const struct source_note *notes, size_t count);

/* A list's count lies right behind its pointer, as in struct object_list. */
#define COUNT_FOLLOWS(type, items, count)                                                                    \
    _Static_assert(offsetof(type, count) == offsetof(type, items) + sizeof(void *), #type "." #items)

#endif
