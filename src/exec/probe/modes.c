#include "exec/probe/modes.h"

#include <gsl/gsl_sort_double.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

static double median(const double *sorted, size_t count)
{
    return gsl_stats_median_from_sorted_data(sorted, 1, count);
}

/* Sum of squared deviations from the mean. */
static double deviations(const double *values, size_t count)
{
    return gsl_stats_tss(values, 1, count);
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
    double noise = gsl_stats_median(off, 1, count);
    free(off);
    return noise;
}

struct modes modes_of(double *values, size_t count)
{
    gsl_sort(values, 1, count);
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
