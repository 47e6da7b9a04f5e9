/* Parts of prompts and decodes in one step, in the steady state of continuous batching (SARATHI,
 * arXiv:2308.16369; along the layers: arXiv:2510.08055).
 *
 * B requests are in flight, each with n parts of its prompt and D - 1 tokens to decode. One prompt (packed:
 * as many as fill a chunk of c tokens, s = max(1, c / P)) is on its way at a time, so at most B - s sequences
 * decode beside it. A request brings n steps with a part and needs D - 1 of the decodes' places:
 *   beside each part          d = min(B - s, (D - 1) / n)
 *   steps without a part      q = max(0, (D - 1 - n d) / B), with all B decoding
 *   a request's share         T = n t_mixed + q t_decode
 * By Little's law a request is in flight for B T, so that batch * output / latency is the throughput. From
 * its first token to its last it takes n d t_mixed + q B t_decode; the rest, its own parts and the wait for
 * its turn, is the time to the first token. Where decodes count against the chunk, c + d = C.
 *
 * Pipelines: a stage works on the batches in flight in turn, and none overtakes, so that a round takes as
 * long as the slowest of them needs: m E[max of m stage times], a share n / (n + q) of them mixed. Steps that
 * differ are what leaves bubbles. */
#include "estimate/phases.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNKS_EXACT = 8 };

bool is_mixed(const struct request *request)
{
    return request->mixing.chunk_tokens > 0 || request->mixing.group_tokens > 0;
}

/* Who is in a step. */
struct balance {
    double chunk;   /* tokens of prompts */
    double parts;   /* n, the mean over the strata */
    double decodes; /* d */
    double alone;   /* q */
    double places;  /* B: sequences of one batch in flight */
};

struct mixer {
    const struct plan *plan;
    const struct request *request;
    struct estimate_scratch *scratch;
    struct decode decode;
    struct balance balance;
    struct step_cost *sum; /* of the whole batch's steps; NULL: not wanted */
    /* a request's share */
    double time, stage_time, energy, flops, bytes;
    struct step shape;
    int steps; /* kinds of them: scratch->nodes[i] has the stage's time and how many a request has */
};

static double tokens_of(const struct mixer *mixer, int stratum)
{
    return prompt_segment(mixer->plan, mixer->request, stratum, 1).new_tokens;
}

static double mean_tokens(const struct mixer *mixer)
{
    double mean = 0;
    for (int i = 0; i < mixer->request->strata; i++)
        mean += tokens_of(mixer, i) / mixer->request->strata;
    return mean;
}

static double layer_groups(const struct mixer *mixer, double tokens)
{
    const struct mixing *mixing = &mixer->request->mixing;
    double groups = fmin(fmax(ceil(tokens / mixing->group_tokens), 1), mixing->groups_most);
    return fmin(groups, mixer->plan->model->layers);
}

static double parts_of(const struct mixer *mixer, double chunk, int stratum)
{
    const struct mixing *mixing = &mixer->request->mixing;
    double tokens = tokens_of(mixer, stratum);
    if (mixing->group_tokens > 0)
        return layer_groups(mixer, tokens);
    return mixing->packed ? tokens / chunk : fmax(ceil(tokens / chunk - 1e-9), 1);
}

static double mean_parts(const struct mixer *mixer, double chunk)
{
    double mean = 0;
    for (int i = 0; i < mixer->request->strata; i++)
        mean += parts_of(mixer, chunk, i) / mixer->request->strata;
    return mean;
}

/* Prompts that pass together. */
static double prompts_together(const struct mixer *mixer, double chunk, double places)
{
    double together = mixer->request->mixing.packed ? fmax(1, chunk / mean_tokens(mixer)) : 1;
    return fmin(together, places);
}

/* What decodes leave of the budget: of a prompt's P and the D - 1 tokens after it, their shares of it, or,
 * where the places bind, all but a token for each. */
static double chunk_in_budget(const struct mixer *mixer, double places)
{
    double budget = mixer->request->mixing.chunk_tokens, prompt = mean_tokens(mixer);
    double decoded = mixer->request->output - 1, chunk = budget * prompt / (prompt + decoded);
    if (budget - chunk > places - prompts_together(mixer, chunk, places))
        chunk = fmax(budget - places + 1, 1);
    if (chunk > prompt && budget > places)
        chunk = fmin((budget - places) / (1 - fmin(1 / prompt, 0.5)), budget);
    return chunk;
}

static struct balance find_balance(const struct mixer *mixer, double places)
{
    const struct mixing *mixing = &mixer->request->mixing;
    double decoded = mixer->request->output - 1, prompts = places * mean_tokens(mixer);
    struct balance balance = {.chunk = mixing->chunk_tokens, .places = places};
    bool shares = mixing->chunk_tokens > 0 && mixing->within_budget;
    if (shares)
        balance.chunk = chunk_in_budget(mixer, places);
    if (mixing->packed)
        balance.chunk = fmin(balance.chunk, prompts); /* there are no more prompts */
    balance.parts = mean_parts(mixer, balance.chunk);
    double room = places - prompts_together(mixer, balance.chunk, places);
    if (shares)
        room = fmin(room, fmax(mixing->chunk_tokens - balance.chunk, 0));
    balance.decodes = fmin(room, decoded / balance.parts);
    balance.alone = fmax(0, (decoded - balance.parts * balance.decodes) / places);
    return balance;
}

/* Decodes at the middle of their outputs. */
static void add_decodes(struct mixer *mixer, double sequences, struct step *step)
{
    const struct phase *phase = &mixer->decode.deployment->generation.cycle[0];
    mixer->decode.sequences = sequences;
    step->count = 0;
    if (sequences > 0)
        phase_step(&mixer->decode, phase, fmax(mixer->request->output - 2, 0) / 2, step);
}

static void note_step(struct mixer *mixer, double stage_time, double weight)
{
    if (mixer->plan->parallel.pp > 1 && mixer->steps < NODES_MOST && weight > 0)
        mixer->scratch->nodes[mixer->steps++] = (struct node){.value = stage_time, .weight = weight};
}

/* A step with `part` of a prompt; a request has `weight` of it. */
static void run_part(struct mixer *mixer, const struct segment *part, double weight)
{
    struct step step;
    struct step_cost *cost = &mixer->scratch->prefill;
    add_decodes(mixer, mixer->balance.decodes, &step);
    step.segments[step.count++] = *part;
    plan_step(mixer->plan, &step, false, cost);
    mixer->time += weight * cost->time;
    mixer->stage_time += weight * cost->stage_time;
    mixer->energy += weight * cost->energy;
    mixer->flops += weight * cost->flops;
    mixer->bytes += weight * cost->bytes;
    mixer->shape = step;
    note_step(mixer, cost->stage_time, weight);
    if (mixer->sum)
        step_cost_add(mixer->plan, mixer->sum, cost, weight * mixer->request->batch);
}

static void run_layer_groups(struct mixer *mixer, struct segment prompt, double share)
{
    int layers = mixer->plan->model->layers, groups = (int)layer_groups(mixer, prompt.new_tokens);
    double sampled = prompt.sampled;
    for (int g = 0; g < groups; g++) {
        prompt.layer_first = g * layers / groups;
        prompt.layer_last = (g + 1) * layers / groups;
        prompt.sampled = g == groups - 1 ? sampled : 0;
        run_part(mixer, &prompt, share);
    }
}

/* Full chunks each on the context of those before it: all of them, or as many contexts evenly between, for
 * their costs are linear in the context. */
static void run_contexts(struct mixer *mixer, struct segment part, double chunks, double share)
{
    double first = part.context, sampled = part.sampled, at = fmin(ceil(chunks - 1e-9), CHUNKS_EXACT);
    for (int i = 0; i < at; i++) {
        part.context = first + ((i + 0.5) * chunks / at - 0.5) * part.new_tokens;
        part.sampled = i == at - 1 ? fmin(sampled * at / chunks, part.new_tokens) : 0;
        run_part(mixer, &part, share * chunks / at);
    }
}

static void run_chunks(struct mixer *mixer, struct segment prompt, double share)
{
    double chunk = mixer->balance.chunk, tokens = prompt.new_tokens;
    if (tokens <= chunk) {
        bool packed = mixer->request->mixing.packed;
        prompt.sequences = packed ? chunk / tokens : 1;
        run_part(mixer, &prompt, packed ? share * tokens / chunk : share);
        return;
    }
    double chunks = tokens / chunk, rest = tokens - floor(chunks + 1e-9) * chunk, sampled = prompt.sampled;
    prompt.new_tokens = chunk;
    if (!mixer->request->mixing.packed && rest > 1e-9 * chunk) {
        prompt.new_tokens = rest;
        prompt.sampled = 0;
        run_part(mixer, &prompt, share);
        prompt.context += rest;
        prompt.new_tokens = chunk;
        prompt.sampled = sampled;
        chunks = floor(chunks + 1e-9);
    }
    run_contexts(mixer, prompt, chunks, share);
}

static void run_prompts(struct mixer *mixer)
{
    const struct request *request = mixer->request;
    for (int i = 0; i < request->strata; i++) {
        struct segment prompt = prompt_segment(mixer->plan, request, i, 1);
        if (request->mixing.group_tokens > 0)
            run_layer_groups(mixer, prompt, 1.0 / request->strata);
        else
            run_chunks(mixer, prompt, 1.0 / request->strata);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct node *first = a, *second = b;
    return (first->value > second->value) - (first->value < second->value);
}

/* The mean of the longest of `batches` steps, drawn from all that a request has: sum t_i (F_i^m - F_(i-1)^m).
 */
static double mean_slowest(struct mixer *mixer, double steps, double batches)
{
    struct node *nodes = mixer->scratch->nodes;
    double below = 0, before = 0, mean = 0;
    qsort(nodes, (size_t)mixer->steps, sizeof *nodes, by_time);
    for (int i = 0; i < mixer->steps; i++) {
        below += nodes[i].weight / steps;
        double all_below = pow(fmin(below, 1), batches);
        mean += nodes[i].value * (all_below - before);
        before = all_below;
    }
    return mean;
}

/* A round of the batches in flight over a request's n + q steps; without a pipeline their times just add. */
static double pace(struct mixer *mixer, const struct step_cost *alone)
{
    const struct balance *balance = &mixer->balance;
    double batches = mixer->decode.micro_batches, steps = balance->parts + balance->alone;
    double through = mixer->time + balance->alone * alone->time;
    if (mixer->plan->parallel.pp == 1)
        return through;
    note_step(mixer, alone->stage_time, balance->alone);
    return fmax(mean_slowest(mixer, steps, batches) * steps, through / batches);
}

static struct spent spent_on(const struct mixer *mixer, double time, double energy, double flops,
                             double bytes, double steps)
{
    double ranks = ranks_per_stage(mixer->plan);
    return (struct spent){time, energy * ranks, flops * ranks, bytes * ranks, steps};
}

static void report(struct breakdown *breakdown, const struct mixer *mixer, const struct mixed *mixed,
                   const struct step_cost *alone)
{
    struct step shape;
    breakdown_take(breakdown, "prefill", mixer->plan, mixer->sum, &mixed->prefill, 1, &mixer->shape);
    if (!mixed->decodes)
        return;
    struct step_cost *sum = breakdown_sum(mixer->scratch, breakdown, mixer->plan);
    struct decode decode = mixer->decode;
    decode.sequences = mixer->balance.places;
    phase_step(&decode, &decode.deployment->generation.cycle[0], fmax(mixer->request->output - 2, 0) / 2,
               &shape);
    step_cost_add(mixer->plan, sum, alone, mixed->decode.steps);
    breakdown_take(breakdown, "decode", mixer->plan, sum, &mixed->decode, 1, &shape);
}

struct mixed mixed_run(const struct deployment *deployment, const struct request *request,
                       struct estimate_scratch *scratch, struct breakdown *breakdown)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    struct step_cost *alone = &scratch->phases[0];
    struct mixer mixer = {.plan = plan,
                          .request = request,
                          .scratch = scratch,
                          .decode = {.deployment = deployment, .request = request, .scratch = scratch},
                          .sum = breakdown ? breakdown_sum(scratch, breakdown, plan) : NULL};
    int micro = plan->parallel.micro_batches > 0 ? plan->parallel.micro_batches : plan->parallel.pp;
    double batch = request->batch;
    mixer.decode.micro_batches = plan->parallel.pp > 1 ? fmin(micro, batch) : 1;
    mixer.balance = find_balance(&mixer, batch / mixer.decode.micro_batches);
    const struct balance *balance = &mixer.balance;
    run_prompts(&mixer);

    struct mixed mixed = {.decodes = balance->alone > 0};
    struct step step;
    add_decodes(&mixer, balance->places, &step);
    plan_step(plan, &step, false, alone);
    double both = mixer.time + balance->alone * alone->time, share = both > 0 ? mixer.time / both : 0;
    double whole = batch * pace(&mixer, alone), steps = batch * balance->alone;
    mixed.prefill = spent_on(&mixer, whole * share, batch * mixer.energy, batch * mixer.flops,
                             batch * mixer.bytes, batch * balance->parts);
    mixed.decode = spent_on(&mixer, whole * (1 - share), steps * alone->energy, steps * alone->flops,
                            steps * alone->bytes, steps);
    double beside = balance->parts * balance->decodes, by_themselves = balance->alone * balance->places;
    double decoding = beside / balance->parts * mixer.time + by_themselves * alone->time;
    mixed.waiting =
        plan->parallel.pp > 1 ? whole - batch * (mixer.stage_time + balance->alone * alone->stage_time) : 0;
    mixed.decode_time = both > 0 ? whole / batch / both * decoding : 0;
    if (breakdown)
        report(breakdown, &mixer, &mixed, alone);
    return mixed;
}
