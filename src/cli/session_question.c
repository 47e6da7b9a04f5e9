#include "cli/session.h"

/* The values of a repeatable option as a list. */
static bool list_of(struct session *session, enum option_id id, struct string_list *list)
{
    size_t count = session->options.counts[id];
    *list = (struct string_list){ARENA_ARRAY(session->arena, const char *, count + 1), count};
    if (list->items == NULL)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < count; i++)
        list->items[i] = session->options.values[id][i].text;
    return true;
}

static int degree(const struct options *options, enum option_id id)
{
    return (int)option_number(options, id);
}

bool session_question(struct session *session, struct question *question)
{
    const struct options *options = &session->options;
    *question = (struct question){
        .model = option_text(options, OPTION_MODEL),
        .device = option_text(options, OPTION_DEVICE),
        .software = option_text(options, OPTION_SOFTWARE),
        .workload = option_text(options, OPTION_WORKLOAD),
        .devices = degree(options, OPTION_DEVICES),
        .threads = degree(options, OPTION_THREADS),
        .parallel = {.tp = degree(options, OPTION_TP),
                     .pp = degree(options, OPTION_PP),
                     .ep = degree(options, OPTION_EP),
                     .dp = degree(options, OPTION_DP),
                     .sp = option_given(options, OPTION_SP),
                     .micro_batches = degree(options, OPTION_MICRO_BATCHES),
                     .expert_skew = option_number(options, OPTION_EXPERT_SKEW)},
        .batch = option_number(options, OPTION_BATCH),
        .prompt = option_number(options, OPTION_PROMPT),
        .output = option_number(options, OPTION_OUTPUT),
        .weights = option_text(options, OPTION_WEIGHTS),
        .activations = option_text(options, OPTION_ACTIVATIONS),
        .kv = option_text(options, OPTION_KV),
        .no_residency = option_given(options, OPTION_NO_RESIDENCY),
    };
    return list_of(session, OPTION_WITH, &question->techniques) &&
           list_of(session, OPTION_SET, &question->settings);
}

struct result *session_estimate(struct session *session, const struct question *question)
{
    struct resolved *resolved = ARENA_NEW(session->arena, struct resolved);
    struct result *result = ARENA_NEW(session->arena, struct result);
    if (resolved == NULL || result == NULL) {
        diag_error(&session->diag, NOWHERE, "out of memory");
        return NULL;
    }
    if (!question_resolve(resolved, session->arena, &session->diag, &session->catalogue, question))
        return NULL;
    return result_make(result, resolved, &session->diag) ? result : NULL;
}

const struct fitting *session_fitting(struct session *session, const struct result *result)
{
    struct fitting *fitting = ARENA_NEW(session->arena, struct fitting);
    struct diag quiet = {.arena = session->arena}; /* the answer stands without it */
    if (fitting == NULL || result->answer.memory.fits)
        return NULL;
    return question_fitting(result->resolved, &quiet, &session->catalogue, fitting) ? fitting : NULL;
}
