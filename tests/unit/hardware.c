#include "spec/hardware.h"

#include <criterion/criterion.h>
#include <string.h>

#include "spec/source_notes.h"

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(hardware, .init = set_up, .fini = tear_down);

#define HEAD "name: A\nclass: gpu\nunits: {kind: SM, count: 108, clock: 1.41 GHz}\n"
#define RATE "matrix: {bf16: 312 TFLOP/s}\nvector: {fp32: 19.5 TFLOP/s}\n"
#define HBM  "  - {name: hbm, capacity: 80 GiB, usable: 79 GiB, bandwidth: 2.039 TB/s}\n"

static bool read_text(const char *text, struct device *device)
{
    struct reader reader = {arena, &diag};
    diag = (struct diag){.arena = arena};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return device_read(&reader, root, "test", device);
}

static bool read_system_text(const char *text, struct system *system)
{
    struct reader reader = {arena, &diag};
    diag = (struct diag){.arena = arena};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return system_read(&reader, root, "test", system);
}

static void expect_error(const char *text, const char *part)
{
    struct device device;
    cr_assert_not(read_text(text, &device), "taken: %s", text);
    cr_assert(strstr(diag_first_error(&diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&diag), part);
}

static void expect_system_error(const char *text, const char *part)
{
    struct system system;
    cr_assert_not(read_system_text(text, &system), "taken: %s", text);
    cr_assert(strstr(diag_first_error(&diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&diag), part);
}

Test(hardware, a_device_is_read_into_si)
{
    struct device device;
    const char *text = HEAD RATE
        "vendor: V\nyear: 2020\nfamily: f\naliases: [a, b]\n"
        "tiers:\n"
        "  - {name: l1, cache: true, per_unit: true, capacity: 192 KiB, bandwidth: 180 GB/s}\n"
        "  - {name: l2, cache: true, capacity: 40 MiB, bandwidth: 5 TB/s, latency: 200 ns}\n" HBM
        "  - {name: ssd, capacity: 1 TB, bandwidth: 7 GB/s, write_bandwidth: 5 GB/s, granularity: 4 KiB}\n"
        "links:\n"
        "  - {name: NVLink 3, kind: scale-up, bandwidth: 300 GB/s, latency: 2 us, peers: 7}\n"
        "  - {name: PCIe 4.0 x16, kind: host, topology: bus, bandwidth: 31.5 GB/s}\n"
        "launch_floor: 1.5 us\nlaunch_host: 4 us\npower: {tdp: 400 W, idle: 60 W}\n"
        "price: {usd_per_hour: 1.5 USD/h, cloud: [{usd_per_hour: 2 USD/h, provider: P}]}\n"
        "calibration: [{family: gemm, values: {beta: 0.9}}]\n"
        "sources: {matrix: [data sheet], power: data sheet, power.idle: unverified, price: unverified}\n";
    cr_assert(read_text(text, &device), "%s", diag_first_error(&diag));
    cr_assert_str_eq(device.id, "test");
    cr_assert_eq(device.units.count, 108);
    cr_assert_float_eq(device.matrix[FORMAT_BF16].flops, 312e12, 1);
    cr_assert_eq(device.matrix[FORMAT_BF16].format, FORMAT_BF16);
    cr_assert_eq(device.matrix[FORMAT_FP8].flops, 0);
    cr_assert_eq(device.tier_count, 4);
    cr_assert_str_eq(device_memory(&device)->name, "hbm");
    cr_assert_str_eq(device_shared_cache(&device)->name, "l2");
    cr_assert_float_eq(tier_usable(device_memory(&device)), 79.0 * 1073741824, 1);
    cr_assert_float_eq(tier_usable(&device.tiers[3]), 1e12, 1);
    cr_assert_eq(device_link(&device, LINK_SCALE_UP)->topology, TOPOLOGY_SWITCH);
    cr_assert_float_eq(device_link(&device, LINK_HOST)->bandwidth, 31.5e9, 1);
    cr_assert_null(device_link(&device, LINK_NETWORK));
    cr_assert_float_eq(device.launch_floor, 1.5e-6, 1e-12);
    cr_assert_eq(device.matrix_depth_bytes, 32);
    cr_assert_eq(device.calibration_count, 1);
    cr_assert_eq(device.price.cloud.count, 1);
    cr_assert_eq(device.unverified, 2);
}

Test(hardware, the_longest_prefix_names_the_source)
{
    struct device device;
    cr_assert(
        read_text(HEAD RATE "tiers:\n" HBM "sources: {power: [a, b], power.idle: c, pow: d}\n", &device));
    const struct source_note *notes = device.sources;
    cr_assert_str_eq(figure_sources(notes, device.source_count, "power.idle")->items[0], "c");
    cr_assert_str_eq(figure_sources(notes, device.source_count, "power.idle.x")->items[0], "c");
    cr_assert_eq(figure_sources(notes, device.source_count, "power.tdp")->count, 2);
    cr_assert_str_eq(figure_sources(notes, device.source_count, "pow")->items[0], "d");
    cr_assert_null(figure_sources(notes, device.source_count, "powers"));
    cr_assert_null(figure_sources(notes, device.source_count, ""));
}

Test(hardware, impossible_devices_are_refused)
{
    expect_error(HEAD RATE, "tiers");
    expect_error(HEAD RATE "tiers: [{name: l2, cache: true, capacity: 1 MiB, bandwidth: 1 TB/s}]\n",
                 "no memory");
    expect_error(HEAD RATE "tiers:\n" HBM "  - {name: l2, cache: true, capacity: 1 MiB, bandwidth: 1 TB/s}\n",
                 "after a memory");
    expect_error(HEAD RATE "tiers:\n" HBM HBM, "second tier");
    expect_error(HEAD RATE "tiers: [{name: hbm, capacity: 1 GiB, usable: 2 GiB, bandwidth: 1 TB/s}]\n",
                 "usable");
    expect_error(HEAD "tiers:\n" HBM, "rate");
    expect_error(HEAD "matrix: {bf61: 1 TFLOP/s}\ntiers:\n" HBM, "bf16");
    expect_error(HEAD "matrix: {bf16: 312}\ntiers:\n" HBM, "bf16");
    expect_error(HEAD "matrix: {bf16: -1 TFLOP/s}\ntiers:\n" HBM, "bf16");
    expect_error(HEAD "matrix: 3\ntiers:\n" HBM, "rates");
    expect_error(HEAD RATE "power: {tdp: 10 W, idle: 20 W}\ntiers:\n" HBM, "idle");
    expect_error(HEAD RATE "tires: 3\ntiers:\n" HBM, "tiers");
    expect_error(HEAD RATE "sources: [a]\ntiers:\n" HBM, "sources");
    expect_error(HEAD RATE "sources: {power: []}\ntiers:\n" HBM, "sources");
}

Test(hardware, a_drive_needs_no_rate)
{
    struct device device;
    cr_assert(read_text("name: S\nclass: ssd\nunits: {kind: drive, count: 1}\n"
                        "tiers: [{name: ssd, capacity: 2 TB, bandwidth: 7 GB/s}]\n",
                        &device),
              "%s", diag_first_error(&diag));
    cr_assert_null(device_shared_cache(&device));
}

Test(hardware, a_system_is_members_and_links)
{
    struct system system;
    cr_assert(read_system_text(
                  "name: S\nmembers:\n  - {role: gpu, device: a, count: 8}\n  - {role: host, device: b}\n"
                  "links:\n  - {between: [gpu, host], name: PCIe, kind: host, bandwidth: 31.5 GB/s}\n"
                  "  - {between: gpu, name: NVLink, kind: scale-up, bandwidth: 300 GB/s}\n"
                  "extra_power: 2 kW\n",
                  &system),
              "%s", diag_first_error(&diag));
    cr_assert_eq(system.member_count, 2);
    cr_assert_eq(system.members[0].count, 8);
    cr_assert_eq(system.members[1].count, 1);
    cr_assert_eq(system.links[0].between.count, 2);
    cr_assert_eq(system.links[1].between.count, 1);
    cr_assert_float_eq(system.links[1].link.bandwidth, 300e9, 1);
    cr_assert_float_eq(system.extra_power, 2000, 1e-9);
}

Test(hardware, impossible_systems_are_refused)
{
    expect_system_error("name: S\n", "members");
    expect_system_error("name: S\nmembers: []\n", "members");
    expect_system_error("name: S\nmembers: [{role: gpu, device: a, count: 0}]\n", "count");
    expect_system_error("name: S\nmembers: [{role: gpu, device: a}, {role: gpu, device: b}]\n", "role");
    expect_system_error("name: S\nmembers: [{role: gpu, device: a}]\n"
                        "links: [{between: [cpu], name: L, kind: host, bandwidth: 1 GB/s}]\n",
                        "cpu");
    expect_system_error("name: S\nmembers: [{role: gpu, device: a}]\n"
                        "links: [{between: [gpu, gpu, gpu], name: L, kind: host, bandwidth: 1 GB/s}]\n",
                        "between");
}
