/* Workflows: requests that wait for each other. */
#include "estimate/phases.h"

#include <math.h>

void estimate_workflow(const struct workflow *workflow, const struct slo *slo,
                       struct estimate_scratch *scratch, struct answer *answer)
{
    double ends[REQUESTS_MOST], first = INFINITY, last = 0, tokens = 0, requests = 0;
    struct answer total = {.energy_j = 0, .calibration = PROVENANCE_FITTED, .interval_level = 0.90};
    for (int i = 0; i < workflow->count; i++) {
        const struct workflow_request *node = &workflow->requests[i];
        struct request request = node->request;
        struct answer part;
        double start = 0;
        for (int w = 0; w < node->after_count; w++)
            start = fmax(start, ends[node->after[w]]); /* requests come after those they wait for */
        request.batch *= node->count > 0 ? node->count : 1;
        estimate(node->deployment, &request, slo, scratch, &part, NULL);
        if (i == 0)
            total = part;
        ends[i] = start + part.latency_s;
        if (start + part.ttft_s < first)
            first = start + part.ttft_s;
        last = fmax(last, ends[i]);
        tokens += request.batch * request.output;
        requests += request.batch;
        if (i > 0) {
            total.energy_j += part.energy_j;
            total.cost_usd += part.cost_usd;
            total.carbon_kg += part.carbon_kg;
            total.calibration = part.calibration < total.calibration ? part.calibration : total.calibration;
            if (part.memory.fits == total.memory.fits ? part.memory.total > total.memory.total
                                                      : !part.memory.fits)
                total.memory = part.memory;
            total.devices = part.devices > total.devices ? part.devices : total.devices;
        }
    }
    if (workflow->count > 1) {
        total.ttft_s = first;
        total.latency_s = last;
        total.tpot_s = NAN; /* of several requests: ask each */
        total.ttft_interval = total.tpot_interval = (struct interval){NAN, NAN};
        total.throughput_tokens_per_s = tokens / last;
        total.throughput_tokens_per_s_per_device = total.throughput_tokens_per_s / total.devices;
        total.energy_j_per_output_token = total.energy_j / tokens;
        total.cost_usd_per_million_output_tokens = total.cost_usd / tokens * 1e6;
        total.power_w = total.energy_j / last;
        total.requests_per_s = requests / last;
        judge(slo, &total);
    }
    *answer = total;
}
