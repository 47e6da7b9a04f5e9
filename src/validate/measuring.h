/* The inside of a measurement. Private to validate/measure*. */
#ifndef RAFTER_VALIDATE_MEASURING_H
#define RAFTER_VALIDATE_MEASURING_H

#include "exec/kernels/attention.h"
#include "exec/kernels/gemm.h"
#include "validate/measure.h"

/* Weights begin at multiples of so many blocks, and hence of 64 bytes. */
enum { WEIGHT_GRAIN = 64 };

struct measuring {
    struct arena *arena;
    struct measure_options options;
    struct machine_rates rates;
    struct team *team; /* all cores */
    struct team *one;  /* one core; NULL: there are no more */
    enum isa isa;
    char *bulk; /* far larger than the caches, for what comes from DRAM */
    size_t bulk_bytes;
    size_t probed; /* where in bulk the next DRAM probe starts */
    size_t cursor; /* where the next operand that is to come from DRAM lies */
    float *x, *y;  /* activations */
    size_t x_floats, y_floats;
    float *fresh; /* the produced operands of a trial, somewhere in bulk */
    struct gemm_scratch gemm;
    struct attention_scratch attention;
    double best_pace; /* 1/s of a fixed work in the first caches: what undisturbed cores do */
    double done, all; /* s of work, for the share */
};

/* One shape of one kernel, run again and again. */
struct trial {
    /* Runs it once; false with diag. */
    bool (*run)(struct measuring *measuring, struct trial *trial, struct diag *diag);
    /* Writes its operands as the operators before it would, before each run and outside its time; NULL: they
     * are left as the run before left them. */
    void (*produce)(struct measuring *measuring, const struct trial *trial);
    const void *shape;
    const char *cells; /* CSV cells after device and source, without the time */
    double least;      /* s; 0: not timed yet */
    int clean;         /* times that nothing disturbed */
};

/* Times trials in turn, round after round, each at least `least_s` a round, and adds a row with the least of
 * the rounds to the csv for each. A DRAM probe goes before each round. */
bool measure_trials(struct measuring *measuring, struct diag *diag, struct trial *trials, size_t count,
                    const char *device, const char *source, struct text *csv);

/* The next `bytes` of bulk (at most all of it), at a multiple of `grain`: behind what any trial had last, so
 * that it is long out of the caches. */
char *measuring_next(struct measuring *measuring, size_t bytes, size_t grain);

/* One short probe of DRAM; of all cores' peaks, of which the best counts. */
void measure_dram(struct measuring *measuring);
void measure_peaks(struct measuring *measuring);

/* All rates of all cores and of one once more; overwrites bulk. */
void measure_rates_again(struct measuring *measuring);

/* Adds to the work done, in s, and tells the watcher. */
void measuring_advance(struct measuring *measuring, double seconds);

/* Fills bulk with rows of the type whose values are like weights. */
bool measure_fill_weights(struct measuring *measuring, struct diag *diag, enum weight_type type);

/* Makes `fresh` `count` matrices [rows][width] that no cache has had, and writes those as products would
 * leave them, one after the other. */
void measure_produce(struct measuring *measuring, size_t rows, size_t width, size_t count);

bool measure_gemms(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                   struct text *csv);
bool measure_attentions(struct measuring *measuring, struct diag *diag, const char *device,
                        const char *source, struct text *csv);
bool measure_mlas(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                  struct text *csv);
bool measure_streams(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                     struct text *csv);
bool measure_moes(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                  struct text *csv);
bool measure_recurrences(struct measuring *measuring, struct diag *diag, const char *device,
                         const char *source, struct text *csv);

#endif
