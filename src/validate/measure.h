/* Measuring this machine: what its processor, memory and disk do at best (exec/probe), and how long the
 * executor's kernels take on a grid of sizes, as samples that fit/ takes like any others. Microbenchmarks
 * only: models, prompts and techniques are left for validation. */
#ifndef RAFTER_VALIDATE_MEASURE_H
#define RAFTER_VALIDATE_MEASURE_H

#include "base/text.h"
#include "exec/probe/disk.h"
#include "exec/probe/machine.h"
#include "exec/probe/modes.h"
#include "exec/probe/rates.h"
#include "spec/catalogue.h"

struct measure_options {
    bool quick;         /* a quarter of the time and of the grid */
    const char *folder; /* whose disk is probed */
    void (*watch)(void *context,
                  double share); /* now and then, with the share of the work that is done; NULL */
    void *watcher;
};

enum { TEAMS_MOST = 12, DRAM_PROBES_MOST = 512, PACE_PROBES_MOST = 4096 };

/* byte/s; [level] of the cache that holds the buffer, [0]: DRAM. 0: there is no such level. */
struct bandwidths {
    double read[CACHE_LEVELS + 1], write[CACHE_LEVELS + 1], copy[CACHE_LEVELS + 1];
};

/* What so many threads do, one a core. */
struct thread_rates {
    int threads;
    double peak[ARITHMETIC_COUNT];
    double start_s;
    struct bandwidths bandwidth;
};

struct machine_rates {
    struct machine machine;
    struct thread_rates teams[TEAMS_MOST]; /* 1, 2, 4 ... and all cores */
    int team_count;
    struct modes dram; /* read by all cores, again and again over the whole measurement */
    double dram_probes[DRAM_PROBES_MOST];
    size_t dram_count;
    struct modes pace; /* of work from the first caches, by all cores, between the kernels */
    double pace_probes[PACE_PROBES_MOST];
    size_t pace_count;
    size_t trials, noisy_trials; /* kernels timed; of them, those never timed undisturbed */
    double admits;         /* of what the cores' own caches gave up the shared cache kept; <0: not measured */
    int peer_level;        /* the outermost cache of each core's own */
    double peer_bandwidth; /* byte/s, all cores reading there what others wrote; 0: not measured */
    struct disk_rates disk;
    const char *no_disk; /* why it was not probed; NULL: it was */
};

struct measuring;

/* Buffers and threads for a measurement. NULL with diag. measuring_free is due. */
struct measuring *measuring_new(struct arena *arena, struct diag *diag,
                                const struct measure_options *options);
void measuring_free(struct measuring *measuring);

/* All but the kernels. false with diag. */
bool measure_rates(struct measuring *measuring, struct diag *diag);
const struct machine_rates *measuring_rates(const struct measuring *measuring);

/* Times the executor's kernels; each schema's rows (docs/calibration.md) go to a text of its own, which
 * starts with the header. `device` and `source` are what the rows say of themselves. false with diag: memory.
 */
enum sample_schema_kind {
    SAMPLES_GEMM,
    SAMPLES_ATTENTION,
    SAMPLES_MLA,
    SAMPLES_STREAM,
    SAMPLES_MOE,
    SAMPLES_RECURRENT,
    SAMPLE_SCHEMAS
};
extern const char *const sample_schema_names[SAMPLE_SCHEMAS];
bool measure_kernels(struct measuring *measuring, struct diag *diag, const char *device, const char *source,
                     struct text csv[SAMPLE_SCHEMAS]);

/* Takes stock of the probes of DRAM and of the cores' pace made so far. */
void measure_modes(struct measuring *measuring);

/* Adds the device's description, without calibration: it extends cpu-x86 or cpu-arm. */
void measured_yaml(const struct machine_rates *rates, const char *date, struct text *out);

/* The device of such a text, what it extends taken from the catalogue. NULL with diag. */
const struct device *measured_device(struct catalogue *catalogue, struct diag *diag, const char *text,
                                     const char *id);

/* What a reader should be warned of: two modes, noise, a disk that was not probed. Lines in the arena. */
size_t measured_warnings(const struct machine_rates *rates, struct arena *arena, const char **lines,
                         size_t most);

#endif
