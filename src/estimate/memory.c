/* The memory plan: the sum of the plan's buffers, on the pipeline stage that needs most. */
#include "estimate/phases.h"

#include <math.h>
#include <string.h>

double plan_prefill_tokens(const struct plan *plan, const struct request *request)
{
    double mean = 0;
    for (int i = 0; i < request->strata; i++)
        mean += prompt_tokens(plan, request, i) / request->strata;
    if (plan->model->generation == GENERATION_MASKED_DIFFUSION)
        return request->batch * (mean + request->output); /* each step runs the whole sequence */
    if (plan->model->encoder_layers > 0)
        return fmax(encoded_together(plan, request) * mean, request->batch);
    if (request->packed > 0)
        return packed_rows(request) * request->prompt_max;
    double all = request->batch * mean,
           chunk = plan->software->prefill_chunk_tokens * (double)plan->parallel.dp;
    return chunk > 0 ? fmin(all, fmax(chunk, request->batch))
                     : all; /* decode steps have a token a sequence */
}

/* Positions whose logits are held at once. */
static double logit_positions(const struct plan *plan, const struct request *request)
{
    if (plan->model->generation == GENERATION_MASKED_DIFFUSION)
        return request->batch * fmax(1, plan->model->diffusion_block_tokens);
    bool all = plan->software->all_logits && plan->model->encoder_layers == 0; /* a decoder starts on one */
    return all ? fmax(request->batch, plan_prefill_tokens(plan, request)) : request->batch;
}

int plan_buffer_count(const struct plan *plan, const struct buffer *buffer, int stage)
{
    bool first = stage == 0, last = stage == plan->parallel.pp - 1;
    if (buffer->block != OUTSIDE_LAYERS)
        return plan_stage_layers(plan, stage, buffer->block);
    if (buffer->on_first_stage || buffer->on_last_stage)
        return (buffer->on_first_stage && first) || (buffer->on_last_stage && last);
    return last;
}

/* Tokens of a sequence in the buffer at the end of the request: its prompt and all its output but the last
 * token, which is never fed back; or the encoder's tokens, as from the start. */
static double held_tokens(const struct plan *plan, const struct buffer *buffer, const struct request *request,
                          int stratum)
{
    if (buffer->source)
        return prompt_tokens(plan, request, stratum);
    return start_tokens(plan, request, stratum) + request->output - 1;
}

/* Of a prompt's tokens those that the mean layer of the block has dropped and nobody brings back. */
static double dropped_tokens(const struct plan *plan, int block, double prompt)
{
    double sum = 0, layers = 0;
    if (!plan->layer_share || block == OUTSIDE_LAYERS)
        return 0;
    for (int i = 0; i < plan->model->layers; i++)
        if (plan->model->pattern[i] == block) {
            sum += 1 - fmax(plan->layer_share[i], plan->revived_share);
            layers++;
        }
    return layers > 0 ? sum / layers * prompt : 0;
}

/* KV of one layer at the end of the request. Of a reused prefix the full pages are held once: the page it
 * ends in goes on differently. */
static double kv_bytes(const struct plan *plan, const struct buffer *buffer, const struct request *request)
{
    bool shares = request->prefix_reused && buffer->window == 0 && !buffer->per_sequence;
    double page = fmax(1, buffer->page_tokens),
           prefix = shares ? floor(request->shared_prefix / page) * page : 0;
    double mean = 0;
    for (int i = 0; i < request->strata; i++) {
        double dropped = dropped_tokens(plan, buffer->block, droppable_tokens(plan, request, i));
        double held = fmax(held_tokens(plan, buffer, request, i) - prefix - dropped, 0);
        mean += buffer_kv_bytes(buffer, 1, held) / request->strata;
    }
    double here = ceil(request->batch * buffer->sequence_share - 1e-9); /* the fullest attention group's */
    double prefixes = fmin(fmax(request->prefix_groups, 1), here);
    return here * mean + (prefix > 0 ? prefixes * buffer_kv_bytes(buffer, 1, prefix) : 0);
}

/* Scores that an eager framework holds at once, of one layer: as they came, in fp32, and softmax's result. */
static double held_scores(const struct plan *plan, const struct request *request)
{
    enum { WIDE = 4 };
    double heads = 0, each = 0, chunk = plan->software->prefill_chunk_tokens;
    for (int i = 0; i < plan->graph.op_count && plan->software->eager_softmax; i++) {
        const struct op *op = &plan->graph.ops[i];
        if (op->kind != OP_ATTENTION || op->attention.part != PART_SOFTMAX)
            continue;
        heads = fmax(heads, op->attention.heads * op->rows_factor);
        each = element_bytes_each(&op->attention.q_type) + 2 * WIDE;
    }
    double prompt = request->prompt_max, rows = plan_prefill_tokens(plan, request);
    return heads * each * (chunk > 0 ? fmin(rows, chunk) : rows) * prompt;
}

static struct memory_elsewhere *place_of(const struct plan *plan, const struct buffer *buffer,
                                         struct memory_plan *memory)
{
    const struct device *device = plan->system->members[buffer->away_device].device;
    for (int i = 0; i < memory->elsewhere_count; i++)
        if (memory->elsewhere[i].device == buffer->away_device &&
            memory->elsewhere[i].tier == buffer->away_tier)
            return &memory->elsewhere[i];
    if (memory->elsewhere_count == PLACES_MOST)
        return &memory->elsewhere[PLACES_MOST - 1];
    const struct memory_tier *tier =
        buffer->away_tier >= 0 ? &device->tiers[buffer->away_tier] : device_memory(device);
    struct memory_elsewhere *place = &memory->elsewhere[memory->elsewhere_count++];
    *place = (struct memory_elsewhere){
        .device = buffer->away_device, .tier = buffer->away_tier, .capacity = tier_usable(tier)};
    return place;
}

/* Of the buffer's bytes those that stay here; the others are added to the place they are in: all ranks of all
 * stages share another member's devices, a rank has a further tier of its own. */
static double keep_here(const struct plan *plan, const struct buffer *buffer, double bytes,
                        struct memory_plan *memory)
{
    if (!(buffer->away > 0))
        return bytes;
    int count = plan->system->members[buffer->away_device].count;
    double ranks = buffer->away_device == 0 ? 1 : ranks_per_stage(plan) / (count > 0 ? count : 1);
    place_of(plan, buffer, memory)->bytes += buffer->away * bytes * ranks;
    return (1 - buffer->away) * bytes;
}

static void add_stage(const struct plan *plan, const struct request *request, int stage,
                      struct memory_plan *memory)
{
    double step_tokens = plan_prefill_tokens(plan, request);
    for (int i = 0; i < plan->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan->graph.buffers[i];
        int layers = plan_buffer_count(plan, buffer, stage);
        switch (buffer->class) {
        case BUFFER_WEIGHTS:
            memory->weights += keep_here(plan, buffer, layers * buffer_layer_bytes(buffer), memory);
            break;
        case BUFFER_KV:
            memory->kv += keep_here(plan, buffer, layers * kv_bytes(plan, buffer, request), memory);
            break;
        case BUFFER_ACTIVATIONS:
            if (buffer->per_sequence)
                memory->activations += layers * logit_positions(plan, request) * buffer_token_bytes(buffer);
            else
                memory->activations += step_tokens * buffer_token_bytes(buffer);
            break;
        case BUFFER_RESERVED:
            memory->reserved += buffer->bytes;
            break;
        case BUFFER_CLASS_COUNT:
            break;
        }
    }
    memory->activations += held_scores(plan, request);
    memory->total = memory->weights + memory->kv + memory->activations + memory->reserved;
    memory->worst_stage = stage;
}

/* All stages' bytes in another member's memory; the fullest stage's in a tier that each rank has. */
static void add_elsewhere(struct memory_plan *sum, const struct memory_plan *stage)
{
    for (int i = 0; i < stage->elsewhere_count; i++) {
        const struct memory_elsewhere *more = &stage->elsewhere[i];
        int at = 0;
        while (at < sum->elsewhere_count &&
               (sum->elsewhere[at].device != more->device || sum->elsewhere[at].tier != more->tier))
            at++;
        if (at == PLACES_MOST)
            continue;
        struct memory_elsewhere *place = &sum->elsewhere[at];
        if (at == sum->elsewhere_count) {
            *place = *more;
            sum->elsewhere_count++;
        } else {
            place->bytes = more->device == 0 ? fmax(place->bytes, more->bytes) : place->bytes + more->bytes;
        }
    }
}

static bool fits_elsewhere(const struct memory_plan *memory)
{
    for (int i = 0; i < memory->elsewhere_count; i++)
        if (memory->elsewhere[i].bytes > memory->elsewhere[i].capacity)
            return false;
    return true;
}

void plan_memory(const struct plan *plan, const struct request *request, struct memory_plan *memory)
{
    struct memory_plan worst = {.total = -1}, elsewhere = {0};
    for (int stage = 0; stage < plan->parallel.pp; stage++) {
        struct memory_plan here = {0};
        add_stage(plan, request, stage, &here);
        add_elsewhere(&elsewhere, &here);
        if (here.total > worst.total)
            worst = here;
    }
    memcpy(worst.elsewhere, elsewhere.elsewhere, sizeof worst.elsewhere);
    worst.elsewhere_count = elsewhere.elsewhere_count;
    const struct memory_tier *tier = device_memory(plan->target.device);
    double share = plan->software->memory_utilization > 0 ? plan->software->memory_utilization : 1;
    worst.capacity = tier_usable(tier) * share;
    worst.fits = worst.total <= worst.capacity && fits_elsewhere(&worst);
    *memory = worst;
}

bool pass_is_vision_tower(const struct deployment *deployment, const struct request *request, int index)
{
    for (int i = 0; i < request->pass_count; i++)
        if (deployment->pass_plans[i] == index)
            return request->passes[i].model == NULL;
    return false;
}

/* Bytes of the embedding table and the output head, which a draft cut from the model reads where they are. */
static double shared_ends(const struct plan *plan)
{
    double sum = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct op *op = &plan->graph.ops[i];
        bool end = strcmp(op->name, OP_NAME_EMBEDDING) == 0 ||
                   (strcmp(op->name, OP_NAME_LM_HEAD) == 0 && !plan->model->tied_embeddings);
        if (end && op->weights != BUFFER_NONE)
            sum += buffer_layer_bytes(&plan->graph.buffers[op->weights]);
    }
    return sum;
}

static bool elsewhere(const struct plan *draft, const struct plan *model)
{
    return strcmp(draft->target.device->id, model->target.device->id) != 0;
}

void deployment_memory(const struct deployment *deployment, const struct request *request,
                       struct memory_plan *memory)
{
    const struct pool *pool = &deployment->pools[0];
    const struct drafting *drafting = &deployment->generation.drafting;
    plan_memory(decode_plan(deployment), request, memory);
    if (deployment->split.given) { /* prompts come one by one */
        struct request alone = *request;
        struct memory_plan prompts;
        alone.batch = 1;
        plan_memory(pool->plans[0], &alone, &prompts);
        memory->fits = memory->fits && prompts.fits;
        return;
    }
    for (int i = 1; i < pool->plan_count; i++) {
        struct memory_plan draft;
        if (elsewhere(pool->plans[i], pool->plans[0]))
            continue;
        plan_memory(pool->plans[i], request, &draft);
        if (pool->plans[i]->passes) {
            bool own = pass_is_vision_tower(deployment, request, i); /* counted with the model's weights */
            memory->weights += own ? 0 : draft.weights;
            continue;
        }
        memory->weights += drafting->shares_weights
                               ? 0
                               : draft.weights - (drafting->shares_ends ? shared_ends(pool->plans[i]) : 0);
        memory->kv += drafting->shares_cache ? 0 : draft.kv;
        memory->activations = fmax(memory->activations, draft.activations); /* they run in turn */
    }
    memory->total = memory->weights + memory->kv + memory->activations + memory->reserved;
    memory->fits = memory->total <= memory->capacity && fits_elsewhere(memory);
}
