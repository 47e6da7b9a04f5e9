#include "fit/calibrate.h"

#include <math.h>
#include <string.h>

/* A calibration being made. */
struct run {
    const struct sample_set *set;
    const struct device *device;
    const struct sample_filter *filter;
    const char *date;
    struct arena *arena;
    struct diag *diag;
    struct calibrated *out;
};

static bool judge(struct run *run, size_t block, const struct device *device, const size_t *chosen,
                  size_t count, struct error_summary *summary)
{
    double *seconds = ARENA_ARRAY(run->arena, double, count + 1);
    double *scratch = ARENA_ARRAY(run->arena, double, count + 1);
    if (!seconds || !scratch)
        return diag_error(run->diag, NOWHERE, "out of memory");
    if (!predict_samples(run->set, block, device, chosen, count, run->diag, seconds, NULL))
        return false;
    for (size_t i = 0; i < count; i++)
        seconds[i] = seconds[i] / run->set->samples[chosen[i]].seconds - 1;
    *summary = summarise(seconds, count, scratch);
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "gemm.csv: vllm 0.14.0 bfloat16, 2500 samples, MAPE 9.1%" */
static const char *describe(const struct run *run, const struct calibrated_block *block, size_t first)
{
    return arena_printf(run->arena, "%s: %s %s, %zu samples, MAPE %.1f%%",
                        base_name(run->set->samples[first].where.file), block->of->source, block->of->dtype,
                        block->samples, 100 * block->after.mean_absolute);
}

/* Another source of the same software and version has the same key: "vllm 0.14.0", "vllm custom 0.14.0". */
static const struct calibrated_block *same_key(const struct calibrated *out, const struct calibration *one)
{
    for (size_t i = 0; i < out->count; i++)
        if (!out->blocks[i].refused && same_calibration_key(&out->blocks[i].calibration, one))
            return &out->blocks[i];
    return NULL;
}

/* A refusal of this block alone: the message moves from the diag to the block. */
static bool refuse(struct run *run, struct calibrated_block *block, const struct diag *said)
{
    block->refused = block_refusal(block->of, run->diag, run->arena);
    *run->diag = *said;
    return block->refused || diag_error(run->diag, NOWHERE, "out of memory");
}

static bool calibrate_block(struct run *run, size_t index, const size_t *chosen, size_t count,
                            struct calibrated_block *block)
{
    struct diag said = *run->diag;
    if (!judge(run, index, run->device, chosen, count, &block->before))
        return false;
    *run->diag = (struct diag){.arena = said.arena};
    if (!fit_block(run->set, index, run->device, chosen, count, run->arena, run->diag, &block->calibration))
        return refuse(run, block, &said);
    const struct calibrated_block *other = same_key(run->out, &block->calibration);
    if (other) {
        diag_error(run->diag, NOWHERE,
                   "is software %s as %s is, and a block serves one of them: choose it by --source",
                   block->of->software_id, other->of->source);
        return refuse(run, block, &said);
    }
    *run->diag = said;
    const struct device *fitted = device_with_blocks(run->arena, run->device, &block->calibration, 1);
    if (!fitted)
        return diag_error(run->diag, NOWHERE, "out of memory");
    if (!judge(run, index, fitted, chosen, count, &block->after))
        return false;
    block->calibration.source = describe(run, block, chosen[0]);
    block->calibration.date = run->date;
    run->out->fitted++;
    return true;
}

bool calibrate(const struct sample_set *set, const struct device *device, const struct sample_filter *filter,
               const char *date, struct arena *arena, struct diag *diag,
               void (*watch)(void *context, double share), void *watcher, struct calibrated *out)
{
    struct run run = {set, device, filter, date, arena, diag, out};
    size_t done = 0;
    *out = (struct calibrated){.blocks = ARENA_ARRAY(arena, struct calibrated_block, set->block_count + 1)};
    if (!out->blocks)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!filter_check(filter, set, diag))
        return false;
    for (size_t i = 0; i < set->block_count; i++) {
        size_t *chosen, count = filter_choose(filter, set, i, arena, &chosen);
        struct calibrated_block *block = &out->blocks[out->count];
        *block = (struct calibrated_block){.of = &set->blocks[i], .samples = count};
        done += set->blocks[i].count;
        if (count == 0)
            continue;
        if (!calibrate_block(&run, i, chosen, count, block))
            return false;
        out->count++;
        if (watch)
            watch(watcher, (double)done / (double)set->count);
    }
    return true;
}
