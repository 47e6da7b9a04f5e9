#include "report/diff.h"

#include "report/human.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What was asked; everything else was answered. */
static const char *const input_keys[] = {"model", "device",   "devices",    "software", "parallel",
                                         "types", "workload", "techniques", "settings", "residency"};
static const char *const figure_keys[] = {"ttft_s",
                                          "tpot_s",
                                          "latency_s",
                                          "throughput_tokens_per_s",
                                          "throughput_tokens_per_s_per_device",
                                          "energy_j",
                                          "power_w",
                                          "requests_per_s",
                                          "energy_j_per_output_token",
                                          "cost_usd",
                                          "cost_usd_per_million_output_tokens",
                                          "carbon_kg"};
static const char *const memory_keys[] = {"weights_bytes",  "kv_bytes",    "activation_bytes",
                                          "reserved_bytes", "total_bytes", "capacity_bytes"};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const char *diff_check(const json_t *document)
{
    static const char *const objects[] = {"parallel", "types", "workload", "memory", "prefill", "decode"};
    if (!json_is_integer(json_object_get(document, "schema_version")))
        return "schema_version";
    if (!json_is_string(json_object_get(document, "model")))
        return "model";
    if (!json_is_number(json_object_get(document, "ttft_s")))
        return "ttft_s";
    for (size_t i = 0; i < COUNT_OF(objects); i++)
        if (!json_is_object(json_object_get(document, objects[i])))
            return objects[i];
    return NULL;
}

/* A value on one line, for people. */
static const char *value_words(struct arena *arena, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return "-";
    if (json_is_string(value))
        return arena_strdup(arena, json_string_value(value));
    if (json_is_number(value))
        return human(arena, HUMAN_NUMBER, json_number_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    if (json_is_array(value) && json_array_size(value) == 0)
        return "none";
    const char *words = "";
    for (size_t i = 0; i < json_array_size(value) && i < 16 && words != NULL; i++)
        words = arena_printf(arena, "%s%s%s", words, i > 0 ? ", " : "",
                             value_words(arena, json_array_get(value, i)));
    return json_is_array(value) ? words : "{...}";
}

/* What is left of rounding when the same sum is taken in another order is no change. */
static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

static double number_of(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

struct making {
    struct diff *diff;
    struct arena *arena;
};

static void add(struct making *making, struct change change)
{
    struct diff *diff = making->diff;
    if (diff->count == CHANGES_MOST)
        return;
    diff->list[diff->count++] = change;
    size_t *counts[] = {&diff->inputs, &diff->figures, &diff->operators};
    (*counts[change.kind])++;
}

static void add_input(struct making *making, const char *name, const json_t *before, const json_t *after)
{
    if (before == after || (before != NULL && after != NULL && json_equal((json_t *)before, (json_t *)after)))
        return;
    add(making, (struct change){.kind = DIFF_INPUT,
                                .name = arena_strdup(making->arena, name),
                                .before = value_words(making->arena, before),
                                .after = value_words(making->arena, after),
                                .from = (double)NAN,
                                .to = (double)NAN});
}

/* Keys of both sides, those of `before` first. */
static void add_inputs_within(struct making *making, const char *outer, const json_t *before,
                              const json_t *after)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)before, key, value)
    {
        add_input(making, arena_printf(making->arena, "%s.%.60s", outer, key), value,
                  json_object_get(after, key));
    }
    json_object_foreach((json_t *)after, key, value)
    {
        if (json_object_get(before, key) == NULL)
            add_input(making, arena_printf(making->arena, "%s.%.60s", outer, key), NULL, value);
    }
}

static void add_inputs(struct making *making, const json_t *before, const json_t *after)
{
    for (size_t i = 0; i < COUNT_OF(input_keys); i++) {
        const json_t *a = json_object_get(before, input_keys[i]), *b = json_object_get(after, input_keys[i]);
        if (json_is_object(a) && json_is_object(b))
            add_inputs_within(making, input_keys[i], a, b);
        else
            add_input(making, input_keys[i], a, b);
    }
}

static enum human_kind kind_of(const char *key)
{
    static const struct {
        const char *part;
        enum human_kind kind;
    } kinds[] = {{"requests_per_s", HUMAN_PER_SECOND},
                 {"tokens_per_s", HUMAN_TOKENS_PER_SECOND},
                 {"bytes", HUMAN_BYTES},
                 {"usd", HUMAN_USD},
                 {"energy", HUMAN_JOULES},
                 {"power", HUMAN_WATTS},
                 {"carbon", HUMAN_KILOGRAMS}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strstr(key, kinds[i].part) != NULL)
            return kinds[i].kind;
    return HUMAN_SECONDS;
}

static void add_figure(struct making *making, const char *name, const json_t *before, const json_t *after)
{
    double from = number_of(before), to = number_of(after);
    if (same_number(from, to)) {
        making->diff->same++;
        return;
    }
    add(making, (struct change){.kind = DIFF_FIGURE,
                                .name = name,
                                .from = from,
                                .to = to,
                                .before = human(making->arena, kind_of(name), from),
                                .after = human(making->arena, kind_of(name), to)});
}

static void add_figures(struct making *making, const json_t *before, const json_t *after)
{
    const json_t *memory = json_object_get(before, "memory"), *other = json_object_get(after, "memory");
    for (size_t i = 0; i < COUNT_OF(figure_keys); i++)
        add_figure(making, figure_keys[i], json_object_get(before, figure_keys[i]),
                   json_object_get(after, figure_keys[i]));
    for (size_t i = 0; i < COUNT_OF(memory_keys); i++)
        add_figure(making, arena_printf(making->arena, "memory.%s", memory_keys[i]),
                   json_object_get(memory, memory_keys[i]), json_object_get(other, memory_keys[i]));
}

enum { OPS_READ_MOST = 4096 }; /* a document has some hundred; a hostile one is cut */

/* Exposed seconds of the operator in the phase, all of that name together; 0: it is not there. */
static double op_time(const json_t *phase, const char *name)
{
    const json_t *ops = json_object_get(phase, "ops");
    double time = 0.0;
    for (size_t i = 0; i < json_array_size(ops) && i < OPS_READ_MOST; i++) {
        const json_t *op = json_array_get(ops, i);
        const char *other = json_string_value(json_object_get(op, "name"));
        double exposed = number_of(json_object_get(op, "exposed_s"));
        if (other != NULL && strcmp(other, name) == 0 && !isnan(exposed))
            time += exposed;
    }
    return time;
}

static bool is_listed(const struct diff *diff, const char *name)
{
    for (size_t i = 0; i < diff->count; i++)
        if (diff->list[i].kind == DIFF_OPERATOR && strcmp(diff->list[i].name, name) == 0)
            return true;
    return false;
}

/* Operators that `one` lists, with their times in both. A document has some hundred; a hostile one is cut. */
static void add_operators(struct making *making, const char *phase, const json_t *one, const json_t *before,
                          const json_t *after)
{
    enum { OPS_MOST = 256 };
    const json_t *ops = json_object_get(one, "ops");
    for (size_t i = 0; i < json_array_size(ops) && i < OPS_MOST; i++) {
        const char *op = json_string_value(json_object_get(json_array_get(ops, i), "name"));
        const char *name = op != NULL ? arena_printf(making->arena, "%.60s.%.80s", phase, op) : NULL;
        if (name == NULL || is_listed(making->diff, name))
            continue;
        double from = op_time(before, op), to = op_time(after, op);
        if (!same_number(from, to))
            add(making, (struct change){.kind = DIFF_OPERATOR,
                                        .name = name,
                                        .from = from,
                                        .to = to,
                                        .before = human(making->arena, HUMAN_SECONDS, from),
                                        .after = human(making->arena, HUMAN_SECONDS, to)});
    }
}

/* A phase is an object with a list of operators. */
static void add_phases(struct making *making, const json_t *one, const json_t *before, const json_t *after)
{
    enum { PHASES_MOST = 16 };
    int phases = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)one, key, value)
    {
        if (json_is_array(json_object_get(value, "ops")) && phases++ < PHASES_MOST)
            add_operators(making, key, value, json_object_get(before, key), json_object_get(after, key));
    }
}

static int by_change(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    double left = fabs(x->to - x->from), right = fabs(y->to - y->from);
    return (left < right) - (left > right);
}

bool diff_make(struct diff *diff, struct arena *arena, const json_t *before, const json_t *after)
{
    struct making making = {diff, arena};
    diff->list = ARENA_ARRAY(arena, struct change, CHANGES_MOST);
    diff->count = diff->inputs = diff->figures = diff->operators = diff->same = 0;
    if (diff->list == NULL)
        return false;
    add_inputs(&making, before, after);
    add_figures(&making, before, after);
    add_phases(&making, before, before, after);
    add_phases(&making, after, before, after);
    qsort(diff->list + diff->inputs + diff->figures, diff->operators, sizeof *diff->list, by_change);
    return true;
}
