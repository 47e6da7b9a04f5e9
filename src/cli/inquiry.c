#include "cli/inquiry.h"

#include "base/suggest.h"
#include "report/answer.h"

#include <string.h>

static struct limits limits_of_options(const struct options *options)
{
    return (struct limits){.ttft = option_number(options, OPTION_MAX_TTFT),
                           .tpot = option_number(options, OPTION_MAX_TPOT),
                           .latency = option_number(options, OPTION_MAX_LATENCY),
                           .usd_per_million = option_number(options, OPTION_MAX_COST),
                           .memory = option_number(options, OPTION_MAX_MEMORY),
                           .throughput = option_number(options, OPTION_MIN_THROUGHPUT)};
}

/* Flags, or where there are none the workload's objectives. */
static bool choose_limits(struct inquiry *inquiry)
{
    struct session *session = inquiry->session;
    struct limits *limits = &inquiry->asked.limits;
    *limits = limits_of_options(&session->options);
    if (limits->ttft + limits->tpot + limits->latency + limits->usd_per_million + limits->throughput > 0.0)
        return true;
    const struct workload *workload =
        question_workload(session->arena, &session->diag, &session->catalogue, &inquiry->question);
    if (workload == NULL)
        return false;
    limits->ttft = workload->slo.ttft;
    limits->tpot = workload->slo.tpot;
    limits->latency = workload->slo.latency;
    inquiry->asked.limits_of_workload = limits->ttft + limits->tpot + limits->latency > 0.0;
    return true;
}

/* Names that are wrong are said here, rather than as the reason of every evaluation. */
static bool check_names(struct inquiry *inquiry)
{
    struct session *session = inquiry->session;
    struct asked *asked = &inquiry->asked;
    const struct question *question = &inquiry->question;
    if (question->model == NULL || question->device == NULL)
        return session_refuse(session, question->model == NULL
                                           ? "--model is missing, for example --model llama-3.1-8b"
                                           : "--device is missing, for example --device h100-sxm") !=
               STATUS_BAD;
    const struct model *model = catalogue_model(&session->catalogue, &session->diag, question->model, NULL);
    const struct system *system =
        catalogue_system(&session->catalogue, &session->diag, question->device, 0, NULL);
    if (model == NULL || system == NULL)
        return false;
    asked->model = model->id;
    asked->device = system->id;
    asked->software = question->software;
    asked->setting = "";
    asked->title = arena_printf(session->arena, "%s · %s", model->name != NULL ? model->name : model->id,
                                system->name != NULL ? system->name : system->id);
    return asked->title != NULL;
}

bool inquiry_open(struct inquiry *inquiry, struct session *session)
{
    *inquiry = (struct inquiry){.session = session};
    progress_begin(&inquiry->progress);
    inquiry->asked.colour = session->colour;
    inquiry->asked.markdown = session->format == OUTPUT_MARKDOWN;
    inquiry->evaluator = (struct evaluator){.catalogue = &session->catalogue,
                                            .scratch = arena_new(0),
                                            .watch = progress_step,
                                            .watcher = &inquiry->progress};
    if (inquiry->evaluator.scratch == NULL || !catalogue_remember(&session->catalogue))
        return session_refuse(session, "out of memory") != STATUS_BAD;
    return session_question(session, &inquiry->question) && check_names(inquiry) && choose_limits(inquiry);
}

void inquiry_close(struct inquiry *inquiry)
{
    progress_end(&inquiry->progress);
    arena_free(inquiry->evaluator.scratch);
    catalogue_forget(&inquiry->session->catalogue);
}

bool inquiry_read_system(struct inquiry *inquiry)
{
    struct session *session = inquiry->session;
    struct resolved *resolved = ARENA_NEW(session->arena, struct resolved);
    struct question shortest = inquiry->question; /* whether its lengths fit is not asked here */
    shortest.batch = shortest.prompt = shortest.output = 1;
    if (resolved == NULL)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    if (!question_resolve(resolved, session->arena, &session->diag, &session->catalogue, &shortest))
        return false;
    inquiry->question.system = resolved->system;
    return true;
}

int inquiry_devices(struct inquiry *inquiry)
{
    struct session *session = inquiry->session;
    struct diag quiet = {.arena = session->arena};
    if (inquiry->question.devices > 0)
        return inquiry->question.devices;
    const struct system *system =
        catalogue_system(&session->catalogue, &quiet, inquiry->question.device, 0, NULL);
    return system != NULL ? system->members[0].count : 1;
}

void inquiry_entitle(struct inquiry *inquiry, const struct question *question, int replicas)
{
    struct session *session = inquiry->session;
    struct diag said = session->diag;
    session->diag = (struct diag){.arena = session->arena};
    struct result *result = session_estimate(session, question);
    session->diag = said;
    if (result == NULL)
        return;
    result->answer.devices *= replicas;
    inquiry->asked.title = answer_title(result, session->arena);
    inquiry->asked.setting = answer_setting(result, session->arena);
    inquiry->asked.software = result_plan(result)->software->id;
}

enum exit_status inquiry_put_json(struct inquiry *inquiry, json_t *document)
{
    struct session *session = inquiry->session;
    return json_add(&session->out, document) ? STATUS_YES : session_refuse(session, "out of memory");
}

bool inquiry_objective(struct session *session, enum objective *objective)
{
    const char *text = option_text(&session->options, OPTION_OBJECTIVE), *names[OBJECTIVE_COUNT];
    *objective = OBJECTIVE_THROUGHPUT;
    if (text == NULL)
        return true;
    for (int o = 0; o < OBJECTIVE_COUNT; o++) {
        names[o] = objective_name((enum objective)o);
        *objective = (enum objective)o;
        if (strcmp(text, names[o]) == 0)
            return true;
    }
    const char *nearest = suggest_nearest(text, names, OBJECTIVE_COUNT);
    return session_refuse(
               session,
               "--objective: found \"%.80s\", expected throughput, latency, ttft, tpot, cost, memory or "
               "energy%s%s",
               text, nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "") != STATUS_BAD;
}
