/* Tokens made block by block, each block by denoising steps that fix several of its tokens at once. A block
 * of n tokens takes n / tokens_per_step steps. What a step runs over depends on what is cached: nothing, the
 * whole sequence each time (LLaDA, arXiv:2502.09992); approximately what is outside the block, made anew at
 * its first step (Fast-dLLM, arXiv:2505.22618); or, in models trained to see blocks causally, exactly the
 * blocks before (Fast-dLLM v2, arXiv:2509.26328). */
#include "mechanism/mechanism.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum cache { CACHE_NONE, CACHE_PREFIX, CACHE_DUAL, CACHE_EXACT };

struct block_diffusion_parameters {
    int block_tokens;
    double tokens_per_step;
    int cache;
    int sub_block_tokens;
    bool commit_pass;
};

/* The cached blocks are behind; within the block each step works on the same positions. */
static void set_exact(struct generation *generation, const struct block_diffusion_parameters *p)
{
    double block = p->block_tokens, steps = fmax(1, block / p->tokens_per_step);
    double sub = p->sub_block_tokens > 0 ? fmin(p->sub_block_tokens, block) : block;
    /* with a cache of the block too, one step of each sub-block runs all of the block, the others the
     * sub-block */
    double whole = sub < block ? fmin(steps, ceil(block / sub)) : steps, parts = steps - whole;
    *generation = (struct generation){.tokens_per_cycle = block};
    if (p->commit_pass)
        generation->cycle[generation->phases++] =
            (struct phase){.name = "decode commit", .new_tokens = block, .steps = 1, .mask = MASK_BLOCK};
    if (parts > 0)
        generation->cycle[generation->phases++] = (struct phase){.name = "decode parts",
                                                                 .new_tokens = sub,
                                                                 .steps = parts,
                                                                 .context_offset = block - sub,
                                                                 .mask = MASK_BLOCK,
                                                                 .sampled = sub,
                                                                 .in_place = true};
    generation->cycle[generation->phases++] = (struct phase){
        .new_tokens = block, .steps = whole, .mask = MASK_BLOCK, .sampled = block, .in_place = true};
}

static bool on_generation(struct rewrite *rewrite, const void *parameters)
{
    const struct block_diffusion_parameters *p = parameters;
    struct generation *generation = rewrite->generation;
    if (strcmp(rewrite->role, ROLE_DRAFT) == 0)
        return true;
    if (generation->phases > 1 || rewrite->draft ||
        (!generation->whole_sequence && generation->tokens_per_cycle != 1))
        return diag_error(rewrite->diag, NOWHERE,
                          "block_diffusion: the stack emits several tokens a step already");
    if (p->tokens_per_step > p->block_tokens)
        return diag_error(rewrite->diag, NOWHERE, "block_diffusion: %g tokens a step exceed a block of %d",
                          p->tokens_per_step, p->block_tokens);
    if (p->cache == CACHE_EXACT) {
        set_exact(generation, p);
        return true;
    }
    if (!generation->whole_sequence)
        return diag_error(
            rewrite->diag, NOWHERE,
            "block_diffusion: a causal model made to denoise blocks caches them exactly: cache: "
            "exact");
    generation->cycle[0].steps = fmax(1, p->block_tokens / p->tokens_per_step);
    generation->tokens_per_cycle = generation->block_tokens = p->block_tokens;
    generation->block_cache = p->cache == CACHE_PREFIX ? BLOCK_CACHE_PREFIX
                              : p->cache == CACHE_DUAL ? BLOCK_CACHE_DUAL
                                                       : BLOCK_CACHE_NONE;
    return true;
}

/* A cache to read is part of the graph of a model that decodes. */
static bool on_model(struct rewrite *rewrite, const void *parameters)
{
    const struct block_diffusion_parameters *p = parameters;
    const struct model *model = rewrite->model;
    for (size_t i = 0; i < model->block_count; i++)
        if (model->blocks[i].mixer > MIXER_MLA)
            return diag_error(rewrite->diag, NOWHERE,
                              "block_diffusion: %s has recurrent layers, which see no tokens behind them",
                              model->id);
    if (model->encoder_layers > 0)
        return diag_error(rewrite->diag, NOWHERE, "block_diffusion: %s has an encoder", model->id);
    if (p->cache != CACHE_NONE)
        rewrite->model->generation = GENERATION_AUTOREGRESSIVE;
    return true;
}

static const struct enum_name cache_names[] = {
    {"none", CACHE_NONE}, {"prefix", CACHE_PREFIX}, {"dual", CACHE_DUAL}, {"exact", CACHE_EXACT}, {NULL, 0}};

static const struct field fields[] = {
    INT_FIELD(block_diffusion_parameters, block_tokens, 1, 4096, "32", "tokens of a block"),
    QUANTITY_FIELD(block_diffusion_parameters, tokens_per_step, DIM_NONE, 0.01, 4096, "1",
                   "tokens that a denoising step fixes, on average: block_tokens over the steps of a block"),
    ENUM_FIELD(
        block_diffusion_parameters, cache, cache_names, "none",
        "keys and values kept while a block is denoised: none; of what is before it, or of all but it, made "
        "anew at each block's first step; exact: of the blocks before, for good"),
    INT_FIELD(
        block_diffusion_parameters, sub_block_tokens, 0, 4096, "0",
        "cache: exact: steps run over so many tokens, the rest of the block cached too; 0: over the block"),
    BOOL_FIELD(block_diffusion_parameters, commit_pass, "false",
               "cache: exact: one more pass over each finished block writes its keys and values"),
};
static const struct schema schema = {.name = "block_diffusion",
                                     .size = sizeof(struct block_diffusion_parameters),
                                     .fields = fields,
                                     .count = sizeof fields / sizeof *fields};
static const char *const empirical[] = {"tokens_per_step", NULL};

extern const struct mechanism block_diffusion;
const struct mechanism block_diffusion = {
    .name = "block_diffusion",
    .summary = "blocks of tokens denoised in few steps",
    .parameters = {&schema, empirical},
    .parameter_size = sizeof(struct block_diffusion_parameters),
    .on_model = on_model,
    .on_generation = on_generation,
};
