#include "validate/executor_run.h"

#include "base/memory.h"
#include "base/random.h"
#include "exec/probe/rates.h"

#include <gsl/gsl_statistics_double.h>
#include <string.h>

enum { PROBE_ROUNDS = 1, EXTRA_TRIES = 2 };

struct executor_bench {
    struct arena *arena;
    void *buffer; /* that the probes read */
    size_t bytes;
};

struct executor_bench *executor_bench_new(struct arena *arena, struct diag *diag)
{
    struct executor_bench *bench = ARENA_NEW(arena, struct executor_bench);
    size_t bytes = probe_bytes();
    void *buffer = bench ? buffer_new(diag, bytes) : NULL;
    if (!buffer) {
        if (!bench)
            diag_error(diag, NOWHERE, "out of memory");
        return NULL;
    }
    memset(buffer, 1, bytes);
    *bench = (struct executor_bench){arena, buffer, bytes};
    return bench;
}

void executor_bench_free(struct executor_bench *bench)
{
    if (bench)
        buffer_free(bench->buffer, bench->bytes);
}

/* All that one case's runs need, and what they took. */
struct contest {
    const struct executor_case *run;
    struct runner *runner;
    struct generation_request request;
    struct scheduler scheduler;
    struct executor_times *found; /* [tries] */
    bool *quiet;                  /* [tries] */
    int tries;
};

static struct pace probe(struct executor_bench *bench, struct runner *runner)
{
    struct team *team = runner_team(runner);
    return (struct pace){.bandwidth = read_bandwidth(team, bench->buffer, bench->bytes, PROBE_ROUNDS),
                         .flops = arithmetic_peak(team, cpu_isa(), ARITHMETIC_F32, PROBE_ROUNDS)};
}

static bool alike(double a, double b, double noise)
{
    return a < b * (1 + noise) && b < a * (1 + noise);
}

/* One run between two probes; scratch is reset. */
static bool run_once(struct executor_bench *bench, struct arena *scratch, struct diag *diag,
                     struct contest *contest, double noise)
{
    struct executor_times *found = &contest->found[contest->tries];
    struct generated generated;
    arena_reset(scratch);
    weights_touch(runner_weights(contest->runner));
    struct pace before = probe(bench, contest->runner);
    if (!generate(contest->runner, scratch, diag, &contest->request, &contest->scheduler, &generated))
        return false;
    struct pace after = probe(bench, contest->runner);
    *found = (struct executor_times){
        .prefill = generated.prefill,
        .decode = generated.decode,
        .pace = {(before.bandwidth + after.bandwidth) / 2, (before.flops + after.flops) / 2}};
    generation_free(&generated);
    contest->quiet[contest->tries++] =
        alike(before.bandwidth, after.bandwidth, noise) && alike(before.flops, after.flops, noise);
    return true;
}

enum { TRIES_MOST = 100 * (1 + EXTRA_TRIES) };

const struct op_time *phase_time(const struct phase_times *phase, const char *name)
{
    for (int i = 0; i < phase->op_count; i++)
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
    out->seconds = gsl_stats_median(values, 1, (size_t)count);
    for (int o = 0; o < out->op_count; o++) {
        for (int i = 0; i < count; i++) {
            const struct op_time *op =
                phase_time(phase_of(&contest->found[counted[i]], decode), out->ops[o].name);
            values[i] = op ? op->seconds : 0;
        }
        out->ops[o].seconds = gsl_stats_median(values, 1, (size_t)count);
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
    out->pace = (struct pace){gsl_stats_median(bandwidths, 1, (size_t)count),
                              gsl_stats_median(flops, 1, (size_t)count)};
    phase_medians(contest, counted, count, false, &out->prefill);
    phase_medians(contest, counted, count, true, &out->decode);
}

/* Each runner packs weights for itself. */
static bool room_to_pack(const struct weights *weights, size_t runners)
{
    const double a_copy = 1.05, share = 0.5; /* of what is free */
    return (double)runners * a_copy * weights_bytes(weights) < share * (double)memory_available();
}

/* Seeded random tokens, other ones for each sequence. */
static bool make_request(struct arena *arena, struct diag *diag, const struct executor_case *run, int vocab,
                         struct generation_request *request)
{
    size_t sequences = (size_t)run->batch, prompt = (size_t)run->prompt;
    const int **prompts = ARENA_ARRAY(arena, const int *, sequences);
    int *lengths = ARENA_ARRAY(arena, int, sequences), *tokens = ARENA_ARRAY(arena, int, sequences *prompt);
    uint64_t seed = 1;
    if (!prompts || !lengths || !tokens)
        return diag_error(diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < sequences * prompt; i++)
        tokens[i] = (int)(random_bits(&seed) % (uint64_t)vocab);
    for (size_t s = 0; s < sequences; s++) {
        prompts[s] = tokens + s * prompt;
        lengths[s] = run->prompt;
    }
    *request = (struct generation_request){.sequences = run->batch,
                                           .prompts = prompts,
                                           .prompt_tokens = lengths,
                                           .output_tokens = run->output,
                                           .end_token = -1,
                                           .sampling = {.top_p = 1}};
    return true;
}

/* The most tokens of a prompt's step. */
static int chunk_of(const struct executor_case *run)
{
    int all = run->batch * run->prompt;
    return run->chunk > 0 && run->chunk < all ? run->chunk : all;
}

static bool set_up(struct arena *arena, struct diag *diag, const struct weights *weights,
                   const struct executor_case *run, int tries, bool pack, struct contest *contest)
{
    int chunk = chunk_of(run);
    const struct runner_options options = {.threads = run->threads,
                                           .isa = cpu_isa(),
                                           .kv = kv_type_parse(run->kv),
                                           .sequences = run->batch,
                                           .context_tokens = run->prompt + run->output,
                                           .step_tokens = chunk > run->batch ? chunk : run->batch,
                                           .copy = pack};
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
    return scheduler_estimated(arena, diag, chunk, &contest->scheduler) &&
           make_request(arena, diag, run, weights_model(weights)->vocab, &contest->request);
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
static bool run_rounds(struct executor_bench *bench, struct arena *scratch, struct diag *diag,
                       struct contest *contests, size_t count, int repeats, double noise,
                       void (*watch)(void *context), void *watcher)
{
    for (size_t i = 0; i < count; i++) {
        if (!run_once(bench, scratch, diag, &contests[i], noise))
            return false;
        contests[i].tries = 0;
    }
    for (int round = 0; round < repeats * (1 + EXTRA_TRIES); round++)
        for (size_t i = 0; i < count; i++) {
            if (quiet_runs(&contests[i]) >= repeats)
                continue;
            if (watch)
                watch(watcher);
            if (!run_once(bench, scratch, diag, &contests[i], noise))
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
    struct arena *arena = arena_new(room), *scratch = arena_new(room);
    enum weight_type type = weight_type_parse(cases[0].weights);
    bool ok = (arena && scratch) || diag_error(diag, NOWHERE, "out of memory");
    if (ok && type == WEIGHT_TYPE_COUNT)
        ok = diag_error(diag, cases[0].group->where,
                        "weights: %s is no type that the executor has products for", cases[0].weights);
    struct weights *weights = ok ? weights_random(arena, diag, model, type, SEED) : NULL;
    struct contest *contests = weights ? ARENA_ARRAY(arena, struct contest, count) : NULL;
    ok = contests != NULL;
    bool pack = ok && room_to_pack(weights, count);
    for (size_t i = 0; ok && i < count; i++)
        ok = set_up(arena, diag, weights, &cases[i], repeats * (1 + EXTRA_TRIES), pack, &contests[i]);
    ok = ok && run_rounds(bench, scratch, diag, contests, count, repeats, noise, watch, watcher);
    for (size_t i = 0; contests && i < count; i++) {
        if (ok)
            medians(&contests[i], &times[i]);
        runner_free(contests[i].runner);
    }
    weights_close(weights);
    arena_free(scratch);
    arena_free(arena);
    return ok;
}
