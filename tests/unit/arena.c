#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(arena, memory_is_zeroed_aligned_and_disjoint)
{
    enum { COUNT = 2000 };
    struct arena *arena = arena_new(0);
    unsigned char *pieces[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i * 37 % 501;
        pieces[i] = arena_alloc(arena, size, 1);
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % 16, 0);
        for (size_t j = 0; j < size; j++)
            cr_assert_eq(pieces[i][j], 0);
        memset(pieces[i], (int)(i % 255 + 1), size);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < i * 37 % 501; j++)
            cr_assert_eq(pieces[i][j], i % 255 + 1);
    arena_free(arena);
}

Test(arena, refuses_to_pass_its_limit_and_goes_on_below_it)
{
    struct arena *arena = arena_new(100000);
    cr_expect_not_null(arena_alloc(arena, 1, 60000));
    cr_expect_null(arena_alloc(arena, 1, 60000));
    cr_expect_not_null(arena_alloc(arena, 1, 1000));
    size_t total = 0;
    while (arena_alloc(arena, 1, 64) != NULL)
        total += 64;
    cr_expect_leq(total, 100000);
    arena_free(arena);
}

Test(arena, refuses_sizes_that_overflow)
{
    struct arena *arena = arena_new(0);
    cr_expect_null(arena_alloc(arena, SIZE_MAX, 2));
    cr_expect_null(arena_alloc(arena, SIZE_MAX / 2, 3));
    cr_expect_null(arena_alloc(arena, 1, SIZE_MAX));
    cr_expect_null(arena_alloc(arena, 1, SIZE_MAX - 8));
    cr_expect_null(arena_strndup(arena, "x", SIZE_MAX));
    cr_expect_not_null(arena_alloc(arena, 1, 16));
    arena_free(arena);
}

Test(arena, nothing_of_size_zero_is_still_an_address)
{
    struct arena *arena = arena_new(0);
    cr_expect_not_null(arena_alloc(arena, 0, 8));
    cr_expect_not_null(arena_alloc(arena, 8, 0));
    cr_expect_neq(arena_alloc(arena, 0, 0), arena_alloc(arena, 0, 0));
    arena_free(arena);
}

Test(arena, reset_gives_zeroed_memory_again_from_what_it_holds)
{
    enum { BYTES = 300000 }; /* several blocks the first time */
    struct arena *arena = arena_new(1 << 20);
    for (int round = 0; round < 50; round++) {
        for (int piece = 0; piece < 3; piece++) {
            unsigned char *memory = arena_alloc(arena, 1, BYTES / 3);
            cr_assert_not_null(memory, "round %d: the limit is reached, so memory was not reused", round);
            for (size_t i = 0; i < BYTES / 3; i++)
                cr_assert_eq(memory[i], 0);
            memset(memory, 0xff, BYTES / 3);
        }
        cr_expect_geq(arena_used(arena), BYTES);
        arena_reset(arena);
        cr_expect_eq(arena_used(arena), 0);
    }
    arena_free(arena);
}

Test(arena, reset_of_one_block_hands_out_the_same_memory)
{
    struct arena *arena = arena_new(0);
    void *first = arena_alloc(arena, 10, 10);
    arena_reset(arena);
    cr_expect_eq(arena_alloc(arena, 10, 10), first);
    arena_free(arena);
}

Test(arena, copies_and_formats_strings)
{
    struct arena *arena = arena_new(0);
    cr_expect_str_eq(arena_strdup(arena, "roofline"), "roofline");
    cr_expect_str_eq(arena_strndup(arena, "roofline", 4), "roof");
    cr_expect_str_eq(arena_strndup(arena, NULL, 0), "");
    cr_expect_str_eq(arena_printf(arena, "%s:%d", "file", 7), "file:7");
    char *wide = arena_printf(arena, "%100000d", 7);
    cr_assert_not_null(wide);
    cr_expect_eq(strlen(wide), 100000);
    arena_free(arena);

    struct arena *small = arena_new(1000);
    cr_expect_null(arena_printf(small, "%2000d", 7));
    arena_free(small);
}

Test(arena, free_takes_null)
{
    arena_free(NULL);
}
