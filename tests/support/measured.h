/* For tests: samples that are made up, on the shipped catalogue's devices. */
#ifndef RAFTER_TESTS_MEASURED_H
#define RAFTER_TESTS_MEASURED_H

#include "base/text.h"
#include "fit/fit.h"
#include "spec/catalogue.h"

struct measured_fixture {
    struct arena *arena;
    struct diag diag;
    struct catalogue catalogue;
    const struct device *device;
    struct sample_set set;
};

/* Opens the catalogue and an empty set for the device. */
void measured_start(struct measured_fixture *f, const char *device);
void measured_end(struct measured_fixture *f);

/* Adds the rows of a CSV text; whether that worked. */
bool measured_add(struct measured_fixture *f, const char *csv);

/* 120 GEMMs of bfloat16 of `source` on `device`, from one row to many, times of one microsecond. */
const char *measured_gemms(struct arena *arena, const char *device, const char *source);

/* Gives all samples the times that `block` predicts, times exp(noise z), z from a seeded normal distribution.
 */
void measured_time(struct measured_fixture *f, const struct calibration *block, double noise);

#endif
