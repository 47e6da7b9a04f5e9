/* A prefix that all prompts share is computed once and stored once (vLLM's automatic prefix caching, SGLang's
 * radix tree arXiv:2312.07104); with read_once the attention kernel also reads it once for all sequences
 * (Hydragen arXiv:2402.05099). A batch may have several prefixes, each shared by an equal part of it.
 *
 * Behind the prefix a prompt may consist of segments that attend to the prefix and to themselves only
 * (documents: BlockRank arXiv:2510.05396), so that their KV is the same in any prompt and may be cached; some
 * methods then compute part of it again, or move it to put it right: rotate K to its new place, add offsets
 * (KVCOMM arXiv:2510.12872). */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

struct shared_prefix_parameters {
    double prefix_tokens;
    bool cached;
    bool read_once;
    double groups;
    struct string_list levels;
    double share;
    double segment_tokens, segments_cached, recomputed, tail_tokens, moved, match_s, hit_rate;
};

static bool set_segments(struct rewrite *rewrite, const struct shared_prefix_parameters *p)
{
    struct request *request = rewrite->request;
    if (p->segment_tokens == 0 || p->hit_rate == 0)
        return true;
    if (request->drops.count > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "shared_prefix.segment_tokens: cached segments have KV in all layers, but "
                          "another technique drops tokens");
    if (request->packed > 0)
        return diag_error(rewrite->diag, NOWHERE,
                          "shared_prefix.segment_tokens: rows of several packed prompts have no segments");
    request->segments = (struct prompt_segments){.tokens = p->segment_tokens,
                                                 .cached = p->segments_cached,
                                                 .recomputed = p->recomputed,
                                                 .tail = p->tail_tokens,
                                                 .moved = p->moved,
                                                 .match_s = p->match_s,
                                                 .hit_rate = p->hit_rate};
    return true;
}

/* A tree's levels from the root, p_i tokens in g_i different texts each: as one prefix of P = sum p_i tokens
 * in sum p_i g_i / P texts. Tokens computed and stored (sum p_i g_i) and those that the mean further sequence
 * shares, sum p_i (B - g_i) / (B - 1), are linear in the number of texts, so that both come out the same. */
static bool read_levels(struct rewrite *rewrite, const struct string_list *levels, double *prefix,
                        double *groups)
{
    double tokens = 0, stored = 0, last = 1;
    for (size_t i = 0; i < levels->count; i++)
        for (const char *text = levels->items[i]; *text != '\0';) {
            char *after, *end;
            double length = strtod(text, &after), texts = *after == ':' ? strtod(after + 1, &end) : 0;
            if (*after != ':' || end == after + 1 || !(length >= 1 && length <= 1e9 && texts >= last))
                return diag_error(rewrite->diag, NOWHERE,
                                  "shared_prefix.levels: found \"%.40s\", expected TOKENS:TEXTS such as "
                                  "1024:1, with no fewer texts from level to level",
                                  text);
            tokens += length;
            stored += length * texts;
            last = texts;
            for (text = end; *text == ' '; text++)
                continue;
        }
    if (tokens > 0) {
        *prefix = tokens;
        *groups = stored / tokens;
    }
    return true;
}

static bool on_workload(struct rewrite *rewrite, const void *parameters)
{
    const struct shared_prefix_parameters *p = parameters;
    struct request *request = rewrite->request;
    if (rewrite->generation && rewrite->generation->whole_sequence)
        return diag_error(rewrite->diag, NOWHERE,
                          "shared_prefix: a masked-diffusion model caches nothing to reuse");
    double prefix = p->prefix_tokens > 0 ? p->prefix_tokens : request->shared_prefix;
    double groups = p->groups;
    if (!read_levels(rewrite, &p->levels, &prefix, &groups))
        return false;
    if (p->share > 0)
        request->cached_fraction = fmax(request->cached_fraction, p->share);
    if (!(prefix > 0) && (p->segment_tokens > 0 || p->share > 0))
        return set_segments(rewrite, p);
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
    request->prefix_groups = groups;
    return set_segments(rewrite, p);
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
    QUANTITY_FIELD(shared_prefix_parameters, prefix_tokens, DIM_TOKENS, 0, 1e9, "0",
                   "tokens all prompts begin with; 0: the workload's shared_prefix"),
    BOOL_FIELD(shared_prefix_parameters, cached, "false",
               "already in the cache when the batch arrives, so not computed at all"),
    BOOL_FIELD(shared_prefix_parameters, read_once, "false",
               "attention reads the prefix once for all sequences instead of once for each"),
    QUANTITY_FIELD(shared_prefix_parameters, groups, DIM_COUNT, 1, 1e7, "1",
                   "different prefixes in the batch, each of prefix_tokens and of as many sequences"),
    {.key = "levels",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct shared_prefix_parameters, levels),
     .doc =
         "a tree, from the root: TOKENS:TEXTS such as \"1024:1 256:8\", so many different texts of so many "
         "tokens; instead of prefix_tokens and groups"},
    FRACTION_FIELD(shared_prefix_parameters, share, "0",
                   "of each prompt, what a tree of prefixes saves computing, all its levels together"),
    QUANTITY_FIELD(
        shared_prefix_parameters, segment_tokens, DIM_TOKENS, 0, 1e9, "0",
        "behind the prefix, segments of so many tokens that see it and themselves only; 0: one text"),
    FRACTION_FIELD(shared_prefix_parameters, segments_cached, "0",
                   "share of the segments whose KV is there already"),
    FRACTION_FIELD(shared_prefix_parameters, recomputed, "0",
                   "of the cached segments' tokens, those computed again in sight of all before them"),
    QUANTITY_FIELD(shared_prefix_parameters, tail_tokens, DIM_TOKENS, 1, 1e9, "1",
                   "at the end of a prompt of segments, tokens that see all of it"),
    QUANTITY_FIELD(shared_prefix_parameters, moved, DIM_NONE, 0, 1000, "0",
                   "times that cached segments' KV is read or written to be put right"),
    QUANTITY_FIELD(shared_prefix_parameters, match_s, DIM_SECONDS, 0, 1000, "0 s",
                   "time in which a request's segments are looked up and matched before its first step"),
    FRACTION_FIELD(
        shared_prefix_parameters, hit_rate, "1",
        "share of the requests whose segments can be used so; the others are prefilled as one text"),
};
static const struct schema schema = {.name = "shared_prefix",
                                     .size = sizeof(struct shared_prefix_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"share", "segments_cached", "match_s", "hit_rate", NULL};

extern const struct mechanism shared_prefix;
const struct mechanism shared_prefix = {
    .name = "shared_prefix",
    .summary = "a prefix common to all prompts is computed and stored once",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct shared_prefix_parameters),
    .on_workload = on_workload,
    .on_ops = on_ops,
};
