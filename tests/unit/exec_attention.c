#include "exec/kernels/attention.h"
#include "support/attention_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isa_names[ISA_COUNT] = {"portable", "avx2", "avx512", "avx512-bf16"};

struct fixture {
    struct arena *arena;
    struct diag diag;
    struct team *team;
    struct attention_scratch scratch;
};

static struct fixture fixture_new(int threads)
{
    struct fixture f = {.arena = arena_new(0)};
    f.diag.arena = f.arena;
    f.team = team_new(f.arena, &f.diag, threads);
    cr_assert_not_null(f.team, "%s", diag_first_error(&f.diag));
    return f;
}

static void fixture_free(struct fixture *f)
{
    attention_scratch_free(&f->scratch);
    arena_free(f->arena);
}

/* What two results may differ by. A score is a sum of dim products, whose rounding errors of 2^-24 each add
 * up like random steps: 8 sqrt(dim) 2^-24 of a typical |q| |k| scale (below 4) covers all. e^x is within
 * 2e-7. A change of d in the scores changes weights by e^2d - 1 at most, and with them the mean of values
 * below 3.5. Queries against q8_0 keys may be rounded to int8 in blocks of 32: half a step of 3.5 / 127 for
 * each value, which add up like random steps of deviation step / sqrt(12) times keys of deviation 1, here 6
 * of them. */
static double bound(const struct attention_shape *shape)
{
    double dim = shape->dim, score = 8 * sqrt(dim) * 0x1p-24 * 4 + 4e-7;
    if (shape->type == KV_Q8_0)
        score += 6 * (3.5 / 127) / sqrt(12.0);
    return 3.5 * (expm1(2 * score) + 16 * 0x1p-24);
}

static void check(const struct attention_shape *shape, const char *what)
{
    struct fixture f = fixture_new(2);
    struct attention_case made;
    cr_assert(attention_case_new(&made, f.arena, &f.diag, shape, 7));
    attention_plain(&made.attention);
    float *expected = (float *)malloc(made.out_bytes);
    cr_assert_not_null(expected);
    memcpy(expected, made.out, made.out_bytes);
    double allowed = bound(shape);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        memset(made.out, 0xFF, made.out_bytes); /* NaN */
        cr_assert(attention(f.team, (enum isa)isa, &made.attention, &f.scratch, &f.diag));
        double worst = 0, squares = 0;
        size_t n = made.out_bytes / sizeof(float);
        for (size_t i = 0; i < n; i++) {
            double error = fabs((double)made.out[i] - expected[i]);
            worst = error <= worst ? worst : error; /* NaN is worst */
            squares += error * error;
        }
        cr_expect(worst <= allowed, "%s, %s, %s, pages of %d: error %g, allowed %g (mean %g)", what,
                  kv_type_name(shape->type), isa_names[isa], shape->page_tokens, worst, allowed,
                  sqrt(squares / (double)n));
    }
    free(expected);
    attention_case_free(&made);
    fixture_free(&f);
}

static void check_types(struct attention_shape shape, const char *what)
{
    for (int type = 0; type < KV_TYPE_COUNT; type++)
        for (int page = 16; page <= 64; page += 48) {
            if (type >= KV_Q8_0 && (shape.dim % 32 != 0 || shape.v_dim % 32 != 0))
                continue;
            shape.type = (enum kv_type)type;
            shape.page_tokens = page;
            check(&shape, what);
        }
}

Test(exec_attention, decodes_one_token)
{
    check_types(
        (struct attention_shape){
            .heads = 8, .kv_heads = 2, .dim = 64, .v_dim = 64, .count = 1, .cached = {300}, .fresh = {1}},
        "one token");
    check_types(
        (struct attention_shape){
            .heads = 2, .kv_heads = 2, .dim = 128, .v_dim = 128, .count = 1, .cached = {0}, .fresh = {1}},
        "the first token");
}

Test(exec_attention, splits_long_contexts_among_threads)
{
    check_types((struct attention_shape){.heads = 4,
                                         .kv_heads = 1,
                                         .dim = 64,
                                         .v_dim = 64,
                                         .count = 2,
                                         .cached = {2999, 1000},
                                         .fresh = {1, 1}},
                "long");
}

Test(exec_attention, takes_any_group)
{
    for (int group = 1; group <= 16; group++)
        check_types((struct attention_shape){.heads = 2 * group,
                                             .kv_heads = 2,
                                             .dim = 32,
                                             .v_dim = 32,
                                             .count = 2,
                                             .cached = {70, 5},
                                             .fresh = {1, 2}},
                    "group");
}

Test(exec_attention, takes_sizes_that_fill_no_vector)
{
    static const int dims[] = {4, 20, 40, 72, 80, 96, 100, 192, 256};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        struct attention_shape shape = {.heads = 6,
                                        .kv_heads = 2,
                                        .dim = dims[i],
                                        .v_dim = dims[i],
                                        .count = 2,
                                        .cached = {37, 90},
                                        .fresh = {9, 1}};
        check_types(shape, "sizes");
        shape.v_dim = dims[i] / 2;
        check_types(shape, "values shorter than keys");
    }
}

Test(exec_attention, prefills)
{
    check_types(
        (struct attention_shape){
            .heads = 4, .kv_heads = 1, .dim = 64, .v_dim = 64, .count = 1, .cached = {0}, .fresh = {201}},
        "prefill");
    check_types(
        (struct attention_shape){
            .heads = 2, .kv_heads = 2, .dim = 128, .v_dim = 128, .count = 1, .cached = {130}, .fresh = {150}},
        "a chunk behind others");
}

Test(exec_attention, mixes_prefills_and_decodes)
{
    check_types((struct attention_shape){.heads = 6,
                                         .kv_heads = 2,
                                         .dim = 64,
                                         .v_dim = 64,
                                         .count = 6,
                                         .cached = {0, 513, 63, 64, 1, 300},
                                         .fresh = {77, 1, 1, 1, 3, 40}},
                "mix");
}

Test(exec_attention, sees_a_window)
{
    static const int windows[] = {1, 2, 16, 63, 64, 65, 300};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        check_types((struct attention_shape){.heads = 4,
                                             .kv_heads = 2,
                                             .dim = 32,
                                             .v_dim = 32,
                                             .count = 3,
                                             .window = windows[i],
                                             .cached = {0, 400, 130},
                                             .fresh = {170, 1, 2}},
                    "window");
}

Test(exec_attention, has_sinks_and_caps)
{
    check_types((struct attention_shape){.heads = 8,
                                         .kv_heads = 2,
                                         .dim = 64,
                                         .v_dim = 64,
                                         .sinks = true,
                                         .count = 3,
                                         .cached = {0, 800, 3},
                                         .fresh = {90, 1, 2}},
                "sinks");
    check_types((struct attention_shape){.heads = 4,
                                         .kv_heads = 2,
                                         .dim = 64,
                                         .v_dim = 64,
                                         .softcap = 2.0F,
                                         .sinks = true,
                                         .window = 50,
                                         .count = 2,
                                         .cached = {0, 90},
                                         .fresh = {80, 1}},
                "softcap");
}

Test(exec_attention, shares_a_latent_cache)
{
    check_types((struct attention_shape){.heads = 16,
                                         .kv_heads = 1,
                                         .dim = 576,
                                         .v_dim = 512,
                                         .latent = true,
                                         .count = 2,
                                         .cached = {300, 10},
                                         .fresh = {1, 9}},
                "latent");
    check_types((struct attention_shape){.heads = 5,
                                         .kv_heads = 1,
                                         .dim = 96,
                                         .v_dim = 64,
                                         .latent = true,
                                         .count = 1,
                                         .cached = {600},
                                         .fresh = {1}},
                "few latent heads");
}

/* With keys of 0 all weights are equal, and values that say who they are give the mean of what was seen: by
 * this the oracle is tested too. */
Test(exec_attention, sees_itself_and_those_before_it_in_the_window)
{
    enum { TOKENS = 90, FRESH = 70, DIM = 16, HEADS = 6, KV_HEADS = 2, WINDOW = 20 };
    struct fixture f = fixture_new(2);
    struct attention_shape shape = {.heads = HEADS,
                                    .kv_heads = KV_HEADS,
                                    .dim = DIM,
                                    .v_dim = DIM,
                                    .type = KV_F32,
                                    .page_tokens = 16,
                                    .window = WINDOW,
                                    .count = 1,
                                    .cached = {TOKENS - FRESH},
                                    .fresh = {FRESH}};
    struct attention_case made;
    cr_assert(attention_case_new(&made, f.arena, &f.diag, &shape, 3));
    float zero[KV_HEADS * DIM] = {0}, values[KV_HEADS * DIM];
    for (int t = 0; t < TOKENS; t++) {
        for (int i = 0; i < KV_HEADS * DIM; i++)
            values[i] = (float)(t + 1000 * (i / DIM));
        kv_write_token(cpu_isa(), &made.k, &made.sequences[0].cache, t, zero);
        kv_write_token(cpu_isa(), &made.v, &made.sequences[0].cache, t, values);
    }
    for (int isa = -1; isa <= (int)cpu_isa(); isa++) { /* -1: the oracle */
        memset(made.out, 0xFF, made.out_bytes);
        if (isa < 0)
            attention_plain(&made.attention);
        else
            cr_assert(attention(f.team, (enum isa)isa, &made.attention, &f.scratch, &f.diag));
        for (int t = 0; t < FRESH; t++)
            for (int i = 0; i < HEADS * DIM; i++) {
                int position = TOKENS - FRESH + t,
                    first = position - WINDOW + 1 > 0 ? position - WINDOW + 1 : 0;
                float mean = (float)(first + position) / 2 + 1000.0F * (float)(i / DIM / (HEADS / KV_HEADS));
                cr_assert_float_eq(made.out[t * HEADS * DIM + i], mean, 2e-3, "isa %d, token %d, value %d",
                                   isa, t, i);
            }
    }
    attention_case_free(&made);
    fixture_free(&f);
}

/* The prompt in one piece and in pieces of uneven length. */
Test(exec_attention, chunks_make_the_whole)
{
    enum { TOKENS = 230 };
    struct fixture f = fixture_new(2);
    struct attention_shape shape = {.heads = 4,
                                    .kv_heads = 2,
                                    .dim = 64,
                                    .v_dim = 64,
                                    .type = KV_F16,
                                    .page_tokens = 16,
                                    .count = 1,
                                    .cached = {0},
                                    .fresh = {TOKENS}};
    struct attention_case made;
    cr_assert(attention_case_new(&made, f.arena, &f.diag, &shape, 3));
    cr_assert(attention(f.team, cpu_isa(), &made.attention, &f.scratch, &f.diag));
    float *whole = (float *)malloc(made.out_bytes);
    cr_assert_not_null(whole);
    memcpy(whole, made.out, made.out_bytes);
    memset(made.out, 0xFF, made.out_bytes);
    for (int from = 0, step = 1; from < TOKENS; from += step, step = step * 3 + 1) {
        int to = from + step < TOKENS ? from + step : TOKENS;
        made.sequences[0] = (struct attention_rows){{made.pages, to}, to - from, from};
        cr_assert(attention(f.team, cpu_isa(), &made.attention, &f.scratch, &f.diag));
    }
    for (size_t i = 0; i < made.out_bytes / sizeof *whole; i++)
        cr_assert_float_eq(made.out[i], whole[i], bound(&shape));
    free(whole);
    attention_case_free(&made);
    fixture_free(&f);
}

/* Same bits again, and again from a scratch that other shapes have used. */
Test(exec_attention, repeats_itself)
{
    struct fixture f = fixture_new(2);
    struct attention_shape shape = {.heads = 4,
                                    .kv_heads = 1,
                                    .dim = 64,
                                    .v_dim = 64,
                                    .type = KV_Q8_0,
                                    .page_tokens = 64,
                                    .count = 2,
                                    .cached = {2000, 0},
                                    .fresh = {1, 100}};
    struct attention_case made;
    cr_assert(attention_case_new(&made, f.arena, &f.diag, &shape, 5));
    cr_assert(attention(f.team, cpu_isa(), &made.attention, &f.scratch, &f.diag));
    float *first = (float *)malloc(made.out_bytes);
    cr_assert_not_null(first);
    memcpy(first, made.out, made.out_bytes);
    for (int i = 0; i < 5; i++) {
        memset(f.scratch.bytes, 0xFF, f.scratch.capacity);
        cr_assert(attention(f.team, cpu_isa(), &made.attention, &f.scratch, &f.diag));
        cr_expect_arr_eq(made.out, first, made.out_bytes);
    }
    free(first);
    attention_case_free(&made);
    fixture_free(&f);
}

Test(exec_attention, does_nothing_for_no_tokens)
{
    struct fixture f = fixture_new(1);
    struct attention_shape shape = {.heads = 2,
                                    .kv_heads = 2,
                                    .dim = 32,
                                    .v_dim = 32,
                                    .type = KV_F32,
                                    .page_tokens = 16,
                                    .count = 2,
                                    .cached = {5, 8},
                                    .fresh = {0, 2}};
    check(&shape, "no new tokens of one");
    struct attention none = {.heads = 2, .count = 0};
    struct kv_pool pool = {KV_F32, 2, 32, 16, 128, 4096, NULL};
    none.k = none.v = &pool;
    cr_expect(attention(f.team, cpu_isa(), &none, &f.scratch, &f.diag));
    fixture_free(&f);
}

Test(exec_attention, cache_rows_come_back)
{
    enum { DIM = 64, HEADS = 2, TOKENS = 40 };
    static const double step[KV_TYPE_COUNT] = {0, 0x1p-11 * 4, 4.0 / 127, 4.0 / 8};
    for (int type = 0; type < KV_TYPE_COUNT; type++) {
        struct kv_pool pool = {
            (enum kv_type)type, HEADS, DIM, 16, kv_row_bytes((enum kv_type)type, DIM), 0, NULL};
        pool.page_stride = pool.row_bytes * 16 * HEADS;
        pool.base = (char *)calloc(3, pool.page_stride);
        cr_assert_not_null(pool.base);
        static const int32_t pages[] = {2, 0, 1};
        struct kv_sequence sequence = {pages, TOKENS};
        float written[TOKENS][HEADS][DIM], read[DIM];
        uint64_t seed = 1;
        for (int t = 0; t < TOKENS; t++) {
            for (int i = 0; i < HEADS * DIM; i++)
                written[t][i / DIM][i % DIM] = case_normal(&seed);
            kv_write_token(cpu_isa(), &pool, &sequence, t, &written[t][0][0]);
        }
        for (int t = 0; t < TOKENS; t++)
            for (int h = 0; h < HEADS; h++) {
                kv_decode_row(pool.type, kv_row(&pool, &sequence, h, t), DIM, read);
                for (int i = 0; i < DIM; i++)
                    cr_expect_float_eq(read[i], written[t][h][i], step[type] + 1e-9, "%s",
                                       kv_type_name(pool.type));
            }
        free(pool.base);
        cr_expect_eq(kv_type_parse(kv_type_name((enum kv_type)type)), type);
    }
    cr_expect_eq(kv_type_parse("fp64"), KV_TYPE_COUNT);
}

/* Rows of a type as each instruction set writes them. */
static void expect_same_bits(enum kv_type type, const float *values, size_t dim)
{
    char expected[2048], found[2048];
    int32_t page = 0;
    size_t bytes = kv_row_bytes(type, dim);
    struct kv_pool pool = {type, 1, (int)dim, 1, bytes, bytes, found};
    struct kv_sequence sequence = {&page, 1};
    cr_assert_leq(bytes, sizeof found);
    kv_encode_row_plain(type, values, dim, expected);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        memset(found, 0x5A, sizeof found);
        kv_write_token((enum isa)isa, &pool, &sequence, 0, values);
        cr_expect_arr_eq(found, expected, bytes, "%s, %s", kv_type_name(type), isa_name((enum isa)isa));
    }
}

Test(exec_attention, rows_are_written_with_the_same_bits_by_all)
{
    enum { DIM = 96, KINDS = 8 };
    static const float scales[KINDS] = {1, 1e-3F, 300, 1e-7F, 1e-38F, 1e6F, 0, 1e-42F};
    for (int type = 0; type < KV_TYPE_COUNT; type++)
        for (int round = 0; round < 40 * KINDS; round++) {
            uint64_t seed = (uint64_t)round + 1;
            float values[DIM];
            for (int i = 0; i < DIM; i++)
                values[i] = scales[round % KINDS] * case_normal(&seed);
            if (round % 3 == 0) { /* ties of the farthest, halves between two steps */
                values[40] = -(values[50] = 8 * scales[round % KINDS]);
                values[41] = 0.5F * scales[round % KINDS];
                values[42] = -1.5F * scales[round % KINDS];
            }
            if (round % 5 == 0)
                values[70] = INFINITY;
            if (round % 10 == 0)
                values[3] = NAN;
            size_t dim = type == KV_F16 || type == KV_F32 ? DIM - 3 : DIM;
            expect_same_bits((enum kv_type)type, values, dim);
        }
}
