/* GEMM: against the formula written plainly, and its invariants on random shapes and devices. */
#include "cost_fixture.h"

#include "cost/gemm_cost.h"

/* What the formula knows of a device beyond its rates. */
struct make {
    double latency, pipeline, clock, cluster;
    bool any_width;
};

/* Two exponential servers in a row: (x^6 + ... + y^6) / (x^5 + ... + y^5). */
static double plain_join(double x, double y)
{
    double above = 0, below = 0, scale = fmax(x, y);
    for (int i = 0; i <= 6; i++)
        above += pow(x / scale, i) * pow(y / scale, 6 - i);
    for (int i = 0; i <= 5; i++)
        below += pow(x / scale, i) * pow(y / scale, 5 - i);
    return scale * above / below;
}

/* The formula as documented, all candidates in plain loops. */
static double plain_gemm(const struct fixture *f, const struct make *make, double m, double n, double k,
                         double e_b, bool converts)
{
    static const double splits[] = {1, 2, 3, 4, 6, 8, 16, 32};
    static const double wide[] = {16, 32, 64, 96, 128, 160, 192, 224, 256}, edges[] = {16, 32, 64, 128, 256};
    double units = 108, peak = 312e12, bw = 2e12, l2 = 5e12, lanes = 0.8 * 19.5e12 / 2;
    double eps = 0.8, beta = 0.8, lambda = 0.8, omega = 2e-6, t0 = 2e-6, split = 2e-6;
    double activations = m * (n + k) * 2,
           dram = n * k * e_b + fmax(0, activations - f->tiers[0].capacity / 2);
    double memory = dram / (beta * bw);
    double best = omega + fmax((m + (converts ? 1 : 0)) * n * k / lanes, memory);
    double port = make->clock > 0 ? fmin(1, l2 / units / (64 * make->clock)) : 1;
    double wait = make->pipeline > 0 ? make->latency * 2 / make->pipeline : 0;
    for (int a = 0; a < (make->any_width ? 9 : 5); a++)
        for (int b = 0; b < 5; b++)
            for (int c = 0; c < 8; c++) {
                double tm = make->any_width ? wide[a] : edges[a], tn = edges[b], s = splits[c];
                if (tm * tn > 256 * 128)
                    continue;
                double kk = ceil(k / s / 16) * 16, tiles = ceil(m / tm) * ceil(n / tn) * s / units;
                double work = kk * fmax(2 * tm * tn / (eps * peak / units), wait);
                if (converts)
                    work = fmax(work, kk * tn / (lanes / units));
                double bytes = fmin(tm * 2 + tn * e_b / make->cluster, tm * 2 / make->cluster + tn * e_b);
                double stream = kk * bytes * units / (lambda * l2);
                double store = tm * tn * (s > 1 ? 4 : 2) * units / (lambda * l2);
                double waves = ceil(tiles * (1 - 1e-12)), w = waves - 1 + fmax(tiles - waves + 1, port);
                double busy = fmax(waves * work, w * stream) + w * store + (waves - 1) * omega;
                double sums = s > 1 ? split + s * m * n * 4 / l2 : 0;
                best = fmin(best, omega + plain_join(busy, memory) + sums);
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
        struct make make = {.cluster = 1};
        if (i % 2) {
            make = (struct make){400e-9, 192, 1.4e9, 2, true};
            f.tiers[1].latency = make.latency;
            f.device.pipeline_bytes = 192;
            f.device.units.clock = make.clock;
            f.device.tile_cluster = 2;
            f.device.tile_step = 32;
        }
        double m = roll_size(&dice, 1, 20000), n = roll_size(&dice, 1, 30000), k = roll_size(&dice, 1, 30000);
        bool int4 = roll(&dice) < 0.5;
        fixture_gemm(&f, n, k, int4 ? "int4" : "bf16");
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, m);
        double each = element_bytes_each(&f.buffers[0].type),
               stored = element_bytes(&f.buffers[0].type, n, k);
        if (fabs(stored - n * k * each) <
            1e-9 * stored) /* per-channel scales are no part of the plain formula */
            check_close(cost.time, plain_gemm(&f, &make, m, n, k, each, int4), 1e-9, "gemm");
        check_close(cost.flops, 2 * m * n * k, 1e-12, "flops");
        fixture_end(&f);
    }
}

/* u = 1 - exp(-u x): by hand 0.5828 at x = 1.5 and 0.7968 at x = 2. */
Test(cost_gemm, a_circle_of_bytes_misses_a_cache_as_random_replacement_does)
{
    cr_assert_eq(cyclic_miss_share(1e6, 1e6), 0);
    check_close(cyclic_miss_share(1.5e6, 1e6), 0.5828, 1e-3, "one and a half times the cache");
    check_close(cyclic_miss_share(2e6, 1e6), 0.7968, 1e-3, "twice the cache");
    cr_assert_eq(cyclic_miss_share(1e9, 1e6), 1);
    cr_assert_eq(cyclic_miss_share(1, 0), 1);
    double before = 0;
    for (double x = 0.5; x < 60; x *= 1.01) {
        double share = cyclic_miss_share(x * 1e6, 1e6);
        check_not_faster(share, before, "larger footprint");
        cr_assert_leq(share, 1);
        before = share;
    }
}

Test(cost_gemm, repeated_operands_come_from_the_cache_when_all_sets_fit)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 1024, 1024, "bf16"); /* 2 MB of weights; half of the L2 is 20 MB */
    fixture_gemm(&f, 1024, 1024, "bf16")->gemm.weight_sets = 6;
    fixture_gemm(&f, 1024, 1024, "bf16")->gemm.weight_sets = 1000;
    fixture_prepare(&f);
    f.target.repeated = true;
    double all = 1024 * 1024 * 2 + 8 * 2048 * 2;
    cr_assert_eq(cost_of_rows(&f, 0, 8).memory_bytes, 0);
    cr_assert_eq(cost_of_rows(&f, 1, 8).memory_bytes, 0);
    check_close(cost_of_rows(&f, 2, 8).memory_bytes, all, 1e-12, "a thousand sets");
    f.target.residency = false;
    check_close(cost_of_rows(&f, 1, 8).memory_bytes, all, 1e-12, "no residency");
    fixture_end(&f);
}

Test(cost_gemm, quantising_its_input_adds_a_pass)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    f.device.matrix[FORMAT_FP8].flops = 624e12;
    for (int i = 0; i < 2; i++) {
        struct op *op = fixture_gemm(&f, 4096, 4096, "fp8");
        op->gemm.a_type = type_named("fp8");
        if (i > 0)
            op->gemm.a_from = type_named("bf16");
    }
    fixture_prepare(&f);
    for (double m = 1; m < 1e5; m *= 7) {
        struct op_cost without = cost_of_rows(&f, 0, m), with = cost_of_rows(&f, 1, m);
        /* a row takes a unit 2 us and its values the lanes' rate times 0.8; all is resident up to 20 MB */
        double pass = m * (2e-6 / 108 + 4096 / (0.8 * 19.5e12 / 2));
        if (m * 4096 * 2 * 2 < 20e6)
            check_close(with.time - without.time, pass, 1e-9, "pass");
        check_not_faster(with.time, without.time + pass * (1 - 1e-9), "pass");
        check_close(with.bytes[BYTES_ACTIVATIONS] - without.bytes[BYTES_ACTIVATIONS], m * 4096 * 3, 1e-6,
                    "bytes read and written");
        cr_assert_eq(with.launches, 2);
        check_cost(&with, "with a pass");
    }
    fixture_end(&f);
}

Test(cost_gemm, a_few_rows_may_run_on_the_lanes)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    f.tiers[1].latency = 400e-9;
    f.device.pipeline_bytes = 192;
    for (int i = 0; i < FAMILY_COUNT; i++)
        f.calibrations[i].values[GEMM_SPLIT] = 1e-3; /* a library that does not split k */
    fixture_gemm(&f, 256, 65536, "bf16");
    fixture_prepare(&f);
    struct op_cost one = cost_of_rows(&f, 0, 1), many = cost_of_rows(&f, 0, 4096);
    /* on matrix units it would wait 65536 / 96 latencies: 273 us */
    double memory = 256.0 * 65536 * 2 / (0.8 * 2e12);
    check_close(one.time, 4e-6 + memory, 1e-9, "t0 + omega + weights");
    cr_assert_eq(one.bound, BOUND_MEMORY);
    cr_assert_gt(one.use[RESOURCE_VECTOR], 0);
    cr_assert_eq(one.use[RESOURCE_COMPUTE], 0);
    cr_assert_gt(many.use[RESOURCE_COMPUTE], 0);
    fixture_end(&f);
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

/* 32 columns a panel, unpacked for every 500 rows, on 108 units. */
Test(cost_gemm, panels_equal_the_plain_formula_and_pad_no_rows)
{
    struct dice dice = {11};
    for (int i = 0; i < 200; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_calibrate(&f);
        f.software.gemv_rows = 8;
        f.software.panel_columns = 32;
        f.software.panel_rows = 500;
        double m = roll_size(&dice, 9, 20000), n = roll_size(&dice, 1, 30000), k = roll_size(&dice, 1, 30000);
        fixture_gemm(&f, n, k, "bf16");
        fixture_prepare(&f);
        double activations = m * (n + k) * 2,
               dram = n * k * 2 + fmax(0, activations - f.tiers[0].capacity / 2);
        double even = ceil(n / 32) / 108, whole = ceil(even * (1 - 1e-12)), units = 108;
        double multiply = (even > 1 ? whole : even) * 32 * k * m * 2 * units / (0.8 * 312e12);
        double unpack = whole * ceil(m / 500) * 32 * k * 4 * units / (0.8 * 5e12);
        double cold = fmax(0, m * k * 2 - f.tiers[0].capacity / 2); /* of A, which is converted first */
        double around = (m * (4 * k + 2 * n) - cold) / (0.8 * 5e12) + cold / (0.8 * 2e12);
        double time =
            2e-6 + 2e-6 + plain_join(multiply + unpack + around, fmax(0, dram - cold) / (0.8 * 2e12));
        check_close(cost_of_rows(&f, 0, m).time, time, 1e-9, "panels");
        check_not_faster(cost_of_rows(&f, 0, m + 1).time, time * (1 - 1e-12), "one more row");
        fixture_end(&f);
    }
}
