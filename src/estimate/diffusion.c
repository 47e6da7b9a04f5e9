/* Masked diffusion (LLaDA, arXiv:2502.09992): each step runs the whole sequence, nothing is cached. */
#include "estimate/phases.h"

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
