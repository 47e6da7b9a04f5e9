#include "cli/validate.h"

#include "base/file.h"
#include "report/executor.h"
#include "validate/executor_rows.h"

#include <string.h>
#include <unistd.h>

static const char default_suite[] = "validation/executor/matrix.yaml";
static const char default_device[] = "hardware/local.yaml";

/* A validation of the executor going on. */
struct executor_validation {
    struct session *session;
    struct progress progress;
    struct executor_device device;
    const struct executor_suite *suite;
    struct executor_case *cases;
    size_t count;
    double steps, done;
};

static void watch(void *context)
{
    struct executor_validation *validation = context;
    progress_step(&validation->progress, validation->done / validation->steps);
    validation->done = validation->done + 1 < validation->steps ? validation->done + 1 : validation->steps;
}

/* Cases from `first` on that run the same weights. */
static size_t same_weights(const struct executor_validation *validation, size_t first)
{
    const struct executor_case *cases = validation->cases;
    size_t count = 1;
    while (first + count < validation->count && strcmp(cases[first + count].model, cases[first].model) == 0 &&
           strcmp(cases[first + count].weights, cases[first].weights) == 0)
        count++;
    return count;
}

static bool compare(struct executor_validation *validation, const struct executor_case *run,
                    const struct executor_times *measured, struct executor_result *result)
{
    struct session *session = validation->session;
    struct executor_times predicted;
    return executor_predict(&validation->device, session->arena, &session->diag, run, &measured->pace,
                            &predicted) &&
           executor_result_add(result, session->arena, &session->diag, run, measured, &predicted);
}

static bool run_cases(struct executor_validation *validation, struct executor_bench *bench, size_t first,
                      size_t count, struct executor_result *result)
{
    struct session *session = validation->session;
    struct arena *arena = session->arena;
    struct diag *diag = &session->diag;
    const struct executor_case *cases = &validation->cases[first];
    const struct model *model = catalogue_model(&session->catalogue, diag, cases[0].model, NULL);
    struct executor_times *measured = ARENA_ARRAY(arena, struct executor_times, count);
    if (!model)
        return false;
    if (!measured)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!executor_bench_run(bench, diag, model, cases, count, validation->suite->repeats,
                            validation->suite->noise, measured, watch, validation))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!compare(validation, &cases[i], &measured[i], result))
            return false;
    return true;
}

/* Nothing is run: the suite's runs as they were measured before. */
static bool read_all(struct executor_validation *validation, const char *path, struct executor_result *result)
{
    struct session *session = validation->session;
    struct executor_times *measured = ARENA_ARRAY(session->arena, struct executor_times, validation->count);
    if (!measured)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    if (!executor_rows_read(session->arena, &session->diag, path, validation->cases, validation->count,
                            measured))
        return false;
    for (size_t i = 0; i < validation->count; i++)
        if (!compare(validation, &validation->cases[i], &measured[i], result))
            return false;
    return executor_result_close(result, session->arena, &session->diag);
}

static bool run_all(struct executor_validation *validation, struct executor_result *result)
{
    struct session *session = validation->session;
    struct executor_bench *bench = executor_bench_new(session->arena, &session->diag);
    bool ok = bench != NULL;
    progress_begin(&validation->progress);
    for (size_t first = 0; ok && first < validation->count;) {
        size_t count = same_weights(validation, first);
        ok = run_cases(validation, bench, first, count, result);
        first += count;
    }
    progress_end(&validation->progress);
    executor_bench_free(bench);
    return ok && executor_result_close(result, session->arena, &session->diag);
}

static bool write_rows(struct session *session, const struct executor_result *result)
{
    const char *path = option_text(&session->options, OPTION_ROWS_OUT);
    struct text out = {0};
    if (!path)
        return true;
    bool ok = (table_write(executor_rows_table(result, session->arena), TABLE_CSV, false, 0, &out) &&
               !out.failed) ||
              diag_error(&session->diag, NOWHERE, "out of memory");
    ok = ok && file_write(&session->diag, path, out.data, out.length);
    text_free(&out);
    return ok;
}

static enum exit_status put(struct session *session, const struct executor_result *result)
{
    struct text *out = &session->out;
    if (session->format == OUTPUT_JSON)
        return json_add(out, executor_json(result)) ? STATUS_YES : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return session_put(session, executor_rows_table(result, session->arena));
    if (session_put(session, executor_runs_table(result, session->arena)) != STATUS_YES)
        return STATUS_BAD;
    text_add(out, "\n");
    if (session_put(session, executor_errors_table(result, session->arena)) != STATUS_YES)
        return STATUS_BAD;
    text_add(out, "\n");
    executor_summary(result, session->arena, out);
    return STATUS_YES;
}

enum exit_status validate_executor_command(struct session *session)
{
    const struct options *options = &session->options;
    struct arena *scratch = arena_new(0);
    struct evaluator evaluator = {.catalogue = &session->catalogue, .scratch = scratch};
    struct executor_validation validation = {.session = session};
    struct executor_result result = {0};
    if (!scratch)
        return session_refuse(session, "out of memory");
    if (!option_given(options, OPTION_DEVICE) && access(default_device, R_OK) != 0) {
        arena_free(scratch);
        return session_refuse(
            session, "%s is not here: `rafter measure -o %s` describes this machine, -d takes another place",
            default_device, default_device);
    }
    validation.device = (struct executor_device){
        .name = option_given(options, OPTION_DEVICE) ? option_text(options, OPTION_DEVICE) : default_device,
        .software = "rafter-exec",
        .catalogue = &session->catalogue,
        .evaluator = &evaluator};
    validation.suite = executor_suite_read(session->arena, &session->diag,
                                           options->operand_count > 1 ? options->operands[1] : default_suite);
    if (validation.suite)
        validation.cases =
            executor_cases(validation.suite, session->arena, &session->diag, &validation.count);
    if (validation.cases)
        validation.steps = (double)validation.count * validation.suite->repeats;
    result.suite = validation.suite;
    enum exit_status status = STATUS_BAD;
    const char *rows = option_text(options, OPTION_ROWS_IN);
    if (validation.cases && (rows ? read_all(&validation, rows, &result) : run_all(&validation, &result)) &&
        write_rows(session, &result) && put(session, &result) == STATUS_YES)
        status = result.passed ? STATUS_YES : STATUS_NO;
    arena_free(scratch);
    return status;
}
