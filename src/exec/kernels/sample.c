#include "exec/kernels/lane_kernels.h"

#include <math.h>

/* The first value that is equal; n: none is. */
static size_t find(const float *values, size_t n, float value)
{
    size_t at = 0;
    while (at < n && !(values[at] == value))
        at++;
    return at;
}

/* In pieces, of which only the first with the greatest logit is searched for it. */
static int greatest_logit(enum isa isa, const float *logits, size_t n)
{
    enum { PIECE = 1024 };
    const struct lane_kernels *kernels = lane_kernels(isa);
    float best = -INFINITY;
    size_t piece = 0;
    for (size_t from = 0; from < n; from += PIECE) {
        float greatest = kernels->greatest(logits + from, n - from < PIECE ? n - from : PIECE);
        if (greatest > best) {
            best = greatest;
            piece = from;
        }
    }
    size_t at = piece + find(logits + piece, n - piece, best);
    return at < n ? (int)at : 0;
}

/* Order of candidates: by falling value, then by rising token. */
static bool before(struct candidate a, struct candidate b)
{
    return a.value > b.value || (a.value == b.value && a.token < b.token);
}

/* Restores the heap below `at`: a parent comes before its children, or after them when reversed. */
static void sift(struct candidate *heap, size_t count, size_t at, bool reversed)
{
    struct candidate moved = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && before(heap[child + 1], heap[child]) != reversed)
            child++;
        if (before(heap[child], moved) == reversed)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void make_heap(struct candidate *heap, size_t count, bool reversed)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(heap, count, i, reversed);
}

/* The k first of the order, by a heap of k with the last of them on top: most logits cost one comparison. */
static size_t select_top(const float *logits, size_t n, size_t k, struct candidate *heap)
{
    size_t count = 0, i = 0;
    for (; i < n && count < k; i++)
        if (!isnan(logits[i]))
            heap[count++] = (struct candidate){logits[i], (int)i};
    make_heap(heap, count, true);
    for (; i < n; i++)
        if (logits[i] > heap[0].value) {
            heap[0] = (struct candidate){logits[i], (int)i};
            sift(heap, count, 0, true);
        }
    return count;
}

/* Turns values into probabilities that are not yet divided by their sum, which is returned. */
static double weigh(struct candidate *candidates, size_t count, float greatest, float temperature)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        candidates[i].value = expf((candidates[i].value - greatest) / temperature);
        sum += (double)candidates[i].value;
    }
    return sum;
}

/* Leaves the candidates that top_p may keep in front: those below (1 - top_p) / count of the sum are together
 * less than what is cut. */
static size_t drop_unlikely(struct candidate *candidates, size_t count, double sum, double top_p)
{
    double least = (1 - top_p) * sum / (double)count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if ((double)candidates[i].value >= least)
            candidates[kept++] = candidates[i];
    return kept;
}

/* The least set of first candidates that reaches top_p: they are popped off a heap to the array's end.
 * Returns where they begin; *mass is their sum. */
static size_t select_nucleus(struct candidate *candidates, size_t count, double need, double *mass)
{
    make_heap(candidates, count, false);
    size_t begin = count;
    *mass = 0;
    while (begin > 0) {
        struct candidate first = candidates[0];
        candidates[0] = candidates[--begin];
        candidates[begin] = first;
        sift(candidates, begin, 0, false);
        *mass += (double)first.value;
        if (*mass >= need)
            break;
    }
    return begin;
}

/* The candidate in which `point` of the running sum falls; rounding may leave it behind the last. */
static int draw(const struct candidate *candidates, size_t count, double point)
{
    double sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].value <= 0)
            continue;
        last = i;
        sum += (double)candidates[i].value;
        if (point < sum)
            break;
    }
    return candidates[last].token;
}

int sample(enum isa isa, const struct sampling *sampling, const float *logits, size_t n, double random,
           struct candidate *scratch)
{
    int best = greatest_logit(isa, logits, n);
    if (n == 0 || !(sampling->temperature > 0) || !isfinite(logits[best]))
        return best;
    double point = random >= 0 ? fmin(random, 1 - 0x1p-53) : 0;
    size_t most = sampling->top_k > 0 && (size_t)sampling->top_k < n ? (size_t)sampling->top_k : n;
    size_t count = select_top(logits, n, most, scratch), begin = 0;
    double sum = weigh(scratch, count, logits[best], sampling->temperature), mass = sum;
    if (!(sampling->top_p >= 1)) {
        double top_p = sampling->top_p > 0 ? (double)sampling->top_p : 0;
        count = drop_unlikely(scratch, count, sum, top_p);
        begin = select_nucleus(scratch, count, top_p * sum, &mass);
    }
    return draw(scratch + begin, count - begin, point * mass);
}
