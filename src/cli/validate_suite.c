#include "cli/validate.h"

#include "report/suite.h"

/* A run over suites. */
struct suites {
    struct session *session;
    struct progress progress;
    const struct suite *list[OPERANDS_MOST];
    size_t count, checks, done;
    struct check_result *results;
};

static void watch(void *context)
{
    struct suites *suites = context;
    progress_step(&suites->progress, (double)suites->done / (double)suites->checks);
}

/* A suite names its own devices and modes. */
static bool refuse_options(struct session *session)
{
    option_set of_samples = OPTIONS_SAMPLES | OPTIONS_VALIDATION;
    for (int id = 0; id < OPTION_COUNT; id++)
        if ((of_samples & OPTION_BIT(id)) != 0 && option_given(&session->options, (enum option_id)id))
            return session_refuse(session, "--%s is for `rafter validate samples`: a suite's checks say it",
                                  option_table[id].name) != STATUS_BAD;
    return true;
}

static bool read_suites(struct suites *suites)
{
    struct session *session = suites->session;
    const struct options *options = &session->options;
    for (size_t i = 1; i < options->operand_count; i++) {
        const struct suite *suite = suite_read(session->arena, &session->diag, options->operands[i]);
        if (!suite)
            return false;
        suites->list[suites->count++] = suite;
        suites->checks += suite->checks.count;
    }
    suites->results = ARENA_ARRAY(session->arena, struct check_result, suites->checks + 1);
    return suites->results || session_refuse(session, "out of memory") != STATUS_BAD;
}

static bool run_checks(struct suites *suites)
{
    struct session *session = suites->session;
    struct suite_run *run = suite_run_new(&session->catalogue, session->arena, &session->diag, watch, suites);
    for (size_t i = 0; run && i < suites->count; i++) {
        const struct suite_check *checks = suites->list[i]->checks.items;
        for (size_t j = 0; j < suites->list[i]->checks.count; j++)
            if (!suite_check_run(run, suites->list[i], &checks[j], &suites->results[suites->done++]))
                return false;
    }
    return run != NULL;
}

static enum exit_status verdict(const struct suites *suites)
{
    bool ran = false, failed = false;
    for (size_t i = 0; i < suites->done; i++) {
        ran = ran || suites->results[i].verdict == VERDICT_PASSED;
        failed = failed || suites->results[i].verdict == VERDICT_FAILED;
    }
    return failed ? STATUS_NO : ran ? STATUS_YES : STATUS_BAD;
}

static enum exit_status put(struct suites *suites)
{
    struct session *session = suites->session;
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, suite_json(suites->results, suites->done))
                   ? STATUS_YES
                   : session_refuse(session, "out of memory");
    enum exit_status status =
        session_put(session, suite_table(suites->results, suites->done, session->arena));
    if (session->format != OUTPUT_CSV && status == STATUS_YES) {
        text_add(&session->out, "\n");
        suite_summary(suites->results, suites->done, &session->out);
    }
    return status;
}

/* Nothing ran: what would have been the report is the reason. */
static enum exit_status refuse_nothing(struct suites *suites)
{
    struct text summary = {0};
    for (size_t i = 0; i < suites->done; i++) {
        const struct check_result *result = &suites->results[i];
        diag_error(&suites->session->diag, result->check->where, "%s: %s%s", result->check->name,
                   result->note, result->verdict == VERDICT_NOT_HERE ? " is not here: skipped" : "");
    }
    suite_summary(suites->results, suites->done, &summary);
    if (summary.length > 0)
        summary.data[summary.length - 1] = '\0';
    session_refuse(suites->session, "%s", summary.data ? summary.data : "out of memory");
    text_free(&summary);
    return STATUS_BAD;
}

static enum exit_status validate(struct suites *suites)
{
    bool ok = run_checks(suites);
    progress_end(&suites->progress);
    if (!ok)
        return STATUS_BAD;
    enum exit_status status = verdict(suites);
    if (status == STATUS_BAD)
        return refuse_nothing(suites);
    return put(suites) == STATUS_YES ? status : STATUS_BAD;
}

enum exit_status validate_suite_command(struct session *session)
{
    struct suites suites = {.session = session};
    progress_begin(&suites.progress);
    if (session->options.operand_count < 2)
        return session_refuse(session, "which suites? For example `rafter validate suite validation/*.yaml`");
    if (!refuse_options(session) || !read_suites(&suites))
        return STATUS_BAD;
    return validate(&suites);
}
