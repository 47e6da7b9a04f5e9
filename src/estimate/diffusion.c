/* Masked diffusion (LLaDA, arXiv:2502.09992): each step runs the whole sequence and nothing is cached; or the
 * first step of a block does and the others read its keys and values as an approximation (Fast-dLLM,
 * arXiv:2505.22618). */
#include "estimate/phases.h"

#include <math.h>
#include <string.h>

struct spent diffusion_run(const struct deployment *deployment, const struct request *request,
                           struct step_cost *cost, double blocks, struct step *shape)
{
    const struct generation *generation = &deployment->generation;
    const struct plan *plan = deployment->pools[0].plans[0];
    struct spent spent = {0};
    struct step step = {.count = request->strata};
    for (int i = 0; i < request->strata; i++)
        step.segments[i] = (struct segment){.sequences = request->batch / request->strata,
                                            .new_tokens = prompt_tokens(plan, request, i) + request->output,
                                            .sampled = generation->block_tokens,
                                            .mask = MASK_FULL};
    plan_step(plan, &step, false, cost);
    spend(&spent, plan, cost, blocks * generation->cycle[0].steps);
    *shape = step;
    return spent;
}

/* A step on the last `new` of all tokens, the others cached. */
static void cached_step(const struct deployment *deployment, const struct request *request, double new_output,
                        double new_prompt, struct step *step)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    *step = (struct step){.count = request->strata};
    for (int i = 0; i < request->strata; i++) {
        double prompt = prompt_tokens(plan, request, i), new = new_output + new_prompt *prompt;
        step->segments[i] = (struct segment){.sequences = request->batch / request->strata,
                                             .new_tokens = new,
                                             .context = prompt + request->output - new,
                                             .sampled = deployment->generation.block_tokens,
                                             .mask = MASK_BLOCK};
    }
}

static void add_steps(const struct plan *plan, const struct step *step, double count, struct step_cost *cost,
                      struct step_cost *sum, struct spent *spent)
{
    if (count <= 0)
        return;
    plan_step(plan, step, false, cost);
    spend(spent, plan, cost, count);
    step_cost_add(plan, sum, cost, count);
}

struct spent diffusion_cached_run(const struct deployment *deployment, const struct request *request,
                                  struct step_cost *cost, double first, double blocks, struct step_cost *sum,
                                  struct step *shape)
{
    const struct generation *generation = &deployment->generation;
    const struct plan *plan = deployment->pools[0].plans[0];
    struct spent spent = {0};
    struct step_op *ops = sum->ops;
    memset(ops, 0, (size_t)plan->graph.op_count * sizeof *ops);
    *sum = (struct step_cost){.ops = ops};
    cached_step(deployment, request, request->output, 1, shape);
    add_steps(plan, shape, blocks, cost, sum, &spent);
    /* what follows the prefix shrinks by a block from one block to the next: the mean of them stands for all
     */
    double block = generation->block_tokens, rest = block;
    if (generation->block_cache == BLOCK_CACHE_PREFIX)
        rest = fmax(block, request->output - (first + (blocks - 1) / 2) * block);
    cached_step(deployment, request, fmin(rest, request->output), 0, shape);
    add_steps(plan, shape, blocks * (generation->cycle[0].steps - 1), cost, sum, &spent);
    return spent;
}
