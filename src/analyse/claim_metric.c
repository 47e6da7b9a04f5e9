#include "analyse/claim_metric.h"

#include "base/suggest.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

/* ---- figures of the whole answer ---- */

static double prompt_mean(const struct evaluated *evaluated)
{
    double sum = 0;
    for (int i = 0; i < evaluated->resolved->request.strata; i++)
        sum += evaluated->resolved->request.prompt[i];
    return sum / evaluated->resolved->request.strata;
}

/* The prompt and output that were asked for, whatever a technique makes of them: what a user counts. */
static double asked_tokens(const struct evaluated *evaluated, bool prompt)
{
    const struct workload *workload = &evaluated->resolved->workload;
    return length_mean(prompt ? &workload->prompt : &workload->output);
}

#define ANSWER(name, expression)                                                                             \
    static double name(const struct evaluated *evaluated, const struct claim *claim)                         \
    {                                                                                                        \
        const struct answer *answer = &evaluated->answer;                                                    \
        const struct workload *asked = &evaluated->resolved->workload;                                       \
        (void)claim;                                                                                         \
        (void)answer;                                                                                        \
        (void)asked;                                                                                         \
        return expression;                                                                                   \
    }

ANSWER(of_ttft, answer->ttft_s)
ANSWER(of_tpot, answer->tpot_s)
ANSWER(of_latency, answer->latency_s)
ANSWER(of_decode_time, answer->latency_s - answer->ttft_s)
ANSWER(of_throughput, answer->throughput_tokens_per_s)
ANSWER(of_throughput_per_device, answer->throughput_tokens_per_s_per_device)
ANSWER(of_decode_throughput, asked->batch / answer->tpot_s)
ANSWER(of_prefill_throughput, asked->batch *asked_tokens(evaluated, true) / answer->ttft_s)
ANSWER(of_total_throughput,
       asked->batch *(asked_tokens(evaluated, true) + asked_tokens(evaluated, false)) / answer->latency_s)
ANSWER(of_requests_per_s, answer->requests_per_s)
ANSWER(of_bubble_time, answer->bubble_s)
ANSWER(of_weights, answer->memory.weights)
ANSWER(of_kv, answer->memory.kv)
ANSWER(of_activations, answer->memory.activations)
ANSWER(of_memory, answer->memory.total)
ANSWER(of_energy, answer->energy_j)
ANSWER(of_energy_per_token, answer->energy_j_per_output_token)
ANSWER(of_power, answer->power_w)
ANSWER(of_cost, answer->cost_usd)
ANSWER(of_cost_per_token, answer->cost_usd_per_million_output_tokens / 1e6)
ANSWER(of_devices, answer->devices)
ANSWER(of_prompt_tokens, answer->prompt_tokens / asked->batch)
ANSWER(of_output_tokens, answer->output_tokens / asked->batch)
ANSWER(of_calls, answer->calls / asked->batch)
ANSWER(of_batch, asked->batch)
ANSWER(of_prompt, prompt_mean(evaluated))
ANSWER(of_tokens_per_cycle, evaluated->resolved->deployment.generation.tokens_per_cycle)

/* ---- phases and their operators ---- */

static bool phase_meant(const struct phase_cost *phase, int wanted)
{
    const char *last = strrchr(phase->name, ' '); /* "judge prefill" */
    bool prefill = strcmp(last ? last + 1 : phase->name, "prefill") == 0;
    return wanted == CLAIM_ANY_PHASE || prefill == (wanted == CLAIM_PREFILL);
}

static double sum_phases(const struct evaluated *evaluated, int wanted,
                         double (*of)(const struct phase_cost *phase))
{
    double sum = 0;
    for (int p = 0; p < evaluated->breakdown.count; p++)
        if (phase_meant(&evaluated->breakdown.phases[p], wanted))
            sum += of(&evaluated->breakdown.phases[p]);
    return sum;
}

static double draft_time(const struct evaluated *evaluated, const struct claim *claim)
{
    double sum = 0;
    (void)claim;
    for (int p = 0; p < evaluated->breakdown.count; p++)
        if (strcmp(evaluated->breakdown.phases[p].name, "draft") == 0 ||
            strcmp(evaluated->breakdown.phases[p].name, "draft rebuild") == 0)
            sum += evaluated->breakdown.phases[p].time_s;
    return sum;
}

static double phase_flops(const struct phase_cost *phase)
{
    return phase->flops;
}

static double phase_bytes(const struct phase_cost *phase)
{
    return phase->bytes;
}

static double of_flops(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_phases(evaluated, claim->phase, phase_flops);
}

static double of_bytes(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_phases(evaluated, claim->phase, phase_bytes);
}

static double of_steps(const struct evaluated *evaluated, const struct claim *claim)
{
    double sum = 0;
    for (int p = 0; p < evaluated->breakdown.count; p++)
        if (phase_meant(&evaluated->breakdown.phases[p], claim->phase))
            sum += evaluated->breakdown.phases[p].steps;
    return sum;
}

static bool op_meant(const struct claim *claim, const struct op *op)
{
    for (size_t i = 0; i < claim->ops.count; i++)
        if (strcmp(claim->ops.items[i], op->name) == 0 ||
            strcmp(claim->ops.items[i], op_kind_name(op->kind)) == 0)
            return true;
    return false;
}

/* Of the operators that are meant: a sum over all executions on one rank, and the executions. */
struct op_sum {
    double time, flops, bytes, weights, count, steps;
};

static struct op_sum sum_ops(const struct evaluated *evaluated, const struct claim *claim)
{
    struct op_sum sum = {0};
    for (int p = 0; p < evaluated->breakdown.count; p++) {
        const struct phase_cost *phase = &evaluated->breakdown.phases[p];
        if (!phase_meant(phase, claim->phase))
            continue;
        double most = 0;
        for (int i = 0; i < phase->plan->graph.op_count; i++) {
            const struct step_op *op = &phase->step.ops[i];
            if (op->count == 0 || !op_meant(claim, &phase->plan->graph.ops[i]))
                continue;
            sum.time += op->exposed;
            sum.flops += op->count * op->each.flops;
            sum.bytes += op->count * op->each.memory_bytes;
            sum.weights += op->count * op->each.bytes[BYTES_WEIGHTS];
            most = fmax(most, op->count);
        }
        sum.count += most; /* kernels of one operator, such as unfused attention's three, run as often */
        sum.steps += phase->steps;
    }
    return sum;
}

static double of_op_time(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_ops(evaluated, claim).time;
}

static double of_op_time_each(const struct evaluated *evaluated, const struct claim *claim)
{
    struct op_sum sum = sum_ops(evaluated, claim);
    return sum.time / sum.count;
}

static double of_op_time_step(const struct evaluated *evaluated, const struct claim *claim)
{
    struct op_sum sum = sum_ops(evaluated, claim);
    return sum.time / sum.steps;
}

static double of_op_flops(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_ops(evaluated, claim).flops;
}

static double of_op_bytes(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_ops(evaluated, claim).bytes;
}

static double of_op_rate(const struct evaluated *evaluated, const struct claim *claim)
{
    struct op_sum sum = sum_ops(evaluated, claim);
    return sum.flops / sum.time;
}

static double of_op_weights(const struct evaluated *evaluated, const struct claim *claim)
{
    return sum_ops(evaluated, claim).weights;
}

static double of_op_share(const struct evaluated *evaluated, const struct claim *claim)
{
    double all = 0;
    for (int p = 0; p < evaluated->breakdown.count; p++)
        if (phase_meant(&evaluated->breakdown.phases[p], claim->phase))
            all += evaluated->breakdown.phases[p].time_s;
    return sum_ops(evaluated, claim).time / all;
}

/* ---- buffers ---- */

static double of_kv_per_token(const struct evaluated *evaluated, const struct claim *claim)
{
    const struct plan *plan = evaluated->resolved->deployment.pools[0].plans[0];
    double sum = 0;
    (void)claim;
    for (int i = 0; i < plan->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan->graph.buffers[i];
        if (buffer->class == BUFFER_KV && !buffer->per_sequence && buffer->block != OUTSIDE_LAYERS)
            sum += plan->model->block_layers[buffer->block] * buffer_token_bytes(buffer);
    }
    return sum * plan->parallel.tp;
}

const struct claim_metric claim_metrics[] = {
    {"ttft", DIM_SECONDS, "all prompts of the batch prefilled, until the first tokens are out", of_ttft},
    {"tpot", DIM_SECONDS, "time per output token after the first", of_tpot},
    {"latency", DIM_SECONDS, "to the last token", of_latency},
    {"decode_time", DIM_SECONDS, "from the first token to the last", of_decode_time},
    {"throughput", DIM_PER_SECOND, "output tokens of the batch / latency", of_throughput},
    {"throughput_per_device", DIM_PER_SECOND, "the same per device", of_throughput_per_device},
    {"decode_throughput", DIM_PER_SECOND, "batch / tpot", of_decode_throughput},
    {"prefill_throughput", DIM_PER_SECOND, "prompt tokens of the batch / ttft", of_prefill_throughput},
    {"total_throughput", DIM_PER_SECOND, "prompt and output tokens of the batch / latency",
     of_total_throughput},
    {"requests_per_s", DIM_PER_SECOND, "requests of the batch / latency", of_requests_per_s},
    {"bubble_time", DIM_SECONDS,
     "of the latency that pipeline stages wait between steps that mix prompts and decodes", of_bubble_time},
    {"memory.weights", DIM_BYTES, "a device's weights", of_weights},
    {"memory.kv", DIM_BYTES, "a device's KV cache and states", of_kv},
    {"memory.activations", DIM_BYTES, "a device's activations", of_activations},
    {"memory.total", DIM_BYTES, "all that a device holds", of_memory},
    {"kv_per_token", DIM_BYTES, "KV cache of a token, all layers and devices", of_kv_per_token},
    {"energy", DIM_NONE, "of the batch, J", of_energy},
    {"energy_per_token", DIM_NONE, "per output token, J", of_energy_per_token},
    {"power", DIM_WATTS, "mean, of the system", of_power},
    {"cost", DIM_USD, "of the batch", of_cost},
    {"cost_per_token", DIM_USD, "per output token", of_cost_per_token},
    {"devices", DIM_COUNT, "devices of the deployment", of_devices},
    {"batch", DIM_COUNT, "sequences of the batch: with batch: max, the most that fit", of_batch},
    {"prompt", DIM_COUNT, "tokens of a prompt: with prompt: max, the most that fit", of_prompt},
    {"prompt_tokens", DIM_COUNT, "read per request, over all its calls", of_prompt_tokens},
    {"output_tokens", DIM_COUNT, "written per request, over all its calls", of_output_tokens},
    {"calls", DIM_COUNT, "of models per request", of_calls},
    {"tokens_per_cycle", DIM_COUNT, "tokens that a cycle of steps emits", of_tokens_per_cycle},
    {"steps", DIM_COUNT, "forward passes", of_steps},
    {"flops", DIM_FLOPS, "work of all devices in `phase`", of_flops},
    {"bytes", DIM_BYTES, "bytes that all devices' memory moves in `phase`", of_bytes},
    {"draft_time", DIM_SECONDS, "all steps of drafts", draft_time},
    {"op_time", DIM_SECONDS, "of `ops` in `phase`, all executions", of_op_time},
    {"op_time_each", DIM_SECONDS, "the same, of one execution: one layer", of_op_time_each},
    {"op_time_step", DIM_SECONDS, "the same, of one step: all layers", of_op_time_step},
    {"op_flops", DIM_FLOPS, "work of `ops` in `phase` on one device", of_op_flops},
    {"op_bytes", DIM_BYTES, "bytes of `ops` in `phase` on one device", of_op_bytes},
    {"op_rate", DIM_FLOPS, "work of `ops` in `phase` on one device / its time", of_op_rate},
    {"op_weights", DIM_BYTES, "of them, weights read, whether from memory or a cache", of_op_weights},
    {"op_share", DIM_FRACTION, "of `ops` in the time of `phase`", of_op_share},
};
const size_t claim_metric_count = sizeof claim_metrics / sizeof claim_metrics[0];

/* Work is counted in FLOP here, of which dimension.h has only the rate. */
const struct claim_unit claim_units[] = {
    {"s", DIM_SECONDS, 1},
    {"ms", DIM_SECONDS, 1e-3},
    {"us", DIM_SECONDS, 1e-6},
    {"min", DIM_SECONDS, 60},
    {"h", DIM_SECONDS, 3600},
    {"tok/s", DIM_PER_SECOND, 1},
    {"ktok/s", DIM_PER_SECOND, 1e3},
    {"tok/min", DIM_PER_SECOND, 1.0 / 60},
    {"req/s", DIM_PER_SECOND, 1},
    {"req/min", DIM_PER_SECOND, 1.0 / 60},
    {"B", DIM_BYTES, 1},
    {"KB", DIM_BYTES, 1e3},
    {"MB", DIM_BYTES, 1e6},
    {"GB", DIM_BYTES, 1e9},
    {"TB", DIM_BYTES, 1e12},
    {"KiB", DIM_BYTES, 0x1p10},
    {"MiB", DIM_BYTES, 0x1p20},
    {"GiB", DIM_BYTES, 0x1p30},
    {"J", DIM_NONE, 1},
    {"mJ", DIM_NONE, 1e-3},
    {"kJ", DIM_NONE, 1e3},
    {"Wh", DIM_NONE, 3600},
    {"W", DIM_WATTS, 1},
    {"USD", DIM_USD, 1},
    {"USD/Mtok", DIM_USD, 1e-6},
    {"GFLOP", DIM_FLOPS, 1e9},
    {"TFLOP", DIM_FLOPS, 1e12},
    {"PFLOP", DIM_FLOPS, 1e15},
    {"GFLOP/s", DIM_FLOPS, 1e9},
    {"TFLOP/s", DIM_FLOPS, 1e12},
    {"tokens", DIM_COUNT, 1},
    {"count", DIM_COUNT, 1},
    {"x", DIM_FRACTION, 1},
    {"%", DIM_FRACTION, 0.01},
};
const size_t claim_unit_count = sizeof claim_units / sizeof claim_units[0];

const struct claim_metric *claim_metric_find(struct diag *diag, const struct claim *claim)
{
    const char *names[sizeof claim_metrics / sizeof claim_metrics[0]];
    for (size_t i = 0; i < claim_metric_count; i++) {
        names[i] = claim_metrics[i].name;
        if (strcmp(names[i], claim->metric) == 0)
            return &claim_metrics[i];
    }
    const char *nearest = suggest_nearest(claim->metric, names, claim_metric_count);
    diag_error(diag, claim->where, "%s: metric: found \"%.80s\"%s%s%s; docs/claims.md lists them", claim->id,
               claim->metric, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return NULL;
}

const struct claim_unit *claim_unit_find(struct diag *diag, const struct claim *claim,
                                         const struct claim_metric *metric)
{
    enum dimension dimension = claim->form == FORM_VALUE ? metric->dimension : DIM_FRACTION;
    struct text fitting = {0};
    for (size_t i = 0; i < claim_unit_count; i++)
        if (claim_units[i].dimension == dimension && strcmp(claim_units[i].name, claim->unit) == 0)
            return &claim_units[i];
    for (size_t i = 0; i < claim_unit_count; i++)
        if (claim_units[i].dimension == dimension)
            text_printf(&fitting, "%s%s", fitting.length > 0 ? ", " : "", claim_units[i].name);
    diag_error(diag, claim->where, "%s: unit: found \"%.40s\", expected one of %s", claim->id, claim->unit,
               fitting.data ? fitting.data : "none");
    text_free(&fitting);
    return NULL;
}
