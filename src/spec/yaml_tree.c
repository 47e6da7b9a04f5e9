#include "spec/yaml_tree.h"

#include <string.h>

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry;
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    if (node == NULL || node->kind != YAML_SCALAR || node->quoted)
        return false;
    return node->scalar[0] == '\0' || strcmp(node->scalar, "~") == 0 || strcmp(node->scalar, "null") == 0;
}

/* A dotted path is taken segment by segment. false: an empty segment, or one that is longer than any key. */
enum { SEGMENT_MOST = 256, PATH_DEPTH_MOST = 64 };

static bool next_segment(const char **path, char segment[SEGMENT_MOST])
{
    size_t length = strcspn(*path, ".");
    if (length == 0 || length >= SEGMENT_MOST)
        return false;
    memcpy(segment, *path, length);
    segment[length] = '\0';
    *path += length;
    if (**path != '.')
        return true;
    *path += 1;
    return **path != '\0'; /* "a." ends in an empty segment */
}

/* The item of a list that a segment numbers, or NULL. */
static struct yaml_node *list_item(const struct yaml_node *list, const char *segment)
{
    size_t digits = strspn(segment, "0123456789");
    if (digits == 0 || digits > 9 || segment[digits] != '\0')
        return NULL;
    size_t index = 0;
    for (size_t i = 0; i < digits; i++)
        index = index * 10 + (size_t)(segment[i] - '0');
    struct yaml_node *item = list->first;
    while (item != NULL && index > 0) {
        item = item->next;
        index--;
    }
    return item;
}

static struct yaml_node *child_at(const struct yaml_node *node, const char *segment)
{
    if (node->kind == YAML_LIST)
        return list_item(node, segment);
    return (struct yaml_node *)yaml_get(node, segment); /* the tree is the caller's to change */
}

const struct yaml_node *yaml_path(const struct yaml_node *node, const char *path)
{
    char segment[SEGMENT_MOST];
    while (node != NULL && next_segment(&path, segment)) {
        node = child_at(node, segment);
        if (*path == '\0')
            return node;
    }
    return NULL;
}

static struct yaml_node *add_entry(struct arena *arena, struct yaml_node *map, const char *key,
                                   struct source_location where)
{
    struct yaml_node *entry = ARENA_NEW(arena, struct yaml_node);
    char *copy = arena_strdup(arena, key);
    if (entry == NULL || copy == NULL)
        return NULL;
    *entry = (struct yaml_node){.kind = YAML_MAP, .where = where, .key = copy, .key_where = where};
    struct yaml_node **end = &map->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = entry;
    map->children++;
    return entry;
}

static void make_scalar(struct yaml_node *node, const char *text, struct source_location where)
{
    node->kind = YAML_SCALAR;
    node->where = where;
    node->scalar = text;
    node->quoted = false;
    node->first = NULL;
    node->children = 0;
}

static void make_empty_map(struct yaml_node *node, struct source_location where)
{
    make_scalar(node, NULL, where);
    node->kind = YAML_MAP;
}

/* One step of yaml_set down from node, which the path so far (`done` bytes of it) has led to. */
static struct yaml_node *step_down(struct arena *arena, struct diag *diag, struct yaml_node *node,
                                   const char *path, size_t done, const char *segment,
                                   struct source_location where)
{
    int length = done == 0 ? 0 : done > 80 ? 80 : (int)done - 1; /* without the dot */
    if (yaml_is_null(node))
        make_empty_map(node, where);
    if (node->kind == YAML_SCALAR) {
        diag_error(diag, where, "cannot set %.80s: %.*s is the value \"%.40s\", not a map", path, length,
                   path, node->scalar);
        return NULL;
    }
    struct yaml_node *child = child_at(node, segment);
    if (child == NULL && node->kind == YAML_LIST) {
        diag_error(diag, where,
                   "cannot set %.80s: %.*s is a list of %zu, expected an index below that, found \"%.40s\"",
                   path, length, path, node->children, segment);
        return NULL;
    }
    if (child == NULL)
        child = add_entry(arena, node, segment, where);
    if (child == NULL)
        diag_error(diag, where, "out of memory");
    return child;
}

bool yaml_set(struct arena *arena, struct diag *diag, struct yaml_node *root, const char *path,
              const char *value, struct source_location where)
{
    char segment[SEGMENT_MOST];
    const char *rest = path;
    struct yaml_node *node = root;
    for (int depth = 0; *rest != '\0' || depth == 0; depth++) {
        size_t done = (size_t)(rest - path);
        if (depth == PATH_DEPTH_MOST)
            return diag_error(diag, where, "cannot set %.40s...: more than %d keys deep", path,
                              PATH_DEPTH_MOST);
        if (!next_segment(&rest, segment))
            return diag_error(diag, where,
                              "cannot set \"%.80s\": expected keys joined by dots such as \"power.tdp\"",
                              path);
        node = step_down(arena, diag, node, path, done, segment, where);
        if (node == NULL)
            return false;
    }
    char *text = arena_strdup(arena, value);
    if (text == NULL)
        return diag_error(diag, where, "out of memory");
    make_scalar(node, text, where);
    return true;
}
