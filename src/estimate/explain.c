/* The trail behind a figure: formula, terms with values, and where the inputs come from. */
#include "base/suggest.h"
#include "base/text.h"
#include "estimate/phases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All that an explanation draws on. */
struct trail {
    const struct resolved *resolved;
    const struct plan *plan;
    const struct device *device;
    struct answer answer;
    struct breakdown breakdown;
    struct text *out;
};

static void line(const struct trail *trail, int indent, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void line(const struct trail *trail, int indent, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_printf(trail->out, "%*s", indent * 2, "");
    text_vprintf(trail->out, format, arguments);
    text_add(trail->out, "\n");
    va_end(arguments);
}

static const char *show(double value, enum dimension dimension, char buffer[32])
{
    return quantity_format(value, dimension, buffer, 32);
}

static void sources_of(const struct trail *trail, int indent, const char *what, const char *path)
{
    const struct string_list *found =
        figure_sources(trail->device->sources, trail->device->source_count, path);
    if (!found || found->count == 0)
        line(trail, indent, "%s: no source given", what);
    for (size_t i = 0; found && i < found->count; i++)
        line(trail, indent, "%s: %s", what, found->items[i]);
}

static void tier_sources(const struct trail *trail, int indent, const struct memory_tier *tier)
{
    char path[64];
    snprintf(path, sizeof path, "tiers.%.50s", tier->name);
    sources_of(trail, indent, "source", path);
}

/* ---- operators ---- */

static const struct step_op *longest_unlisted(const struct phase_cost *phase, const bool *listed, int *index)
{
    const struct step_op *longest = NULL;
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        const struct step_op *op = &phase->step.ops[i];
        if (!listed[i] && op->exposed > 0 && (!longest || op->exposed > longest->exposed)) {
            longest = op;
            *index = i;
        }
    }
    return longest;
}

static void explain_scalars(const struct trail *trail, int indent, const struct phase_cost *phase, int index)
{
    struct op_footing footing = cost_footing(phase->plan->prepared, index, phase->step.regime);
    const struct family_declaration *family = &families[footing.family];
    if (!footing.calibration) {
        line(trail, indent, "scalars: ideal (nothing calibrated for %s)", family->name);
        return;
    }
    char peak[32];
    text_printf(trail->out, "%*sscalars of %s in %s (%s, peak %s):", indent * 2, "", family->name,
                number_format_name(footing.format),
                provenance_name((enum provenance)footing.calibration->provenance),
                show(footing.peak_flops, DIM_FLOPS, peak));
    for (int s = 0; s < family->count; s++) {
        char value[32];
        double scalar = footing.scalars[s];
        text_printf(trail->out, " %s %s", family->scalars[s].name,
                    show(scalar, family->scalars[s].dimension, value));
    }
    text_add(trail->out, "\n");
    if (footing.calibration->source)
        line(trail, indent, "source: %s", footing.calibration->source);
}

static void explain_op(const struct trail *trail, const struct phase_cost *phase, int index)
{
    const struct step_op *op = &phase->step.ops[index];
    double bytes = 0, roof_time = cost_roof_time(phase->plan->prepared, index, &op->each);
    for (int b = 0; b < BYTES_WIRE; b++)
        bytes += op->each.bytes[b];
    char exposed[32], each[32], flops[32], moved[32], memory[32], roof[32];
    line(trail, 2, "%s: %s = %.6g executions x %s%s", phase->plan->graph.ops[index].name,
         show(op->exposed, DIM_SECONDS, exposed), op->count, show(op->each.time, DIM_SECONDS, each),
         op->exposed < op->time ? " (part of it overlapped)" : "");
    line(trail, 3,
         "one does %s FLOP on %s of operands, %s of them from memory; bound by %s, data-sheet roof %s "
         "(%.0f%%)",
         quantity_format(op->each.flops, DIM_NONE, flops, sizeof flops), show(bytes, DIM_BYTES, moved),
         show(op->each.memory_bytes, DIM_BYTES, memory), bound_name(op->each.bound),
         show(roof_time, DIM_SECONDS, roof), op->each.time > 0 ? 100 * roof_time / op->each.time : 0);
    explain_scalars(trail, 3, phase, index);
}

static void explain_phase(const struct trail *trail, const struct phase_cost *phase)
{
    enum { OPS_EXPLAINED = 6 };
    bool listed[OPS_MOST] = {false};
    char time[32], gap[32];
    line(trail, 1, "%s = sum of exposed operator times + host gaps, over %.6g steps = %s", phase->name,
         phase->steps, show(phase->time_s, DIM_SECONDS, time));
    for (int i = 0; i < phase->shape.count; i++) {
        const struct segment *segment = &phase->shape.segments[i];
        line(trail, 2, "step shown: %.6g sequences x %.6g new tokens on %.6g cached", segment->sequences,
             segment->new_tokens, segment->context);
        if (segment->source > 0)
            line(trail, 3, "each attends to %.6g tokens of the encoder's output too", segment->source);
    }
    double rest = phase->step.device_time;
    for (int n = 0; n < OPS_EXPLAINED; n++) {
        int index = -1;
        const struct step_op *op = longest_unlisted(phase, listed, &index);
        if (!op)
            break;
        listed[index] = true;
        rest -= op->exposed;
        explain_op(trail, phase, index);
    }
    line(trail, 2, "other operators: %s (`rafter ops` lists all)", show(fmax(0, rest), DIM_SECONDS, time));
    line(trail, 2, "host gaps: %s", show(phase->step.host_gap, DIM_SECONDS, gap));
}

static const struct phase_cost *phase_named(const struct trail *trail, const char *name)
{
    for (int i = 0; i < trail->breakdown.count; i++)
        if (strcmp(trail->breakdown.phases[i].name, name) == 0)
            return &trail->breakdown.phases[i];
    return NULL;
}

static void explain_rates(const struct trail *trail)
{
    char rate[32];
    const struct memory_tier *memory = device_memory(trail->device);
    line(trail, 1, "rates of %s", trail->device->id);
    line(trail, 2, "%s bandwidth %s", memory->name, show(memory->bandwidth, DIM_BYTES_PER_SECOND, rate));
    tier_sources(trail, 3, memory);
    for (int f = 0; f < FORMAT_COUNT; f++)
        if (trail->device->matrix[f].flops > 0)
            line(trail, 2, "%s matrix peak %s", number_format_name((enum number_format)f),
                 show(trail->device->matrix[f].flops, DIM_FLOPS, rate));
    sources_of(trail, 3, "source", "matrix");
}

/* ---- workflows ---- */

/* When each call runs, behind what, and its phases. false: the question is one call. */
static bool explain_calls(const struct trail *trail, const char *metric, double value)
{
    const struct deployment *deployment = &trail->resolved->deployment;
    if (!deployment->calls)
        return false;
    const struct call_graph *graph = deployment->calls->graph;
    char total[32], start[32], end[32];
    line(trail, 0, "%s = %s, of %d calls, each behind those it waits for and what its devices do before",
         metric, show(value, DIM_SECONDS, total), graph->count);
    for (int i = 0; i < graph->count; i++) {
        const struct call_time *time = &trail->answer.call_times[i];
        line(trail, 1, "%s: %.6g sequences x %d turns, expected %.4g times, from %s to %s",
             graph->calls[i].name, time->sequences, graph->calls[i].turns, time->executions,
             show(time->start, DIM_SECONDS, start), show(time->end, DIM_SECONDS, end));
    }
    for (int i = 0; i < trail->breakdown.count; i++)
        explain_phase(trail, &trail->breakdown.phases[i]);
    explain_rates(trail);
    return true;
}

/* ---- metrics ---- */

static void explain_ttft(const struct trail *trail)
{
    char total[32], host[32];
    if (explain_calls(trail, "ttft_s: first token of the last answer", trail->answer.ttft_s))
        return;
    const struct mixing *mixing = &trail->resolved->request.mixing;
    bool mixed = mixing->chunk_tokens > 0 || mixing->group_tokens > 0;
    bool pools = trail->resolved->deployment.split.given;
    line(trail, 0, "ttft_s = prefill %s+ host_per_request = %s",
         mixed   ? "+ decode - (output - 1) * tpot_s "
         : pools ? "/ batch "
                 : "",
         show(trail->answer.ttft_s, DIM_SECONDS, total));
    line(trail, 1, "host_per_request of %s = %s", trail->plan->software->id,
         show(trail->plan->software->host_per_request, DIM_SECONDS, host));
    for (int i = 0; i < trail->breakdown.count; i++)
        if (strstr(trail->breakdown.phases[i].name, "prefill"))
            explain_phase(trail, &trail->breakdown.phases[i]);
    explain_rates(trail);
}

static void explain_tpot(const struct trail *trail)
{
    char total[32], decode[32];
    const struct phase_cost *phase = phase_named(trail, "decode");
    if (!phase && trail->resolved->deployment.calls) {
        line(trail, 0, "tpot_s is not defined: several calls write tokens; ask each");
        return;
    }
    if (!phase) {
        line(trail, 0, "tpot_s is not defined: one token is generated, and the prefill gives it");
        return;
    }
    line(trail, 0, "tpot_s = (latency_s - ttft_s) / (output - 1) = %s / %.6g = %s",
         show(trail->answer.latency_s - trail->answer.ttft_s, DIM_SECONDS, decode),
         trail->resolved->request.output - 1, show(trail->answer.tpot_s, DIM_SECONDS, total));
    line(trail, 1, "a cycle of the generation emits %.4g tokens a sequence",
         trail->resolved->deployment.generation.tokens_per_cycle);
    for (int i = 0; i < trail->breakdown.count; i++)
        if (!strstr(trail->breakdown.phases[i].name, "prefill"))
            explain_phase(trail, &trail->breakdown.phases[i]);
    explain_rates(trail);
}

static void explain_latency(const struct trail *trail)
{
    char total[32], first[32], tpot[32];
    if (explain_calls(trail, "latency_s: end of the last call", trail->answer.latency_s))
        return;
    line(trail, 0, "latency_s = ttft_s + (output - 1) * tpot_s = %s + %.6g * %s = %s",
         show(trail->answer.ttft_s, DIM_SECONDS, first), trail->resolved->request.output - 1,
         show(trail->answer.tpot_s, DIM_SECONDS, tpot), show(trail->answer.latency_s, DIM_SECONDS, total));
    explain_ttft(trail);
    explain_tpot(trail);
}

static void explain_throughput(const struct trail *trail)
{
    char latency[32];
    if (trail->resolved->deployment.calls) {
        line(trail, 0, "throughput_tokens_per_s = tokens that all calls write / latency_s = %.6g / %s = %.6g",
             trail->answer.output_tokens, show(trail->answer.latency_s, DIM_SECONDS, latency),
             trail->answer.throughput_tokens_per_s);
        explain_latency(trail);
        return;
    }
    if (trail->resolved->deployment.split.given) {
        line(trail, 0, "throughput_tokens_per_s = requests_per_s * output = %.6g * %.6g = %.6g tokens/s",
             trail->answer.requests_per_s, trail->resolved->request.output,
             trail->answer.throughput_tokens_per_s);
        line(trail, 1, "requests_per_s: the lesser of what the pools for prompts and those for decodes do");
        explain_latency(trail);
        return;
    }
    line(trail, 0, "throughput_tokens_per_s = batch * output / latency_s = %.6g * %.6g / %s = %.6g tokens/s",
         trail->resolved->request.batch, trail->resolved->request.output,
         show(trail->answer.latency_s, DIM_SECONDS, latency), trail->answer.throughput_tokens_per_s);
    explain_latency(trail);
}

static void explain_buffers(const struct trail *trail, enum buffer_class class)
{
    const struct plan *plan = trail->plan;
    int stage = trail->answer.memory.worst_stage;
    for (int i = 0; i < plan->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan->graph.buffers[i];
        int layers = plan_buffer_count(plan, buffer, stage);
        char bytes[32];
        if (buffer->class != class || layers == 0)
            continue;
        if (class == BUFFER_WEIGHTS)
            line(trail, 2, "%s: %d layers x %.6g x [%.6g, %.6g] in %s = %s", buffer->name, layers,
                 buffer->copies, buffer->rows, buffer->cols, buffer->type.name,
                 quantity_format_binary(layers * buffer_layer_bytes(buffer), bytes, sizeof bytes));
        else
            line(trail, 2, "%s: %d layers x %.6g values a %s in %s = %s a %s", buffer->name, layers,
                 buffer->elements, buffer->per_sequence ? "sequence" : "token", buffer->type.name,
                 quantity_format_binary(layers * buffer_token_bytes(buffer), bytes, sizeof bytes),
                 buffer->per_sequence ? "sequence"
                 : buffer->source     ? "token of the prompt"
                                      : "token");
    }
}

/* What drafts add to a class: the model's own buffers do not sum to it then. */
static void explain_drafts(const struct trail *trail, enum buffer_class class)
{
    const struct pool *pool = &trail->resolved->deployment.pools[0];
    for (int i = 1; i < pool->plan_count; i++) {
        struct memory_plan draft;
        char bytes[32];
        if (pool->plans[i]->passes &&
            (class != BUFFER_WEIGHTS ||
             pass_is_vision_tower(&trail->resolved->deployment, &trail->resolved->request, i)))
            continue;
        plan_memory(pool->plans[i], &trail->resolved->request, &draft);
        line(trail, 2, "%s %s: %s", pool->plans[i]->passes ? "encoder" : "draft", pool->plans[i]->model->id,
             quantity_format_binary(class == BUFFER_WEIGHTS ? draft.weights : draft.kv, bytes, sizeof bytes));
    }
}

static void explain_memory(const struct trail *trail)
{
    const struct memory_plan *memory = &trail->answer.memory;
    const struct memory_tier *tier = device_memory(trail->device);
    char a[32], b[32], c[32], d[32], e[32];
    line(trail, 0, "memory.total_bytes = weights + kv + activations + reserved of pipeline stage %d = %s",
         memory->worst_stage, quantity_format_binary(memory->total, a, sizeof a));
    if (trail->resolved->deployment.calls)
        line(trail, 1,
             "of the devices that hold most: weights of all models that calls run there, of the rest the "
             "most that a call needs; below, the question's own model");
    line(trail, 1, "weights = %s", quantity_format_binary(memory->weights, b, sizeof b));
    explain_buffers(trail, BUFFER_WEIGHTS);
    explain_drafts(trail, BUFFER_WEIGHTS);
    line(trail, 1, "kv = %s, %.6g sequences at their last step",
         quantity_format_binary(memory->kv, c, sizeof c), trail->resolved->request.batch);
    explain_buffers(trail, BUFFER_KV);
    explain_drafts(trail, BUFFER_KV);
    line(trail, 1, "activations = %s for steps of %.6g tokens",
         quantity_format_binary(memory->activations, d, sizeof d),
         plan_prefill_tokens(trail->plan, &trail->resolved->request));
    line(trail, 1, "reserved by %s = %s", trail->plan->software->id,
         quantity_format_binary(memory->reserved, e, sizeof e));
    line(trail, 1, "capacity = %s usable of %s x memory_utilization of %s = %s",
         quantity_format_binary(tier_usable(tier), a, sizeof a), tier->name, trail->plan->software->id,
         quantity_format_binary(memory->capacity, b, sizeof b));
    tier_sources(trail, 2, tier);
}

static void explain_energy(const struct trail *trail)
{
    const struct target *target = &trail->plan->target;
    char total[32], idle[32], byte[32], latency[32];
    line(
        trail, 0,
        "energy_j = sum over operators of FLOPs and bytes times their energies + idle power * latency = %s J",
        quantity_format(trail->answer.energy_j, DIM_NONE, total, sizeof total));
    line(trail, 1, "a byte of %s: %s", device_memory(trail->device)->name,
         show(target->energy_per_byte, DIM_JOULES_PER_BYTE, byte));
    for (int f = 0; f < FORMAT_COUNT; f++)
        if (trail->device->matrix[f].flops > 0)
            line(trail, 1, "a FLOP in %s: %s, from (tdp - idle - bandwidth * byte energy) / peak",
                 number_format_name((enum number_format)f),
                 show(target->energy_per_flop[f], DIM_JOULES_PER_FLOP, byte));
    line(trail, 1, "idle: %d devices x %s for %s", trail->answer.devices,
         show(trail->device->power.idle, DIM_WATTS, idle),
         show(trail->answer.latency_s, DIM_SECONDS, latency));
    sources_of(trail, 1, "source", "power");
}

static void explain_cost(const struct trail *trail)
{
    const struct device *device = trail->device;
    char latency[32], rent[32];
    show(trail->answer.latency_s, DIM_SECONDS, latency);
    if (device->price.usd_per_hour > 0)
        line(trail, 0, "cost_usd = rent of %d devices at %s * latency %s = %.6g USD", trail->answer.devices,
             show(device->price.usd_per_hour, DIM_USD_PER_HOUR, rent), latency, trail->answer.cost_usd);
    else if (device->price.launch_usd > 0)
        line(trail, 0, "cost_usd = (%.6g USD x %d devices / %.6g h + electricity) * latency %s = %.6g USD",
             device->price.launch_usd, trail->answer.devices,
             trail->resolved->deployment.site.lifetime / 3600, latency, trail->answer.cost_usd);
    else
        line(trail, 0, "cost_usd is unknown: %s has no price (--set hardware.price.usd_per_hour=\"2 USD/h\")",
             device->id);
    sources_of(trail, 1, "source", "price");
}

static const struct {
    const char *name;
    void (*explain)(const struct trail *trail);
} metrics[] = {
    {"ttft_s", explain_ttft},
    {"tpot_s", explain_tpot},
    {"latency_s", explain_latency},
    {"throughput_tokens_per_s", explain_throughput},
    {"memory.total_bytes", explain_memory},
    {"energy_j", explain_energy},
    {"cost_usd", explain_cost},
};
enum { METRIC_COUNT = sizeof metrics / sizeof *metrics };

static const char *const metric_names[METRIC_COUNT] = {
    "ttft_s", "tpot_s", "latency_s", "throughput_tokens_per_s", "memory.total_bytes", "energy_j", "cost_usd"};

const char *const *estimate_metrics(size_t *count)
{
    *count = METRIC_COUNT;
    return metric_names;
}

bool estimate_explain(const struct resolved *resolved, struct arena *arena, struct diag *diag,
                      const char *metric, struct text *out)
{
    struct trail trail = {.resolved = resolved, .plan = resolved->deployment.pools[0].plans[0], .out = out};
    int found = -1;
    for (int i = 0; i < METRIC_COUNT; i++)
        if (strcmp(metrics[i].name, metric) == 0)
            found = i;
    if (found < 0) {
        const char *nearest = suggest_nearest(metric, metric_names, METRIC_COUNT);
        return diag_error(diag, NOWHERE,
                          "unknown metric \"%.80s\"%s%s%s; known: ttft_s, tpot_s, latency_s, "
                          "throughput_tokens_per_s, memory.total_bytes, energy_j, cost_usd",
                          metric, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                          nearest ? "\"?" : "");
    }
    struct estimate_scratch *scratch = estimate_scratch_new(arena, &resolved->deployment);
    if (!scratch)
        return diag_error(diag, NOWHERE, "out of memory");
    trail.device = trail.plan->target.device;
    estimate(&resolved->deployment, &resolved->request, &resolved->workload.slo, scratch, &trail.answer,
             &trail.breakdown);
    metrics[found].explain(&trail);
    return !out->failed || diag_error(diag, NOWHERE, "out of memory");
}
