#include "analyse/solve.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>
#include <math.h>

static const char *const names[UNKNOWN_COUNT] = {"batch",     "prompt",  "output", "devices",
                                                 "bandwidth", "compute", "memory"};

const char *unknown_name(enum unknown unknown)
{
    return names[unknown];
}

struct solver {
    struct evaluator *evaluator;
    struct arena *arena;
    struct question question;
    struct limits limits;
    enum unknown unknown;
    struct device_figure figure; /* BANDWIDTH, COMPUTE, MEMORY */
    const char *reason;          /* of the last refusal, in the arena */
};

/* ---- the largest whole number: strain grows with it ---- */

static double strain_at(struct solver *solver, double value, struct answer *answer, enum limit *tightest)
{
    struct question question = solver->question;
    const char *reason;
    switch (solver->unknown) {
    case UNKNOWN_BATCH:
        question.batch = value;
        break;
    case UNKNOWN_PROMPT:
        question.prompt = value;
        break;
    default:
        question.output = value;
        break;
    }
    if (evaluate(solver->evaluator, &question, answer, NULL, &reason))
        return limits_strain(&solver->limits, answer, tightest);
    solver->reason = arena_strdup(solver->arena, reason);
    *tightest = LIMIT_REFUSED;
    return INFINITY;
}

/* A larger batch makes tokens cheaper and throughput higher: those limits are checked at the end only. */
static struct limits growing_limits(const struct solver *solver)
{
    struct limits limits = solver->limits;
    if (solver->unknown == UNKNOWN_BATCH)
        limits.usd_per_million = limits.throughput = 0;
    return limits;
}

static void solve_largest(struct solver *solver, struct solution *solution)
{
    const double most = solver->unknown == UNKNOWN_BATCH ? 1e7 : 1e8; /* what questions take */
    struct limits all = solver->limits;
    struct answer answer;
    enum limit tightest;
    double good = 0, bad = 1;
    solver->limits = growing_limits(solver);
    while (bad <= most && strain_at(solver, bad, &answer, &tightest) <= 1) {
        good = bad;
        solution->answer = answer;
        bad *= 2;
    }
    solution->binding = bad > most ? LIMIT_NONE : tightest;
    while (bad - good > 1 && bad <= most) {
        double middle = floor((good + bad) / 2);
        if (strain_at(solver, middle, &answer, &tightest) <= 1) {
            good = middle;
            solution->answer = answer;
        } else {
            bad = middle;
            solution->binding = tightest;
        }
    }
    solution->value = good;
    solution->found = good >= 1;
    if (solution->found && limits_strain(&all, &solution->answer, &tightest) > 1) {
        solution->found = false; /* smaller batches are dearer still */
        solution->binding = tightest;
    }
}

/* ---- the least rate: strain falls with it ---- */

/* Strain less 1 of the device with the figure times exp(x). */
static double excess(double x, void *context)
{
    struct solver *solver = context;
    struct question question = solver->question;
    struct answer answer;
    enum limit tightest;
    const char *reason;
    question.system = system_scaled(solver->arena, solver->question.system, &solver->figure, exp(x));
    if (!question.system || !evaluate(solver->evaluator, &question, &answer, NULL, &reason))
        return 1e9;
    return limits_strain(&solver->limits, &answer, &tightest) - 1;
}

static double root_between(struct solver *solver, double low, double high)
{
    gsl_function function = {excess, solver};
    gsl_root_fsolver *brent = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!brent)
        return NAN;
    gsl_root_fsolver_set(brent, &function, low, high);
    for (int i = 0; i < 100 && high - low > 1e-6; i++) {
        if (gsl_root_fsolver_iterate(brent) != GSL_SUCCESS)
            break;
        low = gsl_root_fsolver_x_lower(brent);
        high = gsl_root_fsolver_x_upper(brent);
    }
    gsl_root_fsolver_free(brent);
    return high; /* the end of the bracket that keeps the limits */
}

static const double scale_most = 1e3; /* a thousandth to a thousand times the device */

static void solve_least_rate(struct solver *solver, struct solution *solution)
{
    double low = -log(scale_most), high = log(scale_most), x;
    const struct device *device = solver->question.system->members[0].device;
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    if (excess(high, solver) > 0)
        x = NAN;
    else if (excess(low, solver) <= 0)
        x = low;
    else
        x = root_between(solver, low, high);
    gsl_set_error_handler(handler);

    struct question question = solver->question;
    const char *reason;
    double scale = isnan(x) ? scale_most : exp(x);
    solution->given = figure_value(device, &solver->figure);
    question.system = system_scaled(solver->arena, solver->question.system, &solver->figure, scale);
    if (!question.system || !evaluate(solver->evaluator, &question, &solution->answer, NULL, &reason))
        return;
    limits_strain(&solver->limits, &solution->answer, &solution->binding);
    solution->found = !isnan(x);
    solution->value = solution->given * scale;
}

static bool choose_figure(struct solver *solver, struct diag *diag)
{
    const struct device *device = solver->question.system->members[0].device;
    if (solver->unknown == UNKNOWN_COMPUTE) {
        solver->figure = (struct device_figure){.kind = FIGURE_COMPUTE, .name = "matrix"};
        if (figure_value(device, &solver->figure) > 0)
            return true;
        solver->figure.kind = FIGURE_VECTOR;
        return true;
    }
    const struct memory_tier *memory = device_memory(device);
    solver->figure.kind = solver->unknown == UNKNOWN_MEMORY ? FIGURE_TIER_CAPACITY : FIGURE_TIER_BANDWIDTH;
    solver->figure.index = memory ? (size_t)(memory - device->tiers) : 0;
    return memory != NULL || diag_error(diag, NOWHERE, "%s has no memory", device->id);
}

static bool has_time_limit(const struct limits *limits)
{
    return limits->ttft > 0 || limits->tpot > 0 || limits->latency > 0 || limits->throughput > 0 ||
           limits->usd_per_million > 0;
}

/* ---- the fewest devices ---- */

static bool solve_devices(struct solver *solver, struct diag *diag, struct solution *solution)
{
    enum { DEVICES_MOST = 128 };
    double least = INFINITY;
    const char *reason = "";
    for (int n = 1; n <= DEVICES_MOST; n++) {
        struct search search;
        solver->evaluator->share = (double)n / DEVICES_MOST;
        struct diag quiet = {.arena = solver->arena}; /* counts that do not divide are no answers */
        if (!search_parallelism(solver->evaluator, solver->arena, &quiet, &solver->question, n,
                                &solver->limits, OBJECTIVE_THROUGHPUT, &search)) {
            reason = diag_first_error(&quiet);
            continue;
        }
        const struct candidate *best = &search.list[0];
        if (search.kept == 0) {
            if (best->strain < least) {
                least = best->strain;
                solution->binding = best->tightest; /* what one fewer breaks */
                solution->answer = best->answer;
            }
            continue;
        }
        *solution = (struct solution){.found = true,
                                      .value = n,
                                      .answer = best->answer,
                                      .parallel = best->parallel,
                                      .replicas = best->replicas,
                                      .binding = solution->binding};
        return true;
    }
    return isfinite(least) || diag_error(diag, NOWHERE, "no count of devices has an answer: %s", reason);
}

bool solve(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
           const struct question *question, const struct limits *limits, enum unknown unknown,
           struct solution *solution)
{
    struct solver solver = {
        .evaluator = evaluator, .arena = arena, .question = *question, .limits = *limits, .unknown = unknown};
    struct answer answer;
    const char *reason;
    bool least_rate = unknown >= UNKNOWN_BANDWIDTH;
    long before = evaluator->evaluations;
    *solution = (struct solution){.replicas = 1, .parallel = question->parallel};
    if (unknown == UNKNOWN_DEVICES) {
        if (!solve_devices(&solver, diag, solution))
            return false;
        solution->evaluations = evaluator->evaluations - before;
        return true;
    }
    struct question smallest = *question; /* a question that is wrong is wrong for one short sequence too */
    smallest.batch = unknown == UNKNOWN_BATCH ? 1 : question->batch;
    smallest.prompt = unknown == UNKNOWN_PROMPT ? 1 : question->prompt;
    smallest.output = unknown == UNKNOWN_OUTPUT ? 1 : question->output;
    if (!evaluate(evaluator, &smallest, &answer, NULL, &reason))
        return diag_error(diag, NOWHERE, "%s", reason);
    if (least_rate && unknown != UNKNOWN_MEMORY && !has_time_limit(limits))
        return diag_error(diag, NOWHERE,
                          "a least %s needs a limit on time, throughput or cost, such as --max-tpot 30ms",
                          names[unknown]);
    if (least_rate && !choose_figure(&solver, diag))
        return false;
    if (least_rate)
        solve_least_rate(&solver, solution);
    else
        solve_largest(&solver, solution);
    solution->reason = solver.reason;
    solution->evaluations = evaluator->evaluations - before;
    return true;
}
