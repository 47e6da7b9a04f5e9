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
        step_cost_add(prefill->plan, prefill->sum, prefill->cost, count);
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

static struct segment prompt_segment(const struct plan *plan, const struct request *request, int stratum,
                                     double sequences)
{
    double prompt = prompt_tokens(plan, request, stratum), cached = cached_of(request, prompt);
    return (struct segment){.sequences = sequences,
                            .new_tokens = prompt - cached,
                            .context = cached,
                            .prefix = request->prefix_reused ? fmin(request->shared_prefix, cached) : 0,
                            .sampled = plan->software->all_logits ? prompt - cached : 1};
}

struct chunks {
    struct prefill *prefill;
    struct step step; /* a full chunk of each group's prompt */
    double first_context;
};

static double chunk_time(void *context, double before)
{
    struct chunks *chunks = context;
    struct segment *part = &chunks->step.segments[0];
    part->context = chunks->first_context + before * part->new_tokens;
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
        part->context = context + prefill->nodes[i].x * part->new_tokens;
        run_prefill_step(prefill, &chunks.step, times * prefill->nodes[i].weight);
    }
    part->context = context + (count - 1) * part->new_tokens;
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
        part->new_tokens = rest;
        part->sampled = 0;
        run_prefill_step(prefill, &step, steps);
    }
    part->sequences = fmin(groups, sequences);
    part->new_tokens = chunk;
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

/* A prefix that nobody has computed yet comes with the first prompt of each attention group. */
static double prompts_with_prefix(const struct prefill *prefill)
{
    const struct request *request = prefill->request;
    bool computed = !request->prefix_reused || request->prefix_cached;
    return computed ? 0 : fmin(prefill->plan->parallel.dp, request->batch);
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

void prefill_run(struct prefill *prefill)
{
    const struct request *request = prefill->request;
    const struct plan *plan = prefill->plan;
    if (plan->model->encoder_layers > 0) {
        run_encoder(prefill);
        return;
    }
    double chunk = plan->software->prefill_chunk_tokens > 0 ? plan->software->prefill_chunk_tokens : INFINITY;
    double first = prompts_with_prefix(prefill);
    struct request alone = *request;
    struct step together = {.count = 0};
    double tokens = 0;
    alone.prefix_reused = false;
    for (int i = 0; i < request->strata; i++) {
        struct segment whole = prompt_segment(plan, &alone, i, first / request->strata);
        struct segment rest = prompt_segment(plan, request, i, (request->batch - first) / request->strata);
        add_prompts(prefill, &whole, chunk, &together);
        add_prompts(prefill, &rest, chunk, &together);
    }
    for (int i = 0; i < together.count; i++)
        tokens += together.segments[i].sequences * together.segments[i].new_tokens;
    if (together.count > 0)
        run_short_prompts(prefill, &together, tokens, chunk);
}
