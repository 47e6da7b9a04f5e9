/* Recurrences over a matrix state S[key, value] per head.
 *
 * Prefill, chunkwise with chunks of C tokens (FLOPs of one head and chunk; dk = key_dim, dv = value_dim):
 *   Mamba-2, mLSTM:  within  2 C^2 dk (scores) + 2 C^2 dv (their product with the values)
 *                    across  2 C dk dv (read the state) + 2 C dk dv (add the chunk to it)
 *   gated DeltaNet:  within  2 C^2 dk (K K^T) + 2/3 C^3 (its triangular inverse)
 *                            + 2 C^2 dk + 2 C^2 dv (times K, V)
 *                            + 2 C^2 dk (Q K^T) + 2 C^2 dv (times the corrected values)
 *                    across  2 C dk dv three times: what the state predicts, read, update
 * (Mamba-2: arXiv:2405.21060 section 6; mLSTM: arXiv:2503.14376; gated DeltaNet: arXiv:2412.06464 in the
 * WY form of arXiv:2406.06484.) It is a sequence of kernels: for gated DeltaNet 8 (two norms, gate sums, K
 * K^T, triangular solution, corrected keys and values, states, outputs: github.com/fla-org/flash-linear-
 * attention), for Mamba-2 and mLSTM 5 (gate sums, chunk states, their passing on, scores, outputs:
 * github.com/state-spaces/mamba). What is within a chunk runs over all chunks at once; what is across
 * chunks runs one after the other, in parallel only over sequences, heads and slices of 64 values, two of
 * which a unit holds at a time:
 *   t = t0 + (kernels - 1) launch
 *     + max( waves * within / (eps peak/units), activations / (beta BW) )
 *     + max( chunks * (waves2 * omega + waves * across / slices / (peak/units)), chunk states / (beta BW) )
 *     + states / (beta BW)
 * A single short chunk has only its share of the FLOPs. Chunk states: each chunk's state is written for
 * the kernel of the outputs and read by it. States: read from the pool, written to a copy, and the copy is
 * scattered back to the pool. Copies and chunk states stay in the cache as far as it holds them. Mamba-1
 * has a state per channel, no matrix product: a scan on lanes, 9 FLOPs per channel, state and token as its
 * authors count (github.com/state-spaces/mamba/issues/110), one of them an exponential.
 * It reads its A, as large as a state, each time.
 *
 * Decode and verification steps scan too, in one kernel; FLOPs per state element and token: decay 1, outer
 * product 2, read 2 (Mamba-2, mLSTM), and for the delta rule the prediction 2 more. Memory: the state is
 * read (if there is a past) and written once per sequence and step; activations as in streams. */
#include "cost/prepared.h"

#include <math.h>

enum { VALUE_SLICE = 64, SCAN_STATE_BYTES = 4, CHAINS_A_UNIT = 2 };

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

static void set_chunks(struct recurrent_cost *recurrent, const struct recurrent_work *work, double each)
{
    double c = recurrent->chunk, dk = work->key_dim, dv = work->value_dim;
    bool delta = work->kind == RECURRENCE_GATED_DELTANET;
    recurrent->kernels = delta ? 8 : 5;
    recurrent->within_flops = delta ? c * c * (6 * dk + 4 * dv) + 2 * c * c * c / 3 : 2 * c * c * (dk + dv);
    recurrent->across_flops = (delta ? 6 : 4) * c * dk * dv;
    recurrent->chunk_state_bytes = 2 * dk * dv * each;
    recurrent->slices = ceil(dv / VALUE_SLICE);
}

static void set_work(struct prepared_op *prepared, const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct recurrent_work *work = &op->recurrent;
    struct recurrent_cost *recurrent = prepared->recurrent;
    double elements = work->heads * work->key_dim * work->value_dim;
    double each = element_bytes_each(&graph->types.activations);
    double exp_flops = prepared->target->device->class == CLASS_CPU ? CORE_EXP_FLOPS : EXP_FLOPS;
    recurrent->heads = work->heads;
    bool scans = work->kind == RECURRENCE_MAMBA1 || prepared->target->software->scan_recurrences;
    recurrent->chunk = scans ? 1 : greater(work->chunk, 1);
    recurrent->scan_flops = scan_flops(work->kind) * elements;
    recurrent->scan_lane_flops =
        recurrent->scan_flops + (work->kind == RECURRENCE_MAMBA1 ? (exp_flops - 1) * elements : 0);
    /* Mamba-1 has an A of the state's size, in fp32; the others one a head */
    recurrent->weight_bytes = work->kind == RECURRENCE_MAMBA1 ? elements * SCAN_STATE_BYTES : 0;
    set_chunks(recurrent, work, each);
    recurrent->state_bytes = op->cache != BUFFER_NONE ? buffer_token_bytes(&graph->buffers[op->cache])
                                                      : elements * SCAN_STATE_BYTES;
    recurrent->token_bytes = token_values(work) * each;
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
    double scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    recurrent->fixed = greater(scalars[RECURRENT_T0], 0);
    recurrent->launch = greater(scalars[RECURRENT_LAUNCH], 0);
    recurrent->omega = greater(scalars[RECURRENT_OMEGA], 0);
    recurrent->memory_rate = efficiency(scalars[RECURRENT_BETA]) * target->memory_bandwidth;
    recurrent->cache_rate = efficiency(scalars[RECURRENT_LAMBDA]) * target->cache_bandwidth;
    recurrent->lane_rate = efficiency(scalars[RECURRENT_SCAN]) * target->vector_flops;
    recurrent->units = target->units;
    recurrent->inverse_units = inverse_count(target->units);
    recurrent->peak_flop_s = target->units / prepared->peak;
    recurrent->unit_flop_s = recurrent->peak_flop_s / efficiency(scalars[RECURRENT_EPS]);
    set_work(prepared, graph);
    return true;
}

double repeated_misses(const struct target *target, double bytes, double footprint)
{
    double half = target->cache_capacity / 2;
    if (!target->residency || !(half > 0))
        return bytes;
    return bytes * lesser(greater(footprint / half - 1, 0), 1);
}

struct recurrent_sums {
    double tokens, past_sequences, sequences;
    double lane_flops;
    double matrix_flops;
    double within_s; /* units busy with what is within chunks, tails included */
    double chain_s;  /* what is across chunks */
    double chain_flops;
    double chunk_state_bytes;
    double copied_sequences; /* whose states go through the chunkwise form */
};

static void add_chunks(const struct recurrent_cost *recurrent, double sequences, double new_tokens,
                       struct recurrent_sums *sums)
{
    double chunks = ceil_fast(new_tokens / recurrent->chunk);
    double filled = lesser(new_tokens / recurrent->chunk, 1);
    double heads = sequences * recurrent->heads, chains = heads * recurrent->slices;
    double waves = ceil_fast(heads * chunks * recurrent->inverse_units);
    double turns = ceil_fast(chains * recurrent->inverse_units);
    double turns_resident = ceil_fast(chains * recurrent->inverse_units / CHAINS_A_UNIT);
    double across = recurrent->across_flops * filled;
    sums->matrix_flops += heads * chunks * (recurrent->within_flops * filled + across);
    sums->within_s += waves * recurrent->within_flops * filled * recurrent->unit_flop_s;
    sums->chain_flops += heads * chunks * across;
    sums->chain_s += chunks * (turns_resident * recurrent->omega +
                               turns * across / recurrent->slices * recurrent->peak_flop_s);
    sums->chunk_state_bytes += heads * chunks * recurrent->chunk_state_bytes;
    sums->copied_sequences += sequences;
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
            add_chunks(recurrent, sequences, segments[i].new_tokens, sums);
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
    bool chunkwise = sums.matrix_flops > 0, on_units = prepared->matrix && chunkwise;
    cost->launches = chunkwise ? recurrent->kernels : 1;
    cost->bytes[BYTES_WEIGHTS] = recurrent->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] = sums.tokens * recurrent->token_bytes;
    cost->bytes[BYTES_KV_READ] = sums.past_sequences * recurrent->state_bytes;
    cost->bytes[BYTES_KV_WRITE] = sums.sequences * recurrent->state_bytes;
    double states = cost->bytes[BYTES_KV_READ] + cost->bytes[BYTES_KV_WRITE];
    double activations = missing_bytes(target, cost->bytes[BYTES_ACTIVATIONS]);
    if (target->ideal) {
        cost->memory_bytes = recurrent->weight_bytes + states + activations;
        ideal_cost(target, prepared->format, on_units, on_units ? prepared->peak : target->vector_flops,
                   cost);
        return;
    }
    double footprint = greater(prepared->op->recurrent.state_sets, 1) * cost->bytes[BYTES_KV_WRITE] +
                       cost->bytes[BYTES_ACTIVATIONS];
    double copied = 2 * recurrent->state_bytes * sums.copied_sequences;
    states = greater(states, copied);
    double touched =
        recurrent->weight_bytes + states + copied + cost->bytes[BYTES_ACTIVATIONS] + sums.chunk_state_bytes;
    double chunk_states = missing_bytes(target, sums.chunk_state_bytes);
    if (target->repeated && !chunkwise)
        states = repeated_misses(target, states, footprint);
    states += missing_bytes(target, copied);
    cost->memory_bytes = recurrent->weight_bytes + states + activations + chunk_states;
    enum resource unit = prepared_unit(prepared);
    double *use = cost->use, *floor = cost->floor, memory = 1 / recurrent->memory_rate;
    use[RESOURCE_VECTOR] = sums.lane_flops / recurrent->lane_rate;
    floor[RESOURCE_VECTOR] = sums.lane_flops / target->vector_flops;
    use[unit] += sums.within_s + sums.chain_flops / prepared->peak;
    floor[unit] += sums.matrix_flops / prepared->peak;
    use[RESOURCE_CACHE] = touched / recurrent->cache_rate;
    floor[RESOURCE_CACHE] = touched / target->cache_bandwidth;
    use[RESOURCE_MEMORY] = cost->memory_bytes * memory;
    floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double busy = greater(greater(use[RESOURCE_COMPUTE], use[RESOURCE_VECTOR]),
                          greater(use[RESOURCE_CACHE], use[RESOURCE_MEMORY]));
    double in_turn = greater(sums.within_s, activations * memory) +
                     greater(sums.chain_s, chunk_states * memory) + states * memory;
    double fixed = recurrent->fixed + (chunkwise ? (recurrent->kernels - 1) * recurrent->launch : 0);
    double waits = chunkwise ? greater(in_turn + use[RESOURCE_VECTOR] - busy, 0) : 0;
    finish_with_overhead(target, prepared->format, fixed + waits, fixed, cost);
}
