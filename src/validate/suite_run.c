/* Running suites: what several checks need is read and fitted once. */
#include "validate/answers.h"
#include "validate/suite.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* Samples of some files for a device. */
struct loaded {
    const char *key; /* device and files */
    const struct device *device;
    struct sample_set set;
    struct loaded *next;
};

/* A validation that was made. */
struct made {
    const struct loaded *samples;
    const struct loaded *others;
    struct validation_plan plan;
    struct validation validation;
    struct made *next;
};

struct suite_run {
    struct catalogue *catalogue;
    struct arena *arena;
    struct diag *diag;
    void (*watch)(void *context);
    void *watcher;
    struct loaded *loaded;
    struct made *made;
};

struct suite_run *suite_run_new(struct catalogue *catalogue, struct arena *arena, struct diag *diag,
                                void (*watch)(void *context), void *watcher)
{
    struct suite_run *run = ARENA_NEW(arena, struct suite_run);
    if (run)
        *run = (struct suite_run){catalogue, arena, diag, watch, watcher, NULL, NULL};
    else
        diag_error(diag, NOWHERE, "out of memory");
    return run;
}

static const struct software *find_software(void *context, const char *name)
{
    struct suite_run *run = context;
    struct diag quiet = {.arena = run->arena};
    return catalogue_software(run->catalogue, &quiet, name, NULL);
}

/* A file as the suite names it, from the suite's folder. */
static const char *place(struct suite_run *run, const struct suite *suite, const char *file)
{
    const char *slash = strrchr(suite->path, '/');
    if (file[0] == '/' || !slash)
        return file;
    return arena_printf(run->arena, "%.*s/%s", (int)(slash - suite->path), suite->path, file);
}

static const char *missing_file(struct suite_run *run, const struct suite *suite,
                                const struct suite_check *check)
{
    for (size_t i = 0; i < check->samples.count; i++) {
        const char *path = place(run, suite, check->samples.items[i]);
        if (path && access(path, F_OK) != 0)
            return check->samples.items[i];
    }
    return NULL;
}

static const char *key_of(struct suite_run *run, const struct suite *suite, const struct suite_check *check,
                          const char *device)
{
    const char *key = device;
    for (size_t i = 0; i < check->samples.count && key; i++)
        key = arena_printf(run->arena, "%s\n%s", key, place(run, suite, check->samples.items[i]));
    return key;
}

static struct loaded *load(struct suite_run *run, const struct suite *suite, const struct suite_check *check,
                           const char *name)
{
    const char *key = key_of(run, suite, check, name);
    for (struct loaded *one = run->loaded; one && key; one = one->next)
        if (strcmp(one->key, key) == 0)
            return one;
    struct loaded *loaded = ARENA_NEW(run->arena, struct loaded);
    if (!loaded || !key) {
        diag_error(run->diag, NOWHERE, "out of memory");
        return NULL;
    }
    loaded->key = key;
    loaded->device = catalogue_device(run->catalogue, run->diag, name, NULL);
    if (!loaded->device)
        return NULL;
    samples_start(&loaded->set, run->arena, loaded->device);
    loaded->set.watch = run->watch;
    loaded->set.watcher = run->watcher;
    for (size_t i = 0; i < check->samples.count; i++)
        if (!samples_read(&loaded->set, run->diag, place(run, suite, check->samples.items[i]), find_software,
                          run))
            return NULL;
    loaded->next = run->loaded;
    return run->loaded = loaded;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_plan(const struct validation_plan *a, const struct validation_plan *b)
{
    return a->mode == b->mode && a->fit_rows == b->fit_rows &&
           same_text(a->filter.family, b->filter.family) && same_text(a->filter.source, b->filter.source) &&
           same_text(a->filter.dtype, b->filter.dtype);
}

static const struct validation *make(struct suite_run *run, const struct loaded *samples,
                                     const struct loaded *others, const struct validation_plan *plan)
{
    for (const struct made *one = run->made; one; one = one->next)
        if (one->samples == samples && one->others == others && same_plan(&one->plan, plan))
            return &one->validation;
    struct made *made = ARENA_NEW(run->arena, struct made);
    if (!made) {
        diag_error(run->diag, NOWHERE, "out of memory");
        return NULL;
    }
    *made = (struct made){.samples = samples, .others = others, .plan = *plan, .next = run->made};
    if (!validate_samples(&samples->set, samples->device, &made->plan, run->arena, run->diag,
                          &made->validation))
        return NULL;
    run->made = made;
    return &made->validation;
}

/* What of a group a check judges: all of it or a variant; NULL: the group has no such rows. */
static const struct accuracy *judged(const struct validation_group *group, const char *variant)
{
    if (!variant)
        return group->row_count > 0 ? &group->all : NULL;
    for (size_t v = 0; v < group->variant_count; v++)
        if (strcmp(group->variants[v], variant) == 0)
            return &group->by_variant[v];
    return NULL;
}

static const struct accuracy *same_group(const struct validation *validation,
                                         const struct validation_group *group, const char *variant)
{
    for (size_t i = 0; i < validation->group_count; i++) {
        const struct validation_group *one = &validation->groups[i];
        if (one->family == group->family && strcmp(one->dtype, group->dtype) == 0 &&
            strcmp(one->source, group->source) == 0)
            return judged(one, variant);
    }
    return NULL;
}

static void fail(struct suite_run *run, struct check_result *result, const char *what,
                 const struct validation_group *group, double value, double allowed)
{
    const char *words = arena_printf(run->arena, "%s%s%s of %s %s is %.1f%%, allowed %.1f%%",
                                     result->verdict == VERDICT_FAILED ? result->note : "",
                                     result->verdict == VERDICT_FAILED ? "; " : "", what, group->source,
                                     group->dtype, 100 * value, 100 * allowed);
    result->verdict = VERDICT_FAILED;
    result->note = words ? words : "out of memory";
}

/* The tightest of the check's bars on the MAPE of a group; INFINITY: none. */
static double allowed_mape(const struct suite_check *check, const struct accuracy *by_folds)
{
    double allowed = check->max_mape > 0 ? check->max_mape : INFINITY;
    if (check->max_above_folds > 0 && by_folds)
        allowed = fmin(allowed, by_folds->all.mean_absolute + check->max_above_folds);
    return allowed;
}

static void judge_coverage(struct suite_run *run, struct check_result *result,
                           const struct validation_group *group, double coverage)
{
    const double *range = result->check->coverage;
    result->coverage_low = fmin(result->coverage_low, coverage);
    result->coverage_high = fmax(result->coverage_high, coverage);
    if (range[1] > 0 && (!(coverage >= range[0]) || coverage > range[1]))
        fail(run, result, "coverage", group, coverage, coverage > range[1] ? range[1] : range[0]);
}

static void judge_group(struct suite_run *run, struct check_result *result,
                        const struct validation_group *group, const struct accuracy *accuracy,
                        const struct accuracy *by_folds)
{
    const struct suite_check *check = result->check;
    double mape = accuracy->all.mean_absolute, allowed = allowed_mape(check, by_folds);
    const struct error_summary *above = &accuracy->bands[BAND_LONG];
    result->tested += accuracy->all.count;
    double excess = isfinite(allowed) ? mape / allowed : mape;
    double before = isfinite(result->allowed) ? result->mape / result->allowed : result->mape;
    if (isnan(result->mape) || excess > before) {
        result->mape = mape;
        result->allowed = isfinite(allowed) ? allowed : NAN;
        result->source = group->source;
        result->dtype = group->dtype;
    }
    if (mape > allowed)
        fail(run, result, "MAPE", group, mape, allowed);
    if (above->count > 0)
        result->mape_above_100us = fmax(result->mape_above_100us, above->mean_absolute);
    if (check->max_mape_above_100us > 0 && above->count > 0 &&
        above->mean_absolute > check->max_mape_above_100us)
        fail(run, result, "MAPE above 100 us", group, above->mean_absolute, check->max_mape_above_100us);
    judge_coverage(run, result, group, accuracy->coverage);
}

/* A group that a fit was refused for is no pass. */
static void judge_refused(struct suite_run *run, struct check_result *result,
                          const struct validation_group *group)
{
    const char *words =
        arena_printf(run->arena, "%s%s%s", result->note, result->note[0] ? "; " : "", group->refused);
    result->verdict = VERDICT_FAILED;
    result->note = words ? words : "out of memory";
}

static void judge(struct suite_run *run, struct check_result *result, const struct validation *validation,
                  const struct validation *folds)
{
    const char *variant = result->check->variant;
    for (size_t g = 0; g < validation->group_count; g++) {
        const struct validation_group *group = &validation->groups[g];
        const struct accuracy *accuracy = judged(group, variant);
        if (accuracy)
            judge_group(run, result, group, accuracy, folds ? same_group(folds, group, variant) : NULL);
        if (group->refused)
            judge_refused(run, result, group);
    }
    if (result->tested == 0 && result->verdict == VERDICT_PASSED) {
        result->verdict = VERDICT_NOTHING;
        result->note = "no row could be predicted";
    }
}

static bool predict_answers(struct suite_run *run, struct published_rows *list, struct check_result *result)
{
    const struct suite_check *check = result->check;
    struct evaluator evaluator = {.catalogue = run->catalogue, .scratch = arena_new(0)};
    double sum = 0;
    bool ok = evaluator.scratch != NULL || diag_error(run->diag, NOWHERE, "out of memory");
    for (size_t i = 0; ok && i < list->count; i++) {
        struct published_row *row = &list->rows[i];
        if (check->device && strcmp(row->question.device, check->device) != 0)
            continue;
        ok = published_predict(row, &evaluator, run->diag);
        sum += fabs(row->predicted / row->measured - 1);
        result->tested++;
    }
    arena_free(evaluator.scratch);
    result->mape = result->tested > 0 ? sum / (double)result->tested : NAN;
    return ok;
}

static bool run_answers(struct suite_run *run, const struct suite *suite, struct check_result *result)
{
    const struct suite_check *check = result->check;
    struct published_rows list;
    const char *path = place(run, suite, check->answers);
    if (!path)
        return diag_error(run->diag, NOWHERE, "out of memory");
    if (access(path, F_OK) != 0) {
        result->verdict = VERDICT_NOT_HERE;
        result->note = path;
        return true;
    }
    if (!published_read(&list, run->arena, run->diag, path) || !predict_answers(run, &list, result))
        return false;
    result->allowed = check->max_mape;
    if (result->tested == 0) {
        result->verdict = VERDICT_NOTHING;
        result->note = "no row of this device";
    } else if (result->mape > check->max_mape) {
        result->verdict = VERDICT_FAILED;
        result->note = arena_printf(run->arena, "MAPE is %.1f%%, allowed %.1f%%", 100 * result->mape,
                                    100 * check->max_mape);
    }
    return result->note || diag_error(run->diag, NOWHERE, "out of memory");
}

bool suite_check_run(struct suite_run *run, const struct suite *suite, const struct suite_check *check,
                     struct check_result *result)
{
    *result = (struct check_result){.suite = suite,
                                    .check = check,
                                    .note = "",
                                    .mape = NAN,
                                    .allowed = NAN,
                                    .mape_above_100us = NAN,
                                    .coverage_low = NAN,
                                    .coverage_high = NAN,
                                    .source = "",
                                    .dtype = ""};
    if (check->answers)
        return run_answers(run, suite, result);
    const char *missing = missing_file(run, suite, check);
    if (missing) {
        result->verdict = VERDICT_NOT_HERE;
        result->note = missing;
        return true;
    }
    const struct loaded *samples = load(run, suite, check, check->device), *others = NULL;
    if (samples && check->mode == MODE_TRANSFER)
        others = load(run, suite, check, check->fit_on);
    if (!samples || (check->mode == MODE_TRANSFER && !others))
        return false;
    if (samples->set.count == 0) {
        result->verdict = VERDICT_NOTHING;
        result->note = arena_printf(run->arena, "no row of %s", samples->device->id);
        return result->note || diag_error(run->diag, NOWHERE, "out of memory");
    }
    struct validation_plan plan = {.mode = (enum validation_mode)check->mode,
                                   .filter = {check->family, check->source, check->dtype},
                                   .fit_rows = (size_t)check->fit_rows,
                                   .others = others ? &others->set : NULL};
    struct diag quiet = {.arena = run->arena};
    if (!filter_check(&plan.filter, &samples->set, &quiet)) {
        result->verdict = VERDICT_NOTHING;
        result->note = quiet.first ? quiet.first->text : "";
        return true;
    }
    const struct validation *validation = make(run, samples, others, &plan), *folds = NULL;
    if (validation && check->max_above_folds > 0) {
        plan.mode = MODE_FOLDS;
        folds = make(run, samples, NULL, &plan);
    }
    if (!validation || (check->max_above_folds > 0 && !folds))
        return false;
    judge(run, result, validation, folds);
    return true;
}
