#include "validate/executor_suite.h"

#include "spec/element_type.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { TOKENS_MOST = 1 << 20 };

static bool read_int(struct reader *reader, const struct yaml_node *node, int *value)
{
    double number;
    char error[256];
    if (node->kind != YAML_SCALAR)
        return diag_error(reader->diag, node->where, "expected a count, or a list of counts");
    if (!quantity_parse(node->scalar, DIM_COUNT, &number, error, sizeof error))
        return diag_error(reader->diag, node->where, "%s", error);
    if (number < 0 || number > TOKENS_MOST || number != (double)(int)number)
        return diag_error(reader->diag, node->where, "found %.10g, expected a whole number from 0 to %d",
                          number, TOKENS_MOST);
    *value = (int)number;
    return true;
}

/* [1, 2, 4], or 1 */
static bool read_ints(struct reader *reader, const struct yaml_node *node, void *member)
{
    struct int_list *list = member;
    size_t count = node->kind == YAML_LIST ? (size_t)node->children : 1;
    *list = (struct int_list){ARENA_ARRAY(reader->arena, int, count + 1), 0};
    if (!list->items)
        return diag_error(reader->diag, node->where, "out of memory");
    const struct yaml_node *item = node->kind == YAML_LIST ? node->first : node;
    for (size_t i = 0; i < count; i++, item = item->next)
        if (!read_int(reader, item, &list->items[list->count++]))
            return false;
    return true;
}

#define NAMES(member, words)                                                                                 \
    {                                                                                                        \
        .key = #member, .kind = FIELD_STRINGS, .offset = offsetof(struct executor_group, member),            \
        .required = true, .doc = words                                                                       \
    }
#define COUNTS(member, needed, words)                                                                        \
    {                                                                                                        \
        .key = #member, .kind = FIELD_CUSTOM, .offset = offsetof(struct executor_group, member),             \
        .custom = read_ints, .required = needed, .doc = words                                                \
    }
#define ALLOWED(member, value, words)                                                                        \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct executor_suite, member),           \
        .dimension = DIM_FRACTION, .min = 1e-6, .max = 10, .fallback = value, .doc = words                   \
    }

static const struct field group_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct executor_group, name),
     .required = true,
     .doc = "what the runs have in common"},
    NAMES(models,
          "models by name, or files (with a '/' or .yaml) from the suite's folder; weights are random"),
    NAMES(weights, "types of the linear layers' weights"),
    NAMES(kv, "types of the KV cache"),
    COUNTS(prompts, true, "tokens of each prompt"),
    COUNTS(outputs, true, "tokens made behind each; 1: prefill alone"),
    COUNTS(batches, true, "sequences that run together"),
    COUNTS(chunks, false, "tokens of a prefill step at most; 0 (the default): all prompts in one step"),
    COUNTS(threads, true, "threads, one a core"),
};

static const struct schema group_schema = {.name = "group of runs",
                                           .size = sizeof(struct executor_group),
                                           .fields = group_fields,
                                           .count = COUNT_OF(group_fields),
                                           .where_offset = offsetof(struct executor_group, where)};

static const struct field suite_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct executor_suite, name),
     .required = true,
     .doc = "as people write it"},
    {.key = "repeats",
     .kind = FIELD_INT,
     .offset = offsetof(struct executor_suite, repeats),
     .min = 1,
     .max = 100,
     .fallback = "3",
     .doc = "times that each run is made; the median counts"},
    ALLOWED(noise, "8%", "a run whose probes of the memory before and after differ by more is made again"),
    ALLOWED(max_phase_mape, "10%", "mean absolute error allowed of prefill times, and of decode times"),
    ALLOWED(max_op_mape, "15%", "the same of each operator's times"),
    ALLOWED(op_share, "1%", "operators that take less of their phase are not judged"),
    {.key = "groups",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct executor_suite, groups),
     .required = true,
     .object = &group_schema,
     .doc = "the runs, each group all combinations of its lists"},
};

const struct schema executor_suite_schema = {.name = "executor suite",
                                             .size = sizeof(struct executor_suite),
                                             .fields = suite_fields,
                                             .count = COUNT_OF(suite_fields),
                                             .where_offset = offsetof(struct executor_suite, where)};

static bool at_least_one(struct diag *diag, const struct executor_group *group, const struct int_list *list,
                         const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] < 1)
            return diag_error(diag, group->where, "%s: %s: found 0, expected at least 1", group->name, name);
    return list->count > 0 || diag_error(diag, group->where, "%s: %s: the list is empty", group->name, name);
}

static bool known_types(struct diag *diag, const struct executor_group *group, const struct string_list *list,
                        const char *name)
{
    struct element_type type;
    for (size_t i = 0; i < list->count; i++)
        if (!element_type_parse(list->items[i], &type))
            return diag_error(diag, group->where, "%s: %s: unknown element type \"%.80s\"", group->name, name,
                              list->items[i]);
    return list->count > 0 || diag_error(diag, group->where, "%s: %s: the list is empty", group->name, name);
}

static bool check_group(struct arena *arena, struct diag *diag, struct executor_group *group)
{
    if (group->chunks.count == 0) {
        group->chunks = (struct int_list){ARENA_NEW(arena, int), 1};
        if (!group->chunks.items)
            return diag_error(diag, NOWHERE, "out of memory");
    }
    return (group->models.count > 0 ||
            diag_error(diag, group->where, "%s: models: the list is empty", group->name)) &&
           known_types(diag, group, &group->weights, "weights") &&
           known_types(diag, group, &group->kv, "kv") &&
           at_least_one(diag, group, &group->prompts, "prompts") &&
           at_least_one(diag, group, &group->outputs, "outputs") &&
           at_least_one(diag, group, &group->batches, "batches") &&
           at_least_one(diag, group, &group->threads, "threads");
}

const struct executor_suite *executor_suite_read(struct arena *arena, struct diag *diag, const char *path)
{
    struct executor_suite *suite = schema_read_file(arena, diag, path, &executor_suite_schema);
    if (!suite)
        return NULL;
    suite->path = path;
    struct executor_group *groups = suite->groups.items;
    bool ok = suite->groups.count > 0 || diag_error(diag, suite->where, "groups: expected at least one");
    for (size_t i = 0; i < suite->groups.count; i++)
        ok = check_group(arena, diag, &groups[i]) && ok;
    return ok ? suite : NULL;
}

/* A name as it stands; a file from the suite's folder. */
static const char *model_place(struct arena *arena, const struct executor_suite *suite, const char *model)
{
    size_t length = strlen(model);
    bool file = strchr(model, '/') != NULL || (length > 5 && strcmp(model + length - 5, ".yaml") == 0);
    const char *folder = strrchr(suite->path, '/');
    if (!file || model[0] == '/')
        return model;
    return folder ? arena_printf(arena, "%.*s/%s", (int)(folder - suite->path), suite->path, model)
                  : arena_printf(arena, "./%s", model);
}

static double group_size(const struct executor_group *group)
{
    return (double)group->models.count * (double)group->weights.count * (double)group->kv.count *
           (double)group->prompts.count * (double)group->outputs.count * (double)group->batches.count *
           (double)group->chunks.count * (double)group->threads.count;
}

/* The i-th combination: weights and models turn slowest, so that those of one model stay together. */
static struct executor_case nth(const struct executor_group *group, const char *const *places, size_t i)
{
    struct executor_case run = {.group = group};
#define TURN(list) (group->list.items[i % group->list.count])
#define NEXT(list) (i /= group->list.count)
    run.threads = TURN(threads), NEXT(threads);
    run.chunk = TURN(chunks), NEXT(chunks);
    run.output = TURN(outputs), NEXT(outputs);
    run.prompt = TURN(prompts), NEXT(prompts);
    run.batch = TURN(batches), NEXT(batches);
    run.kv = TURN(kv), NEXT(kv);
    run.weights = TURN(weights), NEXT(weights);
#undef TURN
#undef NEXT
    run.model = places[i];
    return run;
}

struct executor_case *executor_cases(const struct executor_suite *suite, struct arena *arena,
                                     struct diag *diag, size_t *count)
{
    const struct executor_group *groups = suite->groups.items;
    double total = 0;
    for (size_t g = 0; g < suite->groups.count; g++)
        total += group_size(&groups[g]);
    struct executor_case *cases =
        total <= EXECUTOR_CASES_MOST ? ARENA_ARRAY(arena, struct executor_case, (size_t)total + 1) : NULL;
    *count = 0;
    if (total > EXECUTOR_CASES_MOST) {
        diag_error(diag, suite->where, "%.0f runs; at most %d", total, EXECUTOR_CASES_MOST);
        return NULL;
    }
    for (size_t g = 0; cases && g < suite->groups.count; g++) {
        const struct executor_group *group = &groups[g];
        const char **places = ARENA_ARRAY(arena, const char *, group->models.count);
        for (size_t m = 0; places && m < group->models.count; m++)
            places[m] = model_place(arena, suite, group->models.items[m]);
        size_t runs = (size_t)group_size(group);
        for (size_t i = 0; places && i < runs; i++)
            cases[(*count)++] = nth(group, places, i);
    }
    if (!cases || *count != (size_t)total) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    return cases;
}
