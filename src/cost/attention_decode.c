/* Decode attention: few query rows per sequence against a long cached context, split over (sequence, KV head,
 * tile of rows, KV chunk) so that small batches fill the device.
 *
 *   r     = new tokens * heads per KV head, rows of one KV head; padded to the 16 rows of a matrix
 * instruction and cut into tiles of at most 64, each of which passes over the KV tokens item  = (kv tokens /
 * splits) * c + omega,     c: one KV token's slowest resource on one unit, as in prefill waves =
 * ceil(sequences * KV heads * tiles * splits / units) t     = t0 + min over splits of max( waves * item,
 * bytes / (beta * BW) ) + (splits > 1: merge) merge = split + splits * sequences * new tokens * heads *
 * (v_dim + 2) * 4 bytes, written and read, / BW_cache
 *
 * For a given split nothing is rounded in the context, so t is continuous and piecewise linear in it: a
 * decode's sum over growing contexts is exact with few points. A prefix that is read once for all sequences
 * is one more piece of work, all sequences' rows against one copy, and its results are merged with the rest's
 * as splits are. */
#include "cost/prepared.h"

#include <math.h>

enum { SPLIT_CHOICES = 7, PIECES_MOST = 2 * SEGMENTS_MOST, ROW_TILE = 64, ROW_STEP = 16 };

/* Work of like items; in order of falling item time. */
struct piece {
    double items;  /* unsplit */
    double step_s; /* s of one KV token of an item */
    double tokens;
    double rows;
    double whole_s; /* step_s * tokens */
};

struct pieces {
    int count;
    struct piece piece[PIECES_MOST];
};

static void add_piece(const struct prepared_op *prepared, struct pieces *pieces, double sequences,
                      double rows, double tokens)
{
    const struct attention_cost *attention = prepared->attention;
    if (!(tokens > 0) || !(sequences > 0))
        return;
    double padded = prepared->matrix ? ceil_fast(rows / ROW_STEP) * ROW_STEP : rows;
    double tiles = ceil_fast(padded / ROW_TILE);
    struct piece piece = {
        .items = sequences * attention->kv_heads * tiles, .rows = lesser(padded, ROW_TILE), .tokens = tokens};
    piece.step_s = attention_step_s(&attention->decode, prepared->matrix, piece.rows);
    piece.whole_s = piece.step_s * tokens;
    int at = pieces->count++;
    for (; at > 0 && pieces->piece[at - 1].whole_s < piece.whole_s; at--)
        pieces->piece[at] = pieces->piece[at - 1];
    pieces->piece[at] = piece;
}

static double waves_s(const struct attention_cost *attention, const struct pieces *pieces, double splits,
                      double *waves)
{
    double items = 0, reached = 0, seconds = 0;
    for (int i = 0; i < pieces->count; i++) {
        items += pieces->piece[i].items * splits;
        double until = ceil_fast(items * attention->inverse_units);
        seconds += (until - reached) * (pieces->piece[i].whole_s / splits + attention->decode.omega);
        reached = until;
    }
    *waves = reached;
    return seconds;
}

/* What the work asks of each resource, at its own rate, with all units busy. */
static void book_pieces(const struct prepared_op *prepared, const struct pieces *pieces,
                        struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->decode;
    double busy = 0, compute = 0, lanes = 0, cache = 0;
    for (int i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->piece[i];
        double steps = piece->items * piece->tokens;
        double lane_s = piece->rows * rates->lane_pair_s + rates->kv_lane_s;
        busy += steps * piece->step_s;
        compute += steps * piece->rows * rates->pair_s;
        lanes += steps * lane_s;
        cache += steps * rates->kv_cache_s;
        sums->executed_flops += steps * piece->rows * attention->pair_flops;
        sums->cache_bytes += steps * attention->kv_head_bytes;
    }
    double stretch =
        busy > 0 ? (sums->seconds - sums->overhead_s) / busy : 0; /* >= 1 / units: idle units, tails */
    sums->compute = compute * stretch;
    sums->lanes = lanes * stretch;
    sums->cache = cache * stretch;
    sums->lane_flops = lanes * prepared->target->vector_flops / attention->units;
}

void attention_decode(const struct prepared_op *prepared, const struct attention_segment *segments, int count,
                      struct attention_sums *sums)
{
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = &attention->decode;
    struct pieces pieces;
    pieces.count = 0;
    double merged_tokens = 0, prefix_tokens = 0;
    for (int i = 0; i < count; i++) {
        const struct attention_segment *segment = &segments[i];
        double rows = segment->new_tokens * attention->group,
               tokens = segment->sequences * segment->new_tokens;
        add_piece(prepared, &pieces, segment->sequences, rows, segment->kv_tokens - segment->shared);
        add_piece(prepared, &pieces, 1, rows * segment->sequences, segment->shared);
        double read = segment->sequences * (segment->kv_tokens - segment->shared) + segment->shared;
        sums->memory_bytes += read * attention->kv_token_bytes;
        merged_tokens += tokens;
        prefix_tokens += segment->shared > 0 ? tokens : 0;
    }
    sums->memory_bytes += attention_query_bytes(prepared, segments, count);
    double memory_s = sums->memory_bytes / rates->memory_rate, least = INFINITY;
    double merge_s = attention->merge_bytes / prepared->target->cache_bandwidth;
    double prefix_s = prefix_tokens > 0 ? rates->split + 2 * prefix_tokens * merge_s : 0;
    double splits = 1;
    for (int i = 0; i < SPLIT_CHOICES; i++, splits *= 2) {
        double waves, seconds = waves_s(attention, &pieces, splits, &waves);
        double merge = splits > 1 ? rates->split + splits * merged_tokens * merge_s : 0;
        double all = greater(seconds, memory_s) + merge;
        if (all < least) {
            least = all;
            sums->seconds = seconds;
            sums->extra_s = merge + prefix_s;
            sums->overhead_s = waves * rates->omega;
        }
        /* more splits only shorten the waves, and all that is above the memory's time and the fixed parts is
         * gone */
        if (seconds <= memory_s)
            break;
    }
    book_pieces(prepared, &pieces, sums);
}
