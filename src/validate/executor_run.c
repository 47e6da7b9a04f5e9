#include "validate/executor_run.h"

#include "base/memory.h"
#include "exec/probe/rates.h"
#include "validate/executor_steps.h"

#include <stdlib.h>
#include <string.h>

/* The probes' buffer: beyond any last-level cache that is shared by few cores. */
enum { PROBE_BYTES = 1 << 28, PROBE_ROUNDS = 1, EXTRA_TRIES = 2 };

struct executor_bench {
    struct arena *arena;
    void *buffer;
};

struct executor_bench *executor_bench_new(struct arena *arena, struct diag *diag)
{
    struct executor_bench *bench = ARENA_NEW(arena, struct executor_bench);
    void *buffer = bench ? buffer_new(diag, PROBE_BYTES) : NULL;
    if (!buffer) {
        if (!bench)
            diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    memset(buffer, 1, PROBE_BYTES);
    bench->arena = arena;
    bench->buffer = buffer;
    return bench;
}

void executor_bench_free(struct executor_bench *bench)
{
    if (bench)
        buffer_free(bench->buffer, PROBE_BYTES);
}

/* All that one case's runs need, and what they took. */
struct contest {
    const struct executor_case *run;
    struct runner *runner;
    struct static_batch *batch;
    struct executor_times *found; /* [tries] */
    bool *quiet;                  /* [tries] */
    int tries;
};

static void read_clock(struct op_clock *clock, struct phase_times *phase, double seconds)
{
    phase->seconds = seconds;
    phase->count = clock->count;
    memcpy(phase->ops, clock->ops, sizeof phase->ops);
    op_clock_clear(clock);
}

static struct pace probe(struct executor_bench *bench, struct runner *runner)
{
    struct team *team = runner_team(runner);
    return (struct pace){.bandwidth = read_bandwidth(team, bench->buffer, PROBE_BYTES, PROBE_ROUNDS),
                         .flops = arithmetic_peak(team, cpu_isa(), ARITHMETIC_F32, PROBE_ROUNDS)};
}

static bool alike(double a, double b, double noise)
{
    return a < b * (1 + noise) && b < a * (1 + noise);
}

/* One run between two probes. */
static bool run_once(struct executor_bench *bench, struct diag *diag, struct contest *contest, double noise)
{
    struct runner *runner = contest->runner;
    struct executor_times *found = &contest->found[contest->tries];
    struct op_clock *clock = runner_clock(runner);
    for (int s = 0; s < contest->run->batch; s++)
        runner_forget(runner, s);
    weights_touch(runner_weights(runner));
    struct pace before = probe(bench, runner);
    op_clock_clear(clock);
    double begin = clock_seconds();
    if (!static_batch_prefill(contest->batch, diag))
        return false;
    double middle = clock_seconds();
    read_clock(clock, &found->prefill, middle - begin);
    begin = clock_seconds();
    if (!static_batch_decode(contest->batch, diag))
        return false;
    read_clock(clock, &found->decode, contest->run->output > 1 ? clock_seconds() - begin : 0);
    struct pace after = probe(bench, runner);
    found->pace.bandwidth = (before.bandwidth + after.bandwidth) / 2;
    found->pace.flops = (before.flops + after.flops) / 2;
    contest->quiet[contest->tries++] =
        alike(before.bandwidth, after.bandwidth, noise) && alike(before.flops, after.flops, noise);
    return true;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

enum { TRIES_MOST = 100 * (1 + EXTRA_TRIES) };

const struct op_time *phase_time(const struct phase_times *phase, const char *name)
{
    for (int i = 0; i < phase->count; i++)
        if (strcmp(phase->ops[i].name, name) == 0)
            return &phase->ops[i];
    return NULL;
}

static const struct phase_times *phase_of(const struct executor_times *times, bool decode)
{
    return decode ? &times->decode : &times->prefill;
}

/* Medians over the tries that count, of the phase and of each of its operators. */
static void phase_medians(const struct contest *contest, const int *counted, int count, bool decode,
                          struct phase_times *out)
{
    double values[TRIES_MOST] = {0};
    *out = *phase_of(&contest->found[counted[0]], decode);
    for (int i = 0; i < count; i++)
        values[i] = phase_of(&contest->found[counted[i]], decode)->seconds;
    out->seconds = median(values, count);
    for (int o = 0; o < out->count; o++) {
        for (int i = 0; i < count; i++) {
            const struct op_time *op =
                phase_time(phase_of(&contest->found[counted[i]], decode), out->ops[o].name);
            values[i] = op ? op->seconds : 0;
        }
        out->ops[o].seconds = median(values, count);
    }
}

static void medians(const struct contest *contest, struct executor_times *out)
{
    int counted[TRIES_MOST], count = 0;
    double bandwidths[TRIES_MOST] = {0}, flops[TRIES_MOST] = {0};
    *out = (struct executor_times){.runs = 0};
    for (int i = 0; i < contest->tries; i++)
        if (contest->quiet[i])
            counted[count++] = i;
    out->runs = count;
    out->noisy = contest->tries - count;
    for (int i = 0; count == 0 && i < contest->tries; i++) /* nothing was quiet: all, and the row says so */
        counted[count++] = i;
    for (int i = 0; i < count; i++) {
        bandwidths[i] = contest->found[counted[i]].pace.bandwidth;
        flops[i] = contest->found[counted[i]].pace.flops;
    }
    out->pace = (struct pace){median(bandwidths, count), median(flops, count)};
    phase_medians(contest, counted, count, false, &out->prefill);
    phase_medians(contest, counted, count, true, &out->decode);
}

/* Each runner packs weights for itself. */
static bool room_to_pack(const struct weights *weights, size_t runners)
{
    const double a_copy = 1.05, share = 0.5; /* of what is free */
    return (double)runners * a_copy * weights_bytes(weights) < share * (double)memory_available();
}

static bool set_up(struct arena *arena, struct diag *diag, const struct weights *weights,
                   const struct executor_case *run, int tries, bool pack, struct contest *contest)
{
    const struct runner_options options = {.threads = run->threads,
                                           .isa = cpu_isa(),
                                           .kv = kv_type_parse(run->kv),
                                           .sequences = run->batch,
                                           .context_tokens = run->prompt + run->output,
                                           .step_tokens = static_batch_step_tokens(run),
                                           .pack = pack};
    if (options.kv == KV_TYPE_COUNT)
        return diag_error(diag, run->group->where, "kv: %s is no type that the executor keeps a cache in",
                          run->kv);
    contest->run = run;
    contest->runner = runner_new(arena, diag, weights, &options);
    contest->found = ARENA_ARRAY(arena, struct executor_times, (size_t)tries);
    contest->quiet = ARENA_ARRAY(arena, bool, (size_t)tries);
    if (!contest->runner)
        return false;
    if (!contest->found || !contest->quiet)
        return diag_error(diag, NOWHERE, "out of memory");
    contest->batch = static_batch_new(arena, diag, contest->runner, run, weights_model(weights)->vocab);
    return contest->batch != NULL;
}

static int quiet_runs(const struct contest *contest)
{
    int quiet = 0;
    for (int i = 0; i < contest->tries; i++)
        quiet += contest->quiet[i];
    return quiet;
}

/* Round after round, each case once; then again those that were disturbed. The first run of each is for
 * warming up and forgotten. */
static bool run_rounds(struct executor_bench *bench, struct diag *diag, struct contest *contests,
                       size_t count, int repeats, double noise, void (*watch)(void *context), void *watcher)
{
    for (size_t i = 0; i < count; i++) {
        if (!run_once(bench, diag, &contests[i], noise))
            return false;
        contests[i].tries = 0;
    }
    for (int round = 0; round < repeats * (1 + EXTRA_TRIES); round++)
        for (size_t i = 0; i < count; i++) {
            if (quiet_runs(&contests[i]) >= repeats)
                continue;
            if (watch)
                watch(watcher);
            if (!run_once(bench, diag, &contests[i], noise))
                return false;
        }
    return true;
}

bool executor_bench_run(struct executor_bench *bench, struct diag *diag, const struct model *model,
                        const struct executor_case *cases, size_t count, int repeats, double noise,
                        struct executor_times *times, void (*watch)(void *context), void *watcher)
{
    enum { SEED = 1 };
    const size_t room = (size_t)2 << 30;
    struct arena *arena = arena_new(room);
    enum weight_type type = weight_type_parse(cases[0].weights);
    if (!arena)
        return diag_error(diag, NOWHERE, "out of memory");
    bool ok = type != WEIGHT_TYPE_COUNT ||
              diag_error(diag, cases[0].group->where,
                         "weights: %s is no type that the executor has products for", cases[0].weights);
    struct weights *weights = ok ? weights_random(arena, diag, model, type, SEED) : NULL;
    struct contest *contests = weights ? ARENA_ARRAY(arena, struct contest, count) : NULL;
    ok = contests != NULL;
    bool pack = ok && room_to_pack(weights, count);
    for (size_t i = 0; ok && i < count; i++)
        ok = set_up(arena, diag, weights, &cases[i], repeats * (1 + EXTRA_TRIES), pack, &contests[i]);
    ok = ok && run_rounds(bench, diag, contests, count, repeats, noise, watch, watcher);
    for (size_t i = 0; contests && i < count; i++) {
        if (ok)
            medians(&contests[i], &times[i]);
        runner_free(contests[i].runner);
    }
    weights_close(weights);
    arena_free(arena);
    return ok;
}
