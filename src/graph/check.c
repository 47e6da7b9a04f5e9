/* What parallelism must divide, refused with the numbers that do not. */
#include "graph/build.h"

static bool refuse_uneven(struct diag *diag, const struct model *model, const char *what, int count,
                          const char *axis, int ranks)
{
    if (count % ranks == 0)
        return true;
    return diag_error(diag, NOWHERE, "%s: %d %s do not divide by %s=%d", model->id, count, what, axis, ranks);
}

static bool check_attention(struct diag *diag, const struct model *model, const struct block_spec *block,
                            int tp)
{
    const struct attention_spec *spec = &block->attention;
    bool ok = refuse_uneven(diag, model, "attention heads", spec->heads, "tp", tp);
    if (ok && spec->kv_heads % tp != 0 && tp % spec->kv_heads != 0)
        ok = diag_error(diag, NOWHERE, "%s: %d KV heads neither divide by tp=%d nor into it", model->id,
                        spec->kv_heads, tp);
    return ok;
}

static bool check_mamba2(struct diag *diag, const struct model *model, const struct block_spec *block, int tp)
{
    const struct mamba_spec *spec = &block->mamba;
    bool ok = refuse_uneven(diag, model, "Mamba heads", spec->heads, "tp", tp);
    if (ok && spec->groups % tp != 0 && tp % spec->groups != 0)
        ok = diag_error(diag, NOWHERE, "%s: %d Mamba groups neither divide by tp=%d nor into it", model->id,
                        spec->groups, tp);
    return ok;
}

static bool check_mixer(struct diag *diag, const struct model *model, const struct block_spec *block, int tp)
{
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return check_attention(diag, model, block, tp);
    case MIXER_MLA:
        return refuse_uneven(diag, model, "MLA heads", block->mla.heads, "tp", tp);
    case MIXER_MAMBA1:
        return refuse_uneven(diag, model, "Mamba channels", block->mamba.inner, "tp", tp);
    case MIXER_MAMBA2:
        return check_mamba2(diag, model, block, tp);
    case MIXER_GATED_DELTANET:
        return refuse_uneven(diag, model, "DeltaNet key heads", block->deltanet.key_heads, "tp", tp);
    case MIXER_MLSTM:
        return refuse_uneven(diag, model, "mLSTM heads", block->mlstm.heads, "tp", tp);
    default:
        return true;
    }
}

static bool check_ffn(struct diag *diag, const struct model *model, const struct block_spec *block,
                      const struct parallelism *parallel)
{
    int ranks = parallel->tp * parallel->dp;
    if (block->ffn == FFN_DENSE)
        return refuse_uneven(diag, model, "feed-forward columns", block->dense.intermediate, "tp*dp", ranks);
    if (block->ffn != FFN_MOE)
        return true;
    bool ok = refuse_uneven(diag, model, "experts", block->moe.experts, "ep", parallel->ep);
    ok &= refuse_uneven(diag, model, "expert columns", block->moe.intermediate, "tp*dp/ep",
                        ranks / parallel->ep);
    bool travels = parallel->ep > 1 && parallel->dp > 1; /* shared experts are whole on every rank then */
    if (block->moe.shared_intermediate > 0 && !travels)
        ok &= refuse_uneven(diag, model, "shared expert columns", block->moe.shared_intermediate, "tp*dp",
                            ranks);
    return ok;
}

bool check_parallelism(struct diag *diag, const struct model *model, const struct parallelism *parallel)
{
    int ranks = parallel->tp * parallel->dp;
    if (parallel->tp < 1 || parallel->pp < 1 || parallel->ep < 1 || parallel->dp < 1)
        return diag_error(diag, NOWHERE, "parallel degrees must be at least 1");
    if (parallel->pp > model->layers)
        return diag_error(diag, NOWHERE, "%s: pp=%d stages for %d layers", model->id, parallel->pp,
                          model->layers);
    if (ranks % parallel->ep != 0)
        return diag_error(diag, NOWHERE, "ep=%d does not divide tp*dp=%d", parallel->ep, ranks);
    if (parallel->pp > 1 && model->encoder_layers > 0)
        return diag_error(diag, NOWHERE,
                          "%s: stages of an encoder and a decoder are not modelled: pp must be 1, found %d",
                          model->id, parallel->pp);
    bool has_experts = false, ok = true;
    for (size_t i = 0; i < model->block_count && ok; i++) {
        if (model->block_layers[i] == 0)
            continue;
        has_experts |= model->blocks[i].ffn == FFN_MOE;
        ok = check_mixer(diag, model, &model->blocks[i], parallel->tp) &&
             refuse_uneven(diag, model, "cross-attention heads", model->blocks[i].cross_attention.heads, "tp",
                           parallel->tp) &&
             check_ffn(diag, model, &model->blocks[i], parallel);
    }
    if (ok && parallel->ep > 1 && !has_experts)
        return diag_error(diag, NOWHERE, "%s has no experts: ep must be 1, found %d", model->id,
                          parallel->ep);
    return ok;
}
