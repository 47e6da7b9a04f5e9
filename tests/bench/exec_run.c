/* Prefill and decode of the 1.1B Llama shape, products only: prefill is the products of one of its 22 layers,
 * times 22, and the head of the last row; decode its bytes of weights at the rate at which one row of x takes
 * a matrix that no cache holds. Weights repeat a few rows; attention and small operators are left out.
 *
 *   exec_run [threads [rows of prefill]] */
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm.h"
#include "exec/probe/rates.h"
#include "support/other_gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* https://huggingface.co/TinyLlama/TinyLlama-1.1B-Chat-v1.0/blob/main/config.json: 32 heads of 64, 4 of keys
 */
enum { HIDDEN = 2048, KV = 256, FFN = 5632, VOCABULARY = 32000, LAYERS = 22, ROUNDS = 3, ENCODED_ROWS = 8 };
enum { PREFILL_MOST = 4096, DECODE_BYTES = 384 << 20 };

static const struct shape {
    size_t n, k;
} shapes[] = {{HIDDEN, HIDDEN}, {KV, HIDDEN},  {KV, HIDDEN},  {HIDDEN, HIDDEN},
              {FFN, HIDDEN},    {FFN, HIDDEN}, {HIDDEN, FFN}, {VOCABULARY, HIDDEN}};
enum { SHAPES = sizeof shapes / sizeof *shapes, HEAD = SHAPES - 1 };

struct bench {
    struct diag diag;
    struct team *team;
    struct gemm_scratch scratch;
    int rows;
    float *x, *y;
    double
        others[OTHER_GEMM_COUNT]; /* FLOP/s of the layer's products with other libraries; 0: not installed */
};

static void fill(float *values, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        values[i] = (float)(state >> 8) * 0x1p-23F - 1;
    }
}

static void *allocated(struct bench *bench, size_t bytes)
{
    void *memory = buffer_new(&bench->diag, bytes);
    if (memory == NULL) {
        fprintf(stderr, "exec_run: %s\n", diag_first_error(&bench->diag));
        exit(1);
    }
    return memory;
}

/* A few different rows over and over: encoding takes long, times do not depend on values. */
static struct matrix matrix_of(struct bench *bench, enum weight_type type, struct shape shape)
{
    static float values[ENCODED_ROWS * FFN];
    size_t row = weight_row_bytes(type, shape.k);
    char *data = allocated(bench, shape.n * row);
    fill(values, ENCODED_ROWS * shape.k);
    for (size_t j = 0; j < ENCODED_ROWS; j++)
        weights_encode(type, values + j * shape.k, shape.k, data + j * row);
    for (size_t j = ENCODED_ROWS; j < shape.n; j++)
        memcpy(data + j * row, data + j % ENCODED_ROWS * row, row);
    struct matrix w = {.stored = {"w", type, shape.n, shape.k, data}};
    size_t bytes = matrix_packed_bytes(&w.stored, cpu_isa());
    if (bytes > 0) {
        void *packed = allocated(bench, bytes);
        matrix_pack(&w.stored, cpu_isa(), 0, shape.n, packed);
        w.packed = packed;
    }
    return w;
}

static void matrix_free(const struct matrix *w)
{
    const struct tensor *stored = &w->stored;
    buffer_free((void *)stored->data, stored->rows * weight_row_bytes(stored->type, stored->cols));
    if (w->packed != NULL)
        buffer_free((void *)w->packed, matrix_packed_bytes(stored, cpu_isa()));
}

static double seconds_of(struct bench *bench, const struct matrix *w, int m)
{
    struct product product = {w, bench->x, w->stored.cols, NULL, m, bench->y, w->stored.rows};
    double best = HUGE_VAL;
    for (int round = 0; round <= ROUNDS; round++) {
        double begin = clock_seconds();
        gemm(bench->team, cpu_isa(), &product, 1, &bench->scratch, &bench->diag);
        double seconds = clock_seconds() - begin;
        best = round > 0 && seconds < best ? seconds : best;
    }
    return best;
}

/* Bytes of weights a second by one row of x, and the bandwidth of reading them: more than caches hold. */
static double decode_rate(struct bench *bench, enum weight_type type, double *bandwidth)
{
    size_t row = weight_row_bytes(type, HIDDEN), n = DECODE_BYTES / row;
    struct matrix w = matrix_of(bench, type, (struct shape){n, HIDDEN});
    *bandwidth = read_bandwidth(bench->team, w.stored.data, n * row, ROUNDS);
    double rate = (double)(n * row) / seconds_of(bench, &w, 1);
    *bandwidth = fmax(*bandwidth, read_bandwidth(bench->team, w.stored.data, n * row, ROUNDS));
    matrix_free(&w);
    return rate;
}

/* What a library would multiply weights of the type in. */
static bool comparable(enum other_gemm other, enum weight_type type)
{
    if (other == ONEDNN_INT8)
        return weight_layouts[type].block_values > 1;
    return other != ONEDNN_BF16 || type == WEIGHT_BF16 || type == WEIGHT_F16;
}

static void format_row(struct bench *bench, enum weight_type type)
{
    double layer = 0, flops = 0, bytes = 0, bandwidth;
    for (size_t i = 0; i < SHAPES; i++) {
        bytes += (i == HEAD ? 1.0 : LAYERS) * (double)(shapes[i].n * weight_row_bytes(type, shapes[i].k));
        if (i == HEAD)
            continue;
        struct matrix w = matrix_of(bench, type, shapes[i]);
        layer += seconds_of(bench, &w, bench->rows);
        flops += 2.0 * (double)shapes[i].n * (double)shapes[i].k * bench->rows;
        matrix_free(&w);
    }
    double rate = decode_rate(bench, type, &bandwidth);
    double head = (double)(VOCABULARY * weight_row_bytes(type, HIDDEN)) / rate;
    bool int8 = weight_layouts[type].block_values > 1 && cpu_isa() >= ISA_AVX512;
    double peak = arithmetic_peak(bench->team, cpu_isa(), int8 ? ARITHMETIC_INT8 : ARITHMETIC_F32, ROUNDS);
    printf("  %-5s prefill %6.1f tok/s (%3.0f%% of %s peak", weight_layouts[type].name,
           bench->rows / (LAYERS * layer + head), 100 * flops / layer / peak, int8 ? "int8" : "fp32");
    for (enum other_gemm other = 0; other < OTHER_GEMM_COUNT; other++)
        if (bench->others[other] > 0 && comparable(other, type))
            printf(", %.2f of %s", flops / layer / bench->others[other], other_gemm_name(other));
    printf(")  decode %6.2f tok/s (%3.0f%% of %.1f GB/s read)\n", rate / bytes, 100 * rate / bandwidth,
           1e-9 * bandwidth);
    fflush(stdout);
}

/* FLOP/s of another library on the layer's products; 0: not installed. */
static double other_rate(const struct bench *bench, enum other_gemm other)
{
    double flops = 0, seconds = 0;
    for (size_t i = 0; i < HEAD; i++) {
        double all = 2.0 * bench->rows * (double)shapes[i].n * (double)shapes[i].k;
        flops += all;
        seconds +=
            all / other_gemm_rate(other, bench->team, (size_t)bench->rows, shapes[i].n, shapes[i].k, ROUNDS);
    }
    return flops / seconds;
}

int main(int argc, char **argv)
{
    static const enum weight_type types[] = {WEIGHT_BF16, WEIGHT_F16, WEIGHT_Q8_0, WEIGHT_Q4_0};
    struct arena *arena = arena_new(0);
    struct bench bench = {.diag = {.arena = arena}, .rows = argc > 2 ? atoi(argv[2]) : 512};
    bench.team = team_new(arena, &bench.diag, argc > 1 ? atoi(argv[1]) : 0);
    if (bench.team == NULL || bench.rows < 1 || bench.rows > PREFILL_MOST) {
        fprintf(stderr, "exec_run [threads [rows, 1 to %d]]\n", PREFILL_MOST);
        return 1;
    }
    size_t x = (size_t)bench.rows * FFN, n = DECODE_BYTES / weight_row_bytes(WEIGHT_Q4_0, HIDDEN),
           y = x > n ? x : n;
    bench.x = allocated(&bench, x * sizeof *bench.x);
    bench.y = allocated(&bench, y * sizeof *bench.y);
    fill(bench.x, x);
    printf("1.1B Llama, products only, %s, %d threads, prefill of %d\n", isa_name(cpu_isa()),
           team_threads(bench.team), bench.rows);
    for (enum other_gemm other = 0; other < OTHER_GEMM_COUNT; other++) {
        bench.others[other] = other_rate(&bench, other);
        if (bench.others[other] > 0)
            printf("  %s: %.1f GFLOP/s\n", other_gemm_name(other), 1e-9 * bench.others[other]);
        else
            printf("  %s: not installed, no comparison\n", other_gemm_name(other));
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        format_row(&bench, types[i]);
    gemm_scratch_free(&bench.scratch);
    buffer_free(bench.x, x * sizeof *bench.x);
    buffer_free(bench.y, y * sizeof *bench.y);
    arena_free(arena);
    return 0;
}
