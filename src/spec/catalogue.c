/* Descriptions by name: read and checked. */
#include "spec/catalogue_cache.h"
#include "spec/catalogue_private.h"

#include <math.h>
#include <string.h>

/* The tree that a typed reader takes: not abstract, settings laid over. */
static bool describe(struct catalogue *catalogue, struct diag *diag, enum catalogue_kind kind,
                     const char *name, const struct string_list *settings, struct description *description)
{
    if (!catalogue_describe(catalogue, diag, kind, name, NOWHERE, description))
        return false;
    if (description->abstract)
        return diag_error(diag, (struct source_location){description->path, 0, 0},
                          "%s is abstract: only to be extended by others", description->id);
    return catalogue_set(catalogue->arena, diag, description->tree, settings);
}

static bool is_system(const struct description *description)
{
    return yaml_get(description->tree, "members") != NULL;
}

static const struct device *read_device(struct catalogue *catalogue, struct diag *diag,
                                        const struct description *description)
{
    struct reader reader = {catalogue->arena, diag};
    struct device *device = ARENA_NEW(catalogue->arena, struct device);
    if (device == NULL) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    return device_read(&reader, description->tree, description->id, device) ? device : NULL;
}

static const void *load_device(struct catalogue *catalogue, struct diag *diag, const struct lookup *lookup)
{
    struct description description;
    if (!describe(catalogue, diag, CATALOGUE_HARDWARE, lookup->name, lookup->settings, &description))
        return NULL;
    if (is_system(&description)) {
        diag_error(diag, (struct source_location){description.path, 0, 0},
                   "%s is a system, expected a device", description.id);
        return NULL;
    }
    return read_device(catalogue, diag, &description);
}

static const char *class_role(int class)
{
    static const char *const roles[] = {"gpu", "host", "npu", "tpu", "pim", "wafer", "fpga", "ssd"};
    return roles[class];
}

/* `count` of one device, joined by its own links. */
static const struct system *system_of(struct catalogue *catalogue, struct diag *diag,
                                      const struct device *device, int count)
{
    struct system *system = ARENA_NEW(catalogue->arena, struct system);
    struct system_member *member = ARENA_NEW(catalogue->arena, struct system_member);
    if (system == NULL || member == NULL) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    *member = (struct system_member){
        .role = class_role(device->class),
        .device_name = device->id,
        .count = count > 0 ? count : 1,
        .device = device,
        .where = device->where,
    };
    *system = (struct system){
        .id = device->id,
        .name = device->name,
        .members = member,
        .member_count = 1,
        .where = device->where,
    };
    return system;
}

/* Whether the first part of a setting's path is this word. */
static bool starts_with(const char *setting, const char *word)
{
    size_t length = strlen(word);
    return strncmp(setting, word, length) == 0 && (setting[length] == '.' || setting[length] == '=');
}

static bool is_system_key(const char *setting)
{
    for (size_t i = 0; i < system_schema.count; i++)
        if (starts_with(setting, system_schema.fields[i].key))
            return true;
    return false;
}

/* Which member a setting is for: the role in front of its path, else the first one. *setting moves behind the
 * role. */
static size_t member_of_setting(const struct yaml_node *members, const char **setting)
{
    size_t index = 0;
    for (const struct yaml_node *item = members->first; item != NULL; item = item->next, index++) {
        const struct yaml_node *role = yaml_get(item, "role");
        if (role == NULL || role->kind != YAML_SCALAR || !starts_with(*setting, role->scalar))
            continue;
        const char *rest = *setting + strlen(role->scalar);
        if (*rest != '.')
            continue;
        *setting = rest + 1;
        return index;
    }
    return 0;
}

/* The settings of `all` that are for the system itself (member -1) or for one member's device. */
static bool settings_for(struct arena *arena, const struct yaml_node *tree, const struct string_list *all,
                         int member, struct string_list *chosen)
{
    const struct yaml_node *members = yaml_get(tree, "members");
    size_t count = all == NULL ? 0 : all->count;
    *chosen = (struct string_list){ARENA_ARRAY(arena, const char *, count + 1), 0};
    if (chosen->items == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *setting = all->items[i];
        int owner = is_system_key(setting) ? -1 : (int)member_of_setting(members, &setting);
        if (owner == member)
            chosen->items[chosen->count++] = setting;
    }
    return true;
}

static bool load_member(struct catalogue *catalogue, struct diag *diag, const struct yaml_node *tree,
                        const struct string_list *settings, size_t index, struct system_member *member)
{
    struct string_list own;
    if (!settings_for(catalogue->arena, tree, settings, (int)index, &own))
        return diag_error(diag, NOWHERE, "out of memory");
    struct description description;
    if (!catalogue_describe(catalogue, diag, CATALOGUE_HARDWARE, member->device_name, member->where,
                            &description) ||
        !catalogue_set(catalogue->arena, diag, description.tree, &own))
        return false;
    if (description.abstract || is_system(&description))
        return diag_error(diag, member->where, "members: %s is %s, expected a device", description.id,
                          description.abstract ? "abstract" : "a system");
    member->device = read_device(catalogue, diag, &description);
    return member->device != NULL;
}

/* Another count of the first member: rent and extra power are of the whole, so they follow it. */
static void resize(struct system *system, int count)
{
    struct system_member *first = &system->members[0];
    double scale = (double)count / first->count;
    first->count = count;
    system->extra_power *= scale;
    system->usd_per_hour *= scale;
}

static const struct system *read_system(struct catalogue *catalogue, struct diag *diag,
                                        const struct description *description, int count,
                                        const struct string_list *settings)
{
    struct reader reader = {catalogue->arena, diag};
    struct system *system = ARENA_NEW(catalogue->arena, struct system);
    struct string_list own;
    if (system == NULL || !settings_for(catalogue->arena, description->tree, settings, -1, &own)) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    catalogue_take(description->tree, "extends");
    if (!catalogue_set(catalogue->arena, diag, description->tree, &own) ||
        !system_read(&reader, description->tree, description->id, system))
        return NULL;
    for (size_t i = 0; i < system->member_count; i++)
        if (!load_member(catalogue, diag, description->tree, settings, i, &system->members[i]))
            return NULL;
    if (count > 0)
        resize(system, count);
    return system;
}

static const void *load_system(struct catalogue *catalogue, struct diag *diag, const struct lookup *lookup)
{
    struct description description;
    if (!describe(catalogue, diag, CATALOGUE_HARDWARE, lookup->name, NULL, &description))
        return NULL;
    if (is_system(&description))
        return read_system(catalogue, diag, &description, lookup->count, lookup->settings);
    if (!catalogue_set(catalogue->arena, diag, description.tree, lookup->settings))
        return NULL;
    const struct device *device = read_device(catalogue, diag, &description);
    return device == NULL ? NULL : system_of(catalogue, diag, device, lookup->count);
}

/* The loaders of the other kinds differ in their types alone. */
#define DEFINE_LOAD(type, kind)                                                                              \
    static const void *load_##type(struct catalogue *catalogue, struct diag *diag,                           \
                                   const struct lookup *lookup)                                              \
    {                                                                                                        \
        struct description description;                                                                      \
        if (!describe(catalogue, diag, kind, lookup->name, lookup->settings, &description))                  \
            return NULL;                                                                                     \
        struct reader reader = {catalogue->arena, diag};                                                     \
        struct type *read = ARENA_NEW(catalogue->arena, struct type);                                        \
        if (read == NULL)                                                                                    \
            diag_error(diag, NOWHERE, "out of memory");                                                      \
        if (read == NULL || !type##_read(&reader, description.tree, description.id, read))                   \
            return NULL;                                                                                     \
        return read;                                                                                         \
    }

DEFINE_LOAD(software, CATALOGUE_SOFTWARE)
DEFINE_LOAD(model, CATALOGUE_MODELS)
DEFINE_LOAD(workload, CATALOGUE_WORKLOADS)
DEFINE_LOAD(technique, CATALOGUE_TECHNIQUES)

const struct device *catalogue_device(struct catalogue *catalogue, struct diag *diag, const char *name,
                                      const struct string_list *settings)
{
    struct lookup lookup = {.kind = CATALOGUE_HARDWARE, .name = name, .settings = settings};
    return catalogue_cached(catalogue, diag, &lookup, load_device);
}

enum { DEVICES_MOST = 1000000 };

const struct system *catalogue_system(struct catalogue *catalogue, struct diag *diag, const char *name,
                                      int count, const struct string_list *settings)
{
    struct lookup lookup = {CATALOGUE_HARDWARE, true, name, count, settings};
    if (count < 0 || count > DEVICES_MOST) {
        diag_error(diag, NOWHERE, "devices: found %d, expected 1 to %d", count, DEVICES_MOST);
        return NULL;
    }
    return catalogue_cached(catalogue, diag, &lookup, load_system);
}

const struct software *catalogue_software(struct catalogue *catalogue, struct diag *diag, const char *name,
                                          const struct string_list *settings)
{
    struct lookup lookup = {.kind = CATALOGUE_SOFTWARE, .name = name, .settings = settings};
    return catalogue_cached(catalogue, diag, &lookup, load_software);
}

const struct model *catalogue_model(struct catalogue *catalogue, struct diag *diag, const char *name,
                                    const struct string_list *settings)
{
    struct lookup lookup = {.kind = CATALOGUE_MODELS, .name = name, .settings = settings};
    return catalogue_cached(catalogue, diag, &lookup, load_model);
}

const struct workload *catalogue_workload(struct catalogue *catalogue, struct diag *diag, const char *name,
                                          const struct string_list *settings)
{
    struct lookup lookup = {.kind = CATALOGUE_WORKLOADS, .name = name, .settings = settings};
    return catalogue_cached(catalogue, diag, &lookup, load_workload);
}

const struct technique *catalogue_technique(struct catalogue *catalogue, struct diag *diag, const char *name)
{
    struct lookup lookup = {.kind = CATALOGUE_TECHNIQUES, .name = name};
    return catalogue_cached(catalogue, diag, &lookup, load_technique);
}
