/* Parameter counts from the dimensions alone. Each formula lists the tensors it counts; h is the model's
 * hidden width. All products stay far below 2^53 for real models, so their counts are exact. */
#include "spec/model.h"

#include "spec/model_block.h"

/* A norm: a weight of each value, and a bias where the model's norms have one. */
static double norm_values(const struct model *model, double width)
{
    return model->norm_bias ? 2 * width : width;
}

static double linear(double in, double out, bool bias)
{
    return in * out + (bias ? out : 0);
}

/* q [h x heads*d, twice with an output gate], k [h x kv*d], v [h x kv*dv], o [heads*dv x h], their biases;
 * norms of q and k [d each, or of all heads]; a sink per head; the norm before o [heads*dv]. */
static double attention_values(const struct model *model, const struct attention_spec *spec)
{
    double h = model->hidden, heads = spec->heads, kv_heads = spec->kv_heads, key = spec->head_dim;
    double value = spec->v_head_dim > 0 ? spec->v_head_dim : key;
    double count = linear(h, heads * key * (spec->output_gate ? 2 : 1), spec->qkv_bias) +
                   linear(h, kv_heads * key, spec->qkv_bias) + linear(h, kv_heads * value, spec->qkv_bias) +
                   linear(heads * value, h, spec->o_bias);
    if (spec->qk_norm)
        count += norm_values(model, spec->qk_norm_all_heads ? (heads + kv_heads) * key : 2 * key);
    if (spec->sinks)
        count += heads;
    if (spec->sub_norm)
        count += norm_values(model, heads * value);
    return count;
}

/* q from the compressed query [rq x heads*d], k [h x d] and its LayerNorm [2d: weights and biases whatever
 * the model's norms have], the heads' weights [h x heads]. */
static double indexer_values(const struct model *model, const struct mla_spec *spec)
{
    const struct indexer_spec *indexer = spec->indexer;
    if (indexer == NULL)
        return 0;
    double h = model->hidden, heads = indexer->heads, dim = indexer->head_dim;
    return spec->q_lora_rank * heads * dim + h * dim + 2 * dim + h * heads;
}

/* q, k, v [h x heads*d each] and o [heads*d x h], their biases. */
static double cross_attention_values(const struct model *model, const struct cross_attention_spec *spec)
{
    double h = model->hidden, width = (double)spec->heads * spec->head_dim;
    return width > 0 ? 3 * linear(h, width, spec->qkv_bias) + linear(width, h, spec->o_bias) : 0;
}

/* Query: q [h x heads*(nope+rope)], or down [h x rq], norm [rq], up [rq x heads*(nope+rope)]. Keys and
 * values: down [h x r+rope], norm [r], up [r x heads*(nope+dv)]. Output: o [heads*dv x h]. The indexer's. */
static double mla_values(const struct model *model, const struct mla_spec *spec)
{
    double h = model->hidden, heads = spec->heads, latent = spec->kv_lora_rank,
           compressed = spec->q_lora_rank;
    double nope = spec->qk_nope_head_dim, rope = spec->qk_rope_head_dim, value = spec->v_head_dim;
    double query = heads * (nope + rope);
    double count =
        compressed > 0 ? h * compressed + norm_values(model, compressed) + compressed * query : h * query;
    count += h * (latent + rope) + norm_values(model, latent) + latent * heads * (nope + value);
    return count + heads * value * h + indexer_values(model, spec);
}

/* in [h x 2*inner] (x and z), conv [inner x width] and its bias, x [inner x dt_rank + 2*state], norms on dt,
 * B and C, dt [dt_rank x inner] with a bias, A [inner x state], D [inner], out [inner x h]. */
static double mamba1_values(const struct model *model, const struct mamba_spec *spec)
{
    double h = model->hidden, inner = spec->inner, state = spec->state, rank = spec->dt_rank;
    double count = h * 2 * inner + inner * spec->conv_width + (spec->conv_bias ? inner : 0);
    count += inner * (rank + 2 * state) + linear(rank, inner, true) + inner * state + inner + inner * h;
    return count + (spec->norm_dt_bc ? norm_values(model, rank + 2 * state) : 0);
}

/* in [h x 2*inner + 2*groups*state + heads] (z, x, B, C, dt), conv over x, B and C and its bias; A, D and
 * dt's bias [heads each]; the gated norm [inner]; out [inner x h]. */
static double mamba2_values(const struct model *model, const struct mamba_spec *spec)
{
    double h = model->hidden, inner = spec->inner, heads = spec->heads;
    double shared = 2.0 * spec->groups * spec->state, channels = inner + shared;
    double count = h * (2 * inner + shared + heads);
    count += channels * spec->conv_width + (spec->conv_bias ? channels : 0);
    return count + 3 * heads + norm_values(model, inner) + inner * h;
}

/* in [h x 2*keys + 2*values] (q, k, v, z) and [h x 2*value_heads] (beta, alpha), conv over q, k and v without
 * bias; A and dt's bias [value_heads each]; the gated norm of a head [value_head_dim]; out [values x h]. */
static double deltanet_values(const struct model *model, const struct deltanet_spec *spec)
{
    double h = model->hidden, heads = spec->value_heads;
    double keys = (double)spec->key_heads * spec->key_head_dim, values = heads * spec->value_head_dim;
    double count = h * (2 * keys + 2 * values) + h * 2 * heads + (2 * keys + values) * spec->conv_width;
    return count + 2 * heads + norm_values(model, spec->value_head_dim) + values * h;
}

/* q, k [h x heads*dqk each], v and the output gate [h x heads*dv each], input and forget gate [h x heads
 * each] with biases, the norm over the heads' outputs [heads*dv], out [heads*dv x h]. */
static double mlstm_values(const struct model *model, const struct mlstm_spec *spec)
{
    double h = model->hidden, heads = spec->heads;
    double keys = heads * spec->qk_head_dim, values = heads * spec->v_head_dim;
    return h * (2 * keys + 2 * values) + 2 * linear(h, heads, true) + norm_values(model, values) + values * h;
}

static double self_mixer_values(const struct model *model, const struct block_spec *block)
{
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return attention_values(model, &block->attention);
    case MIXER_MLA:
        return mla_values(model, &block->mla);
    case MIXER_MAMBA1:
        return mamba1_values(model, &block->mamba);
    case MIXER_MAMBA2:
        return mamba2_values(model, &block->mamba);
    case MIXER_GATED_DELTANET:
        return deltanet_values(model, &block->deltanet);
    case MIXER_MLSTM:
        return mlstm_values(model, &block->mlstm);
    default:
        return 0;
    }
}

static double mixer_values(const struct model *model, const struct block_spec *block)
{
    return self_mixer_values(model, block) + cross_attention_values(model, &block->cross_attention);
}

/* up [h x i], the gate likewise, down [i x h], their biases. */
static double mlp_values(double h, double i, bool gated, bool bias)
{
    return (gated ? 2 : 1) * linear(h, i, bias) + linear(i, h, bias);
}

double moe_width(const struct model *model, const struct moe_spec *moe)
{
    return moe->latent > 0 ? moe->latent : model->hidden;
}

/* Of a mixture: the router [h x experts] and its bias, down [h x latent] and up [latent x h] with biases as
 * the routed experts, the shared experts, their gate [h]. */
static double ffn_values(const struct model *model, const struct block_spec *block)
{
    double h = model->hidden;
    const struct dense_spec *dense = &block->dense;
    const struct moe_spec *moe = &block->moe;
    if (block->ffn == FFN_DENSE)
        return mlp_values(h, dense->intermediate, dense->gated, dense->bias) +
               (dense->sub_norm ? norm_values(model, dense->intermediate) : 0);
    if (block->ffn != FFN_MOE)
        return 0;
    double count = linear(h, moe->experts, moe->router_bias);
    if (moe->latent > 0)
        count += linear(h, moe->latent, moe->bias) + linear(moe->latent, h, moe->bias);
    if (moe->shared_intermediate > 0)
        count += mlp_values(h, moe->shared_intermediate, moe->gated, false) + (moe->shared_gate ? h : 0);
    return count;
}

/* Norms of width h in the block: one of each sub-layer unless the block says how many. */
static int block_norms(const struct block_spec *block)
{
    int sub_layers =
        (block->mixer != MIXER_NONE) + (block->cross_attention.heads > 0) + (block->ffn != FFN_NONE);
    return block->norms > 0 ? block->norms : sub_layers;
}

/* The mixer's share, cross-attention's included: the first of each pair (a lone norm feeds both branches and
 * counts here). */
static int mixer_norms(const struct block_spec *block)
{
    if (block->mixer == MIXER_NONE && block->cross_attention.heads == 0)
        return 0;
    return block->ffn == FFN_NONE ? block_norms(block) : (block_norms(block) + 1) / 2;
}

double block_mixer_parameters(const struct model *model, const struct block_spec *block)
{
    return mixer_values(model, block) + mixer_norms(block) * norm_values(model, model->hidden);
}

double block_ffn_parameters(const struct model *model, const struct block_spec *block)
{
    int norms = block_norms(block) - mixer_norms(block);
    return ffn_values(model, block) + norms * norm_values(model, model->hidden);
}

double block_expert_parameters(const struct model *model, const struct block_spec *block)
{
    if (block->ffn != FFN_MOE)
        return 0;
    return mlp_values(moe_width(model, &block->moe), block->moe.intermediate, block->moe.gated,
                      block->moe.bias);
}

/* A vision transformer: per layer q, k, v, o [h x h], up [h x i], down [i x h], all with biases, and two
 * LayerNorms [2h each]; the patch embedding [patch_in x h], learned positions and tokens [h each], norms
 * outside the layers, and the projector. */
static double vision_values(const struct vision_spec *vision)
{
    if (vision == NULL)
        return 0;
    double h = vision->hidden, norm = 2 * h;
    double layer = 4 * linear(h, h, true) + mlp_values(h, vision->intermediate, false, true) + 2 * norm;
    return vision->layers * layer + linear(vision->patch_in, h, vision->patch_bias) +
           h * ((double)vision->positions + vision->extra_tokens) + vision->extra_norms * norm +
           vision->projector_parameters;
}

/* Each multi-token-prediction layer: a block; a projection [2h x h] of the embedding beside the hidden state;
 * norms on both and one before the head; an embedding and a head [vocab x h each] when it has its own. */
static double mtp_values(const struct model *model)
{
    const struct mtp_spec *mtp = model->mtp;
    if (mtp == NULL)
        return 0;
    const struct block_spec *block =
        &model->blocks[block_index(model->blocks, model->block_count, mtp->block)];
    double h = model->hidden;
    double layer = block_mixer_parameters(model, block) + block_ffn_parameters(model, block) +
                   block->moe.experts * block_expert_parameters(model, block);
    layer += 2 * h * h + 3 * norm_values(model, h);
    if (mtp->own_embedding_and_head)
        layer += 2.0 * model->vocab * h;
    return mtp->layers * layer;
}

bool model_encodes(const struct model *model, int block)
{
    for (int i = 0; i < model->encoder_layers; i++)
        if (model->pattern[i] == block)
            return true;
    return false;
}

double model_context_needed(const struct model *model, double prompt, double output)
{
    if (model->encoder_layers == 0)
        return prompt + output;
    return prompt > output ? prompt : output;
}

/* [buckets x heads], stored with the first layer that attends and shared by all; model_read sees to it that
 * their heads are as many. */
static double relative_table(const struct model *model, int first, int last)
{
    for (int i = first; i < last; i++) {
        const struct block_spec *block = &model->blocks[model->pattern[i]];
        if (block->mixer == MIXER_ATTENTION)
            return (double)model->relative_buckets * block->attention.heads;
    }
    return 0;
}

double model_relative_values(const struct model *model)
{
    return relative_table(model, 0, model->encoder_layers) +
           relative_table(model, model->encoder_layers, model->layers);
}

void model_parameters(const struct model *model, struct parameter_count *count)
{
    *count = (struct parameter_count){0};
    double h = model->hidden, vocab = model->vocab, active_experts = 0;
    double width = model->embedding_dim > 0 ? model->embedding_dim : h;
    count->embedding = vocab * width + (double)model->learned_positions * h + model_relative_values(model);
    if (model->embedding_dim > 0)
        count->embedding += 2 * width * h; /* to hidden and back */
    count->head = (model->tied_embeddings ? 0 : vocab * width) + (model->head_bias ? vocab : 0);
    int final_norms = model->no_final_norm ? 0 : 1 + (model->encoder_layers > 0); /* one behind each stack */
    count->norms = (model->embedding_norm + final_norms) * norm_values(model, h);
    for (size_t i = 0; i < model->block_count; i++) {
        const struct block_spec *block = &model->blocks[i];
        double layers = model->block_layers[i], expert = block_expert_parameters(model, block);
        count->mixers += layers * mixer_values(model, block);
        count->ffns += layers * ffn_values(model, block);
        count->norms += layers * block_norms(block) * norm_values(model, h);
        count->experts += layers * block->moe.experts * expert;
        active_experts += layers * block->moe.top_k * expert;
    }
    count->vision = vision_values(model->vision);
    count->mtp = mtp_values(model);
    double outside_experts = count->embedding + count->head + count->mixers + count->ffns + count->norms;
    count->text = outside_experts + count->experts;
    count->active = outside_experts + active_experts;
    count->total = count->text + count->vision + count->mtp;
}
