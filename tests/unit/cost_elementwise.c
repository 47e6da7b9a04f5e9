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
