/* How the benchmark behind moe.csv deals tokens to experts (facts of collector/helper.py of
 * ai-dynamo/aiconfigurator at 006afd7). Every expert's count is known, so tiles are counted, not expected.
 *
 * balanced: choice i of token t falls on expert (t + i s) mod E, s = ceil(E / top_k); fewer than s tokens are
 * spread evenly over a stride, t s / T instead of t. Rank 0 is timed.
 *
 * power_law_A: each expert draws a weight from the density x^-A between 1 and 0.8 T (0.01 and 2 while the
 * pairs T top_k are no more than the experts); the pairs are shared in proportion, rounded, held to T an
 * expert, and what that takes or leaves over goes to the least (from the most) loaded experts, rank by rank
 * in turn. Experts lie on ranks in contiguous groups; the rank with most pairs is the one timed, and a row is
 * the mean over five such draws. Here: the mean over as many draws as make for a stable mean, from a fixed
 * seed. */
#include "fit/deal.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS_LEAST = 5, DRAWN_EXPERTS = 2048 };

static void deal_evenly(const struct deal *deal, int *counts)
{
    int experts = deal->experts, stride = (experts + deal->top_k - 1) / deal->top_k;
    if (deal->tokens >= stride) {
        int rounds = deal->tokens / experts, rest = deal->tokens % experts;
        for (int e = 0; e < experts; e++)
            for (int i = 0; i < deal->top_k; i++)
                counts[e] += rounds + ((e - i * stride % experts + experts) % experts < rest);
        return;
    }
    for (int t = 0; t < deal->tokens; t++)
        for (int i = 0; i < deal->top_k; i++)
            counts[((int)((double)t * stride / deal->tokens) + i * stride) % experts]++;
}

/* Uniform in [0, 1): xorshift64*. */
static double uniform(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 2685821657736338717ULL) >> 11) * 0x1p-53;
}

static double draw_weight(uint64_t *state, double exponent, double least, double most)
{
    double power = 1 - exponent;
    if (fabs(power) < 1e-9)
        return least * pow(most / least, uniform(state));
    double low = pow(least, power), high = pow(most, power);
    return pow((high - low) * uniform(state) + low, 1 / power);
}

/* Adds (step 1) to the least or takes (-1) from the most loaded expert of rank after rank until nothing is
 * left. */
static void adjust(int *counts, const struct deal *deal, long remaining, int step)
{
    int local = deal->experts / deal->ranks;
    for (bool progress = true; remaining > 0 && progress;) {
        progress = false;
        for (int rank = 0; rank < deal->ranks && remaining > 0; rank++) {
            int *mine = counts + (size_t)rank * (size_t)local, chosen = 0;
            for (int e = 1; e < local; e++)
                chosen = step * mine[e] < step * mine[chosen] ? e : chosen;
            if (step > 0 ? mine[chosen] >= deal->tokens : mine[chosen] <= 0)
                continue;
            mine[chosen] += step;
            remaining--;
            progress = true;
        }
    }
}

/* The first version evened rounding out over the sorted counts, one each: from the most loaded down what was
 * missing, from the least loaded up what was too much. */
static void adjust_sorted(int *counts, int *order, const struct deal *deal, long missing)
{
    int experts = deal->experts;
    for (int e = 0; e < experts; e++)
        order[e] = e;
    for (int i = 1; i < experts; i++) { /* a few hundred */
        int e = order[i], at = i;
        for (; at > 0 && counts[order[at - 1]] < counts[e]; at--)
            order[at] = order[at - 1];
        order[at] = e;
    }
    for (long i = 0; i < missing; i++)
        counts[order[i % experts]]++;
    for (long i = 0; i < -missing; i++) {
        int e = order[experts - 1 - i % experts];
        counts[counts[e] > 0 ? e : order[0]]--;
    }
}

/* Pairs beyond one a token and expert. */
static long excess(const struct deal *deal, const int *counts)
{
    long over = 0;
    for (int e = 0; e < deal->experts; e++)
        over += counts[e] > deal->tokens ? counts[e] - deal->tokens : 0;
    return over;
}

/* There a token could be dealt the same expert twice; top-k over tied scores then took the first experts in
 * order, rank 0's: inferred from A100 rows of one token, whose ranks of 8 read all the token's experts. */
static void refill(const struct deal *deal, long over, int *mine)
{
    int local = deal->experts / deal->ranks;
    for (int e = 0; e < local; e++)
        mine[e] = mine[e] < deal->tokens ? mine[e] : deal->tokens;
    for (int e = 0; e < local && over > 0; e++) {
        int room = deal->tokens - mine[e];
        int taken = over < room ? (int)over : room;
        mine[e] += taken;
        over -= taken;
    }
}

static void deal_by_law(const struct deal *deal, uint64_t *state, double *weights, int *counts, int *order)
{
    long pairs = (long)deal->tokens * deal->top_k, dealt = 0, over = 0;
    bool many = pairs > deal->experts;
    double sum = 0;
    for (int e = 0; e < deal->experts; e++) {
        double most = many ? fmax(0.8 * deal->tokens, 1) : 2;
        weights[e] = draw_weight(state, deal->exponent, many ? 1 : 0.01, most);
        sum += weights[e];
    }
    for (int e = 0; e < deal->experts; e++) {
        counts[e] = (int)nearbyint(weights[e] / sum * (double)pairs);
        if (!deal->unbounded && counts[e] > deal->tokens) {
            over += counts[e] - deal->tokens;
            counts[e] = deal->tokens;
        }
    }
    adjust(counts, deal, over, 1);
    for (int e = 0; e < deal->experts; e++)
        dealt += counts[e];
    if (deal->unbounded)
        adjust_sorted(counts, order, deal, pairs - dealt);
    else
        adjust(counts, deal, labs(pairs - dealt), pairs > dealt ? 1 : -1);
}

static const int *hottest_rank(const struct deal *deal, const int *counts)
{
    int local = deal->experts / deal->ranks;
    const int *hottest = counts;
    long most = -1;
    for (int rank = 0; rank < deal->ranks; rank++) {
        const int *mine = counts + (size_t)rank * (size_t)local;
        long sum = 0;
        for (int e = 0; e < local; e++)
            sum += mine[e];
        if (sum > most) {
            most = sum;
            hottest = mine;
        }
    }
    return hottest;
}

static int by_size(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Experts of equal load together; large loads within 3% of each other too. */
static bool gather(const struct deal *deal, int *counts, size_t count, double draws, struct arena *arena,
                   struct gemm_work *work)
{
    qsort(counts, count, sizeof *counts, by_size);
    struct expert_load *loads = ARENA_ARRAY(arena, struct expert_load, count);
    if (!loads)
        return false;
    int classes = 0;
    for (size_t i = 0; i < count;) {
        double sum = 0;
        size_t first = i;
        for (; i < count && counts[i] <= counts[first] * (counts[first] > 256 ? 1.03 : 1); i++)
            sum += counts[i];
        double members = (double)(i - first);
        if (sum > 0)
            loads[classes++] = (struct expert_load){members / draws, sum / members / deal->tokens};
    }
    work->dealt = loads;
    work->dealt_count = classes;
    return true;
}

bool deal_tokens(const struct deal *deal, struct arena *arena, struct gemm_work *work)
{
    size_t experts = (size_t)deal->experts, local = experts / (size_t)deal->ranks;
    size_t draws = deal->exponent > 0 ? DRAWN_EXPERTS / experts : 1;
    if (deal->exponent > 0 && draws < DRAWS_LEAST)
        draws = DRAWS_LEAST;
    int *counts = calloc(experts, sizeof *counts), *kept = calloc(local * draws, sizeof *kept);
    int *order = calloc(experts, sizeof *order);
    double *weights = calloc(experts, sizeof *weights);
    bool ok = counts && kept && order && weights;
    uint64_t state = 88172645463325252ULL;
    for (size_t draw = 0; ok && draw < draws; draw++) {
        const int *mine = counts;
        if (deal->exponent > 0) {
            deal_by_law(deal, &state, weights, counts, order);
            mine = hottest_rank(deal, counts);
        } else {
            deal_evenly(deal, counts);
        }
        memcpy(kept + draw * local, mine, local * sizeof *kept);
        if (deal->unbounded)
            refill(deal, excess(deal, counts), kept + draw * local);
    }
    ok = ok && gather(deal, kept, local * draws, (double)draws, arena, work);
    free(counts);
    free(kept);
    free(order);
    free(weights);
    return ok;
}
