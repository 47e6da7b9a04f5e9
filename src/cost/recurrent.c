/* Recurrences over a matrix state S[key, value] per head, and the short convolutions before them.
 *
 * Prefill, chunkwise with chunks of C tokens (FLOPs of one head and chunk; dk = key_dim, dv = value_dim):
 *   Mamba-2, mLSTM:  within  2 C^2 dk (scores) + 2 C^2 dv (their product with the values)
 *                    across  2 C dk dv (read the state) + 2 C dk dv (add the chunk to it)
 *   gated DeltaNet:  within  2 C^2 dk (K K^T) + 2/3 C^3 (its triangular inverse) + 2 C^2 dk + 2 C^2 dv (times
 * K, V)
 *                            + 2 C^2 dk (Q K^T) + 2 C^2 dv (times the corrected values)
 *                    across  2 C dk dv three times: what the state predicts, read, update
 * (Mamba-2: arXiv:2405.21060 section 6; mLSTM: arXiv:2503.14376; gated DeltaNet: arXiv:2412.06464 in the WY
 * form of arXiv:2406.06484.) What is within a chunk runs over all chunks at once; what is across chunks runs
 * one after the other, in parallel only over sequences, heads and slices of 64 values. t = t0 + max( waves *
 * within / (eps peak/units) + waves' * chunks * (across / (eps peak/units) + omega), bytes / (beta BW) )
 * Mamba-1 has a state per channel, no matrix product: a scan on lanes, 9 FLOPs per channel, state and token
 * as its authors count (github.com/state-spaces/mamba/issues/110), one of them an exponential (16 lane
 * FLOPs).
 *
 * Decode and verification steps scan too; FLOPs per state element and token: decay 1, outer product 2, read 2
 * (Mamba-2, mLSTM), and for the delta rule the prediction 2 more. Memory: the state is read (if there is a
 * past) and written once per sequence and step; activations as in streams. */
#include "cost/prepared.h"

#include <math.h>

enum { EXP_FLOPS = 16, VALUE_SLICE = 64, SCAN_STATE_BYTES = 4 };

/* FLOPs per state element and token of the sequential form. */
static double scan_flops(enum recurrence kind)
{
    switch (kind) {
    case RECURRENCE_MAMBA1:
        return 9;
    case RECURRENCE_GATED_DELTANET:
        return 7;
    default:
        return 5;
    }
}

/* Values read and written per token: queries, keys, values, output; Mamba: B, C, x, dt (per channel or head),
 * y. */
static double token_values(const struct recurrent_work *work)
{
    double keys = work->heads * work->key_dim, values = work->heads * work->value_dim;
    switch (work->kind) {
    case RECURRENCE_MAMBA1:
        return 2 * work->key_dim + 3 * values;
    case RECURRENCE_MAMBA2:
        return 2 * work->key_dim + 2 * values + work->heads;
    default:
        return 2 * keys + 2 * values + 2 * work->heads; /* two gates a head */
    }
}

static void set_chunk_flops(struct recurrent_cost *recurrent, const struct recurrent_work *work)
{
    double c = recurrent->chunk, dk = work->key_dim, dv = work->value_dim;
    bool delta = work->kind == RECURRENCE_GATED_DELTANET;
    recurrent->within_flops = delta ? c * c * (6 * dk + 4 * dv) + 2 * c * c * c / 3 : 2 * c * c * (dk + dv);
    recurrent->across_flops = (delta ? 6 : 4) * c * dk * dv;
}

static void prepare_recurrence(struct prepared_op *prepared, const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct recurrent_work *work = &op->recurrent;
    struct recurrent_cost *recurrent = prepared->recurrent;
    double elements = work->heads * work->key_dim * work->value_dim;
    recurrent->heads = work->heads;
    recurrent->chunk = work->kind == RECURRENCE_MAMBA1 ? 1 : greater(work->chunk, 1);
    recurrent->scan_flops = scan_flops(work->kind) * elements;
    recurrent->scan_lane_flops =
        recurrent->scan_flops + (work->kind == RECURRENCE_MAMBA1 ? (EXP_FLOPS - 1) * elements : 0);
    set_chunk_flops(recurrent, work);
    recurrent->state_bytes = op->cache != BUFFER_NONE ? buffer_token_bytes(&graph->buffers[op->cache])
                                                      : elements * SCAN_STATE_BYTES;
    recurrent->token_bytes = token_values(work) * element_bytes_each(&graph->types.activations);
}

static void prepare_conv(struct prepared_op *prepared, const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct conv_work *work = &op->conv;
    struct recurrent_cost *recurrent = prepared->recurrent;
    double each = element_bytes_each(&graph->types.activations);
    recurrent->heads = work->channels;
    recurrent->chunk = 1;
    recurrent->scan_flops = recurrent->scan_lane_flops = 2 * work->width * work->channels;
    recurrent->state_bytes = op->cache != BUFFER_NONE ? buffer_token_bytes(&graph->buffers[op->cache])
                                                      : work->channels * (work->width - 1) * each;
    recurrent->token_bytes = 2 * work->channels * each;
    recurrent->weight_bytes = work->channels * work->width * each;
}

bool recurrent_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph)
{
    const struct target *target = prepared->target;
    const struct element_type *type = &graph->types.activations;
    prepared->family = FAMILY_RECURRENT;
    prepared->format = compute_format(target->device, type, type, &prepared->matrix, &prepared->peak);
    if (prepared->format == FORMAT_NONE)
        return diag_error(diag, NOWHERE, "%s: %s cannot compute in %s", prepared->op->name,
                          target->device->id, type->name);
    struct recurrent_cost *recurrent = prepared->recurrent = ARENA_NEW(arena, struct recurrent_cost);
    if (!recurrent)
        return diag_error(diag, NOWHERE, "out of memory");
    const double *scalars = prepared_scalars(prepared);
    recurrent->fixed = greater(scalars[RECURRENT_T0], 0);
    recurrent->omega = greater(scalars[RECURRENT_OMEGA], 0);
    recurrent->eps = efficiency(scalars[RECURRENT_EPS]);
    recurrent->memory_rate = efficiency(scalars[RECURRENT_BETA]) * target->memory_bandwidth;
    recurrent->units = target->units;
    recurrent->inverse_units = inverse_count(target->units);
    if (prepared->op->kind == OP_CONV)
        prepare_conv(prepared, graph);
    else
        prepare_recurrence(prepared, graph);
    return true;
}

struct recurrent_sums {
    double tokens, past_sequences, sequences;
    double lane_flops;
    double matrix_flops;
    double unit_s; /* units busy with chunks, tails included */
    double overhead_s;
};

static void add_chunks(const struct prepared_op *prepared, double sequences, double new_tokens,
                       struct recurrent_sums *sums)
{
    const struct recurrent_cost *recurrent = prepared->recurrent;
    double flop_s = recurrent->units / (recurrent->eps * prepared->peak);
    double chunks = ceil_fast(new_tokens / recurrent->chunk);
    double heads = sequences * recurrent->heads;
    double slices = ceil_fast(prepared->op->recurrent.value_dim / VALUE_SLICE);
    double within = ceil_fast(heads * chunks * recurrent->inverse_units) * recurrent->within_flops * flop_s;
    double waves = ceil_fast(heads * slices * recurrent->inverse_units);
    double across = waves * chunks * recurrent->across_flops / slices * flop_s;
    sums->matrix_flops += heads * chunks * (recurrent->within_flops + recurrent->across_flops);
    sums->overhead_s += waves * chunks * recurrent->omega;
    sums->unit_s += within + across + waves * chunks * recurrent->omega;
}

static void add_segments(const struct prepared_op *prepared, const struct segment *segments, int count,
                         struct recurrent_sums *sums, double *flops)
{
    const struct recurrent_cost *recurrent = prepared->recurrent;
    double share = sequence_share(prepared->op, segments, count);
    for (int i = 0; i < count; i++) {
        enum regime regime = segment_regime(&segments[i]);
        double sequences = share * segments[i].sequences;
        double tokens = sequences * segments[i].new_tokens;
        if (!(prepared->op->regime & regime) || !(tokens > 0))
            continue;
        sums->tokens += tokens;
        sums->sequences += sequences;
        sums->past_sequences += segments[i].context > 0 ? sequences : 0;
        if (recurrent->chunk > 1 && regime == REGIME_PREFILL) {
            double per_chunk = recurrent->heads * (recurrent->within_flops + recurrent->across_flops);
            *flops += tokens / recurrent->chunk * per_chunk;
            add_chunks(prepared, sequences, segments[i].new_tokens, sums);
        } else {
            *flops += tokens * recurrent->scan_flops;
            sums->lane_flops += tokens * recurrent->scan_lane_flops;
        }
    }
}

void recurrent_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct recurrent_cost *recurrent = prepared->recurrent;
    struct recurrent_sums sums = {0};
    add_segments(prepared, segments, count, &sums, &cost->flops);
    if (!(sums.tokens > 0))
        return;
    cost->launches = 1;
    cost->bytes[BYTES_WEIGHTS] = recurrent->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] = sums.tokens * recurrent->token_bytes;
    cost->bytes[BYTES_KV_READ] = sums.past_sequences * recurrent->state_bytes;
    cost->bytes[BYTES_KV_WRITE] = sums.sequences * recurrent->state_bytes;
    double cold = recurrent->weight_bytes + cost->bytes[BYTES_KV_READ] + cost->bytes[BYTES_KV_WRITE];
    cost->memory_bytes = cold + missing_bytes(target, cost->bytes[BYTES_ACTIVATIONS]);
    bool on_units = prepared->matrix && sums.matrix_flops > 0;
    if (target->ideal) {
        ideal_cost(target, prepared->format, on_units, on_units ? prepared->peak : target->vector_flops,
                   cost);
        return;
    }
    enum resource unit = prepared_unit(prepared);
    double *use = cost->use, *floor = cost->floor;
    use[RESOURCE_VECTOR] = sums.lane_flops / (recurrent->eps * target->vector_flops);
    floor[RESOURCE_VECTOR] = sums.lane_flops / target->vector_flops;
    use[unit] += sums.unit_s;
    floor[unit] += sums.matrix_flops / prepared->peak;
    double bytes = cold + cost->bytes[BYTES_ACTIVATIONS];
    use[RESOURCE_CACHE] = floor[RESOURCE_CACHE] = bytes / target->cache_bandwidth;
    use[RESOURCE_MEMORY] = cost->memory_bytes / recurrent->memory_rate;
    floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    bool waits = use[unit] > use[RESOURCE_MEMORY];
    finish_with_overhead(target, prepared->format, recurrent->fixed,
                         recurrent->fixed + (waits ? sums.overhead_s : 0), cost);
}
