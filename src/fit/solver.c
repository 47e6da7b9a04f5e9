#include "fit/solver.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <string.h>

enum { ITERATIONS = 40, REWEIGHTS = 6, STARTS = 3 };

static const double least_overhead = 1e-10; /* s; in place of 0 on a logarithm */
static const double settled = 1e-3;         /* a step of ln or logit that new weights need not follow */
static const double free_most = 12;         /* |logit| where a fraction counts as at its bound */

struct run {
    const struct solver_problem *problem;
    int free_count;
    int free[PARAMETERS_MOST]; /* indices of parameters that are fitted */
    double base[PARAMETERS_MOST];
    double *row; /* [residuals]: GSL asks for them as columns of its matrix too */
    bool failed;
};

static double to_value(const struct parameter *parameter, double x)
{
    if (parameter->logarithmic)
        return fmin(exp(x), parameter->max);
    return parameter->min + (parameter->max - parameter->min) / (1 + exp(-x));
}

static double to_free(const struct parameter *parameter, double value)
{
    if (parameter->logarithmic)
        return log(fmax(value, least_overhead));
    double share = (value - parameter->min) / (parameter->max - parameter->min);
    share = fmin(fmax(share, 1e-4), 1 - 1e-4);
    return log(share / (1 - share));
}

/* d value / d x */
static double slope(const struct parameter *parameter, double value)
{
    if (parameter->logarithmic)
        return value;
    return (value - parameter->min) * (parameter->max - value) / (parameter->max - parameter->min);
}

static bool at_bound(const struct parameter *parameter, double x)
{
    if (parameter->logarithmic)
        return x < log(least_overhead) + 1 || x >= log(parameter->max);
    return fabs(x) > free_most;
}

static void place(const struct run *run, const gsl_vector *x, double *values)
{
    memcpy(values, run->base, sizeof run->base);
    for (int i = 0; i < run->free_count; i++) {
        int p = run->free[i];
        values[p] = to_value(&run->problem->parameter[p], gsl_vector_get(x, (size_t)i));
    }
}

/* Values that ended within rounding of a bound become it. */
static void snap(const struct run *run, const gsl_vector *x, double *values)
{
    for (int i = 0; i < run->free_count; i++) {
        const struct parameter *parameter = &run->problem->parameter[run->free[i]];
        double *value = &values[run->free[i]];
        if (at_bound(parameter, gsl_vector_get(x, (size_t)i)))
            *value = *value - parameter->min < parameter->max - *value ? parameter->min : parameter->max;
    }
}

static int residuals_at(const gsl_vector *x, void *context, gsl_vector *f)
{
    struct run *run = context;
    double values[PARAMETERS_MOST];
    for (size_t i = 0; i < x->size; i++)
        if (!isfinite(gsl_vector_get(x, i)))
            return GSL_EBADFUNC;
    place(run, x, values);
    if (!run->problem->evaluate(run->problem->context, values, run->row)) {
        run->failed = true;
        return GSL_EBADFUNC;
    }
    for (size_t i = 0; i < f->size; i++)
        gsl_vector_set(f, i, run->row[i]);
    return GSL_SUCCESS;
}

static double mean_absolute(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fabs(values[i]);
    return sum / (double)count;
}

/* Huber weights, their bend at the median absolute residual. */
static void reweigh(const gsl_vector *residuals, double *sorted, gsl_vector *weights)
{
    size_t count = residuals->size;
    for (size_t i = 0; i < count; i++)
        sorted[i] = fabs(gsl_vector_get(residuals, i));
    gsl_sort(sorted, 1, count);
    double bend = fmax(gsl_stats_median_from_sorted_data(sorted, 1, count), 1e-6);
    for (size_t i = 0; i < count; i++) {
        double size = fabs(gsl_vector_get(residuals, i));
        gsl_vector_set(weights, i, size > bend ? bend / size : 1);
    }
}

struct room {
    gsl_multifit_nlinear_workspace *work;
    gsl_vector *weights, *x, *best, *residuals;
    double *sorted;
};

static void room_free(struct room *room)
{
    if (room->work)
        gsl_multifit_nlinear_free(room->work);
    gsl_vector_free(room->weights);
    gsl_vector_free(room->x);
    gsl_vector_free(room->best);
    gsl_vector_free(room->residuals);
}

static bool room_new(struct room *room, struct arena *arena, size_t residuals, size_t parameters)
{
    gsl_multifit_nlinear_parameters settings = gsl_multifit_nlinear_default_parameters();
    settings.h_df = 1e-4; /* wide enough to see past the rounding of large sums */
    room->work = gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &settings, residuals, parameters);
    room->weights = gsl_vector_alloc(residuals);
    room->residuals = gsl_vector_alloc(residuals);
    room->x = gsl_vector_alloc(parameters);
    room->best = gsl_vector_alloc(parameters);
    room->sorted = ARENA_ARRAY(arena, double, residuals);
    return room->work && room->weights && room->residuals && room->x && room->best && room->sorted;
}

static double largest_difference(const gsl_vector *a, const gsl_vector *b)
{
    double largest = 0;
    for (size_t i = 0; i < a->size; i++)
        largest = fmax(largest, fabs(gsl_vector_get(a, i) - gsl_vector_get(b, i)));
    return largest;
}

/* From room->x to the nearest minimum, left in room->x; the mean |residual| there. */
static double descend(struct run *run, struct room *room)
{
    gsl_multifit_nlinear_fdf fdf = {
        .f = residuals_at, .n = run->problem->residuals, .p = (size_t)run->free_count, .params = run};
    for (int pass = 0; pass < (run->problem->quick ? 2 : REWEIGHTS) && !run->failed; pass++) {
        int info;
        if (residuals_at(room->x, run, room->residuals) != GSL_SUCCESS)
            return INFINITY;
        reweigh(room->residuals, room->sorted, room->weights);
        if (gsl_multifit_nlinear_winit(room->x, room->weights, &fdf, room->work) != GSL_SUCCESS)
            return INFINITY;
        gsl_multifit_nlinear_driver(ITERATIONS, 1e-4, 1e-6, 1e-6, NULL, NULL, &info, room->work);
        double moved = largest_difference(room->x, gsl_multifit_nlinear_position(room->work));
        gsl_vector_memcpy(room->x, gsl_multifit_nlinear_position(room->work));
        if (moved < settled)
            break;
    }
    if (residuals_at(room->x, run, room->residuals) != GSL_SUCCESS)
        return INFINITY;
    return mean_absolute(room->residuals->data, run->problem->residuals);
}

/* Start values: as declared; lean (overheads down, efficiencies up); heavy. */
static void start_at(const struct run *run, int start, gsl_vector *x)
{
    static const double shift[STARTS] = {0, 1.2, -1.2};
    for (int i = 0; i < run->free_count; i++) {
        const struct parameter *parameter = &run->problem->parameter[run->free[i]];
        double direction = parameter->logarithmic ? -1 : 1;
        gsl_vector_set(x, (size_t)i, to_free(parameter, parameter->start) + direction * shift[start]);
    }
}

/* Parameters that no residual feels anywhere near the start are left out. */
static bool find_free(struct run *run, struct arena *arena, struct diag *diag, struct solution *solution)
{
    const struct solver_problem *problem = run->problem;
    size_t count = problem->residuals;
    double *at = ARENA_ARRAY(arena, double, count), *moved = ARENA_ARRAY(arena, double, count);
    if (!at || !moved)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!problem->evaluate(problem->context, run->base, at))
        return false;
    for (int p = 0; p < problem->parameters; p++) {
        const struct parameter *parameter = &problem->parameter[p];
        double values[PARAMETERS_MOST], most = 0;
        solution->states[p] = PARAMETER_HELD;
        if (parameter->held)
            continue;
        for (int way = -1; way <= 1; way += 2) {
            memcpy(values, run->base, sizeof values);
            values[p] = to_value(parameter, to_free(parameter, run->base[p]) + 2 * way);
            if (!problem->evaluate(problem->context, values, moved))
                return false;
            for (size_t i = 0; i < count; i++)
                most = fmax(most, fabs(moved[i] - at[i]));
        }
        solution->states[p] = most > 1e-3 ? PARAMETER_AT_LIMIT : PARAMETER_UNFELT;
        if (solution->states[p] == PARAMETER_AT_LIMIT)
            run->free[run->free_count++] = p;
    }
    for (int p = 0; p < problem->parameters; p++)
        if (solution->states[p] == PARAMETER_UNFELT)
            run->base[p] = problem->parameter[p].unfelt;
    return true;
}

/* Whether the residuals still feel the parameter where the fit ended. */
static bool is_felt(const struct run *run, const struct room *room, size_t i)
{
    gsl_vector_const_view column = gsl_matrix_const_column(gsl_multifit_nlinear_jac(room->work), i);
    return !at_bound(&run->problem->parameter[run->free[i]], gsl_vector_get(room->x, i)) &&
           gsl_blas_dnrm2(&column.vector) > 1e-3;
}

/* Sandwich covariance, (J'WJ)^-1 J'W R^2 W J (J'WJ)^-1: right under weights that the residuals made, and
 * where their spread differs from row to row. Parameters at a bound have no derivative to go by and are left
 * out. */
static void find_covariance(const struct run *run, const struct room *room, struct solution *solution)
{
    const gsl_matrix *jacobian = gsl_multifit_nlinear_jac(room->work); /* of sqrt(w) f */
    const gsl_vector *residuals = room->residuals;
    size_t rows = jacobian->size1, all = (size_t)run->free_count;
    size_t index[PARAMETERS_MOST], count = 0;
    for (size_t i = 0; i < all; i++) {
        if (is_felt(run, room, i))
            index[count++] = i;
    }
    if (count == 0)
        return;
    double curvature_data[PARAMETERS_MOST * PARAMETERS_MOST] = {0};
    double spread_data[PARAMETERS_MOST * PARAMETERS_MOST] = {0};
    gsl_matrix_view curvature = gsl_matrix_view_array(curvature_data, count, count);
    gsl_matrix_view spread = gsl_matrix_view_array(spread_data, count, count);
    for (size_t r = 0; r < rows; r++) {
        double weight = gsl_vector_get(room->weights, r), residual = gsl_vector_get(residuals, r);
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b < count; b++) {
                double product =
                    gsl_matrix_get(jacobian, r, index[a]) * gsl_matrix_get(jacobian, r, index[b]);
                curvature_data[a * count + b] += product;
                spread_data[a * count + b] += product * weight * residual * residual;
            }
    }
    /* a hair of ridge: two parameters that only act together then share their uncertainty */
    for (size_t a = 0; a < count; a++)
        curvature_data[a * count + a] *= 1 + 1e-9;
    if (gsl_linalg_cholesky_decomp1(&curvature.matrix) != GSL_SUCCESS ||
        gsl_linalg_cholesky_invert(&curvature.matrix) != GSL_SUCCESS)
        return;
    double half_data[PARAMETERS_MOST * PARAMETERS_MOST], free_data[PARAMETERS_MOST * PARAMETERS_MOST];
    gsl_matrix_view half = gsl_matrix_view_array(half_data, count, count);
    gsl_matrix_view covariance = gsl_matrix_view_array(free_data, count, count);
    gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1, &curvature.matrix, &spread.matrix, 0, &half.matrix);
    gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, 1, &half.matrix, &curvature.matrix, 0, &covariance.matrix);
    double variance = 0;
    for (size_t r = 0; r < rows; r++) {
        double weight = gsl_vector_get(room->weights, r), along = 0;
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b < count; b++)
                along += gsl_matrix_get(jacobian, r, index[a]) * gsl_matrix_get(jacobian, r, index[b]) *
                         free_data[a * count + b];
        variance += weight > 0 ? along / weight : 0;
    }
    solution->parameter_sigma = sqrt(fmax(variance / (double)rows, 0));
    for (size_t a = 0; a < count; a++)
        solution->states[run->free[index[a]]] = PARAMETER_FITTED;
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++) {
            int p = run->free[index[a]], q = run->free[index[b]];
            solution->covariance[p][q] = free_data[a * count + b] *
                                         slope(&run->problem->parameter[p], solution->values[p]) *
                                         slope(&run->problem->parameter[q], solution->values[q]);
        }
}

static bool solve_free(struct run *run, struct room *room, struct diag *diag, struct solution *solution)
{
    double least = INFINITY;
    for (int start = 0; start < (run->problem->quick ? 1 : STARTS) && !run->failed; start++) {
        start_at(run, start, room->x);
        double deviation = descend(run, room);
        if (deviation < least) {
            least = deviation;
            gsl_vector_memcpy(room->best, room->x);
        }
    }
    if (run->failed || !isfinite(least))
        return diag_error(diag, NOWHERE, "the fit does not converge");
    gsl_vector_memcpy(room->x, room->best);
    solution->mean_deviation = descend(run, room); /* again, for the Jacobian there */
    if (!isfinite(solution->mean_deviation))
        return diag_error(diag, NOWHERE, "the fit does not converge");
    place(run, room->x, solution->values);
    find_covariance(run, room, solution);
    snap(run, room->x, solution->values);
    return true;
}

bool solver_run(const struct solver_problem *problem, struct arena *arena, struct diag *diag,
                struct solution *solution)
{
    memset(solution, 0, sizeof *solution);
    struct run run = {.problem = problem, .row = ARENA_ARRAY(arena, double, problem->residuals)};
    if (!run.row)
        return diag_error(diag, NOWHERE, "out of memory");
    for (int p = 0; p < problem->parameters; p++)
        run.base[p] = problem->parameter[p].start;
    if (problem->residuals == 0)
        return diag_error(diag, NOWHERE, "no samples to fit");
    if (!find_free(&run, arena, diag, solution))
        return false;
    if (run.free_count == 0 || problem->residuals < (size_t)run.free_count)
        return diag_error(diag, NOWHERE, "the samples determine none of the scalars");
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    struct room room = {0};
    bool ok = room_new(&room, arena, problem->residuals, (size_t)run.free_count)
                  ? solve_free(&run, &room, diag, solution)
                  : diag_error(diag, NOWHERE, "out of memory");
    room_free(&room);
    gsl_set_error_handler(handler);
    return ok;
}
