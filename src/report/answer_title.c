#include "report/answer.h"

#include "base/text.h"

#include <string.h>

static const char *name_or(const char *name, const char *fallback)
{
    return name != NULL && name[0] != '\0' ? name : fallback != NULL ? fallback : "";
}

static const char *keep(struct arena *arena, struct text *text)
{
    const char *kept =
        text->data != NULL && !text->failed ? arena_strndup(arena, text->data, text->length) : NULL;
    text_free(text);
    return kept != NULL ? kept : "";
}

static void add_devices(struct text *out, const struct result *result)
{
    const struct system *system = result->resolved->system;
    const struct device *device = result_plan(result)->target.device;
    if (system->member_count > 1) {
        text_add(out, name_or(system->name, system->id));
        return;
    }
    text_printf(out, "%d x %s", result->answer.devices, name_or(device->name, device->id));
}

/* A version that the name already ends with is not said twice. */
static void add_software(struct text *out, const struct software *software)
{
    const char *name = name_or(software->name, software->id);
    text_add(out, name);
    if (software->version != NULL && software->version[0] != '\0' && strstr(name, software->version) == NULL)
        text_printf(out, " %s", software->version);
}

const char *answer_title(const struct result *result, struct arena *arena)
{
    const struct plan *plan = result_plan(result);
    struct text out = {0};
    text_printf(&out, "%s · ", name_or(plan->model->name, plan->model->id));
    add_devices(&out, result);
    text_add(&out, " · ");
    add_software(&out, plan->software);
    return keep(arena, &out);
}

static double mean_prompt(const struct request *request)
{
    double sum = 0.0;
    for (int i = 0; i < request->strata; i++)
        sum += request->prompt[i];
    return request->strata > 0 ? sum / request->strata : 0.0;
}

static void add_request(struct text *out, const struct result *result)
{
    const struct request *request = &result->resolved->request;
    const struct workload *workload = &result->resolved->workload;
    if (workload->id != NULL && result->resolved->question.workload != NULL)
        text_printf(out, "%s: ", workload->id);
    text_printf(out, "batch %.8g · prompt %.0f", request->batch, mean_prompt(request));
    if (request->strata > 1)
        text_printf(out, " on average, up to %.0f", request->prompt_max);
    if (request->shared_prefix > 0.0)
        text_printf(out, " (%.0f shared%s)", request->shared_prefix,
                    request->prefix_reused ? ", reused" : "");
    text_printf(out, " · output %.0f tokens", request->output);
}

static void add_degree(struct text *out, const char *name, int degree)
{
    if (degree > 1)
        text_printf(out, " · %s %d", name, degree);
}

static void add_types(struct text *out, const struct result *result)
{
    const struct graph_types *types = &result_plan(result)->graph.types;
    const char *inputs = result_linear_inputs(result);
    text_printf(out, " · weights %s", types->weights.name);
    if (types->experts.name[0] != '\0' && strcmp(types->experts.name, types->weights.name) != 0)
        text_printf(out, ", experts %s", types->experts.name);
    text_printf(out, ", activations %s", types->activations.name);
    if (strcmp(inputs, types->activations.name) != 0)
        text_printf(out, " (%s into linear layers)", inputs);
    text_printf(out, ", KV %s", types->kv.name);
}

const char *answer_setting(const struct result *result, struct arena *arena)
{
    const struct plan *plan = result_plan(result);
    const struct parallelism *parallel = &plan->parallel;
    const struct string_list *techniques = &result->resolved->question.techniques;
    struct text out = {0};
    add_request(&out, result);
    add_degree(&out, "TP", parallel->tp);
    add_degree(&out, "PP", parallel->pp);
    add_degree(&out, "EP", parallel->ep);
    add_degree(&out, "DP", parallel->dp);
    if (parallel->sp && parallel->tp > 1)
        text_add(&out, " · SP");
    add_types(&out, result);
    for (size_t i = 0; i < techniques->count; i++)
        text_printf(&out, "%s%s", i == 0 ? " · with " : " + ", techniques->items[i]);
    return keep(arena, &out);
}

const char *fitting_line(const struct result *result, const struct fitting *fitting, struct arena *arena)
{
    struct text out = {0};
    if (fitting == NULL || (fitting->batch < 1 && fitting->devices < 1))
        return "";
    int devices = result->answer.devices;
    double batch = result->resolved->request.batch;
    text_add(&out, "it would fit: ");
    if (fitting->batch >= 1)
        text_printf(&out, "batch %d on %s", fitting->batch, devices == 1 ? "this device" : "these devices");
    if (fitting->devices >= 1)
        text_printf(&out, "%sbatch %.6g on %d devices", fitting->batch >= 1 ? "; " : "", batch,
                    fitting->devices);
    return keep(arena, &out);
}
