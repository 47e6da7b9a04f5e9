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

static bool run_software_hooks(struct plan *plan, struct arena *arena, struct rewrite *rewrite,
                               const struct plan_request *request)
{
    struct software *copy = ARENA_NEW(arena, struct software);
    if (!copy)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    *copy = *request->software;
    rewrite->software = copy;
    plan->software = copy;
    return stack_run(request->stack, HOOK_SOFTWARE, rewrite);
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

/* The share of the tokens that may be dropped which is left at `depth` of the layers. */
static double share_at(const struct token_drops *drops, double depth)
{
    double share = 1, from = 0;
    for (int i = 0; i < drops->count; i++) {
        if (depth < drops->depth[i]) {
            double way = (depth - from) / (drops->depth[i] - from);
            return drops->gradual && i > 0 ? share + (drops->share[i] - share) * way : share;
        }
        share = drops->share[i];
        from = drops->depth[i];
    }
    return share;
}

static bool share_layers(struct plan *plan, struct arena *arena, const struct request *request)
{
    int layers = plan->model->layers;
    if (!request || request->drops.count == 0)
        return true;
    plan->layer_share = ARENA_ARRAY(arena, double, (size_t)layers);
    if (!plan->layer_share)
        return false;
    for (int i = 0; i < layers; i++)
        plan->layer_share[i] = share_at(&request->drops, (i + 1e-6) / layers);
    plan->revived_share = request->drops.revived;
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
        double spread = target_spread(&plan->targets[plan->graph.ops[op].device], footing.family,
                                      footing.format, footing.operand);
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

/* A target for each member that an operator runs on, or moves to; the others stay empty. */
static bool resolve_targets(struct plan *plan, struct arena *arena, struct diag *diag,
                            const struct plan_request *request, const struct graph_types *types)
{
    bool used[MEMBERS_MOST] = {true};
    for (int i = 0; i < plan->graph.op_count; i++)
        used[plan->graph.ops[i].device] = true;
    plan->targets = ARENA_ARRAY(arena, struct target, plan->system->member_count);
    if (!plan->targets)
        return diag_error(diag, NOWHERE, "out of memory");
    for (int i = 0; i < (int)plan->system->member_count; i++) {
        struct target *target = &plan->targets[i];
        if (!used[i])
            continue;
        if (!target_resolve_member(target, diag, plan->system, i, plan->software, types))
            return false;
        target->residency = !request->no_residency;
        if (request->scatter) {
            target->scattered = true;
            memcpy(target->scatter, request->scatter, sizeof target->scatter);
        }
    }
    plan->target = plan->targets[0];
    return true;
}

bool plan_resolve(struct plan *plan, struct arena *arena, struct diag *diag,
                  const struct plan_request *request)
{
    static const struct stack empty;
    struct plan_request asked = *request;
    asked.stack = request->stack ? request->stack : &empty;
    struct graph_types types;
    struct rewrite rewrite = {.role = request->role,
                              .arena = arena,
                              .diag = diag,
                              .system = request->system,
                              .request = request->request};
    *plan = (struct plan){.software = request->software,
                          .parallel = request->parallel,
                          .passes = request->role && strcmp(request->role, ROLE_PASS) == 0,
                          .drafts = request->role && strcmp(request->role, ROLE_DRAFT) == 0};

    rewrite.system = request->system;
    if (!run_device_hooks(plan, arena, &rewrite, &asked) ||
        !run_software_hooks(plan, arena, &rewrite, &asked) ||
        !run_model_hooks(plan, arena, &rewrite, &asked, &types) ||
        !graph_build(&plan->graph, arena, diag, plan->model, plan->software, &plan->parallel, &types))
        return false;
    rewrite.graph = &plan->graph;
    rewrite.system = plan->system;
    if (!stack_run(asked.stack, HOOK_OPS, &rewrite) || !stack_run(asked.stack, HOOK_PLACEMENT, &rewrite) ||
        !stack_run(asked.stack, HOOK_SCHEDULE, &rewrite) ||
        !resolve_targets(plan, arena, diag, request, &types))
        return false;
    plan->ranks = plan->parallel.tp * plan->parallel.pp * plan->parallel.dp;
    plan->prepared = cost_prepare(arena, diag, &plan->graph, plan->targets);
    if (!plan->prepared)
        return false;
    if (!split_stages(plan, arena) || !share_layers(plan, arena, request->request) ||
        !tabulate_ops(plan, arena))
        return diag_error(diag, NOWHERE, "out of memory");
    return true;
}
