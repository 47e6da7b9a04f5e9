/* Descriptions as trees: `extends`, calibration lists, settings. */
#include "spec/catalogue_files.h"
#include "spec/catalogue_private.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { EXTENDS_MOST = 8, SETTING_MOST = 1000 };

struct yaml_node *catalogue_take(struct yaml_node *map, const char *key)
{
    if (map->kind != YAML_MAP)
        return NULL;
    for (struct yaml_node **link = &map->first; *link != NULL; link = &(*link)->next) {
        struct yaml_node *node = *link;
        if (strcmp(node->key, key) == 0) {
            *link = node->next;
            node->next = NULL;
            map->children--;
            return node;
        }
    }
    return NULL;
}

static void append(struct yaml_node *parent, struct yaml_node *child)
{
    struct yaml_node **link = &parent->first;
    while (*link != NULL)
        link = &(*link)->next;
    child->next = NULL;
    *link = child;
    parent->children++;
}

/* One file of a chain of `extends`. */
struct layer {
    const char *path;
    struct yaml_node *tree;
    struct yaml_node *calibration; /* taken out of the tree; NULL: none */
    bool abstract;
};

static const char *scalar_of(const struct yaml_node *map, const char *key, const char *fallback)
{
    const struct yaml_node *node = yaml_get(map, key);
    return node != NULL && node->kind == YAML_SCALAR && !yaml_is_null(node) ? node->scalar : fallback;
}

/* The keys that tell blocks apart. */
static bool same_block(const struct yaml_node *a, const struct yaml_node *b)
{
    static const char *const keys[][2] = {
        {"software", "*"}, {"version", ""}, {"family", ""}, {"format", "any"}, {"operand", "any"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(scalar_of(a, keys[i][0], keys[i][1]), scalar_of(b, keys[i][0], keys[i][1])) != 0)
            return false;
    return true;
}

static bool has_block(const struct yaml_node *list, const struct yaml_node *block)
{
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next)
        if (same_block(item, block))
            return true;
    return false;
}

/* A parent's block as its child sees it: what was fitted on the parent is only inherited here. */
static struct yaml_node *inherited_block(struct arena *arena, const struct yaml_node *block, bool from_device)
{
    struct yaml_node *copy = ARENA_NEW(arena, struct yaml_node);
    if (copy == NULL)
        return NULL;
    *copy = *block;
    copy->next = NULL;
    if (!from_device || strcmp(scalar_of(block, "provenance", ""), "fitted") != 0)
        return copy;
    struct yaml_node *empty = ARENA_NEW(arena, struct yaml_node);
    if (empty == NULL)
        return NULL;
    *empty = (struct yaml_node){.kind = YAML_MAP, .where = block->where};
    struct yaml_node *map = yaml_merge(arena, block, empty); /* a copy whose entries are its own */
    struct yaml_node *provenance = map == NULL ? NULL : catalogue_take(map, "provenance");
    struct yaml_node *changed = ARENA_NEW(arena, struct yaml_node);
    if (provenance == NULL || changed == NULL)
        return NULL;
    *changed = *provenance;
    changed->scalar = "inherited";
    append(map, changed);
    map->next = NULL;
    return map;
}

/* The child's blocks, then those of the parent that it does not replace. Anything that is no list is left for
 * the schema to refuse. */
static struct yaml_node *merge_calibrations(struct arena *arena, const struct yaml_node *parent,
                                            struct yaml_node *child, bool from_device)
{
    if (parent == NULL || parent->kind != YAML_LIST || (child != NULL && child->kind != YAML_LIST))
        return child;
    struct yaml_node *list = ARENA_NEW(arena, struct yaml_node);
    if (list == NULL)
        return child;
    *list = child != NULL ? *child : *parent;
    list->first = NULL;
    list->next = NULL;
    list->children = 0;
    struct yaml_node **end = &list->first;
    for (const struct yaml_node *item = child == NULL ? NULL : child->first; item != NULL;
         item = item->next) {
        struct yaml_node *copy = inherited_block(arena, item, false);
        if (copy == NULL)
            return child;
        *end = copy;
        end = &copy->next;
        list->children++;
    }
    for (const struct yaml_node *item = parent->first; item != NULL; item = item->next) {
        struct yaml_node *copy =
            child != NULL && has_block(child, item) ? NULL : inherited_block(arena, item, from_device);
        if (copy == NULL)
            continue;
        *end = copy;
        end = &copy->next;
        list->children++;
    }
    return list;
}

static bool take_abstract(struct diag *diag, struct layer *layer)
{
    const struct yaml_node *node = catalogue_take(layer->tree, "abstract");
    if (node == NULL)
        return true;
    const char *text = node->kind == YAML_SCALAR ? node->scalar : "";
    layer->abstract = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
    if (layer->abstract || strcmp(text, "false") == 0 || strcmp(text, "no") == 0)
        return true;
    return diag_error(diag, node->where, "abstract: found \"%s\", expected true or false", text);
}

static bool load_layer(struct catalogue *catalogue, struct diag *diag, const char *path, struct layer *layer)
{
    *layer = (struct layer){.path = path, .tree = catalogue_parse(catalogue, diag, path)};
    if (layer->tree == NULL)
        return false;
    if (layer->tree->kind != YAML_MAP)
        return diag_error(diag, layer->tree->where, "expected a map of keys to values");
    layer->calibration = catalogue_take(layer->tree, "calibration");
    return take_abstract(diag, layer);
}

/* The name in `extends`; a path is taken from the folder of the file that says it. NULL: none. */
static const char *parent_name(struct arena *arena, const struct layer *layer,
                               const struct yaml_node *extends)
{
    const char *name = extends->scalar;
    const char *slash = strrchr(layer->path, '/');
    size_t length = strlen(name);
    bool path = length > 5 && strcmp(name + length - 5, ".yaml") == 0;
    if (!path || name[0] == '/' || slash == NULL)
        return name;
    while (strncmp(name, "./", 2) == 0) /* one spelling of one place, so that a circle is seen */
        name += 2;
    return arena_printf(arena, "%.*s/%s", (int)(slash - layer->path), layer->path, name);
}

/* Loads the file and all it extends, the file first. 0: failed, with an error. */
static int load_chain(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                      const char *path, struct layer chain[EXTENDS_MOST + 1])
{
    for (int depth = 0;; depth++) {
        if (!load_layer(catalogue, diag, path, &chain[depth]))
            return 0;
        const struct yaml_node *extends = yaml_get(chain[depth].tree, "extends");
        if (extends == NULL || yaml_is_null(extends))
            return depth + 1;
        if (extends->kind != YAML_SCALAR)
            return diag_error(diag, extends->where, "extends: expected the name of one description");
        if (depth == EXTENDS_MOST)
            return diag_error(diag, extends->where, "extends: more than %d deep", EXTENDS_MOST);
        const char *parent_id;
        const char *name = parent_name(catalogue->arena, &chain[depth], extends);
        if (!catalogue_find(catalogue, diag, kind, name, extends->where, &path, &parent_id))
            return 0;
        for (int i = 0; i <= depth; i++)
            if (strcmp(chain[i].path, path) == 0)
                return diag_error(diag, extends->where, "extends: \"%s\" leads back to itself",
                                  extends->scalar);
    }
}

/* What belongs to one description alone. */
static void drop_own_keys(struct yaml_node *parent)
{
    static const char *const own[] = {"name", "aliases", "hf_repo", "extends"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        catalogue_take(parent, own[i]);
}

static struct yaml_node *merge_chain(struct arena *arena, struct layer *chain, int count)
{
    struct yaml_node *tree = chain[count - 1].tree;
    struct yaml_node *calibration = chain[count - 1].calibration;
    for (int i = count - 2; i >= 0; i--) {
        drop_own_keys(tree);
        tree = yaml_merge(arena, tree, chain[i].tree);
        if (tree == NULL)
            return NULL;
        calibration = merge_calibrations(arena, calibration, chain[i].calibration, !chain[i + 1].abstract);
    }
    if (calibration != NULL)
        append(tree, calibration);
    return tree;
}

bool catalogue_describe(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                        const char *name, struct source_location where, struct description *description)
{
    *description = (struct description){0};
    if (!catalogue_find(catalogue, diag, kind, name, where, &description->path, &description->id))
        return false;
    struct layer chain[EXTENDS_MOST + 1];
    int count = load_chain(catalogue, diag, kind, description->path, chain);
    if (count == 0)
        return false;
    description->abstract = chain[0].abstract;
    description->tree = merge_chain(catalogue->arena, chain, count);
    if (description->tree == NULL)
        return diag_error(diag, where, "out of memory");
    return true;
}

struct yaml_node *catalogue_tree(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                                 const char *name, const char **path, const char **id)
{
    struct description description;
    if (!catalogue_describe(catalogue, diag, kind, name, NOWHERE, &description))
        return NULL;
    *path = description.path;
    *id = description.id;
    return description.tree;
}

static bool is_index(const char *part)
{
    return part[0] != '\0' && part[strspn(part, "0123456789")] == '\0';
}

/* The item of a list that a part of a path names: by index, by its name, by its role. */
static const struct yaml_node *list_item(const struct yaml_node *list, const char *part, size_t *index)
{
    *index = 0;
    size_t wanted = 0;
    bool by_index = is_index(part) && sscanf(part, "%9zu", &wanted) == 1;
    for (const struct yaml_node *item = list->first; item != NULL; item = item->next, ++*index) {
        if (by_index ? *index == wanted
                     : catalogue_same_name(scalar_of(item, "name", scalar_of(item, "role", "")), part))
            return item;
    }
    return NULL;
}

/* No item goes by that name: says which names there are. */
static bool refuse_item(struct diag *diag, struct source_location where, const struct yaml_node *list,
                        const char *part)
{
    enum { SHOWN_MOST = 16 };
    struct text names = {0};
    size_t index = 0;
    for (const struct yaml_node *item = list->first; item != NULL && index < SHOWN_MOST; item = item->next) {
        text_printf(&names, "%s%.40s", index == 0 ? "" : ", ",
                    scalar_of(item, "name", scalar_of(item, "role", "")));
        index++;
    }
    diag_error(diag, where, "%s has no item \"%.40s\"; it has %zu: %s",
               list->key == NULL ? "the list" : list->key, part, list->children,
               names.data == NULL ? "" : names.data);
    text_free(&names);
    return false;
}

/* Turns the names of list items in a path into indices, in *result. The path is cut up on the way. */
static bool index_path(struct arena *arena, struct diag *diag, struct source_location where,
                       const struct yaml_node *node, char *path, const char **result)
{
    char *rest = path;
    *result = NULL;
    while (rest != NULL) {
        const char *part = strsep(&rest, ".");
        size_t index = 0;
        bool list = node != NULL && node->kind == YAML_LIST;
        const struct yaml_node *child = list ? list_item(node, part, &index) : yaml_get(node, part);
        if (list && child == NULL)
            return refuse_item(diag, where, node, part);
        const char *shown = list ? arena_printf(arena, "%zu", index) : part;
        *result = *result == NULL ? shown : arena_printf(arena, "%s.%s", *result, shown);
        if (shown == NULL || *result == NULL)
            return diag_error(diag, where, "out of memory");
        node = child;
    }
    return true;
}

static bool set_one(struct arena *arena, struct diag *diag, struct yaml_node *tree, const char *setting)
{
    const char *equals = strchr(setting, '=');
    if (strlen(setting) > SETTING_MOST)
        return diag_error(diag, NOWHERE, "--set: longer than %d characters", SETTING_MOST);
    if (!text_is_plain(setting))
        return diag_error(diag, NOWHERE, "--set %s: expected plain UTF-8 without control characters",
                          setting);
    if (equals == NULL || equals == setting)
        return diag_error(diag, NOWHERE, "--set %s: expected key=value such as power.tdp=\"500 W\"", setting);
    char *key = arena_strndup(arena, setting, (size_t)(equals - setting));
    const char *place = arena_printf(arena, "--set %s", setting);
    if (key == NULL || place == NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    struct source_location where = {place, 0, 0};
    if (strcmp(key, "extends") == 0)
        return diag_error(diag, where,
                          "extends cannot be set: it has been merged in already; name the other description");
    const char *path;
    return index_path(arena, diag, where, tree, key, &path) &&
           yaml_set(arena, diag, tree, path, equals + 1, where);
}

bool catalogue_set(struct arena *arena, struct diag *diag, struct yaml_node *tree,
                   const struct string_list *settings)
{
    bool ok = true;
    for (size_t i = 0; settings != NULL && i < settings->count; i++)
        ok = set_one(arena, diag, tree, settings->items[i]) && ok;
    return ok;
}
