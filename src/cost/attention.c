/* Attention: what prefill and decode kernels share, and how an op is dispatched to them. */
#include "cost/prepared.h"

#include <string.h>

/* Lane FLOPs of one score: scale, subtract the running maximum, exponential, add to the sum, take the
 * maximum. An exponential counts 16: a GPU's special function units do 16 a clock and SM beside 128 lanes of
 * multiply-add (256 FLOP), and vectorised exponentials on CPUs are polynomials of about that length. */
enum { EXP_FLOPS = 16, SOFTMAX_FLOPS = 4 + EXP_FLOPS, DEQUANT_FLOPS = 2 };
enum { PARTIAL_EXTRAS = 2, PARTIAL_BYTES = 4 }; /* a split's maximum and sum; fp32 */

static struct attention_rates regime_rates(const struct prepared_op *prepared, enum family family,
                                           bool converts)
{
    const struct target *target = prepared->target;
    const struct attention_cost *attention = prepared->attention;
    const double *scalars = target->scalars[family][prepared->format];
    double units = target->units, lanes = target->vector_flops > 0 ? target->vector_flops : prepared->peak;
    struct attention_rates rates = {
        .fixed = greater(scalars[ATTENTION_T0], 0),
        .omega = greater(scalars[ATTENTION_OMEGA], 0),
        .split = greater(scalars[ATTENTION_SPLIT], 0),
        .memory_rate = efficiency(scalars[ATTENTION_BETA]) * target->memory_bandwidth,
        .pair_s = attention->pair_flops * units / (efficiency(scalars[ATTENTION_EPS]) * prepared->peak),
        .lane_pair_s = SOFTMAX_FLOPS * units / lanes,
        .kv_cache_s = attention->kv_head_bytes * units / target->cache_bandwidth,
    };
    double values = attention->qk_dim + (prepared->op->attention.latent ? 0 : attention->v_dim);
    rates.kv_lane_s = converts ? DEQUANT_FLOPS * values * units / lanes : 0;
    return rates;
}

static void set_bytes(struct attention_cost *attention, const struct attention_work *work,
                      const struct element_type *kv)
{
    double values = work->qk_dim + (work->latent ? 0 : work->v_dim); /* of one KV head */
    attention->kv_token_bytes =
        element_row_bytes(kv, work->kv_heads * values); /* as the buffer counts them */
    attention->kv_head_bytes = values * element_bytes_each(kv);
    attention->q_bytes = element_row_bytes(&work->q_type, work->heads * work->qk_dim);
    attention->o_bytes = element_row_bytes(&work->q_type, work->heads * work->v_dim);
    attention->query_bytes = attention->q_bytes + attention->o_bytes;
    attention->k_token_bytes = element_row_bytes(kv, work->kv_heads * work->qk_dim);
    attention->v_token_bytes = element_row_bytes(kv, work->kv_heads * work->v_dim);
    attention->score_bytes = element_bytes_each(&work->q_type);
    attention->merge_bytes = 2 * work->heads * (work->v_dim + PARTIAL_EXTRAS) * PARTIAL_BYTES;
}

bool attention_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct attention_work *work = &op->attention;
    const struct target *target = prepared->target;
    bool cached = op->cache != BUFFER_NONE && op->reads_cache;
    const struct element_type *kv = cached ? &graph->buffers[op->cache].type : &work->q_type;
    prepared->format = compute_format(target->device, &work->q_type, kv, &prepared->matrix, &prepared->peak);
    if (prepared->format == FORMAT_NONE)
        return diag_error(diag, NOWHERE, "%s: %s cannot multiply %s by %s", op->name, target->device->id,
                          work->q_type.name, kv->name);
    if (!(work->heads > 0 && work->kv_heads > 0))
        return diag_error(diag, NOWHERE, "%s: attention without heads", op->name);
    struct attention_cost *attention = prepared->attention = ARENA_NEW(arena, struct attention_cost);
    if (!attention)
        return diag_error(diag, NOWHERE, "out of memory");
    attention->heads = work->heads;
    attention->kv_heads = work->kv_heads;
    attention->group = work->heads / work->kv_heads;
    attention->qk_dim = work->qk_dim;
    attention->v_dim = work->v_dim;
    attention->window = work->window;
    attention->pair_flops = 2 * (work->qk_dim + work->v_dim);
    attention->units = target->units;
    attention->inverse_units = inverse_count(target->units);
    attention->kv_class = cached ? BYTES_KV_READ : BYTES_ACTIVATIONS;
    set_bytes(attention, work, kv);
    enum family prefill = work->mla ? FAMILY_MLA_PREFILL : FAMILY_ATTENTION_PREFILL;
    enum family decode = work->mla ? FAMILY_MLA_DECODE : FAMILY_ATTENTION_DECODE;
    prepared->family = op->regime == REGIME_DECODE ? decode : prefill;
    bool converts = kv->format != prepared->format;
    attention->prefill = regime_rates(prepared, prefill, converts);
    attention->decode = regime_rates(prepared, decode, converts);
    return true;
}

double attention_step_s(const struct attention_rates *rates, bool matrix, double rows)
{
    double lanes = rows * rates->lane_pair_s + rates->kv_lane_s;
    double multiply = rows * rates->pair_s;
    /* without matrix units the products take turns with the softmax on the same lanes */
    double compute = matrix ? greater(multiply, lanes) : multiply + lanes;
    return greater(compute, rates->kv_cache_s);
}

double attention_query_bytes(const struct prepared_op *prepared, const struct attention_segment *segments,
                             int count)
{
    double tokens = 0;
    for (int i = 0; i < count; i++)
        tokens += segments[i].sequences * segments[i].new_tokens;
    return missing_bytes(prepared->target, tokens * prepared->attention->query_bytes);
}

/* Tokens of a shared prefix that may be read once for all sequences. Kernels that do so have no sliding
 * windows (which would let go of the prefix soon). */
static double shared_tokens(const struct prepared_op *prepared, const struct segment *segment)
{
    const struct attention_work *work = &prepared->op->attention;
    if (!work->prefix_once || work->window > 0)
        return 0;
    return greater(lesser(segment->prefix, segment->context), 0);
}

static int gather(const struct prepared_op *prepared, enum regime regime, const struct segment *segments,
                  int count, struct attention_segment *seen)
{
    double window = prepared->attention->window;
    int seen_count = 0;
    double share = sequence_share(prepared->op, segments, count);
    for (int i = 0; i < count && seen_count < SEGMENTS_MOST; i++) {
        const struct segment *segment = &segments[i];
        double sequences = share * segment->sequences;
        if (segment_regime(segment) != regime || !(sequences > 0) || !(segment->new_tokens > 0))
            continue;
        seen[seen_count++] = (struct attention_segment){.sequences = sequences,
                                                        .new_tokens = segment->new_tokens,
                                                        .context = segment->context,
                                                        .kv_tokens = segment_kv_tokens(segment, window),
                                                        .shared = shared_tokens(prepared, segment),
                                                        .pairs = segment_pairs(segment, window),
                                                        .causal = segment->mask == MASK_CAUSAL};
    }
    return seen_count;
}

/* Operands: Q and O per new token, each KV token once per sequence, a shared prefix once. */
static void add_operands(const struct prepared_op *prepared, const struct attention_segment *seen,
                         struct op_cost *cost)
{
    const struct attention_cost *attention = prepared->attention;
    double kv_tokens = seen->sequences * (seen->kv_tokens - seen->shared) + seen->shared;
    cost->flops += seen->sequences * attention->heads * seen->pairs * attention->pair_flops;
    cost->bytes[BYTES_ACTIVATIONS] += seen->sequences * seen->new_tokens * attention->query_bytes;
    cost->bytes[attention->kv_class] += kv_tokens * attention->kv_token_bytes;
}

static void book(const struct prepared_op *prepared, const struct attention_rates *rates,
                 const struct attention_sums *sums, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    enum resource unit = prepared_unit(prepared);
    double *use = cost->use, *floor = cost->floor;
    use[unit] += sums->compute + (prepared->matrix ? 0 : sums->lanes);
    if (prepared->matrix)
        use[RESOURCE_VECTOR] += sums->lanes;
    use[RESOURCE_CACHE] += sums->cache;
    enum resource slowest = use[RESOURCE_VECTOR] > use[unit] ? RESOURCE_VECTOR : unit;
    slowest = use[RESOURCE_CACHE] > use[slowest] ? RESOURCE_CACHE : slowest;
    use[slowest] = greater(use[slowest], sums->seconds); /* with the waves' overhead and idle units */
    use[RESOURCE_MEMORY] += sums->memory_bytes / rates->memory_rate;
    floor[unit] += sums->executed_flops / prepared->peak;
    if (prepared->matrix && target->vector_flops > 0)
        floor[RESOURCE_VECTOR] += sums->lane_flops / target->vector_flops;
    floor[RESOURCE_CACHE] += sums->cache_bytes / target->cache_bandwidth;
    floor[RESOURCE_MEMORY] += sums->memory_bytes / target->memory_bandwidth;
    cost->memory_bytes += sums->memory_bytes;
}

/* One kernel over one regime's segments. */
static void run_kernel(const struct prepared_op *prepared, enum regime regime,
                       const struct attention_segment *seen, int count, struct op_cost *cost)
{
    const struct target *target = prepared->target;
    const struct attention_cost *attention = prepared->attention;
    const struct attention_rates *rates = regime == REGIME_DECODE ? &attention->decode : &attention->prefill;
    memset(cost, 0, sizeof *cost);
    cost->launches = 1;
    if (prepared->op->attention.part != PART_FUSED) {
        attention_unfused(prepared, rates, seen, count, cost);
        return;
    }
    for (int i = 0; i < count; i++)
        add_operands(prepared, &seen[i], cost);
    if (target->ideal) {
        cost->memory_bytes = cost->bytes[attention->kv_class];
        if (attention->kv_class == BYTES_KV_READ)
            cost->memory_bytes += missing_bytes(target, cost->bytes[BYTES_ACTIVATIONS]);
        ideal_cost(target, prepared->format, prepared->matrix, prepared->peak, cost);
        return;
    }
    struct attention_sums sums = {0};
    (regime == REGIME_DECODE ? attention_decode : attention_prefill)(prepared, seen, count, &sums);
    book(prepared, rates, &sums, cost);
    bool waits = sums.seconds > cost->use[RESOURCE_MEMORY];
    double fixed = rates->fixed + sums.extra_s;
    finish_with_overhead(target, prepared->format, fixed, fixed + (waits ? sums.overhead_s : 0), cost);
}

/* Forgets shared prefixes; whether there were any. */
static bool drop_shared(struct attention_segment *seen, int count)
{
    bool any = false;
    for (int i = 0; i < count; i++) {
        any = any || seen[i].shared > 0;
        seen[i].shared = 0;
    }
    return any;
}

/* Adds one regime's kernel to the cost: an op of both regimes runs one after the other. Reading a prefix once
 * needs a merge; where that does not pay (few sequences, short prefixes) the plain kernel runs. */
static void add_regime(const struct prepared_op *prepared, enum regime regime, const struct segment *segments,
                       int count, struct op_cost *cost)
{
    struct attention_segment seen[SEGMENTS_MOST];
    int seen_count = gather(prepared, regime, segments, count, seen);
    if (seen_count == 0)
        return;
    struct op_cost part, plain;
    run_kernel(prepared, regime, seen, seen_count, &part);
    if (drop_shared(seen, seen_count)) {
        run_kernel(prepared, regime, seen, seen_count, &plain);
        part = plain.time <= part.time ? plain : part;
    }
    cost->bound = part.time > cost->time ? part.bound : cost->bound;
    cost->flops += part.flops;
    cost->memory_bytes += part.memory_bytes;
    cost->launches += part.launches;
    for (int i = 0; i < BYTE_CLASS_COUNT; i++)
        cost->bytes[i] += part.bytes[i];
    for (int i = 0; i < RESOURCE_COUNT; i++) {
        cost->use[i] += part.use[i];
        cost->floor[i] += part.floor[i];
    }
    cost->time += part.time;
    cost->energy += part.energy;
}

void attention_cost(const struct prepared_op *prepared, const struct segment *segments, int count,
                    struct op_cost *cost)
{
    enum regime regime = prepared->op->regime;
    if (regime & REGIME_PREFILL)
        add_regime(prepared, REGIME_PREFILL, segments, count, cost);
    if (regime & REGIME_DECODE)
        add_regime(prepared, REGIME_DECODE, segments, count, cost);
}
