#include "analyse/claims.h"

#include "analyse/claim_query.h"
#include "analyse/sampling.h"
#include "analyse/solve.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>

const char *claim_verdict_name(enum claim_verdict verdict)
{
    static const char *const names[CLAIM_VERDICT_COUNT] = {"not scored", "within 10%", "within 25%",
                                                           "within 50%", "off",        "unexplained"};
    return names[verdict];
}

/* One point of a grid: the question with the technique and, in forms that compare, the baseline's. */
struct pair {
    struct question sides[2];
};

/* A claim being tried. */
struct trying {
    const struct claim_trial *trial;
    struct diag *diag;
    const struct claim *claim;
    const struct claim_metric *metric;
    const struct claim_unit *unit;
    struct pair *pairs; /* [points] */
    size_t points;
    int sides;                   /* 1, or 2 with a baseline */
    const char *reason;          /* of the first question without an answer */
    struct evaluated *evaluated; /* scratch */
    double sigmas[FAMILY_COUNT];
    double scatter[FAMILY_COUNT];
};

static bool refused(struct trying *trying, const char *reason)
{
    if (trying->reason == NULL)
        trying->reason = arena_strdup(trying->trial->arena, reason ? reason : "out of memory");
    return false;
}

/* ---- the questions ---- */

/* The most that fits takes the place of `max`. */
static bool solve_for(struct trying *trying, const char *what, struct question *question)
{
    const struct limits limits = {0};
    struct solution solution;
    struct diag diag = {.arena = trying->trial->arena};
    enum unknown unknown = strcmp(what, "batch") == 0 ? UNKNOWN_BATCH : UNKNOWN_PROMPT;
    if (!solve(trying->trial->evaluator, trying->trial->arena, &diag, question, &limits, unknown, &solution))
        return refused(trying, diag_first_error(&diag));
    if (!solution.found)
        return refused(trying, solution.reason ? solution.reason : "not even one fits");
    *(unknown == UNKNOWN_BATCH ? &question->batch : &question->prompt) = solution.value;
    return true;
}

/* The question of a point: with the technique, or what it is compared with. */
static bool make_side(struct trying *trying, size_t point, int side)
{
    static const struct claim_query as_the_query = {.count = 0};
    const struct claim *claim = trying->claim;
    const struct claim_query *over = NULL;
    const char *with = NULL, *solve;
    struct question *question = &trying->pairs[point].sides[side];
    if (side > 0)
        over = claim->baseline.given ? &claim->baseline : &as_the_query;
    else if (query_find(&claim->query, "with") == NULL)
        with = trying->trial->name;
    return query_question(trying->trial->arena, trying->diag, &claim->query, over, with, point, question,
                          &solve) &&
           (solve == NULL || solve_for(trying, solve, question));
}

/* false with diag, or with trying->reason when a question has no answer. */
static bool make_pairs(struct trying *trying)
{
    for (size_t p = 0; p < trying->points; p++)
        for (int side = 0; side < trying->sides; side++)
            if (!make_side(trying, p, side))
                return false;
    return true;
}

/* ---- values ---- */

static double formed(enum claim_form form, double with, double without)
{
    switch (form) {
    case FORM_RATIO:
        return with / without;
    case FORM_SPEEDUP:
        return without / with;
    case FORM_REDUCTION:
        return 1 - with / without;
    case FORM_INCREASE:
        return with / without - 1;
    case FORM_VALUE:
    default:
        return with;
    }
}

/* The widest that any question trusts a family: claims compare like with like. */
static void widen_sigmas(struct trying *trying, const struct breakdown *breakdown)
{
    double sigmas[FAMILY_COUNT];
    family_sigmas(breakdown, sigmas);
    for (int f = 0; f < FAMILY_COUNT; f++)
        trying->sigmas[f] = fmax(trying->sigmas[f], sigmas[f]);
}

/* The metric at a point, with the scatter given; NAN with trying->reason. */
static double value_at(struct trying *trying, size_t point, const double *scatter)
{
    double sides[2] = {NAN, NAN};
    struct evaluated *evaluated = trying->evaluated;
    for (int side = 0; side < trying->sides; side++) {
        struct question question = trying->pairs[point].sides[side];
        const char *reason;
        question.scatter = scatter;
        if (!evaluate_whole(trying->trial->evaluator, &question, evaluated, &reason)) {
            refused(trying, reason);
            return NAN;
        }
        sides[side] = trying->metric->of(evaluated, trying->claim);
        if (scatter == NULL)
            widen_sigmas(trying, &evaluated->breakdown);
    }
    return formed((enum claim_form)trying->claim->form, sides[0], sides[1]);
}

static double value_over_grid(struct trying *trying, const double *scatter)
{
    double best = NAN, sum = 0;
    for (size_t p = 0; p < trying->points; p++) {
        double value = value_at(trying, p, scatter);
        if (isnan(value))
            return NAN;
        sum += value;
        if (p == 0 || (trying->claim->kind == CLAIM_AT_LEAST ? value < best : value > best))
            best = value;
    }
    return trying->claim->kind == CLAIM_AVERAGE ? sum / (double)trying->points : best;
}

/* 90% of what families' errors, common to both sides, make of the value: normal about the prediction. */
static void draw_interval(struct trying *trying, double value, struct claim_result *result)
{
    enum { SEED = 1 };
    const double normal_95 = 1.6449;
    int draws = trying->trial->draws;
    double *values = ARENA_ARRAY(trying->trial->arena, double, (size_t)draws + 1);
    gsl_rng *dice = draws > 1 ? gsl_rng_alloc(gsl_rng_mt19937) : NULL;
    if (dice == NULL || values == NULL)
        return;
    gsl_rng_set(dice, SEED);
    int drawn = 0;
    for (int d = 0; d < draws; d++) {
        for (int f = 0; f < FAMILY_COUNT; f++)
            trying->scatter[f] = exp(trying->sigmas[f] * gsl_ran_ugaussian(dice));
        values[drawn] = value_over_grid(trying, trying->scatter);
        drawn += isfinite(values[drawn]);
    }
    gsl_rng_free(dice);
    if (drawn < 2)
        return;
    double sigma = gsl_stats_sd_with_fixed_mean(values, 1, (size_t)drawn, value);
    result->low = (value - normal_95 * sigma) / trying->unit->si;
    result->high = (value + normal_95 * sigma) / trying->unit->si;
}

/* ---- verdicts ---- */

static enum claim_verdict verdict_of(const struct claim *claim, double ratio)
{
    double error = claim->kind == CLAIM_AT_LEAST && ratio >= 1 ? 0 : fabs(ratio - 1);
    if (error <= 0.10)
        return CLAIM_WITHIN_10;
    if (error <= 0.25)
        return CLAIM_WITHIN_25;
    if (error <= 0.50)
        return CLAIM_WITHIN_50;
    return claim->cause ? CLAIM_OFF : CLAIM_UNEXPLAINED;
}

static bool set_up(struct trying *trying)
{
    const struct claim *claim = trying->claim;
    trying->metric = claim_metric_find(trying->diag, claim);
    trying->unit = trying->metric ? claim_unit_find(trying->diag, claim, trying->metric) : NULL;
    trying->points = trying->unit ? query_points(trying->diag, &claim->query) : 0;
    if (trying->points == 0)
        return false;
    if (claim->kind == CLAIM_EXACT && trying->points > 1)
        return diag_error(trying->diag, claim->where, "%s: an exact claim has a grid of %zu points",
                          claim->id, trying->points);
    trying->sides = claim->form == FORM_VALUE ? 1 : 2;
    trying->pairs = ARENA_ARRAY(trying->trial->arena, struct pair, trying->points);
    trying->evaluated = ARENA_NEW(trying->trial->arena, struct evaluated);
    return (trying->pairs != NULL && trying->evaluated != NULL) ||
           diag_error(trying->diag, claim->where, "out of memory");
}

bool claim_try(const struct claim_trial *trial, struct diag *diag, const struct technique *technique,
               const struct claim *claim, struct claim_result *result)
{
    struct trying trying = {.trial = trial, .diag = diag, .claim = claim};
    *result = (struct claim_result){.technique = technique,
                                    .claim = claim,
                                    .predicted = NAN,
                                    .low = NAN,
                                    .high = NAN,
                                    .ratio = NAN,
                                    .verdict = CLAIM_NOT_SCORED,
                                    .reason = claim->cause};
    if (claim->status == CLAIM_NOT_COMPUTABLE) {
        result->reason = claim_reason_names[claim->reason].name;
        return true;
    }
    if (!claim->query.given)
        return true;
    if (!set_up(&trying))
        return false;
    bool paired = make_pairs(&trying);
    if (!paired && trying.reason == NULL)
        return false;
    double value = paired ? value_over_grid(&trying, NULL) : NAN;
    result->points = (int)trying.points;
    if (isfinite(value)) {
        result->predicted = value / trying.unit->si;
        result->ratio = result->predicted / claim->value;
        draw_interval(&trying, value, result);
    } else {
        result->reason = trying.reason ? trying.reason : "the answer has no such figure";
    }
    if (claim->status == CLAIM_COMPUTED)
        result->verdict = isfinite(value) ? verdict_of(claim, result->ratio) : CLAIM_UNEXPLAINED;
    return true;
}

/* ---- tallies ---- */

static struct claim_tally *tally_of(struct claim_tally *tallies, size_t *count, const char *family)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(tallies[i].family, family) == 0)
            return &tallies[i];
    tallies[*count] = (struct claim_tally){.family = family};
    return &tallies[(*count)++];
}

static void tally_add(struct claim_tally *tally, const struct claim_result *result)
{
    tally->claims++;
    tally->status[result->claim->status]++;
    tally->verdicts[result->verdict]++;
}

/* NULL family: of all. */
static double median_error(const struct claim_result *results, size_t count, const char *family,
                           double *scratch)
{
    size_t scored = 0;
    for (size_t i = 0; i < count; i++)
        if (results[i].verdict != CLAIM_NOT_SCORED && isfinite(results[i].ratio) &&
            (family == NULL || strcmp(technique_family(results[i].technique), family) == 0))
            scratch[scored++] = fabs(results[i].ratio - 1);
    return scored > 0 ? gsl_stats_median(scratch, 1, scored) : NAN;
}

struct claim_tally *claims_tally(struct arena *arena, const struct claim_result *results, size_t count,
                                 size_t *tallies)
{
    struct claim_tally *list = ARENA_ARRAY(arena, struct claim_tally, count + 1);
    double *scratch = ARENA_ARRAY(arena, double, count + 1);
    *tallies = 0;
    if (list == NULL || scratch == NULL)
        return NULL;
    struct claim_tally all = {.family = "all"};
    for (size_t i = 0; i < count; i++) {
        tally_add(tally_of(list, tallies, technique_family(results[i].technique)), &results[i]);
        tally_add(&all, &results[i]);
    }
    for (size_t i = 0; i < *tallies; i++)
        list[i].median_error = median_error(results, count, list[i].family, scratch);
    all.median_error = median_error(results, count, NULL, scratch);
    list[(*tallies)++] = all;
    return list;
}
