/* From a graph of calls to requests and the deployments that answer them. */
#include "estimate/phases.h"

#include <math.h>
#include <string.h>

/* ---- resolving ---- */

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool has_scope(const char *setting, const char *scope)
{
    size_t length = strlen(scope);
    return strncmp(setting, scope, length) == 0 && setting[length] == '.';
}

/* Of the question's settings those that hold for another model, or on other devices. */
static bool settings_for(struct question *question, struct arena *arena, const struct call *call)
{
    struct string_list all = question->settings;
    question->settings = (struct string_list){ARENA_ARRAY(arena, const char *, all.count + 1), 0};
    if (!question->settings.items)
        return false;
    for (size_t i = 0; i < all.count; i++)
        if (!(call->model && has_scope(all.items[i], "model")) &&
            !(call->device && has_scope(all.items[i], "hardware")))
            question->settings.items[question->settings.count++] = all.items[i];
    return true;
}

/* The question that a call puts to a model or to devices of its own. */
static bool call_question(struct question *question, struct arena *arena, struct diag *diag,
                          const struct call *call, const struct request *request)
{
    double longest = 0;
    for (int i = 0; i < request->strata; i++)
        longest = fmax(longest, request->prompt[i]);
    question->one_call = true;
    question->batch = 1; /* the deployment alone is wanted: batches come with the requests */
    question->prompt = ceil(longest);
    question->output = ceil(request->output);
    if (call->model)
        question->model = call->model;
    if (call->device) {
        question->device = call->device;
        question->devices = call->devices;
        question->system = NULL;
        question->parallel = (struct parallelism){0};
        question->threads = 0;
    }
    return settings_for(question, arena, call) || diag_error(diag, NOWHERE, "out of memory");
}

static const struct deployment *deployment_of_earlier(const struct call_set *set, int index)
{
    const struct call *call = &set->graph->calls[index];
    for (int i = 0; i < index; i++) {
        const struct call *other = &set->graph->calls[i];
        if (same_name(other->model, call->model) && same_name(other->device, call->device) &&
            other->devices == call->devices)
            return set->entries[i].deployment;
    }
    return NULL;
}

/* Calls of one kind of device of their own share it; place 0 is the question's. */
static int place_of(const struct call_set *set, int index)
{
    const struct call *call = &set->graph->calls[index];
    int most = 0;
    for (int i = 0; call->device && i < index; i++) {
        const struct call *other = &set->graph->calls[i];
        if (same_name(other->device, call->device) && other->devices == call->devices)
            return set->entries[i].place;
        most = set->entries[i].place > most ? set->entries[i].place : most;
    }
    return call->device ? most + 1 : 0;
}

/* What the model cannot keep from call to call. */
static bool check_reuse(struct diag *diag, const struct call *call, const struct model *model)
{
    bool reuses = call->shared_prompt || call->keeps_cache || call->cached > 0;
    if (!reuses || (model->encoder_layers == 0 && model->generation != GENERATION_MASKED_DIFFUSION))
        return true;
    return diag_error(diag, NOWHERE, "workflow: %s: %s keeps no part of a prompt for another call",
                      call->name, model->id);
}

static bool check_call(struct diag *diag, const struct call *call, const struct deployment *deployment,
                       const struct request *longest)
{
    const struct model *model = deployment->pools[0].plans[0]->model;
    return check_reuse(diag, call, model) && request_fits_context(diag, model, longest);
}

static bool resolve_call(struct call_set *set, int index, const struct resolved *resolved,
                         const struct workflow_request *request, struct diag *diag,
                         struct catalogue *catalogue)
{
    const struct call *call = &set->graph->calls[index];
    struct call_entry *entry = &set->entries[index];
    struct arena *arena = resolved->arena;
    entry->place = place_of(set, index);
    entry->prefill_name = arena_printf(arena, "%s prefill", call->name);
    entry->decode_name = arena_printf(arena, "%s decode", call->name);
    if (!entry->prefill_name || !entry->decode_name)
        return diag_error(diag, NOWHERE, "out of memory");
    struct request last = turn_request(request, call->turns - 1);
    if (!call->device && (!call->model || same_name(call->model, resolved->question.model)))
        return check_call(diag, call, &resolved->deployment, &last);
    entry->deployment = deployment_of_earlier(set, index);
    if (entry->deployment)
        return check_call(diag, call, entry->deployment, &last);
    struct resolved *own = ARENA_NEW(arena, struct resolved);
    struct question question = resolved->question;
    if (!own)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!call_question(&question, arena, diag, call, &last) ||
        !question_resolve(own, arena, diag, catalogue, &question))
        return false;
    entry->deployment = &own->deployment;
    return check_reuse(diag, call, own->deployment.pools[0].plans[0]->model);
}

bool calls_resolve(struct resolved *resolved, struct diag *diag, struct catalogue *catalogue,
                   const struct call_graph *graph)
{
    struct call_set *set = ARENA_NEW(resolved->arena, struct call_set);
    struct workflow workflow;
    if (!set)
        return diag_error(diag, NOWHERE, "out of memory");
    set->graph = graph;
    resolved->deployment.calls = set;
    calls_workflow(&resolved->deployment, &resolved->request, &workflow);
    for (int i = 0; i < graph->count; i++)
        if (!resolve_call(set, i, resolved, &workflow.requests[i], diag, catalogue))
            return false;
    return true;
}

/* ---- requests ---- */

static double call_count(const struct call_graph *graph, const struct call *call)
{
    return call->count * (call->sampled ? graph->samples : 1);
}

/* Tokens that the calls it waits for wrote, for one request: all of each kind, or one. */
static double outputs_before(const struct call_graph *graph, int index, const struct workflow *workflow)
{
    double tokens = 0;
    for (int i = 0; i < index; i++)
        if (graph->after[index] & 1u << i)
            tokens += (graph->calls[index].paired ? 1 : call_count(graph, &graph->calls[i])) *
                      workflow->requests[i].request.output;
    return tokens;
}

/* Like calls of one request have all but the last token of their prompt in common. */
static void share_prompt(struct request *request, double groups)
{
    double shortest = request->prompt[0];
    for (int i = 1; i < request->strata; i++)
        shortest = fmin(shortest, request->prompt[i]);
    request->shared_prefix = fmax(0, shortest - 1);
    request->prefix_reused = request->shared_prefix > 0;
    request->prefix_cached = false;
    request->prefix_groups = groups;
}

/* A request whose mean batch is below one sequence runs as one, as often as the mean says. */
static void set_batch(struct workflow_request *made, double requests, double count)
{
    double batch = fmax(1, requests) * count;
    made->executions = fmin(1, requests) * fmin(1, batch);
    made->request.batch = fmax(1, batch);
}

static void make_call(const struct call_graph *graph, int index, const struct request *asked,
                      struct workflow *workflow)
{
    const struct call *call = &graph->calls[index];
    struct workflow_request *made = &workflow->requests[index];
    struct request *request = &made->request;
    double read = call->reads * outputs_before(graph, index, workflow), requests = asked->batch * call->share;
    made->turns = call->turns;
    made->growth = call->growth;
    made->keeps_cache = call->keeps_cache;
    made->wait = call->wait;
    *request = *asked;
    if (call->prompt > 0) {
        request->strata = 1;
        request->prompt[0] = request->prompt_max = call->prompt;
    } else {
        request->prompt_max *= call->prompt_factor;
        for (int i = 0; i < request->strata; i++)
            request->prompt[i] *= call->prompt_factor;
    }
    request->prompt_max = fmax(1, request->prompt_max + read);
    for (int i = 0; i < request->strata; i++)
        request->prompt[i] = fmax(1, request->prompt[i] + read);
    request->output = fmax(1, call->output > 0 ? call->output : call->output_factor * asked->output);
    request->cached_fraction = fmax(request->cached_fraction, call->cached);
    set_batch(made, requests, call_count(graph, call));
    if (call->shared_prompt && request->batch > fmax(1, requests))
        share_prompt(request, fmax(1, requests));
    for (int i = 0; i < request->strata; i++)
        request->shared_prefix = fmin(request->shared_prefix, request->prompt[i] - 1);
    for (int i = 0; i < index; i++)
        if (graph->after[index] & 1u << i)
            made->after[made->after_count++] = i;
}

void calls_workflow(const struct deployment *deployment, const struct request *request,
                    struct workflow *workflow)
{
    const struct call_set *set = deployment->calls;
    *workflow = (struct workflow){.count = set->graph->count};
    for (int i = 0; i < workflow->count; i++) {
        struct workflow_request *made = &workflow->requests[i];
        const struct call_entry *entry = &set->entries[i];
        made->deployment = entry->deployment ? entry->deployment : deployment;
        made->place = entry->place;
        made->prefill_name = entry->prefill_name;
        made->decode_name = entry->decode_name;
        make_call(set->graph, i, request, workflow);
    }
}
