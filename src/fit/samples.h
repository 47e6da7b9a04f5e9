/* Measured operator times: rows of CSV files as operators that can be costed. */
#ifndef RAFTER_FIT_SAMPLES_H
#define RAFTER_FIT_SAMPLES_H

#include "base/csv.h"
#include "cost/cost.h"

#include <stdint.h>

enum { FOLDS = 5 };

/* One row. Its operators run one after the other; the first is the one whose calibration is judged. */
struct sample {
    double seconds; /* measured */
    const struct graph *graph;
    struct segment segment;
    size_t block; /* index in the set's blocks */
    uint64_t line_hash;
    uint64_t shape_hash; /* same for rows that a split by shape keeps together */
    uint64_t work_hash;  /* same for rows of the same work: all columns but device, source, kernel and time */
    const char *text;    /* the line */
    const struct csv_table *table;
    const struct csv_row *row;
    struct source_location where;
    const char *dtype;   /* as the file has it: "int4_wo", "bfloat16/fp8" */
    const char *variant; /* what a family's rows are told apart by in reports: "balanced", "graph"; "" */
    const char *kernel;  /* as the file names it, "" when it does not */
};

/* Rows that one calibration block serves: same source, family, formats. */
struct sample_block {
    const char *source; /* as the file has it: "vllm 0.14.0" */
    const char *dtype;  /* all that its samples have: "int4_wo", "half, int8" */
    const char *software_id;
    const char *version;
    struct software software; /* the profile of that name with this version, or one that only has a name */
    enum family family;
    enum number_format format;
    enum operand operand;
    size_t count;
};

enum { FAMILY_UNKNOWN = -1 };

/* Rows that cannot be predicted: those alike in all of this. */
struct skipped_rows {
    const char *reason, *source, *dtype;
    int family; /* enum family, or FAMILY_UNKNOWN where the device cannot run the operator */
    struct source_location first;
    size_t count;
};

/* Rows measured on another device. */
struct other_device {
    const char *name;
    size_t count;
};

struct sample_set {
    struct arena *arena;
    const struct device *device;
    struct system_member member;
    struct system system; /* as many of the device as any sample needs */
    struct sample *samples;
    size_t count, capacity;
    struct sample_block *blocks;
    size_t block_count;
    struct skipped_rows *skipped;
    size_t skipped_kinds;
    size_t skipped_count;
    size_t other_devices;        /* rows measured on other devices */
    struct other_device *others; /* the first few of them by name */
    size_t other_count;
    struct software *profiles; /* one a source */
    const char **profile_sources;
    size_t profile_count;
    struct arena *scratch;        /* for one row; only while reading */
    void (*watch)(void *context); /* called now and then while fits go on; NULL: nobody watches */
    void *watcher;
};

/* Finds a software profile by name; NULL when there is none (that is no error). */
typedef const struct software *software_lookup(void *context, const char *name);

/* An empty set for the device. */
void samples_start(struct sample_set *set, struct arena *arena, const struct device *device);

/* Adds a file's rows. Its columns say which schema it has (docs/calibration.md lists them). Rows whose device
 * is none of the device's names, taken as the catalogue takes them, are counted. false with diag where the
 * file is not such a file or a cell is not what its column holds; rows that are well-formed but cannot be
 * modelled are skipped with their reason.
 */
bool samples_read(struct sample_set *set, struct diag *diag, const char *path, software_lookup *lookup,
                  void *context);

/* The same of a table that is read already; it must live as long as the set. */
bool samples_add(struct sample_set *set, struct diag *diag, const struct csv_table *table,
                 software_lookup *lookup, void *context);

/* The target on which a block's samples are predicted: device with its calibrations, the block's software,
 * operators repeated on the same operands as benchmarks do. device may differ from the set's in calibrations
 * and rates. The system is the caller's to keep. */
bool samples_target(const struct sample_set *set, const struct sample_block *block,
                    const struct device *device, struct system *system, struct system_member *member,
                    struct target *target, struct diag *diag);

/* Predicted time of a sample, and the sigma of log(measured / predicted) that its calibration claims (0: not
 * known). scratch is reset. false with diag when the device cannot run it, or in no finite time. */
bool sample_predict(const struct sample *sample, const struct target *target, struct arena *scratch,
                    struct diag *diag, double *seconds, double *sigma);

/* The same for the chosen ones (indices into set->samples) on all processors; sigmas NULL: not wanted. */
bool samples_predict(const struct sample_set *set, const size_t *chosen, size_t count,
                     const struct target *target, struct diag *diag, double *seconds, double *sigmas);

/* What was measured: "m 4096, n 8192, k 1024": all columns that work_hash covers but types. In the arena. */
const char *sample_dimensions(const struct sample *sample, struct arena *arena);

/* Fixed folds: FNV-1a (64 bit) of the line, or of the shape, mod FOLDS. */
unsigned sample_fold(const struct sample *sample, bool by_shape);

uint64_t fnv1a(uint64_t hash, const char *text, size_t length);
#define FNV1A_START 14695981039346656037ULL

#endif
