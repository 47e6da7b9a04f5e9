/* From steps to the answer: prefill, the whole decode, memory, energy, money. */
#include "estimate/phases.h"

#include <math.h>

static bool room_for(struct arena *arena, struct step_cost *cost, int ops)
{
    cost->ops = ARENA_ARRAY(arena, struct step_op, (size_t)ops);
    return cost->ops != NULL;
}

/* What its breakdowns need: operators of the largest plan, phases of all calls. */
static void count_parts(const struct deployment *deployment, int *ops, int *phases)
{
    for (int i = 0; i < deployment->pool_count; i++)
        for (int p = 0; p < deployment->pools[i].plan_count; p++) {
            int count = deployment->pools[i].plans[p]->graph.op_count;
            *ops = count > *ops ? count : *ops;
        }
    *phases += deployment->generation.phases + 2; /* a prefill, and a draft's */
}

struct estimate_scratch *estimate_scratch_new(struct arena *arena, const struct deployment *deployment)
{
    struct estimate_scratch *scratch = ARENA_NEW(arena, struct estimate_scratch);
    int ops = 0, reported = 0;
    const struct call_set *calls = deployment->calls;
    count_parts(deployment, &ops, &reported);
    for (int i = 0; calls && i < calls->graph->count; i++)
        count_parts(calls->entries[i].deployment ? calls->entries[i].deployment : deployment, &ops,
                    &reported);
    bool ok = scratch != NULL;
    ok = ok && room_for(arena, &scratch->prefill, ops);
    for (int i = 0; ok && i < PHASES_MOST; i++)
        ok = room_for(arena, &scratch->phases[i], ops);
    for (int i = 0; ok && i < reported && i < PHASES_REPORTED_MOST; i++)
        ok = room_for(arena, &scratch->report[i], ops);
    return ok ? scratch : NULL;
}

/* Leaves the last step's cost in scratch->prefill. */
static struct spent run_prompts(const struct plan *plan, const struct request *request,
                                struct estimate_scratch *scratch, struct breakdown *breakdown,
                                const char *name)
{
    struct prefill prefill = {.plan = plan,
                              .request = request,
                              .cost = &scratch->prefill,
                              .nodes = scratch->nodes,
                              .sum = breakdown ? breakdown_sum(scratch, breakdown, plan) : NULL};
    prefill_run(&prefill);
    if (breakdown)
        breakdown_take(breakdown, name, plan, prefill.sum, &prefill.total, 1, &prefill.shape);
    prefill.total.time += prefill.waited; /* no operator's */
    return prefill.total;
}

static struct spent run_draft_prefill(const struct deployment *deployment, const struct request *request,
                                      struct estimate_scratch *scratch, struct breakdown *breakdown)
{
    return run_prompts(deployment->pools[0].plans[1], request, scratch, breakdown, "draft prefill");
}

/* An encoder over its sequences of the whole batch, all tokens in sight of each other. */
static struct spent run_pass(const struct deployment *deployment, const struct request *request, int index,
                             struct estimate_scratch *scratch, struct breakdown *breakdown)
{
    const struct side_pass *pass = &request->passes[index];
    const struct plan *plan = deployment->pools[0].plans[deployment->pass_plans[index]];
    struct step_cost *cost = breakdown ? breakdown_next(scratch, breakdown) : &scratch->phases[0];
    struct spent spent = {0};
    struct step step = {.segments = {{.sequences = pass->sequences * request->batch,
                                      .new_tokens = pass->tokens,
                                      .mask = MASK_FULL}},
                        .count = 1};
    plan_step(plan, &step, false, cost);
    spend(&spent, plan, cost, 1);
    if (breakdown)
        breakdown_take(breakdown, pass->name, plan, cost, &spent, 1, &step);
    return spent;
}

/* What runs before or beside the prefill. Encoders take their turn on its devices; what other devices do in
 * `pieces` runs in a pipeline with both: of two stages of a and b seconds max(a, b) + min(a, b) / pieces. */
static void add_passes(const struct deployment *deployment, const struct request *request,
                       struct estimate_scratch *scratch, struct breakdown *breakdown, struct spent *prefill)
{
    for (int i = 0; i < request->pass_count; i++) {
        const struct side_pass *pass = &request->passes[i];
        if (deployment->pass_plans[i] > 0) {
            struct spent encoder = run_pass(deployment, request, i, scratch, breakdown);
            prefill->time += encoder.time;
            prefill->energy += encoder.energy;
        }
        double beside = pass->seconds * request->batch, here = prefill->time;
        prefill->time = pass->start + fmax(here, beside) + fmin(here, beside) / fmax(pass->pieces, 1);
    }
}

struct phases {
    struct spent prefill, decode;
    double decode_time; /* s of the latency; of mixed steps both phases have a share in it */
    double waiting;
    double prefill_sigma, decode_sigma;
    enum provenance calibration;
};

/* The first block is what a reader waits for; the others follow. */
static void run_diffusion(const struct deployment *deployment, const struct request *request,
                          struct estimate_scratch *scratch, struct breakdown *breakdown,
                          struct phases *phases)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    double blocks = ceil(request->output / deployment->generation.block_tokens - 1e-9);
    struct spent *spent[] = {&phases->prefill, &phases->decode};
    const char *const names[] = {"prefill", "decode"};
    for (int i = 0; i < (blocks > 1 ? 2 : 1); i++) {
        struct step shape;
        struct step_cost *cost = breakdown ? breakdown_next(scratch, breakdown) : &scratch->report[i];
        double first = i, count = i == 0 ? 1 : blocks - 1;
        bool cached = deployment->generation.block_cache != BLOCK_CACHE_NONE;
        *spent[i] = cached ? diffusion_cached_run(deployment, request, &scratch->phases[0], first, count,
                                                  cost, &shape)
                           : diffusion_run(deployment, request, cost, count, &shape);
        phases->prefill_sigma = phases->decode_sigma = relative_sigma(plan, cost);
        phases->calibration = weakest_provenance(plan, cost, PROVENANCE_FITTED);
        if (breakdown)
            breakdown_take(breakdown, names[i], plan, cost, spent[i], cached ? 1 : spent[i]->steps, &shape);
    }
}

static void run_autoregressive(const struct deployment *deployment, const struct request *request,
                               struct estimate_scratch *scratch, struct breakdown *breakdown,
                               struct phases *phases)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    phases->prefill = run_prompts(plan, request, scratch, breakdown, "prefill");
    phases->prefill_sigma = relative_sigma(plan, &scratch->prefill);
    phases->calibration = weakest_provenance(plan, &scratch->prefill, PROVENANCE_FITTED);

    struct decode decode = {.deployment = deployment, .request = request, .scratch = scratch};
    phases->decode = decode_run(&decode);
    int last = deployment->generation.phases - 1; /* the model's own phase ends the cycle */
    if (phases->decode.steps > 0) {
        phases->decode_sigma = relative_sigma(plan, &scratch->phases[last]);
        phases->calibration = weakest_provenance(plan, &scratch->phases[last], phases->calibration);
        if (breakdown)
            breakdown_decode(breakdown, &decode, &phases->decode);
    }
    if (deployment->generation.draft_prefills) {
        struct spent draft = run_draft_prefill(deployment, request, scratch, breakdown);
        phases->prefill.time += draft.time;
        phases->prefill.energy += draft.energy;
    }
    add_passes(deployment, request, scratch, breakdown, &phases->prefill);
}

/* The steps with and those without a prompt's part take turns: what a reader waits for is made of both. */
static void run_mixed(const struct deployment *deployment, const struct request *request,
                      struct estimate_scratch *scratch, struct breakdown *breakdown, struct phases *phases)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    struct mixed mixed = mixed_run(deployment, request, scratch, breakdown);
    phases->prefill = mixed.prefill;
    phases->decode = mixed.decode;
    phases->decode_time = mixed.decode_time;
    phases->waiting = mixed.waiting;
    phases->prefill_sigma = phases->decode_sigma = relative_sigma(plan, &scratch->prefill);
    phases->calibration = weakest_provenance(plan, &scratch->prefill, PROVENANCE_FITTED);
    if (mixed.decodes)
        phases->calibration = weakest_provenance(plan, &scratch->phases[0], phases->calibration);
}

void judge(const struct slo *slo, struct answer *answer)
{
    answer->ttft_met = !slo || slo->ttft <= 0 || answer->ttft_s <= slo->ttft;
    answer->tpot_met =
        !slo || slo->tpot <= 0 || !(answer->tpot_s > slo->tpot); /* NAN: no second token to wait for */
    answer->latency_met = !slo || slo->latency <= 0 || answer->latency_s <= slo->latency;
}

void estimate_batch(const struct deployment *deployment, const struct request *request, const struct slo *slo,
                    struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    struct phases phases = {.calibration = PROVENANCE_FITTED};
    *answer = (struct answer){.devices = plan->ranks, .interval_level = 0.90, .calls = request->batch};
    if (deployment->split.given) {
        pools_estimate(deployment, request, scratch, answer, breakdown);
        judge(slo, answer);
        return;
    }
    if (deployment->generation.whole_sequence)
        run_diffusion(deployment, request, scratch, breakdown, &phases);
    else if (is_mixed(request))
        run_mixed(deployment, request, scratch, breakdown, &phases);
    else
        run_autoregressive(deployment, request, scratch, breakdown, &phases);

    double output = request->output, tokens = request->batch * output;
    double decode_time = is_mixed(request) ? phases.decode_time : phases.decode.time;
    answer->ttft_s =
        phases.prefill.time + (phases.decode.time - decode_time) + plan->software->host_per_request;
    answer->latency_s = answer->ttft_s + decode_time;
    answer->tpot_s = output > 1 ? decode_time / (output - 1) : NAN;
    answer->throughput_tokens_per_s = tokens / answer->latency_s;
    answer->throughput_tokens_per_s_per_device = answer->throughput_tokens_per_s / answer->devices;
    answer->requests_per_s = request->batch / answer->latency_s;
    answer->output_tokens = tokens;
    for (int i = 0; i < request->strata; i++)
        answer->prompt_tokens += request->batch / request->strata * request->prompt[i];
    answer->bubble_s = phases.waiting;
    answer->ttft_interval = interval_around(answer->ttft_s, phases.prefill_sigma);
    answer->tpot_interval = interval_around(answer->tpot_s, phases.decode_sigma);
    answer->calibration = phases.calibration;
    deployment_memory(deployment, request, &answer->memory);
    bill(deployment, request, phases.prefill.energy + phases.decode.energy, answer);
    judge(slo, answer);
}

void estimate(const struct deployment *deployment, const struct request *request, const struct slo *slo,
              struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown)
{
    if (breakdown)
        breakdown->count = 0;
    if (!deployment->calls) {
        estimate_batch(deployment, request, slo, scratch, answer, breakdown);
        return;
    }
    struct workflow workflow;
    calls_workflow(deployment, request, &workflow);
    estimate_workflow(&workflow, slo, scratch, answer, breakdown);
    answer->requests_per_s = request->batch / answer->latency_s; /* the user's, not the calls */
}
