#include "cli/session.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool session_open(struct session *session)
{
    *session = (struct session){.arena = arena_new(0)};
    if (session->arena == NULL)
        return false;
    session->diag.arena = session->arena;
    catalogue_open(&session->catalogue, session->arena);
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static enum output_format format_of_file(const char *path)
{
    if (path == NULL)
        return OUTPUT_TEXT;
    if (ends_with(path, ".json"))
        return OUTPUT_JSON;
    if (ends_with(path, ".csv"))
        return OUTPUT_CSV;
    return ends_with(path, ".md") ? OUTPUT_MARKDOWN : OUTPUT_TEXT;
}

/* https://no-color.org: set and not empty means no colour, whatever its value. */
static bool colour_wanted(int descriptor)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (no_color != NULL && no_color[0] != '\0')
        return false;
    return isatty(descriptor) == 1 && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

bool session_choose_format(struct session *session)
{
    const struct options *options = &session->options;
    bool json = option_given(options, OPTION_JSON), csv = option_given(options, OPTION_CSV);
    bool markdown = option_given(options, OPTION_MARKDOWN);
    if (json + csv + markdown > 1)
        return diag_error(&session->diag, NOWHERE, "--json, --csv and --markdown: only one can be printed");
    session->file = option_text(options, OPTION_FILE);
    if (session->file != NULL && strcmp(session->file, "-") == 0)
        session->file = NULL;
    session->format = format_of_file(session->file);
    if (json || csv || markdown)
        session->format = json ? OUTPUT_JSON : csv ? OUTPUT_CSV : OUTPUT_MARKDOWN;
    session->colour = session->format == OUTPUT_TEXT && session->file == NULL && colour_wanted(STDOUT_FILENO);
    return true;
}

/* All of it or false with errno; interrupted and partial writes go on. */
static bool write_all(int descriptor, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, data, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        length -= (size_t)written;
    }
    return true;
}

static bool write_out(struct session *session)
{
    const struct text *out = &session->out;
    if (out->failed)
        return diag_error(&session->diag, NOWHERE, "out of memory");
    if (session->file != NULL)
        return file_write(&session->diag, session->file, out->data != NULL ? out->data : "", out->length);
    if (write_all(STDOUT_FILENO, out->data, out->length))
        return true;
    return diag_error(&session->diag, NOWHERE, "cannot write to standard output: %s", strerror(errno));
}

/* "error:" red and "warning:" yellow, wherever in the line a place has put them. */
static void add_message(struct text *out, bool colour, const struct diag *diag,
                        const struct diag_message *message)
{
    const char *line = diag_line(diag, message);
    const char *word = message->severity == SEVERITY_ERROR ? "error:" : "warning:";
    const char *at = strstr(line, word);
    text_add(out, "rafter: ");
    if (at == NULL) {
        text_printf(out, "%s\n", line);
        return;
    }
    text_addn(out, line, (size_t)(at - line));
    tone_add(out, colour, message->severity == SEVERITY_ERROR ? TONE_BAD : TONE_WARN, word);
    text_printf(out, "%s\n", at + strlen(word));
}

static void write_messages(const struct diag *diag)
{
    struct text out = {0};
    bool colour = colour_wanted(STDERR_FILENO);
    int shown = 0;
    for (const struct diag_message *message = diag->first; message != NULL; message = message->next, shown++)
        add_message(&out, colour, diag, message);
    if (diag->errors + diag->warnings > shown)
        text_printf(&out, "rafter: and %d more\n", diag->errors + diag->warnings - shown);
    if (out.data != NULL)
        (void)write_all(STDERR_FILENO, out.data, out.length); /* nowhere left to say that this failed */
    text_free(&out);
}

enum exit_status session_finish(struct session *session, enum exit_status status)
{
    if (status != STATUS_BAD && !write_out(session))
        status = STATUS_BAD;
    write_messages(&session->diag);
    text_free(&session->out);
    arena_free(session->arena);
    return status;
}

enum exit_status session_put(struct session *session, const struct table *table)
{
    enum table_format format = session->format == OUTPUT_CSV        ? TABLE_CSV
                               : session->format == OUTPUT_MARKDOWN ? TABLE_MARKDOWN
                                                                    : TABLE_TEXT;
    if (table_write(table, format, session->colour, 0, &session->out))
        return STATUS_YES;
    return session_refuse(session, "out of memory");
}

enum exit_status session_refuse(struct session *session, const char *format, ...)
{
    va_list arguments;
    struct text message = {0};
    va_start(arguments, format);
    text_vprintf(&message, format, arguments);
    va_end(arguments);
    diag_error(&session->diag, NOWHERE, "%s", message.data != NULL ? message.data : "out of memory");
    text_free(&message);
    return STATUS_BAD;
}
