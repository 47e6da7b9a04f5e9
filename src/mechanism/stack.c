#include "base/quantity.h"
#include "base/suggest.h"
#include "mechanism/mechanism.h"

#include <string.h>

static bool unknown_mechanism(struct diag *diag, const char *name, struct source_location where)
{
    const char *names[64];
    size_t count = 0;
    for (; count < mechanism_count && count < 64; count++)
        names[count] = mechanisms[count]->name;
    const char *nearest = suggest_nearest(name, names, count);
    if (nearest)
        return diag_error(diag, where, "unknown mechanism \"%s\"; did you mean \"%s\"?", name, nearest);
    return diag_error(diag, where, "unknown mechanism \"%s\"; `rafter list mechanisms` lists them", name);
}

/* Two uses of a mechanism on the same role contradict each other: neither replaces the other silently. */
static bool add_entry(struct stack *stack, struct diag *diag, const struct stack_entry *entry)
{
    for (int i = 0; i < stack->count; i++) {
        const struct stack_entry *other = &stack->entries[i];
        if (other->mechanism == entry->mechanism && strcmp(other->role, entry->role) == 0)
            return diag_error(diag, entry->where, "%s and %s both set %s: give one of them", other->technique,
                              entry->technique, entry->mechanism->name);
    }
    if (stack->count == STACK_MOST)
        return diag_error(diag, entry->where, "more than %d mechanisms in one stack", STACK_MOST);
    stack->entries[stack->count++] = *entry;
    return true;
}

static bool read_entry(struct arena *arena, struct diag *diag, const struct mechanism *mechanism,
                       const struct yaml_node *map, struct stack_entry *entry)
{
    size_t size = mechanism->parameter_size > 0 ? mechanism->parameter_size : 1; /* some have no parameters */
    void *parameters = arena_alloc(arena, 1, size);
    if (!parameters)
        return diag_error(diag, NOWHERE, "out of memory");
    struct reader reader = {arena, diag};
    entry->mechanism = mechanism;
    entry->parameters = parameters;
    return schema_read(&reader, mechanism->parameters.schema, map, mechanism->name, parameters);
}

static bool role_of(struct diag *diag, const struct mechanism_use *use, size_t index, const char **role)
{
    *role = use->on.count == 0 ? ROLE_SERVE : use->on.items[index];
    if (strcmp(*role, ROLE_SERVE) == 0 || strcmp(*role, ROLE_DRAFT) == 0)
        return true;
    return diag_error(diag, use->where,
                      "%s: on: found \"%s\", expected \"" ROLE_SERVE "\" or \"" ROLE_DRAFT "\"", use->name,
                      *role);
}

/* The use's parameters as the map that schemas read. */
static struct yaml_node *parameter_map(struct arena *arena, const struct mechanism_use *use)
{
    struct yaml_node *map = ARENA_NEW(arena, struct yaml_node);
    if (!map)
        return NULL;
    map->kind = YAML_MAP;
    map->where = use->where;
    struct yaml_node **end = &map->first;
    for (size_t i = 0; i < use->parameter_count; i++) {
        struct yaml_node *entry = ARENA_NEW(arena, struct yaml_node);
        if (!entry)
            return NULL;
        *entry = *use->parameters[i].value;
        entry->key = use->parameters[i].key;
        entry->next = NULL;
        *end = entry;
        end = &entry->next;
        map->children++;
    }
    return map;
}

bool stack_add_technique(struct stack *stack, struct arena *arena, struct diag *diag,
                         const struct technique *technique)
{
    for (size_t i = 0; i < technique->use_count; i++) {
        const struct mechanism_use *use = &technique->uses[i];
        const struct mechanism *mechanism = mechanism_find(use->name);
        if (!mechanism)
            return unknown_mechanism(diag, use->name, use->where);
        struct yaml_node *map = parameter_map(arena, use);
        if (!map)
            return diag_error(diag, NOWHERE, "out of memory");
        size_t roles = use->on.count > 0 ? use->on.count : 1;
        for (size_t r = 0; r < roles; r++) {
            struct stack_entry entry = {.technique = technique->id, .where = use->where};
            if (!role_of(diag, use, r, &entry.role) || !read_entry(arena, diag, mechanism, map, &entry) ||
                !add_entry(stack, diag, &entry))
                return false;
        }
    }
    return true;
}

bool stack_add(struct stack *stack, struct arena *arena, struct diag *diag, const char *mechanism,
               const char *const *settings, size_t count, const char *origin)
{
    const struct mechanism *found = mechanism_find(mechanism);
    if (!found)
        return unknown_mechanism(diag, mechanism, NOWHERE);
    struct yaml_node *map = ARENA_NEW(arena, struct yaml_node);
    if (!map)
        return diag_error(diag, NOWHERE, "out of memory");
    map->kind = YAML_MAP;
    map->where = (struct source_location){origin, 0, 0};
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(settings[i], '=');
        char *key = equals ? arena_strndup(arena, settings[i], (size_t)(equals - settings[i])) : NULL;
        if (!key)
            return diag_error(diag, NOWHERE, "%s: found \"%s\", expected key=value", origin, settings[i]);
        if (!yaml_set(arena, diag, map, key, equals + 1, map->where))
            return false;
    }
    struct stack_entry entry = {.technique = origin, .role = ROLE_SERVE, .where = map->where};
    return read_entry(arena, diag, found, map, &entry) && add_entry(stack, diag, &entry);
}

typedef bool (*hook_function)(struct rewrite *rewrite, const void *parameters);

static hook_function hook_of(const struct mechanism *mechanism, enum hook hook)
{
    switch (hook) {
    case HOOK_DEVICE:
        return mechanism->on_device;
    case HOOK_SOFTWARE:
        return mechanism->on_software;
    case HOOK_WORKLOAD:
        return mechanism->on_workload;
    case HOOK_MODEL:
        return mechanism->on_model;
    case HOOK_OPS:
        return mechanism->on_ops;
    case HOOK_PLACEMENT:
        return mechanism->on_placement;
    case HOOK_GENERATION:
        return mechanism->on_generation;
    case HOOK_SCHEDULE:
        return mechanism->on_schedule;
    case HOOK_COUNT:
        break;
    }
    return NULL;
}

bool stack_run(const struct stack *stack, enum hook hook, struct rewrite *rewrite)
{
    for (int i = 0; i < stack->count; i++) {
        const struct stack_entry *entry = &stack->entries[i];
        hook_function function = hook_of(entry->mechanism, hook);
        if (function && strcmp(entry->role, rewrite->role) == 0 && !function(rewrite, entry->parameters))
            return false;
    }
    return true;
}

/* A least value that stands for none. */
static bool not_given(const struct field *field, double value)
{
    char error[128];
    double fallback;
    return field->fallback && value == field->min &&
           quantity_parse(field->fallback, field->dimension, &fallback, error, sizeof error) &&
           fallback == field->min;
}

size_t stack_empirical(const struct stack *stack, struct arena *arena, const char ***lines)
{
    enum { LINES_MOST = STACK_MOST * 4 };
    const char **found = ARENA_ARRAY(arena, const char *, LINES_MOST);
    size_t count = 0;
    for (int i = 0; found && i < stack->count; i++) {
        const struct stack_entry *entry = &stack->entries[i];
        const char *const *keys = entry->mechanism->parameters.empirical;
        for (; keys && *keys && count < LINES_MOST; keys++) {
            const struct field *field = schema_field(entry->mechanism->parameters.schema, *keys);
            if (!field || field->kind != FIELD_QUANTITY)
                continue;
            double value = *(const double *)((const char *)entry->parameters + field->offset);
            if (not_given(field, value))
                continue;
            found[count] = arena_printf(arena, "%s.%s = %g", entry->mechanism->name, *keys, value);
            count += found[count] != NULL;
        }
    }
    *lines = found;
    return count;
}
