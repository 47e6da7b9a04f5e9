#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

/* Room for `more` bytes and the NUL behind them. */
static bool reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more > SIZE_MAX / 4 || text->length > SIZE_MAX / 4) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return true;
    size_t capacity = text->capacity == 0 ? FIRST_CAPACITY : text->capacity;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_addn(struct text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length > 0)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_addn(text, string, strlen(string));
}

void text_vprintf(struct text *text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(text, format, arguments);
    va_end(arguments);
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

size_t text_control_length(const char *string)
{
    unsigned char c = (unsigned char)string[0];
    if (c < 0x20 || c == 0x7f)
        return 1;
    unsigned char next = (unsigned char)string[1];
    return c == 0xc2 && next >= 0x80 && next <= 0x9f ? 2 : 0;
}

/* Bytes of the UTF-8 character that string starts with, 0 when it is none: no overlong forms, no surrogates,
 * nothing beyond U+10FFFF (RFC 3629, section 4). */
static size_t character_length(const char *string)
{
    unsigned char c = (unsigned char)string[0], second = (unsigned char)string[1];
    size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
        (c == 0xf4 && second > 0x8f))
        return 0;
    for (size_t i = 1; i < length; i++)
        if (((unsigned char)string[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool text_is_plain(const char *string)
{
    while (*string != '\0') {
        size_t length = character_length(string);
        if (length == 0 || text_control_length(string) > 0)
            return false;
        string += length;
    }
    return true;
}

size_t text_columns(const char *string)
{
    size_t columns = 0;
    for (; *string != '\0'; string++)
        if (((unsigned char)*string & 0xc0) != 0x80) /* not a continuation byte */
            columns++;
    return columns;
}
