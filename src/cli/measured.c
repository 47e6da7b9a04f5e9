#include "cli/measured.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct software *find_software(void *context, const char *name)
{
    struct session *session = context;
    struct diag quiet = {.arena = session->arena};
    return catalogue_software(&session->catalogue, &quiet, name, NULL);
}

void measured_step(void *context)
{
    struct measured *measured = context;
    progress_step(&measured->progress, measured->share);
}

void measured_share(void *context, double share)
{
    struct measured *measured = context;
    measured->share = share;
}

bool measured_read(struct measured *measured, size_t first_file, const struct device *device,
                   struct sample_set *set)
{
    struct session *session = measured->session;
    const struct options *options = &session->options;
    samples_start(set, session->arena, device);
    set->watch = measured_step;
    set->watcher = measured;
    for (size_t i = first_file; i < options->operand_count; i++)
        if (!samples_read(set, &session->diag, options->operands[i], find_software, session))
            return false;
    return true;
}

/* No row is of the device: which ones the files have. */
static bool refuse_device(struct session *session, const struct sample_set *set)
{
    struct text names = {0};
    for (size_t i = 0; i < set->other_count; i++)
        text_printf(&names, "%s%.60s (%zu)", i > 0 ? ", " : "", set->others[i].name, set->others[i].count);
    session_refuse(session, "no row is of %s; %s%s", set->device->id,
                   set->other_count > 0 ? "there are rows of " : "there are no rows at all",
                   names.data && !names.failed ? names.data : "");
    text_free(&names);
    return false;
}

bool measured_open(struct measured *measured, struct session *session, size_t first_file)
{
    const struct options *options = &session->options;
    const char *name = option_text(options, OPTION_DEVICE);
    *measured = (struct measured){.session = session,
                                  .filter = {.family = option_text(options, OPTION_FAMILY),
                                             .source = option_text(options, OPTION_SOURCE),
                                             .dtype = option_text(options, OPTION_DTYPE)}};
    progress_begin(&measured->progress);
    if (options->operand_count <= first_file)
        return session_refuse(session,
                              "which samples? CSV files of measured times; docs/calibration.md tells "
                              "their columns") != STATUS_BAD;
    if (!name)
        return session_refuse(session, "--device is missing, for example --device h100-sxm") != STATUS_BAD;
    measured->device = catalogue_device(&session->catalogue, &session->diag, name, NULL);
    if (!measured->device || !measured_read(measured, first_file, measured->device, &measured->set))
        return false;
    if (measured->set.count == 0 && measured->set.skipped_count == 0)
        return refuse_device(session, &measured->set);
    return true;
}

void measured_close(struct measured *measured)
{
    progress_end(&measured->progress);
}

const char *measured_today(struct session *session)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = time(NULL);
    struct tm day;
    char date[32];
    if (epoch && epoch[0] != '\0') {
        char *end;
        errno = 0;
        long long seconds = strtoll(epoch, &end, 10);
        if (*end != '\0' || errno != 0 || seconds < 0 || seconds > 253402300799LL) { /* the year 9999 */
            session_refuse(session, "SOURCE_DATE_EPOCH: found \"%.40s\", expected seconds since 1970", epoch);
            return NULL;
        }
        now = (time_t)seconds;
    }
    if (!gmtime_r(&now, &day) || strftime(date, sizeof date, "%Y-%m-%d", &day) == 0) {
        session_refuse(session, "the date cannot be told");
        return NULL;
    }
    const char *kept = arena_strdup(session->arena, date);
    if (!kept)
        session_refuse(session, "out of memory");
    return kept;
}
