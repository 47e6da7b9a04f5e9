/* Which calibrated scalars an operator takes: blocks ordered once per target, laid over each other per op. */
#include "cost/rates.h"

#include <string.h>

/* How well a block fits the stack, best last. The stack's own description (facts about its kernels on any
 * device) stands between its measurements on this device and what other stacks measured. */
enum { MERIT_NONE = -1, MERIT_ANY = 0, MERIT_ALIKE_LEAST = 1, MERIT_OWN_FILE = 64, MERIT_SELF = 65 };

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static int merit_of(const struct software *software, const struct calibration *block, bool own_file)
{
    bool any = !block->software || strcmp(block->software, "*") == 0;
    if (own_file)
        return any || same(block->software, software->id) ? MERIT_OWN_FILE : MERIT_NONE;
    if (any)
        return MERIT_ANY;
    if (same(block->software, software->id))
        return MERIT_SELF;
    for (size_t i = 0; i < software->calibrated_as.count && MERIT_ALIKE_LEAST + i < MERIT_OWN_FILE; i++)
        if (same(block->software, software->calibrated_as.items[i]))
            return MERIT_OWN_FILE - 1 - (int)i;
    return MERIT_NONE;
}

/* A block of the very version, or of no particular one, before those of other versions ("0.14" is the version
 * of what "0.14.0" measured). */
static bool version_fits(const struct software *software, const struct calibration *block)
{
    if (!block->version || !software->version)
        return !block->version;
    size_t length = strlen(software->version);
    return strncmp(block->version, software->version, length) == 0 &&
           (block->version[length] == '\0' || block->version[length] == '.');
}

/* Measured blocks lie above family defaults, those for one format or operand above those for any. */
static int priority_of(const struct software *software, const struct calibration *block, int merit)
{
    bool measured = block->provenance == PROVENANCE_FITTED || block->provenance == PROVENANCE_INHERITED;
    int specific = (block->format != FORMAT_NONE) + (block->operand != OPERAND_ANY);
    return ((merit * 2 + measured) * 2 + version_fits(software, block)) * 4 + specific;
}

static bool in_range(const struct calibration *block)
{
    return block->family >= 0 && block->family < FAMILY_COUNT && block->format >= 0 &&
           block->format < FORMAT_COUNT && block->operand >= 0 && block->operand < OPERAND_COUNT;
}

/* Sorted by family, within it by priority, equal ones in the order of the file. */
static void insert(struct target *target, const struct calibration *block, int priority)
{
    int at = target->block_count++;
    struct applied_block *blocks = target->blocks;
    for (; at > 0 && (blocks[at - 1].block->family > block->family ||
                      (blocks[at - 1].block->family == block->family && blocks[at - 1].priority > priority));
         at--)
        blocks[at] = blocks[at - 1];
    blocks[at] = (struct applied_block){block, priority};
}

static bool add_blocks(struct target *target, struct diag *diag, const struct calibration *list, size_t count,
                       bool own_file)
{
    for (size_t i = 0; i < count; i++) {
        const struct calibration *block = &list[i];
        int merit = merit_of(target->software, block, own_file);
        if (merit == MERIT_NONE || !in_range(block))
            continue;
        if (target->block_count == APPLIED_BLOCKS_MOST)
            return diag_error(diag, block->where, "calibration: more than %d blocks apply to software %s",
                              APPLIED_BLOCKS_MOST, target->software->id);
        insert(target, block, priority_of(target->software, block, merit));
    }
    return true;
}

bool target_order_blocks(struct target *target, struct diag *diag)
{
    const struct device *device = target->device;
    const struct software *software = target->software;
    target->block_count = 0;
    if (!target->ideal &&
        (!add_blocks(target, diag, device->calibrations, device->calibration_count, false) ||
         !add_blocks(target, diag, software->calibrations, software->calibration_count, true)))
        return false;
    int at = 0;
    for (int family = 0; family < FAMILY_COUNT; family++) {
        target->family_first[family] = at;
        while (at < target->block_count && target->blocks[at].block->family == family)
            at++;
    }
    target->family_first[FAMILY_COUNT] = at;
    return true;
}

/* How well a block's format or operand fits: the two 16-bit floats run at the same rates in kernels of the
 * same make, so that what was measured with one stands for the other where that was not measured; so do plain
 * groups for k-quants. */
enum fit { FIT_NONE, FIT_ALIKE, FIT_SAME };

static enum fit format_fit(int block, int wanted)
{
    bool half = block == FORMAT_BF16 || block == FORMAT_FP16;
    if (block == FORMAT_NONE || block == wanted)
        return FIT_SAME;
    return half && (wanted == FORMAT_BF16 || wanted == FORMAT_FP16) ? FIT_ALIKE : FIT_NONE;
}

static enum fit operand_fit(int block, enum operand wanted)
{
    enum operand alike = operand_alike(wanted);
    if (alike == wanted || block == (int)wanted)
        return format_fit(block, (int)wanted);
    return block == (int)alike ? FIT_ALIKE : format_fit(block, (int)wanted);
}

/* Of format and operand together; 0: one of them does not fit. */
static int fit_of(const struct calibration *block, enum number_format format, enum operand operand)
{
    enum fit by_format = format_fit(block->format, (int)format);
    enum fit by_operand = operand_fit(block->operand, operand);
    return by_format == FIT_NONE || by_operand == FIT_NONE ? 0 : (int)by_format + (int)by_operand;
}

double target_spread(const struct target *target, enum family family, enum number_format format,
                     enum operand operand)
{
    double spread = 0;
    for (int i = target->family_first[family]; i < target->family_first[family + 1]; i++) {
        const struct calibration *block = target->blocks[i].block;
        if (block->provenance == PROVENANCE_FAMILY_DEFAULT && fit_of(block, format, operand) > 0)
            spread = block->residual;
    }
    return spread;
}

const struct calibration *target_scalars(const struct target *target, enum family family,
                                         enum number_format format, enum operand operand,
                                         double scalars[SCALARS_MOST])
{
    const struct calibration *best = NULL;
    int best_fit = 0;
    int best_priority = 0;
    int count = families[family].count;
    for (int s = 0; s < count; s++)
        scalars[s] = families[family].scalars[s].fallback;
    for (int i = target->family_first[family]; i < target->family_first[family + 1]; i++) {
        const struct calibration *block = target->blocks[i].block;
        int priority = target->blocks[i].priority;
        int fit = fit_of(block, format, operand);
        if (fit == 0 || (best && priority == best_priority && fit < best_fit))
            continue;
        for (int s = 0; s < count; s++)
            scalars[s] = block->given[s] ? block->values[s] : scalars[s];
        best = block;
        best_fit = fit;
        best_priority = priority;
    }
    return best;
}
