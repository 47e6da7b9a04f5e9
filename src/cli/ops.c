#include "base/suggest.h"
#include "cli/commands.h"
#include "report/answer.h"
#include "report/ops.h"

#include <string.h>

/* The phase asked for, or NULL for all; false when the estimate has none of that name. */
static bool choose_phase(struct session *session, const struct breakdown *breakdown, const char **phase)
{
    const char *names[PHASES_REPORTED_MOST];
    *phase = option_text(&session->options, OPTION_PHASE);
    if (*phase == NULL)
        return true;
    for (int i = 0; i < breakdown->count; i++) {
        names[i] = breakdown->phases[i].name;
        if (strcmp(*phase, names[i]) == 0)
            return true;
    }
    const char *nearest = suggest_nearest(*phase, names, (size_t)breakdown->count);
    if (nearest != NULL)
        session_refuse(session, "--phase: there is no %.80s; did you mean %s?", *phase, nearest);
    else
        session_refuse(session, "--phase: there is no %.80s phase here", *phase);
    return false;
}

static bool is_chosen(const struct phase_cost *cost, const char *phase)
{
    return phase == NULL || strcmp(phase, cost->name) == 0;
}

static json_t *ops_json(const struct result *result, const char *phase)
{
    json_t *object = json_object(), *phases = json_object();
    const struct plan *plan = result_plan(result);
    json_object_set_new(object, "schema_version", json_integer(SCHEMA_VERSION));
    json_object_set_new(object, "model", json_text(plan->model->id));
    json_object_set_new(object, "device", json_text(result->resolved->system->id));
    json_object_set_new(object, "devices", json_integer(result->answer.devices));
    json_object_set_new(object, "software", json_text(plan->software->id));
    for (int i = 0; i < result->breakdown.count; i++) {
        const struct phase_cost *cost = &result->breakdown.phases[i];
        if (is_chosen(cost, phase))
            json_object_set_new(phases, cost->name, phase_json(cost));
    }
    json_object_set_new(object, "phases", phases);
    return object;
}

/* A table a phase, so that each stays as narrow as it can be. */
static enum exit_status put_phases(struct session *session, const struct result *result, const char *phase)
{
    bool markdown = session->format == OUTPUT_MARKDOWN;
    tone_printf(&session->out, session->colour, TONE_STRONG, "%s%s", markdown ? "## " : "",
                answer_title(result, session->arena));
    text_printf(&session->out, "\n%s%s\n", markdown ? "\n" : "", answer_setting(result, session->arena));
    for (int i = 0; i < result->breakdown.count; i++) {
        const struct phase_cost *cost = &result->breakdown.phases[i];
        if (!is_chosen(cost, phase))
            continue;
        phase_heading(cost, markdown, session->colour, session->arena, &session->out);
        if (session_put(session, ops_table(cost, 1, session->arena)) != STATUS_YES)
            return STATUS_BAD;
    }
    return STATUS_YES;
}

static enum exit_status put_csv(struct session *session, const struct breakdown *breakdown, const char *phase)
{
    struct phase_cost chosen[PHASES_REPORTED_MOST];
    int count = 0;
    for (int i = 0; i < breakdown->count; i++)
        if (is_chosen(&breakdown->phases[i], phase))
            chosen[count++] = breakdown->phases[i];
    return session_put(session, ops_table(chosen, count, session->arena));
}

static enum exit_status run(struct session *session)
{
    struct question question;
    const char *phase;
    if (!session_question(session, &question))
        return STATUS_BAD;
    const struct result *result = session_estimate(session, &question);
    if (result == NULL || !choose_phase(session, &result->breakdown, &phase))
        return STATUS_BAD;
    if (!result->answer.memory.fits)
        diag_warning(&session->diag, NOWHERE,
                     "it does not fit in memory; `rafter estimate` tells what would");
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, ops_json(result, phase)) ? STATUS_YES
                                                                : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return put_csv(session, &result->breakdown, phase);
    return put_phases(session, result, phase);
}

const struct command command_ops = {
    .name = "ops",
    .summary = "every operator: FLOPs, bytes, time, bound, percent of roof",
    .operands = "",
    .details =
        "FLOPs, bytes and times are of one rank, all executions in the phase together. Attainable is\n"
        "min(peak, intensity * memory bandwidth); percent of roof is the time at data-sheet rates over the\n"
        "time (for streams whose operands are still in the shared cache: at the cache's rate). Exposed times "
        "and the host's gaps sum to the phase.\n",
    .examples = "  rafter ops -m llama-2-7b -d rtx-a6000 --phase decode\n"
                "  rafter ops -m deepseek-v3 -d h200-sxm -n 8 --batch 64 --csv -o ops.csv\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT | OPTION_BIT(OPTION_PHASE)},
    .run = run,
};
