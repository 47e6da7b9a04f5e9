/* Loops over processors visit everything once. */
#include "base/parallel.h"

#include <criterion/criterion.h>

enum { MOST = 1000 };

static int visits[MOST];

static void visit(void *context, size_t from, size_t to)
{
    size_t chunk = *(size_t *)context;
    cr_assert(from < to && to - from <= chunk);
    for (size_t i = from; i < to; i++)
        __atomic_fetch_add(&visits[i], 1, __ATOMIC_RELAXED);
}

Test(parallel_for, visits_all_once)
{
    static const size_t counts[] = {0, 1, 7, 64, 999, MOST}, chunks[] = {1, 7, 64, 5000};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
            size_t chunk = chunks[k];
            for (int i = 0; i < MOST; i++)
                visits[i] = 0;
            parallel_for(counts[c], chunk, visit, &chunk);
            for (size_t i = 0; i < MOST; i++)
                cr_assert_eq(visits[i], i < counts[c], "%zu of %zu", i, counts[c]);
        }
}
