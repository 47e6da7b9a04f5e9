/* The short depthwise convolutions before recurrences: streaming kernels with a loop over tokens inside.
 *
 * A block of threads takes one sequence, some hundred channels and at most 8 tokens in turn
 * (causal_conv1d_fn of SGLang and vLLM, after github.com/Dao-AILab/causal-conv1d), and first looks up
 * which sequence and tokens are its own. Blocks run side by side, so that short inputs take the time of
 * one block,
 *   t = t0 + max( row (1 + min(tokens, 8)), bytes / (lambda BW_cache), memory bytes / (beta BW) )
 * and long ones the time in which such blocks follow each other through the device, which units and clock
 * set as they set the shared cache's rate. Decoding (causal_conv1d_update) has one token and no loop.
 * On cores that keep rows of their own (own_rows) the loop is on the same lanes as its loads: bytes from the
 * shared cache and lane FLOPs, SiLU's among them, at eps of the lanes' rate take turns.
 * Bytes: inputs, outputs, weights, and the last width - 1 inputs of each sequence, read where there is a
 * past. */
#include "cost/prepared.h"

enum { BLOCK_TOKENS = 8, SILU_FLOPS = CORE_EXP_FLOPS + CORE_DIVISION_FLOPS + 4 };

bool conv_prepare(struct prepared_op *prepared, struct diag *diag, const struct graph *graph)
{
    const struct target *target = prepared->target;
    const struct op *op = prepared->op;
    const struct conv_work *work = &op->conv;
    const struct element_type *type = &graph->types.activations;
    struct conv_cost *conv = &prepared->conv;
    prepared->family = FAMILY_CONV;
    prepared->format = compute_format(target->device, type, type, &prepared->matrix, &prepared->peak);
    if (prepared->format == FORMAT_NONE)
        return diag_error(diag, NOWHERE, "%s: %s cannot compute in %s", op->name, target->device->id,
                          type->name);
    prepared->matrix = false;
    prepared->peak = target->vector_flops;
    double each = element_bytes_each(type), scalars[SCALARS_MOST];
    prepared_scalars(prepared, scalars);
    conv->token_flops = 2 * work->width * work->channels;
    conv->lane_rate = target->vector_flops;
    conv->token_lanes = conv->token_flops;
    if (target->device->class == CLASS_CPU) { /* others have units for SiLU beside the lanes */
        conv->lane_rate *= efficiency(scalars[CONV_EPS]);
        conv->token_lanes += SILU_FLOPS * work->channels;
    }
    conv->token_bytes = 2 * work->channels * each;
    conv->weight_bytes = work->channels * work->width * each;
    conv->state_bytes = op->cache != BUFFER_NONE ? buffer_token_bytes(&graph->buffers[op->cache])
                                                 : work->channels * (work->width - 1) * each;
    conv->fixed = greater(scalars[CONV_T0], 0);
    conv->row = greater(scalars[CONV_ROW], 0);
    conv->memory_rate = efficiency(scalars[CONV_BETA]) * target->memory_bandwidth;
    conv->cache_rate = efficiency(scalars[CONV_LAMBDA]) * target->cache_bandwidth;
    return true;
}

struct conv_sums {
    double tokens, sequences, past_sequences;
    double rows; /* of the longest loop, the look-up included; 0: decoding only */
};

static void add_segments(const struct prepared_op *prepared, const struct segment *segments, int count,
                         struct conv_sums *sums)
{
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
        if (regime == REGIME_PREFILL)
            sums->rows = greater(sums->rows, 1 + lesser(segments[i].new_tokens, BLOCK_TOKENS));
    }
}

void conv_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
               struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct conv_cost *conv = &prepared->conv;
    struct conv_sums sums = {0};
    add_segments(prepared, segments, count, &sums);
    if (!(sums.tokens > 0))
        return;
    cost->launches = 1;
    cost->flops = sums.tokens * conv->token_flops;
    cost->bytes[BYTES_WEIGHTS] = conv->weight_bytes;
    cost->bytes[BYTES_ACTIVATIONS] = sums.tokens * conv->token_bytes;
    cost->bytes[BYTES_KV_READ] = sums.past_sequences * conv->state_bytes;
    cost->bytes[BYTES_KV_WRITE] = sums.sequences * conv->state_bytes;
    double cold = conv->weight_bytes + cost->bytes[BYTES_KV_READ] + cost->bytes[BYTES_KV_WRITE];
    double bytes = cold + cost->bytes[BYTES_ACTIVATIONS];
    cost->memory_bytes = target->repeated ? repeated_misses(target, bytes, bytes - cost->bytes[BYTES_KV_READ])
                                          : cold + missing_bytes(target, cost->bytes[BYTES_ACTIVATIONS]);
    if (target->ideal) {
        ideal_cost(target, prepared->format, false, target->vector_flops, cost);
        return;
    }
    double *use = cost->use, *floor = cost->floor;
    use[RESOURCE_VECTOR] = sums.tokens * conv->token_lanes / conv->lane_rate;
    floor[RESOURCE_VECTOR] = cost->flops / target->vector_flops;
    /* cores read the weights again for each sequence */
    if (target->software->scan_recurrences && sums.sequences > 1)
        bytes += (sums.sequences - 1) * conv->weight_bytes;
    use[RESOURCE_CACHE] = bytes / conv->cache_rate;
    floor[RESOURCE_CACHE] = bytes / target->cache_bandwidth;
    if (target->own_count > 0)
        use[RESOURCE_VECTOR] += use[RESOURCE_CACHE];
    use[RESOURCE_MEMORY] = cost->memory_bytes / conv->memory_rate;
    floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    double busy = greater(greater(use[RESOURCE_VECTOR], use[RESOURCE_CACHE]), use[RESOURCE_MEMORY]);
    double fixed = conv->fixed + greater(conv->row * sums.rows - busy, 0);
    finish_with_overhead(target, prepared->format, fixed, fixed, cost);
}
