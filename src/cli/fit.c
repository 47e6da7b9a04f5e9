#include "cli/measured.h"

#include "base/file.h"
#include "fit/device_writer.h"
#include "report/calibrated.h"
#include "report/sample_counts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_BYTES_MOST = 4 << 20 };

static bool ends_in_yaml(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".yaml") == 0;
}

/* The folder of a path with links followed, so that two spellings of one place are equal. */
static bool folder_of(struct arena *arena, const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? arena_strndup(arena, path, (size_t)(slash - path) + 1) : ".";
    return name && realpath(name, folder);
}

/* A device that extends a file beside it cannot move to another folder. */
static bool check_extends(struct session *session, const struct device *device, const char *from,
                          const char *to)
{
    char there[PATH_MAX], here[PATH_MAX];
    if (!device->extends || !ends_in_yaml(device->extends) || device->extends[0] == '/' ||
        !folder_of(session->arena, from, there) || !folder_of(session->arena, to, here) ||
        strcmp(there, here) == 0)
        return true;
    session_refuse(session,
                   "%s extends %s, which it finds beside itself: expected -o FILE in the same folder", from,
                   device->extends);
    return false;
}

/* The device's own file with the fitted blocks. */
static bool write_device(struct session *session, const struct device *device,
                         const struct calibrated *calibrated, const char *to)
{
    const char *path, *id, *name = option_text(&session->options, OPTION_DEVICE);
    struct text out = {0};
    size_t length, count = 0;
    struct calibration *blocks = ARENA_ARRAY(session->arena, struct calibration, calibrated->fitted + 1);
    if (!blocks)
        return session_refuse(session, "out of memory") != STATUS_BAD;
    if (!catalogue_tree(&session->catalogue, &session->diag, CATALOGUE_HARDWARE, name, &path, &id) ||
        !check_extends(session, device, path, to))
        return false;
    const char *text = file_read(session->arena, &session->diag, path, DEVICE_BYTES_MOST, &length);
    for (size_t i = 0; i < calibrated->count; i++)
        if (!calibrated->blocks[i].refused)
            blocks[count++] = calibrated->blocks[i].calibration;
    bool ok = text && device_write(path, text, length, blocks, count, session->arena, &session->diag, &out) &&
              file_write(&session->diag, to, out.data, out.length);
    text_free(&out);
    return ok;
}

static enum exit_status put(struct measured *measured, const struct calibrated *calibrated, const char *to)
{
    struct session *session = measured->session;
    bool markdown = session->format == OUTPUT_MARKDOWN;
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, calibrated_json(&measured->set, calibrated, to))
                   ? STATUS_YES
                   : session_refuse(session, "out of memory");
    const struct table *table = calibrated_table(calibrated, session->arena);
    if (session->format == OUTPUT_CSV)
        return session_put(session, table);
    sample_counts_text(&measured->set, session->colour, markdown, session->arena, &session->out);
    if (session_put(session, table) != STATUS_YES)
        return STATUS_BAD;
    skipped_text(&measured->set, session->colour, markdown, session->arena, &session->out);
    if (to)
        text_printf(&session->out, "\nwrote %s: %zu block%s of calibration\n", to, calibrated->fitted,
                    calibrated->fitted == 1 ? "" : "s");
    else
        text_add(&session->out, "\nnothing is written; -o FILE.yaml writes the device with these blocks\n");
    return STATUS_YES;
}

/* Refused blocks are warnings beside others, the reason for it where there are none. */
static bool say_refused(struct session *session, const struct calibrated *calibrated)
{
    for (size_t i = 0; i < calibrated->count; i++) {
        if (!calibrated->blocks[i].refused)
            continue;
        if (calibrated->fitted > 0)
            diag_warning(&session->diag, NOWHERE, "not fitted: %s", calibrated->blocks[i].refused);
        else
            diag_error(&session->diag, NOWHERE, "%s", calibrated->blocks[i].refused);
    }
    if (calibrated->count == 0)
        session_refuse(session, "no row can be predicted, so nothing can be fitted");
    return calibrated->fitted > 0;
}

static enum exit_status fit(struct measured *measured, const char *to)
{
    struct session *session = measured->session;
    struct calibrated calibrated;
    const char *date = measured_today(session);
    if (!date || !calibrate(&measured->set, measured->device, &measured->filter, date, session->arena,
                            &session->diag, measured_share, measured, &calibrated))
        return STATUS_BAD;
    progress_end(&measured->progress);
    if (!say_refused(session, &calibrated) ||
        (to && !write_device(session, measured->device, &calibrated, to)))
        return STATUS_BAD;
    return put(measured, &calibrated, to);
}

static enum exit_status run(struct session *session)
{
    struct measured measured;
    const char *to = option_text(&session->options, OPTION_FILE);
    if (to && !ends_in_yaml(to))
        return session_refuse(session, "-o: found %.200s, expected a name that ends in .yaml, as devices' do",
                              to);
    session->file = NULL; /* it holds the device */
    enum exit_status status = measured_open(&measured, session, 0) ? fit(&measured, to) : STATUS_BAD;
    measured_close(&measured);
    return status;
}

const struct command command_fit = {
    .name = "fit",
    .summary = "a device's calibration from measured operator times",
    .operands = "FILE.csv...",
    .details =
        "Robust nonlinear least squares on the logarithm of the times, one block of scalars for each source\n"
        "(software and version), operator family and types, within the bounds that physics sets. -o "
        "FILE.yaml\n"
        "writes the device's description with the blocks, in place of those that they replace; it may be "
        "the\n"
        "device's own file. docs/calibration.md tells the files' columns and what the scalars mean. Blocks "
        "with\n"
        "too few samples, or too few sizes, are left out with the reason. Exits with 2 when none is left.\n",
    .examples = "  rafter fit gemm.csv attention.csv -d h100-sxm -o my-h100.yaml\n"
                "  rafter fit gemm.csv -d my-h100.yaml -o my-h100.yaml --source vllm --dtype fp8\n"
                "  rafter estimate -m llama-3.1-8b -d my-h100.yaml\n",
    .rules = {.allowed = OPTIONS_SAMPLES | OPTIONS_FORMAT,
              .operands_most = OPERANDS_MOST,
              .operand = "files of measured times"},
    .run = run,
};
