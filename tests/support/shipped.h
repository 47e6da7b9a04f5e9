/* What the repository ships of a catalogue: all but what `rafter measure` wrote into a developer's checkout.
 */
#ifndef RAFTER_TESTS_SUPPORT_SHIPPED_H
#define RAFTER_TESTS_SUPPORT_SHIPPED_H

#include "spec/catalogue.h"

#include <string.h>

/* Moves the shipped entries to the front, in their order, and returns how many they are. */
static inline size_t keep_shipped(struct catalogue_entry *entries, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].id, "local") != 0)
            entries[kept++] = entries[i];
    return kept;
}

#endif
