/* Images or frames in the prompt: tokens that they put before the text, the vision tower's pass over their
 * patches, and what decodes a video beside the device. Frames may be prefilled group by group as they are
 * decoded (QuickVideo arXiv:2505.16175): with G groups two stages of a and b seconds take
 *   max(a, b) + min(a, b) / G
 * and each group may leave only a share of its KV entries behind. */
#include "mechanism/mechanism.h"
#include "mechanism/rewrites.h"

#include <math.h>
#include <stddef.h>

struct multimodal_parameters {
    double images;
    double tokens_per_image;
    double kept;
    bool tower;
    const char *tower_model;
    double patches;
    double crops;
    double decode_s;
    double start_s;
    double group_images;
    double kv_kept;
};

static double visual_tokens(const struct multimodal_parameters *p)
{
    return ceil(p->images * p->tokens_per_image * p->kept - 1e-9);
}

static double groups_of(const struct multimodal_parameters *p)
{
    return p->group_images > 0 ? fmax(1, ceil(p->images / p->group_images)) : 1;
}

static bool add_pass(struct rewrite *rewrite, const struct multimodal_parameters *p)
{
    struct request *request = rewrite->request;
    if (!p->tower && p->decode_s == 0 && p->start_s == 0)
        return true;
    if (request->pass_count == PASSES_MOST)
        return diag_error(rewrite->diag, NOWHERE, "multimodal_tokens: more than %d passes beside the model",
                          PASSES_MOST);
    request->passes[request->pass_count++] =
        (struct side_pass){.name = "vision tower",
                           .model = p->tower_model,
                           .sequences = p->tower ? p->images * p->crops : 0,
                           .tokens = p->patches > 0 ? p->patches : p->tokens_per_image,
                           .seconds = p->images * p->decode_s,
                           .start = p->start_s,
                           .pieces = groups_of(p)};
    return true;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct multimodal_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (p->images == 0)
        return true;
    if (request->shared_prefix > 0 || request->cached_fraction > 0 || request->segments.tokens > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "multimodal_tokens: images stand before the text, where the workload has a prefix");
    if (request->strata > 1)
        return diag_error(rewrite->diag, NOWHERE,
                          "multimodal_tokens: texts of several lengths beside images: not modelled");
    request->drops.fixed = request->prompt[0];
    request->prompt[0] += visual_tokens(p);
    request->prompt_max += visual_tokens(p);
    return add_pass(rewrite, p);
}

static bool on_software(struct rewrite *rewrite, const void *parameters)
{
    const struct multimodal_parameters *p = parameters;
    double group = p->group_images * p->tokens_per_image * p->kept;
    if (p->images > 0 && group >= 1)
        rewrite->software->prefill_chunk_tokens = (int)fmin(ceil(group), 1e9);
    return true;
}

static bool on_ops(struct rewrite *rewrite, const void *parameters)
{
    const struct multimodal_parameters *p = parameters;
    struct graph *graph = rewrite->graph;
    if (p->images == 0 || p->kv_kept == 1)
        return true;
    for (int i = 0; i < graph->op_count; i++) {
        struct op *op = &graph->ops[i];
        if (!is_cached_attention(op))
            continue;
        if (op->attention.kept.tokens != 0 || op->attention.kept.share != 0)
            return diag_error(rewrite->diag, NOWHERE,
                              "multimodal_tokens.kv_kept: another technique evicts KV entries");
        op->attention.kept.share = graph->buffers[op->cache].kept.share = p->kv_kept;
    }
    return true;
}

static const struct field fields[] = {
    {.key = "images",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct multimodal_parameters, images),
     .dimension = DIM_COUNT,
     .min = 0,
     .max = 1e7,
     .required = true,
     .doc = "images or frames of a request; the workload's prompt is the text beside them"},
    {.key = "tokens_per_image",
     .kind = FIELD_QUANTITY,
     .offset = offsetof(struct multimodal_parameters, tokens_per_image),
     .dimension = DIM_TOKENS,
     .min = 1,
     .max = 1e6,
     .required = true,
     .doc = "tokens that an image is for the language model"},
    FRACTION_FIELD(multimodal_parameters, kept, "1",
                   "share of them that is left when the language model starts (merged, dropped, cropped)"),
    BOOL_FIELD(multimodal_parameters, tower, "true",
               "the vision tower runs; false: features are there already"),
    {.key = "tower_model",
     .kind = FIELD_STRING,
     .offset = offsetof(struct multimodal_parameters, tower_model),
     .doc = "a model that encodes the images; left out: the served model's own vision tower"},
    QUANTITY_FIELD(multimodal_parameters, patches, DIM_TOKENS, 0, 1e6, "0",
                   "patches of a crop that the tower sees; 0: tokens_per_image"),
    QUANTITY_FIELD(
        multimodal_parameters, crops, DIM_NONE, 0.01, 1000, "1",
        "crops that an image is cut into, each a sequence of the tower; below 1: frames share one"),
    QUANTITY_FIELD(multimodal_parameters, decode_s, DIM_SECONDS, 0, 1e4, "0 s",
                   "time to decode a frame beside the device"),
    QUANTITY_FIELD(multimodal_parameters, start_s, DIM_SECONDS, 0, 1e4, "0 s",
                   "before the first group of frames is there, beside nothing"),
    QUANTITY_FIELD(multimodal_parameters, group_images, DIM_COUNT, 0, 1e7, "0",
                   "frames prefilled at a time, while the next are decoded; 0: all at once, after decoding"),
    QUANTITY_FIELD(multimodal_parameters, kv_kept, DIM_FRACTION, 0.001, 1, "1",
                   "share of a group's KV entries that later groups and decode see"),
};
static const struct schema schema = {.name = "multimodal_tokens",
                                     .size = sizeof(struct multimodal_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"decode_s", "start_s", NULL};

extern const struct mechanism multimodal_tokens;
const struct mechanism multimodal_tokens = {
    .name = "multimodal_tokens",
    .summary = "images or frames bring tokens, a vision tower's pass and a video decoder's time",
    .other_work = true,
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct multimodal_parameters),
    .on_workload = on_workload,
    .on_software = on_software,
    .on_ops = on_ops,
};
