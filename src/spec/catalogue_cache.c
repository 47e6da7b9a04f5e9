#include "spec/catalogue_cache.h"

#include <stdlib.h>
#include <string.h>

/* Callers name few things; a program that makes names up is served from the files. */
enum { ENTRIES_MOST = 1024 };

struct entry {
    struct lookup lookup; /* name in the arena */
    struct arena *arena;  /* of this description alone, so that one that fails leaves nothing behind */
    const void *description;
};

struct catalogue_cache {
    struct entry entries[ENTRIES_MOST];
    size_t count;
};

bool catalogue_remember(struct catalogue *catalogue)
{
    if (catalogue->cache == NULL)
        catalogue->cache = calloc(1, sizeof *catalogue->cache);
    return catalogue->cache != NULL;
}

void catalogue_forget(struct catalogue *catalogue)
{
    if (catalogue->cache == NULL)
        return;
    for (size_t i = 0; i < catalogue->cache->count; i++)
        arena_free(catalogue->cache->entries[i].arena);
    free(catalogue->cache);
    catalogue->cache = NULL;
}

static const void *find(const struct catalogue_cache *cache, const struct lookup *lookup)
{
    for (size_t i = 0; i < cache->count; i++) {
        const struct lookup *kept = &cache->entries[i].lookup;
        if (kept->kind == lookup->kind && kept->system == lookup->system && kept->count == lookup->count &&
            strcmp(kept->name, lookup->name) == 0)
            return cache->entries[i].description;
    }
    return NULL;
}

/* Reads it into an arena of its own and keeps both, unless there was anything to report. */
static const void *read_and_keep(struct catalogue *catalogue, const struct lookup *lookup,
                                 description_load *load)
{
    struct arena *arena = arena_new(0);
    if (arena == NULL)
        return NULL;
    struct diag quiet = {.arena = arena};
    struct catalogue own = {.arena = arena, .roots = catalogue->roots};
    struct entry entry = {.lookup = *lookup, .arena = arena};
    entry.lookup.name = arena_strdup(arena, lookup->name);
    entry.lookup.settings = NULL;
    entry.description = entry.lookup.name != NULL ? load(&own, &quiet, lookup) : NULL;
    if (entry.description == NULL || quiet.errors + quiet.warnings > 0) {
        arena_free(arena);
        return NULL;
    }
    catalogue->cache->entries[catalogue->cache->count++] = entry;
    return entry.description;
}

const void *catalogue_cached(struct catalogue *catalogue, struct diag *diag, const struct lookup *lookup,
                             description_load *load)
{
    const void *description = NULL;
    bool kept = catalogue->cache != NULL && lookup->name != NULL &&
                (lookup->settings == NULL || lookup->settings->count == 0);
    if (kept)
        description = find(catalogue->cache, lookup);
    if (kept && description == NULL && catalogue->cache->count < ENTRIES_MOST)
        description = read_and_keep(catalogue, lookup, load);
    return description != NULL ? description : load(catalogue, diag, lookup);
}
