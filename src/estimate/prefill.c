/* Prefill: all prompts of the batch, in as many steps as the software's chunk makes of them. */
#include "estimate/phases.h"

#include <math.h>

_Static_assert(2 * STRATA_MOST <= SEGMENTS_MOST, "prompts with and without a shared prefix share a step, as "
                                                 "do an encoder's prompts and a decoder's first tokens");

double ranks_per_stage(const struct plan *plan)
{
    return plan->parallel.tp * plan->parallel.dp;
}

void spend(struct spent *spent, const struct plan *plan, const struct step_cost *cost, double count)
{
    if (count <= 0)
        return;
    double pace = plan->parallel.pp > 1 ? cost->stage_time : cost->time;
    spent->time += spent->steps > 0 ? count * pace : cost->time + (count - 1) * pace;
    spent->energy += count * cost->energy * ranks_per_stage(plan);
    spent->flops += count * cost->flops * ranks_per_stage(plan);
    spent->bytes += count * cost->bytes * ranks_per_stage(plan);
    spent->steps += count;
}

double prompt_tokens(const struct plan *plan, const struct request *request, int stratum)
{
    return plan->software->pad_prompts ? request->prompt_max : request->prompt[stratum];
}

double droppable_tokens(const struct plan *plan, const struct request *request, int stratum)
{
    return plan->layer_share ? fmax(prompt_tokens(plan, request, stratum) - request->drops.fixed, 0) : 0;
}

double start_tokens(const struct plan *plan, const struct request *request, int stratum)
{
    return plan->model->encoder_layers > 0 ? 1 : prompt_tokens(plan, request, stratum);
}

double encoded_together(const struct plan *plan, const struct request *request)
{
    double chunk = plan->software->prefill_chunk_tokens, groups = plan->parallel.dp, mean = 0;
    for (int i = 0; i < request->strata; i++)
        mean += prompt_tokens(plan, request, i) / request->strata;
    return chunk > 0 ? fmin(request->batch, groups * fmax(1, floor(chunk / mean))) : request->batch;
}

static void run_prefill_step(struct prefill *prefill, const struct step *step, double count)
{
    if (count <= 0 || step->count == 0)
        return;
    plan_step(prefill->plan, step, false, prefill->cost);
    spend(&prefill->spent, prefill->plan, prefill->cost, count);
    if (prefill->sum)
        step_cost_add(prefill->plan, prefill->sum, prefill->cost, count * prefill->weight);
    if (prefill->cost->time >= prefill->shape_time) {
        prefill->shape_time = prefill->cost->time;
        prefill->shape = *step;
    }
}

/* Cached tokens of a prompt that need no computing. */
static double cached_of(const struct request *request, double prompt)
{
    double cached = floor(request->cached_fraction * prompt);
    if (request->prefix_reused)
        cached = fmax(cached, request->shared_prefix);
    return fmin(cached, prompt - 1); /* the last token's logits are always computed */
}

struct segment prompt_segment(const struct plan *plan, const struct request *request, int stratum,
                              double sequences)
{
    double prompt = prompt_tokens(plan, request, stratum), cached = cached_of(request, prompt);
    double droppable = droppable_tokens(plan, request, stratum) / prompt;
    return (struct segment){.sequences = sequences,
                            .new_tokens = prompt - cached,
                            .context = cached,
                            .prefix = fmin(shared_tokens_of(request), cached),
                            .droppable_new = droppable * (prompt - cached),
                            .droppable_context = droppable * cached,
                            .sampled = plan->software->all_logits ? prompt - cached : 1};
}

struct chunks {
    struct prefill *prefill;
    struct step step; /* a full chunk of each group's prompt */
    double first_context;
};

/* The part of a prompt that starts behind `context` tokens of it. */
static void place_part(struct segment *part, double context, double new_tokens)
{
    double all = part->context + part->new_tokens;
    double droppable = (part->droppable_context + part->droppable_new) / all;
    part->context = context;
    part->new_tokens = new_tokens;
    part->droppable_context = droppable * context;
    part->droppable_new = droppable * new_tokens;
}

static double chunk_time(void *context, double before)
{
    struct chunks *chunks = context;
    struct segment *part = &chunks->step.segments[0];
    place_part(part, chunks->first_context + before * part->new_tokens, part->new_tokens);
    plan_step(chunks->prefill->plan, &chunks->step, false, chunks->prefill->cost);
    return chunks->prefill->cost->time;
}

/* Full chunks, each on the context of those before it; the last one's logits are computed. Their sum is taken
 * as a decode's is: from few of them, when there are many. */
static void run_full_chunks(struct prefill *prefill, const struct step *step, double context, double count,
                            double sampled, double times)
{
    struct chunks chunks = {.prefill = prefill, .step = *step, .first_context = context};
    struct segment *part = &chunks.step.segments[0];
    double seconds;
    part->sampled = 0;
    int nodes = sum_over_cycles(chunk_time, &chunks, count - 1, NULL, 0, prefill->nodes, &seconds);
    for (int i = 0; i < nodes; i++) {
        place_part(part, context + prefill->nodes[i].x * part->new_tokens, part->new_tokens);
        run_prefill_step(prefill, &chunks.step, times * prefill->nodes[i].weight);
    }
    place_part(part, context + (count - 1) * part->new_tokens, part->new_tokens);
    part->sampled = sampled;
    run_prefill_step(prefill, &chunks.step, times);
}

/* Prompts longer than the software's chunk: chunk after chunk on a growing context, one prompt a step in each
 * attention group. The odd rest comes first, so that the chunks after it are full; rests of several prompts
 * share a step as far as a chunk holds them. */
static void run_long_prompts(struct prefill *prefill, const struct segment *segment, double chunk)
{
    double full = floor(segment->new_tokens / chunk), rest = segment->new_tokens - full * chunk;
    double sequences = segment->sequences, groups = prefill->plan->parallel.dp;
    struct step step = {.segments = {*segment}, .count = 1};
    struct segment *part = &step.segments[0];
    if (rest > 0) {
        double steps = fmax(1, ceil(sequences / (groups * floor(chunk / rest)) - 1e-9));
        part->sequences = sequences / steps;
        place_part(part, part->context, rest);
        part->sampled = 0;
        run_prefill_step(prefill, &step, steps);
    }
    part->sequences = fmin(groups, sequences);
    place_part(part, segment->context + rest, chunk);
    run_full_chunks(prefill, &step, segment->context + rest, full, segment->sampled,
                    sequences / part->sequences);
}

/* Prompts that fit a chunk, as many together as the groups' chunks hold. */
static void run_short_prompts(struct prefill *prefill, const struct step *all, double tokens, double chunk)
{
    const struct parallelism *parallel = &prefill->plan->parallel;
    double steps = fmax(1, ceil(tokens / (chunk * parallel->dp) - 1e-9)), micro = parallel->micro_batches;
    if (parallel->pp > 1)
        steps = fmax(steps, fmin(micro > 0 ? micro : parallel->pp, prefill->request->batch));
    struct step step = *all;
    for (int i = 0; i < step.count; i++)
        step.segments[i].sequences /= steps;
    run_prefill_step(prefill, &step, steps);
}

/* Prompts of one kind: those longer than a chunk run at once, the others are left for a step together. */
static void add_prompts(struct prefill *prefill, const struct segment *segment, double chunk,
                        struct step *together)
{
    if (segment->sequences <= 0)
        return;
    if (segment->new_tokens > chunk)
        run_long_prompts(prefill, segment, chunk);
    else
        together->segments[together->count++] = *segment;
}

/* A prefix that nobody has computed yet comes with the first prompt of each attention group, or of those that
 * share it there. */
static double prompts_with_prefix(const struct prefill *prefill)
{
    const struct request *request = prefill->request;
    bool computed = !request->prefix_reused || request->prefix_cached;
    return computed ? 0 : fmin(fmax(prefill->plan->parallel.dp, request->prefix_groups), request->batch);
}

double shared_tokens_of(const struct request *request)
{
    double groups = request->prefix_groups, batch = request->batch;
    if (!request->prefix_reused)
        return 0;
    return groups > 1 && batch > 1 ? request->shared_prefix * fmax(batch - groups, 0) / (batch - 1)
                                   : request->shared_prefix;
}

/* Behind an encoder: it takes whole prompts, for each token sees all of its prompt, and the decoder takes its
 * first step, on the token that it starts with. */
static void run_encoder(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    const struct plan *plan = prefill->plan;
    double steps = ceil(request->batch / encoded_together(plan, request) - 1e-9);
    int layers = plan->model->encoder_layers;
    struct step step = {.count = 2 * request->strata};
    for (int i = 0; i < request->strata; i++) {
        double prompt = prompt_tokens(plan, request, i), sequences = request->batch / request->strata / steps;
        step.segments[2 * i] = (struct segment){
            .sequences = sequences, .new_tokens = prompt, .mask = MASK_FULL, .layer_last = layers};
        step.segments[2 * i + 1] = (struct segment){.sequences = sequences,
                                                    .new_tokens = start_tokens(plan, request, i),
                                                    .source = prompt,
                                                    .sampled = 1,
                                                    .layer_first = layers};
    }
    run_prefill_step(prefill, &step, steps);
}

static double chunk_tokens(const struct plan *plan)
{
    return plan->software->prefill_chunk_tokens > 0 ? plan->software->prefill_chunk_tokens : INFINITY;
}

/* Steps of what is left for them. */
static void run_together(struct prefill *prefill, const struct step *together)
{
    double tokens = 0;
    for (int i = 0; i < together->count; i++)
        tokens += together->segments[i].sequences * together->segments[i].new_tokens;
    if (together->count > 0)
        run_short_prompts(prefill, together, tokens, chunk_tokens(prefill->plan));
}

/* Prompts of one text each. */
static void run_texts(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    const struct plan *plan = prefill->plan;
    double chunk = chunk_tokens(plan), first = prompts_with_prefix(prefill);
    struct request alone = *request;
    struct step together = {.count = 0};
    alone.prefix_reused = false;
    for (int i = 0; i < request->strata; i++) {
        struct segment whole = prompt_segment(plan, &alone, i, first / request->strata);
        struct segment rest = prompt_segment(plan, request, i, (request->batch - first) / request->strata);
        add_prompts(prefill, &whole, chunk, &together);
        add_prompts(prefill, &rest, chunk, &together);
    }
    run_together(prefill, &together);
}

double packed_rows(const struct request *request)
{
    double tokens = 0;
    for (int i = 0; i < request->strata; i++)
        tokens += request->batch / request->strata * request->prompt[i];
    return fmin(ceil(tokens / (request->prompt_max * request->packed) - 1e-9), request->batch);
}

/* Prompts packed behind each other into rows of the longest one's length, masked by one dense mask. */
static void run_packed(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    double row = request->prompt_max, rows = packed_rows(request);
    struct segment segment = {.sequences = rows, .new_tokens = row, .sampled = request->batch / rows};
    struct step together = {.count = 0};
    add_prompts(prefill, &segment, chunk_tokens(prefill->plan), &together);
    run_together(prefill, &together);
}

/* The prefix of prompts of segments: once where it is reused. */
static void run_prefix(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    bool reused = request->prefix_reused;
    struct step together = {.count = 0};
    struct segment head = {.sequences = reused ? prompts_with_prefix(prefill) : request->batch,
                           .new_tokens = request->shared_prefix};
    if (head.new_tokens > 0)
        add_prompts(prefill, &head, chunk_tokens(prefill->plan), &together);
    run_together(prefill, &together);
}

/* Prompts of segments that see the shared prefix and themselves: behind the prefix the segments, as sequences
 * of their own; then the tail and what is computed again of cached segments, both in sight of all before
 * them. */
static void run_segments(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    const struct plan *plan = prefill->plan;
    const struct prompt_segments *parts = &request->segments;
    double prefix = request->shared_prefix, each = request->batch / request->strata;
    struct step together = {.count = 0};
    run_prefix(prefill);
    for (int i = 0; i < request->strata; i++) {
        double prompt = prompt_tokens(plan, request, i), text = fmax(prompt - prefix - parts->tail, 0);
        double length = fmin(parts->tokens, text), count = text > 0 ? text / length : 0;
        struct segment alone = {.sequences = each * count * (1 - parts->cached),
                                .new_tokens = length,
                                .context = prefix,
                                .prefix = request->prefix_reused ? prefix : 0};
        double last = parts->tail + parts->recomputed * parts->cached * text;
        struct segment seeing = {.sequences = each,
                                 .new_tokens = fmin(last, prompt),
                                 .context = fmax(prompt - last, 0),
                                 .sampled = 1};
        add_prompts(prefill, &alone, chunk_tokens(plan), &together);
        add_prompts(prefill, &seeing, chunk_tokens(plan), &together);
    }
    run_together(prefill, &together);
}

/* Seconds in which cached segments are looked up and their KV is moved to be put right, at the memory's rate.
 */
static double waiting_s(const struct prefill *prefill)
{
    const struct request *request = prefill->request;
    const struct plan *plan = prefill->plan;
    double bytes = 0, cached = 0;
    for (int i = 0; i < request->strata; i++)
        cached += fmax(prompt_tokens(plan, request, i) - request->shared_prefix - request->segments.tail, 0) /
                  request->strata;
    for (int i = 0; i < plan->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan->graph.buffers[i];
        if (buffer->class == BUFFER_KV && !buffer->per_sequence && buffer->block != OUTSIDE_LAYERS)
            bytes += plan->model->block_layers[buffer->block] * cached * request->segments.cached *
                     buffer->sequence_share * buffer_token_bytes(buffer);
    }
    return request->segments.moved * request->batch * bytes / plan->target.memory_bandwidth +
           request->batch * request->segments.match_s;
}

/* Ends one way of prefilling, that `weight` of the requests take. */
static void take_way(struct prefill *prefill)
{
    struct spent *total = &prefill->total, *spent = &prefill->spent;
    total->time += prefill->weight * spent->time;
    total->energy += prefill->weight * spent->energy;
    total->flops += prefill->weight * spent->flops;
    total->bytes += prefill->weight * spent->bytes;
    total->steps += prefill->weight * spent->steps;
    *spent = (struct spent){0};
}

void prefill_run(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    prefill->weight = request->segments.tokens > 0 ? request->segments.hit_rate : 1;
    if (prefill->plan->model->encoder_layers > 0)
        run_encoder(prefill);
    else if (request->packed > 0)
        run_packed(prefill);
    else if (request->segments.tokens > 0 && prefill->weight > 0) {
        run_segments(prefill);
        if (!prefill->plan->drafts)
            prefill->waited = prefill->weight * waiting_s(prefill);
    } else
        run_texts(prefill);
    if (prefill->weight == 1) {
        prefill->total = prefill->spent;
        return;
    }
    take_way(prefill);
    prefill->weight = 1 - prefill->weight;
    run_texts(prefill);
    take_way(prefill);
}
