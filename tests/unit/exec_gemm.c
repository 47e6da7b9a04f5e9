/* Products of every weight type and instruction set against the plain ones, within bounds that follow from
 * how operands are rounded. */
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm_kernels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;
static struct gemm_scratch scratch;

static void setup(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    scratch = (struct gemm_scratch){0};
}

static void teardown(void)
{
    gemm_scratch_free(&scratch);
    arena_free(arena);
}

TestSuite(exec_gemm, .init = setup, .fini = teardown);

/* Sums of uniform values: near enough to normal. */
static float random_value(uint32_t *state)
{
    float sum = -2;
    for (int i = 0; i < 4; i++) {
        *state = *state * 1664525 + 1013904223;
        sum += (float)(*state >> 8) * 0x1p-24F;
    }
    return sum * 1.7F;
}

static float *random_values(size_t n, uint32_t seed)
{
    float *values = ARENA_ARRAY(arena, float, n > 0 ? n : 1);
    for (size_t i = 0; i < n; i++)
        values[i] = random_value(&seed);
    return values;
}

static struct matrix random_matrix(enum weight_type type, size_t n, size_t k, uint32_t seed)
{
    size_t row = weight_row_bytes(type, k);
    char *data = arena_alloc(arena, n * row + 1, 1);
    const float *values = random_values(n * k, seed);
    for (size_t j = 0; j < n; j++)
        weights_encode(type, values + j * k, k, data + j * row);
    return (struct matrix){.stored = {"w", type, n, k, data}};
}

/* A product with room for y around its columns. */
static struct product product_of(const struct matrix *w, int m, size_t x_extra, size_t y_extra, uint32_t seed)
{
    size_t k = w->stored.cols, n = w->stored.rows;
    return (struct product){.w = w,
                            .x = random_values((size_t)m * (k + x_extra), seed),
                            .x_stride = k + x_extra,
                            .m = m,
                            .y = ARENA_ARRAY(arena, float, (size_t)m *(n + y_extra) + 1),
                            .y_stride = n + y_extra};
}

static float *plain_of(const struct product *product)
{
    struct product plain = *product;
    plain.y = ARENA_ARRAY(arena, float, (size_t)product->m * product->y_stride + 1);
    gemm_plain(&plain);
    return plain.y;
}

/* How far y may lie from the exact sum, for one row of x and of w.
 *
 * fp32 sums in any order: k u sum|x w|, u = 2^-24, of the products' parts; a weight's offset or min is a part
 * of its own, no larger than the range of its row. bf16: 2^-8 more for each operand rounded. int8: each x is
 * off by half a step, largest / 127 / 2 of its 32. */
static double bound(enum weight_type type, const float *x, const float *w, size_t k, float bias)
{
    double sum = fabs((double)bias), steps = 0, x_sum = 0, largest = 0;
    bool int8 = weight_layouts[type].block_values > 1;
    for (size_t i = 0; i < k; i++) {
        sum += fabs((double)x[i] * w[i]);
        x_sum += fabs((double)x[i]);
        largest = fmax(largest, fabs((double)w[i]));
    }
    for (size_t b = 0; int8 && b < k; b += BLOCK_32) {
        double most = 0, weights = 0;
        for (size_t i = b; i < b + BLOCK_32; i++) {
            most = fmax(most, fabs((double)x[i]));
            weights += fabs((double)w[i]);
        }
        steps += most / 127 / 2 * (1 + 1e-4) * weights;
    }
    double rounding = type == WEIGHT_F16 ? 2.01 * 0x1p-8 : type == WEIGHT_BF16 ? 0x1p-8 : 0;
    return (double)(k + 8) * 0x1p-24 * (sum + (int8 ? x_sum * largest : 0)) + rounding * sum + steps + 1e-30;
}

static void check(const struct product *product, const char *what)
{
    const struct tensor *w = &product->w->stored;
    const float *expected = plain_of(product);
    float *row = ARENA_ARRAY(arena, float, w->cols + 1);
    for (size_t j = 0; j < w->rows; j++) {
        weights_decode(w->type, tensor_row(w, j), w->cols, row);
        float bias = product->w->bias != NULL ? product->w->bias[j] : 0;
        for (int i = 0; i < product->m; i++) {
            size_t from = (size_t)(product->rows != NULL ? product->rows[i] : i),
                   at = (size_t)i * product->y_stride + j;
            double allowed = bound(w->type, product->x + from * product->x_stride, row, w->cols, bias);
            double off = fabs((double)product->y[at] - expected[at]);
            cr_assert(off <= allowed, "%s %s m %d n %zu k %zu: y[%d][%zu] = %g, not %g (off %g, allowed %g)",
                      what, weight_layouts[w->type].name, product->m, w->rows, w->cols, i, j,
                      (double)product->y[at], (double)expected[at], off, allowed);
        }
    }
    for (int i = 0; i < product->m; i++)
        for (size_t j = w->rows; j < product->y_stride; j++)
            cr_assert(product->y[(size_t)i * product->y_stride + j] == 0, "wrote past column %zu", w->rows);
}

static void each_type_and_isa(void (*test)(enum weight_type type, enum isa isa, struct team *team))
{
    struct team *team = team_new(arena, &diag, 2);
    cr_assert(team != NULL);
    for (enum isa isa = ISA_PORTABLE; isa <= cpu_isa(); isa++)
        for (enum weight_type type = 0; type < WEIGHT_TYPE_COUNT; type++)
            test(type, isa, team);
}

/* Packed as threads do, each some panels; the bytes begin as garbage. */
static bool packed(struct matrix *w, enum isa isa)
{
    enum { GRAIN = 64 };
    size_t bytes = matrix_packed_bytes(&w->stored, isa), n = w->stored.rows;
    if (bytes == 0)
        return false;
    char *to = arena_alloc(arena, bytes, 64);
    memset(to, 0x7e, bytes);
    for (size_t from = 0; from < n; from += GRAIN)
        matrix_pack(&w->stored, isa, from, n - from < GRAIN ? n : from + GRAIN, to);
    w->packed = to;
    return true;
}

static void shapes(enum weight_type type, enum isa isa, struct team *team)
{
    static const int ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 29};
    static const size_t ns[] = {1, 37};
    size_t block = weight_layouts[type].block_values;
    const size_t ks[] = {block, block > 1 ? 3 * block : 37, block > 1 ? 1024 : 519};
    for (size_t b = 0; b < sizeof ns / sizeof *ns; b++)
        for (size_t c = 0; c < sizeof ks / sizeof *ks; c++) {
            arena_reset(arena);
            diag = (struct diag){.arena = arena};
            team = team_new(arena, &diag, 2);
            struct matrix w = random_matrix(type, ns[b], ks[c], (uint32_t)(10 * b + 100 * c)), copy = w;
            if (b % 2 == 1)
                w.bias = copy.bias = random_values(ns[b], 3);
            bool also_packed = packed(&copy, isa);
            for (size_t a = 0; a < sizeof ms / sizeof *ms; a++) {
                struct product product = product_of(&w, ms[a], c, b, 77);
                cr_assert(gemm(team, isa, &product, 1, &scratch, &diag));
                check(&product, isa_name(isa));
                if (!also_packed || ms[a] > GEMV_ROWS_MOST)
                    continue;
                product.w = &copy;
                memset(product.y, 0, (size_t)ms[a] * product.y_stride * sizeof *product.y);
                cr_assert(gemm(team, isa, &product, 1, &scratch, &diag));
                check(&product, "packed");
            }
        }
}

Test(exec_gemm, shapes)
{
    each_type_and_isa(shapes);
}

/* Experts: products with their own rows of one x, some of them few or none, beside products that share it. */
static void grouped(enum weight_type type, enum isa isa, struct team *team)
{
    enum { EXPERTS = 6, TOKENS = 40 };
    static const int counts[EXPERTS] = {0, 1, 5, 8, 17, 40};
    int rows[EXPERTS][TOKENS];
    struct matrix w[EXPERTS];
    struct product products[2 * EXPERTS];
    for (int e = 0; e < EXPERTS; e++) {
        w[e] = random_matrix(type, 50, 256, (uint32_t)e);
        for (int i = 0; i < TOKENS; i++)
            rows[e][i] = (i * 7 + e) % TOKENS;
        products[e] = product_of(&w[e], TOKENS, 0, 0, 5);
        products[e].x = products[0].x;
        products[e].m = counts[e];
        products[e].rows = rows[e];
        products[EXPERTS + e] = product_of(&w[e], 11, 3, 2, 9);
        products[EXPERTS + e].x = products[EXPERTS].x;
    }
    cr_assert(gemm(team, isa, products, 2 * EXPERTS, &scratch, &diag));
    for (int e = 0; e < 2 * EXPERTS; e++)
        check(&products[e], isa_name(isa));
}

Test(exec_gemm, grouped)
{
    each_type_and_isa(grouped);
}

/* The same bits with any number of threads. */
static void threads(enum weight_type type, enum isa isa, struct team *team)
{
    (void)team;
    static const int ms[] = {1, 6, 40};
    struct matrix w = random_matrix(type, 130, 512, 1);
    for (size_t a = 0; a < sizeof ms / sizeof *ms; a++) {
        struct product one = product_of(&w, ms[a], 0, 0, 2), other = one;
        other.y = ARENA_ARRAY(arena, float, (size_t)ms[a] * 130);
        cr_assert(gemm(team_new(arena, &diag, 1), isa, &one, 1, &scratch, &diag));
        cr_assert(!packed(&w, isa) || gemm(team_new(arena, &diag, 1), isa, &one, 1, &scratch, &diag));
        for (int count = 2; count <= 5; count++) {
            cr_assert(gemm(team_new(arena, &diag, count), isa, &other, 1, &scratch, &diag));
            cr_assert(memcmp(one.y, other.y, (size_t)ms[a] * 130 * sizeof *one.y) == 0,
                      "%s %s m %d, %d threads", isa_name(isa), weight_layouts[type].name, ms[a], count);
        }
    }
}

Test(exec_gemm, any_number_of_threads)
{
    each_type_and_isa(threads);
}

/* Against the values before they were stored: more bits, less error. */
static double rms_error(enum weight_type type, int m)
{
    enum { N = 64, K = 512 };
    struct matrix exact = random_matrix(WEIGHT_F32, N, K, 8), w = random_matrix(type, N, K, 8);
    struct product product = product_of(&w, m, 0, 0, 4), reference = product;
    reference.w = &exact;
    const float *expected = plain_of(&reference);
    cr_assert(gemm(team_new(arena, &diag, 1), cpu_isa(), &product, 1, &scratch, &diag));
    double sum = 0;
    for (int i = 0; i < m * N; i++)
        sum += pow((double)product.y[i] - expected[i], 2);
    return sqrt(sum / m / N);
}

Test(exec_gemm, more_bits_are_nearer)
{
    static const enum weight_type order[] = {WEIGHT_F32,  WEIGHT_F16,  WEIGHT_Q8_0, WEIGHT_Q6_K,
                                             WEIGHT_Q5_K, WEIGHT_Q4_K, WEIGHT_Q4_0};
    for (int m = 1; m <= 16; m += 15)
        for (size_t i = 1; i < sizeof order / sizeof *order; i++)
            cr_assert_lt(rms_error(order[i - 1], m), rms_error(order[i], m), "%s, m %d",
                         weight_layouts[order[i]].name, m);
}

Test(exec_gemm, zeros_and_extremes)
{
    for (enum isa isa = ISA_PORTABLE; isa <= cpu_isa(); isa++)
        for (enum weight_type type = 0; type < WEIGHT_TYPE_COUNT; type++)
            for (int m = 1; m <= 16; m += 5) {
                struct matrix w = random_matrix(type, 33, 256, 1);
                struct product product = product_of(&w, m, 0, 0, 2);
                float *x = (float *)product.x;
                memset(x, 0, 32 * sizeof *x); /* a block without any step */
                for (int i = 32; i < 64; i++) /* one too small for an inverse, and a large one */
                    x[i] = 1e-40F, x[i + 32] *= 1e15F;
                cr_assert(gemm(team_new(arena, &diag, 2), isa, &product, 1, &scratch, &diag));
                check(&product, isa_name(isa));
            }
}

Test(exec_gemm, nothing_to_do)
{
    struct team *team = team_new(arena, &diag, 2);
    struct matrix w = random_matrix(WEIGHT_F32, 4, 8, 1);
    struct product product = product_of(&w, 1, 0, 0, 2);
    product.m = 0;
    cr_assert(gemm(team, cpu_isa(), &product, 1, &scratch, &diag));
    cr_assert(gemm(team, cpu_isa(), NULL, 0, &scratch, &diag));
    cr_assert_eq(product.y[0], 0);
}

Test(exec_gemm, names_of_instruction_sets)
{
    cr_assert_lt(cpu_isa(), ISA_COUNT);
    for (enum isa isa = ISA_PORTABLE; isa < ISA_COUNT; isa++)
        cr_assert(strlen(isa_name(isa)) > 0);
}

#ifdef __x86_64__
/* One tile by one panel, straight: gemm() leaves these kernels out where fp32 ones are faster. */
static void bf16_panel(enum weight_type type, int rows, size_t columns, size_t k)
{
    enum { MOST = SLICE * PANEL };
    const struct gemm_kernel *kernel = &gemm_bf16_avx512[type];
    struct matrix w = random_matrix(type, columns, k, (uint32_t)k);
    struct product product = product_of(&w, rows, 0, PANEL - columns, 6);
    size_t dwords = operand_dwords(GEMM_BF16, k);
    uint32_t *memory = buffer_new(&diag, 2 * MOST * sizeof *memory);
    const struct panel panel = {memory, NULL, NULL};
    const struct x_tile tile = {memory + MOST, NULL, NULL};
    const struct sums sums = {random_values(PANEL, 1), 0, product.y, PANEL};
    const float *x[TILE];
    for (int r = 0; r < rows; r++)
        x[r] = product.x + (size_t)r * k;
    kernel->pack(&w.stored, 0, columns, 0, dwords, &panel);
    kernel->convert(x, rows, k, dwords, kernel->form, &tile);
    kernel->multiply(&panel, &tile, dwords, rows, &sums);
    for (int r = 0; r < rows; r++) /* what it puts into columns that are not there is nobody's */
        memset(product.y + (size_t)r * PANEL + columns, 0, (PANEL - columns) * sizeof *product.y);
    w.bias = sums.from;
    check(&product, "bf16 panel");
    buffer_free(memory, 2 * MOST * sizeof *memory);
}

Test(exec_gemm, bf16_panels)
{
    if (cpu_isa() < ISA_AVX512_BF16)
        cr_skip("no bf16 dot products on this processor");
    for (int rows = 1; rows <= TILE; rows++)
        for (size_t columns = 1; columns <= PANEL; columns += 31)
            for (size_t k = 1; k <= 2 * SLICE; k += 91) {
                bf16_panel(WEIGHT_BF16, rows, columns, k);
                bf16_panel(WEIGHT_F16, rows, columns, k);
            }
}
#endif
