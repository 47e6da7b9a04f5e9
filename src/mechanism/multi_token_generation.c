/* A step emits several tokens that nobody verifies: by heads on the last hidden state, or by a small decoder
 * that goes on from it (HAMburger, arXiv:2505.20438). With n tokens a step its weights are read once for n
 * tokens, and where the n tokens enter the model as one, they also leave one entry in the KV cache. */
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

struct multi_token_parameters {
    double tokens_per_step;
    bool merged;
    int micro_layers;
    int heads;
    int head_layers;
};

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct multi_token_parameters *p = parameters;
    struct generation *generation = rewrite->generation;
    if (generation->whole_sequence || generation->phases > 1 || generation->tokens_per_cycle != 1 ||
        rewrite->draft)
        return diag_error(
            rewrite->diag, NOWHERE,
            "multi_token_generation: the model or the stack emits several tokens a step already");
    double tokens = p->tokens_per_step;
    if (tokens <= 1)
        return true; /* a token a step is plain decoding */
    *generation =
        (struct generation){.tokens_per_cycle = tokens, .context_per_cycle = p->merged ? 1 : tokens};
    if (p->micro_layers > 0) {
        /* the small decoder sees the group alone, whose first token is the model's own */
        generation->cycle[generation->phases++] = (struct phase){.plan = 1,
                                                                 .new_tokens = 1,
                                                                 .steps = tokens - 1,
                                                                 .context_offset = 1,
                                                                 .sampled = 1,
                                                                 .alone = true};
        generation->drafting = (struct drafting){
            .own = true, .layers = p->micro_layers, .shares_ends = true, .shares_cache = true};
    }
    generation->cycle[generation->phases++] =
        (struct phase){.new_tokens = p->merged ? 1 : tokens, .steps = 1, .sampled = 1, .mask = MASK_CAUSAL};
    return true;
}

/* Of the output 1/n of the tokens stay in the cache, of the prompt all. */
static void keep_merged(const struct rewrite *rewrite, double tokens)
{
    double prompt = 0;
    for (int i = 0; i < rewrite->request->strata; i++)
        prompt += rewrite->request->prompt[i] / rewrite->request->strata;
    for (int i = 0; i < rewrite->graph->buffer_count; i++) {
        struct buffer *buffer = &rewrite->graph->buffers[i];
        bool whole = buffer->kept.tokens == 0 && buffer->kept.share == 0;
        if (buffer->class == BUFFER_KV && !buffer->per_sequence && whole)
            buffer->kept = (struct kept){prompt * (1 - 1 / tokens), 1 / tokens};
    }
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct multi_token_parameters *p = parameters;
    if (strcmp(rewrite->role, ROLE_DRAFT) == 0 || p->tokens_per_step <= 1)
        return true;
    if (p->merged && rewrite->request)
        keep_merged(rewrite, p->tokens_per_step);
    return p->heads == 0 || decoding_heads_add(rewrite, p->heads, p->head_layers);
}

static const struct field fields[] = {
    {.key = "tokens_per_step",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct multi_token_parameters, tokens_per_step),
     .dimension = DIM_NONE,
     .min = 1,
     .max = 64,
     .required = true,
     .doc = "tokens that a step of the model emits, on average"},
    BOOL_FIELD(multi_token_parameters, merged, "false",
               "a step's tokens enter the next as one, and leave one entry in the KV cache"),
    INT_FIELD(
        multi_token_parameters, micro_layers, 0, 64, "0",
        "layers like the model's, with its output head, that make each token of a step after the first"),
    INT_FIELD(multi_token_parameters, heads, 0, 16, "0",
              "heads on the last hidden state that make the tokens after the first"),
    INT_FIELD(multi_token_parameters, head_layers, 0, 8, "1",
              "square layers of a head below its vocabulary layer"),
};
static const struct schema schema = {.name = "multi_token_generation",
                                     .size = sizeof(struct multi_token_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"tokens_per_step", NULL};

extern const struct mechanism multi_token_generation;
const struct mechanism multi_token_generation = {
    .name = "multi_token_generation",
    .summary = "several tokens a step, unverified",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct multi_token_parameters),
    .on_generation = on_generation,
    .on_ops = on_ops,
};
