/* Validation on measured samples: predicted as the device is calibrated, or by fits on other samples of the
 * same files (cross-validation, transfer from another device). */
#ifndef RAFTER_VALIDATE_VALIDATION_H
#define RAFTER_VALIDATE_VALIDATION_H

#include "fit/sample_filter.h"
#include "validate/accuracy.h"

enum validation_mode {
    MODE_CALIBRATED, /* as the device is */
    MODE_FOLDS,      /* fitted on one of five fixed folds of rows, tested on the other four; five times */
    MODE_SHAPES,     /* fitted on four fifths of the shapes, tested on the fifth; five times */
    MODE_ROWS,       /* fitted on some rows spread evenly over the block, tested on the rest */
    MODE_TRANSFER    /* fitted on another device's rows */
};

struct validation_plan {
    enum validation_mode mode;
    struct sample_filter filter;
    size_t fit_rows;                            /* ROWS */
    const struct sample_set *others;            /* TRANSFER: samples of the device that is learned from */
    void (*watch)(void *context, double share); /* share of the work done; NULL: nobody watches */
    void *watcher;
};

enum { WORST_MOST = 5, VARIANTS_MOST = 16 };

/* Rows of one family, types and source. */
struct validation_group {
    size_t block; /* of the set */
    enum family family;
    const char *dtype, *source;
    enum provenance provenance; /* of the scalars that predicted: FITTED or, on
                                   another device, INHERITED where a fit of this run did */
    struct tested *rows;        /* a row stands here once for each fit that it was tested on */
    size_t row_count;
    size_t skipped;      /* rows that could not be predicted */
    const char *refused; /* why a fit of this run could not be made; NULL: all were */
    int fits;            /* that were made */
    struct accuracy all;
    const char *variants[VARIANTS_MOST]; /* as the rows have them; one: "" or what all rows are */
    struct accuracy by_variant[VARIANTS_MOST];
    size_t variant_count;
    size_t worst[WORST_MOST]; /* rows */
    size_t worst_count;
};

struct validation {
    const struct sample_set *set;
    const struct validation_plan *plan;
    struct validation_group *groups; /* by family, dtype, source */
    size_t group_count;
    size_t tested; /* rows of all groups */
    size_t skipped;
};

/* Predicts set's samples that the plan's filter leaves on `device` and judges them. false with diag: memory,
 * no sample is left (with the nearest name that there is), a prediction that fails. */
bool validate_samples(const struct sample_set *set, const struct device *device,
                      const struct validation_plan *plan, struct arena *arena, struct diag *diag,
                      struct validation *validation);

#endif
