/* Fits: the scalars of one calibration block from its samples. */
#ifndef RAFTER_FIT_FIT_H
#define RAFTER_FIT_FIT_H

#include "fit/samples.h"

/* How far predictions are off. Fractions; signed errors are predicted / measured - 1. */
struct error_summary {
    size_t count;
    double mean_absolute; /* MAPE */
    double median;        /* of the absolute errors */
    double p90;
    double bias; /* mean signed error */
};

/* Sorts absolute errors in place. */
struct error_summary summarise(const double *signed_errors, size_t count, double *scratch);

/* "vllm 0.14.0, gemm of bfloat16: reason". In the arena. */
const char *block_refusal(const struct sample_block *block, const struct diag *diag, struct arena *arena);

/* Samples that a fit needs: two for each scalar of the family, and no fewer than this. */
enum { SAMPLES_LEAST = 10, SAMPLES_A_SCALAR = 2, SIZES_A_SCALAR = 2 };

/* Fits the scalars of set->blocks[block] to the samples `chosen` (indices into set->samples, all of that
 * block) on `device`, and fills a calibration block: values, standard errors, residual, parameters, samples,
 * source, PROVENANCE_FITTED. Scalars that the samples do not determine keep what the device's calibrations
 * say and are not given. false with diag: too few samples, fewer sizes than twice the
 * scalars, times that cannot be predicted. */
bool fit_block(const struct sample_set *set, size_t block, const struct device *device, const size_t *chosen,
               size_t count, struct arena *arena, struct diag *diag, struct calibration *calibration);

/* A copy of the device whose calibrations are `blocks` before its own; those of the same key are left out. */
struct device *device_with_blocks(struct arena *arena, const struct device *device,
                                  const struct calibration *blocks, size_t count);

/* Whether two blocks serve the same kernels of the same stack: one replaces the other. */
bool same_calibration_key(const struct calibration *a, const struct calibration *b);

/* Predictions of the chosen samples of one block on a device: seconds[] and sigmas[] (NULL: not wanted). */
bool predict_samples(const struct sample_set *set, size_t block, const struct device *device,
                     const size_t *chosen, size_t count, struct diag *diag, double *seconds, double *sigmas);

/* Indices of a block's samples for which keep() holds; keep NULL: all. */
size_t choose_samples(const struct sample_set *set, size_t block, struct arena *arena,
                      bool (*keep)(const struct sample *sample, const void *context), const void *context,
                      size_t **chosen);

#endif
