/* Prompts pass in parts beside the decodes of other requests: cut along the tokens (chunked prefill, SARATHI
 * arXiv:2308.16369) or along the layers (arXiv:2510.08055). estimate/mixed.c has the steady state. */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum axis { AXIS_TOKENS, AXIS_LAYERS };

struct mixed_batch_parameters {
    int axis;
    double chunk_tokens;
    bool within_budget;
    bool packed;
    int groups_most;
    double batched_tokens;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct mixed_batch_parameters *p = parameters;
    const struct generation *generation = rewrite->generation;
    struct mixing *mixing = &rewrite->request->mixing;
    if (generation && generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "mixed_batch_scheduling: a masked-diffusion model has no prefill to cut");
    if (p->axis == AXIS_LAYERS) {
        if (p->within_budget || p->packed)
            return diag_error(rewrite->diag, NOWHERE,
                              "mixed_batch_scheduling: groups of layers take whole prompts one by one: "
                              "within_budget and packed are about chunks");
        mixing->group_tokens = p->chunk_tokens;
        mixing->groups_most = p->groups_most;
        return true;
    }
    if (p->within_budget && p->chunk_tokens <= rewrite->request->batch)
        return diag_error(rewrite->diag, NOWHERE,
                          "mixed_batch_scheduling: %g decodes leave nothing of a budget of %g tokens",
                          rewrite->request->batch, p->chunk_tokens);
    mixing->chunk_tokens = p->chunk_tokens;
    mixing->within_budget = p->within_budget;
    mixing->packed = p->packed;
    return true;
}

/* Activations are sized for what a step has: a chunk, or by groups of layers a whole prompt. */
static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct mixed_batch_parameters *p = parameters;
    double tokens = p->axis == AXIS_LAYERS ? p->batched_tokens : p->chunk_tokens;
    rewrite->software->prefill_chunk_tokens = (int)tokens;
    return true;
}

static const struct enum_name axis_names[] = {{"tokens", AXIS_TOKENS}, {"layers", AXIS_LAYERS}, {NULL, 0}};

static const struct field fields[] = {
    ENUM_FIELD(
        mixed_batch_parameters, axis, axis_names, "tokens",
        "what prompts are cut along: tokens: chunks; layers: the whole prompt passes one group of layers "
        "a step"),
    QUANTITY_FIELD(
        mixed_batch_parameters, chunk_tokens, DIM_TOKENS, 1, 1e9, "512",
        "of a prompt in a step at most; layers: a prompt has one group of layers for each so many tokens"),
    BOOL_FIELD(mixed_batch_parameters, within_budget, "false",
               "chunk_tokens is the budget of the step, of which each decode takes a token"),
    BOOL_FIELD(mixed_batch_parameters, packed, "false",
               "a chunk is filled with ends and beginnings of several prompts; false: one prompt a step"),
    INT_FIELD(mixed_batch_parameters, groups_most, 1, 64, "16", "layers: groups at most"),
    QUANTITY_FIELD(mixed_batch_parameters, batched_tokens, DIM_TOKENS, 1, 1e9, "8192",
                   "layers: tokens of a step that activations are sized for"),
};
static const struct schema schema = {.name = "mixed_batch_scheduling",
                                     .size = sizeof(struct mixed_batch_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism mixed_batch_scheduling;
const struct mechanism mixed_batch_scheduling = {
    .name = "mixed_batch_scheduling",
    .summary = "prompts pass in parts beside other requests' decodes",
    .lossless = true,
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct mixed_batch_parameters),
    .on_workload = on_workload,
    .on_software = on_software,
};
