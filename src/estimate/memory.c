/* The memory plan: the sum of the plan's buffers, on the pipeline stage that needs most. */
#include "estimate/phases.h"

#include <math.h>

double plan_prefill_tokens(const struct plan *plan, const struct request *request)
{
    double mean = 0;
    for (int i = 0; i < request->strata; i++)
        mean += prompt_tokens(plan, request, i) / request->strata;
    if (plan->model->generation == GENERATION_MASKED_DIFFUSION)
        return request->batch * (mean + request->output); /* each step runs the whole sequence */
    if (plan->model->encoder_layers > 0)
        return fmax(encoded_together(plan, request) * mean, request->batch);
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

/* KV of one layer at the end of the request. Of a reused prefix the full pages are held once: the page it
 * ends in goes on differently. */
static double kv_bytes(const struct plan *plan, const struct buffer *buffer, const struct request *request)
{
    bool shares = request->prefix_reused && buffer->window == 0 && !buffer->per_sequence;
    double page = fmax(1, buffer->page_tokens),
           prefix = shares ? floor(request->shared_prefix / page) * page : 0;
    double mean = 0;
    for (int i = 0; i < request->strata; i++)
        mean += buffer_kv_bytes(buffer, 1, held_tokens(plan, buffer, request, i) - prefix) / request->strata;
    double here = ceil(request->batch * buffer->sequence_share - 1e-9); /* the fullest attention group's */
    return here * mean + (prefix > 0 ? buffer_kv_bytes(buffer, 1, prefix) : 0);
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
            memory->weights += layers * buffer_layer_bytes(buffer);
            break;
        case BUFFER_KV:
            memory->kv += layers * kv_bytes(plan, buffer, request);
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
    memory->total = memory->weights + memory->kv + memory->activations + memory->reserved;
    memory->worst_stage = stage;
}

void plan_memory(const struct plan *plan, const struct request *request, struct memory_plan *memory)
{
    struct memory_plan worst = {.total = -1};
    for (int stage = 0; stage < plan->parallel.pp; stage++) {
        struct memory_plan here = {0};
        add_stage(plan, request, stage, &here);
        if (here.total > worst.total)
            worst = here;
    }
    const struct memory_tier *tier = device_memory(plan->target.device);
    double share = plan->software->memory_utilization > 0 ? plan->software->memory_utilization : 1;
    worst.capacity = tier_usable(tier) * share;
    worst.fits = worst.total <= worst.capacity;
    *memory = worst;
}

void deployment_memory(const struct deployment *deployment, const struct request *request,
                       struct memory_plan *memory)
{
    const struct pool *pool = &deployment->pools[0];
    plan_memory(pool->plans[0], request, memory);
    for (int i = 1; i < pool->plan_count; i++) {
        struct memory_plan draft;
        plan_memory(pool->plans[i], request, &draft);
        memory->weights += draft.weights;
        memory->kv += draft.kv;
        memory->activations = fmax(memory->activations, draft.activations); /* they run in turn */
    }
    memory->total = memory->weights + memory->kv + memory->activations + memory->reserved;
    memory->fits = memory->total <= memory->capacity;
}
