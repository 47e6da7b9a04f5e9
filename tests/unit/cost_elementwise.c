/* Streams: bytes by class, residency, invariants. */
#include "cost_fixture.h"

static struct op *add_stream(struct fixture *f, enum op_kind kind, double read, double written, double flops)
{
    struct op *op = fixture_op(f, kind);
    op->stream = (struct stream_work){.read = read,
                                      .written = written,
                                      .flops = flops,
                                      .read_type = f->types.activations,
                                      .write_type = f->types.activations};
    return op;
}

Test(cost_elementwise, norm_reads_its_weights_once)
{
    struct fixture f;
    fixture_start(&f);
    struct op *op = add_stream(&f, OP_NORM, 4096, 4096, 7 * 4096);
    op->stream.fixed_read = 4096;
    op->stream.fixed_read_bytes_each = 2;
    fixture_prepare(&f);
    struct op_cost cost = cost_of_rows(&f, 0, 10);
    check_close(cost.bytes[BYTES_WEIGHTS], 8192, 1e-12, "weights");
    check_close(cost.bytes[BYTES_ACTIVATIONS], 10 * 4096 * 4.0, 1e-12, "rows");
    check_close(cost.memory_bytes, 8192, 1e-12, "rows are still in the cache");
    check_close(cost.flops, 10 * 7 * 4096.0, 1e-12, "flops");
    f.target.residency = false;
    check_close(cost_of_rows(&f, 0, 10).memory_bytes, 8192 + 10 * 4096 * 4.0, 1e-12, "cold");
    fixture_end(&f);
}

Test(cost_elementwise, a_look_up_reads_rows_not_the_table)
{
    struct fixture f;
    fixture_start(&f);
    struct op *op = add_stream(&f, OP_GATHER, 4096, 4096, 0);
    op->weights = fixture_buffer(&f, BUFFER_WEIGHTS, "bf16");
    f.buffers[op->weights].rows = 128256;
    f.buffers[op->weights].cols = 4096;
    fixture_prepare(&f);
    struct op_cost cost = cost_of_rows(&f, 0, 3);
    check_close(cost.bytes[BYTES_WEIGHTS], 3 * 8192, 1e-12, "three rows");
    check_close(cost.memory_bytes, 3 * 8192, 1e-12, "from memory");
    cr_assert_eq(cost.flops, 0);
    fixture_end(&f);
}

Test(cost_elementwise, kv_writes_and_copies)
{
    struct fixture f;
    fixture_start(&f);
    struct op *write = add_stream(&f, OP_ELEMENTWISE, 2048, 0, 0);
    write->cache = fixture_buffer(&f, BUFFER_KV, "fp8");
    f.buffers[write->cache].elements = 2048;
    write->writes_cache = true;
    struct op *copy = add_stream(&f, OP_ELEMENTWISE, 2048, 2048, 0);
    copy->rows = ROWS_CONTEXT;
    fixture_prepare(&f);
    struct op_cost cost = cost_of_segment(&f, 0, 4, 1, 1000);
    check_close(cost.bytes[BYTES_KV_WRITE], 4 * buffer_token_bytes(&f.buffers[0]), 1e-12, "at KV width");
    check_close(cost.bytes[BYTES_ACTIVATIONS], 4 * 4096, 1e-12, "read at activation width");
    cost = cost_of_segment(&f, 1, 4, 1, 1000);
    check_close(cost.bytes[BYTES_KV_READ], 4 * 1001 * 4096.0, 1e-12, "the whole cache");
    check_close(cost.memory_bytes, 2 * 4 * 1001 * 4096.0, 1e-12, "there and back");
    cr_assert(cost_follows_context(f.prepared, 1) && !cost_follows_context(f.prepared, 0));
    fixture_end(&f);
}

/* Four cores with an L2 of 1 MB each, an L3 that keeps a quarter of what they give up, and DRAM. */
static void become_cores(struct fixture *f)
{
    f->tiers[0] = (struct memory_tier){.name = "l2",
                                       .cache = true,
                                       .per_unit = true,
                                       .capacity = 1e6,
                                       .bandwidth = 100e9,
                                       .write_bandwidth = 50e9,
                                       .peer_bandwidth = 20e9};
    f->tiers[1] = (struct memory_tier){.name = "l3",
                                       .cache = true,
                                       .capacity = 40e6,
                                       .bandwidth = 80e9,
                                       .write_bandwidth = 40e9,
                                       .admits = 0.25};
    f->tiers[2] =
        (struct memory_tier){.name = "dram", .capacity = 16e9, .bandwidth = 40e9, .write_bandwidth = 20e9};
    f->device.tier_count = 3;
    f->device.class = CLASS_CPU;
    f->device.units = (struct units){.kind = "core", .count = 4};
    f->device.vector[FORMAT_FP32].flops = 400e9;
    f->software.own_rows = true;
}

/* s that writing takes besides fetching. */
static double write_back(const struct memory_tier *tier, double units)
{
    return (1 / tier->write_bandwidth - 1 / tier->bandwidth) / units;
}

Test(cost_elementwise, cores_find_rows_level_by_level)
{
    struct fixture f;
    fixture_start(&f);
    become_cores(&f);
    struct op *op = add_stream(&f, OP_ELEMENTWISE, 2000, 1000, 0); /* of bf16 values */
    op->stream.in_place = 1000;
    fixture_prepare(&f);
    /* 4 MB are touched, half of them written; the L2s keep 2 MB, of which a core finds a quarter in its own
     */
    double own = 0.5e6 / 400e9 + 0.25e6 * write_back(&f.tiers[0], 4), peers = 1.5e6 / 80e9;
    double l3 = 0.5e6 / 80e9 + 0.25e6 * write_back(&f.tiers[1], 1);
    double dram = 1.5e6 / 40e9 + 0.75e6 * write_back(&f.tiers[2], 1);
    struct op_cost cost = cost_of_rows(&f, 0, 1000);
    check_close(cost.time, own + peers + l3 + dram, 1e-9, "the sum of levels");
    cr_expect_eq(cost.bound, BOUND_MEMORY);
    /* 1 MB, all of it in the L2s */
    check_close(cost_of_rows(&f, 0, 250).time,
                0.25e6 / 400e9 + 0.125e6 * write_back(&f.tiers[0], 4) + 0.75e6 / 80e9, 1e-9, "in the L2s");
    fixture_end(&f);
}

Test(cost_elementwise, cores_fetch_while_lanes_work)
{
    struct fixture f;
    fixture_start(&f);
    become_cores(&f);
    struct op *op = add_stream(&f, OP_ELEMENTWISE, 1000, 1000, 20);
    op->stream.in_place = 1000;
    op = add_stream(&f, OP_ELEMENTWISE, 1000, 1000, 1e6);
    op->stream.in_place = 1000;
    op->stream.exponentials = 1000;
    f.software.solo_values = 8000;
    fixture_prepare(&f);
    /* 8 rows run on one core: a quarter in its own cache */
    double lanes = 8 * 20 / 100e9, own = 4e3 / 100e9 + 4e3 * write_back(&f.tiers[0], 1);
    cr_assert_gt(own, lanes / 4);
    check_close(cost_of_rows(&f, 0, 8).time, own + 12e3 / 20e9, 1e-9, "one core, peers included");
    struct op_cost cost = cost_of_rows(&f, 1, 500);
    check_close(cost.time, 500 * (1e6 + 1000 * 47.0) / 400e9, 1e-9, "lanes are slower at each level");
    cr_expect_eq(cost.bound, BOUND_COMPUTE);
    fixture_end(&f);
}

Test(cost_elementwise, what_is_written_apart_is_in_no_core_s_own_cache)
{
    struct fixture f;
    fixture_start(&f);
    become_cores(&f);
    add_stream(&f, OP_NORM, 1000, 1000, 0);
    fixture_prepare(&f);
    /* 0.2 MB read from the L2s, as much written behind them */
    check_close(cost_of_rows(&f, 0, 100).time,
                0.05e6 / 400e9 + 0.15e6 / 80e9 + 0.2e6 / 80e9 + 0.2e6 * write_back(&f.tiers[1], 1), 1e-9,
                "through the L3");
    fixture_end(&f);
}

Test(cost_elementwise, invariants_on_random_streams)
{
    struct dice dice = {37};
    for (int i = 0; i < 500; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        double read = roll_size(&dice, 1, 1e6), written = roll_size(&dice, 1, 1e6),
               flops = roll_size(&dice, 1, 1e7);
        double rows = roll_size(&dice, 1, 1e6);
        add_stream(&f, OP_ELEMENTWISE, read, written, flops);
        add_stream(&f, OP_ELEMENTWISE, read + 9, written + 9, flops + 9);
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, rows), none = cost_of_rows(&f, 0, 0);
        check_cost(&cost, "stream");
        check_not_faster(cost_of_rows(&f, 0, rows + 1).time, cost.time, "more rows");
        check_not_faster(cost_of_rows(&f, 1, rows).time, cost.time, "wider");
        cr_assert_eq(none.time, 0);
        cr_assert_eq(none.launches, 0);
        fixture_end(&f);
    }
}

Test(cost_elementwise, invariants_on_cores)
{
    struct dice dice = {41};
    for (int i = 0; i < 500; i++) {
        struct fixture f;
        fixture_start(&f);
        become_cores(&f);
        f.tiers[1].admits = (double)(i % 5) / 4;
        double read = roll_size(&dice, 1, 1e5), apart = roll_size(&dice, 1, 1e5),
               flops = roll_size(&dice, 1, 1e7), rows = roll_size(&dice, 1, 1e5);
        struct op *op = add_stream(&f, OP_ELEMENTWISE, read, apart, flops);
        if (apart <= read && i % 2)
            op->stream.in_place = apart;
        struct op *wider = add_stream(&f, OP_ELEMENTWISE, read + 9, apart, flops);
        wider->stream.in_place = op->stream.in_place;
        fixture_prepare(&f);
        struct op_cost cost = cost_of_rows(&f, 0, rows);
        check_cost(&cost, "stream on cores");
        check_not_faster(cost_of_rows(&f, 0, rows + 1).time, cost.time, "more rows");
        check_not_faster(cost_of_rows(&f, 1, rows).time, cost.time, "wider");
        f.target.cache_admits /= 2;
        check_not_faster(cost_of_rows(&f, 0, rows).time, cost.time, "less is kept");
        fixture_end(&f);
    }
}
