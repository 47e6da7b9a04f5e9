#include "validate/accuracy.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const double band_ends[BAND_COUNT] = {10e-6, 100e-6, INFINITY}; /* s */

const char *band_name(enum band band)
{
    static const char *const names[BAND_COUNT] = {"< 10 us", "10-100 us", "> 100 us"};
    return names[band];
}

const char *band_key(enum band band)
{
    static const char *const keys[BAND_COUNT] = {"below_10us", "10_to_100us", "above_100us"};
    return keys[band];
}

static enum band band_of(double seconds)
{
    int band = BAND_SHORT;
    while (seconds >= band_ends[band])
        band++;
    return (enum band)band;
}

double tested_error(const struct tested *row)
{
    return row->predicted / row->sample->seconds - 1;
}

double tested_low(const struct tested *row)
{
    return row->sigma > 0 ? row->predicted * exp(-SIGMAS_90 * row->sigma) : NAN;
}

double tested_high(const struct tested *row)
{
    return row->sigma > 0 ? row->predicted * exp(SIGMAS_90 * row->sigma) : NAN;
}

static bool is_of(const struct tested *row, const char *variant)
{
    return !variant || strcmp(row->sample->variant, variant) == 0;
}

bool accuracy_of(const struct tested *rows, size_t count, const char *variant, struct arena *arena,
                 struct accuracy *accuracy)
{
    double *errors = ARENA_ARRAY(arena, double, count + 1), *scratch = ARENA_ARRAY(arena, double, count + 1);
    if (!errors || !scratch)
        return false;
    size_t known = 0, inside = 0;
    for (int band = 0; band <= BAND_COUNT; band++) { /* the last: all of them */
        size_t taken = 0;
        for (size_t i = 0; i < count; i++)
            if (is_of(&rows[i], variant) &&
                (band == BAND_COUNT || (int)band_of(rows[i].sample->seconds) == band))
                errors[taken++] = tested_error(&rows[i]);
        *(band < BAND_COUNT ? &accuracy->bands[band] : &accuracy->all) = summarise(errors, taken, scratch);
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_of(&rows[i], variant) || !(rows[i].sigma > 0))
            continue;
        double measured = rows[i].sample->seconds;
        known++;
        inside += measured >= tested_low(&rows[i]) && measured <= tested_high(&rows[i]);
    }
    accuracy->coverage = known > 0 ? (double)inside / (double)known : NAN;
    return true;
}

static double distance(const struct tested *row)
{
    return fabs(log(row->predicted / row->sample->seconds));
}

/* A row that several folds tested counts once, as it came out worst. */
static size_t forget_milder(const struct tested *rows, size_t *worst, size_t kept, size_t index)
{
    for (size_t i = 0; i < kept; i++) {
        if (rows[worst[i]].sample != rows[index].sample)
            continue;
        if (distance(&rows[worst[i]]) >= distance(&rows[index]))
            return SIZE_MAX;
        memmove(&worst[i], &worst[i + 1], (kept - i - 1) * sizeof *worst);
        return kept - 1;
    }
    return kept;
}

size_t accuracy_worst(const struct tested *rows, size_t count, size_t *worst, size_t most)
{
    size_t kept = 0;
    for (size_t i = 0; i < count && most > 0; i++) {
        size_t left = forget_milder(rows, worst, kept, i);
        if (left == SIZE_MAX)
            continue;
        kept = left;
        size_t at = kept < most ? kept++ : most;
        for (; at > 0 && distance(&rows[worst[at - 1]]) < distance(&rows[i]); at--)
            if (at < most)
                worst[at] = worst[at - 1];
        if (at < most)
            worst[at] = i;
    }
    return kept;
}
