/* Recurrences and convolutions. */
#include "cost_fixture.h"

static struct op *add_recurrence(struct fixture *f, enum recurrence kind, double heads, double key_dim,
                                 double value_dim, double chunk)
{
    struct op *op = fixture_op(f, OP_RECURRENT);
    op->cache = fixture_buffer(f, BUFFER_KV, "fp32");
    f->buffers[op->cache].elements = heads * key_dim * value_dim;
    f->buffers[op->cache].per_sequence = true;
    op->reads_cache = op->writes_cache = true;
    op->recurrent = (struct recurrent_work){
        .kind = kind, .heads = heads, .key_dim = key_dim, .value_dim = value_dim, .chunk = chunk};
    return op;
}

Test(cost_recurrent, decode_moves_the_state_twice_and_scans)
{
    struct fixture f;
    fixture_start(&f);
    add_recurrence(&f, RECURRENCE_GATED_DELTANET, 32, 128, 128, 64);
    fixture_prepare(&f);
    struct op_cost cost = cost_of_segment(&f, 0, 10, 1, 5000);
    double state = 10.0 * 32 * 128 * 128 * 4;
    check_close(cost.bytes[BYTES_KV_READ], state, 1e-12, "read");
    check_close(cost.bytes[BYTES_KV_WRITE], state, 1e-12, "written");
    check_close(cost.flops, 10.0 * 7 * 32 * 128 * 128, 1e-12, "seven a state element");
    cr_assert_eq(cost.bound, BOUND_MEMORY);
    check_close(cost.time, cost_of_segment(&f, 0, 10, 1, 900000).time, 0, "whatever the context");
    cr_assert_not(cost_follows_context(f.prepared, 0));
    fixture_end(&f);
}

Test(cost_recurrent, chunkwise_prefill_flops)
{
    struct fixture f;
    fixture_start(&f);
    add_recurrence(&f, RECURRENCE_MAMBA2, 80, 128, 64, 256);
    add_recurrence(&f, RECURRENCE_GATED_DELTANET, 32, 128, 128, 64);
    add_recurrence(&f, RECURRENCE_MAMBA1, 5120, 16, 1, 1);
    fixture_prepare(&f);
    double c = 256, n = 2048, delta = 64 * 64 * 10 * 128.0 + 2.0 / 3 * 64 * 64 * 64 + 6 * 64 * 128.0 * 128;
    check_close(cost_of_segment(&f, 0, 1, n, 0).flops, 80 * n / c * (2 * c * c * 192 + 4 * c * 128 * 64),
                1e-12, "mamba2");
    check_close(cost_of_segment(&f, 1, 1, n, 0).flops, 32 * n / 64 * delta, 1e-12, "delta");
    check_close(cost_of_segment(&f, 2, 1, n, 0).flops, 9 * n * 5120 * 16, 1e-12, "mamba1");
    cr_assert_eq(cost_of_segment(&f, 0, 1, n, 0).bytes[BYTES_KV_READ], 0, "no state to read at the start");
    cr_assert_gt(cost_of_segment(&f, 0, 1, n, 100).bytes[BYTES_KV_READ], 0);
    fixture_end(&f);
}

Test(cost_recurrent, chunks_of_one_sequence_wait_for_each_other)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    add_recurrence(&f, RECURRENCE_MLSTM, 8, 256, 512, 64);
    fixture_prepare(&f);
    double one_long = cost_of_segment(&f, 0, 1, 32768, 0).time,
           many_short = cost_of_segment(&f, 0, 8, 4096, 0).time;
    cr_assert_gt(one_long, many_short);
    check_not_faster(one_long, 512 * 2e-6, "a wave for each chunk");
    fixture_end(&f);
}

Test(cost_recurrent, conv_taps)
{
    struct fixture f;
    fixture_start(&f);
    struct op *op = fixture_op(&f, OP_CONV);
    op->conv = (struct conv_work){.channels = 8192, .width = 4};
    fixture_prepare(&f);
    struct op_cost cost = cost_of_segment(&f, 0, 2, 100, 50);
    check_close(cost.flops, 200 * 8192 * 8.0, 1e-12, "2 a tap");
    check_close(cost.bytes[BYTES_ACTIVATIONS], 200 * 8192 * 4.0, 1e-12, "in and out");
    check_close(cost.bytes[BYTES_KV_READ], 2 * 8192 * 3 * 2.0, 1e-12, "state");
    check_close(cost.bytes[BYTES_WEIGHTS], 8192 * 4 * 2.0, 1e-12, "taps");
    fixture_end(&f);
}

/* 10 us + 7 launches, chunks side by side, their chain, states through memory. */
Test(cost_recurrent, chunkwise_prefill_is_a_sequence_of_kernels)
{
    struct fixture f;
    fixture_start(&f);
    f.calibrations[0] = (struct calibration){.software = "*", .family = FAMILY_RECURRENT};
    double values[] = {
        [RECURRENT_T0] = 10e-6,    [RECURRENT_BETA] = 0.8,   [RECURRENT_EPS] = 0.05, [RECURRENT_OMEGA] = 1e-6,
        [RECURRENT_LAUNCH] = 2e-6, [RECURRENT_LAMBDA] = 0.9, [RECURRENT_SCAN] = 0.4};
    memcpy(f.calibrations[0].values, values, sizeof values);
    for (int i = 0; i < SCALARS_MOST; i++)
        f.calibrations[0].given[i] = true;
    f.device.calibrations = f.calibrations;
    f.device.calibration_count = 1;
    add_recurrence(&f, RECURRENCE_GATED_DELTANET, 27, 128, 128, 64);
    fixture_prepare(&f);
    double within = 64 * 64 * 10 * 128.0 + 2.0 / 3 * 64 * 64 * 64, across = 6 * 64 * 128.0 * 128;
    double unit = 312e12 / 108, state = 27 * 128 * 128 * 4.0, memory = 0.8 * 2e12;
    double chain = 32 * (1e-6 + across / 2 / unit);   /* 54 slices on 108 units */
    double side_by_side = 8 * within / (0.05 * unit); /* 27 * 32 chunks */
    double chunk_states = 27 * 32 * 2 * 128 * 128 * 2.0;
    f.target.residency = false; /* all copies go through memory */
    struct op_cost cost = cost_of_segment(&f, 0, 1, 2048, 0);
    cr_assert_eq(cost.launches, 8);
    double chain_or_states = fmax(chain, chunk_states / memory);
    check_close(cost.time, 24e-6 + side_by_side + chain_or_states + 4 * state / memory, 1e-9, "by hand");
    double sixteen = cost_of_segment(&f, 0, 1, 16, 0).time,
           sixty_four = cost_of_segment(&f, 0, 1, 64, 0).time;
    check_close(sixty_four - sixteen, 0.75 * (within / (0.05 * unit) + across / 2 / unit), 1e-6,
                "a short chunk does its share");
    fixture_end(&f);
}

Test(cost_recurrent, short_convolutions_take_the_time_of_a_block)
{
    struct fixture f;
    fixture_start(&f);
    f.calibrations[0] = (struct calibration){.software = "*", .family = FAMILY_CONV};
    double values[] = {[CONV_T0] = 2e-6, [CONV_BETA] = 0.8, [CONV_LAMBDA] = 0.25, [CONV_ROW] = 0.25e-6};
    memcpy(f.calibrations[0].values, values, sizeof values);
    for (int i = 0; i < SCALARS_MOST; i++)
        f.calibrations[0].given[i] = true;
    f.device.calibrations = f.calibrations;
    f.device.calibration_count = 1;
    fixture_op(&f, OP_CONV)->conv = (struct conv_work){.channels = 1000, .width = 4};
    fixture_prepare(&f);
    check_close(cost_of_segment(&f, 0, 1, 20, 0).time, 2e-6 + 9 * 0.25e-6, 1e-12, "8 tokens and the look-up");
    double decode = 1000 * 4 * 2 + 64 * (1000 * 4.0 + 2 * 1000 * 3 * 2.0);
    check_close(cost_of_segment(&f, 0, 64, 1, 500).time, 2e-6 + decode / (0.25 * 5e12), 1e-12, "one token");
    double bytes = 1000 * 4 * 2 + 1e6 * 1000 * 4.0 + 1000 * 3 * 2.0;
    check_close(cost_of_segment(&f, 0, 1, 1e6, 0).time, 2e-6 + bytes / (0.25 * 5e12), 1e-12, "many tokens");
    cr_assert_eq(cost_footing(f.prepared, 0, REGIME_ANY).family, FAMILY_CONV);
    fixture_end(&f);
}

Test(cost_recurrent, invariants_on_random_convolutions)
{
    struct dice dice = {37};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        double channels = roll_size(&dice, 1, 20000), width = roll_size(&dice, 1, 8);
        fixture_op(&f, OP_CONV)->conv = (struct conv_work){.channels = channels, .width = width};
        fixture_op(&f, OP_CONV)->conv = (struct conv_work){.channels = channels + 7, .width = width};
        fixture_prepare(&f);
        double s = roll_size(&dice, 1, 500), n = roll_size(&dice, 1, 50000),
               context = roll_size(&dice, 1, 100);
        f.target.repeated = roll(&dice) < 0.5;
        struct op_cost cost = cost_of_segment(&f, 0, s, n, context);
        check_cost(&cost, "convolution");
        check_not_faster(cost_of_segment(&f, 0, s + 3, n, context).time, cost.time, "more sequences");
        if (n > DECODE_TOKENS_MOST)
            check_not_faster(cost_of_segment(&f, 0, s, n + 9, context).time, cost.time, "longer");
        check_not_faster(cost_of_segment(&f, 1, s, n, context).time, cost.time, "more channels");
        fixture_end(&f);
    }
}

Test(cost_recurrent, invariants_on_random_states)
{
    struct dice dice = {31};
    for (int i = 0; i < 400; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        enum recurrence kind = (enum recurrence)(4 * roll(&dice));
        double heads = roll_size(&dice, 1, 100), dk = roll_size(&dice, 1, 256), dv = roll_size(&dice, 1, 512);
        double chunk = pow(2, floor(9 * roll(&dice)));
        add_recurrence(&f, kind, heads, dk, dv, chunk);
        add_recurrence(&f, kind, heads + 3, dk, dv, chunk);
        add_recurrence(&f, kind, heads, dk + 5, dv, chunk);
        fixture_prepare(&f);
        double s = roll_size(&dice, 1, 500), n = roll_size(&dice, 1, 50000),
               context = roll_size(&dice, 1, 100);
        struct op_cost cost = cost_of_segment(&f, 0, s, n, context);
        check_cost(&cost, "recurrence");
        check_not_faster(cost_of_segment(&f, 0, s + 5, n, context).time, cost.time, "more sequences");
        if (n > DECODE_TOKENS_MOST)
            check_not_faster(cost_of_segment(&f, 0, s, n + roll_size(&dice, 1, 300), context).time, cost.time,
                             "longer");
        check_not_faster(cost_of_segment(&f, 1, s, n, context).time, cost.time, "more heads");
        check_not_faster(cost_of_segment(&f, 2, s, n, context).time, cost.time, "wider keys");
        struct op_cost vast = cost_of_segment(&f, 0, 1e9, 1e9, 0);
        check_cost(&vast, "vast");
        fixture_end(&f);
    }
}
