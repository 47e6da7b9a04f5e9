#include "exec/merge.h"

#include <stdlib.h>

bool merger_begin(struct merger *merger, size_t most)
{
    merger->count = merger->heap_count = 0;
    if (most <= merger->capacity)
        return true;
    if (most > INT32_MAX / 2)
        return false;
    size_t capacity = most + most / 2 + 64;
    merger_free(merger);
    merger->symbols = calloc(capacity, sizeof *merger->symbols);
    merger->heap = calloc(2 * capacity, sizeof *merger->heap); /* a merge takes one and adds two */
    if (merger->symbols == NULL || merger->heap == NULL) {
        merger_free(merger);
        return false;
    }
    merger->capacity = capacity;
    return true;
}

void merger_free(struct merger *merger)
{
    free(merger->symbols);
    free(merger->heap);
    *merger = (struct merger){0};
}

void merger_add(struct merger *merger, size_t begin, size_t length, int token)
{
    int32_t at = (int32_t)merger->count++;
    merger->symbols[at] = (struct symbol){(uint32_t)begin, (uint32_t)length, at - 1, -1, token};
    if (at > 0)
        merger->symbols[at - 1].next = at;
}

/* ---- the heap ---- */

static bool before(const struct merge_candidate *a, const struct merge_candidate *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->left < b->left;
}

static void push(struct merger *merger, struct merge_candidate candidate)
{
    struct merge_candidate *heap = merger->heap;
    size_t at = merger->heap_count++;
    for (; at > 0 && before(&candidate, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = candidate;
}

static struct merge_candidate pop(struct merger *merger)
{
    struct merge_candidate *heap = merger->heap, first = heap[0], last = heap[--merger->heap_count];
    size_t at = 0, count = merger->heap_count;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

/* ---- merging ---- */

static void consider(struct merger *merger, const char *word, struct merge_rule rule, int32_t left,
                     int32_t right)
{
    struct merge_candidate candidate = {.left = left, .right = right};
    if (left < 0 || right < 0)
        return;
    const struct symbol *a = &merger->symbols[left], *b = &merger->symbols[right];
    candidate.length = a->length + b->length;
    if (rule.find(rule.context, word, a, b, &candidate.priority, &candidate.token))
        push(merger, candidate);
}

void merger_run(struct merger *merger, const char *word, struct merge_rule rule)
{
    for (size_t i = 1; i < merger->count; i++)
        consider(merger, word, rule, (int32_t)i - 1, (int32_t)i);
    while (merger->heap_count > 0) {
        struct merge_candidate best = pop(merger);
        struct symbol *left = &merger->symbols[best.left], *right = &merger->symbols[best.right];
        if (left->length == 0 || right->length == 0 || left->length + right->length != best.length)
            continue;
        left->length = best.length;
        left->token = best.token;
        left->next = right->next;
        right->length = 0;
        if (right->next >= 0)
            merger->symbols[right->next].previous = best.left;
        consider(merger, word, rule, left->previous, best.left);
        consider(merger, word, rule, best.left, left->next);
    }
}
