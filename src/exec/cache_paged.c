/* The plain cache: all tokens of a sequence stay, in pages of one pool. */
#include "exec/runner.h"

#include <string.h>

struct paged {
    int context_tokens, page_tokens;
    size_t pages_each; /* most of a sequence */
    int32_t *table;    /* [sequences][pages_each] */
    int *tokens;       /* [sequences] */
    int32_t *free;     /* those not taken, a stack */
    int free_count;
};

static int pages_for(const struct paged *paged, int tokens)
{
    return (tokens + paged->page_tokens - 1) / paged->page_tokens;
}

static bool reserve(void *state, int sequence, int tokens)
{
    struct paged *paged = state;
    int have = paged->tokens[sequence];
    if (tokens > paged->context_tokens - have)
        return false;
    int from = pages_for(paged, have), to = pages_for(paged, have + tokens);
    if (to - from > paged->free_count)
        return false;
    int32_t *table = paged->table + (size_t)sequence * paged->pages_each;
    for (int page = from; page < to; page++)
        table[page] = paged->free[--paged->free_count];
    paged->tokens[sequence] = have + tokens;
    return true;
}

static void shorten(void *state, int sequence, int tokens)
{
    struct paged *paged = state;
    int have = paged->tokens[sequence], left = tokens < have ? have - tokens : 0;
    const int32_t *table = paged->table + (size_t)sequence * paged->pages_each;
    for (int page = pages_for(paged, have); page > pages_for(paged, left); page--)
        paged->free[paged->free_count++] = table[page - 1];
    paged->tokens[sequence] = left;
}

static void release(void *state, int sequence)
{
    const struct paged *paged = state;
    shorten(state, sequence, paged->tokens[sequence]);
}

static struct kv_sequence view(void *state, int sequence, int layer)
{
    const struct paged *paged = state;
    (void)layer; /* all layers keep the same tokens */
    return (struct kv_sequence){.pages = paged->table + (size_t)sequence * paged->pages_each,
                                .tokens = paged->tokens[sequence]};
}

bool cache_paged(struct arena *arena, struct diag *diag, int sequences, int context_tokens, int page_tokens,
                 int pages, struct cache_policy *policy)
{
    struct paged *paged = ARENA_NEW(arena, struct paged);
    if (paged == NULL)
        return diag_error(diag, NOWHERE, "out of memory");
    *paged = (struct paged){.context_tokens = context_tokens, .page_tokens = page_tokens};
    paged->pages_each = ((size_t)context_tokens + (size_t)page_tokens - 1) / (size_t)page_tokens;
    paged->table = ARENA_ARRAY(arena, int32_t, (size_t)sequences * paged->pages_each);
    paged->tokens = ARENA_ARRAY(arena, int, (size_t)sequences);
    paged->free = ARENA_ARRAY(arena, int32_t, (size_t)pages);
    if (paged->table == NULL || paged->tokens == NULL || paged->free == NULL)
        return diag_error(diag, NOWHERE, "out of memory for a table of %d pages", pages);
    for (int page = pages; page > 0; page--) /* the first page is taken first */
        paged->free[paged->free_count++] = page - 1;
    *policy = (struct cache_policy){.name = "paged",
                                    .pages = pages,
                                    .reserve = reserve,
                                    .shorten = shorten,
                                    .release = release,
                                    .view = view,
                                    .state = paged};
    return true;
}
