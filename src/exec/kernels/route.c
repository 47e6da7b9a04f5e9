#include "exec/kernels/small.h"

#include <math.h>

/* Scores of one token's experts. */
struct scores {
    const struct routing *routing;
    const float *logits;
    float greatest, sum; /* of the softmax */
};

static struct scores scores_of(const struct routing *routing, const float *logits)
{
    struct scores scores = {routing, logits, -INFINITY, 0};
    if (routing->sigmoid)
        return scores;
    for (int e = 0; e < routing->experts; e++)
        scores.greatest = logits[e] > scores.greatest ? logits[e] : scores.greatest;
    for (int e = 0; e < routing->experts; e++)
        scores.sum += expf(logits[e] - scores.greatest);
    return scores;
}

static float score(const struct scores *scores, int expert)
{
    float logit = scores->logits[expert];
    if (scores->routing->sigmoid)
        return 1 / (1 + expf(-logit));
    return expf(logit - scores->greatest) / scores->sum;
}

/* What experts are chosen by; a NaN comes last. */
static float choice_key(const struct scores *scores, int expert)
{
    float key = score(scores, expert);
    if (scores->routing->bias)
        key += scores->routing->bias[expert];
    return isnan(key) ? -INFINITY : key;
}

/* Puts (item, key) into the `count` best so far, of at most `most`, in falling order, the first of equals
 * first. Returns the new count. */
static int insert_best(int *items, float *keys, int count, int most, int item, float key)
{
    if (count == most && !(key > keys[most - 1]))
        return count;
    int place = count < most ? count : most - 1;
    for (; place > 0 && key > keys[place - 1]; place--) {
        items[place] = items[place - 1];
        keys[place] = keys[place - 1];
    }
    items[place] = item;
    keys[place] = key;
    return count < most ? count + 1 : count;
}

/* A group's worth: with a bias the sum of its two best experts (DeepSeek-V3,
 * https://arxiv.org/abs/2412.19437, and its published inference code), without one its best expert
 * (DeepSeek-V2, https://arxiv.org/abs/2405.04434). */
static float group_key(const struct scores *scores, int from, int to)
{
    float first = -INFINITY, second = -INFINITY;
    for (int e = from; e < to; e++) {
        float key = choice_key(scores, e);
        if (key > first) {
            second = first;
            first = key;
        } else if (key > second) {
            second = key;
        }
    }
    return scores->routing->bias && to - from > 1 ? first + second : first;
}

/* The best top_groups groups, as flags. */
static void choose_groups(const struct scores *scores, bool allowed[ROUTING_GROUPS_MOST])
{
    const struct routing *r = scores->routing;
    int best[ROUTING_GROUPS_MOST], count = 0, size = r->experts / r->groups;
    float keys[ROUTING_GROUPS_MOST];
    for (int g = 0; g < r->groups; g++) {
        allowed[g] = false;
        count = insert_best(best, keys, count, r->top_groups, g, group_key(scores, g * size, (g + 1) * size));
    }
    for (int i = 0; i < count; i++)
        allowed[best[i]] = true;
}

void route(const struct routing *routing, const float *logits, int *chosen, float *weights)
{
    struct scores scores = scores_of(routing, logits);
    bool allowed[ROUTING_GROUPS_MOST] = {true};
    int size = routing->experts, count = 0;
    if (routing->groups > 1) {
        choose_groups(&scores, allowed);
        size = routing->experts / routing->groups;
    }
    for (int e = 0; e < routing->experts; e++)
        if (allowed[e / size])
            count = insert_best(chosen, weights, count, routing->top_k, e, choice_key(&scores, e));
    float sum = 0;
    for (int i = 0; i < routing->top_k; i++) {
        weights[i] = score(&scores, chosen[i]);
        sum += weights[i];
    }
    /* Where sigmoids are all 0 there is nothing to divide by. */
    float scale = routing->normalise && sum > 0 ? routing->scale / sum : routing->scale;
    for (int i = 0; i < routing->top_k; i++)
        weights[i] *= scale;
}
