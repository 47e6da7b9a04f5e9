#include "api/handle.h"
#include "report/answer.h"

#include <stdlib.h>

rafter_status answer_fill(rafter_answer *answer, const struct answer *from)
{
    *answer = (rafter_answer){
        .struct_size = sizeof *answer,
        .ttft_s = from->ttft_s,
        .tpot_s = from->tpot_s,
        .latency_s = from->latency_s,
        .ttft_low_s = from->ttft_interval.low,
        .ttft_high_s = from->ttft_interval.high,
        .tpot_low_s = from->tpot_interval.low,
        .tpot_high_s = from->tpot_interval.high,
        .throughput_tokens_per_s = from->throughput_tokens_per_s,
        .weights_bytes = from->memory.weights,
        .kv_bytes = from->memory.kv,
        .activation_bytes = from->memory.activations,
        .reserved_bytes = from->memory.reserved,
        .total_bytes = from->memory.total,
        .capacity_bytes = from->memory.capacity,
        .fits = from->memory.fits ? 1 : 0,
        .devices = from->devices,
        .energy_j = from->energy_j,
        .cost_usd = from->cost_usd,
        .carbon_kg = from->carbon_kg,
    };
    return from->memory.fits ? RAFTER_OK : RAFTER_NO;
}

rafter_status rafter_estimate(rafter *handle, const rafter_question *question, rafter_answer *answer)
{
    struct resolved resolved;
    struct answer found;
    if (handle == NULL || answer == NULL)
        return RAFTER_ERROR;
    handle_begin(handle);
    if (!handle_resolve(handle, handle->work, question, &resolved))
        return RAFTER_ERROR;
    struct estimate_scratch *scratch = estimate_scratch_new(handle->work, &resolved.deployment);
    if (scratch == NULL) {
        text_add(&handle->errors, "error: out of memory");
        return RAFTER_ERROR;
    }
    estimate(&resolved.deployment, &resolved.request, &resolved.workload.slo, scratch, &found, NULL);
    return answer_fill(answer, &found);
}

char *rafter_estimate_json(rafter *handle, const rafter_question *question)
{
    struct resolved resolved;
    struct result result;
    struct text out = {0};
    if (handle == NULL)
        return NULL;
    handle_begin(handle);
    if (!handle_resolve(handle, handle->work, question, &resolved))
        return NULL;
    struct diag diag = {.arena = handle->work};
    struct catalogue catalogue = handle->catalogue;
    struct fitting fitting = {0};
    catalogue.arena = handle->work;
    bool made = result_make(&result, &resolved, &diag);
    if (made && !result.answer.memory.fits)
        question_fitting(&resolved, &diag, &catalogue, &fitting);
    if (made && json_add(&out, answer_json(&result, &fitting)))
        return out.data;
    text_add(&handle->errors, "error: out of memory");
    text_free(&out);
    return NULL;
}

void rafter_free(void *memory)
{
    free(memory);
}
