/* How far predictions are from measurements. */
#ifndef RAFTER_VALIDATE_ACCURACY_H
#define RAFTER_VALIDATE_ACCURACY_H

#include "fit/fit.h"

/* By measured time: launches rule the shortest, rates the longest. */
enum band { BAND_SHORT, BAND_MIDDLE, BAND_LONG, BAND_COUNT }; /* below 10 us, to 100 us, above */
const char *band_name(enum band band);                        /* "< 10 us" */
const char *band_key(enum band band);                         /* "below_10us" */

/* One measured sample with its prediction. */
struct tested {
    const struct sample *sample;
    double predicted; /* s */
    double sigma;     /* of log(measured / predicted), as the calibration claims; 0: not known */
    int fold;         /* whose fit predicted it; -1: no folds */
};

/* predicted / measured - 1 */
double tested_error(const struct tested *row);
/* Ends of the interval that holds the measured time with 90%; NAN where sigma is not known. */
double tested_low(const struct tested *row);
double tested_high(const struct tested *row);

struct accuracy {
    struct error_summary all;
    struct error_summary bands[BAND_COUNT];
    double coverage; /* share of rows inside their 90% interval, of those that have one; NAN: none has */
};

/* Of the rows whose variant this is; NULL: of all. false: memory. */
bool accuracy_of(const struct tested *rows, size_t count, const char *variant, struct arena *arena,
                 struct accuracy *accuracy);

/* Indices of the rows of different samples with the largest |log(predicted / measured)|, worst first; their
 * number.
 */
size_t accuracy_worst(const struct tested *rows, size_t count, size_t *worst, size_t most);

#endif
