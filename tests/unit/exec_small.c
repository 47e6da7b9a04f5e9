#include "exec/kernels/small.h"
#include "support/attention_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Lengths around those of vectors, and a model's. */
static const size_t lengths[] = {1,  2,  3,  4,  5,  7,  8,   9,   15,   16,
                                 17, 31, 33, 63, 64, 65, 100, 127, 1000, 4096};
enum { LENGTHS = sizeof lengths / sizeof *lengths, MOST = 4096 };

static void fill(float *x, size_t n, float size, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = size * case_normal(&seed);
}

/* Each value within `relative` of its size or `absolute`. */
static void expect_close(const float *got, const float *expected, size_t n, double relative, double absolute,
                         const char *what, int isa)
{
    for (size_t i = 0; i < n; i++) {
        double allowed = relative * fabs((double)expected[i]) + absolute;
        cr_assert(fabs((double)got[i] - expected[i]) <= allowed, "%s, isa %d, %zu of %zu: %g, expected %g",
                  what, isa, i, n, (double)got[i], (double)expected[i]);
    }
}

/* Sums of squares in fp32 lanes lose less than 1e-6 of themselves at these lengths; a result has a few
 * roundings of 2^-24 more. */
Test(exec_small, norms)
{
    static float x[MOST], weight[MOST], bias[MOST], expected[MOST], got[MOST];
    fill(x, MOST, 3, 1);
    fill(weight, MOST, 1, 2);
    fill(bias, MOST, 1, 3);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (size_t l = 0; l < LENGTHS; l++) {
            size_t n = lengths[l];
            rms_norm_plain(x, weight, 1e-5F, n, expected);
            rms_norm((enum isa)isa, x, weight, 1e-5F, n, got);
            expect_close(got, expected, n, 2e-6, 0, "rms", isa);
            memcpy(got, x, sizeof got);
            rms_norm((enum isa)isa, got, weight, 1e-5F, n, got);
            expect_close(got, expected, n, 2e-6, 0, "rms in place", isa);
            if (n < 2) /* a value that is its mean: nothing but rounding is left */
                continue;
            layer_norm_plain(x, weight, bias, 1e-5F, n, expected);
            layer_norm((enum isa)isa, x, weight, bias, 1e-5F, n, got);
            expect_close(got, expected, n, 2e-6, 4e-6, "layer", isa);
            layer_norm_plain(x, weight, NULL, 1e-5F, n, expected);
            layer_norm((enum isa)isa, x, weight, NULL, 1e-5F, n, got);
            expect_close(got, expected, n, 2e-6, 4e-6, "layer without bias", isa);
        }
}

Test(exec_small, rope)
{
    enum { HEADS = 3, DIM = 80 };
    static const int rotary[] = {0, 2, 6, 8, 14, 16, 32, 34, 64, 80};
    float frequencies[DIM / 2], table[DIM], x[HEADS * DIM], expected[HEADS * DIM], got[HEADS * DIM];
    for (int i = 0; i < DIM / 2; i++)
        frequencies[i] = (float)pow(10000, -2.0 * i / DIM);
    fill(x, HEADS * DIM, 1, 4);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (size_t r = 0; r < sizeof rotary / sizeof *rotary; r++)
            for (int interleaved = 0; interleaved < 2; interleaved++)
                for (int position = 0; position < 200000; position = position * 7 + 1) {
                    struct rope rope = {rotary[r], interleaved, frequencies, 1.25F};
                    memcpy(expected, x, sizeof x);
                    memcpy(got, x, sizeof x);
                    rope_heads_plain(&rope, position, expected, HEADS, DIM);
                    rope_table(&rope, position, table);
                    rope_heads((enum isa)isa, &rope, table, got, HEADS, DIM);
                    expect_close(got, expected, HEADS * DIM, 0, 4 * 5 * 0x1p-23, "rope", isa);
                }
}

/* e^x is within 2e-7, its sigmoid within 2e-7 of 1, erf within 1.5e-7 and its rounding. */
Test(exec_small, activations)
{
    static const double absolute[] = {0, 4e-7, 0, 0, 0};
    static float x[MOST], up[MOST], expected[MOST], got[MOST];
    fill(up, MOST, 1, 6);
    for (int i = 0; i < MOST; i++)
        x[i] = 40.0F * ((float)i / MOST - 0.5F);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (int kind = ACTIVATION_SILU; kind <= ACTIVATION_RELU2; kind++)
            for (size_t l = 0; l < LENGTHS; l++) {
                size_t n = lengths[l];
                const float *from = x + (MOST - n) / 2;
                for (int gated = 0; gated < 2; gated++) {
                    activate_plain((enum activation)kind, from, gated ? up : NULL, n, expected);
                    activate((enum isa)isa, (enum activation)kind, from, gated ? up : NULL, n, got);
                    for (size_t i = 0; i < n; i++) { /* sizes of what is multiplied by the errors above */
                        double size = fabs((double)from[i]) * (gated ? fabs((double)up[i]) : 1);
                        double allowed =
                            1e-6 * fabs((double)expected[i]) +
                            (kind == ACTIVATION_RELU || kind == ACTIVATION_RELU2 ? 0 : 3e-7) * size +
                            absolute[kind];
                        cr_assert(fabs((double)got[i] - expected[i]) <= allowed, "%d of isa %d at %g: %g, %g",
                                  kind, isa, (double)from[i], (double)got[i], (double)expected[i]);
                    }
                }
            }
}

Test(exec_small, activations_of_the_far_and_the_undefined)
{
    static const float x[] = {-INFINITY, -1e30F, -200, 200, 1e18F, NAN};
    float y[6];
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        activate((enum isa)isa, ACTIVATION_GELU, x + 1, NULL, 5, y + 1);
        cr_expect(y[1] == 0 && y[2] == 0 && y[3] == 200 && y[4] == 1e18F && isnan(y[5]));
        activate((enum isa)isa, ACTIVATION_SILU, x + 2, NULL, 4, y + 2);
        cr_expect(fabsf(y[2]) < 1e-30F && y[3] == 200 && y[4] == 1e18F && isnan(y[5]));
        activate((enum isa)isa, ACTIVATION_RELU, x, NULL, 6, y);
        cr_expect(y[0] == 0 && y[3] == 200 && isnan(y[5]), "isa %d: %g", isa, (double)y[5]);
    }
}

Test(exec_small, softmax)
{
    static float x[MOST], expected[MOST], got[MOST];
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (size_t l = 0; l < LENGTHS; l++)
            for (float size = 1e-3F; size < 1e4F; size *= 100) {
                fill(x, MOST, size, 7);
                if (l % 2 == 0)
                    x[0] = -INFINITY;
                if (lengths[l] == 1)
                    x[0] = 5;
                memcpy(expected, x, sizeof x);
                memcpy(got, x, sizeof x);
                softmax_plain(expected, lengths[l]);
                softmax((enum isa)isa, got, lengths[l]);
                /* x - greatest is rounded by 2^-24 of itself, the more the smaller the result */
                expect_close(got, expected, lengths[l], 1e-6 + 90 * 0x1p-23, 1e-38, "softmax", isa);
            }
}

/* The vector exponential over its range, by the softmax of two values: e^-x / (1 + e^-x). */
Test(exec_small, exponential_is_within_its_bound)
{
    double worst[ISA_COUNT] = {0};
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (float x = 0; x < 87; x += 0.0137F) {
            float pair[16] = {0}, sum = 0;
            for (int i = 1; i < 16; i++)
                pair[i] = -x;
            softmax((enum isa)isa, pair, 16);
            for (int i = 0; i < 16; i++)
                sum += pair[i];
            double e = exp(-(double)x), expected = e / (1 + 15 * e);
            double error = fabs((double)pair[1] - expected) / expected;
            worst[isa] = error > worst[isa] ? error : worst[isa];
            cr_assert_float_eq(sum, 1, 1e-6);
        }
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        cr_expect(worst[isa] < 2e-7 + 4 * 0x1p-24, "isa %d: %g", isa, worst[isa]);
}

Test(exec_small, adds_scaled)
{
    static float x[MOST], y[MOST], got[MOST], expected[MOST];
    fill(x, MOST, 1, 8);
    fill(y, MOST, 1, 9);
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (size_t l = 0; l < LENGTHS; l++) {
            memcpy(got, y, sizeof y);
            for (size_t i = 0; i < MOST; i++)
                expected[i] = i < lengths[l] ? (float)((double)y[i] + 0.37F * (double)x[i]) : y[i];
            add_scaled((enum isa)isa, x, 0.37F, lengths[l], got);
            expect_close(got, expected, MOST, 0x1p-22, 0x1p-23, "add", isa);
        }
}

Test(exec_small, routes_by_softmax)
{
    static const float logits[] = {1, 3, 2, 3, NAN, -1};
    int chosen[3];
    float weights[3];
    struct routing routing = {.experts = 6, .top_k = 3, .scale = 1};
    float valid[6];
    memcpy(valid, logits, sizeof valid);
    valid[4] = -2;
    route(&routing, valid, chosen, weights);
    cr_expect(chosen[0] == 1 && chosen[1] == 3 && chosen[2] == 2, "the first of equals first");
    double sum = exp(1) + 2 * exp(3) + exp(2) + exp(-1) + exp(-2);
    cr_expect_float_eq(weights[0], exp(3) / sum, 1e-6);
    cr_expect_float_eq(weights[2], exp(2) / sum, 1e-6);
    routing.normalise = true;
    routing.scale = 2.5F;
    route(&routing, valid, chosen, weights);
    cr_expect_float_eq(weights[0] + weights[1] + weights[2], 2.5, 1e-6);
    cr_expect_float_eq(weights[2] / weights[0], exp(-1), 1e-6);
    route(&routing, logits, chosen, weights);
    for (int i = 0; i < 3; i++)
        cr_expect(chosen[i] >= 0 && chosen[i] < 6, "a NaN logit leaves experts that there are");
}

/* DeepSeek-V3's: sigmoids, a bias that takes part in choosing alone, groups by their two best. */
Test(exec_small, routes_by_groups)
{
    static const float logits[] = {4, -9, -9, -9, /* one great expert */
                                   2, 2,  -9, -9, 1, 1, 1, 1, -9, -9, -9, -9};
    float bias[16] = {0};
    int chosen[4];
    float weights[4];
    struct routing routing = {.experts = 16,
                              .top_k = 4,
                              .sigmoid = true,
                              .bias = bias,
                              .groups = 4,
                              .top_groups = 2,
                              .normalise = true,
                              .scale = 1};
    route(&routing, logits, chosen, weights);
    cr_expect(chosen[0] == 4 && chosen[1] == 5 && chosen[2] == 8 && chosen[3] == 9,
              "groups 1 and 2 by the sum of two: %d %d %d %d", chosen[0], chosen[1], chosen[2], chosen[3]);
    cr_expect_float_eq(weights[0] + weights[1] + weights[2] + weights[3], 1, 1e-6);
    cr_expect_float_eq(weights[2] / weights[0], (1 + exp(-2)) / (1 + exp(-1)), 1e-6);
    bias[15] = 3; /* chosen first, weighed by its sigmoid */
    route(&routing, logits, chosen, weights);
    cr_expect_eq(chosen[0], 15);
    cr_expect_lt(weights[0], 1e-3F);
    routing.bias = NULL; /* DeepSeek-V2's: groups by their best */
    routing.sigmoid = false;
    route(&routing, logits, chosen, weights);
    cr_expect(chosen[0] == 0 && chosen[1] == 4, "groups 0 and 1");
}

Test(exec_small, softplus)
{
    enum { N = 4001 };
    static float x[N], y[N];
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        for (int i = 0; i < N; i++)
            y[i] = x[i] = (float)(i - N / 2) * 0.04F;
        softplus_values((enum isa)isa, y, N);
        for (int i = 0; i < N; i++) {
            double right = log1p(exp((double)x[i]));
            cr_assert_float_eq(y[i], right, 5e-7 * right, "%s: %g", isa_name((enum isa)isa), (double)x[i]);
        }
    }
    float special[] = {NAN, INFINITY, -INFINITY, 1e30F};
    softplus_values(ISA_PORTABLE, special, 4);
    cr_expect(isinf(special[1]) && special[1] > 0 && special[2] == 0);
    cr_expect_eq(special[3], 1e30F);
}

/* A greatest value that is met at two places, between NaNs and infinities below it. */
Test(exec_small, greedy_finds_the_greatest_of_many)
{
    enum { N = 5003 };
    static float logits[N];
    const struct sampling greedy = {0, 0, 1};
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (int first = 0; first < N; first += 61) {
            fill(logits, N, 2, (unsigned)first + 1);
            for (int i = 0; i < N; i += 7)
                logits[i] = i % 2 ? NAN : -INFINITY;
            logits[first] = logits[N - 1] = 50;
            cr_expect_eq(sample((enum isa)isa, &greedy, logits, N, 0, NULL), first);
            cr_expect_eq(sample((enum isa)isa, &greedy, logits, (size_t)first + 1, 0, NULL), first);
        }
    for (int isa = 0; isa <= (int)cpu_isa(); isa++) {
        for (int i = 0; i < N; i++)
            logits[i] = NAN;
        cr_expect_eq(sample((enum isa)isa, &greedy, logits, N, 0, NULL), 0);
        logits[N - 2] = -INFINITY;
        cr_expect_eq(sample((enum isa)isa, &greedy, logits, N, 0, NULL), N - 2);
    }
}

Test(exec_small, greedy_takes_the_first_of_equals)
{
    struct candidate room[6];
    struct sampling greedy = {0, 0, 1};
    const float ties[] = {1, 5, 2, 5}, nans[] = {NAN, -3, NAN, -2}, none[] = {NAN, NAN},
                infinite[] = {1, INFINITY};
    const float low[] = {-INFINITY, -INFINITY};
    cr_expect_eq(sample(ISA_PORTABLE, &greedy, ties, 4, 0.9, room), 1);
    cr_expect_eq(sample(ISA_PORTABLE, &greedy, nans, 4, 0.9, room), 3);
    cr_expect_eq(sample(ISA_PORTABLE, &greedy, none, 2, 0.9, room), 0);
    struct sampling warm = {1, 0, 1};
    cr_expect_eq(sample(ISA_PORTABLE, &warm, none, 2, 0.9, room), 0);
    cr_expect_eq(sample(ISA_PORTABLE, &warm, infinite, 2, 0.0, room), 1);
    cr_expect_eq(sample(ISA_PORTABLE, &warm, low, 2, 0.5, room), 0);
    for (int i = 0; i < 50; i++) {
        int token = sample(ISA_PORTABLE, &warm, nans, 4, i / 50.0, room);
        cr_expect(token == 1 || token == 3, "a NaN is never taken");
    }
}

Test(exec_small, sampling_of_hostile_parameters_stays_in_range)
{
    enum { N = 300 };
    static const float numbers[] = {-1, 0, 1e-40F, 1e-5F, 0.5F, 1, 2, 1e30F, NAN, INFINITY, -INFINITY};
    static const double randoms[] = {-1, 0, 0.5, 0.999999999999, 1, 2, NAN, INFINITY};
    enum { NUMBERS = sizeof numbers / sizeof *numbers, RANDOMS = sizeof randoms / sizeof *randoms };
    float logits[N];
    struct candidate room[N];
    fill(logits, N, 5, 10);
    for (int t = 0; t < NUMBERS; t++)
        for (int p = 0; p < NUMBERS; p++)
            for (int k = -1; k < 2 * N; k += 100)
                for (int r = 0; r < RANDOMS; r++) {
                    struct sampling sampling = {numbers[t], k, numbers[p]};
                    int token = sample(ISA_PORTABLE, &sampling, logits, N, randoms[r], room);
                    cr_assert(token >= 0 && token < N);
                }
}

/* Pearson's statistic against the distribution that the definition gives, over strata of random numbers. */
static void expect_distribution(const struct sampling *sampling, const float *logits, int n, int kept)
{
    enum { DRAWS = 20000, TOKENS_MOST = 64 };
    double p[TOKENS_MOST], sum = 0, statistic = 0;
    int order[TOKENS_MOST] = {0}, counts[TOKENS_MOST] = {0};
    for (int i = 0; i < n; i++) { /* by falling logit */
        int place = i;
        for (; place > 0 && logits[i] > logits[order[place - 1]]; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
    for (int i = 0; i < kept; i++)
        sum += p[i] = exp((double)logits[order[i]] / sampling->temperature);
    uint64_t seed = 11;
    struct candidate room[TOKENS_MOST];
    for (int i = 0; i < DRAWS; i++)
        counts[sample(ISA_PORTABLE, sampling, logits, (size_t)n, (case_uniform(&seed) + 1.0) / 2, room)]++;
    int seen = 0;
    for (int i = 0; i < kept; i++) {
        double expected = DRAWS * p[i] / sum, off = counts[order[i]] - expected;
        statistic += off * off / expected;
        seen += counts[order[i]];
    }
    cr_expect_eq(seen, DRAWS, "%d drawn of those cut off", DRAWS - seen);
    /* Mean kept - 1, deviation sqrt(2 (kept - 1)); five deviations. */
    cr_expect_lt(statistic, kept - 1 + 5 * sqrt(2.0 * (kept > 1 ? kept - 1 : 1)), "%g of %d", statistic,
                 kept);
}

Test(exec_small, sampling_follows_the_distribution)
{
    float logits[40];
    fill(logits, 40, 1, 12);
    expect_distribution(&(struct sampling){1, 0, 1}, logits, 40, 40);
    expect_distribution(&(struct sampling){0.5F, 0, 1}, logits, 40, 40);
    expect_distribution(&(struct sampling){1, 7, 1}, logits, 40, 7);
    expect_distribution(&(struct sampling){1.5F, 1, 1}, logits, 40, 1);
    const float halves[] = {0, 0.6931472F, -0.6931472F, -1.3862944F, -1.3862944F}; /* 4 8 2 1 1 of 16 */
    expect_distribution(&(struct sampling){1, 0, 0.7F}, halves, 5, 2);
    expect_distribution(&(struct sampling){1, 0, 0.8F}, halves, 5, 3);
    expect_distribution(&(struct sampling){1, 3, 0.9F}, halves, 5, 3);
    expect_distribution(&(struct sampling){1, 3, 0.85F}, halves, 5, 2); /* 12 of the 14 left are 0.857 */
    expect_distribution(&(struct sampling){1, 0, 0}, halves, 5, 1);
}

/* As many logits as a vocabulary, some equal, against a full sort. */
static int by_order(const void *a, const void *b)
{
    const struct candidate *x = (const struct candidate *)a, *y = (const struct candidate *)b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

Test(exec_small, top_k_is_that_of_a_sort)
{
    enum { N = 20000, K = 50 };
    static float logits[N];
    static struct candidate sorted[N], room[N];
    fill(logits, N, 3, 13);
    for (int i = 0; i < N; i++) {
        logits[i] = (float)(int)(logits[i] * 8) / 8; /* many ties */
        sorted[i] = (struct candidate){logits[i], i};
    }
    qsort(sorted, N, sizeof *sorted, by_order);
    bool allowed[N] = {false}, drawn[N] = {false};
    for (int i = 0; i < K; i++)
        allowed[sorted[i].token] = true;
    for (int i = 0; i < 5000; i++) {
        int token = sample(ISA_PORTABLE, &(struct sampling){10, K, 1}, logits, N, i / 5000.0, room);
        cr_assert(allowed[token]);
        drawn[token] = true;
    }
    for (int i = 0; i < K; i++)
        cr_expect(drawn[sorted[i].token], "%d of the top %d is never drawn", i, K);
}

Test(exec_small, a_weighted_sum_is_the_sum_of_its_rows)
{
    enum { ROWS = 5, LENGTH = 67 };
    float values[ROWS][LENGTH], got[LENGTH];
    const float *const rows[ROWS] = {values[0], values[1], values[2], values[3], values[4]};
    const float weights[ROWS] = {0.5F, -1.25F, 2, 0, 0.375F};
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < LENGTH; i++)
            values[r][i] = sinf((float)(r * LENGTH + i));
    for (int isa = 0; isa <= (int)cpu_isa(); isa++)
        for (size_t count = 0; count <= ROWS; count++) {
            weighted_sum((enum isa)isa, rows, weights, rows, count, LENGTH, got);
            for (int i = 0; i < LENGTH; i++) {
                double wanted = 0;
                for (size_t r = 0; r < count; r++)
                    wanted += (double)weights[r] * (double)values[r][i];
                cr_expect_float_eq(got[i], wanted, 1e-6);
            }
        }
}
