/* Figures as people read them: four significant digits, a prefix that fits, "-" for what is unknown (NaN).
 * All in the arena; "" when its memory is out. */
#ifndef RAFTER_REPORT_HUMAN_H
#define RAFTER_REPORT_HUMAN_H

#include "base/arena.h"

enum human_kind {
    HUMAN_SECONDS,           /* 12.34 ms */
    HUMAN_BYTES,             /* 14.96 GiB */
    HUMAN_FLOP,              /* 132.1 TFLOP */
    HUMAN_FLOP_PER_SECOND,   /* 989.4 TFLOP/s */
    HUMAN_BYTES_PER_SECOND,  /* 3.350 TB/s */
    HUMAN_JOULES,            /* 1.234 kJ */
    HUMAN_WATTS,             /* 562.3 W */
    HUMAN_USD,               /* $1.234, $0.00001234 */
    HUMAN_KILOGRAMS,         /* 12.34 g */
    HUMAN_TOKENS_PER_SECOND, /* 1066 tokens/s, thousands apart: 10 660 */
    HUMAN_PER_SECOND,        /* 4.164 /s */
    HUMAN_NUMBER,            /* 1 234 or 3.142 */
    HUMAN_PARTS              /* parameters and the like: 8.030 G */
};

const char *human(struct arena *arena, enum human_kind kind, double value);
/* fraction 0.0 .. 1.0 -> "36.6%" */
const char *human_percent(struct arena *arena, double fraction);
/* 1.523 -> "1.52x" */
const char *human_ratio(struct arena *arena, double ratio);
/* "110 .. 140 ms": both ends with the prefix that fits the higher one, which has three digits. */
const char *human_range(struct arena *arena, double low_s, double high_s);

#endif
