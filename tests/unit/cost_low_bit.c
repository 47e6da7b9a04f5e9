/* Kernels that convert no weights: against their formulas written plainly, their invariants, what they
 * refuse, and published single-core figures. */
#include "cost_fixture.h"

#include "cost/low_bit_cost.h"
#include "cost/prepared.h"

#include <stdio.h>

static struct low_bit_work lookup(enum low_bit_preparation preparation, double group, bool mirrored,
                                  const char *table)
{
    return (struct low_bit_work){LOW_BIT_LOOKUP, preparation, group, mirrored, type_named(table)};
}

static void low_bit_start(struct fixture *f)
{
    fixture_start(f);
    fixture_calibrate(f);
}

/* A CPU of so many cores: two 128-bit pipes that multiply-add or look up, at 2.4 GHz. */
static void as_cpu(struct fixture *f, int cores)
{
    memset(f->device.matrix, 0, sizeof f->device.matrix);
    memset(f->device.vector, 0, sizeof f->device.vector);
    f->device.class = CLASS_CPU;
    f->device.units.count = cores;
    f->device.units.clock = 2.4e9;
    f->device.lookup_bytes = 32;
    f->device.vector[FORMAT_FP32].flops = 2.4e9 * 16 * cores;
    f->tiers[0].bandwidth = 80e9;
    f->tiers[1].bandwidth = 17.1e9;
    f->device.matrix_depth_bytes = 4;
}

/* ---- formulas ---- */

static double least_tile(double m, double n, double k, double units, double memory, double step, double depth,
                         double value_s, double lane_s, bool apart, double tile_s, double result_s,
                         double row_bytes, double column_bytes, double lambda_cache, double cache)
{
    static const double rows[] = {1, 2, 4, 8, 16, 32, 64}, columns[] = {32, 64, 128, 256, 512, 1024};
    static const double splits[] = {1, 2, 3, 4, 6, 8, 16, 32};
    double best = INFINITY, omega = 2e-6, split = 2e-6;
    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 6; b++)
            for (int c = 0; c < 8; c++) {
                double tm = rows[a], tn = columns[b], s = splits[c], kk = ceil(k / s / depth) * depth;
                if (tm * tn > 32768)
                    continue;
                double unit = ceil(tm / step) * step * tn * value_s, lanes = tm * tn * lane_s + tm * tile_s;
                double work = apart ? fmax(unit, lanes) : unit + lanes;
                double stream = (tm * row_bytes + tn * column_bytes) * units / lambda_cache;
                double item = kk * fmax(work, stream) + tm * tn * result_s + omega;
                double waves = ceil(ceil(m / tm) * ceil(n / tn) * s / units * (1 - 1e-12));
                double sums = s > 1 ? split + s * m * n * 4 / cache : 0;
                best = fmin(best, omega + fmax(waves * item, memory) + sums);
            }
    return best;
}

Test(cost_low_bit, shuffles_equal_the_plain_formula)
{
    struct dice dice = {3};
    for (int i = 0; i < 100; i++) {
        struct fixture f;
        low_bit_start(&f);
        as_cpu(&f, 4);
        double m = roll_size(&dice, 1, 300), n = roll_size(&dice, 1, 12000), k = roll_size(&dice, 1, 12000);
        bool mirrored = i % 2, wide = i % 3 == 0;
        fixture_gemm(&f, n, k, "int2")->gemm.low_bit =
            lookup(PREPARED_BEFORE, 4, mirrored, wide ? "fp16" : "int8");
        fixture_prepare(&f);
        /* a byte of table entries: 32 a clock and core shuffled; index, additions, negation on fp32 lanes */
        double entries = mirrored ? 8 : 16, e = wide ? 2 : 1, lookups = 2.0 / 4, lanes = 2.4e9 * 16 * 4;
        double value =
            lookups * e / (4 * 2.4e9 * 32) + lookups * (1 + e * ((wide ? 1 : 2) + mirrored)) / 4 * 2 / lanes;
        double making = entries / 4 * (wide ? 1 : 4) * 2 / lanes / 0.8, table = entries / 4 * e;
        double each = element_bytes_each(&f.buffers[0].type), cache = 80e9;
        double activations = m * (2 * (n + k) + 2 * k * table);
        double memory = element_bytes(&f.buffers[0].type, n, k) + fmax(0, activations - 20e6);
        double expected = 2e-6 +
                          least_tile(m, n, k, 4, memory / (0.8 * 17.1e9), 1, 4, 4 * value, 0, false, 0,
                                     4 * 2 * 2 / lanes / 0.8, table, each, 0.8 * cache, cache) +
                          fmax(m * k * making, m * k * table / (0.8 * cache));
        struct op_cost cost = cost_of_rows(&f, 0, m);
        check_cost(&cost, "lookup");
        check_close(cost.time, expected, 1e-9, "lookup");
        cr_assert_float_eq(cost.launches, 2, 0);
        check_close(cost.memory_bytes, memory, 1e-12, "bytes");
        fixture_end(&f);
    }
}

Test(cost_low_bit, bit_planes_equal_the_plain_formula)
{
    struct dice dice = {5};
    for (int i = 0; i < 100; i++) {
        struct fixture f;
        low_bit_start(&f);
        f.device.matrix[FORMAT_INT1].flops = 4992e12;
        double m = roll_size(&dice, 1, 3000), n = roll_size(&dice, 1, 12000), k = roll_size(&dice, 1, 12000);
        struct op *op = fixture_gemm(&f, n, k, "int2-g64");
        op->gemm.a_type = type_named("int8");
        op->gemm.low_bit =
            (struct low_bit_work){.kernel = LOW_BIT_BIT_SERIAL, .preparation = PREPARED_IN_TILE};
        fixture_prepare(&f);
        double lanes = 0.8 * 19.5e12, each = element_bytes_each(&f.buffers[0].type), units = 108;
        double memory = element_bytes(&f.buffers[0].type, n, k) + fmax(0, m * (2 * n + k) - 20e6);
        struct op_cost cost = cost_of_rows(&f, 0, m);
        check_cost(&cost, "bit-serial");
        /* 2 x 8 planes; 2 rows of activations fill 16 rows of an instruction 256 bits deep; scales every 64
         */
        double best = INFINITY;
        static const double splits[] = {1, 2, 3, 4, 6, 8, 16, 32};
        for (int c = 0; c < 8; c++) {
            double kk = ceil(k / splits[c] / 256) * 256;
            double groups = fmax(kk / 64, 1);
            static const double rows[] = {1, 2, 4, 8, 16, 32, 64}, columns[] = {32, 64, 128, 256, 512, 1024};
            for (int a = 0; a < 7; a++)
                for (int b = 0; b < 6; b++) {
                    double tm = rows[a], tn = columns[b];
                    double unit = fmax(tm, 2) * tn * 2 * 16 * units / (0.8 * 4992e12);
                    double making = tm * 8 * 2 * units / lanes;
                    double stream = (tm * 1 + tn * each) * units / (0.8 * 5e12);
                    double item = kk * fmax(fmax(unit, making), stream) +
                                  tm * tn * groups * 17 * 2 * units / lanes + 2e-6;
                    double waves = ceil(ceil(m / tm) * ceil(n / tn) * splits[c] / units * (1 - 1e-12));
                    double sums = c > 0 ? 2e-6 + splits[c] * m * n * 4 / 5e12 : 0;
                    if (tm * tn <= 32768)
                        best = fmin(best, fmax(waves * item, memory / (0.8 * 2e12)) + sums);
                }
        }
        check_close(cost.time, 2e-6 + 2e-6 + best, 1e-9, "bit-serial");
        fixture_end(&f);
    }
}

Test(cost_low_bit, banks_conflict_as_far_as_the_table_has_words)
{
    struct op_cost costs[3];
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        fixture_start(&f);
        struct memory_tier tiers[3] = {
            {.name = "l1", .cache = true, .per_unit = true, .capacity = 192e3}, f.tiers[0], f.tiers[1]};
        tiers[0].bandwidth = 180e9;
        f.device.tiers = tiers;
        f.device.tier_count = 3;
        f.software.ideal = true;
        static const double groups[] = {6, 7, 8}; /* 64, 128, 256 entries of 2 bytes: 1, 2, 4 words a bank */
        fixture_gemm(&f, 12288, 43008, "int4")->gemm.low_bit =
            lookup(PREPARED_IN_TILE, groups[i], false, "fp16");
        fixture_prepare(&f);
        costs[i] = cost_of_rows(&f, 0, 64);
        double conflicts[] = {1, 2, 3.53}, lookups = 64.0 * 12288 * 43008 * 4 / groups[i];
        check_close(costs[i].time - 64.0 * 43008 * ldexp(1, (int)groups[i]) / groups[i] * 2 / 19.5e12 -
                        64.0 * 12288 * 4 * 2 / 19.5e12,
                    fmax(lookups * conflicts[i] * 4 / (108 * 180e9), lookups * 3 * 2 / 19.5e12), 1e-9,
                    "banks");
        fixture_end(&f);
    }
}

/* ---- invariants ---- */

static const char *const stored[] = {"int2", "int3", "int4", "int5-g64", "int6-g64", "int8-g64"};

static struct low_bit_work rolled(struct dice *dice, enum low_bit_kernel kernel)
{
    struct low_bit_work work = lookup((enum low_bit_preparation)(3 * roll(dice)), 2 + floor(9 * roll(dice)),
                                      roll(dice) < 0.5, roll(dice) < 0.5 ? "int8" : "fp16");
    work.kernel = kernel;
    return work;
}

Test(cost_low_bit, invariants_on_random_shapes_and_devices)
{
    static const enum low_bit_kernel kernels[] = {LOW_BIT_LOOKUP, LOW_BIT_BIT_SERIAL, LOW_BIT_EXPAND_FIRST,
                                                  LOW_BIT_BEST};
    struct dice dice = {17};
    for (int i = 0; i < 400; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        f.device.matrix[FORMAT_INT1].flops = 1e12 * roll_size(&dice, 10, 5000);
        f.device.units.clock = 1e9;
        switch (i % 3) {
        case 0:
            f.device.lookup_matrix = 1e12 * roll_size(&dice, 10, 5000);
            break;
        case 1:
            f.device.class = CLASS_CPU;
            f.device.lookup_bytes = 32;
            break;
        default:
            f.tiers[0].name = "l1"; /* as the only cache: still the shared one */
            f.tiers[0].per_unit = true;
            f.tiers[0].bandwidth = 1e11 * (1 + roll(&dice));
        }
        double n = roll_size(&dice, 1, 50000), k = roll_size(&dice, 1, 50000), m = roll_size(&dice, 1, 20000);
        int type = (int)(6 * roll(&dice)), more = type + (type < 2 ? 1 : type == 3 || type == 4 ? 1 : 0);
        struct low_bit_work work = rolled(&dice, kernels[i / 3 % 4]);
        double columns = n + roll_size(&dice, 1, 300), deep = k + roll_size(&dice, 1, 300);
        const struct op *ops[] = {
            fixture_gemm(&f, n, k, stored[type]), fixture_gemm(&f, columns, k, stored[type]),
            fixture_gemm(&f, n, deep, stored[type]), fixture_gemm(&f, n, k, stored[more])};
        for (int j = 0; j < 4; j++) {
            struct op *op = &f.ops[ops[j] - f.ops];
            op->gemm.low_bit = work;
            op->gemm.a_type = type_named("int8");
        }
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, m);
        check_cost(&cost, "low bit");
        check_not_faster(cost_of_rows(&f, 0, m + roll_size(&dice, 1, 300)).time, cost.time, "more rows");
        check_not_faster(cost_of_rows(&f, 1, m).time, cost.time, "more columns");
        check_not_faster(cost_of_rows(&f, 2, m).time, cost.time, "deeper");
        check_not_faster(cost_of_rows(&f, 3, m).time, cost.time, "more bits");
        double roof = cost_roof_time(f.prepared, 0, &cost);
        check_not_faster(cost.time, roof, "roof");
        fixture_end(&f);
    }
}

Test(cost_low_bit, off_is_the_usual_kernel_and_best_the_fastest)
{
    struct dice dice = {19};
    for (int i = 0; i < 200; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        f.device.matrix[FORMAT_INT1].flops = 1e12 * roll_size(&dice, 10, 5000);
        f.device.lookup_matrix = 1e12 * roll_size(&dice, 10, 5000);
        double n = roll_size(&dice, 1, 50000), k = roll_size(&dice, 1, 50000), m = roll_size(&dice, 1, 20000);
        struct low_bit_work work = rolled(&dice, LOW_BIT_DEQUANTIZE);
        for (int kernel = LOW_BIT_DEQUANTIZE; kernel <= LOW_BIT_BEST + 1; kernel++) {
            struct op *op = fixture_gemm(&f, n, k, "int4-g128");
            op->gemm.a_type = type_named("int8");
            work.kernel = (enum low_bit_kernel)kernel;
            if (kernel <= LOW_BIT_BEST)
                op->gemm.low_bit = work;
        }
        fixture_prepare(&f);
        struct op_cost off = cost_of_rows(&f, LOW_BIT_BEST + 1, m), usual = cost_of_rows(&f, 0, m);
        cr_assert(memcmp(&off, &usual, sizeof off) == 0, "dequantize is not the baseline");
        double least = INFINITY;
        for (int kernel = LOW_BIT_DEQUANTIZE; kernel < LOW_BIT_BEST; kernel++)
            least = fmin(least, cost_of_rows(&f, kernel, m).time);
        cr_assert_float_eq(cost_of_rows(&f, LOW_BIT_BEST, m).time, least, 0);
        fixture_end(&f);
    }
}

/* For few rows the wide matrix's bytes do not pay; where converting again for every tile of rows takes longer
 * than multiplying, converting once does. */
Test(cost_low_bit, expanding_pays_for_many_rows_and_slow_conversion_only)
{
    static const double shares[] = {0.8, 0.03};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        low_bit_start(&f);
        f.calibrations[FAMILY_GEMM].values[GEMM_DEQUANT] = shares[i];
        fixture_gemm(&f, 8192, 8192, "int4-g128")->gemm.low_bit.kernel = LOW_BIT_EXPAND_FIRST;
        fixture_gemm(&f, 8192, 8192, "int4-g128");
        fixture_prepare(&f);
        double many = cost_of_rows(&f, 0, 16384).time / cost_of_rows(&f, 1, 16384).time;
        cr_expect(i == 0 ? many > 1 : many < 0.8, "%g", many);
        cr_expect(i == 1 || cost_of_rows(&f, 0, 1).time > 2 * cost_of_rows(&f, 1, 1).time);
        fixture_end(&f);
    }
}

/* ---- refusals ---- */

static void expect_refused(struct fixture *f, const char *reason)
{
    cr_assert(target_resolve(&f->target, &f->diag, &f->system, &f->software, &f->types));
    cr_assert_null(cost_prepare(f->arena, &f->diag, &f->graph, &f->target));
    cr_expect(strstr(diag_first_error(&f->diag), reason) != NULL, "\"%s\" has no \"%s\"",
              diag_first_error(&f->diag), reason);
}

Test(cost_low_bit, devices_without_the_units_are_refused)
{
    static const char *const reasons[] = {"no rate of look-ups", "no matrix units for 1-bit",
                                          "no bit planes"};
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        low_bit_start(&f);
        struct op *op = fixture_gemm(&f, 4096, 4096, "int4");
        op->gemm.low_bit = lookup(PREPARED_BEFORE, 4, false, "int8");
        op->gemm.low_bit.kernel = i == 0 ? LOW_BIT_LOOKUP : LOW_BIT_BIT_SERIAL;
        op->gemm.a_type = type_named(i == 1 ? "int8" : "bf16");
        expect_refused(&f, reasons[i]);
        fixture_end(&f);
    }
    struct fixture f; /* the best of those that it has: the usual one and expanding */
    low_bit_start(&f);
    fixture_gemm(&f, 4096, 4096, "int4")->gemm.low_bit = lookup(PREPARED_BEFORE, 4, false, "int8");
    f.ops[0].gemm.low_bit.kernel = LOW_BIT_BEST;
    fixture_prepare(&f);
    cr_expect_null(f.prepared[0].gemm->low_bit->lookup);
    cr_expect_null(f.prepared[0].gemm->low_bit->bit_serial);
    fixture_end(&f);
}

/* ---- published ---- */

struct measured_core {
    const char *name;
    double clock, pipes; /* 128-bit, each looks up or adds */
    double memory;
    const char *weights;
    double tokens_per_s;
};

/* T-MAC on one core, llama-2-7b (microsoft/T-MAC docs/profiling_data.md, 0babfaf): tables of int8 for 4
 * activations. The output head in 16 bits and attention are left out, so the linear layers may take at most
 * all of the measured time but for what look-ups cannot reach: their rate is a bound. */
Test(cost_low_bit, single_cores_of_t_mac)
{
    static const struct measured_core cores[] = {
        {"Raspberry Pi 5", 2.4e9, 2, 17.1e9, "int2-g128", 4.40},
        {"Raspberry Pi 5", 2.4e9, 2, 17.1e9, "int4-g128", 2.42},
        {"AGX Orin", 2.2e9, 2, 204.8e9, "int2-g128", 4.36},
        {"AGX Orin", 2.2e9, 2, 204.8e9, "int4-g128", 2.46},
        {"M2-Ultra", 3.5e9, 4, 800e9, "int2-g128", 16.68},
        {"M2-Ultra", 3.5e9, 4, 800e9, "int4-g128", 8.97},
    };
    static const double shapes[][3] = {{4096, 4096, 4}, {11008, 4096, 2}, {4096, 11008, 1}};
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++) {
        struct fixture f;
        fixture_start(&f);
        as_cpu(&f, 1);
        f.device.units.clock = cores[i].clock;
        f.device.lookup_bytes = (int)(16 * cores[i].pipes);
        f.device.vector[FORMAT_FP32].flops = cores[i].clock * 8 * cores[i].pipes;
        f.tiers[1].bandwidth = cores[i].memory;
        f.tiers[0].bandwidth = fmax(80e9, cores[i].memory);
        for (int j = 0; j < 3; j++)
            fixture_gemm(&f, shapes[j][0], shapes[j][1], cores[i].weights)->gemm.low_bit =
                lookup(PREPARED_BEFORE, 4, false, "int8");
        fixture_prepare(&f);
        double layers = 0;
        for (int j = 0; j < 3; j++)
            layers += 32 * shapes[j][2] * cost_of_rows(&f, j, 1).time;
        double error = layers * cores[i].tokens_per_s - 1;
        printf("T-MAC %s %s: linear layers %.1f ms of a token of %.1f ms (%+.1f%%)\n", cores[i].name,
               cores[i].weights, layers * 1e3, 1e3 / cores[i].tokens_per_s, error * 100);
        cr_expect(fabs(error) < 0.3, "%s %s: %+.1f%%", cores[i].name, cores[i].weights, error * 100);
        fixture_end(&f);
    }
}
