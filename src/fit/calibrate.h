/* Calibration blocks for a device from a set of samples: one for each source, family and types. */
#ifndef RAFTER_FIT_CALIBRATE_H
#define RAFTER_FIT_CALIBRATE_H

#include "fit/fit.h"
#include "fit/sample_filter.h"

struct calibrated_block {
    const struct sample_block *of;
    size_t samples;
    struct error_summary before, after; /* with the device as it was, with this block */
    struct calibration calibration;
    const char *refused; /* why there is none; NULL: there is */
};

struct calibrated {
    struct calibrated_block *blocks; /* in the order of the files */
    size_t count, fitted;
};

/* Fits a block to the filtered samples of each of the set's, dated `date`. One that cannot be fitted has the
 * reason and is no error. watch: called after each, with the share of samples done; NULL: nobody. false with
 * diag: the filter leaves nothing, memory, a sample that cannot be predicted. */
bool calibrate(const struct sample_set *set, const struct device *device, const struct sample_filter *filter,
               const char *date, struct arena *arena, struct diag *diag,
               void (*watch)(void *context, double share), void *watcher, struct calibrated *out);

#endif
