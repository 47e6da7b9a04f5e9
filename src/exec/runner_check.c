#include "exec/runner_check.h"

#include <string.h>

/* What the executor has no formulas for; NULL: nothing of this block. */
static const char *missing_of_mixer(const struct block_spec *block)
{
    if (block->cross_attention.heads > 0)
        return "cross-attention";
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return block->attention.sub_norm ? "a norm between attention and its output projection" : NULL;
    case MIXER_MLA:
        return block->mla.indexer != NULL ? "a sparse attention indexer" : NULL;
    case MIXER_MAMBA1:
        return block->mamba.norm_dt_bc ? "norms on dt, B and C" : NULL;
    case MIXER_MLSTM:
        return "mLSTM";
    default:
        return NULL;
    }
}

static const char *missing_of_ffn(const struct block_spec *block)
{
    if (block->ffn == FFN_DENSE)
        return block->dense.sub_norm ? "a norm before the down projection" : NULL;
    if (block->ffn != FFN_MOE)
        return NULL;
    if (block->moe.latent > 0)
        return "experts of a latent space";
    return block->moe.bias ? "experts with biases" : NULL;
}

static const char *missing_of_model(const struct model *model)
{
    const char *architecture = model->architecture != NULL ? model->architecture : "";
    if (model->encoder_layers > 0)
        return "an encoder";
    if (model->relative_buckets > 0)
        return "relative position biases";
    if (model->generation != GENERATION_AUTOREGRESSIVE)
        return "masked diffusion";
    if (model->embedding_dim > 0)
        return "projections from and to a narrower embedding";
    if (model->no_final_norm)
        return "norms after each sub-layer in place of a final one";
    if (strncmp(architecture, "Bloom", 5) == 0 || strncmp(architecture, "MPT", 3) == 0)
        return "position biases linear in the distance (ALiBi)";
    return NULL;
}

bool runner_check_model(const struct model *model, struct diag *diag)
{
    const char *missing = missing_of_model(model);
    for (int layer = 0; missing == NULL && layer < model->layers; layer++) {
        const struct block_spec *block = &model->blocks[model->pattern[layer]];
        missing = missing_of_mixer(block);
        if (missing == NULL)
            missing = missing_of_ffn(block);
        if (missing == NULL && block->mixer == MIXER_NONE && block->ffn == FFN_NONE)
            missing = "a layer without a sub-layer";
    }
    if (missing != NULL)
        return diag_error(diag, model->where, "%s has %s, which the executor does not run",
                          model->id != NULL ? model->id : "the model", missing);
    return true;
}

int position_offset(const struct model *model)
{
    int spare = model->learned_positions - model->max_context;
    return spare > 0 && spare <= 2 ? spare : 0;
}
