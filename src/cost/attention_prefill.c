/* Prefill attention: blocks of 64 query rows of one head, each passing over the KV tokens it may see.
 *
 * A block's rows are of one query head (b = 64 tokens) or, packed, of all heads that share a KV head (b = 64
 * / (heads per KV head) tokens); which of the two is the kernel's choice: `pack` is the share of the KV heads
 * that are packed, `single` that in sequences of one new token (FlashAttention-2 packs those only,
 * FlashAttention-3 all, TensorRT-LLM's kernels none). A sequence has N = ceil(n / b) blocks a head. The last
 * row of block i = 1..N stands at context + min(i b, n); the block passes over the KV tokens up to there, or,
 * with a window, over the last window + max(b, tile) of them, in whole tiles. A tile is 16 KB of K, by what
 * fits on chip, of heads padded to the next power of two that kernels are built for: 64 tokens of 128 bf16
 * values. (So wider heads may get a kernel that wastes less.) Where blocks are shorter than a tile rounding
 * adds (tile - b) / 2 on average:
 *   sum over causal blocks = N context + b N (N - 1) / 2 + n + N (tile - min(b, tile)) / 2   (no window)
 * Masks that show all new tokens: N * (context + n).
 *
 * A block takes omega (pipeline fill, first loads, last stores), its query rows' way in and results' way out
 * at its unit's share of beta * BW, and for each KV token the slowest of 64 rows' multiply-adds at eps * peak
 * / units, their softmax at `lanes` of the lanes' rate, and the token's way through the shared cache, which
 * two blocks share. Units take blocks as they become free, so that the last ones end on average half a block
 * after the first run dry:
 *   T = max( longest, sum of blocks / units + longest / 2 * (1 - units / blocks)+ )
 * Memory moves Q, K, V, O once beside that; the part of one head's KV that does not fit the cache is read
 * again by the blocks. Sources: the tilings in Dao-AILab/flash-attention (hopper/tile_size.h,
 * csrc/flash_attn/src/flash_fwd_launch_template.h); residuals of measured prefills. */
#include "cost/prepared.h"

#include <math.h>

enum { BLOCK_ROWS = 64, TILE_BYTES = 16384, TILE_LEAST = 16, TILE_MOST = 256 };

double prefill_tile(double dim, double value_bytes)
{
    double tile = TILE_MOST, width = dim * value_bytes;
    while (tile > TILE_LEAST && tile * width > TILE_BYTES)
        tile /= 2;
    return tile;
}

/* Per sequence and head (packed: KV head). */
struct blocks {
    double count;
    double passed;  /* KV tokens, summed over blocks */
    double longest; /* of one block */
};

/* sum over i = 1..count of min(context + i * step, limit) */
static double sum_of_ends(double context, double step, double count, double limit)
{
    double growing = floor_fast(greater(limit - context, 0) / step);
    growing = lesser(growing, count);
    double clipped = count > growing ? (count - growing) * limit : 0; /* limit may be infinite */
    return growing * context + step * growing * (growing + 1) / 2 + clipped;
}

static struct blocks count_blocks(const struct attention_cost *attention,
                                  const struct attention_segment *segment, double tokens)
{
    double tile = attention->tile, n = segment->new_tokens;
    double count = ceil_fast(n / tokens);
    double padding = tokens < tile ? (tile - tokens) / 2 : 0;
    double end = segment->kv_tokens;
    struct blocks blocks = {.count = count};
    if (segment->causal) {
        double limit = attention->window > 0 ? attention->window + greater(tokens, tile) : INFINITY;
        double last = lesser(segment->context + n, limit);
        blocks.passed = sum_of_ends(segment->context, tokens, count - 1, limit) + last;
        end = last;
    } else {
        blocks.passed = count * end;
    }
    blocks.passed = greater(segment->density * (blocks.passed + count * padding), count * tile);
    blocks.longest = greater(segment->density * (end + padding), tile);
    return blocks;
}

/* KV bytes from memory: each token once, or what a head's overflow makes the blocks read again, if that is
 * more. */
static double kv_memory_bytes(const struct prepared_op *prepared, const struct attention_segment *segment,
                              double cache_bytes)
{
    const struct attention_cost *attention = prepared->attention;
    double once = attention_kv_tokens(segment), head = segment->span * attention->kv_head_bytes;
    double kept = prepared->target->cache_capacity / 2;
    double missing = head > kept ? 1 - kept / head : 0;
    return greater(once * attention->kv_token_bytes, cache_bytes * missing);
}

/* All blocks of the kernel. */
struct grid {
    double blocks, passed;
    double busy_s; /* of units, added up */
    double longest_s;
};

/* Adds `heads` heads of a segment, blocks of `tokens` tokens each. */
static void add_heads(const struct prepared_op *prepared, const struct attention_segment *segment,
                      double heads, double tokens, double step_s, struct grid *grid)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->prefill;
    if (!(heads > 0))
        return;
    struct blocks blocks = count_blocks(attention, segment, tokens);
    grid->blocks += heads * blocks.count;
    grid->passed += heads * blocks.passed;
    grid->busy_s +=
        heads * (blocks.count * (rates->omega + BLOCK_ROWS * rates->row_s) + blocks.passed * step_s);
    grid->longest_s = greater(grid->longest_s, rates->omega + blocks.longest * step_s);
}

static double drain_s(const struct grid *grid, double units)
{
    double beyond = grid->blocks > units ? 1 - units / grid->blocks : 0;
    return greater(grid->longest_s, grid->busy_s / units + grid->longest_s / 2 * beyond);
}

void attention_prefill(const struct prepared_op *prepared, const struct attention_segment *segments,
                       int count, struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->prefill;
    double step_s = attention_step_s(rates, prepared->matrix, BLOCK_ROWS), group = attention->group;
    struct grid grid = {0};
    double kv_bytes = 0, tokens = 0;
    for (int i = 0; i < count; i++) {
        const struct attention_segment *segment = &segments[i];
        double heads = segment->sequences * attention->kv_heads, before = grid.passed;
        double packed = group > 1 ? (segment->new_tokens > 1 ? rates->pack : rates->single) : 1;
        add_heads(prepared, segment, heads * packed, BLOCK_ROWS / group, step_s, &grid);
        add_heads(prepared, segment, heads * group * (1 - packed), BLOCK_ROWS, step_s, &grid);
        double cache_bytes = (grid.passed - before) * attention->kv_head_bytes / PREFILL_SHARING;
        kv_bytes += kv_memory_bytes(prepared, segment, cache_bytes);
        tokens += segment->sequences * segment->new_tokens;
    }
    double steps = grid.passed / attention->units;
    sums->seconds = drain_s(&grid, attention->units);
    sums->overhead_s = lesser(grid.blocks * rates->omega / attention->units, sums->seconds);
    sums->compute = steps * BLOCK_ROWS * rates->pair_s;
    sums->lanes = steps * (BLOCK_ROWS * rates->lane_pair_s + rates->kv_lane_s);
    sums->cache = steps * rates->kv_cache_s;
    sums->executed_flops = grid.passed * BLOCK_ROWS * attention->pair_flops;
    sums->lane_flops = grid.passed * (BLOCK_ROWS * rates->lane_pair_s + rates->kv_lane_s) * rates->lane_rate;
    sums->cache_bytes = grid.passed * attention->kv_head_bytes / PREFILL_SHARING;
    sums->memory_bytes = prepared->target->repeated
                             ? missing_bytes(prepared->target, kv_bytes + tokens * attention->query_bytes)
                             : kv_bytes + attention_query_bytes(prepared, segments, count);
    sums->setup_bytes = tokens * prepared->op->attention.setup_bytes;
    sums->extra_s = tokens * rates->setup_s;
}
