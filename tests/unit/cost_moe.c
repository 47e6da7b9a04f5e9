/* Grouped GEMMs: expected experts and tiles, against simulation and in their limits. */
#include "cost_fixture.h"

static struct op *add_experts(struct fixture *f, double n, double k, double experts, double local,
                              double top_k)
{
    struct op *op = fixture_gemm(f, n, k, "bf16");
    op->gemm.experts = experts;
    op->gemm.local_experts = local;
    op->gemm.top_k = top_k;
    op->gemm.ranks = experts / local;
    return op;
}

Test(cost_moe, weights_read_follow_the_expected_distinct_experts)
{
    struct fixture f;
    fixture_start(&f);
    add_experts(&f, 1024, 512, 64, 64, 4);
    fixture_prepare(&f);
    double one = 1024 * 512 * 2;
    check_close(cost_of_rows(&f, 0, 1).bytes[BYTES_WEIGHTS], 4 * one, 1e-12, "one token, top_k experts");
    check_close(cost_of_rows(&f, 0, 16).bytes[BYTES_WEIGHTS], 64 * (1 - pow(1 - 4.0 / 64, 16)) * one, 1e-12,
                "16");
    check_close(cost_of_rows(&f, 0, 1e6).bytes[BYTES_WEIGHTS], 64 * one, 1e-9, "all experts");
    check_close(cost_of_rows(&f, 0, 16).flops, 2.0 * 16 * 4 * 1024 * 512, 1e-12, "flops");
    fixture_end(&f);
}

Test(cost_moe, one_expert_for_all_is_a_plain_gemm_or_a_little_more)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    add_experts(&f, 4096, 4096, 1, 1, 1);
    fixture_gemm(&f, 4096, 4096, "bf16");
    fixture_prepare(&f);
    for (double m = 1; m < 1e5; m *= 10) {
        struct op_cost grouped = cost_of_rows(&f, 0, m), plain = cost_of_rows(&f, 1, m);
        check_close(grouped.flops, plain.flops, 1e-12, "flops");
        check_close(grouped.memory_bytes, plain.memory_bytes, 1e-12, "bytes");
        /* what only plain ones count: omega beside memory's time, results on their way out, the wait of
         * memory and units for each other, at most 7/6 */
        double stores = ceil(m / 16) * 16 * 4096 * 2 * 2 / (0.8 * 5e12);
        check_not_faster(grouped.time * 7 / 6, plain.time - 2e-6 - stores, "grouped");
    }
    fixture_end(&f);
}

/* Tiles of 16 rows when tokens choose 2 of 32 experts at random, mean of many runs. */
static double simulated_tiles(int tokens, double edge)
{
    enum { EXPERTS = 32, RUNS = 300 };
    struct dice dice = {3};
    double tiles = 0;
    for (int run = 0; run < RUNS; run++) {
        int rows[EXPERTS] = {0};
        for (int i = 0; i < tokens; i++) {
            int first = (int)(EXPERTS * roll(&dice)), second = (int)((EXPERTS - 1) * roll(&dice));
            rows[first]++;
            rows[second >= first ? second + 1 : second]++;
        }
        for (int e = 0; e < EXPERTS; e++)
            tiles += ceil(rows[e] / edge);
    }
    return tiles / RUNS;
}

Test(cost_moe, executed_rows_are_those_of_simulated_tiles)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    f.calibrations[FAMILY_MOE].values[MOE_TALL] = 16;
    f.device.units.count = 1;
    f.tiers[0].bandwidth = 1e18;
    add_experts(&f, 256, 256, 32, 32, 2);
    fixture_prepare(&f);
    for (int tokens = 1; tokens < 5000; tokens *= 3) {
        double executed = cost_of_rows(&f, 0, tokens).floor[RESOURCE_COMPUTE] * 312e12 / (2 * 256 * 256);
        double simulated = 16 * simulated_tiles(tokens, 16);
        cr_expect_lt(fabs(executed / simulated - 1), 0.25, "%d tokens: %g rows, simulated %g", tokens,
                     executed, simulated);
    }
    fixture_end(&f);
}

Test(cost_moe, invariants_on_random_experts)
{
    struct dice dice = {5};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        double ranks = pow(2, floor(4 * roll(&dice))), local = roll_size(&dice, 1, 64),
               experts = local * ranks;
        double top_k = fmin(roll_size(&dice, 1, 10), experts);
        double n = roll_size(&dice, 1, 20000), k = roll_size(&dice, 1, 20000);
        double skew = roll(&dice) < 0.5 ? 0 : 1.5 * roll(&dice);
        add_experts(&f, n, k, experts, local, top_k)->gemm.skew = skew;
        add_experts(&f, n + 7, k, experts, local, top_k)->gemm.skew = skew;
        /* by 16: an aligned k may well be faster than a lower one that is not */
        add_experts(&f, n, k + 16, experts, local, top_k)->gemm.skew = skew;
        fixture_prepare(&f);
        double tokens = roll_size(&dice, 1, 50000) * (roll(&dice) < 0.3 ? 0.01 : 1);
        struct op_cost cost = cost_of_rows(&f, 0, tokens);
        check_cost(&cost, "moe");
        check_not_faster(cost_of_rows(&f, 0, tokens * (1 + roll(&dice))).time, cost.time, "more tokens");
        check_not_faster(cost_of_rows(&f, 1, tokens).time, cost.time, "wider");
        check_not_faster(cost_of_rows(&f, 2, tokens).time, cost.time, "deeper");
        double one = n * k * 2;
        cr_assert_leq(cost.bytes[BYTES_WEIGHTS], local * one * (1 + 1e-9), "more weights than there are");
        fixture_end(&f);
    }
}

static void set_scalars(struct fixture *f, double tall, double room)
{
    fixture_calibrate(f);
    double *values = f->calibrations[FAMILY_MOE].values;
    values[MOE_T0] = 10e-6;
    values[MOE_OMEGA] = 1e-6;
    values[MOE_EPS] = values[MOE_DEQUANT] = 0.5;
    values[MOE_LAMBDA] = values[MOE_BETA] = 1;
    values[MOE_TALL] = tall;
    values[MOE_ROOM] = room;
}

Test(cost_moe, dealt_tokens_fill_counted_tiles)
{
    static const struct expert_load loads[] = {{3, 0.25}, {1, 0.75}};
    struct fixture f;
    fixture_start(&f);
    set_scalars(&f, 64, 256);
    f.tiers[0].bandwidth = 1e18; /* no memory time */
    struct op *op = add_experts(&f, 4096, 4096, 8, 4, 2);
    op->gemm.dealt = loads;
    op->gemm.dealt_count = 2;
    fixture_prepare(&f);
    struct op_cost cost = cost_of_rows(&f, 0, 200);
    check_close(cost.flops, 2.0 * 300 * 4096 * 4096, 1e-12, "50 rows for each of 3, 150 for one");
    check_close(cost.bytes[BYTES_WEIGHTS], 4.0 * 4096 * 4096 * 2, 1e-12, "4 experts");
    /* tiles of 64: 3 * 1 + 3 of rows, by 32 of 128 columns or 64 of 64: 192 or 384 on 108 units, 2 or 4 waves
     * of k times (64 * 128 or 64 * 64) * 2 / (0.5 * 312e12 / 108), more than the cache's share */
    double unit = 0.5 * 312e12 / 108;
    double wide = 2 * (4096 * 64 * 128 * 2 / unit + 1e-6), narrow = 4 * (4096 * 64 * 64 * 2 / unit + 1e-6);
    check_close(cost.time, 10e-6 + fmin(wide, narrow), 1e-9, "time");
    check_close(cost_of_rows(&f, 0, 4).bytes[BYTES_WEIGHTS], cost.bytes[BYTES_WEIGHTS], 1e-12, "a row each");
    check_close(cost_of_rows(&f, 0, 2).bytes[BYTES_WEIGHTS], cost.bytes[BYTES_WEIGHTS] * 2.5 / 4, 1e-12,
                "half a row each of three");
    fixture_end(&f);
}

Test(cost_moe, conversion_comes_before_multiplication)
{
    struct fixture f;
    fixture_start(&f);
    set_scalars(&f, 64, 256);
    f.tiers[0].bandwidth = f.tiers[1].bandwidth = 1e18;
    struct op *op = add_experts(&f, 4096, 4096, 8, 8, 8);
    f.buffers[op->weights].type = type_named("int4-g128");
    add_experts(&f, 4096, 4096, 8, 8, 8);
    fixture_prepare(&f);
    /* 8 tiles of rows by 32 or 64 of columns: 3 waves of 128 or 5 of 64 */
    double lanes = 0.5 * 19.5e12 / 2 / 108;
    double converted = cost_of_rows(&f, 0, 8).time, plain = cost_of_rows(&f, 1, 8).time;
    check_close(converted - plain, fmin(3 * 128, 5 * 64) * 4096 / lanes, 0.02, "columns * k values a unit");
    fixture_end(&f);
}

Test(cost_moe, room_takes_low_tiles_away)
{
    double last = 0;
    for (double room = 1; room <= 16; room *= 2) {
        struct fixture f;
        fixture_start(&f);
        set_scalars(&f, 256, room);
        f.tiers[0].bandwidth = f.tiers[1].bandwidth = 1e18;
        add_experts(&f, 4096, 4096, 64, 64, 8);
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, 128); /* 16 rows an expert */
        check_not_faster(cost.time, last, "more room");
        if (room >= 2) /* executed: at least room * 16 rows an expert */
            cr_expect_geq(cost.floor[RESOURCE_COMPUTE] * 312e12, 0.99 * 64 * room * 16 * 2 * 4096 * 4096);
        last = cost.time;
        fixture_end(&f);
    }
}

Test(cost_moe, unaligned_rows_load_slowly)
{
    struct fixture f;
    fixture_start(&f);
    set_scalars(&f, 64, 1);
    add_experts(&f, 4096, 1000, 8, 8, 2);
    add_experts(&f, 4096, 1008, 8, 8, 2);
    add_experts(&f, 4096, 1000, 8, 8, 2)->gemm.a_type = type_named("int8");
    fixture_prepare(&f);
    double odd = cost_of_rows(&f, 0, 8).time - 10e-6, even = cost_of_rows(&f, 1, 8).time - 10e-6;
    cr_expect_gt(odd, 3 * even);
    cr_expect_lt(odd, 4.2 * even);
    fixture_end(&f);
}

/* 8 experts in fp8 with all tokens each, or by chance as many. */
static double fp8_experts_time(double beta, bool dealt, double tokens)
{
    static const struct expert_load all[] = {{8, 1}};
    struct fixture f;
    fixture_start(&f);
    set_scalars(&f, 128, 1);
    f.calibrations[FAMILY_MOE].values[MOE_BETA] = beta;
    f.device.matrix[FORMAT_FP8].flops = 624e12;
    struct op *op = add_experts(&f, 4096, 4096, 8, 8, 8);
    op->gemm.a_type = f.buffers[op->weights].type = type_named("fp8");
    op->gemm.dealt = dealt ? all : NULL;
    op->gemm.dealt_count = dealt;
    fixture_prepare(&f);
    double time = cost_of_rows(&f, 0, tokens).time - 10e-6;
    fixture_end(&f);
    return time;
}

Test(cost_moe, tiles_full_of_rows_stream_fp8_faster)
{
    double weights = 8.0 * 4096 * 4096 / 2e12; /* s at the data sheet's rate */
    check_close(fp8_experts_time(0.1, true, 1), 10 * weights, 0.01, "a row of 128");
    check_close(fp8_experts_time(0.1, true, 64), 7.5 * weights, 0.01, "half full");
    check_close(fp8_experts_time(0.1, true, 128), 5 * weights, 0.01, "full");
    check_close(fp8_experts_time(0.1, false, 128), 10 * weights, 0.01, "by chance");
    cr_expect_geq(fp8_experts_time(0.9, true, 128), weights);
}

Test(cost_moe, marlin_is_a_kernel_of_its_own_for_fp4)
{
    static const struct {
        const char *type;
        bool marlin;
        int operand;
    } cases[] = {
        {"mxfp4", false, FORMAT_FP4}, {"mxfp4", true, OPERAND_FP4_MARLIN}, {"int4", true, FORMAT_INT4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        fixture_start(&f);
        set_scalars(&f, 64, 1);
        struct op *op = add_experts(&f, 4096, 4096, 8, 8, 2);
        f.buffers[op->weights].type = type_named(cases[i].type);
        op->gemm.marlin = cases[i].marlin;
        fixture_prepare(&f);
        cr_expect_eq((int)cost_footing(f.prepared, 0, REGIME_PREFILL).operand, cases[i].operand, "%s",
                     cases[i].type);
        fixture_end(&f);
    }
}

Test(cost_moe, skew_loads_the_hottest_rank)
{
    struct fixture f;
    fixture_start(&f);
    add_experts(&f, 2048, 7168, 256, 32, 8);
    add_experts(&f, 2048, 7168, 256, 32, 8)->gemm.skew = 1e-9;
    add_experts(&f, 2048, 7168, 256, 32, 8)->gemm.skew = 0.8;
    add_experts(&f, 2048, 7168, 256, 256, 8)->gemm.skew = 0.8;
    fixture_prepare(&f);
    struct op_cost even = cost_of_rows(&f, 0, 4096), nearly = cost_of_rows(&f, 1, 4096),
                   hot = cost_of_rows(&f, 2, 4096), all = cost_of_rows(&f, 3, 4096);
    check_close(even.flops, nearly.flops, 1e-6, "no skew is the limit of little skew");
    check_close(even.time, nearly.time, 1e-6, "time too");
    cr_assert_gt(hot.flops, 1.3 * even.flops);
    cr_assert_gt(hot.time, even.time);
    check_close(all.flops, 2.0 * 4096 * 8 * 2048 * 7168, 1e-9, "all experts: every pair is somewhere");
    fixture_end(&f);
}

Test(cost_moe, impossible_routing_is_refused)
{
    struct fixture f;
    fixture_start(&f);
    add_experts(&f, 64, 64, 4, 4, 5);
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_null(cost_prepare(f.arena, &f.diag, &f.graph, &f.target));
    cr_assert_str_eq(diag_first_error(&f.diag), "error: op: a token cannot go to 5 of 4 experts");
    fixture_end(&f);
}
