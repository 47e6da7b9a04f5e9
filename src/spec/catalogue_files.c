#include "spec/catalogue_files.h"

#include "spec/catalogue_private.h"

#include <stdint.h>
#include <string.h>

enum { SLOTS = 4096 }; /* a power of two; a listing of more files than this parses the rest each time */

struct catalogue_files {
    struct {
        const char *path;
        const struct yaml_node *tree;
    } slots[SLOTS];
    size_t used;
};

bool catalogue_parse_once(struct catalogue *catalogue)
{
    if (catalogue->files == NULL)
        catalogue->files = ARENA_NEW(catalogue->arena, struct catalogue_files);
    return catalogue->files != NULL;
}

/* FNV-1a (Fowler, Noll, Vo): offset basis and prime of the 64-bit form. */
static size_t slot_of(const char *path)
{
    uint64_t hash = 14695981039346656037u;
    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 1099511628211u;
    return (size_t)(hash % SLOTS);
}

struct yaml_node *catalogue_parse(struct catalogue *catalogue, struct diag *diag, const char *path)
{
    struct catalogue_files *files = catalogue->files;
    if (files == NULL)
        return yaml_parse_file(catalogue->arena, diag, path);
    size_t slot = slot_of(path);
    while (files->slots[slot].path != NULL && strcmp(files->slots[slot].path, path) != 0)
        slot = (slot + 1) % SLOTS;
    if (files->slots[slot].path != NULL)
        return yaml_merge(catalogue->arena, files->slots[slot].tree,
                          NULL); /* a copy: trees are changed later on */
    struct yaml_node *tree = yaml_parse_file(catalogue->arena, diag, path);
    const char *key = arena_strdup(catalogue->arena, path);
    if (tree != NULL)
        catalogue_take(tree, "calibration");
    if (tree == NULL || key == NULL || files->used >= SLOTS / 2)
        return tree;
    files->slots[slot].path = key;
    files->slots[slot].tree = tree;
    files->used++;
    return yaml_merge(catalogue->arena, tree, NULL);
}
