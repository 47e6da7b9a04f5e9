/* What the machine does at best, by threads. */
#include "validate/measuring.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>

enum { MIB = 1 << 20, X_FLOATS = 8 << 20, Y_FLOATS = 40 << 20 };

/* DRAM is what a buffer of several times the last cache is read from; at least, and at most of what there is.
 */
#define BULK_LEAST  (512.0 * MIB)
#define BULK_MOST   (4096.0 * MIB)
#define CACHES_OVER 4.0

enum { QUICK_S = 15, FULL_S = 60 }; /* about what it takes */

static double last_cache(const struct machine *machine)
{
    double most = 0;
    for (int level = 1; level <= CACHE_LEVELS; level++)
        most = machine->caches[level].bytes > most ? machine->caches[level].bytes : most;
    return most;
}

static size_t bulk_size(const struct machine *machine)
{
    double bytes = CACHES_OVER * last_cache(machine), quarter = machine->memory_bytes / 4;
    bytes = bytes < BULK_LEAST ? BULK_LEAST : bytes > BULK_MOST ? BULK_MOST : bytes;
    if (quarter >= 64.0 * MIB && bytes > quarter)
        bytes = quarter;
    return (size_t)(bytes / MIB) * MIB;
}

struct measuring *measuring_new(struct arena *arena, struct diag *diag, const struct measure_options *options)
{
    struct measuring *measuring = ARENA_NEW(arena, struct measuring);
    if (!measuring) {
        diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    *measuring = (struct measuring){
        .arena = arena, .options = *options, .isa = cpu_isa(), .all = options->quick ? QUICK_S : FULL_S};
    struct machine *machine = &measuring->rates.machine;
    if (!machine_read(machine, arena, diag, ""))
        return NULL;
    measuring->bulk_bytes = bulk_size(machine);
    measuring->x_floats = X_FLOATS;
    measuring->y_floats = Y_FLOATS;
    measuring->team = team_new(arena, diag, machine->cores);
    if (measuring->team)
        measuring->bulk = buffer_new(diag, measuring->bulk_bytes);
    if (measuring->bulk)
        measuring->x = buffer_new(diag, X_FLOATS * sizeof(float));
    if (measuring->x)
        measuring->y = buffer_new(diag, Y_FLOATS * sizeof(float));
    if (!measuring->bulk || !measuring->x || !measuring->y) {
        measuring_free(measuring);
        return NULL;
    }
    memset(measuring->bulk, 1, measuring->bulk_bytes);
    memset(measuring->y, 0, Y_FLOATS * sizeof(float));
    for (size_t i = 0; i < X_FLOATS; i++) /* of both signs, of a few sizes */
        measuring->x[i] = (float)((int)(i * 2654435761U >> 24 & 127) - 63) / 64.0F;
    return measuring;
}

void measuring_free(struct measuring *measuring)
{
    if (!measuring)
        return;
    if (measuring->bulk)
        buffer_free(measuring->bulk, measuring->bulk_bytes);
    if (measuring->x)
        buffer_free(measuring->x, X_FLOATS * sizeof(float));
    if (measuring->y)
        buffer_free(measuring->y, Y_FLOATS * sizeof(float));
    gemm_scratch_free(&measuring->gemm);
    attention_scratch_free(&measuring->attention);
}

const struct machine_rates *measuring_rates(const struct measuring *measuring)
{
    return &measuring->rates;
}

void measuring_advance(struct measuring *measuring, double seconds)
{
    measuring->done += seconds;
    double share = measuring->done / measuring->all;
    if (measuring->options.watch)
        measuring->options.watch(measuring->options.watcher, share < 1 ? share : 1);
}

char *measuring_next(struct measuring *measuring, size_t bytes, size_t grain)
{
    size_t from = (measuring->cursor + grain - 1) / grain * grain;
    if (from + bytes > measuring->bulk_bytes)
        from = 0;
    measuring->cursor = from + bytes;
    return measuring->bulk + from;
}

void measure_dram(struct measuring *measuring)
{
    enum { PROBE = 32 * MIB };
    struct machine_rates *rates = &measuring->rates;
    if (rates->dram_count == DRAM_PROBES_MOST || measuring->bulk_bytes < 2 * PROBE)
        return;
    if (measuring->probed + PROBE > measuring->bulk_bytes)
        measuring->probed = 0;
    rates->dram_probes[rates->dram_count++] =
        read_bandwidth(measuring->team, measuring->bulk + measuring->probed, PROBE, 1);
    measuring->probed += PROBE;
}

void measure_peaks(struct measuring *measuring)
{
    struct machine_rates *rates = &measuring->rates;
    double *best = rates->teams[rates->team_count - 1].peak;
    for (int a = 0; a < ARITHMETIC_COUNT; a++) {
        double peak = arithmetic_peak(measuring->team, measuring->isa, (enum arithmetic)a, 1);
        best[a] = peak > best[a] ? peak : best[a];
    }
}

void measure_modes(struct measuring *measuring)
{
    struct machine_rates *rates = &measuring->rates;
    if (rates->dram_count > 0)
        rates->dram = modes_of(rates->dram_probes, rates->dram_count);
    if (rates->pace_count > 0)
        rates->pace = modes_of(rates->pace_probes, rates->pace_count);
}

/* A buffer that the level holds and the one nearer does not: four times what that holds, at most half of the
 * level; twice the nearer level at least. 0: no such size. Of a big cache only a part is used, since
 * neighbours may have the rest. */
static size_t level_bytes(const struct machine *machine, int level, int threads)
{
    const struct machine_cache *cache = &machine->caches[level];
    if (cache->instances == 0)
        return 0;
    double each = cache->bytes / cache->instances, cores = (double)machine->cores / cache->instances;
    double instances = threads / cores < 1 ? 1 : threads / cores, half = each * instances / 2, nearer = 0;
    for (int below = level - 1; below >= 1; below--) {
        const struct machine_cache *smaller = &machine->caches[below];
        double held = smaller->instances > 0 ? threads * (smaller->bytes / smaller->instances) : 0;
        nearer = held > nearer ? held : nearer;
    }
    if (half < 2 * nearer)
        return 0;
    return (size_t)(nearer > 0 && half > 4 * nearer ? 4 * nearer : half);
}

static void keep_greater(double *kept, double rate)
{
    *kept = rate > *kept ? rate : *kept;
}

/* Each rate is the best that was seen in all calls. */
static void measure_team(struct measuring *measuring, struct team *team, struct thread_rates *rates)
{
    const struct machine *machine = &measuring->rates.machine;
    int rounds = measuring->options.quick ? 3 : 5;
    struct bandwidths *to = &rates->bandwidth;
    double start_s = team_start_seconds(team);
    rates->start_s = rates->threads > 0 && rates->start_s < start_s ? rates->start_s : start_s;
    rates->threads = team_threads(team);
    for (int a = 0; a < ARITHMETIC_COUNT; a++)
        keep_greater(&rates->peak[a], arithmetic_peak(team, measuring->isa, (enum arithmetic)a, rounds));
    for (int level = 0; level <= CACHE_LEVELS; level++) {
        size_t bytes = level == 0 ? measuring->bulk_bytes / 2 : level_bytes(machine, level, rates->threads);
        if (bytes == 0)
            continue;
        int passes = level == 0 ? 1 : rounds;
        char *bulk = measuring->bulk;
        keep_greater(&to->read[level], read_bandwidth(team, bulk, bytes, passes));
        keep_greater(&to->write[level], write_bandwidth(team, bulk, bytes, passes));
        /* what is copied and the copy share the level */
        keep_greater(&to->copy[level], copy_bandwidth(team, bulk, bulk + bytes / 2, bytes / 2, passes));
    }
}

/* The outermost cache that cores share; 0: there is none. */
static int shared_level(const struct machine *machine)
{
    for (int level = CACHE_LEVELS; level >= 1; level--)
        if (machine->caches[level].instances > 0 && machine->caches[level].instances < machine->cores)
            return level;
    return 0;
}

/* Of what was written once and fell out of the cores' own caches, the share that the shared cache still has:
 * the rate of reading it lies between the cache's and memory's. Caches that are no superset of the nearer
 * ones may keep just lines that came back to them (Intel's since Skylake-SP keep some). */
static double measure_admission(struct measuring *measuring)
{
    enum { TIMES = 15 };
    const struct machine_rates *rates = &measuring->rates;
    const struct bandwidths *bandwidth = &rates->teams[rates->team_count - 1].bandwidth;
    int level = shared_level(&rates->machine);
    size_t bytes = level > 0 ? level_bytes(&rates->machine, level, rates->machine.cores) : 0;
    if (bytes == 0 || bytes * TIMES * 2 > measuring->bulk_bytes)
        return -1;
    double hit = 1 / bandwidth->read[level], miss = 1 / bandwidth->read[0], times[TIMES];
    size_t flushed = measuring->bulk_bytes - bytes * TIMES;
    read_bandwidth(measuring->team, measuring->bulk, flushed, 1);
    for (size_t i = 0; i < TIMES; i++)
        times[i] =
            1 / written_read_bandwidth(measuring->team, measuring->bulk + flushed + i * bytes, bytes, false);
    double share = (miss - gsl_stats_median(times, 1, TIMES)) / (miss - hit);
    return miss > hit ? fmin(fmax(share, 0), 1) : -1;
}

/* The outermost cache that each core has for itself. */
static int own_level(const struct machine *machine)
{
    int own = 0;
    for (int level = 1; level <= CACHE_LEVELS; level++)
        own = machine->caches[level].instances >= machine->cores ? level : own;
    return own;
}

/* Half of what the cores' own caches hold, read by the neighbour of who wrote it. */
static double measure_peers(struct measuring *measuring)
{
    enum { TIMES = 25 };
    const struct machine *machine = &measuring->rates.machine;
    int level = measuring->rates.peer_level;
    size_t bytes = (size_t)machine->caches[level].bytes / 2;
    if (level == 0 || machine->cores < 2 || bytes > measuring->bulk_bytes)
        return 0;
    double rates[TIMES];
    for (int i = 0; i < TIMES; i++)
        rates[i] = written_read_bandwidth(measuring->team, measuring->bulk, bytes, true);
    return gsl_stats_median(rates, 1, TIMES);
}

/* As rates, the best that was seen in all calls. */
static void measure_passing(struct measuring *measuring)
{
    struct machine_rates *rates = &measuring->rates;
    keep_greater(&rates->admits, measure_admission(measuring));
    keep_greater(&rates->peer_bandwidth, measure_peers(measuring));
}

void measure_rates_again(struct measuring *measuring)
{
    struct machine_rates *rates = &measuring->rates;
    measure_team(measuring, measuring->team, &rates->teams[rates->team_count - 1]);
    if (measuring->one)
        measure_team(measuring, measuring->one, &rates->teams[0]);
    measure_passing(measuring);
}

bool measure_rates(struct measuring *measuring, struct diag *diag)
{
    struct machine_rates *rates = &measuring->rates;
    int cores = rates->machine.cores;
    enum { PROBES = 40 };
    for (int threads = 1; rates->team_count < TEAMS_MOST; threads *= 2) {
        bool last = threads >= cores || rates->team_count == TEAMS_MOST - 1;
        struct team *team = last ? measuring->team : team_new(measuring->arena, diag, threads);
        if (!team)
            return false;
        if (!last && threads == 1)
            measuring->one = team;
        for (int i = 0; i < (measuring->options.quick ? 1 : 3); i++)
            measure_team(measuring, team, &rates->teams[rates->team_count]);
        rates->team_count++;
        measuring_advance(measuring, 1);
        if (last)
            break;
    }
    for (int i = 0; i < PROBES; i++)
        measure_dram(measuring);
    measure_modes(measuring);
    rates->peer_level = own_level(&rates->machine);
    rates->admits = -1;
    measure_passing(measuring);
    if (!disk_probe(measuring->options.folder, (measuring->options.quick ? 32 : 256) * (size_t)MIB,
                    measuring->options.quick ? 0.4 : 2, &rates->disk, &rates->no_disk))
        rates->disk = (struct disk_rates){0};
    measuring_advance(measuring, 1);
    return true;
}
