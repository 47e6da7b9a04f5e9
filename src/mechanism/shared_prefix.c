/* A prefix that all prompts share is computed once and stored once (vLLM's automatic prefix caching, SGLang's
 * radix tree arXiv:2312.07104); with read_once the attention kernel also reads it once for all sequences
 * (Hydragen arXiv:2402.05099). */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct shared_prefix_parameters {
    double prefix_tokens;
    bool cached;
    bool read_once;
};

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct shared_prefix_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (rewrite->generation && rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "shared_prefix: a masked-diffusion model caches nothing to reuse");
    double prefix = p->prefix_tokens > 0 ? p->prefix_tokens : request->shared_prefix;
    if (!(prefix > 0))
        return diag_error(
            rewrite->diag, NOWHERE,
            "shared_prefix: the workload has no shared_prefix; give shared_prefix.prefix_tokens");
    for (int i = 0; i < request->strata; i++) {
        /* a prompt is the prefix and at least one token of its own */
        if (prefix > request->prompt[i] - 1)
            return diag_error(
                rewrite->diag, NOWHERE,
                "shared_prefix: a prefix of %g tokens does not leave a token of a %g-token prompt", prefix,
                request->prompt[i]);
    }
    request->shared_prefix = prefix;
    request->prefix_reused = true;
    request->prefix_cached = p->cached;
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct shared_prefix_parameters *p = parameters;
    for (int i = 0; i < rewrite->graph->op_count; i++) {
        struct op *op = &rewrite->graph->ops[i];
        if (op->kind == OP_ATTENTION && op->attention.part == PART_FUSED)
            op->attention.prefix_once = p->read_once;
    }
    return true;
}

static const struct field fields[] = {
    {.key = "prefix_tokens",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct shared_prefix_parameters, prefix_tokens),
     .dimension = DIM_TOKENS,
     .min = 0,
     .max = 1e9,
     .fallback = "0",
     .doc = "tokens all prompts begin with; 0: the workload's shared_prefix"},
    {.key = "cached",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct shared_prefix_parameters, cached),
     .fallback = "false",
     .doc = "already in the cache when the batch arrives, so not computed at all"},
    {.key = "read_once",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct shared_prefix_parameters, read_once),
     .fallback = "false",
     .doc = "attention reads the prefix once for all sequences instead of once for each"},
};
static const struct schema schema = {.name = "shared_prefix",
                                     .size = sizeof(struct shared_prefix_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};

extern const struct mechanism shared_prefix;
const struct mechanism shared_prefix = {
    .name = "shared_prefix",
    .summary = "a prefix common to all prompts is computed and stored once",
    .parameters = {&schema, NULL},
    .parameter_size = sizeof(struct shared_prefix_parameters),
    .on_workload = on_workload,
    .on_ops = on_ops,
};
