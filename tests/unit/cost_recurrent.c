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
           many_short = cost_of_segment(&f, 0, 64, 512, 0).time;
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
