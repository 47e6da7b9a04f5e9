/* Attention: what prefill and decode kernels share, and how an op is dispatched to them. */
#include "cost/prepared.h"

#include <string.h>

/* Lane FLOPs of one score: scale, subtract the running maximum, exponential, add to the sum, take the
 * maximum. An exponential counts 16: a GPU's special function units do 16 a clock and SM beside 128 lanes of
 * multiply-add (256 FLOP), and vectorised exponentials on CPUs are polynomials of about that length. */
enum { SOFTMAX_FLOPS = 4 + EXP_FLOPS, DEQUANT_FLOPS = 2 };
enum { INDEX_FLOPS = 3 }; /* of an indexer's head: ReLU, its weight, the sum over heads */
enum { PARTIAL_EXTRAS = 2, PARTIAL_BYTES = 4 }; /* a split's maximum and sum; fp32 */
enum { INDEX_SCORE_BYTES = 4, INDEX_WEIGHT_BYTES = 4 };

static struct attention_rates regime_rates(const struct prepared_op *prepared, enum family family,
                                           bool converts)
{
    const struct target *target = prepared->target;
    const struct attention_cost *attention = prepared->attention;
    double scalars[SCALARS_MOST];
    target_scalars(target, family, prepared->format, prepared->operand, scalars);
    bool index = prepared->op->attention.part == PART_INDEX;
    double units = target->units, lanes = target->vector_flops > 0 ? target->vector_flops : prepared->peak;
    bool own = family == FAMILY_ATTENTION_DECODE; /* has scalars beyond attention's */
    double cache_rate = (own ? efficiency(scalars[DECODE_LAMBDA]) : 1) * target->cache_bandwidth;
    double lane_rate = (own ? efficiency(scalars[DECODE_LANES]) : 1) * lanes;
    struct attention_rates rates = {
        .fixed = greater(scalars[ATTENTION_T0], 0),
        .omega = greater(scalars[ATTENTION_OMEGA], 0),
        .split = index ? 0 : greater(scalars[ATTENTION_SPLIT], 0), /* scores need no merge */
        .memory_rate = efficiency(scalars[ATTENTION_BETA]) * target->memory_bandwidth,
        .pair_s = attention->pair_flops * units / (efficiency(scalars[ATTENTION_EPS]) * prepared->peak),
        .lane_pair_s = (index ? INDEX_FLOPS : SOFTMAX_FLOPS) * units / lanes,
        .kv_cache_s = attention->kv_head_bytes * units / cache_rate,
        .lane_omega = own ? greater(scalars[DECODE_LANE_OMEGA], 0) : 0,
        .lane_row_s = attention->pair_flops * units / lane_rate,
    };
    double values = attention->qk_dim + (prepared->op->attention.latent ? 0 : attention->v_dim);
    double convert = (converts ? DEQUANT_FLOPS : 0) + prepared->op->attention.convert_flops;
    rates.kv_lane_s = convert * values * units / lanes;
    return rates;
}

/* Threads a unit keeps resident and the most that one block has: of NVIDIA's data-center parts. */
enum { RESIDENT_THREADS = 2048, BLOCK_THREADS = 512 };

/* FP8 values are multiplied as they are where the device can, whatever the queries' type. */
static bool prefill_converts(const struct prepared_op *prepared, const struct element_type *kv)
{
    bool native = kv->format == FORMAT_FP8 && prepared->target->device->matrix[FORMAT_FP8].flops > 0;
    return kv->format != prepared->format && !native;
}

static struct attention_rates prefill_rates(const struct prepared_op *prepared, enum family family,
                                            const struct element_type *kv)
{
    const struct target *target = prepared->target;
    const struct attention_cost *attention = prepared->attention;
    const struct attention_work *work = &prepared->op->attention;
    double scalars[SCALARS_MOST] = {0}; /* MLA has no heads to pack */
    target_scalars(target, family, prepared->format, prepared->operand, scalars);
    double units = target->units, lanes = target->vector_flops > 0 ? target->vector_flops : prepared->peak;
    double lane_s = units / (efficiency(scalars[PREFILL_LANES]) * lanes);
    struct attention_rates rates = {
        .fixed = greater(scalars[PREFILL_T0], 0),
        .omega = greater(scalars[PREFILL_OMEGA], 0),
        .memory_rate = efficiency(scalars[PREFILL_BETA]) * target->memory_bandwidth,
        .pair_s = attention->pair_flops * units / (efficiency(scalars[PREFILL_EPS]) * prepared->peak),
        .lane_pair_s = (work->part == PART_INDEX ? INDEX_FLOPS : SOFTMAX_FLOPS) * lane_s,
        .lane_rate = 1 / lane_s,
        .kv_cache_s = attention->kv_head_bytes * units / target->cache_bandwidth / PREFILL_SHARING,
        .pack = efficiency(scalars[PREFILL_PACK]),
        .single = efficiency(scalars[PREFILL_SINGLE]),
    };
    double values = attention->qk_dim + (work->latent ? 0 : attention->v_dim);
    rates.kv_lane_s = prefill_converts(prepared, kv) ? DEQUANT_FLOPS * values * lane_s / PREFILL_SHARING : 0;
    rates.row_s = attention->query_bytes / attention->heads * units / rates.memory_rate;
    double threads = lesser(work->setup_values, BLOCK_THREADS);
    rates.setup_s = greater(work->setup_bytes / rates.memory_rate,
                            threads * greater(scalars[PREFILL_WRITE], 0) / (units * RESIDENT_THREADS));
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
    if (work->part == PART_INDEX) { /* the heads' weights beside the queries, scores instead of O */
        attention->query_bytes += work->heads * INDEX_WEIGHT_BYTES;
        attention->written_score = work->block_scores ? 0 : INDEX_SCORE_BYTES;
        attention->merge_bytes = 0;
    }
}

bool attention_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                       const struct graph *graph)
{
    const struct op *op = prepared->op;
    const struct attention_work *work = &op->attention;
    const struct target *target = prepared->target;
    bool cached = op->cache != BUFFER_NONE && op->reads_cache;
    const struct element_type *kv = cached ? &graph->buffers[op->cache].type : &work->q_type;
    /* by the cache even where expanded K and V are read: kernels follow its type */
    prepared->operand = operand_of(op->cache != BUFFER_NONE ? &graph->buffers[op->cache].type : kv);
    if (!prepared_multiplies(prepared, diag, &work->q_type, kv))
        return false;
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
    attention->selected = work->selected;
    attention->pair_flops = 2 * (work->qk_dim + work->v_dim);
    attention->units = target->units;
    attention->tile = target->software->attention_tile > 0
                          ? target->software->attention_tile
                          : prefill_tile(work->qk_dim, element_bytes_each(kv));
    const struct memory_tier *cache = device_shared_cache(target->device);
    attention->cache_latency = cache ? cache->latency : 0;
    attention->memory_latency = device_memory(target->device)->latency;
    attention->kernels = decode_kernels_of(target, work, prepared->operand);
    attention->inverse_units = inverse_count(target->units);
    attention->kv_class = cached ? BYTES_KV_READ : BYTES_ACTIVATIONS;
    set_bytes(attention, work, kv);
    enum family prefill = work->mla ? FAMILY_MLA_PREFILL : FAMILY_ATTENTION_PREFILL;
    enum family decode = work->mla ? FAMILY_MLA_DECODE : FAMILY_ATTENTION_DECODE;
    prepared->family = op->regime == REGIME_DECODE ? decode : prefill;
    bool converts = kv->format != prepared->format;
    attention->prefill = prefill_rates(prepared, prefill, kv);
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
    const struct attention_cost *attention = prepared->attention;
    double bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += segments[i].sequences * (segments[i].new_tokens * attention->query_bytes +
                                          segments[i].pairs * attention->written_score);
    return missing_bytes(prepared->target, bytes);
}

/* Tokens of a shared prefix that may be read once for all sequences. Kernels that do so have no sliding
 * windows (which would let go of the prefix soon). */
static double shared_tokens(const struct prepared_op *prepared, const struct segment *segment)
{
    const struct attention_work *work = &prepared->op->attention;
    if (!work->prefix_once || work->window > 0 || work->part == PART_INDEX)
        return 0;
    return greater(lesser(segment->prefix, segment->context), 0);
}

/* Under selection each query reads tokens of its own: it is a sequence of one new token, and nothing tells
 * how many tokens two queries have in common, so that those of a sequence touch as many as there are, up to
 * its span. */
static void select_tokens(double selected, const struct segment *segment, struct attention_segment *seen)
{
    double pairs = segment_selected_pairs(segment, selected), each = pairs / segment->new_tokens;
    seen->distinct = seen->sequences * lesser(seen->span, pairs);
    seen->sequences *= segment->new_tokens;
    seen->new_tokens = 1;
    seen->context = each - 1;
    seen->kv_tokens = seen->pairs = each;
    seen->shared = 0;
    seen->causal = false;
}

/* Cross-attention: every new token against all of the encoder's output. */
static struct attention_segment across(const struct segment *segment, double sequences)
{
    return (struct attention_segment){.sequences = sequences,
                                      .new_tokens = segment->new_tokens,
                                      .context = segment->source,
                                      .kv_tokens = segment->source,
                                      .span = segment->source,
                                      .distinct = sequences * segment->source,
                                      .pairs = segment->new_tokens * segment->source,
                                      .density = 1};
}

static int gather(const struct prepared_op *prepared, enum regime regime, const struct segment *segments,
                  int count, struct attention_segment *seen)
{
    double window = prepared->attention->window;
    double density = prepared->op->attention.density > 0 ? prepared->op->attention.density : 1;
    /* a mask in memory: the kernel cannot tell which blocks it leaves empty */
    bool masked = prepared->target->software->masked_attention && regime == REGIME_PREFILL;
    int seen_count = 0;
    double share = sequence_share(prepared->op, segments, count);
    for (int i = 0; i < count && seen_count < SEGMENTS_MOST; i++) {
        struct segment kept = segments[i];
        const struct segment *segment = &kept;
        double sequences = share * segment->sequences;
        kept.context = kept_of(&prepared->op->attention.kept, kept.context);
        if (segment_regime(segment) != regime || !(sequences > 0) || !(segment->new_tokens > 0))
            continue;
        if (prepared->op->attention.cross) {
            seen[seen_count++] = across(segment, sequences);
            continue;
        }
        double kv_tokens = segment_kv_tokens(segment, window);
        seen[seen_count] = (struct attention_segment){.sequences = sequences,
                                                      .new_tokens = segment->new_tokens,
                                                      .context = segment->context,
                                                      .kv_tokens = kv_tokens,
                                                      .span = kv_tokens,
                                                      .distinct = sequences * kv_tokens,
                                                      .shared = shared_tokens(prepared, segment),
                                                      .pairs = masked ? segment->new_tokens * kv_tokens
                                                                      : segment_pairs(segment, window),
                                                      .density = regime == REGIME_PREFILL ? density : 1,
                                                      .causal = segment->mask == MASK_CAUSAL && !masked};
        if (prepared->attention->selected > 0)
            select_tokens(prepared->attention->selected, segment, &seen[seen_count]);
        seen_count++;
    }
    return seen_count;
}

double attention_kv_tokens(const struct attention_segment *segment)
{
    return segment->distinct - (segment->sequences - 1) * segment->shared;
}

/* Operands: Q and O (or scores) per new token, each KV token once per sequence, a shared prefix once. */
static void add_operands(const struct prepared_op *prepared, const struct attention_segment *seen,
                         struct op_cost *cost)
{
    const struct attention_cost *attention = prepared->attention;
    cost->flops += seen->sequences * attention->heads * seen->pairs * seen->density * attention->pair_flops;
    double token_bytes = attention->query_bytes + prepared->op->attention.setup_bytes;
    cost->bytes[BYTES_ACTIVATIONS] +=
        seen->sequences * (seen->new_tokens * token_bytes + seen->pairs * attention->written_score);
    cost->bytes[attention->kv_class] += attention_kv_tokens(seen) * attention->kv_token_bytes;
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
    floor[RESOURCE_MEMORY] += (sums->memory_bytes + sums->setup_bytes) / target->memory_bandwidth;
    cost->memory_bytes += sums->memory_bytes + sums->setup_bytes;
}

/* What a variant of the kernel does without; no resource can be used faster than its data sheet has it. */
static void save_time(double saving, struct op_cost *cost)
{
    double least = 0;
    for (int i = 0; i < RESOURCE_COUNT && saving > 0; i++) {
        cost->use[i] = greater(cost->use[i] * (1 - saving), cost->floor[i]);
        least = greater(least, cost->floor[i]);
    }
    cost->time = saving > 0 ? greater(cost->time * (1 - saving), least) : cost->time;
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
    if (prepared->op->attention.part >= PART_QK) {
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
    double slowdown = prepared->op->attention.slowdown;
    if (regime == REGIME_PREFILL && slowdown > 1) {
        sums.seconds *= slowdown;
        sums.overhead_s *= slowdown;
    }
    book(prepared, rates, &sums, cost);
    bool waits = sums.seconds > cost->use[RESOURCE_MEMORY];
    double fixed = rates->fixed + sums.extra_s;
    finish_with_overhead(target, prepared->format, fixed, fixed + (waits ? sums.overhead_s : 0), cost);
    if (regime == REGIME_DECODE)
        save_time(prepared->op->attention.saving, cost);
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
