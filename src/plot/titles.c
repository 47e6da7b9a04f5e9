#include "plot/titles.h"

#include <math.h>
#include <string.h>

/* In the order of a title, then of a subtitle. */
enum fact {
    FACT_MODEL,
    FACT_DEVICE,
    FACT_SOFTWARE,
    FACT_WORKLOAD,
    FACT_BATCH,
    FACT_PROMPT,
    FACT_OUTPUT,
    FACT_WEIGHTS,
    FACT_ACTIVATIONS,
    FACT_KV,
    FACT_PARALLEL,
    FACT_TECHNIQUES,
    FACT_COUNT,
    FACT_FIRST_OF_SUBTITLE = FACT_BATCH
};

struct facts {
    const char *texts[FACT_COUNT]; /* "" where there is none */
};

const char *titles_join(struct arena *arena, const char *left, const char *right, const char *separator)
{
    if (!right || !*right)
        return left ? left : "";
    if (!left || !*left)
        return right;
    const char *joined = arena_printf(arena, "%s%s%s", left, separator, right);
    return joined ? joined : left;
}

const struct plan *titles_plan(const struct resolved *resolved)
{
    const struct deployment *deployment = &resolved->deployment;
    if (deployment->pool_count < 1 || deployment->pools[0].plan_count < 1)
        return NULL;
    const struct plan *plan = deployment->pools[0].plans[0];
    return plan && plan->target.device ? plan : NULL;
}

static const char *first_of(const char *a, const char *b, const char *otherwise)
{
    return a && *a ? a : b && *b ? b : otherwise;
}

static const char *device_words(struct arena *arena, const struct resolved *resolved, const struct plan *plan,
                                int devices)
{
    const struct device *device = plan->target.device;
    const struct system *system = resolved->system;
    bool mixed = system && system->member_count > 1 && system->name;
    const char *name = first_of(device->name, device->id, "device");
    if (mixed)
        return system->name;
    return devices > 1 ? arena_printf(arena, "%d × %s", devices, name) : name;
}

static const char *software_words(struct arena *arena, const struct question *asked, const struct plan *plan)
{
    const struct software *software = plan->software;
    const char *name = first_of(software ? software->name : NULL, asked->software, "");
    const char *version = software && software->name ? software->version : NULL;
    return version && !strstr(name, version) ? titles_join(arena, name, version, " ") : name;
}

static const char *type_words(struct arena *arena, const char *type, const char *of)
{
    return type && *type ? arena_printf(arena, "%s %s", type, of) : "";
}

static const char *parallel_words(struct arena *arena, const struct plan *plan)
{
    const struct {
        const char *name;
        int degree;
    } degrees[] = {{"TP", plan->parallel.tp},
                   {"PP", plan->parallel.pp},
                   {"EP", plan->parallel.ep},
                   {"DP", plan->parallel.dp}};
    const char *words = "";
    for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++)
        if (degrees[i].degree > 1)
            words = titles_join(arena, words,
                                arena_printf(arena, "%s %d", degrees[i].name, degrees[i].degree), " ");
    if (plan->parallel.micro_batches > 0)
        words = titles_join(arena, words,
                            arena_printf(arena, "%d micro-batches", plan->parallel.micro_batches), " ");
    if (plan->parallel.expert_skew > 0)
        words = titles_join(arena, words, arena_printf(arena, "skew %g", plan->parallel.expert_skew), " ");
    return words;
}

static const char *technique_words(struct arena *arena, const struct string_list *techniques)
{
    const char *words = "";
    for (size_t i = 0; i < techniques->count; i++)
        words = titles_join(arena, words, techniques->items[i], " + ");
    return words;
}

static double mean_prompt(const struct request *request)
{
    double sum = 0;
    for (int i = 0; i < request->strata && i < STRATA_MOST; i++)
        sum += request->prompt[i] / request->strata;
    return sum;
}

static const char *count_words(struct arena *arena, const char *format, double value)
{
    return isfinite(value) && value > 0 ? arena_printf(arena, format, value) : "";
}

static void gather_facts(struct facts *facts, struct arena *arena, const struct resolved *resolved,
                         int devices, int without)
{
    const struct plan *plan = titles_plan(resolved);
    const struct question *asked = &resolved->question;
    const struct request *request = &resolved->request;
    *facts = (struct facts){{
        [FACT_MODEL] = first_of(plan->model ? plan->model->name : NULL, asked->model, ""),
        [FACT_DEVICE] = device_words(arena, resolved, plan, devices),
        [FACT_SOFTWARE] = software_words(arena, asked, plan),
        [FACT_WORKLOAD] = first_of(resolved->workload.name, asked->workload, ""),
        [FACT_BATCH] = without & TITLES_NO_BATCH ? "" : count_words(arena, "batch %.6g", request->batch),
        [FACT_PROMPT] = count_words(arena, "%.0f tokens in", mean_prompt(request)),
        [FACT_OUTPUT] = count_words(arena, "%.0f out", request->output),
        [FACT_WEIGHTS] = type_words(arena, plan->graph.types.weights.name, "weights"),
        [FACT_ACTIVATIONS] = type_words(arena, asked->activations, "activations"),
        [FACT_KV] = type_words(arena, plan->graph.types.kv.name, "KV"),
        [FACT_PARALLEL] = without & TITLES_NO_SPLIT ? "" : parallel_words(arena, plan),
        [FACT_TECHNIQUES] = technique_words(arena, &asked->techniques),
    }};
    for (int i = 0; i < FACT_COUNT; i++)
        facts->texts[i] = facts->texts[i] ? facts->texts[i] : "";
}

/* "plain": the one without the techniques that the others have. */
static const char *name_of(struct arena *arena, const struct facts *facts, const bool differs[FACT_COUNT])
{
    const char *name = "";
    for (int i = 0; i < FACT_COUNT; i++)
        if (differs[i])
            name = titles_join(arena, name, facts->texts[i], ", ");
    return *name ? name : differs[FACT_TECHNIQUES] ? "plain" : facts->texts[FACT_DEVICE];
}

/* What belongs together is joined by commas. */
static const char *separator_before(int fact)
{
    bool goes_on = fact == FACT_PROMPT || fact == FACT_OUTPUT || fact == FACT_ACTIVATIONS || fact == FACT_KV;
    return goes_on ? ", " : " · ";
}

static const char *common(struct arena *arena, const struct facts *facts, const bool differs[FACT_COUNT],
                          int from, int to)
{
    const char *words = "";
    for (int i = from; i < to; i++)
        if (!differs[i])
            words = titles_join(arena, words, facts->texts[i], separator_before(i));
    return words;
}

bool titles_write(struct titles *titles, struct arena *arena, struct diag *diag,
                  const struct resolved *const *resolved, const int *devices, size_t count, int without)
{
    struct facts *facts = ARENA_ARRAY(arena, struct facts, count + 1);
    bool differs[FACT_COUNT] = {false};
    *titles = (struct titles){"", "", ARENA_ARRAY(arena, const char *, count + 1)};
    if (!facts || !titles->names)
        return diag_error(diag, NOWHERE, "out of memory");
    if (count == 0)
        return diag_error(diag, NOWHERE, "no chart of no estimates");
    for (size_t i = 0; i < count; i++) {
        const struct plan *plan = titles_plan(resolved[i]);
        if (!plan)
            return diag_error(diag, NOWHERE, "no chart: the estimate has no plan or no device");
        gather_facts(&facts[i], arena, resolved[i], devices ? devices[i] : plan->ranks, without);
        for (int f = 0; f < FACT_COUNT; f++)
            differs[f] |= strcmp(facts[0].texts[f], facts[i].texts[f]) != 0;
    }
    for (size_t i = 0; i < count; i++)
        titles->names[i] = name_of(arena, &facts[i], differs);
    titles->title = common(arena, &facts[0], differs, 0, FACT_FIRST_OF_SUBTITLE);
    titles->subtitle = common(arena, &facts[0], differs, FACT_FIRST_OF_SUBTITLE, FACT_COUNT);
    return true;
}
