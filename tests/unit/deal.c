/* Tokens dealt to experts as the benchmark behind moe.csv deals them. */
#include "fit/deal.h"

#include <criterion/criterion.h>
#include <math.h>

static struct gemm_work dealt(struct arena *arena, struct deal deal)
{
    struct gemm_work work = {0};
    cr_assert(deal_tokens(&deal, arena, &work));
    return work;
}

static double pairs(const struct gemm_work *work, int tokens)
{
    double sum = 0;
    for (int i = 0; i < work->dealt_count; i++)
        sum += work->dealt[i].experts * work->dealt[i].share * tokens;
    return sum;
}

static double experts_of(const struct gemm_work *work)
{
    double sum = 0;
    for (int i = 0; i < work->dealt_count; i++)
        sum += work->dealt[i].experts;
    return sum;
}

Test(deal, balanced_tokens_go_round)
{
    struct arena *arena = arena_new(0);
    /* 6 tokens of 2 choices over 8 experts, stride 4: tokens t and t + 4: 2 2 1 1 2 2 1 1 */
    struct gemm_work work = dealt(arena, (struct deal){.tokens = 6, .experts = 8, .top_k = 2, .ranks = 1});
    cr_assert_eq(work.dealt_count, 2);
    cr_expect_float_eq(work.dealt[0].experts, 4, 1e-12);
    cr_expect_float_eq(work.dealt[0].share * 6, 1, 1e-12);
    cr_expect_float_eq(work.dealt[1].share * 6, 2, 1e-12);
    /* one token: experts 0 and 4, of which rank 0 of 4 holds one */
    work = dealt(arena, (struct deal){.tokens = 1, .experts = 8, .top_k = 2, .ranks = 4});
    cr_expect_float_eq(experts_of(&work), 1, 1e-12);
    cr_expect_float_eq(pairs(&work, 1), 1, 1e-12);
    /* no expert is chosen twice before all are once */
    work = dealt(arena, (struct deal){.tokens = 16, .experts = 128, .top_k = 8, .ranks = 1});
    cr_expect_float_eq(experts_of(&work), 128, 1e-12);
    arena_free(arena);
}

Test(deal, the_law_keeps_all_pairs_and_times_the_hottest_rank)
{
    struct arena *arena = arena_new(0);
    static const int tokens[] = {1, 3, 100, 4096};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        for (int unbounded = 0; unbounded < 2; unbounded++) {
            struct deal deal = {tokens[i], 64, 6, 1, 1.2, unbounded};
            struct gemm_work all = dealt(arena, deal);
            cr_expect_float_eq(pairs(&all, tokens[i]), 6.0 * tokens[i], 1e-6 * tokens[i],
                               "%d tokens: %g pairs", tokens[i], pairs(&all, tokens[i]));
            for (int c = 0; c < all.dealt_count; c++)
                cr_expect_leq(all.dealt[c].share, 1 + 1e-9, "a token goes to an expert once");
            deal.ranks = 8;
            struct gemm_work hot = dealt(arena, deal);
            cr_expect_gt(pairs(&hot, tokens[i]), 6.0 * tokens[i] / 8, "more than an even share");
            cr_expect_leq(experts_of(&hot), 8);
        }
    arena_free(arena);
}

Test(deal, a_steeper_law_loads_the_hottest_expert_more)
{
    struct arena *arena = arena_new(0);
    struct gemm_work flat = dealt(arena, (struct deal){512, 128, 8, 1, 0.5, false}),
                     steep = dealt(arena, (struct deal){512, 128, 8, 1, 1.5, false});
    cr_expect_gt(steep.dealt[steep.dealt_count - 1].share, 1.5 * flat.dealt[flat.dealt_count - 1].share);
    arena_free(arena);
}
