#include "exec/probe/modes.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *sorted, size_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* Sum of squared deviations from the mean. */
static double deviations(const double *values, size_t count)
{
    double mean = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    return sum;
}

/* How many of the sorted values belong to the lower mode; 0: there is but one mode. */
static size_t cut(const double *sorted, size_t count)
{
    const double explained = 0.25, apart = 1.1;
    size_t least = count / 10 > 2 ? count / 10 : 2, best_at = 0;
    double best = explained * deviations(sorted, count);
    for (size_t at = least; at + least <= count; at++) {
        double left = deviations(sorted, at) + deviations(sorted + at, count - at);
        if (left < best && median(sorted + at, count - at) > apart * median(sorted, at)) {
            best = left;
            best_at = at;
        }
    }
    return best_at;
}

static double noise_of(const struct modes *modes, const double *sorted, size_t count, size_t low)
{
    double *off = malloc(count * sizeof *off);
    if (!off)
        return 0;
    for (size_t i = 0; i < count; i++)
        off[i] = fabs(sorted[i] / modes->value[i < low ? 1 : 0] - 1);
    qsort(off, count, sizeof *off, by_value);
    double noise = median(off, count);
    free(off);
    return noise;
}

struct modes modes_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    size_t low = cut(values, count);
    struct modes modes = {.count = low > 0 ? 2 : 1};
    modes.value[0] = median(values + low, count - low);
    modes.share[0] = (double)(count - low) / (double)count;
    if (low > 0) {
        modes.value[1] = median(values, low);
        modes.share[1] = (double)low / (double)count;
    }
    modes.noise = noise_of(&modes, values, count, low);
    return modes;
}
