#include "cli/commands.h"
#include "cli/kinds.h"
#include "cli/listing.h"
#include "report/json.h"

/* One kind as a table in the session's format. */
static enum exit_status list_kind(struct session *session, enum kind kind)
{
    if (session->format == OUTPUT_JSON) {
        json_t *listed = listing_json(session, kind);
        if (listed == NULL)
            return STATUS_BAD;
        return json_add(&session->out, listed) ? STATUS_YES : session_refuse(session, "out of memory");
    }
    struct table *table = listing_table(session, kind);
    return table != NULL ? session_put(session, table) : STATUS_BAD;
}

/* Names with commas between, wrapped. */
static void put_names(struct text *out, const struct string_list *names)
{
    enum { WIDTH = 100, INDENT = 2 };
    size_t column = 0;
    for (size_t i = 0; i < names->count; i++) {
        size_t length = text_columns(names->items[i]) + (i + 1 < names->count);
        if (column == 0 || column + 1 + length > WIDTH) {
            text_printf(out, "%s%*s", column > 0 ? "\n" : "", INDENT, "");
            column = INDENT;
        } else {
            text_add(out, " ");
            column++;
        }
        text_printf(out, "%s%s", names->items[i], i + 1 < names->count ? "," : "");
        column += length;
    }
    text_add(out, names->count > 0 ? "\n" : "");
}

/* Everything, by name alone: tables of all kinds would run over hundreds of lines. */
static enum exit_status list_all(struct session *session)
{
    if (session->format == OUTPUT_JSON || session->format == OUTPUT_CSV)
        return session_refuse(session, "which kind? `rafter list models --%s`",
                              session->format == OUTPUT_JSON ? "json" : "csv");
    bool markdown = session->format == OUTPUT_MARKDOWN;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct string_list names;
        if (!listing_names(session, (enum kind)kind, &names))
            return STATUS_BAD;
        text_add(&session->out, kind > 0 ? "\n" : "");
        tone_printf(&session->out, session->colour, TONE_STRONG, "%s%s", markdown ? "## " : "",
                    kind_name((enum kind)kind));
        text_printf(&session->out, "  %zu\n%s", names.count, markdown ? "\n" : "");
        put_names(&session->out, &names);
    }
    text_printf(&session->out, "\n`rafter list KIND` tells more of each, `rafter show NAME` all of one.\n");
    return STATUS_YES;
}

static enum exit_status run(struct session *session)
{
    if (!catalogue_parse_once(&session->catalogue))
        return session_refuse(session, "out of memory");
    if (session->options.operand_count == 0)
        return list_all(session);
    enum kind kind = kind_parse(&session->diag, session->options.operands[0]);
    return kind == KIND_COUNT ? STATUS_BAD : list_kind(session, kind);
}

const struct command command_list = {
    .name = "list",
    .summary = "what there is: hardware, models, software, workloads, techniques, mechanisms, types",
    .operands = "[KIND]",
    .details =
        "Descriptions are found in $RAFTER_PATH, ~/.config/rafter, beside the program and in share/rafter.\n",
    .examples = "  rafter list\n  rafter list hardware\n  rafter list models --csv\n",
    .rules = {.allowed = OPTIONS_FORMAT, .operands_most = 1, .operand = "a kind: hardware, models ..."},
    .run = run,
};
