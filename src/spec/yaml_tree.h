/* YAML documents as trees whose every node knows its place. Read with libyaml; hostile input is refused with
 * a message: over 4 MiB, nested deeper than 64, more than 200,000 nodes, several documents, anchors and
 * aliases (descriptions use `extends` instead), tags, duplicate keys, keys that are not scalars on one line,
 * invalid UTF-8, control characters (escaped ones too: names are printed to terminals). */
#ifndef RAFTER_SPEC_YAML_TREE_H
#define RAFTER_SPEC_YAML_TREE_H

#include "base/arena.h"
#include "base/diag.h"

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    struct source_location where;
    const char *scalar; /* SCALAR: the text, NUL-terminated; embedded NULs are refused */
    bool quoted;        /* SCALAR: was quoted, so "null" and "true" are plain strings */
    const char *key;    /* as an entry of a MAP: its key, else NULL */
    struct source_location key_where;
    struct yaml_node *first; /* LIST, MAP: first child; children are a linked list in file order */
    struct yaml_node *next;
    size_t children;
};

/* The document's root, in the arena; NULL with errors in diag. The name is used in messages. */
struct yaml_node *yaml_parse(struct arena *arena, struct diag *diag, const char *name, const char *text,
                             size_t length);
struct yaml_node *yaml_parse_file(struct arena *arena, struct diag *diag, const char *path);

/* The entry of a map by key, or NULL. node may be NULL or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
/* The same along a dotted path: "power.tdp". */
const struct yaml_node *yaml_path(const struct yaml_node *node, const char *path);

/* An unquoted ~, null or empty scalar. */
bool yaml_is_null(const struct yaml_node *node);

/* child laid over parent, as `extends` means it: maps merge key by key, anything else replaces; nodes keep
 * their own places. A null in child removes the parent's entry. */
struct yaml_node *yaml_merge(struct arena *arena, const struct yaml_node *parent,
                             const struct yaml_node *child);

/* Sets the scalar at a dotted path (lists by index: "links.0.bandwidth"), making maps on the way: --set. The
 * new node's place is `where`. false with an error when a scalar stands in the way or an index is out of
 * range. */
bool yaml_set(struct arena *arena, struct diag *diag, struct yaml_node *root, const char *path,
              const char *value, struct source_location where);

#endif
