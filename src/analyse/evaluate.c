#include "analyse/evaluate.h"

#include <math.h>
#include <string.h>

/* What the first error says; its place only where that is a file. */
static const char *first_reason(const struct diag *diag)
{
    for (const struct diag_message *message = diag->first; message; message = message->next)
        if (message->severity == SEVERITY_ERROR)
            return message->where.file ? diag_line(diag, message) : message->text;
    return diag_first_error(diag);
}

/* NULL with the reason. */
static struct resolved *resolve(struct evaluator *evaluator, const struct question *question,
                                struct estimate_scratch **scratch, const char **reason)
{
    struct arena *arena = evaluator->scratch;
    if (evaluator->watch)
        evaluator->watch(evaluator->watcher, evaluator->share);
    arena_reset(arena);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue = *evaluator->catalogue;
    catalogue.arena = arena; /* of what is read for this question alone */
    struct resolved *resolved = ARENA_NEW(arena, struct resolved);
    evaluator->evaluations++;
    *reason = "out of memory";
    if (!resolved)
        return NULL;
    if (!question_resolve(resolved, arena, &diag, &catalogue, question)) {
        *reason = first_reason(&diag);
        return NULL;
    }
    *scratch = estimate_scratch_new(arena, &resolved->deployment);
    return *scratch ? resolved : NULL;
}

bool evaluate(struct evaluator *evaluator, const struct question *question, struct answer *answer,
              struct breakdown *breakdown, const char **reason)
{
    struct estimate_scratch *scratch;
    struct resolved *resolved = resolve(evaluator, question, &scratch, reason);
    if (!resolved)
        return false;
    estimate(&resolved->deployment, &resolved->request, &resolved->workload.slo, scratch, answer, breakdown);
    return true;
}

bool evaluate_whole(struct evaluator *evaluator, const struct question *question, struct evaluated *evaluated,
                    const char **reason)
{
    struct estimate_scratch *scratch;
    struct resolved *resolved = resolve(evaluator, question, &scratch, reason);
    if (!resolved)
        return false;
    evaluated->resolved = resolved;
    estimate(&resolved->deployment, &resolved->request, &resolved->workload.slo, scratch, &evaluated->answer,
             &evaluated->breakdown);
    return true;
}

const struct workload *question_workload(struct arena *arena, struct diag *diag,
                                         const struct catalogue *catalogue, const struct question *question)
{
    static const char scope[] = "workload.";
    static const struct workload unnamed = {.id = "default", .batch = 1};
    if (!question->workload)
        return &unnamed;
    const struct string_list *all = &question->settings;
    struct string_list settings = {ARENA_ARRAY(arena, const char *, all->count + 1), 0};
    struct catalogue own = *catalogue;
    own.arena = arena;
    if (!settings.items) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < all->count; i++)
        if (strncmp(all->items[i], scope, sizeof scope - 1) == 0)
            settings.items[settings.count++] = all->items[i] + sizeof scope - 1;
    return catalogue_workload(&own, diag, question->workload, &settings);
}

const char *limit_name(enum limit limit)
{
    static const char *const names[LIMIT_COUNT] = {"none",    "memory", "ttft",       "tpot",
                                                   "latency", "cost",   "throughput", "refused"};
    return names[limit];
}

/* The memory that is fullest: the device's own, or another that a technique places something in. */
static void fullest_memory(const struct memory_plan *memory, double *bytes, double *capacity)
{
    *bytes = memory->total;
    *capacity = memory->capacity;
    for (int i = 0; i < memory->elsewhere_count; i++) {
        const struct memory_elsewhere *place = &memory->elsewhere[i];
        if (place->bytes * *capacity > *bytes * place->capacity) {
            *bytes = place->bytes;
            *capacity = place->capacity;
        }
    }
}

double limit_bound(const struct limits *limits, const struct answer *answer, enum limit limit)
{
    double bytes, capacity;
    switch (limit) {
    case LIMIT_MEMORY:
        fullest_memory(&answer->memory, &bytes, &capacity);
        if (limits->memory > 0)
            capacity = fmin(limits->memory, capacity);
        return limits->any_memory ? 0 : capacity;
    case LIMIT_TTFT:
        return limits->ttft;
    case LIMIT_TPOT:
        return limits->tpot;
    case LIMIT_LATENCY:
        return limits->latency;
    case LIMIT_COST:
        return limits->usd_per_million;
    case LIMIT_THROUGHPUT:
        return limits->throughput;
    default:
        return 0;
    }
}

double limit_figure(const struct answer *answer, enum limit limit)
{
    double bytes, capacity;
    switch (limit) {
    case LIMIT_MEMORY:
        fullest_memory(&answer->memory, &bytes, &capacity);
        return bytes;
    case LIMIT_TTFT:
        return answer->ttft_s;
    case LIMIT_TPOT:
        return answer->tpot_s;
    case LIMIT_LATENCY:
        return answer->latency_s;
    case LIMIT_COST:
        return answer->cost_usd_per_million_output_tokens;
    case LIMIT_THROUGHPUT:
        return answer->throughput_tokens_per_s;
    default:
        return (double)NAN;
    }
}

double limits_strain(const struct limits *limits, const struct answer *answer, enum limit *tightest)
{
    double strain = 0;
    *tightest = LIMIT_NONE;
    for (int l = LIMIT_MEMORY; l <= LIMIT_THROUGHPUT; l++) {
        double bound = limit_bound(limits, answer, (enum limit)l),
               found = limit_figure(answer, (enum limit)l);
        /* a single token has no time between tokens to limit; that of several calls is unknown */
        bool single = l == LIMIT_TPOT && isnan(found) && answer->output_tokens <= answer->calls;
        if (!(bound > 0) || single)
            continue;
        double here = l == LIMIT_THROUGHPUT ? bound / found : found / bound;
        if (isnan(here))
            here = INFINITY;
        if (here > strain) {
            strain = here;
            *tightest = (enum limit)l;
        }
    }
    return strain;
}
