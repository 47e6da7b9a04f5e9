#include "report/description.h"

#include "base/quantity.h"

#include <math.h>
#include <string.h>

/* Shown in the head of the page, or in a table of its own. */
static bool is_elsewhere(const char *key)
{
    static const char *const keys[] = {"name",     "aliases",    "sources", "calibration", "extends",
                                       "abstract", "mechanisms", "summary", "paper",       "source"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static const struct field *field_of(const struct schema *schema, const char *key)
{
    for (size_t i = 0; schema != NULL && i < schema->count; i++)
        if (strcmp(schema->fields[i].key, key) == 0)
            return &schema->fields[i];
    return NULL;
}

static void add(struct description_list *list, struct described figure)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        struct described *items = ARENA_ARRAY(list->arena, struct described, capacity);
        if (items == NULL) {
            list->failed = true;
            return;
        }
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = figure;
}

static const char *joined(struct arena *arena, const char *prefix, const char *key)
{
    const char *path = prefix[0] != '\0' ? arena_printf(arena, "%s.%s", prefix, key) : key;
    return path != NULL ? path : "";
}

static void add_scalar(struct description_list *list, enum dimension dimension, const struct yaml_node *node,
                       const char *path)
{
    char error[256];
    struct described figure = {.path = path, .text = node->scalar};
    const char *unit = dimension_unit(dimension);
    figure.sources = figure_sources(list->notes, list->note_count, path);
    if (unit != NULL && unit[0] != '\0' &&
        quantity_parse(node->scalar, dimension, &figure.si, error, sizeof error)) {
        figure.measures = true;
        figure.unit = unit;
    }
    add(list, figure);
}

static void add_scalars(struct description_list *list, const struct yaml_node *node, const char *path)
{
    const char *text = "";
    for (const struct yaml_node *item = node->first; item != NULL && text != NULL; item = item->next)
        if (item->kind == YAML_SCALAR)
            text = arena_printf(list->arena, "%s%s%s", text, text[0] != '\0' ? ", " : "", item->scalar);
    add(list, (struct described){.path = path,
                                 .text = text,
                                 .sources = figure_sources(list->notes, list->note_count, path)});
}

static bool has_parts(const struct yaml_node *list)
{
    return list->first != NULL && list->first->kind != YAML_SCALAR;
}

/* What an item of a list is called in paths: its name, role or kind, else its position. */
static const char *item_name(struct arena *arena, const struct yaml_node *item, size_t index)
{
    static const char *const keys[] = {"role", "name"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *name = yaml_get(item, keys[i]);
        if (name != NULL && name->kind == YAML_SCALAR)
            return name->scalar;
    }
    const char *number = arena_printf(arena, "%zu", index);
    return number != NULL ? number : "";
}

static void describe_node(struct description_list *list, const struct field *field,
                          const struct yaml_node *node, const char *path);

static void describe_items(struct description_list *list, const struct schema *schema,
                           const struct yaml_node *node, const char *path)
{
    size_t index = 0;
    for (const struct yaml_node *item = node->first; item != NULL; item = item->next, index++) {
        const char *name = node->kind == YAML_MAP ? item->key : item_name(list->arena, item, index);
        describe_map(list, schema, item, joined(list->arena, path, name));
    }
}

/* Maps that a reader of their own takes apart: rates by number format are the ones with a unit. */
static void describe_custom(struct description_list *list, const struct field *field,
                            const struct yaml_node *node, const char *path)
{
    bool rates = field != NULL && (strcmp(field->key, "matrix") == 0 || strcmp(field->key, "vector") == 0);
    for (const struct yaml_node *entry = node->first; entry != NULL; entry = entry->next) {
        const char *name = entry->key != NULL ? entry->key : "";
        if (entry->kind == YAML_SCALAR)
            add_scalar(list, rates ? DIM_FLOPS : DIM_NONE, entry, joined(list->arena, path, name));
        else
            describe_node(list, NULL, entry, joined(list->arena, path, name));
    }
}

static void describe_node(struct description_list *list, const struct field *field,
                          const struct yaml_node *node, const char *path)
{
    if (yaml_is_null(node))
        return;
    bool named = field != NULL && field->object != NULL &&
                 (field->kind == FIELD_NAMED || field->kind == FIELD_OBJECTS || field->kind == FIELD_CUSTOM);
    if (node->kind == YAML_SCALAR)
        add_scalar(list, field != NULL ? field->dimension : DIM_NONE, node, path);
    else if (node->kind == YAML_LIST && !has_parts(node))
        add_scalars(list, node, path);
    else if (named || node->kind == YAML_LIST)
        describe_items(list, field != NULL ? field->object : NULL, node, path);
    else if (field != NULL && field->object != NULL)
        describe_map(list, field->object, node, path);
    else
        describe_custom(list, field, node, path);
}

/* Maps with a `source` of their own (a price, a block of scalars) say where all their figures come from. */
static void cite_own_source(struct description_list *list, const struct yaml_node *map, size_t first)
{
    const struct yaml_node *source = yaml_get(map, "source");
    if (source == NULL || source->kind != YAML_SCALAR)
        return;
    struct string_list *own = ARENA_NEW(list->arena, struct string_list);
    const char **item = ARENA_NEW(list->arena, const char *);
    if (own == NULL || item == NULL) {
        list->failed = true;
        return;
    }
    *item = source->scalar;
    *own = (struct string_list){item, 1};
    for (size_t i = first; i < list->count; i++)
        list->items[i].sources = own;
}

static bool is_left_out(const char *key, bool at_root)
{
    return at_root ? is_elsewhere(key) : strcmp(key, "name") == 0 || strcmp(key, "source") == 0;
}

/* In the schema's order: `extends` leaves a tree in the order in which it was pieced together. */
void describe_map(struct description_list *list, const struct schema *schema, const struct yaml_node *map,
                  const char *prefix)
{
    size_t first = list->count;
    if (map->kind != YAML_MAP) {
        describe_node(list, NULL, map, prefix);
        return;
    }
    for (size_t f = 0; schema != NULL && f < schema->count; f++) {
        const struct yaml_node *entry = yaml_get(map, schema->fields[f].key);
        if (entry != NULL && !is_left_out(entry->key, prefix[0] == '\0'))
            describe_node(list, &schema->fields[f], entry, joined(list->arena, prefix, entry->key));
    }
    for (const struct yaml_node *entry = map->first; entry != NULL; entry = entry->next)
        if (field_of(schema, entry->key) == NULL && !is_left_out(entry->key, prefix[0] == '\0'))
            describe_node(list, NULL, entry, joined(list->arena, prefix, entry->key));
    cite_own_source(list, map, first);
}

bool parameter_is_empirical(const struct mechanism *mechanism, const char *key)
{
    const char *const *empirical = mechanism->parameters.empirical;
    for (size_t i = 0; empirical != NULL && empirical[i] != NULL; i++)
        if (strcmp(empirical[i], key) == 0)
            return true;
    return false;
}

/* Sources of a technique's parameter may be noted under the mechanism's name or under `mechanisms`. */
static const struct string_list *parameter_sources(const struct description_list *list, const char *path)
{
    const struct string_list *found = figure_sources(list->notes, list->note_count, path);
    const char *longer = arena_printf(list->arena, "mechanisms.%s", path);
    return found != NULL || longer == NULL ? found : figure_sources(list->notes, list->note_count, longer);
}

static void describe_parameter(struct description_list *list, const struct mechanism_use *use,
                               const struct setting *setting)
{
    const struct mechanism *mechanism = mechanism_find(use->name);
    const char *path = joined(list->arena, use->name, setting->key);
    size_t before = list->count;
    describe_node(list, mechanism != NULL ? field_of(mechanism->parameters.schema, setting->key) : NULL,
                  setting->value, path);
    for (size_t i = before; i < list->count; i++) {
        list->items[i].empirical = mechanism != NULL && parameter_is_empirical(mechanism, setting->key);
        list->items[i].sources = parameter_sources(list, list->items[i].path);
    }
}

void describe_uses(struct description_list *list, const struct technique *technique)
{
    for (size_t u = 0; u < technique->use_count; u++) {
        const struct mechanism_use *use = &technique->uses[u];
        if (use->parameter_count == 0)
            add(list, (struct described){
                          .path = use->name, .text = "", .sources = parameter_sources(list, use->name)});
        for (size_t p = 0; p < use->parameter_count; p++)
            describe_parameter(list, use, &use->parameters[p]);
    }
}

bool is_unverified(const struct described *figure)
{
    for (size_t i = 0; figure->sources != NULL && i < figure->sources->count; i++)
        if (strcmp(figure->sources->items[i], "unverified") == 0)
            return true;
    return false;
}

size_t count_unverified(const struct description_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += is_unverified(&list->items[i]);
    return count;
}
