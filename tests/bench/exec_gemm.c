/* Products against the machine's roofs, measured in the same run: GEMV by the bandwidth of reading, GEMM by
 * the peak of the arithmetic that it uses, and by GEMM of OpenBLAS and oneDNN where those are installed.
 *
 *   exec_gemm [threads [rows [n [k]]]]
 *
 * OpenBLAS 0.3 takes kernels without AVX-512 on processors that it does not know: OPENBLAS_CORETYPE=SkylakeX
 * in the environment has it use them. */
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm.h"
#include "exec/probe/rates.h"
#include "support/other_gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, MATRIX_BYTES = 192 << 20, ENCODED_ROWS = 8 };

struct bench {
    struct arena *arena;
    struct diag diag;
    struct team *team;
    struct gemm_scratch scratch;
    size_t n, k;
    int m;
    float *x, *y;
};

static void fill(float *values, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = (float)(state >> 8) * 0x1p-23F - 1;
    }
}

/* A few different rows over and over: encoding takes long, times do not depend on values. */
static struct matrix matrix_of(struct bench *bench, enum weight_type type, size_t n, size_t k, size_t *bytes)
{
    size_t row = weight_row_bytes(type, k);
    *bytes = n * row;
    char *data = buffer_new(&bench->diag, *bytes);
    float *values = malloc(ENCODED_ROWS * k * sizeof *values);
    if (data == NULL || values == NULL)
        exit(1);
    fill(values, ENCODED_ROWS * k);
    for (size_t j = 0; j < n && j < ENCODED_ROWS; j++)
        weights_encode(type, values + j * k, k, data + j * row);
    for (size_t j = ENCODED_ROWS; j < n; j++)
        memcpy(data + j * row, data + j % ENCODED_ROWS * row, row);
    free(values);
    return (struct matrix){.stored = {"w", type, n, k, data}};
}

/* The best of some rounds, in seconds a product. */
static double best_time(struct bench *bench, enum isa isa, const struct product *product)
{
    double best = HUGE_VAL,
           flops = 2.0 * (double)product->w->stored.rows * (double)product->w->stored.cols * product->m;
    int repeats = product->m > GEMV_ROWS_MOST ? 1 + (int)(2e9 / flops) : 1;
    gemm(bench->team, isa, product, 1, &bench->scratch, &bench->diag);
    for (int round = 0; round < ROUNDS; round++) {
        double begin = clock_seconds();
        for (int i = 0; i < repeats; i++)
            gemm(bench->team, isa, product, 1, &bench->scratch, &bench->diag);
        double seconds = (clock_seconds() - begin) / repeats;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void gemv_row(struct bench *bench, enum isa isa, enum weight_type type)
{
    static const int ms[] = {1, 2, 4, 8};
    size_t bytes, n = MATRIX_BYTES / weight_row_bytes(type, bench->k);
    struct matrix w = matrix_of(bench, type, n, bench->k, &bytes);
    double roof = read_bandwidth(bench->team, w.stored.data, bytes, ROUNDS);
    printf("  %-5s", weight_layouts[type].name);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        struct product product = {&w, bench->x, bench->k, NULL, ms[i], bench->y, n};
        double rate = (double)bytes / best_time(bench, isa, &product);
        double again = read_bandwidth(bench->team, w.stored.data, bytes, 2);
        roof = again > roof ? again : roof;
        printf("  %6.1f GB/s %3.0f%%", 1e-9 * rate, 100 * rate / roof);
        fflush(stdout);
    }
    printf("   of %.1f\n", 1e-9 * roof);
    buffer_free((void *)w.stored.data, bytes);
}

/* fp16 and bf16: bf16's dot products where they do more than fp32's. */
static enum arithmetic arithmetic_of(struct team *team, enum weight_type type, enum isa isa)
{
    if (weight_layouts[type].block_values > 1 && isa >= ISA_AVX512)
        return ARITHMETIC_INT8;
    if ((type == WEIGHT_F16 || type == WEIGHT_BF16) &&
        arithmetic_peak(team, isa, ARITHMETIC_BF16, 2) > arithmetic_peak(team, isa, ARITHMETIC_F32, 2))
        return ARITHMETIC_BF16;
    return ARITHMETIC_F32;
}

static void gemm_row(struct bench *bench, enum isa isa, enum weight_type type)
{
    const int ms[] = {bench->m, 9, 16, 32, 64, 128};
    static const char *const names[] = {"f32", "bf16", "int8"};
    enum arithmetic arithmetic = arithmetic_of(bench->team, type, isa);
    size_t bytes;
    struct matrix w = matrix_of(bench, type, bench->n, bench->k, &bytes);
    printf("  %-5s", weight_layouts[type].name);
    double roof = arithmetic_peak(bench->team, isa, arithmetic, ROUNDS);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        struct product product = {&w, bench->x, bench->k, NULL, ms[i], bench->y, bench->n};
        double rate = 2.0 * ms[i] * (double)bench->n * (double)bench->k / best_time(bench, isa, &product);
        double again = i == 0 ? arithmetic_peak(bench->team, isa, arithmetic, ROUNDS) : 0;
        roof = again > roof ? again : roof;
        printf("  %6.1f %3.0f%%", 1e-9 * rate, 100 * rate / roof);
        fflush(stdout);
    }
    printf("   of %.0f %s\n", 1e-9 * roof, names[arithmetic]);
    buffer_free((void *)w.stored.data, bytes);
}

/* ---- other libraries ---- */

static void others_row(const struct bench *bench)
{
    for (enum other_gemm other = 0; other < OTHER_GEMM_COUNT; other++) {
        double rate = other_gemm_rate(other, bench->team, (size_t)bench->m, bench->n, bench->k, ROUNDS);
        if (rate > 0)
            printf("  %s %.1f\n", other_gemm_name(other), 1e-9 * rate);
        else
            printf("  %s: not installed, no comparison\n", other_gemm_name(other));
    }
}

static size_t argument(int count, char **values, int at, size_t otherwise)
{
    return at < count ? strtoul(values[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct bench bench = {.arena = arena_new(0)};
    bench.diag = (struct diag){.arena = bench.arena};
    bench.team = team_new(bench.arena, &bench.diag, (int)argument(argc, argv, 1, 0));
    bench.m = (int)argument(argc, argv, 2, 512);
    bench.n = argument(argc, argv, 3, 2048);
    bench.k = argument(argc, argv, 4, 2048);
    const char *only = getenv("ONLY"), *isas = getenv("ISA");
    size_t x_bytes = (size_t)(bench.m > 128 ? bench.m : 128) * bench.k * sizeof(float);
    size_t widest = MATRIX_BYTES / (bench.k / 2) * GEMV_ROWS_MOST, y = (size_t)(bench.m + 128) * bench.n;
    bench.x = buffer_new(&bench.diag, x_bytes);
    bench.y = buffer_new(&bench.diag, (widest > y ? widest : y) * sizeof(float));
    if (bench.team == NULL || bench.x == NULL || bench.y == NULL || bench.k % BLOCK_K != 0) {
        fprintf(stderr, "exec_gemm: %s\n", diag_first_error(&bench.diag));
        return 1;
    }
    fill(bench.x, x_bytes / sizeof(float));
    for (enum isa isa = ISA_PORTABLE; isa <= cpu_isa(); isa++) {
        if (isas != NULL && strcmp(isas, isa_name(isa)) != 0)
            continue;
        printf("%s, %d threads\n GEMV, rows of x 1, 2, 4, 8\n", isa_name(isa), team_threads(bench.team));
        for (enum weight_type type = 0; type < WEIGHT_TYPE_COUNT && (only == NULL || strchr(only, 'v'));
             type++)
            gemv_row(&bench, isa, type);
        printf(" GEMM %zu x %zu, GFLOP/s with %d, 9, 16, 32, 64, 128 rows\n", bench.n, bench.k, bench.m);
        for (enum weight_type type = 0; type < WEIGHT_TYPE_COUNT && (only == NULL || strchr(only, 'm'));
             type++)
            gemm_row(&bench, isa, type);
    }
    others_row(&bench);
    gemm_scratch_free(&bench.scratch);
    buffer_free(bench.x, x_bytes);
    arena_free(bench.arena);
    return 0;
}
