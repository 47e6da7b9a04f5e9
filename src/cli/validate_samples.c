#include "cli/validate.h"

#include "base/file.h"
#include "report/human.h"
#include "report/sample_counts.h"
#include "report/validation.h"

#include <string.h>

enum { FIRST_FILE = 1 }; /* after "samples" */

/* The mode that the options choose. */
static bool choose_mode(struct measured *measured, struct validation_plan *plan)
{
    const struct options *options = &measured->session->options;
    bool folds = option_given(options, OPTION_FOLDS), shapes = option_given(options, OPTION_HOLD_OUT);
    bool rows = option_given(options, OPTION_FIT_ROWS), transfer = option_given(options, OPTION_FIT_ON);
    struct session *session = measured->session;
    if (folds + shapes + rows + transfer > 1)
        return session_refuse(
                   session, "--folds, --hold-out, --fit-rows and --fit-on: only one can be tested at once") !=
               STATUS_BAD;
    if (shapes && strcmp(option_text(options, OPTION_HOLD_OUT), "shapes") != 0)
        return session_refuse(session, "--hold-out: found %.80s, expected shapes",
                              option_text(options, OPTION_HOLD_OUT)) != STATUS_BAD;
    *plan = (struct validation_plan){.mode = folds      ? MODE_FOLDS
                                             : shapes   ? MODE_SHAPES
                                             : rows     ? MODE_ROWS
                                             : transfer ? MODE_TRANSFER
                                                        : MODE_CALIBRATED,
                                     .filter = measured->filter,
                                     .fit_rows = (size_t)option_number(options, OPTION_FIT_ROWS),
                                     .watch = measured_share,
                                     .watcher = measured};
    return true;
}

static bool read_others(struct measured *measured, struct validation_plan *plan, struct sample_set *others)
{
    struct session *session = measured->session;
    const char *name = option_text(&session->options, OPTION_FIT_ON);
    if (!name)
        return true;
    const struct device *device = catalogue_device(&session->catalogue, &session->diag, name, NULL);
    if (!device || !measured_read(measured, FIRST_FILE, device, others))
        return false;
    if (others->count == 0)
        return session_refuse(session, "--fit-on: no row is of %s", device->id) != STATUS_BAD;
    plan->others = others;
    return true;
}

static bool write_rows(struct session *session, const struct validation *validation)
{
    const char *path = option_text(&session->options, OPTION_ROWS_OUT);
    struct text out = {0};
    if (!path)
        return true;
    bool ok =
        table_write(validation_rows(validation, session->arena), TABLE_CSV, false, 0, &out) && !out.failed;
    if (!ok)
        diag_error(&session->diag, NOWHERE, "out of memory");
    ok = ok && file_write(&session->diag, path, out.data, out.length);
    text_free(&out);
    return ok;
}

static void put_refused(struct session *session, const struct validation *validation)
{
    for (size_t g = 0; g < validation->group_count; g++)
        if (validation->groups[g].refused)
            diag_warning(&session->diag, NOWHERE, "not fitted: %s", validation->groups[g].refused);
}

static enum exit_status put(struct measured *measured, const struct validation *validation, double max_mape)
{
    struct session *session = measured->session;
    struct text *out = &session->out;
    bool markdown = session->format == OUTPUT_MARKDOWN, colour = session->colour;
    const struct table *table = validation_table(validation, max_mape, session->arena);
    if (session->format == OUTPUT_JSON)
        return json_add(out, validation_json(validation)) ? STATUS_YES
                                                          : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return session_put(session, table);
    sample_counts_text(&measured->set, colour, markdown, session->arena, out);
    const char *mode = validation_mode_words(validation->plan, session->arena);
    if (mode && mode[0] != '\0')
        text_printf(out, "%s\n\n", mode);
    if (session_put(session, table) != STATUS_YES)
        return STATUS_BAD;
    samples_heading("Worst rows", colour, markdown, out);
    if (session_put(session, worst_table(validation, session->arena)) != STATUS_YES)
        return STATUS_BAD;
    skipped_text(&measured->set, colour, markdown, session->arena, out);
    return STATUS_YES;
}

/* Whether every group keeps the limit; those that do not are said. */
static bool keeps(struct session *session, const struct validation *validation, double max_mape)
{
    bool kept = true;
    for (size_t g = 0; g < validation->group_count && max_mape > 0; g++) {
        const struct validation_group *group = &validation->groups[g];
        if (group->row_count == 0 || group->all.all.mean_absolute <= max_mape)
            continue;
        kept = false;
        diag_warning(&session->diag, NOWHERE, "%s, %s of %s: MAPE %s is above the %s allowed",
                     families[group->family].name, group->dtype, group->source,
                     human_percent(session->arena, group->all.all.mean_absolute),
                     human_percent(session->arena, max_mape));
    }
    return kept;
}

static enum exit_status refuse_nothing(struct session *session, const struct sample_set *set)
{
    for (size_t i = 0; i < set->skipped_kinds; i++)
        diag_error(&session->diag, set->skipped[i].first, "%s", set->skipped[i].reason);
    return session_refuse(session, "no row could be predicted");
}

static enum exit_status validate(struct measured *measured)
{
    struct session *session = measured->session;
    struct validation_plan plan;
    struct sample_set others;
    struct validation validation;
    double max_mape = option_number(&session->options, OPTION_MAX_MAPE);
    if (!choose_mode(measured, &plan) || !read_others(measured, &plan, &others) ||
        !validate_samples(&measured->set, measured->device, &plan, session->arena, &session->diag,
                          &validation))
        return STATUS_BAD;
    progress_end(&measured->progress);
    put_refused(session, &validation);
    if (validation.tested == 0)
        return refuse_nothing(session, &measured->set);
    if (!write_rows(session, &validation) || put(measured, &validation, max_mape) != STATUS_YES)
        return STATUS_BAD;
    return keeps(session, &validation, max_mape) ? STATUS_YES : STATUS_NO;
}

enum exit_status validate_samples_command(struct session *session)
{
    struct measured measured;
    enum exit_status status =
        measured_open(&measured, session, FIRST_FILE) ? validate(&measured) : STATUS_BAD;
    measured_close(&measured);
    return status;
}
