/* Long contexts reach the model shorter: c tokens of retrieved text become
 *   c (keep) tokens, or, cut into chunks of k of which a share p stays text and each other is one embedding
 *   (REFRAG arXiv:2509.01092),  c (p + (1 - p) / k)
 * beside the question. What shortens them runs first, as a pass of an encoder over all c tokens in sequences
 * of its own, unless its results are stored. Retrieval that is not always asked for counts in expectation. */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>

struct prompt_compression_parameters {
    double question_tokens;
    double keep;
    double chunk_tokens;
    double expanded;
    double retrieval;
    const char *encoder;
    double encoder_tokens;
    bool cached;
};

static double tokens_left(const struct prompt_compression_parameters *p, double context)
{
    double chunked = p->expanded + (1 - p->expanded) / p->chunk_tokens;
    return context * p->keep * chunked * p->retrieval;
}

static bool add_encoder(struct rewrite *rewrite, const struct prompt_compression_parameters *p,
                        double context)
{
    struct request *request = rewrite->request;
    double length = fmin(p->encoder_tokens > 0 ? p->encoder_tokens : p->chunk_tokens, context);
    if (!p->encoder || p->cached || context <= 0)
        return true;
    if (request->pass_count == PASSES_MOST)
        return diag_error(rewrite->diag, NOWHERE, "prompt_compression: more than %d passes beside the model",
                          PASSES_MOST);
    request->passes[request->pass_count++] = (struct side_pass){.name = "encoder",
                                                                .model = p->encoder,
                                                                .sequences = p->retrieval * context / length,
                                                                .tokens = length,
                                                                .pieces = 1};
    return true;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct prompt_compression_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (request->shared_prefix > 0 || request->cached_fraction > 0 || request->segments.tokens > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "prompt_compression: a prompt of which a part is cached is not compressed anew");
    double mean = 0, longest = 0;
    for (int i = 0; i < request->strata; i++) {
        double context = fmax(request->prompt[i] - p->question_tokens, 0);
        mean += context / request->strata;
        request->prompt[i] = fmax(1, request->prompt[i] - context + ceil(tokens_left(p, context) - 1e-9));
        longest = fmax(longest, request->prompt[i]);
    }
    double context = fmax(request->prompt_max - p->question_tokens, 0);
    request->prompt_max = fmax(longest, request->prompt_max - context + ceil(tokens_left(p, context) - 1e-9));
    return add_encoder(rewrite, p, mean);
}

static const struct field fields[] = {
    QUANTITY_FIELD(prompt_compression_parameters, question_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "tokens of the prompt that stay as they are"),
    FRACTION_FIELD(prompt_compression_parameters, keep, "1",
                   "share of the context's tokens that is left after selecting, deleting or summarising"),
    QUANTITY_FIELD(prompt_compression_parameters, chunk_tokens, DIM_TOKENS, 1, 1e6, "1",
                   "tokens that one embedding stands for; 1: no embeddings"),
    FRACTION_FIELD(prompt_compression_parameters, expanded, "0", "share of the chunks that stay text"),
    FRACTION_FIELD(prompt_compression_parameters, retrieval, "1",
                   "share of the requests that retrieve a context at all; tokens count in expectation"),
    {.key = "encoder",
     .kind = FIELD_STRING,
     .offset = offsetof(struct prompt_compression_parameters, encoder),
     .doc = "a model that reads the whole context first; left out: costs nothing"},
    QUANTITY_FIELD(prompt_compression_parameters, encoder_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "length of the encoder's sequences; 0: chunk_tokens"),
    BOOL_FIELD(prompt_compression_parameters, cached, "false",
               "the encoder's results were stored before the request came"),
};
static const struct schema schema = {.name = "prompt_compression",
                                     .size = sizeof(struct prompt_compression_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"retrieval", NULL};

extern const struct mechanism prompt_compression;
const struct mechanism prompt_compression = {
    .name = "prompt_compression",
    .summary = "long contexts reach the model as fewer tokens or embeddings",
    .other_work = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct prompt_compression_parameters),
    .on_workload = on_workload,
};
