#include "exec/formats/roles.h"

struct walk {
    const struct model *model;
    const char *name;
    struct diag *diag;
    bool (*visit)(void *context, const struct role_shape *shape);
    void *context;
    int layer;
};

static bool refuse(const struct walk *walk, const char *what)
{
    return diag_error(walk->diag, (struct source_location){walk->name, 0, 0},
                      "%s: not run by the reference executor", what);
}

/* A linear layer; 0 rows: none. */
static bool linear(const struct walk *walk, enum tensor_role role, double rows, int cols)
{
    struct role_shape shape = {.role = role,
                               .layer = walk->layer,
                               .part = -1,
                               .rows = (size_t)rows,
                               .cols = (size_t)cols,
                               .linear = true,
                               .fill = FILL_NORMAL};
    return rows == 0 || walk->visit(walk->context, &shape);
}

/* fp32; 0 rows: none. */
static bool plain(const struct walk *walk, enum tensor_role role, int rows, double cols, enum role_fill fill)
{
    struct role_shape shape = {.role = role,
                               .layer = walk->layer,
                               .part = -1,
                               .rows = (size_t)rows,
                               .cols = (size_t)cols,
                               .fill = fill};
    return rows == 0 || walk->visit(walk->context, &shape);
}

static bool bias(const struct walk *walk, bool there, enum tensor_role role, double n)
{
    return plain(walk, role, there, n, FILL_ZERO);
}

/* A norm of the model's width and its bias. */
static bool norm(const struct walk *walk, bool there, enum tensor_role role, int bias_role)
{
    bool with_bias = there && bias_role >= 0 && walk->model->norm_bias;
    return plain(walk, role, there, walk->model->hidden, FILL_ONE) &&
           bias(walk, with_bias, (enum tensor_role)bias_role, walk->model->hidden);
}

/* ---- mixers ---- */

static bool attention(const struct walk *walk, const struct attention_spec *spec)
{
    int hidden = walk->model->hidden, value = spec->v_head_dim > 0 ? spec->v_head_dim : spec->head_dim;
    double q = (double)spec->heads * spec->head_dim, k = (double)spec->kv_heads * spec->head_dim,
           v = (double)spec->kv_heads * value, q_out = spec->output_gate ? 2 * q : q;
    bool wide = spec->qk_norm_all_heads;
    if (spec->sub_norm)
        return refuse(walk, "a norm on attention's output");
    return linear(walk, ROLE_Q, q_out, hidden) && linear(walk, ROLE_K, k, hidden) &&
           linear(walk, ROLE_V, v, hidden) && linear(walk, ROLE_O, hidden, spec->heads * value) &&
           bias(walk, spec->qkv_bias, ROLE_Q_BIAS, q_out) && bias(walk, spec->qkv_bias, ROLE_K_BIAS, k) &&
           bias(walk, spec->qkv_bias, ROLE_V_BIAS, v) && bias(walk, spec->o_bias, ROLE_O_BIAS, hidden) &&
           plain(walk, ROLE_Q_NORM, spec->qk_norm, wide ? q : spec->head_dim, FILL_ONE) &&
           plain(walk, ROLE_K_NORM, spec->qk_norm, wide ? k : spec->head_dim, FILL_ONE) &&
           plain(walk, ROLE_SINKS, spec->sinks, spec->heads, FILL_NORMAL);
}

static bool mla(const struct walk *walk, const struct mla_spec *spec)
{
    int hidden = walk->model->hidden, q_rank = spec->q_lora_rank, rank = spec->kv_lora_rank;
    double heads = spec->heads, q = heads * (spec->qk_nope_head_dim + spec->qk_rope_head_dim);
    if (spec->indexer != NULL)
        return refuse(walk, "an indexer of sparse attention");
    return linear(walk, ROLE_Q, q_rank > 0 ? 0 : q, hidden) &&
           linear(walk, ROLE_MLA_Q_DOWN, q_rank, hidden) &&
           plain(walk, ROLE_MLA_Q_NORM, q_rank > 0, q_rank, FILL_ONE) &&
           linear(walk, ROLE_MLA_Q_UP, q_rank > 0 ? q : 0, q_rank) &&
           linear(walk, ROLE_MLA_KV_DOWN, (double)rank + spec->qk_rope_head_dim, hidden) &&
           plain(walk, ROLE_MLA_KV_NORM, 1, rank, FILL_ONE) &&
           linear(walk, ROLE_MLA_K_UP, heads * spec->qk_nope_head_dim, rank) &&
           linear(walk, ROLE_MLA_V_UP, heads * spec->v_head_dim, rank) &&
           linear(walk, ROLE_O, hidden, spec->heads * spec->v_head_dim);
}

static bool mamba1(const struct walk *walk, const struct mamba_spec *spec)
{
    int hidden = walk->model->hidden, inner = spec->inner;
    if (spec->norm_dt_bc)
        return refuse(walk, "norms on Mamba's dt, B and C");
    return linear(walk, ROLE_IN_PROJ, 2.0 * inner, hidden) &&
           plain(walk, ROLE_CONV, inner, spec->conv_width, FILL_NORMAL) &&
           bias(walk, spec->conv_bias, ROLE_CONV_BIAS, inner) &&
           linear(walk, ROLE_X_PROJ, spec->dt_rank + 2.0 * spec->state, inner) &&
           plain(walk, ROLE_DT_PROJ, inner, spec->dt_rank, FILL_NORMAL) &&
           plain(walk, ROLE_DT_BIAS, 1, inner, FILL_DT) &&
           plain(walk, ROLE_A, inner, spec->state, FILL_STATES) && plain(walk, ROLE_D, 1, inner, FILL_ONE) &&
           linear(walk, ROLE_OUT_PROJ, hidden, inner);
}

static bool mamba2(const struct walk *walk, const struct mamba_spec *spec)
{
    int hidden = walk->model->hidden, inner = spec->inner;
    double shared = 2.0 * spec->groups * spec->state; /* B and C */
    return linear(walk, ROLE_IN_PROJ, 2.0 * inner + shared + spec->heads, hidden) &&
           plain(walk, ROLE_CONV, inner + (int)shared, spec->conv_width, FILL_NORMAL) &&
           bias(walk, spec->conv_bias, ROLE_CONV_BIAS, inner + shared) &&
           plain(walk, ROLE_DT_BIAS, 1, spec->heads, FILL_DT) &&
           plain(walk, ROLE_A, 1, spec->heads, FILL_HEADS) && plain(walk, ROLE_D, 1, spec->heads, FILL_ONE) &&
           plain(walk, ROLE_GATED_NORM, 1, inner, FILL_ONE) && linear(walk, ROLE_OUT_PROJ, hidden, inner);
}

static bool deltanet(const struct walk *walk, const struct deltanet_spec *spec)
{
    int hidden = walk->model->hidden, values = spec->value_heads * spec->value_head_dim;
    int channels = 2 * spec->key_heads * spec->key_head_dim + values;
    return linear(walk, ROLE_IN_PROJ, channels, hidden) && linear(walk, ROLE_IN_Z, values, hidden) &&
           linear(walk, ROLE_IN_GATES, 2.0 * spec->value_heads, hidden) &&
           plain(walk, ROLE_CONV, channels, spec->conv_width, FILL_NORMAL) &&
           plain(walk, ROLE_DT_BIAS, 1, spec->value_heads, FILL_DT) &&
           plain(walk, ROLE_A, 1, spec->value_heads, FILL_HEADS) &&
           plain(walk, ROLE_GATED_NORM, 1, spec->value_head_dim, FILL_ONE) &&
           linear(walk, ROLE_OUT_PROJ, hidden, values);
}

static bool mixer(const struct walk *walk, const struct block_spec *block)
{
    switch (block->mixer) {
    case MIXER_NONE:
        return true;
    case MIXER_ATTENTION:
        return attention(walk, &block->attention);
    case MIXER_MLA:
        return mla(walk, &block->mla);
    case MIXER_MAMBA1:
        return mamba1(walk, &block->mamba);
    case MIXER_MAMBA2:
        return mamba2(walk, &block->mamba);
    case MIXER_GATED_DELTANET:
        return deltanet(walk, &block->deltanet);
    default:
        return refuse(walk, "this kind of recurrence");
    }
}

/* ---- feed-forward ---- */

static bool dense(const struct walk *walk, const struct dense_spec *spec)
{
    int hidden = walk->model->hidden, width = spec->intermediate;
    if (spec->sub_norm)
        return refuse(walk, "a norm inside the feed-forward");
    return linear(walk, ROLE_GATE, spec->gated ? width : 0, hidden) && linear(walk, ROLE_UP, width, hidden) &&
           linear(walk, ROLE_DOWN, hidden, width) &&
           bias(walk, spec->bias && spec->gated, ROLE_GATE_BIAS, width) &&
           bias(walk, spec->bias, ROLE_UP_BIAS, width) && bias(walk, spec->bias, ROLE_DOWN_BIAS, hidden);
}

static bool expert(const struct walk *walk, enum tensor_role role, int part, int experts, int rows, int cols)
{
    struct role_shape shape = {.role = role,
                               .layer = walk->layer,
                               .part = part,
                               .part_count = (size_t)experts,
                               .rows = (size_t)rows,
                               .cols = (size_t)cols,
                               .linear = true,
                               .fill = FILL_NORMAL};
    return walk->visit(walk->context, &shape);
}

static bool moe(const struct walk *walk, const struct moe_spec *spec)
{
    int hidden = walk->model->hidden, width = spec->intermediate, shared = spec->shared_intermediate;
    if (spec->latent > 0 || spec->bias)
        return refuse(walk, spec->bias ? "biases of experts" : "experts of a latent width");
    if (!plain(walk, ROLE_ROUTER, spec->experts, hidden, FILL_NORMAL) ||
        !bias(walk, spec->router_bias, ROLE_ROUTER_BIAS, spec->experts))
        return false;
    for (int part = 0; part < spec->experts; part++)
        if ((spec->gated && !expert(walk, ROLE_EXPERT_GATE, part, spec->experts, width, hidden)) ||
            !expert(walk, ROLE_EXPERT_UP, part, spec->experts, width, hidden) ||
            !expert(walk, ROLE_EXPERT_DOWN, part, spec->experts, hidden, width))
            return false;
    return linear(walk, ROLE_SHARED_GATE, spec->gated ? shared : 0, hidden) &&
           linear(walk, ROLE_SHARED_UP, shared, hidden) &&
           linear(walk, ROLE_SHARED_DOWN, shared > 0 ? hidden : 0, shared) &&
           plain(walk, ROLE_SHARED_SWITCH, shared > 0 && spec->shared_gate, hidden, FILL_NORMAL);
}

/* ---- layers ---- */

/* One norm before each sub-layer; one for both where they are side by side; or one before and behind each. */
static bool norms(const struct walk *walk, const struct block_spec *block)
{
    bool two = block->mixer != MIXER_NONE && block->ffn != FFN_NONE;
    int usual = (block->mixer != MIXER_NONE) + (block->ffn != FFN_NONE);
    int count = block->norms > 0 ? block->norms : usual;
    bool shared = two && count == 1 && block->attention.parallel;
    if (count != usual && !shared && !(two && count == 4))
        return refuse(walk, "this number of norms in a block");
    bool behind = two && count == 4;
    return norm(walk, block->mixer != MIXER_NONE, ROLE_ATTENTION_NORM, ROLE_ATTENTION_NORM_BIAS) &&
           norm(walk, block->ffn != FFN_NONE && !shared, ROLE_FFN_NORM, ROLE_FFN_NORM_BIAS) &&
           norm(walk, behind, ROLE_POST_ATTENTION_NORM, -1) && norm(walk, behind, ROLE_POST_FFN_NORM, -1);
}

static bool layer(const struct walk *walk, const struct block_spec *block)
{
    if (block->cross_attention.heads > 0)
        return refuse(walk, "cross-attention");
    return norms(walk, block) && mixer(walk, block) &&
           (block->ffn != FFN_DENSE || dense(walk, &block->dense)) &&
           (block->ffn != FFN_MOE || moe(walk, &block->moe));
}

static bool outside(const struct walk *walk)
{
    const struct model *model = walk->model;
    if (model->encoder_layers > 0 || model->relative_buckets > 0)
        return refuse(walk, "an encoder, or relative positions");
    if (model->embedding_dim > 0 && model->embedding_dim != model->hidden)
        return refuse(walk, "an embedding of another width");
    return linear(walk, ROLE_EMBEDDING, model->vocab, model->hidden) &&
           linear(walk, ROLE_POSITIONS, model->learned_positions, model->hidden) &&
           norm(walk, model->embedding_norm, ROLE_EMBEDDING_NORM, ROLE_EMBEDDING_NORM_BIAS) &&
           norm(walk, !model->no_final_norm, ROLE_FINAL_NORM, ROLE_FINAL_NORM_BIAS) &&
           linear(walk, ROLE_HEAD, model->tied_embeddings ? 0 : model->vocab, model->hidden) &&
           bias(walk, model->head_bias, ROLE_HEAD_BIAS, model->vocab);
}

bool model_roles(const struct model *model, const char *name, struct diag *diag,
                 bool (*visit)(void *context, const struct role_shape *shape), void *context)
{
    struct walk walk = {.model = model, .name = name, .diag = diag, .visit = visit, .context = context};
    if (!outside(&walk))
        return false;
    for (; walk.layer < model->layers; walk.layer++)
        if (!layer(&walk, &model->blocks[model->pattern[walk.layer]]))
            return false;
    return true;
}
