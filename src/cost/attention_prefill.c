/* Prefill attention: blocks of bq query rows of one KV head, each passing over the KV tokens it may see.
 *
 * Rows of the heads that share a KV head are packed, so a block covers b = bq / (heads per KV head) tokens
 * and a sequence has N = ceil(n / b) blocks per KV head. The last row of block i = 1..N stands at context +
 * min(i b, n); the block passes over the KV tokens up to there, or, with a window, over the last window +
 * max(b, tile) of them, rounded up to whole KV tiles. Where blocks are shorter than a tile the rounding adds
 * (tile - b) / 2 on average. sum over causal blocks = N context + b N (N - 1) / 2 + n + N (tile - min(b,
 * tile)) / 2   (no window) Masks that show all new tokens: N * (context + n).
 *
 * A block is one work item; blocks are dealt to units longest segment first:
 *   T = max( longest block, sum over waves of the mean block of the segment the wave begins in ) + waves *
 * omega One KV token costs a block bq rows' multiply-adds at eps * peak / units, their softmax on lanes and
 * the token's way through the shared cache, whichever is slowest. Memory moves Q, K, V, O once; the part of
 * one head's KV that does not fit the cache is read again by each block. The best bq of five is taken, blocks
 * of 256 rows standing for pairs that share their KV reads. */
#include "cost/prepared.h"

#include <math.h>

enum { BLOCK_SIZES = 5, KV_TILE = 128 };
static const double block_rows[BLOCK_SIZES] = {16, 32, 64, 128, 256};

/* Per sequence and KV head. */
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
                                  const struct attention_segment *segment, double rows)
{
    double tokens = rows / attention->group, n = segment->new_tokens;
    double count = ceil_fast(n / tokens);
    double padding = tokens < KV_TILE ? (KV_TILE - tokens) / 2 : 0;
    double end = segment->kv_tokens;
    struct blocks blocks = {.count = count};
    if (segment->causal) {
        double limit = attention->window > 0 ? attention->window + greater(tokens, KV_TILE) : INFINITY;
        double last = lesser(segment->context + n, limit);
        blocks.passed = sum_of_ends(segment->context, tokens, count - 1, limit) + last;
        end = last;
    } else {
        blocks.passed = count * end;
    }
    blocks.passed = greater(blocks.passed + count * padding, count * KV_TILE);
    blocks.longest = greater(end + padding, KV_TILE);
    return blocks;
}

/* Segments in the order units take them: those with the longest mean block first. */
struct queue {
    int count;
    double items[SEGMENTS_MOST], mean[SEGMENTS_MOST];
};

static void enqueue(struct queue *queue, double items, double mean)
{
    int at = queue->count++;
    for (; at > 0 && queue->mean[at - 1] < mean; at--) {
        queue->mean[at] = queue->mean[at - 1];
        queue->items[at] = queue->items[at - 1];
    }
    queue->mean[at] = mean;
    queue->items[at] = items;
}

static double queue_waves(const struct queue *queue, double inverse_units, double *passed)
{
    double items = 0, waves = 0;
    *passed = 0;
    for (int i = 0; i < queue->count; i++) {
        items += queue->items[i];
        double reached = ceil_fast(items * inverse_units);
        *passed += (reached - waves) * queue->mean[i];
        waves = reached;
    }
    return waves;
}

/* KV bytes from memory: each token once, or what a head's overflow makes the blocks read again, if that is
 * more. */
static double kv_memory_bytes(const struct prepared_op *prepared, const struct attention_segment *segment,
                              double cache_bytes)
{
    const struct attention_cost *attention = prepared->attention;
    double once = segment->sequences * (segment->kv_tokens - segment->shared) + segment->shared;
    double head = segment->kv_tokens * attention->kv_head_bytes;
    double kept = prepared->target->cache_capacity / 2;
    double missing = head > kept ? 1 - kept / head : 0;
    return greater(once * attention->kv_token_bytes, cache_bytes * missing);
}

static double prefill_with(const struct prepared_op *prepared, const struct attention_segment *segments,
                           int count, double rows, struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->prefill;
    struct queue queue;
    queue.count = 0;
    double longest = 0, passed = 0, kv_bytes = 0;
    for (int i = 0; i < count; i++) {
        const struct attention_segment *segment = &segments[i];
        struct blocks blocks = count_blocks(attention, segment, rows);
        double heads = segment->sequences * attention->kv_heads;
        enqueue(&queue, heads * blocks.count, blocks.passed / blocks.count);
        longest = greater(longest, blocks.longest);
        passed += heads * blocks.passed;
        kv_bytes += kv_memory_bytes(prepared, segment, heads * blocks.passed * attention->kv_head_bytes);
    }
    double in_waves, waves = queue_waves(&queue, attention->inverse_units, &in_waves);
    double steps = greater(longest, in_waves);
    sums->overhead_s = waves * rates->omega;
    sums->seconds = steps * attention_step_s(rates, prepared->matrix, rows) + sums->overhead_s;
    sums->compute = steps * rows * rates->pair_s;
    sums->lanes = steps * (rows * rates->lane_pair_s + rates->kv_lane_s);
    sums->cache = steps * rates->kv_cache_s;
    sums->executed_flops = passed * rows * attention->pair_flops;
    sums->lane_flops = passed * (rows * rates->lane_pair_s + rates->kv_lane_s) *
                       prepared->target->vector_flops / attention->units;
    sums->cache_bytes = passed * attention->kv_head_bytes;
    sums->memory_bytes = kv_bytes;
    return greater(sums->seconds, kv_bytes / rates->memory_rate);
}

void attention_prefill(const struct prepared_op *prepared, const struct attention_segment *segments,
                       int count, struct attention_sums *sums)
{
    double queries = attention_query_bytes(prepared, segments, count), least = INFINITY;
    double queries_s = queries / prepared->attention->prefill.memory_rate;
    for (int i = 0; i < BLOCK_SIZES; i++) {
        struct attention_sums tried = {0};
        double seconds = prefill_with(prepared, segments, count, block_rows[i], &tried);
        /* the memory's whole time, queries included, decides */
        seconds = greater(seconds, tried.memory_bytes / prepared->attention->prefill.memory_rate + queries_s);
        if (seconds < least) {
            least = seconds;
            *sums = tried;
        }
    }
    sums->memory_bytes += queries;
}
