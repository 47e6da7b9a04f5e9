/* Resolving a target: whose scalars win, links, energy; and what cost_finish makes of uses. */
#include "cost_fixture.h"

static struct calibration eps_of(const char *software, enum number_format format, double eps)
{
    struct calibration block = {.software = software, .family = FAMILY_GEMM, .format = (int)format};
    block.given[GEMM_EPS] = true;
    block.values[GEMM_EPS] = eps;
    return block;
}

static double eps_in(struct fixture *f, enum number_format format)
{
    cr_assert(target_resolve(&f->target, &f->diag, &f->system, &f->software, &f->types));
    double scalars[SCALARS_MOST];
    target_scalars(&f->target, FAMILY_GEMM, format, (enum operand)format, scalars);
    return scalars[GEMM_EPS];
}

static const struct calibration *best_in(const struct fixture *f, enum number_format format)
{
    double scalars[SCALARS_MOST];
    return target_scalars(&f->target, FAMILY_GEMM, format, (enum operand)format, scalars);
}

Test(cost_target, the_nearest_calibration_wins)
{
    struct fixture f;
    fixture_start(&f);
    const char *alike[] = {"cousin", "uncle"};
    struct calibration own[] = {eps_of("*", FORMAT_NONE, 0.2)};
    struct calibration blocks[] = {eps_of("*", FORMAT_NONE, 0.1), eps_of("uncle", FORMAT_NONE, 0.3),
                                   eps_of("cousin", FORMAT_INT8, 0.4), eps_of("stranger", FORMAT_BF16, 0.9),
                                   eps_of("test-software", FORMAT_BF16, 0.5)};
    f.device.calibrations = blocks;
    f.device.calibration_count = 1;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.1, "any software");
    f.device.calibration_count = 4;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.1, "strangers do not count");
    f.software.calibrated_as.items = alike;
    f.software.calibrated_as.count = 2;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.3, "an alike stack's before any");
    cr_assert_eq(eps_in(&f, FORMAT_INT8), 0.4, "the first alike before the second");
    f.software.calibrations = own;
    f.software.calibration_count = 1;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.2, "its own file before alike ones");
    f.device.calibration_count = 5;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.5, "its own measurement first");
    cr_assert_eq(best_in(&f, FORMAT_BF16), &blocks[4]);
    f.software.ideal = true;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 1, "ideal");
    cr_assert_null(best_in(&f, FORMAT_BF16));
    fixture_end(&f);
}

Test(cost_target, operands_and_versions_choose_among_a_stacks_blocks)
{
    struct fixture f;
    fixture_start(&f);
    f.software.version = "1.0";
    struct calibration blocks[] = {
        eps_of("test-software", FORMAT_BF16, 0.1), eps_of("test-software", FORMAT_BF16, 0.2),
        eps_of("test-software", FORMAT_NONE, 0.3), eps_of("test-software", FORMAT_BF16, 0.4)};
    blocks[0].version = "1.0.3";
    blocks[0].operand = FORMAT_INT4;
    blocks[1].version = "1.0.3";
    blocks[2].version = "1.01";
    blocks[3].version = "0.9";
    blocks[3].operand = FORMAT_INT8;
    f.device.calibrations = blocks;
    f.device.calibration_count = 4;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.2);
    double scalars[SCALARS_MOST];
    cr_assert_eq(target_scalars(&f.target, FAMILY_GEMM, FORMAT_BF16, (enum operand)FORMAT_INT4, scalars),
                 &blocks[0]);
    cr_assert_eq(target_scalars(&f.target, FAMILY_GEMM, FORMAT_BF16, (enum operand)FORMAT_INT8, scalars),
                 &blocks[1], "another version's is weaker, however specific");
    cr_assert_eq(eps_in(&f, FORMAT_FP8), 0.3, "another version's is better than none");
    f.software.version = "0.9";
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_eq(target_scalars(&f.target, FAMILY_GEMM, FORMAT_BF16, (enum operand)FORMAT_INT8, scalars),
                 &blocks[3]);
    fixture_end(&f);
}

Test(cost_target, measurements_come_before_defaults)
{
    struct fixture f;
    fixture_start(&f);
    f.software.version = "2.0";
    struct calibration blocks[] = {eps_of("test-software", FORMAT_NONE, 0.5),
                                   eps_of("test-software", FORMAT_BF16, 0.2)};
    blocks[0].provenance = PROVENANCE_FITTED;
    blocks[0].version = "1.0";
    blocks[1].provenance = PROVENANCE_FAMILY_DEFAULT;
    f.device.calibrations = blocks;
    f.device.calibration_count = 2;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.5, "of another version, yet of this device");
    fixture_end(&f);
}

Test(cost_target, sixteen_bit_floats_stand_for_each_other)
{
    struct fixture f;
    fixture_start(&f);
    struct calibration blocks[] = {eps_of("test-software", FORMAT_BF16, 0.5),
                                   eps_of("test-software", FORMAT_NONE, 0.2), eps_of("*", FORMAT_FP16, 0.1)};
    f.device.calibrations = blocks;
    f.device.calibration_count = 3;
    cr_assert_eq(eps_in(&f, FORMAT_FP16), 0.5, "measured on this stack with the other");
    cr_assert_eq(eps_in(&f, FORMAT_INT8), 0.2);
    blocks[2] = eps_of("test-software", FORMAT_FP16, 0.6);
    cr_assert_eq(eps_in(&f, FORMAT_FP16), 0.6, "its own first, whatever the order");
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.5);
    fixture_end(&f);
}

Test(cost_target, devices_that_nothing_was_measured_on_spread)
{
    struct fixture f;
    fixture_start(&f);
    struct calibration blocks[] = {eps_of("*", FORMAT_NONE, 0.1), eps_of("test-software", FORMAT_BF16, 0.5)};
    blocks[0].provenance = PROVENANCE_FAMILY_DEFAULT;
    blocks[0].residual = 0.3;
    blocks[1].provenance = PROVENANCE_INHERITED;
    blocks[1].residual = 0.05;
    f.device.calibrations = blocks;
    f.device.calibration_count = 2;
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_eq(target_spread(&f.target, FAMILY_GEMM, FORMAT_BF16, (enum operand)FORMAT_BF16), 0.3);
    cr_assert_eq(target_spread(&f.target, FAMILY_MOE, FORMAT_BF16, (enum operand)FORMAT_BF16), 0);
    fixture_end(&f);
}

Test(cost_target, no_calibration_is_ideal_values)
{
    struct fixture f;
    fixture_start(&f);
    cr_assert_eq(eps_in(&f, FORMAT_INT8), families[FAMILY_GEMM].scalars[GEMM_EPS].fallback);
    cr_assert_null(best_in(&f, FORMAT_INT8));
    fixture_end(&f);
}

Test(cost_target, full_compute_memory_and_cache_draw_the_tdp)
{
    struct fixture f;
    fixture_start(&f);
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    struct op_cost cost = {.memory_bytes = 2e12};
    cost.use[RESOURCE_COMPUTE] = cost.floor[RESOURCE_COMPUTE] = 1;
    cost.use[RESOURCE_MEMORY] = cost.floor[RESOURCE_MEMORY] = 1;
    cost.use[RESOURCE_CACHE] = cost.floor[RESOURCE_CACHE] = 1;
    cost_finish(&f.target, FORMAT_BF16, 0, &cost);
    cr_assert_eq(cost.time, 1);
    check_close(cost.energy, 400 - 60, 1e-12, "TDP less idle for a second");
    cost.floor[RESOURCE_VECTOR] = 1;
    cost_finish(&f.target, FORMAT_BF16, 0, &cost);
    check_close(cost.energy, 400 - 60, 1e-12, "never more");
    f.device.power.tdp = 0;
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cost_finish(&f.target, FORMAT_BF16, 0, &cost);
    cr_assert_eq(cost.energy, 0, "unknown");
    fixture_end(&f);
}

Test(cost_target, idle_memory_and_units_save_energy)
{
    struct fixture f;
    fixture_start(&f);
    fixture_gemm(&f, 8192, 8192, "bf16");
    fixture_prepare(&f);
    struct op_cost decode = cost_of_rows(&f, 0, 1);
    check_close(decode.memory_bytes, 8192.0 * 8192 * 2, 1e-12, "weights");
    cr_assert_gt(decode.energy, decode.memory_bytes * 40e-12);
    cr_assert_lt(decode.energy, (400 - 60) * decode.time);
    fixture_end(&f);
}

Test(cost_target, bounds)
{
    struct fixture f;
    fixture_start(&f);
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    static const enum bound bounds[RESOURCE_COUNT] = {BOUND_COMPUTE, BOUND_COMPUTE, BOUND_CACHE,
                                                      BOUND_MEMORY,  BOUND_LINK,    BOUND_NETWORK};
    for (int i = 0; i < RESOURCE_COUNT; i++) {
        struct op_cost cost = {.flops = 1};
        cost.use[i] = 3;
        cost_finish(&f.target, FORMAT_BF16, 2, &cost);
        cr_assert_eq(cost.bound, bounds[i]);
        cr_assert_eq(cost.time, 5);
        cost_finish(&f.target, FORMAT_BF16, 4, &cost);
        cr_assert_eq(cost.bound, BOUND_LATENCY);
    }
    fixture_end(&f);
}

Test(cost_target, links_of_the_system_come_first)
{
    struct fixture f;
    fixture_start(&f);
    const char *role[] = {"gpu"}, *others[] = {"gpu", "host"};
    struct system_link links[] = {
        {.between = {others, 2}, .link = {.name = "pcie", .kind = LINK_SCALE_UP, .bandwidth = 1}},
        {.between = {role, 1},
         .link = {.name = "nvl72", .kind = LINK_SCALE_UP, .bandwidth = 900e9, .peers = 71}}};
    f.system.links = links;
    f.system.link_count = 2;
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_str_eq(f.target.scale_up->name, "nvl72");
    cr_assert_eq(f.target.ranks_per_node, 72);
    cr_assert_str_eq(f.target.network->name, "ib");
    f.system.link_count = 0;
    f.device.link_count = 0;
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_null(f.target.scale_up);
    cr_assert_eq(f.target.ranks_per_node, 1);
    fixture_end(&f);
}

Test(cost_target, a_device_without_rates_is_refused)
{
    struct fixture f;
    fixture_start(&f);
    memset(f.device.matrix, 0, sizeof f.device.matrix);
    memset(f.device.vector, 0, sizeof f.device.vector);
    cr_assert_not(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    f.tiers[1].cache = true;
    cr_assert_not(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    fixture_end(&f);
}
