#include "spec/source_notes.h"

#include <string.h>

static bool read_list(struct reader *reader, const struct yaml_node *node, struct string_list *list)
{
    list->items = ARENA_ARRAY(reader->arena, const char *, node->children + 1);
    if (list->items == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next) {
        if (item->kind != YAML_SCALAR || yaml_is_null(item))
            return diag_error(reader->diag, item->where,
                              "sources: expected a text: an address, a document, unverified");
        list->items[list->count++] = item->scalar;
    }
    if (list->count == 0)
        return diag_error(reader->diag, node->where,
                          "sources: an empty list; write unverified when there is none");
    return true;
}

static bool read_note(struct reader *reader, const struct yaml_node *node, struct source_note *note)
{
    note->path = node->key;
    if (node->kind == YAML_LIST)
        return read_list(reader, node, &note->sources);
    if (node->kind != YAML_SCALAR || yaml_is_null(node))
        return diag_error(reader->diag, node->where, "sources.%s: expected a source or a list of them",
                          node->key);
    const char **item = ARENA_NEW(reader->arena, const char *);
    if (item == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    *item = node->scalar;
    note->sources = (struct string_list){item, 1};
    return true;
}

bool source_notes_read(struct reader *reader, const struct yaml_node *node, void *member)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAP)
        return diag_error(reader->diag, node->where, "sources: expected a map of figures to their sources");
    struct source_note *notes = ARENA_ARRAY(reader->arena, struct source_note, node->children + 1);
    if (notes == NULL)
        return diag_error(reader->diag, node->where, "out of memory");
    size_t count = 0;
    bool ok = true;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next)
        ok = read_note(reader, entry, &notes[count++]) && ok;
    struct source_note **items = member;
    *items = notes;
    *(size_t *)(void *)(items + 1) = count;
    return ok;
}

static bool is_unverified(const struct source_note *note)
{
    for (size_t i = 0; i < note->sources.count; i++)
        if (strcmp(note->sources.items[i], "unverified") == 0)
            return true;
    return false;
}

int source_notes_unverified(const struct source_note *notes, size_t count)
{
    int unverified = 0;
    for (size_t i = 0; i < count; i++)
        unverified += is_unverified(&notes[i]);
    return unverified;
}

/* Whether prefix is path itself or ends at one of its dots. */
static bool covers(const char *prefix, const char *path)
{
    size_t length = strlen(prefix);
    return strncmp(prefix, path, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

const struct string_list *figure_sources(const struct source_note *notes, size_t count, const char *path)
{
    const struct source_note *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (covers(notes[i].path, path) && (best == NULL || strlen(notes[i].path) > strlen(best->path)))
            best = &notes[i];
    return best == NULL ? NULL : &best->sources;
}
