#include "report/tone.h"

/* ECMA-48 select graphic rendition; the 8 basic colours, so that the terminal's own theme decides how they
 * look. */
static const char *const sequences[TONE_COUNT] = {
    [TONE_PLAIN] = "",        [TONE_STRONG] = "\x1b[1m", [TONE_MUTED] = "\x1b[2m",
    [TONE_GOOD] = "\x1b[32m", [TONE_BAD] = "\x1b[1;31m", [TONE_WARN] = "\x1b[33m",
};

static void tone_begin(struct text *out, bool colour, enum tone tone)
{
    if (colour)
        text_add(out, sequences[tone]);
}

static void tone_end(struct text *out, bool colour, enum tone tone)
{
    if (colour && tone != TONE_PLAIN)
        text_add(out, "\x1b[0m");
}

void tone_add(struct text *out, bool colour, enum tone tone, const char *string)
{
    tone_begin(out, colour, tone);
    text_add(out, string);
    tone_end(out, colour, tone);
}

void tone_printf(struct text *out, bool colour, enum tone tone, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tone_begin(out, colour, tone);
    text_vprintf(out, format, arguments);
    tone_end(out, colour, tone);
    va_end(arguments);
}
