/* Timing on a machine that others may use too. Trials take turns, round after round, so that a slow spell
 * falls on all alike, and each takes the least of its rounds, as the rates that it is held against are the
 * best that were seen. A time counts as clean when short probes of memory and of the cores before and behind
 * it are both within 15% of the best; trials are repeated until they have had enough clean ones, or three
 * times the usual rounds are over. */
#include "exec/kernels/small.h"
#include "validate/measuring.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>

enum { ROUNDS = 3, ROUNDS_QUICK = 3, CLEAN = 2, RUNS_MOST = 1000 };

/* A norm over and over from each core's first cache. */
static void pace_share(void *context, int thread, int threads)
{
    enum { VALUES = 2048, TIMES = 256 };
    const struct measuring *measuring = context;
    (void)threads;
    float *y = measuring->y + (size_t)thread * VALUES;
    for (int i = 0; i < TIMES; i++)
        rms_norm(measuring->isa, measuring->x, measuring->x + VALUES, 1e-5F, VALUES, y);
}

/* Whether cores and memory are about as fast as they have ever been. */
static bool undisturbed(struct measuring *measuring)
{
    enum { READ = 8 << 20 };
    const double share = 0.85;
    /* what lies half a round away from the operands is long out of the caches */
    size_t from = (measuring->cursor + measuring->bulk_bytes / 2) % measuring->bulk_bytes / READ * READ;
    if (from + READ > measuring->bulk_bytes)
        from = 0;
    double begin = clock_seconds();
    team_run(measuring->team, pace_share, measuring);
    double pace = 1 / (clock_seconds() - begin);
    double read = read_bandwidth(measuring->team, measuring->bulk + from, READ, 1);
    measuring->cursor = (measuring->cursor + READ) % measuring->bulk_bytes;
    measuring->best_pace = fmax(pace, measuring->best_pace);
    struct machine_rates *rates = &measuring->rates;
    if (rates->pace_count < PACE_PROBES_MOST)
        rates->pace_probes[rates->pace_count++] = pace;
    return pace >= share * measuring->best_pace &&
           read >= share * rates->teams[rates->team_count - 1].bandwidth.read[0];
}

/* Mean s of one run, over at least two and about least_s. */
static bool time_together(struct measuring *measuring, struct trial *trial, struct diag *diag, double least_s,
                          double *seconds)
{
    double begin = clock_seconds(), now = begin;
    int runs = 0;
    while (runs < 2 || (now - begin < least_s && runs < RUNS_MOST)) {
        if (!trial->run(measuring, trial, diag))
            return false;
        runs++;
        now = clock_seconds();
    }
    *seconds = (now - begin) / runs;
    return true;
}

/* Median s of runs that each find their operands produced. */
static bool time_apart(struct measuring *measuring, struct trial *trial, struct diag *diag, double *seconds)
{
    enum { RUNS = 5 };
    double times[RUNS];
    for (int i = 0; i < RUNS; i++) {
        trial->produce(measuring, trial);
        double begin = clock_seconds();
        if (!trial->run(measuring, trial, diag))
            return false;
        times[i] = clock_seconds() - begin;
    }
    *seconds = gsl_stats_median(times, 1, RUNS);
    return true;
}

static bool time_trial(struct measuring *measuring, struct trial *trial, struct diag *diag, double least_s,
                       double *seconds)
{
    if (trial->produce != NULL)
        trial->produce(measuring, trial);
    if (!trial->run(measuring, trial, diag)) /* wakes threads, grows scratch */
        return false;
    return trial->produce != NULL ? time_apart(measuring, trial, diag, seconds)
                                  : time_together(measuring, trial, diag, least_s, seconds);
}

/* One round over the trials that are not done; false with diag. *left: those that still are not. */
static bool run_round(struct measuring *measuring, struct diag *diag, struct trial *trials, size_t count,
                      size_t *left)
{
    const double least_s = measuring->options.quick ? 0.5e-3 : 1e-3;
    double begin = clock_seconds();
    measure_dram(measuring);
    *left = 0;
    for (size_t i = 0; i < count; i++) {
        double seconds;
        if (trials[i].clean >= CLEAN)
            continue;
        bool before = undisturbed(measuring);
        if (!time_trial(measuring, &trials[i], diag, least_s, &seconds))
            return false;
        trials[i].least = trials[i].least > 0 ? fmin(seconds, trials[i].least) : seconds;
        trials[i].clean += before && undisturbed(measuring);
        *left += trials[i].clean < CLEAN;
    }
    measuring_advance(measuring, clock_seconds() - begin);
    return true;
}

bool measure_trials(struct measuring *measuring, struct diag *diag, struct trial *trials, size_t count,
                    const char *device, const char *source, struct text *csv)
{
    enum { PATIENCE = 3 };
    int rounds = PATIENCE * (measuring->options.quick ? ROUNDS_QUICK : ROUNDS);
    size_t left = count;
    measure_peaks(measuring);
    /* once the usual time is over each kernel gets one more chance at most */
    for (int round = 0; round < rounds && left > 0 && (round < 2 || measuring->done < measuring->all);
         round++)
        if (!run_round(measuring, diag, trials, count, &left))
            return false;
    measuring->rates.trials += count;
    for (size_t i = 0; i < count; i++) {
        measuring->rates.noisy_trials += trials[i].clean == 0;
        text_printf(csv, "%s,%s,%s,%.3f\n", device, source, trials[i].cells, 1e6 * trials[i].least);
    }
    return true;
}
