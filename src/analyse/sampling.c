#include "analyse/sampling.h"

#include "analyse/scale.h"

#include <gsl/gsl_linalg.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <string.h>

/* The lower triangle L of the covariance L L' of one block's scalars; rows of zeros for those without error.
 */
struct spread {
    double lower[SCALARS_MOST * SCALARS_MOST];
};

struct draw {
    const struct calibration *blocks; /* as described */
    struct spread *spreads;
    struct device *device; /* with drawn scalars */
    struct system *system; /* of it */
    double scatter[FAMILY_COUNT];
};

/* A correlation matrix from rounded figures may fail to be positive definite: then errors count as
 * independent. */
static void factorise(const struct calibration *block, struct spread *spread)
{
    int count = families[block->family].count;
    memset(spread, 0, sizeof *spread);
    gsl_matrix_view matrix = gsl_matrix_view_array(spread->lower, SCALARS_MOST, SCALARS_MOST);
    for (int i = 0; i < SCALARS_MOST; i++) {
        spread->lower[i * SCALARS_MOST + i] = 1;
        for (int j = 0; j < i && i < count; j++)
            spread->lower[i * SCALARS_MOST + j] = spread->lower[j * SCALARS_MOST + i] =
                block->correlations[i][j];
    }
    bool independent = gsl_linalg_cholesky_decomp1(&matrix.matrix) != GSL_SUCCESS;
    for (int i = 0; i < SCALARS_MOST; i++)
        for (int j = 0; j < SCALARS_MOST; j++) {
            double *at = &spread->lower[i * SCALARS_MOST + j];
            double factor = j > i ? 0 : independent ? i == j : *at;
            *at = factor * (i < count ? block->standard_errors[i] : 0);
        }
}

static void draw_scalars(const struct calibration *block, const struct spread *spread, gsl_rng *dice,
                         struct calibration *drawn)
{
    const struct family_declaration *family = &families[block->family];
    double normal[SCALARS_MOST];
    for (int i = 0; i < family->count; i++)
        normal[i] = gsl_ran_ugaussian(dice);
    for (int i = 0; i < family->count; i++) {
        double value = block->values[i];
        for (int j = 0; j <= i; j++)
            value += spread->lower[i * SCALARS_MOST + j] * normal[j];
        drawn->values[i] = fmin(fmax(value, family->scalars[i].min), family->scalars[i].max);
    }
}

static bool prepare(struct draw *draw, struct arena *arena, const struct system *system)
{
    const struct device *device = system->members[0].device;
    size_t count = device->calibration_count;
    draw->blocks = device->calibrations;
    draw->system = system_copy(arena, system, &draw->device);
    draw->spreads = ARENA_ARRAY(arena, struct spread, count + 1);
    if (!draw->system || !draw->spreads)
        return false;
    for (size_t i = 0; i < count; i++)
        factorise(&draw->blocks[i], &draw->spreads[i]);
    return true;
}

void family_sigmas(const struct breakdown *breakdown, double sigmas[FAMILY_COUNT])
{
    double times[FAMILY_COUNT] = {0};
    memset(sigmas, 0, FAMILY_COUNT * sizeof *sigmas);
    for (int p = 0; p < breakdown->count; p++) {
        const struct phase_cost *phase = &breakdown->phases[p];
        bool decode = phase->step.regime == REGIME_DECODE;
        const struct op_trust *trust = decode ? phase->plan->decode_trust : phase->plan->prefill_trust;
        for (int i = 0; i < phase->plan->graph.op_count; i++) {
            times[trust[i].family] += phase->step.ops[i].exposed;
            sigmas[trust[i].family] += phase->step.ops[i].exposed * trust[i].residual;
        }
    }
    for (int f = 0; f < FAMILY_COUNT; f++)
        sigmas[f] = times[f] > 0 ? sigmas[f] / times[f] : 0;
}

static struct interval quantiles(double *values, size_t count)
{
    gsl_sort(values, 1, count);
    return (struct interval){gsl_stats_quantile_from_sorted_data(values, 1, count, 0.05),
                             gsl_stats_quantile_from_sorted_data(values, 1, count, 0.95)};
}

static bool run_draws(struct evaluator *evaluator, struct diag *diag, const struct question *question,
                      struct draw *draw, const double *sigmas, gsl_rng *dice, double *ttft, double *tpot,
                      int draws)
{
    struct question asked = *question;
    asked.system = draw->system;
    asked.scatter = draw->scatter;
    for (int d = 0; d < draws; d++) {
        struct answer answer;
        const char *reason;
        for (size_t i = 0; i < draw->device->calibration_count; i++)
            draw_scalars(&draw->blocks[i], &draw->spreads[i], dice, &draw->device->calibrations[i]);
        for (int f = 0; f < FAMILY_COUNT; f++)
            draw->scatter[f] = exp(sigmas[f] * gsl_ran_ugaussian(dice));
        evaluator->share = (double)d / draws;
        if (!evaluate(evaluator, &asked, &answer, NULL, &reason))
            return diag_error(diag, NOWHERE, "%s", reason);
        ttft[d] = answer.ttft_s;
        tpot[d] = answer.tpot_s;
    }
    return true;
}

bool sample_intervals(struct evaluator *evaluator, struct arena *arena, struct diag *diag,
                      const struct question *question, int draws, unsigned long seed, struct answer *answer)
{
    struct breakdown *breakdown = ARENA_NEW(arena, struct breakdown);
    struct draw *draw = ARENA_NEW(arena, struct draw);
    double *ttft = ARENA_ARRAY(arena, double, (size_t)draws);
    double *tpot = ARENA_ARRAY(arena, double, (size_t)draws);
    if (!breakdown || !draw || !ttft || !tpot)
        return diag_error(diag, NOWHERE, "out of memory");
    const char *reason;
    double sigmas[FAMILY_COUNT];
    struct answer plain;
    if (!evaluate(evaluator, question, &plain, breakdown, &reason))
        return diag_error(diag, NOWHERE, "%s", reason);
    family_sigmas(breakdown, sigmas);
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    gsl_rng *dice = gsl_rng_alloc(gsl_rng_mt19937);
    bool ok = (dice && prepare(draw, arena, question->system)) || diag_error(diag, NOWHERE, "out of memory");
    if (ok) {
        gsl_rng_set(dice, seed);
        ok = run_draws(evaluator, diag, question, draw, sigmas, dice, ttft, tpot, draws);
    }
    if (dice)
        gsl_rng_free(dice);
    gsl_set_error_handler(handler);
    if (!ok)
        return false;
    answer->ttft_interval = quantiles(ttft, (size_t)draws);
    if (!isnan(answer->tpot_s))
        answer->tpot_interval = quantiles(tpot, (size_t)draws);
    answer->interval_draws = draws;
    return true;
}
