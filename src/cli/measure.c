#include "validate/measure.h"

#include "base/file.h"
#include "cli/measured.h"
#include "fit/calibrate.h"
#include "fit/device_writer.h"
#include "report/calibrated.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The software whose kernels are timed, as samples and calibrations name it. */
#define SOURCE "rafter-exec"

enum { WARNINGS_MOST = 8 };

struct run {
    struct session *session;
    struct progress progress;
    double share;
    struct text csv[SAMPLE_SCHEMAS], yaml, whole;
    struct sample_set set;
    struct calibrated calibrated;
};

static void watch(void *context, double share)
{
    struct run *run = context;
    run->share = share;
    progress_step(&run->progress, share);
}

static void watch_fit(void *context)
{
    struct run *run = context;
    progress_step(&run->progress, run->share);
}

static bool ends_in_yaml(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".yaml") == 0;
}

/* Where the description goes is checked before a minute is spent: *folder is there and takes files. */
static bool check_target(struct session *session, const char *to, const char **folder)
{
    *folder = ".";
    if (!to)
        return true;
    if (!ends_in_yaml(to))
        return session_refuse(session, "-o: found %.200s, expected a name that ends in .yaml, as devices' do",
                              to) != STATUS_BAD;
    const char *slash = strrchr(to, '/');
    struct stat status;
    if (slash)
        *folder = arena_strndup(session->arena, to, slash == to ? 1 : (size_t)(slash - to));
    if (!*folder)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    if (stat(*folder, &status) != 0 || !S_ISDIR(status.st_mode) || access(*folder, W_OK) != 0)
        return session_refuse(session, "-o: %.200s is no folder that can be written to", *folder) !=
               STATUS_BAD;
    return true;
}

/* "local" of "hardware/local.yaml". */
static const char *id_of(struct session *session, const char *to)
{
    const char *slash = to ? strrchr(to, '/') : NULL, *name = slash ? slash + 1 : to ? to : "local.yaml";
    return arena_strndup(session->arena, name, strlen(name) - strlen(".yaml"));
}

static const struct software *find_software(void *context, const char *name)
{
    struct session *session = context;
    return catalogue_software(&session->catalogue, &session->diag, name, NULL);
}

/* The samples as fit/ takes them. */
static bool read_samples(struct run *run, const struct device *device)
{
    struct session *session = run->session;
    samples_start(&run->set, session->arena, device);
    run->set.watch = watch_fit;
    run->set.watcher = run;
    for (int i = 0; i < SAMPLE_SCHEMAS; i++) {
        struct csv_table *table = ARENA_NEW(session->arena, struct csv_table);
        if (run->csv[i].length == 0)
            continue;
        char *text = arena_strndup(session->arena, run->csv[i].data, run->csv[i].length);
        const char *path = arena_printf(session->arena, "%s.csv", sample_schema_names[i]);
        if (!table || !text || !path)
            return session_refuse(session, "out of memory") != STATUS_BAD;
        if (!csv_parse(table, session->arena, &session->diag, path, text) ||
            !samples_add(&run->set, &session->diag, table, find_software, session))
            return false;
    }
    return true;
}

static bool keep_samples(struct run *run, const char *folder)
{
    struct session *session = run->session;
    if (!folder)
        return true;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return session_refuse(session, "--samples: no folder %.200s can be made", folder) != STATUS_BAD;
    for (int i = 0; i < SAMPLE_SCHEMAS; i++) {
        const char *path = arena_printf(session->arena, "%s/%s.csv", folder, sample_schema_names[i]);
        if (run->csv[i].length > 0 &&
            (!path || !file_write(&session->diag, path, run->csv[i].data, run->csv[i].length)))
            return false;
    }
    return true;
}

/* The description with the fitted blocks in run->whole. */
static bool calibrate_device(struct run *run, const char *date, const char *id)
{
    struct session *session = run->session;
    struct sample_filter all = {0};
    const struct device *device = measured_device(&session->catalogue, &session->diag, run->yaml.data, id);
    if (!device || !read_samples(run, device) ||
        !calibrate(&run->set, device, &all, date, session->arena, &session->diag, watch, run,
                   &run->calibrated))
        return false;
    size_t count = 0;
    struct calibration *blocks = ARENA_ARRAY(session->arena, struct calibration, run->calibrated.count + 1);
    if (!blocks)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    for (size_t i = 0; i < run->calibrated.count; i++)
        if (!run->calibrated.blocks[i].refused)
            blocks[count++] = run->calibrated.blocks[i].calibration;
        else
            diag_warning(&session->diag, NOWHERE, "not fitted: %s", run->calibrated.blocks[i].refused);
    return device_write("measured.yaml", run->yaml.data, run->yaml.length, blocks, count, session->arena,
                        &session->diag, &run->whole);
}

static bool measure(struct run *run, const char *date, const char *folder, const char *id)
{
    struct session *session = run->session;
    struct measure_options options = {.quick = option_given(&session->options, OPTION_QUICK),
                                      .folder = folder,
                                      .watch = watch,
                                      .watcher = run};
    struct measuring *measuring = measuring_new(session->arena, &session->diag, &options);
    bool ok = measuring && measure_rates(measuring, &session->diag) &&
              measure_kernels(measuring, &session->diag, id, SOURCE, run->csv);
    if (ok) {
        const char *lines[WARNINGS_MOST];
        measure_modes(measuring);
        measured_yaml(measuring_rates(measuring), date, &run->yaml);
        size_t count = measured_warnings(measuring_rates(measuring), session->arena, lines, WARNINGS_MOST);
        for (size_t i = 0; i < count; i++)
            diag_warning(&session->diag, NOWHERE, "%s", lines[i]);
        ok = !run->yaml.failed || session_refuse(session, "out of memory") != STATUS_BAD;
    }
    measuring_free(measuring);
    return ok && keep_samples(run, option_text(&session->options, OPTION_SAMPLES)) &&
           calibrate_device(run, date, id);
}

static enum exit_status put(struct run *run, const char *to)
{
    struct session *session = run->session;
    if (!to) {
        text_addn(&session->out, run->whole.data, run->whole.length);
        return STATUS_YES;
    }
    if (!file_write(&session->diag, to, run->whole.data, run->whole.length))
        return STATUS_BAD;
    if (session_put(session, calibrated_table(&run->calibrated, session->arena)) != STATUS_YES)
        return STATUS_BAD;
    text_printf(&session->out, "\nwrote %s: %zu block%s of calibration from %zu samples\n", to,
                run->calibrated.fitted, run->calibrated.fitted == 1 ? "" : "s", run->set.count);
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    struct run run = {.session = session};
    const char *to = option_text(&session->options, OPTION_FILE), *folder, *date = measured_today(session);
    session->file = NULL; /* it holds the device */
    if (!date || !check_target(session, to, &folder))
        return STATUS_BAD;
    const char *id = id_of(session, to);
    if (!id)
        return session_refuse(session, "out of memory");
    progress_begin(&run.progress);
    bool ok = measure(&run, date, folder, id);
    progress_end(&run.progress);
    enum exit_status status = ok ? put(&run, to) : STATUS_BAD;
    for (int i = 0; i < SAMPLE_SCHEMAS; i++)
        text_free(&run.csv[i]);
    text_free(&run.yaml);
    text_free(&run.whole);
    return status;
}

const struct command command_measure = {
    .name = "measure",
    .summary = "this machine as a device, its executor calibrated",
    .operands = "",
    .details = "Takes about a minute, with --quick 15 s. Measures bandwidths of caches and memory, peak "
               "rates, the start\n"
               "of threads and the disk, by number of threads; then times the kernels of `rafter run` on a "
               "grid of sizes\n"
               "and fits their scalars as `rafter fit` does. -o FILE.yaml writes the description, which "
               "replaces an older\n"
               "one only when all went well; without it the description is printed. docs/measure.md tells "
               "more. Nothing\n"
               "else should run meanwhile; what the numbers scatter by is warned of.\n",
    .examples = "  rafter measure -o hardware/local.yaml\n"
                "  rafter measure --quick --samples samples/ -o local.yaml\n"
                "  rafter estimate -m tinyllama-1.1b -d local.yaml -s rafter-exec --threads 2\n",
    .rules = {.allowed = OPTION_BIT(OPTION_QUICK) | OPTION_BIT(OPTION_SAMPLES) | OPTION_BIT(OPTION_FILE) |
                         OPTION_BIT(OPTION_HELP)},
    .run = run,
};
