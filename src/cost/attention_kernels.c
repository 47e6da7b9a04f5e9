/* Which kernel decodes, and how it cuts its work. What a rule picks may be slower for a little more work:
 * times follow the library there, monotone or not.
 *
 * TensorRT-LLM's splits and the switch to XQA: computeMultiBlockCount, kMinHistoryTokensPerBlock,
 * kTargetWaveFactor and kEnableMinBlockFactor of its decoderXQA sources. FlashAttention's rules are
 * num_splits_heuristic's and the varlen scheduler's as known (unverified: the files were not opened). Row
 * steps, tiles, residency, overlap and which cache formats take which kernel are inferred from measured times
 * on A100 and H100. */
#include "cost/prepared.h"

#include <math.h>
#include <string.h>

enum { FILL_WAVES = 6, FILL_SPLITS_MOST = 128, XQA_GROUP_MOST = 32, XQA_WIDE = 128, FLASH_WIDE = 128 };

/* Libraries that tune: rows in steps of a matrix instruction's 16, whichever split is fastest. */
static const struct decode_kernel portable = {
    .rule = SPLIT_BEST, .row_step = 16, .row_tile = 64, .resident = 1, .packs = true};

/* Blocks of 64 rows whatever the group, KV tiles of 128 tokens up to a head's 128 values and 64 above; the
 * rule reckons with two blocks a unit. Where KV heads and sequences are several, a kernel before it gathers
 * the queries of a KV head. */
#define FLASH_ROWS(tile)                                                                                     \
    .row_step = 64, .row_tile = 64, .least_tokens = (tile), .split_tokens = (tile), .resident = 1,           \
    .packs = true
#define FLASH_2(tile)                                                                                        \
    {                                                                                                        \
        FLASH_ROWS(tile), .rule = SPLIT_FILL, .slots = 2, .repacks = true, .serial_merge = true              \
    }
static const struct decode_kernel flash_2 = FLASH_2(128), flash_2_wide = FLASH_2(64);
/* a single head per KV head counts as a prefill of one token: no splits */
static const struct decode_kernel flash_2_single = {FLASH_ROWS(128), .rule = SPLIT_NEVER};
static const struct decode_kernel flash_3 = {FLASH_ROWS(128), .rule = SPLIT_EVEN, .slots = 1,
                                             .whole_window = true};

/* XQA: groups of 2 to 32 heads on matrix instructions 8 columns wide. */
#define XQA                                                                                                  \
    .rule = SPLIT_WAVES, .row_step = 8, .row_tile = 32, .least_tokens = 128, .split_tokens = 128,            \
    .slots = 8, .packs = true, .serial_merge = true
static const struct decode_kernel xqa = {XQA, .resident = 1, .whole_window = true};
static const struct decode_kernel xqa_fp8 = {XQA, .resident = 4 /* half the shared memory */,
                                             .whole_window = true};
/* Hopper's own for fp8 caches of 128 values a head and more: its warps fetch the next block's tiles early. */
static const struct decode_kernel xqa_hopper = {XQA, .resident = 1, .overlaps = true};
/* Masked multi-head attention: a block for each query head, products on lanes. */
static const struct decode_kernel masked = {.rule = SPLIT_WAVES,
                                            .row_step = 1,
                                            .row_tile = 1,
                                            .least_tokens = 64,
                                            .split_tokens = 256,
                                            .slots = 2,
                                            .resident = 4,
                                            .lanes = true,
                                            .whole_window = true,
                                            .serial_merge = true};
/* Kernels for long queries on one query and a mask, such as scaled_dot_product_attention's memory-efficient
 * one on a static cache: a block for each head whatever the context. */
static const struct decode_kernel whole = {.rule = SPLIT_NEVER,
                                           .row_step = 64,
                                           .row_tile = 64,
                                           .least_tokens = 64,
                                           .split_tokens = 64,
                                           .waits = 2, /* a tile's keys, then its values */
                                           .resident = 1,
                                           .whole_window = true};

/* MLA before Hopper: prefill's fused kernel, 64 heads a block, KV tiles of 64. */
static const struct decode_kernel fused_mla = {FLASH_ROWS(64), .rule = SPLIT_NEVER};

/* MLA on Hopper (FlashMLA): as many heads a block, KV tiles dealt to units evenly. */
static const struct decode_kernel flash_mla = {FLASH_ROWS(64), .rule = SPLIT_BEST, .slots = 1};

static bool of_family(const struct target *target, const char *family)
{
    return target->device->family && strcmp(target->device->family, family) == 0;
}

static struct decode_kernels flash_kernels(const struct target *target, const struct attention_work *work)
{
    if (work->mla)
        return (struct decode_kernels){&portable, NULL};
    if (of_family(target, "nvidia-hopper")) /* version 3 needs its instructions */
        return (struct decode_kernels){&flash_3, NULL};
    if (work->heads <= work->kv_heads)
        return (struct decode_kernels){&flash_2_single, NULL};
    return (struct decode_kernels){work->qk_dim > FLASH_WIDE ? &flash_2_wide : &flash_2, NULL};
}

static struct decode_kernels trtllm_kernels(const struct target *target, const struct attention_work *work,
                                            enum operand kv)
{
    bool hopper = of_family(target, "nvidia-hopper"), fp8 = kv == (enum operand)FORMAT_FP8;
    if (work->mla)
        return (struct decode_kernels){hopper ? &flash_mla : &fused_mla, NULL};
    if (work->heads <= work->kv_heads || work->heads > XQA_GROUP_MOST * work->kv_heads)
        return (struct decode_kernels){&masked, NULL};
    if (fp8 && hopper && work->qk_dim >= XQA_WIDE)
        return (struct decode_kernels){&xqa_hopper, NULL};
    return (struct decode_kernels){fp8 ? &xqa_fp8 : &xqa, &masked};
}

/* Before Ampere and from Blackwell on both libraries hand decoding to others. */
struct decode_kernels decode_kernels_of(const struct target *target, const struct attention_work *work,
                                        enum operand kv)
{
    bool own = of_family(target, "nvidia-ampere") || of_family(target, "nvidia-ada") ||
               of_family(target, "nvidia-jetson") || of_family(target, "nvidia-hopper");
    int kernels = own ? target->software->attention_kernels : KERNELS_PORTABLE;
    if (target->software->attention_kernels == KERNELS_MASKED && !work->mla)
        return (struct decode_kernels){&masked, NULL};
    if (target->software->attention_kernels == KERNELS_WHOLE && !work->mla)
        return (struct decode_kernels){&whole, NULL};
    if (kernels == KERNELS_FLASH)
        return flash_kernels(target, work);
    if (kernels == KERNELS_TRTLLM)
        return trtllm_kernels(target, work, kv);
    return (struct decode_kernels){&portable, NULL};
}

/* The least count whose last wave is filled to 0.85 of the best count's; counts that do not shorten the
 * longest chunk are passed over. The best count fills a wave to the last slot it can, so only those are
 * looked at. */
static double fill(double slots, double items, double tiles)
{
    double most = lesser(lesser(tiles, FILL_SPLITS_MOST), slots), best = 0, chosen = 1;
    for (int wave = 1; wave <= FILL_WAVES; wave++) {
        double waves = lesser(floor_fast(wave * slots / items), most) * items / slots;
        best = greater(best, waves / ceil_fast(waves));
    }
    for (int wave = 1; wave <= FILL_WAVES; wave++) {
        double splits = greater(ceil_fast(0.85 * best * wave * slots / items), 1);
        if (splits <= lesser(floor_fast(wave * slots / items), most)) {
            chosen = splits;
            break;
        }
    }
    double longest = ceil_fast(tiles / chosen);
    if (longest > 1 && ceil_fast(tiles / longest) < chosen)
        chosen = lesser(ceil_fast(tiles / (longest - 1)), most);
    return chosen;
}

double decode_splits(const struct decode_kernel *kernel, double units, double items, double tiles)
{
    double slots = kernel->slots * units;
    if (kernel->rule == SPLIT_NEVER || !(items > 0))
        return 1;
    if (kernel->rule == SPLIT_WAVES) /* the square root keeps the merge short */
        return greater(lesser(lesser(tiles, sqrt(8 * tiles)), floor_fast(slots / items)), 1);
    if (items >= 0.8 * slots)
        return 1;
    if (kernel->rule == SPLIT_EVEN)
        return greater(lesser(tiles, slots / (1.1 * items)), 1);
    return fill(slots, items, tiles);
}
