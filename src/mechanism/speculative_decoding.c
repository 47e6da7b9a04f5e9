/* Chain speculation: a draft model proposes tokens one by one, the model verifies them in one pass. With each
 * proposal accepted independently with probability a, a cycle of g proposals emits (1 - a^(g+1)) / (1 - a)
 * tokens on average (Leviathan et al., arXiv:2211.17192, equation 1). */
#include "mechanism/mechanism.h"

#include <stddef.h>

struct speculative_parameters {
    const char *draft_model;
    int draft_tokens;
    double acceptance;
};

/* 1 + a + ... + a^g, summed: the closed form is 0/0 at a = 1 and loses its digits near it. */
static double tokens_emitted(double acceptance, int proposals)
{
    double sum = 1, chance = 1;
    for (int i = 0; i < proposals; i++)
        sum += chance *= acceptance;
    return sum;
}

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct speculative_parameters *p = parameters;
    struct generation *generation = rewrite->generation;
    if (generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "speculative_decoding: a masked-diffusion model does not decode token by token");
    if (rewrite->draft)
        return diag_error(rewrite->diag, NOWHERE,
                          "speculative_decoding: the stack has a draft model already");
    double proposals = p->draft_tokens;
    *generation = (struct generation){
        .cycle = {{.plan = 1, .new_tokens = 1, .steps = proposals, .sampled = 1, .mask = MASK_CAUSAL},
                  {.plan = 0,
                   .new_tokens = proposals + 1,
                   .steps = 1,
                   .sampled = proposals + 1,
                   .mask = MASK_CAUSAL}},
        .phases = 2,
        .tokens_per_cycle = tokens_emitted(p->acceptance, p->draft_tokens),
        .draft_prefills = true,
    };
    rewrite->draft = p->draft_model;
    return true;
}

static const struct field fields[] = {
    {.key = "draft_model",
     .kind = FIELD_STRING,
     .offset = offsetof(struct speculative_parameters, draft_model),
     .required = true,
     .doc = "the model that proposes"},
    {.key = "draft_tokens",
     .kind = FIELD_INT,
     .offset = offsetof(struct speculative_parameters, draft_tokens),
     .min = 1,
     .max = 15,
     .fallback = "4",
     .doc = "proposals a cycle"},
    {.key = "acceptance",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct speculative_parameters, acceptance),
     .dimension = DIM_FRACTION,
     .min = 0,
     .max = 1,
     .required = true,
     .doc = "probability that a proposal is accepted, given that those before it were"},
};
static const struct schema schema = {.name = "speculative_decoding",
                                     .size = sizeof(struct speculative_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"acceptance", NULL};

extern const struct mechanism speculative_decoding;
const struct mechanism speculative_decoding = {
    .name = "speculative_decoding",
    .summary = "a small model proposes tokens, the model verifies them in one pass",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct speculative_parameters),
    .on_generation = on_generation,
};
