/* How prompts of unequal lengths share a step: padded to the longest (B * Lmax tokens), ragged (their sum),
 * or packed behind each other into rows of the longest one's length under one dense mask (Prepacking,
 * arXiv:2404.09529): R = sum / (Lmax * utilization) rows, whose attention works on whole rows. */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>

enum layout { LAYOUT_PADDED, LAYOUT_RAGGED, LAYOUT_PACKED };

struct batching_parameters {
    int layout;
    double utilization;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct batching_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (p->layout != LAYOUT_PACKED)
        return true;
    if (request->prefix_reused || request->cached_fraction > 0 || request->segments.tokens > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "batching.layout packed: rows of several prompts have no cached part");
    if (rewrite->generation && rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "batching.layout packed: masked-diffusion models have no prefill to pack");
    double first = request->prompt[0];
    bool equal = request->prompt_max == first;
    for (int i = 1; i < request->strata; i++)
        equal = equal && request->prompt[i] == first;
    if (!equal && request->batch > 1) /* else each prompt is a row */
        request->packed = p->utilization;
    return true;
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct batching_parameters *p = parameters;
    rewrite->software->pad_prompts = p->layout == LAYOUT_PADDED;
    return true;
}

static const struct enum_name layouts[] = {
    {"padded", LAYOUT_PADDED}, {"ragged", LAYOUT_RAGGED}, {"packed", LAYOUT_PACKED}, {NULL, 0}};

static const struct field fields[] = {
    {.key = "layout",
     .kind = FIELD_ENUM,
     .offset = offsetof(struct batching_parameters, layout),
     .names = layouts,
     .required = true,
     .doc = "to the longest prompt, each at its own length, or several in a row"},
    /* first fit never falls below a half */
    QUANTITY_FIELD(batching_parameters, utilization, DIM_FRACTION, 0.5, 1, "0.95",
                   "packed: share of the rows that prompts fill"),
};
static const struct schema schema = {.name = "batching",
                                     .size = sizeof(struct batching_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"utilization", NULL};

extern const struct mechanism batching;
const struct mechanism batching = {
    .name = "batching",
    .summary = "how prompts of unequal lengths share a step",
    .lossless = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct batching_parameters),
    .on_workload = on_workload,
    .on_software = on_software,
};
