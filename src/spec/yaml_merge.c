#include "spec/key_index.h"
#include "spec/yaml_tree.h"

static void append(struct yaml_node *parent, struct yaml_node ***end, struct yaml_node *child)
{
    **end = child;
    *end = &child->next;
    parent->children++;
}

/* The node alone, without its children. */
static struct yaml_node *copy_node(struct arena *arena, const struct yaml_node *node)
{
    struct yaml_node *copy = ARENA_NEW(arena, struct yaml_node);
    if (copy == NULL)
        return NULL;
    *copy = *node;
    copy->first = copy->next = NULL;
    copy->children = 0;
    return copy;
}

/* The node with all below it: yaml_set on a merged tree must not reach into what it was merged from. */
static struct yaml_node *copy_tree(struct arena *arena, const struct yaml_node *node)
{
    struct yaml_node *copy = copy_node(arena, node);
    if (copy == NULL)
        return NULL;
    struct yaml_node **end = &copy->first;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next) {
        struct yaml_node *below = copy_tree(arena, child);
        if (below == NULL)
            return NULL;
        append(copy, &end, below);
    }
    return copy;
}

/* The parent's entries in their order, each as the child has it, then what only the child has. */
static struct yaml_node *merge_maps(struct arena *arena, const struct yaml_node *parent,
                                    const struct yaml_node *child)
{
    struct key_index of_parent, of_child;
    struct yaml_node *merged = copy_node(arena, child);
    if (merged == NULL || !key_index_make(arena, parent, &of_parent) ||
        !key_index_make(arena, child, &of_child))
        return NULL;
    struct yaml_node **end = &merged->first;
    for (const struct yaml_node *below = parent->first; below != NULL; below = below->next) {
        const struct yaml_node *above = key_index_find(&of_child, below->key);
        if (yaml_is_null(above))
            continue;
        struct yaml_node *entry = above == NULL ? copy_tree(arena, below) : yaml_merge(arena, below, above);
        if (entry == NULL)
            return NULL;
        append(merged, &end, entry);
    }
    for (const struct yaml_node *above = child->first; above != NULL; above = above->next) {
        if (key_index_find(&of_parent, above->key) != NULL)
            continue;
        struct yaml_node *entry = copy_tree(arena, above);
        if (entry == NULL)
            return NULL;
        append(merged, &end, entry);
    }
    return merged;
}

struct yaml_node *yaml_merge(struct arena *arena, const struct yaml_node *parent,
                             const struct yaml_node *child)
{
    if (child == NULL)
        return parent == NULL ? NULL : copy_tree(arena, parent);
    if (parent == NULL || parent->kind != YAML_MAP || child->kind != YAML_MAP)
        return copy_tree(arena, child);
    return merge_maps(arena, parent, child);
}
