/* Collectives and transfers: algorithms by size, topologies, nodes. */
#include "cost_fixture.h"

static struct op *add_collective(struct fixture *f, enum collective kind, double ranks, double bytes)
{
    struct op *op = fixture_op(f, OP_COLLECTIVE);
    op->collective = (struct collective_work){.kind = kind, .ranks = ranks, .bytes_per_row = bytes};
    return op;
}

static double all_reduce_time(struct fixture *f, double ranks, double bytes)
{
    f->graph.op_count = 0;
    add_collective(f, COLLECTIVE_ALL_REDUCE, ranks, 1);
    fixture_prepare(f);
    return cost_of_rows(f, 0, bytes).time;
}

Test(cost_collective, large_all_reduce_runs_at_ring_bandwidth)
{
    struct fixture f;
    fixture_start(&f);
    check_close(all_reduce_time(&f, 8, 1e9), 2 * 7.0 / 8 * 1e9 / 300e9 + 14 * 2e-6, 1e-12, "ring");
    fixture_end(&f);
}

Test(cost_collective, small_all_reduce_takes_few_steps)
{
    struct fixture f;
    fixture_start(&f);
    check_close(all_reduce_time(&f, 8, 1000), 2 * 1000 / 300e9 + 6 * 2e-6, 1e-12, "tree");
    f.software.custom_all_reduce = true;
    check_close(all_reduce_time(&f, 8, 1000), 7 * 1000 / 300e9 + 2e-6, 1e-12, "one-shot");
    f.links[0].reduces = true;
    check_close(all_reduce_time(&f, 8, 1e9), 1.125 * 1e9 / 300e9 + 2 * 2e-6, 1e-12, "in-switch");
    fixture_end(&f);
}

Test(cost_collective, custom_kernels_are_for_a_node_of_peers)
{
    struct fixture f;
    fixture_start(&f);
    f.software.custom_all_reduce = true;
    f.links[0].peers = 0;
    f.links[0].topology = TOPOLOGY_BUS;
    double two = all_reduce_time(&f, 2, 100), four = all_reduce_time(&f, 4, 100);
    check_close(two, 100 / 300e9 + 2e-6, 1e-12, "two on a bus write to each other");
    check_close(four, 200 / 300e9 + 4 * 2e-6, 1e-12, "four do not");
    fixture_end(&f);
}

Test(cost_collective, one_rank_costs_nothing)
{
    struct fixture f;
    fixture_start(&f);
    f.device.link_count = 0;
    for (int kind = COLLECTIVE_ALL_REDUCE; kind <= COLLECTIVE_ALL_TO_ALL; kind++)
        add_collective(&f, (enum collective)kind, 1, 4096);
    fixture_prepare(&f);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(cost_of_rows(&f, i, 1000).time, 0);
        cr_assert_eq(cost_of_rows(&f, i, 1000).launches, 0);
    }
    fixture_end(&f);
}

Test(cost_collective, several_nodes_cross_the_network_with_a_share)
{
    struct fixture f;
    fixture_start(&f);
    double bytes = 1e9, inside = 2 * 7.0 / 8 * bytes / 300e9 + 14 * 2e-6;
    double across = bytes / 8 / 25e9 + 2 * 5e-6; /* ring of two: 2 * (1/2) * B/8 */
    check_close(all_reduce_time(&f, 16, bytes), inside + across, 1e-12, "hierarchical");
    fixture_end(&f);
}

Test(cost_collective, no_link_is_refused)
{
    struct fixture f;
    fixture_start(&f);
    f.device.link_count = 1;
    add_collective(&f, COLLECTIVE_ALL_REDUCE, 16, 1);
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_null(cost_prepare(f.arena, &f.diag, &f.graph, &f.target));
    cr_assert_str_eq(diag_first_error(&f.diag), "error: op: no link joins 16 devices of test-gpu");
    fixture_end(&f);
}

Test(cost_collective, direct_links_and_rings)
{
    struct fixture f;
    fixture_start(&f);
    f.links[0].latency = 0;
    add_collective(&f, COLLECTIVE_ALL_TO_ALL, 4, 1e6);
    add_collective(&f, COLLECTIVE_ALL_TO_ALL, 8, 1e6);
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 0, 1).time, 0.75e6 / 300e9, 1e-12, "switch");
    f.links[0].topology = TOPOLOGY_DIRECT;
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 0, 1).time, 0.75e6 / (300e9 * 3 / 7), 1e-12, "3 of 7 links");
    check_close(cost_of_rows(&f, 1, 1).time, 0.875e6 / 300e9, 1e-12, "all links");
    f.links[0].topology = TOPOLOGY_RING;
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 1, 1).time, 2 * 0.875e6 / 300e9, 1e-12, "two hops on average");
    fixture_end(&f);
}

Test(cost_collective, invariants_on_random_groups)
{
    struct dice dice = {41};
    for (int i = 0; i < 500; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        f.links[0].topology = (int)(5 * roll(&dice));
        f.links[0].peers = (int)roll_size(&dice, 1, 72);
        f.links[0].reduces = roll(&dice) < 0.5;
        f.software.custom_all_reduce = roll(&dice) < 0.5;
        double ranks = roll_size(&dice, 2, 512), bytes = roll_size(&dice, 1, 1e9);
        for (int kind = COLLECTIVE_ALL_REDUCE; kind <= COLLECTIVE_ALL_TO_ALL; kind++)
            add_collective(&f, (enum collective)kind, ranks, bytes);
        fixture_prepare(&f);
        for (int kind = 0; kind < 4; kind++) {
            double rows = roll_size(&dice, 1, 1e5);
            struct op_cost cost = cost_of_rows(&f, kind, rows), more = cost_of_rows(&f, kind, rows + 1);
            check_cost(&cost, "collective");
            cr_assert_gt(cost.time, 0);
            check_not_faster(more.time, cost.time, "more rows");
        }
        fixture_end(&f);
    }
}

Test(cost_collective, stage_transfers_take_the_link_that_joins_the_stages)
{
    struct fixture f;
    fixture_start(&f);
    fixture_op(&f, OP_TRANSFER)->transfer.bytes_per_row = 8192;
    f.graph.parallel.pp = 2;
    fixture_prepare(&f);
    struct op_cost inside = cost_of_rows(&f, 0, 1000);
    check_close(inside.time, 8.192e6 / 300e9 + 2e-6, 1e-12, "scale-up");
    cr_assert_eq(inside.bound, BOUND_LINK);
    f.graph.parallel.tp = 8;
    fixture_prepare(&f);
    struct op_cost across = cost_of_rows(&f, 0, 1000);
    check_close(across.time, 8.192e6 / 25e9 + 5e-6, 1e-12, "network");
    cr_assert_eq(across.bound, BOUND_NETWORK);
    check_close(across.bytes[BYTES_WIRE], 8.192e6, 1e-12, "wire");
    fixture_end(&f);
}
