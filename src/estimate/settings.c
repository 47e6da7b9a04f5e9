/* Settings: --set SCOPE.KEY=VALUE, to the description or mechanism that they are about. */
#include "estimate/settings.h"

#include "base/suggest.h"

#include <string.h>

static const char *const scopes[SCOPE_COUNT] = {"hardware", "software", "model", "workload", "site"};

static void list_add(struct string_list *list, const char *item)
{
    list->items[list->count++] = item;
}

static bool split_setting(struct diag *diag, struct settings *settings, const char *setting)
{
    const char *dot = strchr(setting, '.'), *equals = strchr(setting, '=');
    if (!equals || !dot || dot > equals || dot == setting)
        return diag_error(diag, NOWHERE,
                          "--set: found \"%s\", expected SCOPE.KEY=VALUE such as "
                          "hardware.power.tdp=\"500 W\" or speculative_decoding.acceptance=0.8",
                          setting);
    size_t length = (size_t)(dot - setting);
    for (int i = 0; i < SCOPE_COUNT; i++) {
        if (strlen(scopes[i]) == length && memcmp(scopes[i], setting, length) == 0) {
            list_add(&settings->by_scope[i], dot + 1);
            return true;
        }
    }
    list_add(&settings->mechanisms, setting);
    return true;
}

bool settings_split(struct arena *arena, struct diag *diag, const struct string_list *given,
                    struct settings *settings)
{
    *settings = (struct settings){0};
    for (int i = 0; i <= SCOPE_COUNT; i++) {
        struct string_list *list = i < SCOPE_COUNT ? &settings->by_scope[i] : &settings->mechanisms;
        list->items = ARENA_ARRAY(arena, const char *, given->count + 2) /* and one of a flag */;
        if (!list->items)
            return diag_error(diag, NOWHERE, "out of memory");
    }
    for (size_t i = 0; i < given->count; i++)
        if (!split_setting(diag, settings, given->items[i]))
            return false;
    return true;
}

bool settings_read_site(struct arena *arena, struct diag *diag, const struct string_list *settings,
                        struct site *site)
{
    struct yaml_node *map = ARENA_NEW(arena, struct yaml_node);
    if (!map)
        return diag_error(diag, NOWHERE, "out of memory");
    map->kind = YAML_MAP;
    map->where = (struct source_location){"--set", 0, 0};
    for (size_t i = 0; i < settings->count; i++) {
        const char *equals = strchr(settings->items[i], '=');
        char *key = arena_strndup(arena, settings->items[i], (size_t)(equals - settings->items[i]));
        if (!key || !yaml_set(arena, diag, map, key, equals + 1, map->where))
            return false;
    }
    struct reader reader = {arena, diag};
    *site = site_default;
    return settings->count == 0 || schema_read(&reader, &site_schema, map, "site", site);
}

/* "MECHANISM.PARAMETER=value" as the parameter it sets, when it is about the mechanism; key NULL: it is not,
 * or memory ran out (*failed). */
static struct setting parameter_set(struct arena *arena, const char *mechanism, const char *text,
                                    bool *failed)
{
    size_t length = strlen(mechanism);
    if (strncmp(text, mechanism, length) != 0 || text[length] != '.')
        return (struct setting){NULL, NULL};
    const char *key_text = text + length + 1, *equals = strchr(key_text, '=');
    struct yaml_node *node = ARENA_NEW(arena, struct yaml_node);
    char *key = arena_strndup(arena, key_text, (size_t)(equals - key_text));
    if (!node || !key) {
        *failed = true;
        return (struct setting){NULL, NULL};
    }
    *node = (struct yaml_node){.kind = YAML_SCALAR,
                               .where = {"--set", 0, 0},
                               .key_where = {"--set", 0, 0},
                               .scalar = equals + 1,
                               .key = key};
    return (struct setting){key, node};
}

/* The use with its parameters replaced by, or added from, the settings about it. */
static bool use_set(struct arena *arena, struct mechanism_use *use, const struct string_list *settings,
                    bool *used)
{
    size_t count = use->parameter_count;
    struct setting *parameters = ARENA_ARRAY(arena, struct setting, count + settings->count + 1);
    if (!parameters)
        return false;
    if (count > 0)
        memcpy(parameters, use->parameters, count * sizeof *parameters);
    bool failed = false;
    for (size_t s = 0; s < settings->count; s++) {
        struct setting setting = parameter_set(arena, use->name, settings->items[s], &failed);
        if (!setting.key)
            continue;
        size_t at = 0;
        while (at < count && strcmp(parameters[at].key, setting.key) != 0)
            at++;
        parameters[at] = setting;
        count += at == count;
        used[s] = true;
    }
    use->parameters = parameters;
    use->parameter_count = count;
    return !failed;
}

struct technique *technique_set(struct arena *arena, const struct technique *technique,
                                const struct string_list *settings, bool *used)
{
    struct technique *copy = ARENA_NEW(arena, struct technique);
    struct mechanism_use *uses = ARENA_ARRAY(arena, struct mechanism_use, technique->use_count + 1);
    if (!copy || !uses)
        return NULL;
    *copy = *technique;
    copy->uses = uses;
    for (size_t u = 0; u < technique->use_count; u++) {
        uses[u] = technique->uses[u];
        if (!use_set(arena, &uses[u], settings, used))
            return NULL;
    }
    return copy;
}

/* Why a setting found nothing to set: its mechanism is not in the stack, or its scope is no scope. */
static bool refuse_unused(struct diag *diag, const char *setting)
{
    enum { NAMES_MOST = SCOPE_COUNT + 64 };
    char scope[64] = "";
    size_t length = (size_t)(strchr(setting, '.') - setting), count = 0;
    if (length < sizeof scope)
        memcpy(scope, setting, length);
    if (mechanism_find(scope))
        return diag_error(diag, NOWHERE, "--set %s: no technique of the stack uses %s; add one by --with",
                          setting, scope);
    const char *names[NAMES_MOST];
    for (; count < SCOPE_COUNT; count++)
        names[count] = scopes[count];
    for (size_t m = 0; m < mechanism_count && count < NAMES_MOST; m++)
        names[count++] = mechanisms[m]->name;
    const char *nearest = suggest_nearest(scope, names, count);
    return diag_error(diag, NOWHERE, "--set %s: unknown scope \"%s\"%s%s%s", setting, scope,
                      nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

bool settings_check_used(struct diag *diag, const struct string_list *settings, const bool *used)
{
    for (size_t i = 0; i < settings->count; i++)
        if (!used[i])
            return refuse_unused(diag, settings->items[i]);
    return true;
}
