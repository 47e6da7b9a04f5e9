/* Tones: what a piece of output means, shown as colour on a terminal and not at all elsewhere. */
#ifndef RAFTER_REPORT_TONE_H
#define RAFTER_REPORT_TONE_H

#include "base/text.h"

enum tone { TONE_PLAIN, TONE_STRONG, TONE_MUTED, TONE_GOOD, TONE_BAD, TONE_WARN, TONE_COUNT };

/* Adds text in a tone; colour false: the text alone. */
void tone_add(struct text *out, bool colour, enum tone tone, const char *string);
void tone_printf(struct text *out, bool colour, enum tone tone, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
