/* Text that grows: what reports and messages are written into before they go out in one piece. */
#ifndef RAFTER_BASE_TEXT_H
#define RAFTER_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* data is NUL-terminated once anything was added, NULL before. failed: memory ran out, later additions are
 * dropped, and whoever writes the text out must say so instead. */
struct text {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
};

void text_add(struct text *text, const char *string);
void text_addn(struct text *text, const char *bytes, size_t length);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list arguments);
void text_free(struct text *text);

/* Bytes of the control character that string starts with, 0 when it is none: C0 (the final NUL too), DEL, and
 * C1 in UTF-8. */
size_t text_control_length(const char *string);

/* Whether string is UTF-8 without control characters: fit for one line on a terminal. */
bool text_is_plain(const char *string);

/* Columns a UTF-8 string takes on a terminal, one per code point. */
size_t text_columns(const char *string);

#endif
