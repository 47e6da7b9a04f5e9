#include "cli/explain.h"

#include "cli/commands.h"
#include "report/json.h"

#include <string.h>

/* {"metric": ..., "trail": [lines]} */
static json_t *trail_json(const char *metric, const struct text *trail)
{
    json_t *object = json_object(), *lines = json_array();
    const char *line = trail->data != NULL ? trail->data : "";
    while (*line != '\0') {
        size_t length = strcspn(line, "\n");
        json_array_append_new(lines, json_stringn(line, length));
        line += length + (line[length] == '\n');
    }
    json_object_set_new(object, "metric", json_text(metric));
    json_object_set_new(object, "trail", lines);
    return object;
}

static enum exit_status put_trail(struct session *session, const char *metric, const struct text *trail)
{
    const char *text = trail->data != NULL ? trail->data : "";
    switch (session->format) {
    case OUTPUT_JSON:
        return json_add(&session->out, trail_json(metric, trail)) ? STATUS_YES
                                                                  : session_refuse(session, "out of memory");
    case OUTPUT_CSV:
        return session_refuse(session, "an explanation is no table: --csv cannot print it");
    case OUTPUT_MARKDOWN:
        text_printf(&session->out, "```text\n%s```\n", text);
        return STATUS_YES;
    case OUTPUT_TEXT:
        break;
    }
    text_add(&session->out, text);
    return STATUS_YES;
}

enum exit_status explain_metric(struct session *session, const struct question *question, const char *metric)
{
    struct resolved *resolved = ARENA_NEW(session->arena, struct resolved);
    struct text trail = {0};
    if (resolved == NULL)
        return session_refuse(session, "out of memory");
    if (!question_resolve(resolved, session->arena, &session->diag, &session->catalogue, question))
        return STATUS_BAD;
    enum exit_status status = STATUS_BAD;
    if (estimate_explain(resolved, session->arena, &session->diag, metric, &trail))
        status = put_trail(session, metric, &trail);
    text_free(&trail);
    return status;
}

static enum exit_status no_metric(struct session *session)
{
    size_t count;
    const char *const *metrics = estimate_metrics(&count);
    struct text names = {0};
    for (size_t i = 0; i < count; i++)
        text_printf(&names, "%s%s", i > 0 ? ", " : "", metrics[i]);
    session_refuse(session, "which figure? One of: %s", names.data != NULL ? names.data : "");
    text_free(&names);
    return STATUS_BAD;
}

static enum exit_status run(struct session *session)
{
    struct question question;
    if (session->options.operand_count == 0)
        return no_metric(session);
    if (!session_question(session, &question))
        return STATUS_BAD;
    return explain_metric(session, &question, session->options.operands[0]);
}

const struct command command_explain = {
    .name = "explain",
    .summary = "the formula, inputs and sources behind a figure",
    .operands = "METRIC",
    .details =
        "METRIC is a key of `rafter estimate --json`: ttft_s, tpot_s, memory.total_bytes, cost_usd ...\n",
    .examples =
        "  rafter explain ttft_s -m llama-3.1-8b -d h100-sxm\n"
        "  rafter explain memory.total_bytes -m llama-3-70b -d h100-sxm -n 8 --batch 64 --prompt 4096\n",
    .rules = {.allowed = OPTIONS_QUESTION | OPTIONS_FORMAT, .operands_most = 1, .operand = "a figure's name"},
    .run = run,
};
