/* Descriptions of a measured machine, cores at work, and fits of the executor's samples: all on made-up
 * rates. */
#include "fit/calibrate.h"
#include "support/measured.h"
#include "validate/measure.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct measured_fixture f;

static void set_up(void)
{
    measured_start(&f, "core-i9-13900k");
}

static void tear_down(void)
{
    measured_end(&f);
}

TestSuite(measure, .init = set_up, .fini = tear_down);

/* A machine of 4 cores: per core 100 GFLOP/s, L2 60 GB/s; L3 of 80 GB/s, DRAM of 30 GB/s, one core 20 GB/s.
 */
static struct machine_rates made_up(void)
{
    struct machine_rates rates = {
        .machine =
            {.name = "Made \"up\"", .vendor = "AMD", .processors = 8, .cores = 4, .memory_bytes = 16e9},
        .team_count = 2,
        .dram = {.count = 2, .value = {30e9, 18e9}, .share = {0.75, 0.25}, .noise = 0.01},
        .dram_count = 40,
        .peer_level = 2,
        .peer_bandwidth = 48e9,
        .admits = 0.25,
        .no_disk = "it is not there"};
    rates.machine.caches[2] = (struct machine_cache){4 * 1048576.0, 4};
    rates.machine.caches[3] = (struct machine_cache){32 * 1048576.0, 1};
    rates.teams[0] = (struct thread_rates){.threads = 1, .peak = {100e9, 0, 400e9}, .start_s = 2e-7};
    rates.teams[1] = (struct thread_rates){.threads = 4, .peak = {400e9, 0, 1600e9}, .start_s = 1e-6};
    for (int i = 0; i < 2; i++) {
        struct bandwidths *bandwidth = &rates.teams[i].bandwidth;
        bandwidth->read[2] = i ? 240e9 : 60e9;
        bandwidth->write[2] = i ? 120e9 : 30e9;
        bandwidth->read[3] = i ? 80e9 : 40e9;
        bandwidth->read[0] = i ? 29e9 : 20e9;
    }
    return rates;
}

static const struct device *made_up_device(void)
{
    struct machine_rates rates = made_up();
    struct text yaml = {0};
    measured_yaml(&rates, "2026-11-21", &yaml);
    cr_assert_not(yaml.failed);
    const struct device *device = measured_device(&f.catalogue, &f.diag, yaml.data, "local");
    cr_assert(device, "%s", diag_first_error(&f.diag));
    text_free(&yaml);
    return device;
}

static const struct memory_tier *tier(const struct device *device, const char *name)
{
    for (size_t i = 0; i < device->tier_count; i++)
        if (strcmp(device->tiers[i].name, name) == 0)
            return &device->tiers[i];
    return NULL;
}

Test(measure, rates_become_a_device)
{
    const struct device *device = made_up_device();
    cr_expect_str_eq(device->id, "local");
    cr_expect_str_eq(device->name, "Made ?up?, 4 cores");
    cr_expect_str_eq(device->family, "cpu-x86");
    cr_expect_eq(device->units.count, 4);
    cr_expect_eq(device->units.threads, 2);
    cr_expect_float_eq(device->vector[FORMAT_FP32].flops, 400e9, 1);
    cr_expect_eq(device->vector[FORMAT_BF16].flops, 0, "it has no such products");
    cr_expect_null(tier(device, "l1"), "it was not measured");
    cr_expect(tier(device, "l2")->per_unit);
    cr_expect_float_eq(tier(device, "l2")->bandwidth, 60e9, 1);
    cr_expect_float_eq(tier(device, "l2")->capacity, 1048576, 1);
    cr_expect_float_eq(tier(device, "l2")->peer_bandwidth, 12e9, 1, "of each core");
    cr_expect_float_eq(device_shared_cache(device)->unit_bandwidth, 40e9, 1);
    cr_expect_float_eq(device_shared_cache(device)->admits, 0.25, 1e-9);
    cr_expect_float_eq(device_memory(device)->admits, 1, 0, "none is kept back where nothing is said");
    cr_expect_float_eq(device_memory(device)->bandwidth, 30e9, 1, "the faster mode");
    cr_expect_float_eq(device_memory(device)->unit_bandwidth, 20e9, 1);
    cr_expect_null(tier(device, "disk"));
    cr_expect_gt(device->calibration_count, 0, "its family's");
}

Test(measure, what_is_odd_is_warned_of)
{
    struct machine_rates rates = made_up();
    const char *lines[8];
    cr_assert_eq(measured_warnings(&rates, f.arena, lines, 8), 2);
    cr_expect(strstr(lines[0], "two modes: 30 GB/s in 75% of 40 probes, 18 GB/s in 25%"), "%s", lines[0]);
    cr_expect(strstr(lines[1], "it is not there"), "%s", lines[1]);
    rates.dram = (struct modes){.count = 1, .value = {30e9}, .share = {1}, .noise = 0.2};
    rates.no_disk = NULL;
    cr_assert_eq(measured_warnings(&rates, f.arena, lines, 8), 1);
    cr_expect(strstr(lines[0], "scatter by 20%"), "%s", lines[0]);
    cr_expect_eq(measured_warnings(&rates, f.arena, lines, 0), 0);
}

Test(measure, cores_at_work_have_their_share)
{
    const struct device *device = made_up_device(), *one = device_with_units(f.arena, device, 1),
                        *two = device_with_units(f.arena, device, 2),
                        *all = device_with_units(f.arena, device, 4);
    cr_assert(one && two && all);
    cr_expect_eq(one->units.count, 1);
    cr_expect_float_eq(one->vector[FORMAT_FP32].flops, 100e9, 1);
    cr_expect_float_eq(two->vector[FORMAT_INT8].flops, 800e9, 1);
    cr_expect_float_eq(device_memory(one)->bandwidth, 20e9, 1, "what one core draws");
    cr_expect_float_eq(device_memory(two)->bandwidth, 30e9, 1, "what the memory has");
    cr_expect_float_eq(device_shared_cache(one)->bandwidth, 40e9, 1);
    cr_expect_float_eq(tier(one, "l2")->bandwidth, 60e9, 1, "a core's own stays");
    cr_expect_float_eq(device_memory(device)->bandwidth, 30e9, 1, "the device itself stays");
    cr_expect_float_eq(all->vector[FORMAT_FP32].flops, device->vector[FORMAT_FP32].flops, 1);
}

/* ---- fits ---- */

static const struct software *find_software(void *context, const char *name)
{
    struct measured_fixture *fixture = context;
    return catalogue_software(&fixture->catalogue, &fixture->diag, name, NULL);
}

/* Reads rows as of the shipped description of the executor. */
static void add_rows(const char *csv)
{
    struct csv_table *table = ARENA_NEW(f.arena, struct csv_table);
    cr_assert(csv_parse(table, f.arena, &f.diag, "test.csv", arena_strdup(f.arena, csv)) &&
                  samples_add(&f.set, &f.diag, table, find_software, &f),
              "%s", diag_first_error(&f.diag));
}

/* Rows of a schema with times of a microsecond. */
static const char *rows_of(enum family family)
{
    struct text csv = {0};
    if (family == FAMILY_GEMM) {
        text_add(&csv, "device,source,dtype,weight_dtype,m,n,k,weight_sets,time_us\n");
        for (int m = 1; m <= 256; m *= 2)
            for (int n = 1024; n <= 16384; n *= 4)
                for (int k = 1024; k <= 4096; k *= 4)
                    text_printf(&csv, "13900k,rafter-exec,fp32,q4_k,%d,%d,%d,200,1\n", m, n, k);
    } else {
        text_add(&csv,
                 "device,source,operator,dtype,rows,read,written,flops,exponentials,in_place,time_us\n");
        for (int rows = 1; rows <= 4096; rows *= 4)
            for (int width = 512; width <= 8192; width *= 4) {
                text_printf(&csv, "13900k,rafter-exec,norm,fp32,%d,%d,%d,%d,0,0,1\n", rows, width, width,
                            7 * width);
                text_printf(&csv, "13900k,rafter-exec,activation,fp32,%d,%d,%d,%d,%d,%d,1\n", rows, 2 * width,
                            width, 5 * width, width, width);
            }
    }
    const char *kept = arena_strdup(f.arena, csv.data);
    text_free(&csv);
    return kept;
}

/* Scalars that the model itself timed rows with come back. */
static void recovers(enum family family, const int *felt, const double *values, size_t count,
                     double tolerance)
{
    add_rows(rows_of(family));
    cr_assert_eq(f.set.block_count, 1);
    struct calibration known = {.software = "rafter-exec",
                                .family = (int)family,
                                .format = (int)f.set.blocks[0].format,
                                .operand = (int)f.set.blocks[0].operand,
                                .provenance = PROVENANCE_FITTED};
    for (int i = 0; i < families[family].count; i++) {
        known.given[i] = true;
        known.values[i] = families[family].scalars[i].start;
    }
    for (size_t i = 0; i < count; i++)
        known.values[felt[i]] = values[i];
    measured_time(&f, &known, 0);
    struct sample_filter all = {0};
    struct calibrated calibrated;
    cr_assert(calibrate(&f.set, f.device, &all, "2026-11-21", f.arena, &f.diag, NULL, NULL, &calibrated),
              "%s", diag_first_error(&f.diag));
    cr_assert_eq(calibrated.fitted, 1, "%s", calibrated.blocks[0].refused);
    cr_expect_lt(calibrated.blocks[0].after.mean_absolute, tolerance);
    for (size_t i = 0; i < count; i++) {
        double found = calibrated.blocks[0].calibration.values[felt[i]];
        cr_expect(fabs(log(found / values[i])) < 5 * tolerance, "%s: %g for %g",
                  families[family].scalars[felt[i]].name, found, values[i]);
    }
}

Test(measure, scalars_of_products_come_back)
{
    recovers(FAMILY_GEMM, (const int[]){GEMM_T0, GEMM_BETA, GEMM_EPS}, (const double[]){9e-6, 0.7, 0.6}, 3,
             0.02);
}

Test(measure, scalars_of_small_operators_come_back)
{
    recovers(FAMILY_ELEMENTWISE, (const int[]){ELEMENTWISE_T0, ELEMENTWISE_BETA, ELEMENTWISE_EPS},
             (const double[]){3e-6, 0.6, 0.3}, 3, 0.02);
}

Test(measure, integer_weights_are_multiplied_as_integers)
{
    add_rows(rows_of(FAMILY_GEMM));
    cr_expect_eq(f.set.blocks[0].format, FORMAT_INT8);
    cr_expect_eq(f.set.blocks[0].operand, OPERAND_INT4_K);
    cr_expect_str_eq(f.set.blocks[0].dtype, "fp32/q4_k");
}
