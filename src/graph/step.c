#include "graph/step.h"

#include <math.h>

enum regime segment_regime(const struct segment *segment)
{
    bool few = segment->new_tokens <= DECODE_TOKENS_MOST && segment->context + segment->source > 0;
    return few ? REGIME_DECODE : REGIME_PREFILL;
}

double segment_kv_tokens(const struct segment *segment, double window)
{
    double all = segment->context + segment->new_tokens;
    /* the first new token sees window - 1 before it, the last ones add themselves */
    return window > 0 ? fmin(all, window - 1 + segment->new_tokens) : all;
}

/* sum over i = 1..n of min(context + i, limit), for real n by linear continuation within the last token */
static double sum_of_clipped_contexts(double context, double n, double limit)
{
    double growing = fmin(fmax(limit - context, 0), n);       /* tokens before the limit binds */
    double clipped = n > growing ? (n - growing) * limit : 0; /* limit may be infinite */
    return growing * context + growing * (growing + 1) / 2 + clipped;
}

double segment_pairs(const struct segment *segment, double window)
{
    double n = segment->new_tokens, all = segment->context + n;
    if (segment->mask == MASK_CAUSAL)
        return sum_of_clipped_contexts(segment->context, n, window > 0 ? window : INFINITY);
    return n * (window > 0 ? fmin(all, window - 1 + n) : all);
}

double segment_selected_pairs(const struct segment *segment, double most)
{
    double n = segment->new_tokens;
    if (segment->mask == MASK_CAUSAL)
        return sum_of_clipped_contexts(segment->context, n, most);
    return n * fmin(segment->context + n, most);
}

void step_totals_add(struct step_totals *totals, const struct segment *segment)
{
    totals->sequences += segment->sequences;
    totals->tokens += segment->sequences * segment->new_tokens;
    totals->sampled += segment->sequences * segment->sampled;
    totals->context += segment->sequences * (segment->context + segment->new_tokens);
    totals->pairs += segment->sequences * segment_pairs(segment, 0);
    totals->source += segment->context > 0 ? 0 : segment->sequences * segment->source;
}
