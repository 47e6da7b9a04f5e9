/* A user's request that becomes a graph of calls: best-of-N, search, refinement, ensembles, agents,
 * retrieval, routing and cascades. The mechanism only says which calls there are; estimate/calls.c makes
 * requests of them and workflow.c adds them up. Workers that write into one cache (Hogwild! Inference,
 * arXiv:2504.06261) are one call whose steps emit a token for each worker. */
#include "mechanism/calls.h"
#include "mechanism/mechanism.h"

#include <stddef.h>
#include <string.h>

struct workflow_parameters {
    struct object_list calls;
    double samples;
    int workers;
};

static int call_named(const struct call *calls, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(calls[i].name, name) == 0)
            return i;
    return -1;
}

/* The names that the call waits for as bits: each must stand before it, so that there are no circles. */
static bool find_waits(struct rewrite *rewrite, struct call_graph *graph, int index)
{
    const struct call *call = &graph->calls[index];
    if (call_named(graph->calls, index, call->name) >= 0)
        return diag_error(rewrite->diag, NOWHERE, "workflow: two calls are named %s", call->name);
    for (size_t w = 0; w < call->after.count; w++) {
        int before = call_named(graph->calls, index, call->after.items[w]);
        if (before < 0)
            return diag_error(rewrite->diag, NOWHERE,
                              "workflow: %s waits for \"%s\", which is no call before it", call->name,
                              call->after.items[w]);
        graph->after[index] |= 1u << before;
    }
    if (call->reads > 0 && call->after.count == 0)
        return diag_error(rewrite->diag, NOWHERE, "workflow: %s reads outputs of calls, but waits for none",
                          call->name);
    return true;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct workflow_parameters *p = parameters;
    if (p->calls.count == 0)
        return true;
    if (p->calls.count > CALLS_MOST)
        return diag_error(rewrite->diag, NOWHERE, "workflow: found %zu calls, at most %d", p->calls.count,
                          CALLS_MOST);
    struct call_graph *graph = ARENA_NEW(rewrite->arena, struct call_graph);
    if (!graph)
        return diag_error(rewrite->diag, NOWHERE, "out of memory");
    *graph =
        (struct call_graph){.calls = p->calls.items, .count = (int)p->calls.count, .samples = p->samples};
    for (int i = 0; i < graph->count; i++)
        if (!find_waits(rewrite, graph, i))
            return false;
    rewrite->calls = graph;
    return true;
}

/* All workers' tokens go through one step on the one cache that holds what any of them wrote. */
static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct workflow_parameters *p = parameters;
    struct generation *generation = rewrite->generation;
    if (p->workers == 1)
        return true;
    if (generation->whole_sequence || generation->phases > 1 || generation->tokens_per_cycle > 1)
        return diag_error(rewrite->diag, NOWHERE,
                          "workflow: workers on one cache need a model that decodes a token a step");
    generation->cycle[0].new_tokens = generation->cycle[0].sampled = p->workers;
    generation->cycle[0].mask = MASK_TREE;
    generation->tokens_per_cycle = p->workers;
    return true;
}

#define CALL_TOKENS(member, text)                                                                            \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct call, member),                     \
        .dimension = DIM_TOKENS, .min = 0, .max = 1e9, .fallback = "0", .doc = text                          \
    }
#define CALL_FACTOR(member, most, other, text)                                                               \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct call, member),                     \
        .dimension = DIM_NONE, .min = 0, .max = most, .fallback = other, .doc = text                         \
    }
#define CALL_SHARE(member, other, text)                                                                      \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct call, member),                     \
        .dimension = DIM_FRACTION, .min = 0, .max = 1, .fallback = other, .doc = text                        \
    }
#define CALL_FLAG(member, text)                                                                              \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct call, member), .fallback = "false",    \
        .doc = text                                                                                          \
    }
static const struct field call_fields[] = {
    {.key = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct call, name),
     .required = true,
     .doc = "what others wait for it by"},
    {.key = "after",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct call, after),
     .doc = "calls before it in the list that must end first"},
    QUANTITY_FIELD(call, count, DIM_NONE, 0.001, 1e6, "1",
                   "like calls of each request, in one batch; may be a mean"),
    CALL_FLAG(sampled, "there are `samples` times as many"),
    INT_FIELD(call, turns, 1, TURNS_MOST, "1", "times it runs, one behind the other"),
    CALL_FACTOR(growth, 1e3, "1", "of a turn's output, what the next turn reads on top of its own prompt"),
    CALL_FLAG(keeps_cache, "what a turn read and wrote is still cached in the next"),
    CALL_SHARE(share, "1", "of the requests that come to it: routed, escalated"),
    {.key = "model",
     .kind = FIELD_STRING,
     .offset = offsetof(struct call, model),
     .doc = "another model than the question's; it lies beside it on the same devices"},
    {.key = "device",
     .kind = FIELD_STRING,
     .offset = offsetof(struct call, device),
     .doc = "runs on devices of its own: which"},
    INT_FIELD(call, devices, 0, 1000000, "0", "how many of those; 0: as the device's file says"),
    CALL_TOKENS(prompt, "its prompt; 0: prompt_factor of the question's"),
    CALL_FACTOR(prompt_factor, 1e6, "1", "of the question's prompt"),
    CALL_FACTOR(reads, 1e3, "0", "of each output of the calls it waits for, what it reads on top"),
    CALL_FLAG(paired, "it reads one output of each call it waits for, instead of those of all like calls"),
    CALL_TOKENS(output, "its output; 0: output_factor of the question's"),
    CALL_FACTOR(output_factor, 1e6, "1", "of the question's output"),
    CALL_FLAG(shared_prompt, "the like calls of a request share their prompt, computed and kept once"),
    CALL_SHARE(cached, "0", "of its prompt, what earlier calls have left in the cache"),
    QUANTITY_FIELD(call, wait, DIM_SECONDS, 0, 1e6, "0 s",
                   "before each turn, in which no model runs: retrieval, tools, networks"),
};
static const struct schema call_schema = {.name = "call",
                                          .size = sizeof(struct call),
                                          .fields = call_fields,
                                          .count = sizeof call_fields / sizeof *call_fields};

static const struct field fields[] = {
    {.key = "calls",
     .kind = FIELD_OBJECTS,
     .offset = offsetof(struct workflow_parameters, calls),
     .object = &call_schema,
     .doc = "calls of each request, each behind those it waits for; none: the request is one call"},
    QUANTITY_FIELD(workflow_parameters, samples, DIM_NONE, 1, 1e6, "1",
                   "multiplies the counts of calls that are sampled: N of best-of-N"),
    INT_FIELD(workflow_parameters, workers, 1, 16, "1",
              "that write one output together, a token each a step, into one cache that all read"),
};
static const struct schema schema = {.name = "workflow",
                                     .size = sizeof(struct workflow_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism workflow;
const struct mechanism workflow = {
    .name = "workflow",
    .summary = "a request becomes a graph of calls: samples, judges, refinements, agents, routes",
    .other_work = true,
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct workflow_parameters),
    .on_workload = on_workload,
    .on_generation = on_generation,
};
