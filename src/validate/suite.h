/* Suites: files of checks on measured samples, each with the error it allows. */
#ifndef RAFTER_VALIDATE_SUITE_H
#define RAFTER_VALIDATE_SUITE_H

#include "spec/catalogue.h"
#include "validate/validation.h"

struct suite_check {
    const char *name;
    struct string_list samples;          /* CSV files; relative ones from the suite's folder */
    const char *answers;                 /* a CSV file of published figures, in place of samples */
    const char *device;                  /* of answers: only its rows; NULL: all */
    const char *family, *dtype, *source; /* as in struct sample_filter */
    const char *variant;                 /* judge only these rows; fits take all */
    int mode;                            /* enum validation_mode */
    int fit_rows;                        /* of MODE_ROWS */
    const char *fit_on;                  /* device of MODE_TRANSFER */
    double max_mape;                     /* 0: not judged */
    double max_mape_above_100us;         /* 0: not judged */
    double max_above_folds;              /* MAPE beyond that of MODE_FOLDS; 0: not judged */
    double coverage[2]; /* share of rows inside their 90% interval, from .. to; both 0: not judged */
    struct source_location where;
};

struct suite {
    const char *name, *path;
    struct object_list checks; /* struct suite_check */
    struct source_location where;
};

extern const struct schema suite_schema;

/* Reads a suite; NULL with errors. */
const struct suite *suite_read(struct arena *arena, struct diag *diag, const char *path);

enum verdict { VERDICT_PASSED, VERDICT_FAILED, VERDICT_NOT_HERE, VERDICT_NOTHING };

/* What one check found. Where several sources or types are judged, the worst of them counts. */
struct check_result {
    const struct suite *suite;
    const struct suite_check *check;
    enum verdict verdict;
    const char *note;        /* the file that is not here, why nothing was predicted, what failed; "" */
    size_t tested;           /* rows */
    double mape, allowed;    /* of the group that is nearest to its bar, or furthest beyond it; NAN: none */
    double mape_above_100us; /* of the worst group */
    double coverage_low, coverage_high; /* of its groups */
    const char *source, *dtype;         /* of the group that `mape` is of */
};

/* Runs the checks of a suite, results in file order. Samples and fits that several checks share are made
 * once. false with diag: memory, a device or a file that cannot be read. */
struct suite_run;
struct suite_run *suite_run_new(struct catalogue *catalogue, struct arena *arena, struct diag *diag,
                                void (*watch)(void *context), void *watcher);
bool suite_check_run(struct suite_run *run, const struct suite *suite, const struct suite_check *check,
                     struct check_result *result);

#endif
