/* Attention as three kernels that pass the scores through memory, as eager frameworks run it: scores = Q K^T
 * for all pairs (the mask comes after), softmax over them, product with V. FLOPs: 2 qk_dim, 5 (scale,
 * maximum, exponential, sum, divide) and 2 v_dim a pair. The products are batched GEMMs of [n, qk_dim] x
 * [qk_dim, kv] per head with tiles of 128 x 128 (fewer rows where n is short). Times are continuous in the
 * context: waves are not rounded up beyond the first, so that decodes can be summed in closed form. */
#include "cost/prepared.h"

#include <math.h>

enum { TILE = 128, ROW_STEP = 16, SOFTMAX_FLOPS = 5, SOFTMAX_LANE_FLOPS = 4 + 16 /* the exponential's */ };

struct part {
    double flops, executed, pairs;
    double longest_s;         /* of one tile on one unit */
    double kv_values;         /* read of the cache */
    double scores, other, kv; /* bytes */
};

static void add_part(const struct prepared_op *prepared, const struct attention_segment *segment,
                     double eps_unit_s, struct part *part)
{
    const struct attention_cost *attention = prepared->attention;
    enum attention_part which = prepared->op->attention.part;
    double n = segment->new_tokens, kv = segment->kv_tokens;
    double tokens = segment->sequences * n, pairs = tokens * attention->heads * kv;
    double dim = which == PART_QK ? attention->qk_dim : attention->v_dim;
    double rows = prepared->matrix ? ceil_fast(n / ROW_STEP) * ROW_STEP : n;
    part->pairs += pairs;
    double moved = prepared->op->attention.score_bytes > 0 ? prepared->op->attention.score_bytes
                                                           : 2 * attention->score_bytes;
    part->scores += pairs * (which == PART_SOFTMAX ? moved : attention->score_bytes);
    if (which == PART_SOFTMAX) {
        part->flops += SOFTMAX_FLOPS * pairs;
        return;
    }
    part->flops += 2 * dim * pairs;
    part->executed += 2 * dim * segment->sequences * attention->heads * rows * kv;
    double tile = 2 * lesser(rows, TILE) * dim * lesser(kv, TILE) * eps_unit_s;
    part->longest_s = greater(part->longest_s, tile);
    part->other += tokens * (which == PART_QK ? attention->q_bytes : attention->o_bytes);
    part->kv_values += segment->sequences * kv * attention->kv_heads * dim;
    part->kv +=
        segment->sequences * kv * (which == PART_QK ? attention->k_token_bytes : attention->v_token_bytes);
}

void attention_unfused(const struct prepared_op *prepared, const struct attention_rates *rates,
                       const struct attention_segment *segments, int count, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct attention_cost *attention = prepared->attention;
    double unit_s = rates->pair_s / attention->pair_flops; /* s of one FLOP on one unit, eps in it */
    struct part part = {0};
    for (int i = 0; i < count; i++)
        add_part(prepared, &segments[i], unit_s, &part);
    cost->flops = part.flops;
    cost->bytes[BYTES_ACTIVATIONS] += part.scores + part.other;
    cost->bytes[attention->kv_class] += part.kv;
    bool kv_cold = attention->kv_class == BYTES_KV_READ;
    cost->memory_bytes =
        (kv_cold ? part.kv : 0) + missing_bytes(target, part.scores + part.other + (kv_cold ? 0 : part.kv));
    bool softmax = prepared->op->attention.part == PART_SOFTMAX;
    cost->launches = greater(prepared->op->attention.score_passes, 1);
    if (target->ideal) {
        ideal_cost(target, prepared->format, prepared->matrix && !softmax,
                   softmax ? target->vector_flops : prepared->peak, cost);
        return;
    }
    double bytes = part.scores + part.other + part.kv;
    double *use = cost->use, *floor = cost->floor;
    use[RESOURCE_MEMORY] = cost->memory_bytes / rates->memory_rate;
    use[RESOURCE_CACHE] = bytes / target->cache_bandwidth;
    floor[RESOURCE_MEMORY] = cost->memory_bytes / target->memory_bandwidth;
    floor[RESOURCE_CACHE] = use[RESOURCE_CACHE];
    if (softmax) {
        floor[RESOURCE_VECTOR] = use[RESOURCE_VECTOR] =
            part.pairs * SOFTMAX_LANE_FLOPS / target->vector_flops;
    } else {
        enum resource unit = prepared_unit(prepared);
        use[unit] = greater(part.longest_s, part.executed * unit_s / attention->units);
        floor[unit] = part.executed / prepared->peak;
        if (target->vector_flops > 0)
            use[RESOURCE_VECTOR] =
                greater(use[RESOURCE_VECTOR],
                        part.kv_values * prepared->op->attention.convert_flops / target->vector_flops);
    }
    cost_finish(target, prepared->format, rates->fixed, cost);
}
