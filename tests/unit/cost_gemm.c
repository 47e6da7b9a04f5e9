/* GEMM: against the formula written plainly, and its invariants on random shapes and devices. */
#include "cost_fixture.h"

/* The formula as documented, all candidates in plain loops. */
static double plain_gemm(const struct fixture *f, double m, double n, double k, double e_b, bool converts)
{
    static const double edges[] = {16, 32, 64, 128, 256}, splits[] = {1, 2, 4, 8, 16, 32};
    double units = 108, peak = 312e12, bw = 2e12, l2 = 5e12, best = INFINITY;
    double eps = 0.8, beta = 0.8, lambda = 0.8, omega = 2e-6, t0 = 2e-6;
    double activations = m * (n + k) * 2,
           dram = n * k * e_b + fmax(0, activations - f->tiers[0].capacity / 2);
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++)
            for (int c = 0; c < 6; c++) {
                double tm = edges[a], tn = edges[b], s = splits[c];
                if (tm * tn > 256 * 128)
                    continue;
                double kk = ceil(k / s / 16) * 16;
                double tau = fmax(2 * tm * tn * kk / (eps * peak / units),
                                  (tm * 2 + tn * e_b) * kk * units / (lambda * l2));
                if (converts)
                    tau = fmax(tau, tn * kk / (0.8 * 19.5e12 / units / 2));
                double waves = ceil(ceil(m / tm) * ceil(n / tn) * s / units);
                double t = fmax(waves * (tau + omega), dram / (beta * bw)) + (s > 1 ? s * m * n * 4 / l2 : 0);
                best = fmin(best, t);
            }
    return t0 + best;
}

Test(cost_gemm, equals_the_plain_formula)
{
    struct dice dice = {7};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_calibrate(&f);
        double m = roll_size(&dice, 1, 20000), n = roll_size(&dice, 1, 30000), k = roll_size(&dice, 1, 30000);
        bool int4 = roll(&dice) < 0.5;
        fixture_gemm(&f, n, k, int4 ? "int4" : "bf16");
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, m);
        double each = element_bytes_each(&f.buffers[0].type),
               stored = element_bytes(&f.buffers[0].type, n, k);
        if (fabs(stored - n * k * each) <
            1e-9 * stored) /* per-channel scales are no part of the plain formula */
            check_close(cost.time, plain_gemm(&f, m, n, k, each, int4), 1e-9, "gemm");
        check_close(cost.flops, 2 * m * n * k, 1e-12, "flops");
        fixture_end(&f);
    }
}

Test(cost_gemm, invariants_on_random_shapes_and_devices)
{
    static const char *const types[] = {"bf16", "int8", "int4-g128", "q4_k", "fp8-block"};
    struct dice dice = {11};
    for (int i = 0; i < 400; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        double n = roll_size(&dice, 1, 100000), k = roll_size(&dice, 1, 100000),
               m = roll_size(&dice, 1, 100000);
        const char *type = types[(int)(5 * roll(&dice))];
        fixture_gemm(&f, n, k, type);
        fixture_gemm(&f, n + roll_size(&dice, 1, 300), k, type);
        fixture_gemm(&f, n, k + roll_size(&dice, 1, 300), type);
        fixture_gemm(&f, n, k, type)->gemm.batch = 1 + roll_size(&dice, 1, 64);
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, m);
        check_cost(&cost, "gemm");
        check_not_faster(cost_of_rows(&f, 0, m + roll_size(&dice, 1, 300)).time, cost.time, "more rows");
        check_not_faster(cost_of_rows(&f, 1, m).time, cost.time, "more columns");
        check_not_faster(cost_of_rows(&f, 2, m).time, cost.time, "deeper");
        check_not_faster(cost_of_rows(&f, 3, m).time, cost.time, "more of them");
        f.target.residency = false;
        struct op_cost cold = cost_of_rows(&f, 0, m);
        check_not_faster(cold.time, cost.time, "without residency");
        check_close(cold.memory_bytes, cold.bytes[BYTES_WEIGHTS] + cold.bytes[BYTES_ACTIVATIONS], 1e-12,
                    "bytes");
        fixture_end(&f);
    }
}

Test(cost_gemm, faster_rates_never_slow_it)
{
    struct dice dice = {13};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        fixture_gemm(&f, roll_size(&dice, 1, 50000), roll_size(&dice, 1, 50000), "int4-g128");
        double m = roll_size(&dice, 1, 50000);
        fixture_prepare(&f);
        double before = cost_of_rows(&f, 0, m).time, faster = 1 + roll(&dice);
        switch (i % 4) {
        case 0:
            f.tiers[1].bandwidth = fmin(f.tiers[1].bandwidth * faster, f.tiers[0].bandwidth);
            break;
        case 1:
            f.tiers[0].bandwidth *= faster;
            break;
        case 2:
            f.device.vector[FORMAT_FP32].flops *= faster;
            break;
        default:
            for (int j = 0; j < FORMAT_COUNT; j++)
                f.device.matrix[j].flops *= faster;
        }
        fixture_prepare(&f);
        check_not_faster(before, cost_of_rows(&f, 0, m).time, "slower device");
        fixture_end(&f);
    }
}

Test(cost_gemm, zero_rows_cost_nothing)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    fixture_gemm(&f, 4096, 4096, "bf16");
    fixture_prepare(&f);
    struct op_cost cost = cost_of_rows(&f, 0, 0), zero;
    memset(&zero, 0, sizeof zero);
    cr_assert(memcmp(&cost, &zero, sizeof zero) == 0);
    fixture_end(&f);
}

Test(cost_gemm, extreme_shapes_stay_finite)
{
    static const double sizes[] = {1, 17, 1e6, 1e9};
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 4; c++) {
                struct fixture f;
                fixture_start(&f);
                fixture_calibrate(&f);
                fixture_gemm(&f, sizes[b], sizes[c], "bf16");
                fixture_prepare(&f);
                struct op_cost cost = cost_of_rows(&f, 0, sizes[a]);
                check_cost(&cost, "extreme");
                cr_assert(cost.time > 0);
                fixture_end(&f);
            }
}

Test(cost_gemm, decode_is_memory_bound_and_prefill_compute_bound)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 28672, 8192, "bf16");
    fixture_prepare(&f);
    struct op_cost decode = cost_of_rows(&f, 0, 1), prefill = cost_of_rows(&f, 0, 4096);
    cr_assert_eq(decode.bound, BOUND_MEMORY);
    check_close(decode.time, 28672.0 * 8192 * 2 / 2e12, 0.01, "weights at full bandwidth");
    cr_assert_eq(prefill.bound, BOUND_COMPUTE);
    check_not_faster(prefill.time, 2.0 * 4096 * 28672 * 8192 / 312e12, "peak");
    cr_assert_lt(prefill.time, 1.2 * 2.0 * 4096 * 28672 * 8192 / 312e12);
    fixture_end(&f);
}

Test(cost_gemm, ideal_software_is_the_plain_roofline)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    f.software.ideal = true;
    fixture_gemm(&f, 4096, 4096, "bf16");
    fixture_prepare(&f);
    f.target.residency = false;
    for (double m = 1; m < 1e5; m = ceil(m * 1.7)) {
        double roof = fmax(2 * m * 4096 * 4096 / 312e12, (4096.0 * 4096 + 2 * m * 4096) * 2 / 2e12);
        check_close(cost_of_rows(&f, 0, m).time, roof, 1e-12, "roofline");
    }
    fixture_end(&f);
}

Test(cost_gemm, activations_that_fit_the_cache_leave_memory_alone)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 1024, 1024, "bf16");
    fixture_prepare(&f);
    struct op_cost small = cost_of_rows(&f, 0, 100), large = cost_of_rows(&f, 0, 100000);
    check_close(small.memory_bytes, 1024 * 1024 * 2, 1e-12, "weights only");
    check_close(large.memory_bytes, 1024 * 1024 * 2 + 100000.0 * 2048 * 2 - 20e6, 1e-12,
                "what exceeds half the L2");
    fixture_end(&f);
}

Test(cost_gemm, four_bit_weights_read_a_quarter_and_compute_in_bf16)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 8192, 8192, "bf16");
    fixture_gemm(&f, 8192, 8192, "int4-g128");
    fixture_prepare(&f);
    struct op_cost full = cost_of_rows(&f, 0, 1), quarter = cost_of_rows(&f, 1, 1);
    cr_assert_lt(quarter.memory_bytes, 0.28 * full.memory_bytes);
    cr_assert_gt(quarter.memory_bytes, 0.25 * full.memory_bytes);
    cr_assert_eq(cost_footing(f.prepared, 1, REGIME_PREFILL).format, FORMAT_BF16);
    /* many rows: conversion never makes the quantised product faster than the plain one's multiply-adds */
    check_not_faster(cost_of_rows(&f, 1, 8192).time, 2.0 * 8192 * 8192 * 8192 / 312e12, "no int4 speed-up");
    fixture_end(&f);
}

Test(cost_gemm, bias_is_a_weight)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 1000, 64, "bf16");
    fixture_gemm(&f, 1000, 64, "bf16")->gemm.bias = true;
    fixture_prepare(&f);
    double without = cost_of_rows(&f, 0, 5).bytes[BYTES_WEIGHTS],
           with = cost_of_rows(&f, 1, 5).bytes[BYTES_WEIGHTS];
    check_close(with - without, 2000, 1e-12, "bias bytes");
    fixture_end(&f);
}
