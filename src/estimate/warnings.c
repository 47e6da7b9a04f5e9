/* What a reader should know before trusting an answer. */
#include "estimate/estimate.h"

#include <math.h>
#include <string.h>

enum { WARNINGS_MOST = 64 };

struct warnings {
    struct arena *arena;
    const char **lines;
    size_t count;
};

static void warn(struct warnings *warnings, const char *line)
{
    if (line && warnings->count < WARNINGS_MOST)
        warnings->lines[warnings->count++] = line;
}

/* Which families of the plan's operators run on family defaults: "elementwise, collective"; *measured:
 * whether any runs on measurements. NULL: out of memory. */
static const char *default_families(const struct plan *plan, struct arena *arena, bool *measured)
{
    bool by_default[FAMILY_COUNT] = {false};
    const char *names = "";
    *measured = false;
    for (int i = 0; i < plan->graph.op_count; i++)
        for (int phase = 0; phase < 2; phase++) {
            const struct op_trust *trust = phase == 0 ? &plan->prefill_trust[i] : &plan->decode_trust[i];
            bool weak = trust->provenance <= PROVENANCE_FAMILY_DEFAULT;
            by_default[trust->family] = by_default[trust->family] || weak;
            *measured = *measured || !weak;
        }
    for (int f = 0; f < FAMILY_COUNT && names; f++)
        if (by_default[f])
            names = arena_printf(arena, "%s%s%s", names, names[0] ? ", " : "", families[f].name);
    return names;
}

static void warn_defaults(struct warnings *warnings, const struct plan *plan)
{
    bool measured;
    const char *names = default_families(plan, warnings->arena, &measured);
    const char *device = plan->target.device->id, *software = plan->software->id;
    if (measured && names)
        warn(warnings,
             arena_printf(warnings->arena,
                          "%s with %s: measured but for %s, which run%s on the defaults of the device "
                          "family",
                          device, software, names, strchr(names, ',') ? "" : "s"));
    else
        warn(warnings, arena_printf(warnings->arena,
                                    "%s with %s runs on the defaults of its device family, not on "
                                    "measurements of its own",
                                    device, software));
}

static void warn_calibration(struct warnings *warnings, const struct resolved *resolved,
                             const struct answer *answer)
{
    const struct plan *plan = resolved->deployment.pools[0].plans[0];
    if (plan->target.ideal)
        warn(warnings, "ideal software: data-sheet rates without overheads; real stacks take longer");
    else if (answer->calibration == PROVENANCE_NONE)
        warn(warnings,
             arena_printf(warnings->arena,
                          "%s with %s is not calibrated: operators that make up over 5%% of the time run at "
                          "data-sheet rates",
                          plan->target.device->id, plan->software->id));
    else if (answer->calibration == PROVENANCE_FAMILY_DEFAULT)
        warn_defaults(warnings, plan);
}

static void warn_unverified(struct warnings *warnings, const struct device *device)
{
    if (device->unverified > 0)
        warn(warnings,
             arena_printf(warnings->arena, "%s: %d group%s of figures unverified (`rafter show %s`)",
                          device->id, device->unverified, device->unverified > 1 ? "s" : "", device->id));
}

static void warn_empirical(struct warnings *warnings, const struct resolved *resolved)
{
    const char **lines;
    size_t count = stack_empirical(&resolved->deployment.stack, warnings->arena, &lines);
    for (size_t i = 0; i < count; i++)
        warn(warnings, arena_printf(warnings->arena, "empirical input: %s", lines[i]));
}

/* Shares of requests come from measurements, as empirical parameters do. */
static void warn_calls(struct warnings *warnings, const struct resolved *resolved)
{
    const struct call_set *set = resolved->deployment.calls;
    for (int i = 0; set && i < set->graph->count; i++) {
        const struct call *call = &set->graph->calls[i];
        if (call->share < 1)
            warn(warnings, arena_printf(warnings->arena, "empirical input: workflow.calls.%s.share = %g",
                                        call->name, call->share));
        if (call->device && i == 0)
            warn(warnings, "calls on devices of their own: the question's devices count only where a call "
                           "runs on them");
    }
}

static void warn_workload(struct warnings *warnings, const struct resolved *resolved)
{
    const struct workload *workload = &resolved->workload;
    const struct plan *plan = resolved->deployment.pools[0].plans[0];
    if (workload->output.kind != DISTRIBUTION_FIXED)
        warn(warnings, arena_printf(warnings->arena,
                                    "output lengths vary: figures are of a request with the mean "
                                    "output, %.1f tokens",
                                    resolved->request.output));
    if (workload->shared_prefix > 0 && !resolved->request.prefix_reused && plan->model->encoder_layers == 0)
        warn(warnings, "the workload has a shared prefix that nothing reuses: add --with shared-prefix");
    if (workload->arrivals.rate > 0)
        warn(warnings, "arrivals are not modelled: the batch runs as one closed loop");
    if (plan->model->vision && resolved->request.pass_count == 0)
        warn(warnings, "images are not part of the prompt: the vision tower takes memory only");
    if (resolved->deployment.generation.whole_sequence)
        warn(warnings, "masked diffusion: ttft is the time to the first denoised block");
}

/* Options that have nothing to work on here. */
static void warn_idle_options(struct warnings *warnings, const struct resolved *resolved)
{
    const struct parallelism *parallel = &resolved->deployment.pools[0].plans[0]->parallel;
    const struct model *model = resolved->deployment.pools[0].plans[0]->model;
    bool experts = false;
    for (size_t i = 0; i < model->block_count; i++)
        experts |= model->blocks[i].ffn == FFN_MOE;
    if (parallel->micro_batches > 0 && parallel->pp == 1)
        warn(warnings, "micro-batches change nothing: there is one pipeline stage");
    if (parallel->sp && parallel->tp == 1)
        warn(warnings, "sequence parallelism changes nothing: tp is 1");
    if (parallel->expert_skew > 0 && !experts)
        warn(warnings,
             arena_printf(warnings->arena, "an expert skew changes nothing: %s has no experts", model->id));
}

/* A peak power above what the device may draw says that clocks would drop. */
static void warn_power(struct warnings *warnings, const struct resolved *resolved,
                       const struct answer *answer)
{
    const struct plan *plan = resolved->deployment.pools[0].plans[0];
    double limit = plan->target.device->power.tdp * answer->devices + plan->system->extra_power;
    if (answer->power_w > 1.02 * limit)
        warn(warnings, arena_printf(warnings->arena,
                                    "mean power of %.0f W exceeds the devices' %.0f W: clocks would "
                                    "drop",
                                    answer->power_w, limit));
}

/* What lies in other memories than the device's own, and how much of them that is. */
static void warn_elsewhere(struct warnings *warnings, const struct resolved *resolved,
                           const struct answer *answer)
{
    const struct plan *plan = resolved->deployment.pools[0].plans[0];
    for (int i = 0; i < answer->memory.elsewhere_count; i++) {
        const struct memory_elsewhere *place = &answer->memory.elsewhere[i];
        const struct device *device = plan->system->members[place->device].device;
        const struct memory_tier *tier =
            place->tier >= 0 ? &device->tiers[place->tier] : device_memory(device);
        warn(warnings, arena_printf(warnings->arena, "%.2f GB are in the %s of %s, which has %.0f GB%s",
                                    place->bytes / 1e9, tier->name, device->id, place->capacity / 1e9,
                                    place->bytes > place->capacity ? ": they do not fit" : ""));
    }
}

size_t estimate_warnings(const struct resolved *resolved, const struct answer *answer, struct arena *arena,
                         const char ***lines)
{
    struct warnings warnings = {arena, ARENA_ARRAY(arena, const char *, WARNINGS_MOST), 0};
    *lines = warnings.lines;
    if (!warnings.lines)
        return 0;
    warn_calibration(&warnings, resolved, answer);
    warn_unverified(&warnings, resolved->deployment.pools[0].plans[0]->target.device);
    warn_empirical(&warnings, resolved);
    warn_calls(&warnings, resolved);
    warn_workload(&warnings, resolved);
    warn_idle_options(&warnings, resolved);
    warn_power(&warnings, resolved, answer);
    warn_elsewhere(&warnings, resolved, answer);
    return warnings.count;
}
