#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* A message quotes what was found, and that may be anything: it is cut to a length people can read, and
 * control characters are written out, so that a file cannot speak to the terminal. */
enum { TEXT_MOST = 1000 };

static const char OUT_OF_MEMORY[] = "error: out of memory";

static size_t escaped_length(const char *text)
{
    size_t length = 0;
    while (*text != '\0') {
        size_t control = text_control_length(text);
        length += control == 0 ? 1 : 4 * control;
        text += control == 0 ? 1 : control;
    }
    return length;
}

static const char *escape_controls(struct arena *arena, const char *text)
{
    char *escaped = arena_alloc(arena, escaped_length(text) + 1, 1);
    if (escaped == NULL)
        return NULL;
    char *out = escaped;
    while (*text != '\0') {
        size_t control = text_control_length(text);
        if (control == 0)
            *out++ = *text++;
        for (; control > 0; control--, text++)
            out += snprintf(out, 5, "\\x%02x", (unsigned char)*text);
    }
    return escaped;
}

/* Cuts an overlong text at the start of a UTF-8 character and marks the cut. */
static void cut(char *text, size_t size)
{
    size_t end = size - sizeof "...";
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", sizeof "...");
}

/* The file's name in the diag's own arena, once for messages in a row. NULL: none, or out of memory. */
static const char *keep_file(struct diag *diag, const char *file)
{
    if (file == NULL)
        return NULL;
    const char *last = diag->last == NULL ? NULL : diag->last->where.file;
    return last != NULL && strcmp(last, file) == 0 ? last : arena_strdup(diag->arena, file);
}

static void add_message(struct diag *diag, enum severity severity, struct source_location where,
                        const char *text)
{
    struct diag_message *message = ARENA_NEW(diag->arena, struct diag_message);
    const char *escaped = escape_controls(diag->arena, text);
    if (message == NULL || escaped == NULL)
        return;
    where.file = keep_file(diag, where.file);
    *message = (struct diag_message){severity, where, escaped, NULL};
    if (diag->last == NULL)
        diag->first = message;
    else
        diag->last->next = message;
    diag->last = message;
}

static void report(struct diag *diag, enum severity severity, struct source_location where,
                   const char *format, va_list arguments)
{
    int *count = severity == SEVERITY_ERROR ? &diag->errors : &diag->warnings;
    if ((*count)++ >= DIAG_MOST)
        return;
    char text[TEXT_MOST];
    int length = vsnprintf(text, sizeof text, format, arguments);
    if (length < 0)
        text[0] = '\0';
    else if ((size_t)length >= sizeof text)
        cut(text, sizeof text);
    add_message(diag, severity, where, text);
}

bool diag_error(struct diag *diag, struct source_location where, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(diag, SEVERITY_ERROR, where, format, arguments);
    va_end(arguments);
    return false;
}

void diag_warning(struct diag *diag, struct source_location where, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(diag, SEVERITY_WARNING, where, format, arguments);
    va_end(arguments);
}

const char *diag_line(const struct diag *diag, const struct diag_message *message)
{
    const char *kind = message->severity == SEVERITY_ERROR ? "error" : "warning";
    struct source_location where = message->where;
    const char *line;
    if (where.file == NULL) {
        line = arena_printf(diag->arena, "%s: %s", kind, message->text);
    } else {
        const char *file = escape_controls(diag->arena, where.file);
        if (file == NULL)
            line = NULL;
        else if (where.line <= 0)
            line = arena_printf(diag->arena, "%s: %s: %s", file, kind, message->text);
        else
            line = arena_printf(diag->arena, "%s:%d:%d: %s: %s", file, where.line, where.column, kind,
                                message->text);
    }
    return line == NULL ? OUT_OF_MEMORY : line;
}

const char *diag_first_error(const struct diag *diag)
{
    for (const struct diag_message *message = diag->first; message != NULL; message = message->next)
        if (message->severity == SEVERITY_ERROR)
            return diag_line(diag, message);
    return diag->errors > 0 ? OUT_OF_MEMORY : "";
}
