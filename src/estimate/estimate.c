/* From steps to the answer: prefill, the whole decode, memory, energy, money. */
#include "estimate/phases.h"

#include <math.h>

static bool room_for(struct arena *arena, struct step_cost *cost, int ops)
{
    cost->ops = ARENA_ARRAY(arena, struct step_op, (size_t)ops);
    return cost->ops != NULL;
}

struct estimate_scratch *estimate_scratch_new(struct arena *arena, const struct deployment *deployment)
{
    struct estimate_scratch *scratch = ARENA_NEW(arena, struct estimate_scratch);
    int ops = 0;
    for (int i = 0; i < deployment->pool_count; i++)
        for (int p = 0; p < deployment->pools[i].plan_count; p++) {
            int count = deployment->pools[i].plans[p]->graph.op_count;
            ops = count > ops ? count : ops;
        }
    bool ok = scratch != NULL;
    ok = ok && room_for(arena, &scratch->prefill, ops);
    for (int i = 0; ok && i < PHASES_MOST; i++)
        ok = room_for(arena, &scratch->phases[i], ops);
    for (int i = 0; ok && i < PHASES_REPORTED_MOST; i++)
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
        breakdown_take(breakdown, name, plan, prefill.sum, &prefill.spent, 1, &prefill.shape);
    return prefill.spent;
}

static struct spent run_draft_prefill(const struct deployment *deployment, const struct request *request,
                                      struct estimate_scratch *scratch, struct breakdown *breakdown)
{
    return run_prompts(deployment->pools[0].plans[1], request, scratch, breakdown, "draft prefill");
}

struct phases {
    struct spent prefill, decode;
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
        struct step_cost *cost = &scratch->report[i];
        *spent[i] = diffusion_run(deployment, request, cost, i == 0 ? 1 : blocks - 1, &shape);
        phases->prefill_sigma = phases->decode_sigma = relative_sigma(plan, cost);
        phases->calibration = weakest_provenance(plan, cost, PROVENANCE_FITTED);
        if (breakdown)
            breakdown_take(breakdown, names[i], plan, cost, spent[i], spent[i]->steps, &shape);
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
}

void judge(const struct slo *slo, struct answer *answer)
{
    answer->ttft_met = !slo || slo->ttft <= 0 || answer->ttft_s <= slo->ttft;
    answer->tpot_met =
        !slo || slo->tpot <= 0 || !(answer->tpot_s > slo->tpot); /* NAN: no second token to wait for */
    answer->latency_met = !slo || slo->latency <= 0 || answer->latency_s <= slo->latency;
}

void estimate(const struct deployment *deployment, const struct request *request, const struct slo *slo,
              struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown)
{
    const struct plan *plan = deployment->pools[0].plans[0];
    struct phases phases = {.calibration = PROVENANCE_FITTED};
    *answer = (struct answer){.devices = plan->ranks, .interval_level = 0.90};
    if (breakdown)
        breakdown->count = 0;
    if (deployment->generation.whole_sequence)
        run_diffusion(deployment, request, scratch, breakdown, &phases);
    else
        run_autoregressive(deployment, request, scratch, breakdown, &phases);

    double output = request->output, tokens = request->batch * output;
    answer->ttft_s = phases.prefill.time + plan->software->host_per_request;
    answer->latency_s = answer->ttft_s + phases.decode.time;
    answer->tpot_s = output > 1 ? phases.decode.time / (output - 1) : NAN;
    answer->throughput_tokens_per_s = tokens / answer->latency_s;
    answer->throughput_tokens_per_s_per_device = answer->throughput_tokens_per_s / answer->devices;
    answer->requests_per_s = request->batch / answer->latency_s;
    answer->ttft_interval = interval_around(answer->ttft_s, phases.prefill_sigma);
    answer->tpot_interval = interval_around(answer->tpot_s, phases.decode_sigma);
    answer->calibration = phases.calibration;
    deployment_memory(deployment, request, &answer->memory);
    bill(deployment, request, phases.prefill.energy + phases.decode.energy, answer);
    judge(slo, answer);
}
