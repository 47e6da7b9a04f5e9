#include "report/answer.h"
#include "report/op_row.h"

#include "report/figures.h"
#include "report/ops.h"

#include <math.h>
#include <string.h>

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *memory_json(const struct memory_plan *memory)
{
    json_t *object = json_object();
    set(object, "weights_bytes", json_figure(memory->weights));
    set(object, "kv_bytes", json_figure(memory->kv));
    set(object, "activation_bytes", json_figure(memory->activations));
    set(object, "reserved_bytes", json_figure(memory->reserved));
    set(object, "total_bytes", json_figure(memory->total));
    set(object, "capacity_bytes", json_figure(memory->capacity));
    set(object, "fits", json_boolean(memory->fits));
    return object;
}

static json_t *pair_json(struct interval interval)
{
    json_t *pair = json_array();
    json_array_append_new(pair, json_figure(interval.low));
    json_array_append_new(pair, json_figure(interval.high));
    return pair;
}

static json_t *interval_json(const struct answer *answer)
{
    json_t *object = json_object();
    set(object, "level", json_figure(answer->interval_level));
    set(object, "method", json_string(answer->interval_draws > 0 ? "sampling" : "delta"));
    if (answer->interval_draws > 0)
        set(object, "draws", json_integer(answer->interval_draws));
    set(object, "ttft_s", pair_json(answer->ttft_interval));
    set(object, "tpot_s", pair_json(answer->tpot_interval));
    return object;
}

static void set_goal(json_t *slo, const char *key, double goal, bool met)
{
    if (!(goal > 0.0))
        return;
    json_t *object = json_object();
    set(object, "goal_s", json_figure(goal));
    set(object, "met", json_boolean(met));
    set(slo, key, object);
}

static json_t *slo_json(const struct result *result)
{
    const struct slo *slo = &result->resolved->workload.slo;
    json_t *object = json_object();
    set_goal(object, "ttft", slo->ttft, result->answer.ttft_met);
    set_goal(object, "tpot", slo->tpot, result->answer.tpot_met);
    set_goal(object, "latency", slo->latency, result->answer.latency_met);
    return object;
}

json_t *parallel_json(const struct parallelism *parallel)
{
    json_t *object = json_object();
    set(object, "tp", json_integer(parallel->tp));
    set(object, "pp", json_integer(parallel->pp));
    set(object, "ep", json_integer(parallel->ep));
    set(object, "dp", json_integer(parallel->dp));
    set(object, "sp", json_boolean(parallel->sp));
    set(object, "micro_batches", json_integer(parallel->micro_batches));
    set(object, "expert_skew", json_figure(parallel->expert_skew));
    return object;
}

static json_t *types_json(const struct result *result)
{
    const struct graph_types *types = &result_plan(result)->graph.types;
    bool apart = types->experts.name[0] != '\0';
    json_t *object = json_object();
    set(object, "weights", json_text(types->weights.name));
    set(object, "experts", json_text(apart ? types->experts.name : types->weights.name));
    set(object, "activations", json_text(types->activations.name));
    set(object, "linear_inputs", json_text(result_linear_inputs(result)));
    set(object, "kv", json_text(types->kv.name));
    return object;
}

static json_t *workload_json(const struct result *result)
{
    const struct request *request = &result->resolved->request;
    json_t *object = json_object();
    json_t *prompts = json_array();
    for (int i = 0; i < request->strata; i++)
        json_array_append_new(prompts, json_count(request->prompt[i]));
    set(object, "name", json_text(result->resolved->question.workload));
    set(object, "batch", json_count(request->batch));
    set(object, "prompt_tokens", prompts); /* equally likely lengths */
    set(object, "prompt_tokens_most", json_count(request->prompt_max));
    set(object, "output_tokens", json_count(request->output));
    set(object, "shared_prefix_tokens", json_count(request->shared_prefix));
    set(object, "prefix_reused", json_boolean(request->prefix_reused));
    set(object, "cached_fraction", json_figure(request->cached_fraction));
    return object;
}

static void set_identity(json_t *object, const struct result *result)
{
    const struct plan *plan = result_plan(result);
    const struct question *question = &result->resolved->question;
    set(object, "schema_version", json_integer(SCHEMA_VERSION));
    set(object, "model", json_text(plan->model->id));
    set(object, "device", json_text(result->resolved->system->id));
    set(object, "devices", json_integer(result->answer.devices));
    set(object, "software", json_text(plan->software->id));
    set(object, "parallel", parallel_json(&plan->parallel));
    set(object, "types", types_json(result));
    set(object, "workload", workload_json(result));
    set(object, "techniques", json_texts(question->techniques.items, question->techniques.count));
    set(object, "settings", json_texts(question->settings.items, question->settings.count));
    set(object, "residency", json_boolean(!question->no_residency));
    set(object, "empirical", json_texts(result->empirical, result->empirical_count));
    set(object, "calibration", json_text(provenance_name(result->answer.calibration)));
    set(object, "warnings", json_texts(result->warnings, result->warning_count));
}

/* The plain figures; the memory plan and the intervals are objects of their own. */
static void set_figures(json_t *object, const struct answer *answer)
{
    for (size_t f = 0; f < figure_count; f++) {
        const char *key = figures[f].key;
        bool nested = strncmp(key, "memory_", 7) == 0 || strstr(key, "_low_s") != NULL ||
                      strstr(key, "_high_s") != NULL;
        if (!nested)
            set(object, key, json_figure(answer_figure(&figures[f], answer)));
    }
    set(object, "interval", interval_json(answer));
    set(object, "memory", memory_json(&answer->memory));
}

json_t *answer_figures_json(const struct answer *answer)
{
    json_t *object = json_object();
    set_figures(object, answer);
    return object;
}

/* "draft decode" -> "draft_decode" */
static void set_phase(json_t *object, const struct phase_cost *phase)
{
    char key[64];
    size_t length = strlen(phase->name);
    length = length < sizeof key ? length : sizeof key - 1;
    for (size_t i = 0; i < length; i++)
        key[i] = phase->name[i] == ' ' ? '_' : phase->name[i];
    key[length] = '\0';
    set(object, key, phase_json(phase));
}

/* A phase that never runs (one output token: no decode) is there, with nothing in it. */
static json_t *empty_phase(void)
{
    return json_pack("{s:f, s:f, s:f, s:i, s:f, s:[]}", "time_s", 0.0, "flops", 0.0, "bytes", 0.0, "steps", 0,
                     "host_gap_s", 0.0, "ops");
}

/* Idle power and what operators add to it; null without power figures. */
static json_t *energy_json(const struct result *result)
{
    double parts[ENERGY_PART_COUNT], above_idle = 0.0;
    if (!isfinite(result->answer.energy_j))
        return json_null();
    result_energy(result, parts);
    json_t *object = json_object();
    for (int e = 0; e < ENERGY_PART_COUNT; e++) {
        set(object, energy_part_name((enum energy_part)e), json_figure(parts[e]));
        above_idle += parts[e];
    }
    set(object, "idle", json_figure(result->answer.energy_j - above_idle));
    return object;
}

/* A workflow's calls in their order. */
static json_t *calls_json(const struct result *result)
{
    const struct call_graph *graph = result->resolved->deployment.calls->graph;
    json_t *calls = json_array();
    for (int i = 0; i < graph->count; i++) {
        const struct call_time *time = &result->answer.call_times[i];
        json_t *object = json_object();
        set(object, "name", json_text(graph->calls[i].name));
        set(object, "sequences", json_figure(time->sequences));
        set(object, "turns", json_integer(graph->calls[i].turns));
        set(object, "expected_runs", json_figure(time->executions));
        set(object, "start_s", json_figure(time->start));
        set(object, "end_s", json_figure(time->end));
        json_array_append_new(calls, object);
    }
    return calls;
}

json_t *answer_json(const struct result *result, const struct fitting *fitting)
{
    json_t *object = json_object();
    set_identity(object, result);
    set_figures(object, &result->answer);
    set(object, "energy_by_part_j", energy_json(result));
    set(object, "slo", slo_json(result));
    if (fitting != NULL && !result->answer.memory.fits)
        set(object, "would_fit",
            json_pack("{s:i, s:i}", "batch", fitting->batch, "devices", fitting->devices));
    if (result->resolved->deployment.calls != NULL)
        set(object, "calls", calls_json(result));
    set(object, "prefill", empty_phase());
    set(object, "decode", empty_phase());
    for (int i = 0; i < result->breakdown.count; i++)
        set_phase(object, &result->breakdown.phases[i]);
    return object;
}
