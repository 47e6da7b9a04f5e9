#include "analyse/claim_query.h"

#include "base/suggest.h"

#include <stddef.h>
#include <string.h>

enum option_kind { KIND_TEXT, KIND_COUNT, KIND_TOKENS, KIND_NUMBER, KIND_SWITCH, KIND_LIST };

struct query_key {
    const char *name;
    enum option_kind kind;
    size_t offset; /* in struct question */
};

/* The options of `rafter estimate` that put a question. */
static const struct query_key keys[] = {
    {"model", KIND_TEXT, offsetof(struct question, model)},
    {"device", KIND_TEXT, offsetof(struct question, device)},
    {"software", KIND_TEXT, offsetof(struct question, software)},
    {"workload", KIND_TEXT, offsetof(struct question, workload)},
    {"devices", KIND_COUNT, offsetof(struct question, devices)},
    {"threads", KIND_COUNT, offsetof(struct question, threads)},
    {"tp", KIND_COUNT, offsetof(struct question, parallel.tp)},
    {"pp", KIND_COUNT, offsetof(struct question, parallel.pp)},
    {"ep", KIND_COUNT, offsetof(struct question, parallel.ep)},
    {"dp", KIND_COUNT, offsetof(struct question, parallel.dp)},
    {"sp", KIND_SWITCH, offsetof(struct question, parallel.sp)},
    {"micro-batches", KIND_COUNT, offsetof(struct question, parallel.micro_batches)},
    {"expert-skew", KIND_NUMBER, offsetof(struct question, parallel.expert_skew)},
    {"batch", KIND_TOKENS, offsetof(struct question, batch)},
    {"prompt", KIND_TOKENS, offsetof(struct question, prompt)},
    {"output", KIND_TOKENS, offsetof(struct question, output)},
    {"weights", KIND_TEXT, offsetof(struct question, weights)},
    {"activations", KIND_TEXT, offsetof(struct question, activations)},
    {"kv", KIND_TEXT, offsetof(struct question, kv)},
    {"with", KIND_LIST, offsetof(struct question, techniques)},
    {"set", KIND_LIST, offsetof(struct question, settings)},
    {"no-residency", KIND_SWITCH, offsetof(struct question, no_residency)},
};
enum { KEYS = sizeof keys / sizeof keys[0] };

static const struct query_key *find_key(struct diag *diag, const struct query_option *option)
{
    const char *names[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        names[i] = keys[i].name;
        if (strcmp(names[i], option->key) == 0)
            return &keys[i];
    }
    const char *nearest = suggest_nearest(option->key, names, KEYS);
    diag_error(diag, option->where, "query: found \"%.80s\", which is no option of a question%s%s%s",
               option->key, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return NULL;
}

static bool is_axis(const struct query_option *option)
{
    return option->values.count > 1 && strcmp(option->key, "with") != 0 && strcmp(option->key, "set") != 0;
}

size_t query_points(struct diag *diag, const struct claim_query *query)
{
    size_t points = 1;
    for (size_t i = 0; i < query->count; i++) {
        const struct query_option *option = &query->options[i];
        if (!is_axis(option))
            continue;
        if (query->zip && points > 1 && option->values.count != points) {
            diag_error(diag, option->where, "%s: found %zu values, expected %zu as the zipped axes before it",
                       option->key, option->values.count, points);
            return 0;
        }
        points = query->zip ? option->values.count : points * option->values.count;
        if (points > GRID_MOST) {
            diag_error(diag, option->where, "%s: the grid has more than %d points", option->key, GRID_MOST);
            return 0;
        }
    }
    return points;
}

/* Which of the axis's values the point has: the last axis turns fastest. */
static size_t axis_index(const struct claim_query *query, size_t axis, size_t point)
{
    if (query->zip)
        return point;
    for (size_t i = query->count - 1; i > axis; i--)
        if (is_axis(&query->options[i]))
            point /= query->options[i].values.count;
    return point % query->options[axis].values.count;
}

static bool set_number(struct diag *diag, const struct query_option *option, const struct query_key *key,
                       const char *text, char *member)
{
    char error[256];
    double value;
    enum dimension dimension = key->kind == KIND_TOKENS  ? DIM_TOKENS
                               : key->kind == KIND_COUNT ? DIM_COUNT
                                                         : DIM_NONE;
    if (!quantity_parse(text, dimension, &value, error, sizeof error))
        return diag_error(diag, option->where, "%s: %s", option->key, error);
    if (key->kind != KIND_COUNT)
        *(double *)(void *)member = value;
    else if (value < 0 || value > 1e6)
        return diag_error(diag, option->where, "%s: found %s, expected 0 to 1000000", option->key, text);
    else
        *(int *)(void *)member = (int)value;
    return true;
}

static bool set_option(struct diag *diag, const struct query_option *option, size_t index,
                       struct question *question, const char **solve)
{
    const struct query_key *key = find_key(diag, option);
    if (key == NULL)
        return false;
    char *member = (char *)question + key->offset;
    const char *text = option->values.count > 0 ? option->values.items[index] : "";
    if (key->kind == KIND_LIST) {
        *(struct string_list *)(void *)member = option->values;
        return true;
    }
    if (option->values.count == 0)
        return diag_error(diag, option->where, "%s: expected a value", option->key);
    if (key->kind == KIND_TEXT)
        *(const char **)(void *)member = text;
    else if (key->kind == KIND_SWITCH)
        *(bool *)member = strcmp(text, "true") == 0;
    else if (strcmp(text, "max") == 0 &&
             (strcmp(key->name, "batch") == 0 || strcmp(key->name, "prompt") == 0))
        *solve = key->name;
    else
        return set_number(diag, option, key, text, member);
    return true;
}

/* The query's own options, as `over` has them where it does. */
static bool set_from_query(struct diag *diag, const struct claim_query *query, const struct claim_query *over,
                           size_t point, struct question *question, const char **solve)
{
    for (size_t i = 0; i < query->count; i++) {
        const struct query_option *option = &query->options[i];
        size_t index = is_axis(option) ? axis_index(query, i, point) : 0;
        const struct query_option *other = over ? query_find(over, option->key) : NULL;
        if (other == NULL && over != NULL && strcmp(option->key, "with") == 0)
            continue; /* the baseline has no techniques unless it says so */
        if (other != NULL && is_axis(other) && other->values.count != option->values.count)
            return diag_error(diag, other->where, "%s: found %zu values, expected one or the query's %zu",
                              other->key, other->values.count, option->values.count);
        if (!set_option(diag, other ? other : option, other && !is_axis(other) ? 0 : index, question, solve))
            return false;
    }
    return true;
}

/* What `over` alone has. */
static bool set_from_over(struct diag *diag, const struct claim_query *query, const struct claim_query *over,
                          struct question *question, const char **solve)
{
    for (size_t i = 0; i < over->count; i++) {
        const struct query_option *option = &over->options[i];
        if (query_find(query, option->key) != NULL)
            continue;
        if (is_axis(option))
            return diag_error(diag, option->where, "%s: an axis of the baseline alone", option->key);
        if (!set_option(diag, option, 0, question, solve))
            return false;
    }
    return true;
}

bool query_question(struct arena *arena, struct diag *diag, const struct claim_query *query,
                    const struct claim_query *over, const char *with, size_t point, struct question *question,
                    const char **solve)
{
    *question = (struct question){0};
    *solve = NULL;
    if (with) {
        const char **items = ARENA_ARRAY(arena, const char *, 1);
        if (items == NULL)
            return diag_error(diag, query->where, "out of memory");
        items[0] = with;
        question->techniques = (struct string_list){items, 1};
    }
    return set_from_query(diag, query, over, point, question, solve) &&
           (over == NULL || set_from_over(diag, query, over, question, solve));
}
