/* Prompts on one pool of devices, decodes on another, in the steady state (Splitwise, arXiv:2311.18677).
 *
 * Prompts come one by one, each to one of p pools; each of d pools decodes a batch of B. A request waits for
 *   its prefill, t_p      its KV cache on the way, x      its decodes, t_d
 * where x is what does not hide: sent by layers, the last layer's part, or what the link is behind; else all.
 * Both kinds of pools work at once: requests per second = min(p / t_p, d B / (x + t_d)). */
#include "estimate/phases.h"

#include <math.h>

struct pools {
    const struct deployment *deployment;
    const struct request *request;
    const struct plan *first, *second; /* prefill, decode */
    struct spent prompt, decode;       /* of one request; of a batch */
    double sent;                       /* s that a request waits for its KV cache */
};

/* Bytes of a mean prompt's KV cache and states on one device, all layers. */
static double prompt_bytes(const struct plan *plan, const struct request *request)
{
    double bytes = 0;
    for (int i = 0; i < plan->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan->graph.buffers[i];
        if (buffer->class != BUFFER_KV || buffer->block == OUTSIDE_LAYERS)
            continue;
        for (int s = 0; s < request->strata; s++)
            bytes += plan->model->block_layers[buffer->block] *
                     buffer_kv_bytes(buffer, 1, prompt_tokens(plan, request, s)) / request->strata;
    }
    return bytes / plan->parallel.pp;
}

static double transfer_time(const struct pools *pools)
{
    const struct pool_split *split = &pools->deployment->split;
    const struct link *network = pools->first->target.network;
    double rate = split->bandwidth > 0 ? split->bandwidth : network ? network->bandwidth : 0;
    double whole = rate > 0 ? prompt_bytes(pools->first, pools->request) / rate : INFINITY;
    double last = whole / pools->first->model->layers;
    return (split->by_layer ? fmax(whole - pools->prompt.time, last) : whole) + split->exposed;
}

static void run_prompt(struct pools *pools, struct estimate_scratch *scratch, struct breakdown *breakdown)
{
    struct request alone = *pools->request;
    alone.batch = 1;
    struct prefill prefill = {.plan = pools->first,
                              .request = &alone,
                              .cost = &scratch->prefill,
                              .nodes = scratch->nodes,
                              .sum = breakdown ? breakdown_sum(scratch, breakdown, pools->first) : NULL};
    prefill_run(&prefill);
    pools->prompt = prefill.spent;
    if (!breakdown)
        return;
    double batch = pools->request->batch; /* the breakdown is of all its prompts, as the decodes are */
    struct spent all = {batch * prefill.spent.time, batch * prefill.spent.energy, batch * prefill.spent.flops,
                        batch * prefill.spent.bytes, batch * prefill.spent.steps};
    breakdown_take(breakdown, "prefill", pools->first, prefill.sum, &all, batch, &prefill.shape);
}

/* All pools run for as long as the batch's share of the throughput takes. */
static void pools_bill(const struct pools *pools, struct answer *answer)
{
    const struct pool_split *split = &pools->deployment->split;
    const struct site *site = &pools->deployment->site;
    const struct plan *plans[] = {pools->first, pools->second};
    double counts[] = {split->prefill_pools, split->decode_pools}, rent = 0, idle = 0;
    double seconds = pools->request->batch / answer->requests_per_s;
    double tokens = pools->request->batch * pools->request->output;
    bool known = true;
    for (int i = 0; i < 2; i++) {
        const struct device *device = plans[i]->target.device;
        const struct system *system = plans[i]->system;
        double devices = counts[i] * plans[i]->ranks;
        double price = system->usd_per_hour > 0 ? counts[i] * system->usd_per_hour
                                                : devices * device->price.usd_per_hour;
        rent = price > 0 ? rent + price : NAN;
        known = known && device->power.tdp > 0;
        idle += devices * device->power.idle + counts[i] * system->extra_power;
    }
    double dynamic = pools->request->batch * pools->prompt.energy + pools->decode.energy;
    answer->energy_j = known ? dynamic + idle * seconds : NAN;
    answer->power_w = answer->energy_j / seconds;
    answer->energy_j_per_output_token = answer->energy_j / tokens;
    answer->carbon_kg = answer->energy_j / 3.6e6 * site->pue * site->carbon;
    answer->cost_usd = rent / 3600 * seconds;
    answer->cost_usd_per_million_output_tokens = answer->cost_usd / tokens * 1e6;
}

void pools_estimate(const struct deployment *deployment, const struct request *request,
                    struct estimate_scratch *scratch, struct answer *answer, struct breakdown *breakdown)
{
    const struct pool_split *split = &deployment->split;
    struct pools pools = {.deployment = deployment,
                          .request = request,
                          .first = deployment->pools[0].plans[0],
                          .second = decode_plan(deployment)};
    run_prompt(&pools, scratch, breakdown);
    struct decode decode = {.deployment = deployment, .request = request, .scratch = scratch};
    pools.decode = decode_run(&decode);
    bool decodes = pools.decode.steps > 0;
    pools.sent = decodes ? transfer_time(&pools) : 0;
    if (decodes && breakdown)
        breakdown_decode(breakdown, &decode, &pools.decode);

    double decoding = pools.sent + pools.decode.time;
    answer->devices =
        (int)(split->prefill_pools * pools.first->ranks + split->decode_pools * pools.second->ranks);
    answer->ttft_s = pools.prompt.time + pools.first->software->host_per_request;
    answer->latency_s = answer->ttft_s + decoding;
    answer->tpot_s = request->output > 1 ? decoding / (request->output - 1) : NAN;
    answer->requests_per_s = split->prefill_pools / pools.prompt.time;
    if (decodes)
        answer->requests_per_s =
            fmin(answer->requests_per_s, split->decode_pools * request->batch / decoding);
    answer->throughput_tokens_per_s = answer->requests_per_s * request->output;
    answer->throughput_tokens_per_s_per_device = answer->throughput_tokens_per_s / answer->devices;
    double prefill_sigma = relative_sigma(pools.first, &scratch->prefill);
    answer->calibration = weakest_provenance(pools.first, &scratch->prefill, PROVENANCE_FITTED);
    answer->ttft_interval = interval_around(answer->ttft_s, prefill_sigma);
    answer->tpot_interval = (struct interval){NAN, NAN};
    if (decodes) {
        answer->calibration = weakest_provenance(pools.second, &scratch->phases[0], answer->calibration);
        answer->tpot_interval =
            interval_around(answer->tpot_s, relative_sigma(pools.second, &scratch->phases[0]));
    }
    deployment_memory(deployment, request, &answer->memory);
    pools_bill(&pools, answer);
}
