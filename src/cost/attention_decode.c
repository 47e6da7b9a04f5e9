/* Decode attention: few query rows per sequence against a long cached context. What a kernel is and how many
 * splits it makes is in attention_kernels.c; its time:
 *
 *   r      query rows of an item: new tokens * heads per KV head (new tokens alone where the kernel does not
 * pack them), padded to the kernel's step, cut into its tiles of rows items  = sequences * KV heads (heads) *
 * tiles of rows chunk  = max( kv tokens / splits, one KV tile )     with a window: min( window + a tile,
 * whole context / splits ) n      = items that share a unit;  waves = ceil( items * splits / (units * n) ) c
 * = s of one KV token on one unit, its slowest resource: r rows' multiply-adds at eps * peak / units, their
 *            softmax and the KV's conversion on lanes, its bytes from the shared cache at lambda * BW_cache /
 * units. On lanes alone: softmax, conversion and multiply-adds at lanes * rate, one after the other. busy   =
 * waves * ( omega + n * chunk * c )          items that meet no token of a window: omega alone t      = t0 +
 * max( busy, bytes / (beta * BW) ) + merge + repack merge  = split + splits * ( latency of the cache, where
 * partial results are read in turn, + sequences * new tokens * heads * (v_dim + 2) * 4 bytes, written and
 * read, / BW_cache )     (splits > 1) repack = split + queries and outputs, read and written, / BW_cache
 *   bytes  = KV once and what the cache does not keep of queries and outputs. Where an operator repeats on
 * the same operands what fits the cache stays: bytes above half of it miss, above all of it all do.
 *
 * Rules count whole KV tiles. Between two counts t is a line, so it is continuous and piecewise linear in the
 * context and a decode's sum over growing contexts needs few points; only where a library changes kernels is
 * there a step. A prefix that is read once for all sequences is one more piece of work, all sequences' rows
 * against one copy, and its results are merged with the rest's as splits are. */
#include "cost/prepared.h"

#include <math.h>

enum { SPLIT_CHOICES = 7, PIECES_MOST = 2 * SEGMENTS_MOST };
/* TensorRT-LLM's XQA runs from a chunk for every fourth unit on (kEnableMinBlockFactor). */
enum { SMALL_FACTOR = 4 };

/* Work of like items; in order of falling item time. */
struct piece {
    double items;  /* unsplit */
    double step_s; /* s of one KV token of an item */
    double tokens;
    double passed; /* in whole tiles: a window rarely starts at a tile's edge */
    double span;   /* of them and those before the window: what a rule divides */
    double rows;
    double whole_s; /* step_s * tokens */
};

struct pieces {
    int count;
    double items, span; /* of all; of the longest */
    struct piece piece[PIECES_MOST];
};

struct passes {
    const struct prepared_op *prepared;
    const struct decode_kernel *kernel;
    const struct attention_rates *rates;
    struct pieces pieces;
    double merge_s; /* of one split */
    double kv_bytes, query_bytes;
};

/* One way to split, costed. */
struct split {
    double seconds, overhead, extra, memory_bytes;
};

static double step_s(const struct prepared_op *prepared, const struct decode_kernel *kernel, double rows)
{
    const struct attention_rates *rates = &prepared->attention->decode;
    double wait =
        kernel->waits > 0 ? kernel->waits * prepared->attention->memory_latency / kernel->split_tokens : 0;
    if (!kernel->lanes)
        return wait + attention_step_s(rates, prepared->matrix, rows);
    return greater(rows * (rates->lane_row_s + rates->lane_pair_s) + rates->kv_lane_s, rates->kv_cache_s);
}

static void add_piece(struct passes *passes, double sequences, double tokens_new, double tokens, double span)
{
    const struct attention_cost *attention = passes->prepared->attention;
    const struct decode_kernel *kernel = passes->kernel;
    if (!(tokens > 0) || !(sequences > 0))
        return;
    double rows = tokens_new * (kernel->packs ? attention->group : 1);
    double padded = passes->prepared->matrix ? ceil_fast(rows / kernel->row_step) * kernel->row_step : rows;
    double tiles = ceil_fast(padded / kernel->row_tile);
    double heads = kernel->packs ? attention->kv_heads : attention->heads;
    struct piece piece = {.items = sequences * heads * tiles,
                          .rows = lesser(padded, kernel->row_tile),
                          .tokens = tokens,
                          .span = kernel->whole_window ? span : tokens};
    piece.passed = lesser(tokens + kernel->least_tokens, greater(span, tokens));
    piece.step_s = step_s(passes->prepared, kernel, piece.rows);
    piece.whole_s = piece.step_s * tokens;
    struct pieces *pieces = &passes->pieces;
    pieces->items += piece.items;
    pieces->span = greater(pieces->span, piece.span);
    int at = pieces->count++;
    for (; at > 0 && pieces->piece[at - 1].whole_s < piece.whole_s; at--)
        pieces->piece[at] = pieces->piece[at - 1];
    pieces->piece[at] = piece;
}

/* Items that share a unit: as many as there are; on lanes blocks are sized for powers of two of them. */
static double resident_items(const struct passes *passes, double items)
{
    double each = items * passes->prepared->attention->inverse_units, resident = 1;
    if (!passes->kernel->lanes)
        return greater(lesser(ceil_fast(each), passes->kernel->resident), 1);
    while (resident < passes->kernel->resident && 2 * resident <= each)
        resident *= 2;
    return resident;
}

/* Bytes that memory moves: benchmarks that repeat an operator find in the cache what fits there. */
static double memory_bytes(const struct passes *passes, double working_bytes)
{
    const struct target *target = passes->prepared->target;
    double kept = target->cache_capacity;
    double kv = passes->kv_bytes;
    if (passes->prepared->op->attention
            .one_cache) { /* values are read after an item's keys: from the cache, if it still has them */
        double missing =
            kept > 0 && passes->kernel->lanes ? lesser(greater(2 * working_bytes / kept - 1.5, 0), 1) : 0;
        kv *= (1 + missing) / 2;
    }
    if (!target->repeated || !target->residency)
        return kv + missing_bytes(target, passes->query_bytes);
    double all = kv + passes->query_bytes, sets = passes->prepared->op->attention.kv_sets;
    if (sets > 1) /* the whole circle is what the cache would have to hold */
        return all * lesser(greater(2 - kept / (sets * kv + passes->query_bytes), 0), 1);
    return lesser(all, greater(2 * all - kept, 0));
}

static struct split split_into(const struct passes *passes, double splits)
{
    const struct prepared_op *prepared = passes->prepared;
    const struct attention_cost *attention = prepared->attention;
    const struct pieces *pieces = &passes->pieces;
    double omega = passes->kernel->overlaps ? 0
                   : passes->kernel->lanes  ? passes->rates->lane_omega
                                            : passes->rates->omega,
           items = 0, reached = 0, working = 0, touched = 0;
    double resident = resident_items(passes, pieces->items * splits);
    double inverse = attention->inverse_units / resident, least = passes->kernel->least_tokens;
    struct split split = {0};
    for (int i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->piece[i];
        items += piece->items * splits;
        double until = ceil_fast(items * inverse);
        double tokens = greater(lesser(piece->passed, piece->span / splits), least);
        double share = lesser(piece->passed / piece->span + 1 / splits, 1); /* of the items: with tokens */
        split.seconds += (until - reached) * (resident * share * tokens * piece->step_s + omega);
        touched = greater(touched, share);
        working = greater(working, lesser(piece->items * splits, attention->units * resident) * tokens *
                                       attention->kv_head_bytes / 2);
        reached = until;
    }
    split.overhead = reached * omega;
    double merged = greater(splits * touched, 1); /* those that met a token */
    if (splits > 1)
        split.extra = passes->rates->split * lesser(splits - 1, 1) + merged * passes->merge_s +
                      (passes->kernel->serial_merge ? merged * attention->cache_latency : 0);
    split.memory_bytes = memory_bytes(passes, working);
    return split;
}

static double split_total(const struct passes *passes, const struct split *split)
{
    return greater(split->seconds, split->memory_bytes / passes->rates->memory_rate) + split->extra;
}

/* More splits only shorten the waves: once memory takes longer, nothing is left to gain. */
static struct split best_split(const struct passes *passes)
{
    struct split best = {0};
    double least = INFINITY, splits = 1;
    for (int i = 0; i < SPLIT_CHOICES; i++, splits *= 2) {
        struct split tried = split_into(passes, splits);
        double all = split_total(passes, &tried);
        if (all < least) {
            least = all;
            best = tried;
        }
        if (tried.seconds <= tried.memory_bytes / passes->rates->memory_rate)
            break;
    }
    return best;
}

static void mix(struct split *to, const struct split *with, double share)
{
    to->seconds += share * (with->seconds - to->seconds);
    to->overhead += share * (with->overhead - to->overhead);
    to->extra += share * (with->extra - to->extra);
    to->memory_bytes += share * (with->memory_bytes - to->memory_bytes);
}

/* By the kernel's rule, between whole tiles on a line. */
static struct split ruled_split(const struct passes *passes)
{
    const struct decode_kernel *kernel = passes->kernel;
    if (kernel->rule == SPLIT_BEST)
        return best_split(passes);
    double tiles = kernel->rule == SPLIT_NEVER ? 1 : greater(passes->pieces.span / kernel->split_tokens, 1),
           low = floor_fast(tiles);
    double units = passes->prepared->attention->units, items = passes->pieces.items;
    if (kernel->rule == SPLIT_EVEN) /* has no steps to smooth */
        return split_into(passes, decode_splits(kernel, units, items, tiles));
    double fewer = decode_splits(kernel, units, items, low);
    double more = tiles > low ? decode_splits(kernel, units, items, low + 1) : fewer;
    struct split split = split_into(passes, fewer);
    if (more > fewer || more < fewer) {
        struct split next = split_into(passes, more);
        mix(&split, &next, tiles - low);
    }
    return split;
}

/* What the work asks of each resource, at its own rate, with all units busy. */
static void book_pieces(const struct passes *passes, struct attention_sums *sums)
{
    const struct prepared_op *prepared = passes->prepared;
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = passes->rates;
    const struct pieces *pieces = &passes->pieces;
    double busy = 0, compute = 0, lanes = 0, cache = 0, lane_flops = 0;
    for (int i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->piece[i];
        double steps = piece->items * piece->tokens;
        double lane_s = piece->rows * rates->lane_pair_s + rates->kv_lane_s;
        double flops = steps * piece->rows * attention->pair_flops;
        busy += steps * piece->step_s;
        lane_flops += steps * lane_s * prepared->target->vector_flops / attention->units;
        if (passes->kernel->lanes) {
            lane_s += piece->rows * rates->lane_row_s;
            lane_flops += flops;
        } else {
            compute += steps * piece->rows * rates->pair_s;
            sums->executed_flops += flops;
        }
        lanes += steps * lane_s;
        cache += steps * rates->kv_cache_s;
        sums->cache_bytes += steps * attention->kv_head_bytes;
    }
    double stretch =
        busy > 0 ? (sums->seconds - sums->overhead_s) / busy : 0; /* >= 1 / units: idle units, tails */
    sums->compute = compute * stretch;
    sums->lanes = lanes * stretch;
    sums->cache = cache * stretch;
    sums->lane_flops = lane_flops;
}

static void decode_with(const struct prepared_op *prepared, const struct decode_kernel *kernel,
                        const struct attention_segment *segments, int count, struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->decode;
    struct passes passes;
    passes.prepared = prepared;
    passes.kernel = kernel;
    passes.rates = rates;
    passes.kv_bytes = passes.query_bytes = 0;
    passes.pieces.count = 0;
    passes.pieces.items = passes.pieces.span = 0;
    double merged_tokens = 0, prefix_tokens = 0, sequences = 0;
    for (int i = 0; i < count; i++) {
        const struct attention_segment *segment = &segments[i];
        double tokens = segment->sequences * segment->new_tokens;
        add_piece(&passes, segment->sequences, segment->new_tokens, segment->kv_tokens - segment->shared,
                  segment->context + segment->new_tokens - segment->shared);
        add_piece(&passes, 1, tokens, segment->shared, segment->shared);
        passes.kv_bytes += attention_kv_tokens(segment) * attention->kv_token_bytes;
        merged_tokens += tokens;
        sequences += segment->sequences;
        prefix_tokens += segment->shared > 0 ? tokens : 0;
    }
    passes.query_bytes = merged_tokens * attention->query_bytes;
    double merge_s = attention->merge_bytes / prepared->target->cache_bandwidth;
    passes.merge_s = merged_tokens * merge_s;
    struct split split = ruled_split(&passes);
    sums->seconds = split.seconds;
    sums->overhead_s = split.overhead;
    if (kernel->repacks && attention->kv_heads > 1 && sequences > 1)
        split.extra += rates->split + 2 * passes.query_bytes / prepared->target->cache_bandwidth;
    sums->extra_s = split.extra + (prefix_tokens > 0 ? rates->split + 2 * prefix_tokens * merge_s : 0);
    sums->memory_bytes = split.memory_bytes;
    book_pieces(&passes, sums);
}

void attention_decode(const struct prepared_op *prepared, const struct attention_segment *segments, int count,
                      struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct decode_kernels *kernels = &attention->kernels;
    double chunks = 0, tokens = 0;
    for (int i = 0; kernels->small && i < count; i++) {
        chunks += segments[i].sequences * attention->kv_heads;
        tokens = greater(tokens, segments[i].context + segments[i].new_tokens);
    }
    chunks *= kernels->small ? greater(tokens / kernels->main->split_tokens, 1) : 0;
    bool small = kernels->small && SMALL_FACTOR * chunks < attention->units;
    decode_with(prepared, small ? kernels->small : kernels->main, segments, count, sums);
}
