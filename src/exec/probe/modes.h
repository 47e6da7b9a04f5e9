/* Repeated probes of one rate on a machine that others use too: often two groups (the rate alone, the rate
 * beside a neighbour), each with its own scatter. */
#ifndef RAFTER_EXEC_PROBE_MODES_H
#define RAFTER_EXEC_PROBE_MODES_H

#include <stddef.h>

struct modes {
    int count;       /* 1 or 2 */
    double value[2]; /* medians, the greater first */
    double share[2]; /* of the probes */
    double noise;    /* relative scatter within the modes: median of |probe / its mode - 1| */
};

/* Sorts values[count] (count >= 1, all > 0). Two modes where the best cut in two leaves less than a quarter
 * of the squared deviations of one group, each side has a tenth of the probes and two of them, and the
 * medians are apart by more than a tenth. */
struct modes modes_of(double *values, size_t count);

#endif
