#include "api/handle.h"

#include <math.h>
#include <stdlib.h>

static void link_plan(rafter *handle, rafter_plan *plan)
{
    plan->next = handle->plans;
    if (plan->next != NULL)
        plan->next->previous = plan;
    handle->plans = plan;
}

static void unlink_plan(rafter_plan *plan)
{
    if (plan->next != NULL)
        plan->next->previous = plan->previous;
    if (plan->previous != NULL)
        plan->previous->next = plan->next;
    else if (plan->handle->plans == plan)
        plan->handle->plans = plan->next;
}

/* The shortest context among the deployment's models (a draft may have a shorter one). */
static double longest_sequence(const struct deployment *deployment)
{
    double longest = 0.0;
    for (int p = 0; p < deployment->pool_count; p++)
        for (int i = 0; i < deployment->pools[p].plan_count; i++) {
            double most = deployment->pools[p].plans[i]->model->max_context;
            if (most > 0.0 && (longest == 0.0 || most < longest))
                longest = most;
        }
    return longest;
}

static rafter_plan *plan_open(rafter *handle)
{
    rafter_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return NULL;
    plan->handle = handle;
    plan->arena = handle->spare != NULL ? handle->spare : arena_new(0);
    handle->spare = NULL;
    link_plan(handle, plan);
    return plan;
}

rafter_plan *rafter_plan_new(rafter *handle, const rafter_question *question)
{
    if (handle == NULL)
        return NULL;
    handle_begin(handle);
    rafter_plan *plan = plan_open(handle);
    bool good = plan != NULL && plan->arena != NULL;
    if (good && !handle_resolve(handle, plan->arena, question, &plan->resolved)) {
        rafter_plan_free(plan);
        return NULL;
    }
    if (good)
        plan->scratch = estimate_scratch_new(plan->arena, &plan->resolved.deployment);
    if (!good || plan->scratch == NULL) {
        text_add(&handle->errors, "error: out of memory");
        rafter_plan_free(plan);
        return NULL;
    }
    plan->longest = longest_sequence(&plan->resolved.deployment);
    return plan;
}

void rafter_plan_free(rafter_plan *plan)
{
    if (plan == NULL)
        return;
    rafter *handle = plan->handle;
    unlink_plan(plan);
    if (handle->spare == NULL && plan->arena != NULL) {
        arena_reset(plan->arena);
        handle->spare = plan->arena;
    } else {
        arena_free(plan->arena);
    }
    free(plan);
}

/* What drafts beside it never has an encoder, nor has a model with drafts. */
static const struct model *model_of(const rafter_plan *plan)
{
    return plan->resolved.deployment.pools[0].plans[0]->model;
}

static bool in_range(double value, double most)
{
    return value >= 1.0 && value <= most; /* false for NaN */
}

static rafter_status refuse(rafter_plan *plan, double batch, double prompt, double output)
{
    struct text *errors = &plan->handle->errors;
    text_free(errors);
    *errors = (struct text){0};
    if (!in_range(batch, 1e7))
        text_printf(errors, "error: batch: found %g, expected 1 to 1e7 sequences", batch);
    else if (!in_range(prompt, 1e9) || !in_range(output, 1e9))
        text_printf(errors, "error: prompt %g, output %g: expected 1 to 1e9 tokens each", prompt, output);
    else
        text_printf(errors, "error: prompt %g %s output %g tokens exceed the context of %g", prompt,
                    model_of(plan)->encoder_layers > 0 ? "or" : "+", output, plan->longest);
    return RAFTER_ERROR;
}

rafter_status rafter_plan_estimate(rafter_plan *plan, double batch, double prompt, double output,
                                   rafter_answer *answer)
{
    if (plan == NULL || answer == NULL)
        return RAFTER_ERROR;
    bool too_long =
        plan->longest > 0.0 && model_context_needed(model_of(plan), prompt, output) > plan->longest;
    if (!in_range(batch, 1e7) || !in_range(prompt, 1e9) || !in_range(output, 1e9) || too_long)
        return refuse(plan, batch, prompt, output);
    struct request request = plan->resolved.request;
    struct answer found;
    request.batch = batch;
    request.prompt[0] = prompt;
    request.prompt_max = prompt;
    request.strata = 1;
    request.output = output;
    request.shared_prefix = fmin(request.shared_prefix, prompt);
    estimate(&plan->resolved.deployment, &request, &plan->resolved.workload.slo, plan->scratch, &found, NULL);
    return answer_fill(answer, &found);
}
