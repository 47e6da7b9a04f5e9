#include "validate/validation.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS_MOST = 512 };

/* A validation being made. */
struct run {
    const struct sample_set *set;
    const struct device *device;
    const struct validation_plan *plan;
    struct arena *arena;
    struct diag *diag;
    struct validation *out;
    size_t done, total; /* rows, for the watcher */
};

/* Adds a name that is not there yet. */
static void note_name(const char **names, size_t *count, size_t most, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    if (*count < most)
        names[(*count)++] = name;
}

/* --- groups --- */

static struct validation_group *find_group(struct validation *out, size_t block, enum family family,
                                           const char *dtype, const char *source)
{
    for (size_t i = 0; i < out->group_count; i++) {
        struct validation_group *group = &out->groups[i];
        if (group->family == family && strcmp(group->dtype, dtype) == 0 && strcmp(group->source, source) == 0)
            return group;
    }
    if (out->group_count == GROUPS_MOST)
        return NULL;
    struct validation_group *group = &out->groups[out->group_count++];
    *group = (struct validation_group){.block = block, .family = family, .dtype = dtype, .source = source};
    return group;
}

static int by_name(const void *a, const void *b)
{
    const struct validation_group *x = a, *y = b;
    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    int order = strcmp(x->dtype, y->dtype);
    return order != 0 ? order : strcmp(x->source, y->source);
}

static bool refuse_groups(const struct run *run)
{
    return diag_error(run->diag, NOWHERE, "more than %d combinations of family, types and source",
                      GROUPS_MOST);
}

/* How often a row is tested. */
static size_t tests_a_row(const struct validation_plan *plan)
{
    return plan->mode == MODE_FOLDS ? FOLDS - 1 : 1;
}

/* One group for each (block, dtype) of the filtered samples, and for skipped rows that have no other. */
static bool make_groups(struct run *run)
{
    const struct sample_set *set = run->set;
    struct validation *out = run->out;
    out->groups = ARENA_ARRAY(run->arena, struct validation_group, GROUPS_MOST);
    if (!out->groups)
        return diag_error(run->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < set->count; i++) {
        const struct sample *sample = &set->samples[i];
        const struct sample_block *block = &set->blocks[sample->block];
        if (!filter_takes(&run->plan->filter, (int)block->family, block->source, sample->dtype))
            continue;
        struct validation_group *group =
            find_group(out, sample->block, block->family, sample->dtype, block->source);
        if (!group)
            return refuse_groups(run);
        group->row_count++;
    }
    for (size_t i = 0; i < set->skipped_kinds; i++) {
        const struct skipped_rows *skip = &set->skipped[i];
        if (skip->family == FAMILY_UNKNOWN ||
            !filter_takes(&run->plan->filter, skip->family, skip->source, skip->dtype))
            continue;
        struct validation_group *group =
            find_group(out, set->block_count, (enum family)skip->family, skip->dtype, skip->source);
        if (!group)
            return refuse_groups(run);
        group->skipped += skip->count;
    }
    qsort(out->groups, out->group_count, sizeof *out->groups, by_name);
    for (size_t g = 0; g < out->group_count; g++) {
        struct validation_group *group = &out->groups[g];
        run->total += group->row_count;
        group->rows = ARENA_ARRAY(run->arena, struct tested, group->row_count * tests_a_row(run->plan) + 1);
        group->row_count = 0;
        if (!group->rows)
            return diag_error(run->diag, NOWHERE, "out of memory");
    }
    return true;
}

/* --- predictions --- */

static bool add_tested(struct run *run, size_t block, const struct device *device, const size_t *chosen,
                       size_t count, enum provenance provenance, int fold)
{
    double *seconds = ARENA_ARRAY(run->arena, double, count + 1);
    double *sigmas = ARENA_ARRAY(run->arena, double, count + 1);
    if (!seconds || !sigmas)
        return diag_error(run->diag, NOWHERE, "out of memory");
    if (!predict_samples(run->set, block, device, chosen, count, run->diag, seconds, sigmas))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct sample *sample = &run->set->samples[chosen[i]];
        const struct sample_block *of = &run->set->blocks[block];
        if (!filter_takes(&run->plan->filter, (int)of->family, of->source, sample->dtype))
            continue;
        struct validation_group *group = find_group(run->out, block, of->family, sample->dtype, of->source);
        group->provenance = provenance;
        group->rows[group->row_count++] = (struct tested){sample, seconds[i], sigmas[i], fold};
    }
    return true;
}

/* What a fit could not be made for counts as skipped, with the reason. */
static void note_refusal(struct run *run, size_t block, size_t rows)
{
    for (size_t g = 0; g < run->out->group_count; g++) {
        struct validation_group *group = &run->out->groups[g];
        if (group->block != block)
            continue;
        group->refused = block_refusal(&run->set->blocks[block], run->diag, run->arena);
        group->skipped += rows;
    }
}

static void note_fit(struct run *run, size_t block)
{
    for (size_t g = 0; g < run->out->group_count; g++)
        run->out->groups[g].fits += run->out->groups[g].block == block;
}

/* Fits on some samples of `from`'s block, tests others of the set's; `as` is the block's key here. */
static bool fit_and_test(struct run *run, const struct sample_set *from, size_t from_block, size_t block,
                         const size_t *fitted, size_t fitted_count, const size_t *tested, size_t tested_count,
                         enum provenance provenance, int fold)
{
    struct diag said = *run->diag;
    struct calibration calibration;
    *run->diag = (struct diag){.arena = said.arena};
    bool ok =
        fit_block(from, from_block, from->device, fitted, fitted_count, run->arena, run->diag, &calibration);
    if (!ok)
        note_refusal(run, block, tested_count);
    *run->diag = said;
    if (!ok)
        return true;
    note_fit(run, block);
    calibration.software = run->set->blocks[block].software_id;
    calibration.version = run->set->blocks[block].version;
    struct device *device = device_with_blocks(run->arena, run->device, &calibration, 1);
    if (!device)
        return diag_error(run->diag, NOWHERE, "out of memory");
    return add_tested(run, block, device, tested, tested_count, provenance, fold);
}

/* --- the modes --- */

static bool test_calibrated(struct run *run, size_t block)
{
    size_t *chosen, count = choose_samples(run->set, block, run->arena, NULL, NULL, &chosen);
    struct target target;
    struct system system;
    struct system_member member;
    double scalars[SCALARS_MOST];
    const struct sample_block *of = &run->set->blocks[block];
    if (!samples_target(run->set, of, run->device, &system, &member, &target, run->diag))
        return false;
    const struct calibration *used = target_scalars(&target, of->family, of->format, of->operand, scalars);
    enum provenance provenance = used ? (enum provenance)used->provenance : PROVENANCE_NONE;
    return add_tested(run, block, run->device, chosen, count, provenance, -1);
}

/* A sample's place in a split. */
struct part {
    unsigned fold;
    bool by_shape, inside;
};

static bool is_in_part(const struct sample *sample, const void *context)
{
    const struct part *part = context;
    return (sample_fold(sample, part->by_shape) == part->fold) == part->inside;
}

static bool test_folds(struct run *run, size_t block)
{
    bool by_shape = run->plan->mode == MODE_SHAPES;
    for (unsigned fold = 0; fold < FOLDS; fold++) {
        /* a fold of rows is fitted and the rest tested; a fold of shapes is tested, the rest fitted */
        struct part fitted = {fold, by_shape, !by_shape}, tested = {fold, by_shape, by_shape};
        size_t *fit_on, *test_on;
        size_t fit_count = choose_samples(run->set, block, run->arena, is_in_part, &fitted, &fit_on);
        size_t test_count = choose_samples(run->set, block, run->arena, is_in_part, &tested, &test_on);
        if (!fit_on || !test_on)
            return diag_error(run->diag, NOWHERE, "out of memory");
        if (test_count > 0 && !fit_and_test(run, run->set, block, block, fit_on, fit_count, test_on,
                                            test_count, PROVENANCE_FITTED, (int)fold))
            return false;
    }
    return true;
}

static bool test_rows(struct run *run, size_t block)
{
    size_t *all, count = choose_samples(run->set, block, run->arena, NULL, NULL, &all);
    size_t *fitted = ARENA_ARRAY(run->arena, size_t, count + 1), fitted_count = 0;
    size_t *tested = ARENA_ARRAY(run->arena, size_t, count + 1), tested_count = 0;
    size_t wanted = run->plan->fit_rows < count ? run->plan->fit_rows : count;
    if (!all || !fitted || !tested)
        return diag_error(run->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < count; i++) { /* row i is taken where i * wanted / count steps */
        bool taken = (i + 1) * wanted / count > i * wanted / count;
        *(taken ? &fitted[fitted_count++] : &tested[tested_count++]) = all[i];
    }
    return fit_and_test(run, run->set, block, block, fitted, fitted_count, tested, tested_count,
                        PROVENANCE_FITTED, -1);
}

/* The other device's block whose kernels are most like this one's: same formats; same source, else the same
 * software, else the one with the most samples. block_count: none. */
static size_t alike(const struct sample_set *set, const struct sample_block *block)
{
    size_t best = set->block_count;
    int best_merit = -1;
    for (size_t i = 0; i < set->block_count; i++) {
        const struct sample_block *one = &set->blocks[i];
        if (one->family != block->family || one->format != block->format || one->operand != block->operand)
            continue;
        int merit = strcmp(one->source, block->source) == 0             ? 2
                    : strcmp(one->software_id, block->software_id) == 0 ? 1
                                                                        : 0;
        if (merit > best_merit || (merit == best_merit && one->count > set->blocks[best].count)) {
            best = i;
            best_merit = merit;
        }
    }
    return best;
}

static bool test_transfer(struct run *run, size_t block)
{
    const struct sample_set *others = run->plan->others;
    size_t from = alike(others, &run->set->blocks[block]);
    size_t *fitted, *tested;
    size_t tested_count = choose_samples(run->set, block, run->arena, NULL, NULL, &tested);
    if (from == others->block_count) {
        struct diag said = *run->diag;
        *run->diag = (struct diag){.arena = said.arena};
        diag_error(run->diag, NOWHERE, "%s has no samples of the family in these types", others->device->id);
        note_refusal(run, block, tested_count);
        *run->diag = said;
        return true;
    }
    size_t fitted_count = choose_samples(others, from, run->arena, NULL, NULL, &fitted);
    if (!fitted || !tested)
        return diag_error(run->diag, NOWHERE, "out of memory");
    return fit_and_test(run, others, from, block, fitted, fitted_count, tested, tested_count,
                        PROVENANCE_INHERITED, -1);
}

static bool test_block(struct run *run, size_t block)
{
    switch (run->plan->mode) {
    case MODE_FOLDS:
    case MODE_SHAPES:
        return test_folds(run, block);
    case MODE_ROWS:
        return test_rows(run, block);
    case MODE_TRANSFER:
        return test_transfer(run, block);
    case MODE_CALIBRATED:
        break;
    }
    return test_calibrated(run, block);
}

static bool is_wanted(const struct run *run, size_t block)
{
    for (size_t g = 0; g < run->out->group_count; g++)
        if (run->out->groups[g].block == block)
            return true;
    return false;
}

static bool judge(struct run *run, struct validation_group *group)
{
    if (!accuracy_of(group->rows, group->row_count, NULL, run->arena, &group->all))
        return diag_error(run->diag, NOWHERE, "out of memory");
    for (size_t i = 0; i < group->row_count; i++)
        note_name(group->variants, &group->variant_count, VARIANTS_MOST, group->rows[i].sample->variant);
    for (size_t v = 0; v < group->variant_count; v++)
        if (!accuracy_of(group->rows, group->row_count, group->variants[v], run->arena,
                         &group->by_variant[v]))
            return diag_error(run->diag, NOWHERE, "out of memory");
    group->worst_count = accuracy_worst(group->rows, group->row_count, group->worst, WORST_MOST);
    run->out->tested += group->row_count;
    run->out->skipped += group->skipped;
    return true;
}

bool validate_samples(const struct sample_set *set, const struct device *device,
                      const struct validation_plan *plan, struct arena *arena, struct diag *diag,
                      struct validation *validation)
{
    *validation = (struct validation){.set = set, .plan = plan};
    struct run run = {
        .set = set, .device = device, .plan = plan, .arena = arena, .diag = diag, .out = validation};
    if (!filter_check(&plan->filter, set, diag) || !make_groups(&run))
        return false;
    for (size_t block = 0; block < set->block_count; block++) {
        if (!is_wanted(&run, block))
            continue;
        if (!test_block(&run, block))
            return false;
        run.done += set->blocks[block].count;
        if (plan->watch)
            plan->watch(plan->watcher, run.total > 0 ? (double)run.done / (double)run.total : 0);
    }
    for (size_t g = 0; g < validation->group_count; g++)
        if (!judge(&run, &validation->groups[g]))
            return false;
    return true;
}
