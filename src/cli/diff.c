#include "cli/commands.h"

#include "base/file.h"
#include "report/answer.h"
#include "report/diff.h"
#include "spec/json_file.h"

static bool read_answer(struct session *session, const char *path, struct json_file *file)
{
    size_t length;
    const char *text = file_read(session->arena, &session->diag, path, JSON_BYTES_MOST, &length);
    if (text == NULL || !json_file_parse(file, session->arena, &session->diag, path, text, length))
        return false;
    const char *missing = diff_check(file->root);
    if (missing != NULL) {
        struct source_location where = json_file_where(file, missing);
        diag_error(&session->diag, where.line > 0 ? where : (struct source_location){path, 1, 1},
                   "%s: found %s, expected it as in an answer of `rafter estimate --json`", missing,
                   json_file_found(file, session->arena, missing));
    } else if (json_integer_value(json_object_get(file->root, "schema_version")) != SCHEMA_VERSION) {
        missing = "schema_version";
        diag_error(&session->diag, json_file_where(file, missing), "schema_version: found %s, expected %d",
                   json_file_found(file, session->arena, missing), SCHEMA_VERSION);
    }
    if (missing != NULL)
        json_file_close(file);
    return missing == NULL;
}

static enum exit_status put_diff(struct session *session, const struct diff *diff)
{
    enum { TOP_SHOWN = 12 };
    if (session->format == OUTPUT_JSON)
        return json_add(&session->out, diff_json(diff)) ? STATUS_YES
                                                        : session_refuse(session, "out of memory");
    if (session->format == OUTPUT_CSV)
        return session_put(session, diff_table(diff, session->arena));
    size_t top = option_given(&session->options, OPTION_TOP)
                     ? (size_t)option_number(&session->options, OPTION_TOP)
                     : TOP_SHOWN;
    diff_text(diff, session->colour, session->format == OUTPUT_MARKDOWN, top, session->arena, &session->out);
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    struct diff diff = {.names = {options->operands[0], options->operands[1]}};
    struct json_file before, after;
    if (options->operand_count != 2)
        return session_refuse(session,
                              "which answers? Two files that `rafter estimate --json -o FILE` wrote");
    if (!read_answer(session, diff.names[0], &before))
        return STATUS_BAD;
    if (!read_answer(session, diff.names[1], &after)) {
        json_file_close(&before);
        return STATUS_BAD;
    }
    enum exit_status status = diff_make(&diff, session->arena, before.root, after.root)
                                  ? put_diff(session, &diff)
                                  : session_refuse(session, "out of memory");
    json_file_close(&before);
    json_file_close(&after);
    return status;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "what changed between two JSON answers, and which inputs caused it",
    .operands = "BEFORE.json AFTER.json",
    .details = "Both are answers of `rafter estimate --json`. Inputs that differ, then figures with their "
               "ratio, then\n"
               "the operators whose exposed times change most.\n",
    .examples = "  rafter estimate -m llama-3.1-8b -d h100-sxm -o before.json\n"
                "  rafter estimate -m llama-3.1-8b -d h100-sxm --kv fp8 -o after.json\n"
                "  rafter diff before.json after.json\n",
    .rules = {.allowed = OPTIONS_FORMAT | OPTION_BIT(OPTION_TOP), .operands_most = 2, .operand = "two files"},
    .run = run,
};
