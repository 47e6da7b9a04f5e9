#include "report/bar.h"

#include <math.h>
#include <string.h>

enum { WIDTH_MOST = 64, BLOCK_BYTES = 3 }; /* the block characters are 3 bytes of UTF-8 */

static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

const char *bar(struct arena *arena, double fraction, int width)
{
    char out[WIDTH_MOST * BLOCK_BYTES + 8] = "";
    if (!(fraction > 0.0) || width < 1 || width > WIDTH_MOST)
        return "";
    bool over = fraction > 1.0 + 1e-9;
    int steps = (int)lround(fmin(fraction, 1.0) * 8.0 * width);
    steps = steps == 0 ? 1 : steps;
    size_t at = 0;
    for (int i = 0; i < steps / 8; i++, at += BLOCK_BYTES)
        memcpy(out + at, "█", BLOCK_BYTES);
    size_t part = strlen(eighths[steps % 8]);
    memcpy(out + at, eighths[steps % 8], part);
    at += part;
    if (over)
        memcpy(out + at, "▶", BLOCK_BYTES);
    const char *kept = arena_strdup(arena, out);
    return kept != NULL ? kept : "";
}
