#include "fit/fit.h"

#include "fit/solver.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <string.h>

struct error_summary summarise(const double *signed_errors, size_t count, double *scratch)
{
    struct error_summary summary = {.count = count};
    if (count == 0)
        return summary;
    for (size_t i = 0; i < count; i++)
        scratch[i] = fabs(signed_errors[i]);
    gsl_sort(scratch, 1, count);
    summary.mean_absolute = gsl_stats_mean(scratch, 1, count);
    summary.median = gsl_stats_median_from_sorted_data(scratch, 1, count);
    summary.p90 = gsl_stats_quantile_from_sorted_data(scratch, 1, count, 0.9);
    summary.bias = gsl_stats_mean(signed_errors, 1, count);
    return summary;
}

size_t choose_samples(const struct sample_set *set, size_t block, struct arena *arena,
                      bool (*keep)(const struct sample *sample, const void *context), const void *context,
                      size_t **chosen)
{
    size_t count = 0;
    *chosen = ARENA_ARRAY(arena, size_t, set->blocks[block].count + 1);
    for (size_t i = 0; *chosen && i < set->count; i++)
        if (set->samples[i].block == block && (!keep || keep(&set->samples[i], context)))
            (*chosen)[count++] = i;
    return count;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool same_calibration_key(const struct calibration *a, const struct calibration *b)
{
    return a->family == b->family && a->format == b->format && a->operand == b->operand &&
           same_text(a->software, b->software) && same_text(a->version, b->version);
}

struct device *device_with_blocks(struct arena *arena, const struct device *device,
                                  const struct calibration *blocks, size_t count)
{
    struct device *own = ARENA_NEW(arena, struct device);
    struct calibration *list = ARENA_ARRAY(arena, struct calibration, count + device->calibration_count + 1);
    if (!own || !list)
        return NULL;
    *own = *device;
    if (count > 0)
        memcpy(list, blocks, count * sizeof *list);
    own->calibration_count = count;
    for (size_t i = 0; i < device->calibration_count; i++) {
        bool replaced = false;
        for (size_t j = 0; j < count && !replaced; j++)
            replaced = same_calibration_key(&blocks[j], &device->calibrations[i]);
        if (!replaced)
            list[own->calibration_count++] = device->calibrations[i];
    }
    own->calibrations = list;
    return own;
}

bool predict_samples(const struct sample_set *set, size_t block, const struct device *device,
                     const size_t *chosen, size_t count, struct diag *diag, double *seconds, double *sigmas)
{
    struct system system;
    struct system_member member;
    struct target target;
    return samples_target(set, &set->blocks[block], device, &system, &member, &target, diag) &&
           samples_predict(set, chosen, count, &target, diag, seconds, sigmas);
}

/* What the solver varies: the scalars of one block of a device. */
struct trial {
    const struct sample_set *set;
    const size_t *chosen;
    size_t count;
    struct calibration *block; /* in the trial device's list; the target points at it */
    struct system system;
    struct system_member member;
    struct target target;
    struct diag *diag;
};

static bool log_ratios(void *context, const double *values, double *residuals)
{
    struct trial *trial = context;
    memcpy(trial->block->values, values, sizeof trial->block->values);
    if (!samples_predict(trial->set, trial->chosen, trial->count, &trial->target, trial->diag, residuals,
                         NULL))
        return false;
    for (size_t i = 0; i < trial->count; i++)
        residuals[i] = log(residuals[i] / trial->set->samples[trial->chosen[i]].seconds);
    if (trial->set->watch)
        trial->set->watch(trial->set->watcher);
    return true;
}

const char *block_refusal(const struct sample_block *block, const struct diag *diag, struct arena *arena)
{
    return arena_printf(arena, "%s, %s of %s: %s", block->source, families[block->family].name, block->dtype,
                        diag->first ? diag->first->text : "cannot be fitted");
}

/* How many different sizes of work there are, counted up to `enough`. */
static size_t count_sizes(const struct sample_set *set, const size_t *chosen, size_t count, size_t enough)
{
    uint64_t seen[2 * SCALARS_MOST];
    size_t sizes = 0;
    for (size_t i = 0; i < count && sizes < enough; i++) {
        uint64_t hash = set->samples[chosen[i]].work_hash;
        size_t at = 0;
        while (at < sizes && seen[at] != hash)
            at++;
        if (at == sizes)
            seen[sizes++] = hash;
    }
    return sizes;
}

static bool check_enough(const struct sample_set *set, const struct family_declaration *family,
                         const size_t *chosen, size_t count, struct diag *diag)
{
    size_t needed = SIZES_A_SCALAR * (size_t)family->count, least = SAMPLES_A_SCALAR * (size_t)family->count;
    least = least > SAMPLES_LEAST ? least : SAMPLES_LEAST;
    if (count < least)
        return diag_error(diag, NOWHERE, "%zu samples are too few for %d scalars, at least %zu are needed",
                          count, family->count, least);
    size_t sizes = count_sizes(set, chosen, count, needed);
    if (sizes < needed)
        return diag_error(diag, NOWHERE,
                          "%zu samples of %zu different sizes cannot tell %d scalars apart, at least %zu "
                          "sizes are needed",
                          count, sizes, family->count, needed);
    return true;
}

/* Scalars that no sample feels stay what the device's other blocks say. */
static void declare_parameters(const struct family_declaration *family, const double *unfelt,
                               struct solver_problem *problem)
{
    problem->parameters = family->count;
    for (int i = 0; i < family->count; i++) {
        const struct scalar_declaration *scalar = &family->scalars[i];
        problem->parameter[i] = (struct parameter){.min = scalar->min,
                                                   .max = scalar->max,
                                                   .start = scalar->start,
                                                   .unfelt = unfelt[i],
                                                   .logarithmic = scalar->dimension == DIM_SECONDS,
                                                   .held = scalar->doubling};
    }
}

enum { CHOICE_SAMPLES = 600 };

/* The next combination of powers of two, as an odometer counts; false: all have been. */
static bool next_powers(const struct family_declaration *family, struct solver_problem *problem)
{
    for (int i = 0; i < family->count; i++) {
        const struct scalar_declaration *scalar = &family->scalars[i];
        if (!scalar->doubling)
            continue;
        problem->parameter[i].start *= 2;
        if (problem->parameter[i].start <= scalar->max)
            return true;
        problem->parameter[i].start = scalar->min;
    }
    return false;
}

/* The scalars that are powers of two: of all combinations the one under which the others, fitted quickly to a
 * thinned set, leave the least deviation. They depend on each other: in turn they end where neither alone can
 * leave. Left in problem as values to hold. */
static bool choose_powers(struct trial *trial, const struct family_declaration *family,
                          struct solver_problem *problem, struct arena *arena)
{
    struct trial thin = *trial;
    size_t step = trial->count / CHOICE_SAMPLES + 1, count = 0;
    size_t *chosen = ARENA_ARRAY(arena, size_t, trial->count / step + 1);
    if (!chosen)
        return diag_error(trial->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < trial->count; i += step)
        chosen[count++] = trial->chosen[i];
    thin.chosen = chosen;
    thin.count = count;
    struct solver_problem quick = *problem;
    quick.residuals = count;
    quick.context = &thin;
    quick.quick = true;
    for (int i = 0; i < family->count; i++)
        if (family->scalars[i].doubling)
            quick.parameter[i].start = family->scalars[i].min;
    double least = INFINITY;
    do {
        struct solution solution;
        if (!solver_run(&quick, arena, trial->diag, &solution))
            return false;
        if (solution.mean_deviation >= least - 1e-6)
            continue;
        least = solution.mean_deviation;
        for (int i = 0; i < family->count; i++)
            if (family->scalars[i].doubling)
                problem->parameter[i].start = quick.parameter[i].start;
    } while (next_powers(family, &quick));
    return true;
}

/* Sigma of the normal distribution whose 90% interval holds 90% of the residuals to come: they have longer
 * tails than normal ones, and it is the interval that is promised. Of n residuals in order the one at rank
 * 0.9 (n + 1) is expected to exceed 90% of new ones; those of a fit are too small by sqrt(1 - scalars / n).
 */
static double residual_sigma(double *residuals, size_t count, int scalars)
{
    for (size_t i = 0; i < count; i++)
        residuals[i] = fabs(residuals[i]);
    gsl_sort(residuals, 1, count);
    double rank = fmin(0.9 * (double)(count + 1), (double)count);
    double quantile =
        gsl_stats_quantile_from_sorted_data(residuals, 1, count, (rank - 1) / (double)(count - 1));
    double freedom = fmax((double)count - scalars, 1);
    return quantile * sqrt((double)count / freedom) / SIGMAS_90;
}

static int count_fitted(const struct solution *solution, int count)
{
    int fitted = 0;
    for (int i = 0; i < count; i++)
        fitted += solution->states[i] != PARAMETER_UNFELT;
    return fitted;
}

static double correlation_of(const struct solution *solution, int i, int j)
{
    double product = sqrt(fmax(solution->covariance[i][i], 0) * fmax(solution->covariance[j][j], 0));
    return product > 0 ? fmax(-1, fmin(1, solution->covariance[i][j] / product)) : 0;
}

/* A scalar that samples hardly determine is not known less well than its bounds say. */
static void take_solution(const struct family_declaration *family, const struct solution *solution,
                          struct calibration *calibration)
{
    for (int i = 0; i < family->count; i++) {
        double range = family->scalars[i].max - family->scalars[i].min;
        calibration->values[i] = solution->values[i];
        calibration->standard_errors[i] = fmin(sqrt(fmax(solution->covariance[i][i], 0)), range);
        calibration->given[i] = solution->states[i] != PARAMETER_UNFELT;
    }
    for (int i = 1; i < family->count; i++)
        for (int j = 0; j < i; j++)
            calibration->correlations[i][j] = correlation_of(solution, i, j);
    calibration->parameters = fmin(solution->parameter_sigma, SIGMA_MOST);
}

static bool any_fitted(const struct solution *solution, int count)
{
    bool any = false;
    for (int i = 0; i < count; i++)
        any = any || solution->states[i] == PARAMETER_FITTED;
    return any;
}

static bool run_fit(struct trial *trial, const struct family_declaration *family, const double *unfelt,
                    struct arena *arena, struct calibration *calibration)
{
    struct solver_problem problem = {.residuals = trial->count, .evaluate = log_ratios, .context = trial};
    declare_parameters(family, unfelt, &problem);
    struct solution solution;
    double *residuals = ARENA_ARRAY(arena, double, trial->count);
    if (!residuals)
        return diag_error(trial->diag, NOWHERE, "out of memory");
    for (int i = 0; i < family->count; i++)
        if (family->scalars[i].doubling) {
            if (!choose_powers(trial, family, &problem, arena))
                return false;
            break;
        }
    if (!solver_run(&problem, arena, trial->diag, &solution) ||
        !log_ratios(trial, solution.values, residuals))
        return false;
    if (!any_fitted(&solution, family->count))
        return diag_error(trial->diag, NOWHERE,
                          "every scalar ends at a bound: no device like this takes such times; are they in "
                          "microseconds?");
    take_solution(family, &solution, calibration);
    calibration->residual =
        fmin(residual_sigma(residuals, trial->count, count_fitted(&solution, family->count)), SIGMA_MOST);
    calibration->samples = (int)trial->count;
    return true;
}

/* The device with the block to be fitted, which takes part once what lies below it is read. */
static bool start_trial(struct trial *trial, const struct device *device,
                        const struct calibration *calibration, size_t block, struct arena *arena,
                        double *unfelt)
{
    const struct sample_set *set = trial->set;
    struct device *own = device_with_blocks(arena, device, calibration, 1);
    if (!own)
        return diag_error(trial->diag, NOWHERE, "out of memory");
    trial->block = &own->calibrations[0];
    if (!samples_target(set, &set->blocks[block], own, &trial->system, &trial->member, &trial->target,
                        trial->diag))
        return false;
    target_scalars(&trial->target, (enum family)calibration->family, (enum number_format)calibration->format,
                   (enum operand)calibration->operand, unfelt);
    for (int i = 0; i < families[calibration->family].count; i++)
        trial->block->given[i] = true;
    return true;
}

bool fit_block(const struct sample_set *set, size_t index, const struct device *device, const size_t *chosen,
               size_t count, struct arena *arena, struct diag *diag, struct calibration *calibration)
{
    const struct sample_block *block = &set->blocks[index];
    const struct family_declaration *family = &families[block->family];
    if (!check_enough(set, family, chosen, count, diag))
        return false;
    *calibration = (struct calibration){.software = block->software_id,
                                        .version = block->version,
                                        .family = block->family,
                                        .format = block->format,
                                        .operand = block->operand,
                                        .provenance = PROVENANCE_FITTED};
    double unfelt[SCALARS_MOST];
    struct trial trial = {.set = set, .chosen = chosen, .count = count, .diag = diag};
    return start_trial(&trial, device, calibration, index, arena, unfelt) &&
           run_fit(&trial, family, unfelt, arena, calibration);
}
