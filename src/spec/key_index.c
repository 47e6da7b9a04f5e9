#include "spec/key_index.h"

#include <stdlib.h>
#include <string.h>

static int compare_places(struct source_location a, struct source_location b)
{
    if (a.line != b.line)
        return a.line < b.line ? -1 : 1;
    return (a.column > b.column) - (a.column < b.column);
}

static int compare_entries(const void *a, const void *b)
{
    const struct yaml_node *const *x = a, *const *y = b;
    int keys = strcmp((*x)->key, (*y)->key);
    return keys != 0 ? keys : compare_places((*x)->key_where, (*y)->key_where);
}

bool key_index_make(struct arena *arena, const struct yaml_node *map, struct key_index *index)
{
    index->count = 0;
    index->sorted = ARENA_ARRAY(arena, const struct yaml_node *, map->children);
    if (index->sorted == NULL)
        return false;
    for (const struct yaml_node *entry = map->first; entry != NULL; entry = entry->next)
        index->sorted[index->count++] = entry;
    qsort(index->sorted, index->count, sizeof *index->sorted, compare_entries);
    return true;
}

static int compare_key(const void *key, const void *entry)
{
    const struct yaml_node *const *node = entry;
    return strcmp(key, (*node)->key);
}

const struct yaml_node *key_index_find(const struct key_index *index, const char *key)
{
    const struct yaml_node **found =
        bsearch(key, index->sorted, index->count, sizeof *index->sorted, compare_key);
    return found == NULL ? NULL : *found;
}
