/* Bars: shares of a whole, drawn in eighths of a character. */
#ifndef RAFTER_REPORT_BAR_H
#define RAFTER_REPORT_BAR_H

#include "base/arena.h"

/* fraction of `width` characters, at most `width` and then an arrow when it is more than 1. "" for NaN. */
const char *bar(struct arena *arena, double fraction, int width);

#endif
