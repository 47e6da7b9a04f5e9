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
    return f->target.scalars[FAMILY_GEMM][format][GEMM_EPS];
}

Test(cost_target, the_nearest_calibration_wins)
{
    struct fixture f;
    fixture_start(&f);
    const char *alike[] = {"cousin", "uncle"};
    struct calibration own[] = {eps_of("*", FORMAT_NONE, 0.2)};
    struct calibration blocks[] = {eps_of("*", FORMAT_NONE, 0.1), eps_of("uncle", FORMAT_NONE, 0.3),
                                   eps_of("cousin", FORMAT_FP16, 0.4), eps_of("stranger", FORMAT_BF16, 0.9),
                                   eps_of("test-software", FORMAT_BF16, 0.5)};
    f.device.calibrations = blocks;
    f.device.calibration_count = 1;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.1, "any software");
    f.device.calibration_count = 4;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.1, "strangers do not count");
    f.software.calibrated_as.items = alike;
    f.software.calibrated_as.count = 2;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.3, "an alike stack's before any");
    cr_assert_eq(eps_in(&f, FORMAT_FP16), 0.4, "the first alike before the second");
    f.software.calibrations = own;
    f.software.calibration_count = 1;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.2, "its own file before alike ones");
    f.device.calibration_count = 5;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 0.5, "its own measurement first");
    cr_assert_eq(f.target.calibrations[FAMILY_GEMM][FORMAT_BF16], &blocks[4]);
    f.software.ideal = true;
    cr_assert_eq(eps_in(&f, FORMAT_BF16), 1, "ideal");
    cr_assert_null(f.target.calibrations[FAMILY_GEMM][FORMAT_BF16]);
    fixture_end(&f);
}

Test(cost_target, no_calibration_is_ideal_values)
{
    struct fixture f;
    fixture_start(&f);
    cr_assert_eq(eps_in(&f, FORMAT_INT8), families[FAMILY_GEMM].scalars[GEMM_EPS].fallback);
    cr_assert_null(f.target.calibrations[FAMILY_GEMM][FORMAT_INT8]);
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
