#include "estimate/plan.h"

#include <math.h>
#include <string.h>

/* Spread of log(measured / predicted) where nothing was calibrated: plain rooflines err by 46-55% on average
 * on 45,000 measured GEMMs (docs/methodology.md, "Intervals"), which is a log spread of about one half. */
static const double uncalibrated_sigma = 0.5;

static bool changes_device(const struct stack *stack)
{
    for (int i = 0; i < stack->count; i++)
        if (stack->entries[i].mechanism->on_device)
            return true;
    return false;
}

/* A copy of the system whose computing device is a copy too, for mechanisms to change. */
static struct system *system_copy(struct arena *arena, const struct system *system, struct device **device)
{
    struct system *copy = ARENA_NEW(arena, struct system);
    struct system_member *members = ARENA_ARRAY(arena, struct system_member, system->member_count);
    *device = ARENA_NEW(arena, struct device);
    if (!copy || !members || !*device)
        return NULL;
    *copy = *system;
    memcpy(members, system->members, system->member_count * sizeof *members);
    **device = *system->members[0].device;
    members[0].device = *device;
    copy->members = members;
    return copy;
}

static bool run_device_hooks(struct plan *plan, struct arena *arena, struct rewrite *rewrite,
                             const struct plan_request *request)
{
    plan->system = request->system;
    if (!changes_device(request->stack))
        return true;
    struct system *copy = system_copy(arena, request->system, &rewrite->device);
    if (!copy)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    plan->system = copy;
    return stack_run(request->stack, HOOK_DEVICE, rewrite);
}

static bool run_model_hooks(struct plan *plan, struct arena *arena, struct rewrite *rewrite,
                            const struct plan_request *request, struct graph_types *types)
{
    struct model *model = ARENA_NEW(arena, struct model);
    if (!model)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    *model = *request->model;
    *types = graph_default_types(model);
    rewrite->model = model;
    rewrite->types = types;
    plan->model = model;
    return stack_run(request->stack, HOOK_MODEL, rewrite);
}

/* Layers dealt to stages as evenly as they go, the earlier stages taking the remainder. */
static bool split_stages(struct plan *plan, struct arena *arena)
{
    int stages = plan->parallel.pp, blocks = (int)plan->model->block_count, layers = plan->model->layers;
    plan->stage_layers = ARENA_ARRAY(arena, int, (size_t)stages *blocks);
    if (!plan->stage_layers)
        return false;
    int first = 0;
    for (int stage = 0; stage < stages; stage++) {
        int last = first + layers / stages + (stage < layers % stages);
        for (int i = first; i < last; i++)
            plan->stage_layers[stage * blocks + plan->model->pattern[i]]++;
        first = last;
    }
    return true;
}

/* What was fitted on another device is trusted here no more than the spread among devices allows. */
static struct op_trust trust_in(const struct plan *plan, int op, enum regime regime)
{
    struct op_footing footing = cost_footing(plan->prepared, op, regime);
    const struct calibration *block = footing.calibration;
    struct op_trust trust = {.family = footing.family,
                             .provenance = block ? (enum provenance)block->provenance : PROVENANCE_NONE,
                             .sigma = uncalibrated_sigma,
                             .residual = uncalibrated_sigma};
    if (plan->target.ideal)
        trust.sigma = trust.residual = 0;
    else if (block && block->residual > 0) {
        trust.sigma = calibration_sigma(block);
        trust.residual = block->residual;
    }
    if (trust.provenance == PROVENANCE_INHERITED) {
        double spread = target_spread(&plan->target, footing.family, footing.format, footing.operand);
        trust.sigma = fmax(trust.sigma, spread);
        trust.residual = fmax(trust.residual, spread);
    }
    return trust;
}

static bool tabulate_ops(struct plan *plan, struct arena *arena)
{
    size_t count = (size_t)plan->graph.op_count;
    plan->follows_context = ARENA_ARRAY(arena, bool, count);
    plan->prefill_trust = ARENA_ARRAY(arena, struct op_trust, count);
    plan->decode_trust = ARENA_ARRAY(arena, struct op_trust, count);
    if (!plan->follows_context || !plan->prefill_trust || !plan->decode_trust)
        return false;
    for (int i = 0; i < (int)count; i++) {
        plan->follows_context[i] = cost_follows_context(plan->prepared, i);
        plan->prefill_trust[i] = trust_in(plan, i, REGIME_PREFILL);
        plan->decode_trust[i] = trust_in(plan, i, REGIME_DECODE);
    }
    return true;
}

int plan_stage_layers(const struct plan *plan, int stage, int block)
{
    return plan->stage_layers[stage * (int)plan->model->block_count + block];
}

bool plan_resolve(struct plan *plan, struct arena *arena, struct diag *diag,
                  const struct plan_request *request)
{
    static const struct stack empty;
    struct plan_request asked = *request;
    asked.stack = request->stack ? request->stack : &empty;
    struct graph_types types;
    struct rewrite rewrite = {.role = request->role, .arena = arena, .diag = diag};
    *plan = (struct plan){.software = request->software,
                          .parallel = request->parallel,
                          .drafts = request->role && strcmp(request->role, ROLE_DRAFT) == 0};

    if (!run_device_hooks(plan, arena, &rewrite, &asked) ||
        !run_model_hooks(plan, arena, &rewrite, &asked, &types) ||
        !graph_build(&plan->graph, arena, diag, plan->model, plan->software, &plan->parallel, &types))
        return false;
    rewrite.graph = &plan->graph;
    if (!stack_run(asked.stack, HOOK_OPS, &rewrite) || !stack_run(asked.stack, HOOK_PLACEMENT, &rewrite) ||
        !stack_run(asked.stack, HOOK_SCHEDULE, &rewrite) ||
        !target_resolve(&plan->target, diag, plan->system, plan->software, &types))
        return false;
    plan->target.residency = !request->no_residency;
    if (request->scatter) {
        plan->target.scattered = true;
        memcpy(plan->target.scatter, request->scatter, sizeof plan->target.scatter);
    }
    plan->ranks = plan->parallel.tp * plan->parallel.pp * plan->parallel.dp;
    plan->prepared = cost_prepare(arena, diag, &plan->graph, &plan->target);
    if (!plan->prepared)
        return false;
    if (!split_stages(plan, arena) || !tabulate_ops(plan, arena))
        return diag_error(diag, NOWHERE, "out of memory");
    return true;
}
