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

/* Microseconds of the library's protocols and of the kernels that read peers' memory. */
static void calibrate_links(struct fixture *f)
{
    f->links[0].latency = 0;
    f->calibrations[0] = (struct calibration){.software = "*", .family = FAMILY_COLLECTIVE};
    f->calibrations[1] = (struct calibration){.software = "*", .family = FAMILY_ALL_REDUCE_KERNEL};
    double library[] = {
        [LINK_T0] = 10e-6,    [LINK_BETA] = 0.8,    [LINK_ALPHA] = 1e-6, [LINK_FILL] = 0.5e-6,
        [LINK_FLAGGED] = 0.4, [LINK_START] = 20e-6, [LINK_HOP] = 4e-6,   [LINK_IN_SWITCH] = 0.6};
    double peers[] = {[PEER_T0] = 5e-6, [PEER_BETA] = 0.7, [PEER_STAGE] = 6e-6, [PEER_SIGNAL] = 0.1e-6};
    memcpy(f->calibrations[0].values, library, sizeof library);
    memcpy(f->calibrations[1].values, peers, sizeof peers);
    for (int i = 0; i < SCALARS_MOST; i++)
        f->calibrations[0].given[i] = f->calibrations[1].given[i] = true;
    f->device.calibrations = f->calibrations;
    f->device.calibration_count = 2;
}

Test(cost_collective, large_all_reduce_runs_at_ring_bandwidth)
{
    struct fixture f;
    fixture_start(&f);
    double sent = 2 * 7.0 / 8 * 1e9;
    check_close(all_reduce_time(&f, 8, 1e9), sent * (1 + 0.5 / 14) / 300e9 + 14 * 2e-6, 1e-12,
                "ring and the copy of half a block");
    f.device.class = CLASS_TPU;
    check_close(all_reduce_time(&f, 8, 1e9), sent / 300e9 + 14 * 2e-6, 1e-12, "plain ring");
    check_close(all_reduce_time(&f, 8, 1000), 2 * 1000 / 300e9 + 6 * 2e-6, 1e-12, "tree");
    f.links[0].reduces = true;
    check_close(all_reduce_time(&f, 8, 1e9), 1.125 * 1e9 / 300e9 + 2 * 2e-6, 1e-12, "in-switch");
    fixture_end(&f);
}

Test(cost_collective, protocols_follow_the_message)
{
    struct fixture f;
    fixture_start(&f);
    calibrate_links(&f);
    check_close(all_reduce_time(&f, 2, 4096),
                10e-6 + 2 * (1e-6 + 0.5e-6 * 2048 / 8192) + 8192 / (0.4 * 300e9), 1e-12,
                "flagged, a quarter of a channel full");
    /* the library changes at 7.4 us / (1 / 0.3 - 1 / 0.8) * rate = 1.07 MB of two ranks */
    check_close(all_reduce_time(&f, 2, 1e6), 10e-6 + 2 * 1.5e-6 + 2e6 / (0.4 * 300e9), 1e-12, "flagged");
    double bulk = 10e-6 + 20e-6 + 2 * 4e-6 + 1.1e6 * 1.25 / (0.8 * 300e9);
    check_close(all_reduce_time(&f, 2, 1.1e6), bulk, 1e-12, "bulk");
    cr_assert_gt(bulk, 1.3 * all_reduce_time(&f, 2, 1e6), "its switch is not the best one");
    double blocks = 3e6 * 1.75;
    check_close(all_reduce_time(&f, 8, 3e6),
                10e-6 + 10e-6 + 14 * 2.5e-6 + blocks * (1 + 0.5 / 14) / (120.0 / 128 * 0.8 * 300e9), 1e-12,
                "a flag per 120 bytes");
    double before = 0;
    for (double bytes = 1; bytes < 1e10; bytes *= 1.03) {
        double now = all_reduce_time(&f, 4, bytes);
        check_not_faster(now, before, "more bytes");
        before = now;
    }
    fixture_end(&f);
}

Test(cost_collective, switches_sum_wide_elements)
{
    struct fixture f;
    fixture_start(&f);
    calibrate_links(&f);
    double ring = all_reduce_time(&f, 8, 1e9);
    f.links[0].reduces = true;
    double summed = all_reduce_time(&f, 8, 1e9);
    check_close(summed, 10e-6 + 20e-6 + 14 * 4e-6 + 1.125e9 / (0.6 * 300e9), 1e-12, "in-switch");
    cr_assert_lt(summed, ring);
    f.ops[0].collective.narrow = true;
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 0, 1e9).time, ring, 1e-12, "not bytes");
    fixture_end(&f);
}

Test(cost_collective, all_to_all_fills_its_buffers)
{
    struct fixture f;
    fixture_start(&f);
    calibrate_links(&f);
    add_collective(&f, COLLECTIVE_ALL_TO_ALL, 4, 1);
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 0, 32768).time, 10e-6 + 1e-6 + 0.5e-6 + 32768 / (0.4 * 300e9), 1e-12,
                "8 KiB to each peer: flagged");
    double whole = 4.0 * 1024 * 1024;
    check_close(cost_of_rows(&f, 0, whole).time,
                10e-6 + 1e-6 + 4e-6 + 20e-6 / 2 + whole * (0.75 + 0.125) / (0.8 * 300e9), 1e-12,
                "one buffer full");
    fixture_end(&f);
}

Test(cost_collective, peer_kernels_are_for_small_messages)
{
    struct fixture f;
    fixture_start(&f);
    calibrate_links(&f);
    f.software.custom_all_reduce = true;
    double rate = 0.7 * 300e9, k = 1024;
    check_close(all_reduce_time(&f, 8, 1000), 5e-6 + 0.7e-6 + 7000 / rate, 1e-12, "one stage");
    check_close(all_reduce_time(&f, 8, 256 * k), 5e-6 + 0.7e-6 + 6e-6 + 1.75 * 256 * k / rate, 1e-12,
                "two stages");
    check_close(all_reduce_time(&f, 4, 300 * k), 5e-6 + 0.3e-6 + 3 * 300 * k / rate, 1e-12,
                "one stage longer among four");
    check_close(all_reduce_time(&f, 2, 4e6), 5e-6 + 0.1e-6 + 4e6 / rate, 1e-12, "one stage between two");
    cr_assert_eq(cost_footing(f.prepared, 0, REGIME_ANY).family, FAMILY_ALL_REDUCE_KERNEL);
    double large = all_reduce_time(&f, 8, 8 * k * k);
    f.software.custom_all_reduce = false;
    check_close(all_reduce_time(&f, 8, 8 * k * k), large, 0, "the library's from 8 MiB on");
    cr_assert_eq(cost_footing(f.prepared, 0, REGIME_ANY).family, FAMILY_COLLECTIVE);
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
    check_close(four, 150 * (1 + 0.5 / 6) / 300e9 + 6 * 2e-6, 1e-12, "four do not");
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
    double bytes = 1e9, inside = 2 * (7.0 / 8 * bytes * (1 + 0.5 / 7) / 300e9 + 7 * 2e-6);
    double across = bytes / 8 * 1.25 / 25e9 + 2 * 5e-6; /* ring of two: 2 * (1/2) * B/8 */
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
    check_close(cost_of_rows(&f, 0, 1).time, 0.875e6 / 300e9, 1e-12, "switch");
    f.links[0].topology = TOPOLOGY_DIRECT;
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 0, 1).time, 0.875e6 / (300e9 * 3 / 7), 1e-12, "3 of 7 links");
    check_close(cost_of_rows(&f, 1, 1).time, 0.9375e6 / 300e9, 1e-12, "all links");
    f.links[0].topology = TOPOLOGY_RING;
    fixture_prepare(&f);
    check_close(cost_of_rows(&f, 1, 1).time, (2 * 0.875e6 + 0.0625e6) / 300e9, 1e-12, "two hops on average");
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
            check_not_faster(cost_of_rows(&f, kind, 2 * rows).time, cost.time, "twice the rows");
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
