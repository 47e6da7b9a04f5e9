/* The whole model in double, as plainly as its formulas are written: what the runner is tested against. */
#include "exec/oracle_parts.h"

#include "exec/kernels/blocks.h"
#include "exec/runner.h"
#include "exec/runner_check.h"

#include <math.h>
#include <string.h>

static double *embed(struct oracle *oracle, const int *tokens)
{
    const struct model *model = oracle->model;
    size_t hidden = (size_t)model->hidden;
    oracle->layer = 0;
    const double *table = oracle_values(oracle, ROLE_EMBEDDING, 0);
    const double *positions = model->learned_positions > 0 ? oracle_values(oracle, ROLE_POSITIONS, 0) : NULL;
    double *x = oracle_new(oracle, oracle->tokens * hidden);
    if (table == NULL || x == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        for (size_t i = 0; i < hidden; i++) {
            x[t * hidden + i] = table[(size_t)tokens[t] * hidden + i] * oracle->hyper->embedding_scale;
            if (positions != NULL)
                x[t * hidden + i] += positions[(t + (size_t)position_offset(model)) * hidden + i];
        }
    if (model->embedding_norm)
        oracle_norm(oracle, ROLE_EMBEDDING_NORM, ROLE_EMBEDDING_NORM_BIAS, x, oracle->tokens, hidden);
    return x;
}

static double *mix(struct oracle *oracle, const struct block_spec *block, const double *in)
{
    switch (block->mixer) {
    case MIXER_ATTENTION:
        return oracle_attention(oracle, &block->attention, in);
    case MIXER_MLA:
        return oracle_mla(oracle, &block->mla, in);
    case MIXER_MAMBA1:
        return oracle_mamba1(oracle, &block->mamba, in);
    case MIXER_MAMBA2:
        return oracle_mamba2(oracle, &block->mamba, in);
    case MIXER_GATED_DELTANET:
        return oracle_deltanet(oracle, &block->deltanet, in);
    default:
        return NULL;
    }
}

static double *feed_forward(struct oracle *oracle, const struct block_spec *block, const double *in)
{
    return block->ffn == FFN_DENSE ? oracle_dense(oracle, &block->dense, in)
                                   : oracle_moe(oracle, &block->moe, in);
}

static double *normed(struct oracle *oracle, enum tensor_role weight, enum tensor_role bias, const double *x)
{
    size_t hidden = (size_t)oracle->model->hidden, values = oracle->tokens * hidden;
    double *copy = oracle_new(oracle, values);
    if (copy == NULL)
        return NULL;
    memcpy(copy, x, values * sizeof *copy);
    oracle_norm(oracle, weight, bias, copy, oracle->tokens, hidden);
    return copy;
}

/* x += scale * norm(y), where the layer has that norm. */
static bool add(struct oracle *oracle, double *x, double *y, enum tensor_role post_norm)
{
    struct tensor tensor;
    size_t hidden = (size_t)oracle->model->hidden;
    if (y == NULL)
        return false;
    if (weights_find(oracle->weights, post_norm, oracle->layer, 0, &tensor))
        oracle_norm(oracle, post_norm, ROLE_COUNT, y, oracle->tokens, hidden);
    for (size_t i = 0; i < oracle->tokens * hidden; i++)
        x[i] += oracle->hyper->residual_scale * y[i];
    return true;
}

static bool run_layer(struct oracle *oracle, const struct block_spec *block, double *x)
{
    double *in = NULL, *ffn_in = NULL;
    bool parallel = block->mixer == MIXER_ATTENTION && block->attention.parallel;
    if (block->mixer != MIXER_NONE) {
        in = normed(oracle, ROLE_ATTENTION_NORM, ROLE_ATTENTION_NORM_BIAS, x);
        ffn_in = in;
        if (parallel && block->ffn != FFN_NONE && block->norms != 1)
            ffn_in = normed(oracle, ROLE_FFN_NORM, ROLE_FFN_NORM_BIAS, x);
        if (in == NULL || !add(oracle, x, mix(oracle, block, in), ROLE_POST_ATTENTION_NORM))
            return false;
    }
    if (block->ffn == FFN_NONE)
        return true;
    if (!parallel)
        ffn_in = normed(oracle, ROLE_FFN_NORM, ROLE_FFN_NORM_BIAS, x);
    return ffn_in != NULL && add(oracle, x, feed_forward(oracle, block, ffn_in), ROLE_POST_FFN_NORM);
}

static bool put_logits(struct oracle *oracle, double *x, double *logits)
{
    const struct hyper *hyper = oracle->hyper;
    size_t hidden = (size_t)oracle->model->hidden, vocab = (size_t)oracle->model->vocab;
    oracle->layer = 0;
    oracle_norm(oracle, ROLE_FINAL_NORM, ROLE_FINAL_NORM_BIAS, x, oracle->tokens, hidden);
    const double *y = oracle_linear(oracle, ROLE_HEAD, ROLE_HEAD_BIAS, 0, x, vocab, hidden);
    for (size_t i = 0; y != NULL && i < oracle->tokens * vocab; i++) {
        logits[i] = y[i] * hyper->logit_scale;
        if (hyper->logit_softcap > 0)
            logits[i] = hyper->logit_softcap * tanh(logits[i] / hyper->logit_softcap);
    }
    return y != NULL;
}

bool oracle_logits(const struct weights *weights, struct arena *arena, struct diag *diag, const int *tokens,
                   int count, double *logits)
{
    const struct model *model = weights_model(weights);
    struct oracle oracle = {.weights = weights,
                            .model = model,
                            .hyper = weights_hyper(weights),
                            .arena = arena,
                            .diag = diag,
                            .tokens = (size_t)count};
    if (!runner_check_model(model, diag))
        return false;
    for (int t = 0; t < count; t++)
        if (tokens[t] < 0 || tokens[t] >= model->vocab)
            return diag_error(diag, NOWHERE, "token %d is not one of the model's %d", tokens[t],
                              model->vocab);
    double *x = embed(&oracle, tokens);
    if (x == NULL)
        return false;
    for (oracle.layer = 0; oracle.layer < model->layers; oracle.layer++)
        if (!run_layer(&oracle, &model->blocks[model->pattern[oracle.layer]], x))
            return false;
    return put_logits(&oracle, x, logits) && diag->errors == 0;
}
