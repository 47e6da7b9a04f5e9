#include "report/result.h"

bool result_make(struct result *result, const struct resolved *resolved, struct diag *diag)
{
    *result = (struct result){.resolved = resolved};
    struct estimate_scratch *scratch = estimate_scratch_new(resolved->arena, &resolved->deployment);
    if (scratch == NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    estimate(&resolved->deployment, &resolved->request, &resolved->workload.slo, scratch, &result->answer,
             &result->breakdown);
    result->warning_count = estimate_warnings(resolved, &result->answer, resolved->arena, &result->warnings);
    result->empirical_count =
        stack_empirical(&resolved->deployment.stack, resolved->arena, &result->empirical);
    return true;
}

const struct plan *result_plan(const struct result *result)
{
    return result->resolved->deployment.pools[0].plans[0];
}

const char *result_linear_inputs(const struct result *result)
{
    const struct graph *graph = &result_plan(result)->graph;
    for (int i = 0; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (op->kind == OP_GEMM && op->weights != BUFFER_NONE &&
            op->gemm.a_type.format != graph->types.activations.format)
            return op->gemm.a_type.name;
    }
    return graph->types.activations.name;
}

bool result_accepted(const struct result *result)
{
    const struct answer *answer = &result->answer;
    return answer->memory.fits && answer->ttft_met && answer->tpot_met && answer->latency_met;
}
