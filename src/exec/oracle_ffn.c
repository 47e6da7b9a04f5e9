/* The oracle's feed-forward networks. */
#include "exec/oracle_parts.h"

#include <stdlib.h>
#include <string.h>

struct mlp {
    enum tensor_role gate, up, down;
    enum tensor_role gate_bias, up_bias, down_bias;
    size_t width;
    bool gated;
};

static double *mlp(struct oracle *oracle, const struct mlp *spec, int part, const double *in)
{
    size_t hidden = (size_t)oracle->model->hidden, values = oracle->tokens * spec->width;
    double *up = oracle_linear(oracle, spec->up, spec->up_bias, part, in, spec->width, hidden);
    double *gate =
        spec->gated ? oracle_linear(oracle, spec->gate, spec->gate_bias, part, in, spec->width, hidden) : up;
    if (up == NULL || gate == NULL)
        return NULL;
    for (size_t i = 0; i < values; i++)
        up[i] = oracle_activate(oracle->hyper->activation, gate[i]) * (spec->gated ? up[i] : 1);
    return oracle_linear(oracle, spec->down, spec->down_bias, part, up, hidden, spec->width);
}

double *oracle_dense(struct oracle *oracle, const struct dense_spec *spec, const double *in)
{
    const struct mlp roles = {ROLE_GATE,
                              ROLE_UP,
                              ROLE_DOWN,
                              ROLE_GATE_BIAS,
                              ROLE_UP_BIAS,
                              ROLE_DOWN_BIAS,
                              (size_t)spec->intermediate,
                              spec->gated};
    return mlp(oracle, &roles, 0, in);
}

/* The best not taken yet; -1: none left. */
static int best(const double *score, const bool *barred, int count)
{
    int found = -1;
    for (int i = 0; i < count; i++)
        if (!barred[i] && (found < 0 || score[i] > score[found]))
            found = i;
    return found;
}

/* Groups are ranked by the sum of their two best choices where experts are chosen with a correction
 * (DeepSeek-V3), else by their best (DeepSeek-V2). */
static double group_score(const double *choice, int size, bool corrected)
{
    double first = -1e300, second = -1e300;
    for (int i = 0; i < size; i++) {
        if (choice[i] > first) {
            second = first;
            first = choice[i];
        } else if (choice[i] > second) {
            second = choice[i];
        }
    }
    return corrected && size > 1 ? first + second : first;
}

static void bar_groups(const struct oracle *oracle, int experts, const double *choice, bool corrected,
                       bool *barred)
{
    enum { GROUPS_MOST = 64 };
    double score[GROUPS_MOST];
    bool taken[GROUPS_MOST] = {false};
    int groups = oracle->hyper->route_groups, size = groups > 0 ? experts / groups : 0;
    if (groups <= 1 || groups > GROUPS_MOST)
        return;
    for (int g = 0; g < groups; g++)
        score[g] = group_score(choice + g * size, size, corrected);
    for (int i = 0; i < oracle->hyper->route_top_groups; i++) {
        int g = best(score, taken, groups);
        if (g >= 0)
            taken[g] = true;
    }
    for (int e = 0; e < experts; e++)
        barred[e] = !taken[e / size];
}

/* Weights of one token's experts, 0 of those not chosen. logits become scores. */
static void choose(const struct oracle *oracle, const struct moe_spec *spec, const double *bias,
                   double *logits, double *choice, double *weights)
{
    const struct hyper *hyper = oracle->hyper;
    bool barred[4096] = {false};
    double sum = 0;
    if (!hyper->route_sigmoid)
        oracle_softmax(logits, (size_t)spec->experts);
    for (int e = 0; e < spec->experts; e++) {
        if (hyper->route_sigmoid)
            logits[e] = oracle_sigmoid(logits[e]);
        choice[e] = logits[e] + (bias != NULL ? bias[e] : 0);
        weights[e] = 0;
    }
    bar_groups(oracle, spec->experts, choice, bias != NULL, barred);
    for (int i = 0; i < spec->top_k; i++) {
        int e = best(choice, barred, spec->experts);
        if (e < 0)
            break;
        barred[e] = true;
        weights[e] = logits[e];
        sum += logits[e];
    }
    for (int e = 0; e < spec->experts; e++)
        weights[e] *= hyper->route_scale / (hyper->route_normalise ? sum : 1);
}

static void add_shared(struct oracle *oracle, const struct moe_spec *spec, const double *in, double *out)
{
    static const struct mlp roles = {
        ROLE_SHARED_GATE, ROLE_SHARED_UP, ROLE_SHARED_DOWN, ROLE_COUNT, ROLE_COUNT, ROLE_COUNT, 0, false};
    struct mlp shared = roles;
    size_t hidden = (size_t)oracle->model->hidden;
    shared.width = (size_t)spec->shared_intermediate;
    shared.gated = spec->gated;
    const double *y = mlp(oracle, &shared, 0, in), *gate = NULL;
    if (spec->shared_gate)
        gate = oracle_linear(oracle, ROLE_SHARED_SWITCH, ROLE_COUNT, 0, in, 1, hidden);
    for (size_t i = 0; y != NULL && i < oracle->tokens * hidden; i++)
        out[i] += y[i] * (gate != NULL ? oracle_sigmoid(gate[i / hidden]) : 1);
}

double *oracle_moe(struct oracle *oracle, const struct moe_spec *spec, const double *in)
{
    struct mlp roles = {ROLE_EXPERT_GATE, ROLE_EXPERT_UP, ROLE_EXPERT_DOWN,           ROLE_COUNT,
                        ROLE_COUNT,       ROLE_COUNT,     (size_t)spec->intermediate, spec->gated};
    size_t hidden = (size_t)oracle->model->hidden, experts = (size_t)spec->experts;
    double *logits = oracle_linear(oracle, ROLE_ROUTER, ROLE_COUNT, 0, in, experts, hidden);
    double *weights = oracle_new(oracle, oracle->tokens * experts), *choice = oracle_new(oracle, experts);
    double *out = oracle_new(oracle, oracle->tokens * hidden);
    const double *bias = spec->router_bias ? oracle_values(oracle, ROLE_ROUTER_BIAS, 0) : NULL;
    if (logits == NULL || weights == NULL || choice == NULL || out == NULL)
        return NULL;
    for (size_t t = 0; t < oracle->tokens; t++)
        choose(oracle, spec, bias, logits + t * experts, choice, weights + t * experts);
    for (size_t e = 0; e < experts; e++) { /* of all tokens, though few have chosen it */
        const double *y = mlp(oracle, &roles, (int)e, in);
        for (size_t i = 0; y != NULL && i < oracle->tokens * hidden; i++)
            out[i] += weights[i / hidden * experts + e] * y[i];
    }
    if (spec->shared_intermediate > 0)
        add_shared(oracle, spec, in, out);
    return out;
}
