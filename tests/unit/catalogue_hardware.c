/* The shipped hardware as a catalogue: every file loads, names lead to one file each, figures are within what
 * physics and markets allow and say where they come from, and unverified ones do not become more. */
#include "spec/catalogue.h"
#include "support/shipped.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "spec/source_notes.h"

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;
static struct catalogue_entry *entries;
static size_t count;

static void set_up(void)
{
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    setenv("XDG_CONFIG_HOME", "/no/such/folder", 1);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    catalogue_open(&catalogue, arena);
    catalogue.roots.count = 1;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_HARDWARE, &entries, &count), "%s",
              diag_first_error(&diag));
    count = keep_shipped(entries, count);
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(catalogue_hardware, .init = set_up, .fini = tear_down);

/* Figure groups, systems' included and inherited ones counted wherever they reach, that nothing better than
 * memory or a guess supports. May fall, must not grow without a reason: 33 of them are the depths of GEMM
 * pipelines on parts of generations that nothing was measured on. */
enum { UNVERIFIED_MOST = 1153, DEVICES_LEAST = 100, SYSTEMS_LEAST = 15 };

static const struct device *device_of(const struct catalogue_entry *entry)
{
    const struct device *device = catalogue_device(&catalogue, &diag, entry->id, NULL);
    cr_assert_not_null(device, "%s", diag_first_error(&diag));
    return device;
}

static const struct system *system_of(const struct catalogue_entry *entry)
{
    const struct system *system = catalogue_system(&catalogue, &diag, entry->id, 0, NULL);
    cr_assert_not_null(system, "%s", diag_first_error(&diag));
    return system;
}

static void each_device(void (*check)(const struct device *device))
{
    for (size_t i = 0; i < count; i++)
        if (!entries[i].abstract && !entries[i].is_system)
            check(device_of(&entries[i]));
}

static void each_system(void (*check)(const struct system *system))
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].is_system)
            check(system_of(&entries[i]));
}

Test(catalogue_hardware, every_file_loads_and_there_are_enough)
{
    size_t devices = 0, systems = 0;
    int unverified = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].is_system) {
            const struct system *system = system_of(&entries[i]);
            unverified += source_notes_unverified(system->sources, system->source_count);
            systems++;
        } else if (!entries[i].abstract) {
            unverified += device_of(&entries[i])->unverified;
            devices++;
        }
    }
    cr_expect_geq(devices, (size_t)DEVICES_LEAST, "only %zu devices", devices);
    cr_expect_geq(systems, (size_t)SYSTEMS_LEAST, "only %zu systems", systems);
    cr_expect_leq(
        unverified, UNVERIFIED_MOST,
        "%d groups of figures are unverified, %d were: find a source, or raise the number and say why",
        unverified, UNVERIFIED_MOST);
}

static bool has_name(const struct catalogue_entry *entry, const char *name)
{
    if (strcasecmp(entry->id, name) == 0)
        return true;
    for (size_t i = 0; i < entry->aliases.count; i++)
        if (strcasecmp(entry->aliases.items[i], name) == 0)
            return true;
    return false;
}

/* What people call two things: rafter asks which. */
static const char *const ambiguous[] = {"a100"};

static bool may_be_ambiguous(const char *name)
{
    for (size_t i = 0; i < sizeof ambiguous / sizeof *ambiguous; i++)
        if (strcasecmp(ambiguous[i], name) == 0)
            return true;
    return false;
}

Test(catalogue_hardware, a_name_means_one_thing)
{
    for (size_t i = 0; i < count; i++)
        for (size_t alias = 0; alias < entries[i].aliases.count; alias++) {
            const char *name = entries[i].aliases.items[alias];
            for (size_t j = 0; j < count; j++)
                cr_expect(i == j || may_be_ambiguous(name) || !has_name(&entries[j], name), "%s: %s or %s?",
                          name, entries[i].id, entries[j].id);
        }
}

/* Devices that the project's collection of hardware facts holds, with the file that describes each. Left out
 * there: network adapters (connectx-7-400g, connectx-8-800g, infiniband-hdr-200g), which are links of systems
 * here, and dovetail-cpu, of which nothing but a bandwidth is known. */
static const struct {
    const char *name;
    const char *id;
} facts[] = {
    {"v100-sxm2-16gb", "v100-sxm2-16gb"},
    {"v100-sxm2-32gb", "v100-sxm2-32gb"},
    {"v100-pcie", "v100-pcie"},
    {"v100s-pcie-32gb", "v100s-pcie-32gb"},
    {"t4", "t4"},
    {"p40", "p40"},
    {"quadro-rtx-8000", "quadro-rtx-8000"},
    {"rtx-2080-ti", "rtx-2080-ti"},
    {"a10", "a10"},
    {"a30", "a30"},
    {"a40", "a40"},
    {"a100-sxm4-40gb", "a100-40gb-sxm"},
    {"a100-sxm4-80gb", "a100-80gb-sxm"},
    {"a100-pcie-40gb", "a100-40gb-pcie"},
    {"a100-pcie-80gb", "a100-80gb-pcie"},
    {"a800-sxm4-80gb", "a800-80gb-sxm"},
    {"rtx-a6000", "rtx-a6000"},
    {"rtx-a5000", "rtx-a5000"},
    {"rtx-3060-12gb", "rtx-3060-12gb"},
    {"rtx-3090", "rtx-3090"},
    {"rtx-6000-ada", "rtx-6000-ada"},
    {"l4", "l4"},
    {"l40", "l40"},
    {"l40s", "l40s"},
    {"rtx-4060", "rtx-4060"},
    {"rtx-4090", "rtx-4090"},
    {"h100-pcie-80gb", "h100-pcie"},
    {"h100-sxm5-80gb", "h100-sxm"},
    {"h100-nvl-94gb", "h100-nvl"},
    {"h800-sxm5-80gb", "h800-sxm"},
    {"h200-sxm5-141gb", "h200-sxm"},
    {"h20-96gb", "h20"},
    {"gh200-96gb", "gh200"},
    {"gh200-144gb", "gh200-144gb"},
    {"b200-hgx", "b200"},
    {"gb200", "gb200"},
    {"b300-hgx", "b300"},
    {"gb300", "gb300"},
    {"rtx-5090", "rtx-5090"},
    {"rtx-pro-6000-blackwell-ws", "rtx-pro-6000-ws"},
    {"rtx-pro-6000-blackwell-se", "rtx-pro-6000-se"},
    {"jetson-tx2-8gb", "jetson-tx2"},
    {"jetson-agx-orin-64gb", "jetson-agx-orin-64gb"},
    {"jetson-agx-orin-32gb", "jetson-agx-orin-32gb"},
    {"jetson-orin-nx-8gb", "jetson-orin-nx-8gb"},
    {"jetson-orin-nano-8gb", "jetson-orin-nano-8gb"},
    {"jetson-agx-thor-t5000", "jetson-agx-thor"},
    {"mi210", "mi210"},
    {"mi250x", "mi250x"},
    {"mi300x", "mi300x"},
    {"mi325x", "mi325x"},
    {"mi355x", "mi355x"},
    {"gaudi2", "gaudi2"},
    {"gaudi3", "gaudi3"},
    {"arc-pro-b60", "arc-pro-b60"},
    {"tpu-v4", "tpu-v4"},
    {"tpu-v5e", "tpu-v5e"},
    {"tpu-v5p", "tpu-v5p"},
    {"tpu-v6e", "tpu-v6e"},
    {"ascend-910b", "ascend-910b"},
    {"m1-max", "m1-max"},
    {"m2-ultra", "m2-ultra"},
    {"m4-max", "m4-max"},
    {"altra-q80-30", "altra-q80-30"},
    {"altra-q64-30", "altra-q64-30"},
    {"grace", "grace"},
    {"xeon-platinum-8380", "xeon-platinum-8380"},
    {"xeon-platinum-8480plus", "xeon-platinum-8480plus"},
    {"xeon-platinum-8468v", "xeon-platinum-8468v"},
    {"xeon-gold-5320", "xeon-gold-5320"},
    {"xeon-gold-5220r", "xeon-gold-5220r"},
    {"epyc-7763", "epyc-7763"},
    {"epyc-7v13", "epyc-7v13"},
    {"epyc-7513", "epyc-7513"},
    {"epyc-7313", "epyc-7313"},
    {"epyc-9654", "epyc-9654"},
    {"epyc-9755", "epyc-9755"},
    {"epyc-9r14", "epyc-9r14"},
    {"core-i9-10900x", "core-i9-10900x"},
    {"core-i9-13900k", "core-i9-13900k"},
    {"ryzen-9-7950x", "ryzen-9-7950x"},
    {"raspberry-pi-5", "raspberry-pi-5"},
    {"raspberry-pi-4b", "raspberry-pi-4b"},
    {"snapdragon-855", "snapdragon-855"},
    {"snapdragon-865", "snapdragon-865"},
    {"snapdragon-888", "snapdragon-888"},
    {"snapdragon-8-gen-2", "snapdragon-8-gen-2"},
    {"snapdragon-8-gen-3", "snapdragon-8-gen-3"},
    {"dimensity-9000", "dimensity-9000"},
    {"rk3588", "rk3588"},
    {"alveo-u280", "alveo-u280"},
    {"versal-vhk158", "versal-vhk158"},
    {"kria-kv260", "kria-kv260"},
    {"zcu102", "zcu102"},
    {"vcu128", "vcu128"},
    {"cerebras-wse-2", "cerebras-wse-2"},
    {"cerebras-wse-3", "cerebras-wse-3"},
    {"samsung-980-pro-1tb", "samsung-980-pro-1tb"},
    {"samsung-pm9a3-3.84tb", "samsung-pm9a3-3.84tb"},
    {"samsung-pm1743-7.68tb", "samsung-pm1743-7.68tb"},
    {"ufs-4.0", "ufs-4.0"},
    {"samsung-smartssd-3.84tb", "samsung-smartssd-3.84tb"},
    {"instinfer-csd", "instinfer-csd"},
    {"samsung-860-evo", "samsung-860-evo"},
    {"apple-m1-max-ssd", "apple-m1-max-ssd"},
    {"hnlpu", "hnlpu"},
    {"neupims", "neupims"},
    {"sail-c-sram", "sail-c-sram"},
    {"a100-lut-8x", "a100-lut-8x"},
    {"h100-lut-8x", "h100-lut-8x"},
    {"tpi-llm-emulated-disk", "tpi-llm-edge"},
    {"alisa-host-link", "v100-host"},
};

Test(catalogue_hardware, what_papers_measured_on_is_found)
{
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const char *path, *id = "";
        const struct yaml_node *tree =
            catalogue_tree(&catalogue, &diag, CATALOGUE_HARDWARE, facts[i].name, &path, &id);
        cr_expect_not_null(tree, "%s", facts[i].name);
        cr_expect_str_eq(id, facts[i].id);
    }
}

static bool within(double value, double least, double most)
{
    return value >= least && value <= most;
}

/* The 16-bit rate that GEMMs run at, else the best of all. */
static double usual_rate(const struct device *device)
{
    static const enum number_format usual[] = {FORMAT_BF16, FORMAT_FP16};
    double best = 0;
    for (size_t i = 0; i < 2; i++) {
        double matrix = device->matrix[usual[i]].flops, vector = device->vector[usual[i]].flops;
        best = matrix > best ? matrix : best;
        best = vector > best ? vector : best;
    }
    for (int format = 0; best <= 0 && format < FORMAT_COUNT; format++)
        best = device->vector[format].flops;
    return best;
}

static void check_tiers(const struct device *device)
{
    const struct memory_tier *memory = device_memory(device), *cache = device_shared_cache(device);
    bool drive = device->class == CLASS_SSD;
    cr_expect(within(memory->bandwidth, drive ? 1e8 : 1e9, 50e15), "%s: %g byte/s", device->id,
              memory->bandwidth);
    cr_expect(within(memory->capacity, 1e8, 1e14), "%s: %g bytes", device->id, memory->capacity);
    cr_expect(cache == NULL || cache->bandwidth >= memory->bandwidth, "%s: cache slower than memory",
              device->id);
    for (size_t i = 0; i < device->tier_count; i++) {
        const struct memory_tier *tier = &device->tiers[i];
        cr_expect(tier->usable <= tier->capacity * 1.001, "%s: more usable than there is of %s", device->id,
                  tier->name);
        cr_expect(tier->cache || tier->bandwidth <= memory->bandwidth, "%s: %s is nearer than %s", device->id,
                  tier->name, memory->name);
        cr_expect(tier->energy <= 200e-12, "%s: %s takes %g J a byte", device->id, tier->name, tier->energy);
    }
    double ridge = usual_rate(device) / memory->bandwidth;
    cr_expect(drive || within(ridge, 0.1, 1000), "%s: ridge point at %g FLOP/byte", device->id, ridge);
}

Test(catalogue_hardware, memories_and_ridge_points_are_plausible)
{
    each_device(check_tiers);
}

static void check_rates(const struct device *device)
{
    const struct peak_rate *matrix = device->matrix, *vector = device->vector;
    cr_expect(usual_rate(device) > 0 || device->class == CLASS_SSD, "%s has no rate", device->id);
    cr_expect(matrix[FORMAT_FP8].flops <= 0 || matrix[FORMAT_FP8].flops >= matrix[FORMAT_BF16].flops,
              "%s: fp8 slower than bf16", device->id);
    cr_expect(vector[FORMAT_FP16].flops <= 0 || vector[FORMAT_FP16].flops >= vector[FORMAT_FP32].flops,
              "%s: fp16 lanes slower than fp32", device->id);
    for (int format = 0; format < FORMAT_COUNT; format++)
        cr_expect(matrix[format].flops < 50e15 && vector[format].flops < 50e15, "%s: too fast", device->id);
    cr_expect(within(device->year, 2014, 2026), "%s: of %d", device->id, device->year);
    cr_expect_not_null(device->vendor, "%s: who makes it?", device->id);
}

Test(catalogue_hardware, rates_are_plausible)
{
    each_device(check_rates);
}

static void check_money(const struct device *device)
{
    const struct power *power = &device->power;
    const struct price *price = &device->price;
    cr_expect(power->tdp <= 0 || within(power->tdp, 2, 25e3), "%s: %g W", device->id, power->tdp);
    cr_expect(power->tdp <= 0 || power->idle < 0.6 * power->tdp, "%s: idles at %g W", device->id,
              power->idle);
    cr_expect(price->launch_usd <= 0 || within(price->launch_usd, 50, 5e6), "%s: %g USD", device->id,
              price->launch_usd);
    cr_expect(price->usd_per_hour <= 0 || within(price->usd_per_hour, 0.02, 20), "%s: %g USD/h", device->id,
              price->usd_per_hour);
    for (size_t i = 0; i < price->cloud.count; i++) {
        const struct cloud_price *cloud = (const struct cloud_price *)price->cloud.items + i;
        cr_expect_not_null(cloud->source, "%s: where does %s ask %g USD/h?", device->id, cloud->provider,
                           cloud->usd_per_hour);
    }
}

Test(catalogue_hardware, power_and_prices_are_plausible)
{
    each_device(check_money);
}

static void expect_source(const struct device *device, const char *path)
{
    cr_expect_not_null(figure_sources(device->sources, device->source_count, path),
                       "%s: where does %s come from?", device->id, path);
}

static void expect_rate_sources(const struct device *device, const struct peak_rate *rates, const char *group)
{
    for (int format = 0; format < FORMAT_COUNT; format++)
        if (rates[format].flops > 0)
            expect_source(
                device, arena_printf(arena, "%s.%s", group, number_format_name((enum number_format)format)));
}

static void check_sources(const struct device *device)
{
    static const char *const kinds[] = {"scale-up", "network", "host"};
    if (device->class != CLASS_SSD)
        expect_source(device, "units.count");
    expect_rate_sources(device, device->matrix, "matrix");
    expect_rate_sources(device, device->vector, "vector");
    for (size_t i = 0; i < device->tier_count; i++)
        expect_source(device, arena_printf(arena, "tiers.%s.bandwidth", device->tiers[i].name));
    for (size_t i = 0; i < device->link_count; i++)
        expect_source(device, arena_printf(arena, "links.%s", kinds[device->links[i].kind]));
    if (device->power.tdp > 0)
        expect_source(device, "power.tdp");
    if (device->price.usd_per_hour > 0)
        expect_source(device, "price.usd_per_hour");
}

Test(catalogue_hardware, figures_say_where_they_come_from)
{
    each_device(check_sources);
}

/* Whoever computes has scalars for each family of operators, and none claims more than its provenance allows.
 */
static void check_calibration(const struct device *device)
{
    bool covered[FAMILY_COUNT] = {false};
    for (size_t i = 0; i < device->calibration_count; i++) {
        const struct calibration *block = &device->calibrations[i];
        covered[block->family] = true;
        bool measured = block->provenance == PROVENANCE_FITTED || block->provenance == PROVENANCE_INHERITED;
        cr_expect(block->residual >= (measured ? 0.02 : 0.1), "%s: residual of %g", device->id,
                  block->residual);
    }
    for (int family = 0; family < FAMILY_COUNT; family++)
        cr_expect(covered[family] || device->class == CLASS_SSD, "%s has no scalars for %s", device->id,
                  families[family].name);
}

Test(catalogue_hardware, scalars_cover_every_family)
{
    each_device(check_calibration);
}

static void check_system(const struct system *system)
{
    double tdp = 0;
    bool computes = usual_rate(system->members[0].device) > 0;
    cr_expect(computes && system->members[0].device->class != CLASS_SSD, "%s computes with a drive",
              system->id);
    for (size_t i = 0; i < system->member_count; i++)
        tdp += system->members[i].count * system->members[i].device->power.tdp;
    cr_expect(tdp <= 0 || system->extra_power <= 2 * tdp, "%s: %g W besides %g W", system->id,
              system->extra_power, tdp);
    cr_expect(system->link_count > 0, "%s has no links", system->id);
    for (size_t i = 0; i < system->link_count; i++)
        cr_expect(within(system->links[i].link.bandwidth, 1e7, 2e12), "%s: %s carries %g byte/s", system->id,
                  system->links[i].link.name, system->links[i].link.bandwidth);
}

Test(catalogue_hardware, systems_hold_together)
{
    each_system(check_system);
}
