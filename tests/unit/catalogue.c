#include "spec/catalogue.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;
static struct catalogue catalogue;
static char first[64], second[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void make_root(char root[64])
{
    strcpy(root, "/tmp/rafter-catalogue-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    for (int kind = 0; kind < CATALOGUE_KIND_COUNT; kind++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", root, catalogue_kind_name((enum catalogue_kind)kind));
        cr_assert_eq(mkdir(path, 0700), 0);
    }
}

static void write_file(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* Two roots of our own before the program's. */
static void set_up(void)
{
    make_root(first);
    make_root(second);
    char path[256];
    snprintf(path, sizeof path, "%s:%s:/no/such/folder", first, second);
    setenv("RAFTER_PATH", path, 1);
    setenv("XDG_CONFIG_HOME", "/no/such/folder", 1);
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    catalogue_open(&catalogue, arena);
    catalogue.roots.count = 2; /* keep the checkout's own files out of the test */
}

static void tear_down(void)
{
    arena_free(arena);
    nftw(first, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    nftw(second, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(catalogue, .init = set_up, .fini = tear_down);

#define DEVICE(name)                                                                                         \
    "name: " name "\nclass: gpu\nunits: {kind: SM, count: 10}\nvector: {fp32: 1 TFLOP/s}\n"                  \
    "tiers:\n  - {name: l2, cache: true, capacity: 1 MiB, bandwidth: 4 TB/s}\n"                              \
    "  - {name: hbm, capacity: 8 GiB, bandwidth: 1 TB/s}\n"

static const char *first_error(void)
{
    return diag_first_error(&diag);
}

static void expect_no_device(const char *name, const char *part)
{
    diag = (struct diag){.arena = arena};
    cr_assert_null(catalogue_device(&catalogue, &diag, name, NULL), "%s was found", name);
    cr_assert(strstr(first_error(), part) != NULL, "\"%s\" does not say \"%s\"", first_error(), part);
}

static const struct device *device_named(const char *name)
{
    diag = (struct diag){.arena = arena};
    const struct device *device = catalogue_device(&catalogue, &diag, name, NULL);
    cr_assert_not_null(device, "%s: %s", name, first_error());
    return device;
}

Test(catalogue, missing_folders_are_left_out)
{
    struct catalogue fresh;
    catalogue_open(&fresh, arena);
    for (size_t i = 0; i < fresh.roots.count; i++)
        cr_assert_str_neq(fresh.roots.items[i], "/no/such/folder");
    cr_assert_str_eq(fresh.roots.items[0], first);
    cr_assert_str_eq(fresh.roots.items[1], second);
}

Test(catalogue, a_listing_shows_heads_sorted)
{
    write_file(first, "hardware/b.yaml",
               "name: 'Second # one'  # note\naliases: [b1, \"b 2\", # more\n  b3]\n");
    write_file(first, "hardware/a.yaml",
               "abstract: true\naliases:\n  # a note\n  - a1\n  - 'a 2'\nyear: 2020\n");
    write_file(first, "hardware/c.yaml", "name: C\naliases: just-one\nmembers: []\n");
    write_file(first, "hardware/.hidden.yaml", "name: H\n");
    write_file(first, "hardware/notes.txt", "name: N\n");
    write_file(second, "hardware/a.yaml", "name: later root\n");
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_HARDWARE, &entries, &count), "%s", first_error());
    cr_assert_eq(count, 3);
    cr_assert_str_eq(entries[0].id, "a");
    cr_assert_str_eq(entries[0].name, "a", "no name: the id");
    cr_assert(entries[0].abstract);
    cr_assert_eq(entries[0].aliases.count, 2);
    cr_assert_str_eq(entries[0].aliases.items[1], "a 2");
    cr_assert_str_eq(entries[1].name, "Second # one");
    cr_assert_eq(entries[1].aliases.count, 3);
    cr_assert_str_eq(entries[1].aliases.items[1], "b 2");
    cr_assert_str_eq(entries[1].aliases.items[2], "b3");
    cr_assert(entries[2].is_system && !entries[1].is_system);
    cr_assert_str_eq(entries[2].aliases.items[0], "just-one");
}

Test(catalogue, broken_heads_do_no_harm)
{
    write_file(first, "hardware/a.yaml", "name: [\naliases: [a, [b, {c\nname");
    write_file(first, "hardware/b.yaml", "name: \"open\naliases:\n-\n- \n-x");
    write_file(first, "hardware/c.yaml", "");
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_HARDWARE, &entries, &count));
    cr_assert_eq(count, 3);
}

Test(catalogue, what_is_no_file_is_warned_of_and_left_out)
{
    char path[256];
    snprintf(path, sizeof path, "%s/hardware/fifo.yaml", first);
    cr_assert_eq(mkfifo(path, 0600), 0);
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_HARDWARE, &entries, &count));
    cr_assert_eq(diag.warnings, 1);
    cr_assert(strstr(diag.first->where.file, "fifo.yaml") != NULL, "%s", diag.first->where.file);
    cr_assert_eq(count, 1);
}

Test(catalogue, a_listed_name_cannot_speak_to_the_terminal)
{
    write_file(first, "hardware/a.yaml", "name: \x1b[31mred\xff\naliases: [\"x\ay\"]\n");
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_HARDWARE, &entries, &count));
    cr_assert_eq(count, 1);
    cr_assert_str_eq(entries[0].name, "?[31mred?");
    cr_assert_str_eq(entries[0].aliases.items[0], "x?y");
}

Test(catalogue, names_are_found_as_people_write_them)
{
    write_file(first, "hardware/h100-sxm.yaml", DEVICE("NVIDIA H100") "aliases: [h100, hopper]\n");
    const char *const names[] = {"h100-sxm", "H100_SXM", "h100", "HOPPER", "nvidia h100", "NVIDIA_H100"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_assert_str_eq(device_named(names[i])->id, "h100-sxm", "%s", names[i]);
}

Test(catalogue, an_id_beats_an_alias_and_the_first_root_wins)
{
    write_file(first, "hardware/a.yaml", DEVICE("A") "aliases: [b]\n");
    write_file(first, "hardware/b.yaml", DEVICE("first b"));
    write_file(second, "hardware/b.yaml", DEVICE("second b"));
    cr_assert_str_eq(device_named("b")->name, "first b");
}

Test(catalogue, an_ambiguous_alias_is_refused_with_the_candidates)
{
    write_file(first, "hardware/a100-40gb.yaml", DEVICE("A") "aliases: [a100]\n");
    write_file(first, "hardware/a100-80gb.yaml", DEVICE("B") "aliases: [A100]\n");
    expect_no_device("a100", "a100-40gb or a100-80gb");
}

Test(catalogue, an_unknown_name_brings_the_nearest)
{
    write_file(first, "hardware/h100-sxm.yaml", DEVICE("A"));
    write_file(first, "hardware/h200-sxm.yaml", DEVICE("B"));
    write_file(first, "hardware/h100-base.yaml", "abstract: true\n");
    expect_no_device("h10-sxm", "did you mean h100-sxm");
    expect_no_device("completely-different", "rafter list hardware");
    expect_no_device("", "empty name");
}

Test(catalogue, a_name_cannot_leave_its_folder)
{
    write_file(first, "secret.yaml", DEVICE("secret"));
    expect_no_device("../secret", "unknown");
    expect_no_device("..", "unknown");
    expect_no_device(".", "unknown");
}

Test(catalogue, a_path_is_a_file)
{
    char path[256];
    write_file(first, "mine.yaml", DEVICE("Mine"));
    snprintf(path, sizeof path, "%s/mine.yaml", first);
    const struct device *device = device_named(path);
    cr_assert_str_eq(device->id, "mine");
    snprintf(path, sizeof path, "%s/none.yaml", first);
    expect_no_device(path, "none.yaml");
    expect_no_device(first, "unknown");
}

Test(catalogue, extends_merges_maps_and_replaces_lists)
{
    write_file(first, "hardware/base.yaml",
               "abstract: true\nname: Base\naliases: [base-alias]\n"
               "class: gpu\nunits: {kind: SM, count: 10, clock: 1 GHz}\n"
               "vector: {fp32: 1 TFLOP/s, fp16: 2 TFLOP/s}\nlaunch_floor: 2 us\n"
               "tiers: [{name: x, capacity: 1 GiB, bandwidth: 1 GB/s}]\n");
    write_file(first, "hardware/child.yaml",
               "name: Child\nextends: base\nunits: {count: 20}\nvector: {fp16: null}\n"
               "tiers: [{name: hbm, capacity: 8 GiB, bandwidth: 1 TB/s}]\n");
    const struct device *device = device_named("child");
    cr_assert_str_eq(device->name, "Child");
    cr_assert_str_eq(device->extends, "base");
    cr_assert_eq(device->units.count, 20);
    cr_assert_float_eq(device->units.clock, 1e9, 1);
    cr_assert_eq(device->vector[FORMAT_FP16].flops, 0);
    cr_assert_float_eq(device->vector[FORMAT_FP32].flops, 1e12, 1);
    cr_assert_eq(device->tier_count, 1);
    cr_assert_str_eq(device->tiers[0].name, "hbm");
    cr_assert_eq(device->aliases.count, 0, "aliases are not inherited");
    expect_no_device("base", "abstract");
}

Test(catalogue, a_name_is_not_inherited)
{
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    write_file(first, "hardware/b.yaml", "extends: a\n");
    expect_no_device("b", "name");
}

static const struct calibration *block(const struct device *device, int family, int format)
{
    for (size_t i = 0; i < device->calibration_count; i++)
        if (device->calibrations[i].family == family && device->calibrations[i].format == format)
            return &device->calibrations[i];
    return NULL;
}

Test(catalogue, calibrations_of_parent_and_child_are_both_seen)
{
    write_file(first, "hardware/family.yaml",
               "abstract: true\ncalibration:\n"
               "  - {family: gemm, values: {beta: 0.5}}\n"
               "  - {family: elementwise, provenance: family-default, values: {beta: 0.6}}\n");
    write_file(first, "hardware/parent.yaml",
               "extends: family\n" DEVICE(
                   "P") "calibration:\n"
                        "  - {family: gemm, provenance: fitted, values: {beta: 0.7}}\n"
                        "  - {family: gemm, format: bf16, provenance: fitted, values: {beta: 0.8}}\n");
    write_file(first, "hardware/child.yaml",
               "extends: parent\nname: C\ncalibration:\n"
               "  - {family: gemm, format: bf16, provenance: fitted, values: {beta: 0.9}}\n");
    const struct device *parent = device_named("parent");
    cr_assert_eq(parent->calibration_count, 3);
    cr_assert_eq(block(parent, FAMILY_GEMM, FORMAT_NONE)->provenance, PROVENANCE_FITTED);
    cr_assert_float_eq(block(parent, FAMILY_GEMM, FORMAT_NONE)->values[GEMM_BETA], 0.7, 1e-12);
    const struct device *child = device_named("child");
    cr_assert_eq(child->calibration_count, 3);
    cr_assert_eq(block(child, FAMILY_GEMM, FORMAT_BF16)->provenance, PROVENANCE_FITTED);
    cr_assert_float_eq(block(child, FAMILY_GEMM, FORMAT_BF16)->values[GEMM_BETA], 0.9, 1e-12);
    cr_assert_eq(block(child, FAMILY_GEMM, FORMAT_NONE)->provenance, PROVENANCE_INHERITED);
    cr_assert_float_eq(block(child, FAMILY_GEMM, FORMAT_NONE)->values[GEMM_BETA], 0.7, 1e-12);
    cr_assert_eq(block(child, FAMILY_ELEMENTWISE, FORMAT_NONE)->provenance, PROVENANCE_FAMILY_DEFAULT);
}

Test(catalogue, extends_may_not_go_round_or_too_deep)
{
    write_file(first, "hardware/a.yaml", "name: A\nextends: b\n");
    write_file(first, "hardware/b.yaml", "name: B\nextends: a\n");
    write_file(first, "hardware/self.yaml", "name: S\nextends: self\n");
    write_file(first, "hardware/lost.yaml", "name: L\nextends: selff\n");
    expect_no_device("a", "leads back");
    expect_no_device("self", "leads back");
    expect_no_device("lost", "lost.yaml:2:10");
    for (int i = 0; i < 12; i++) {
        char name[64], text[64];
        snprintf(name, sizeof name, "hardware/deep%d.yaml", i);
        snprintf(text, sizeof text, "name: D\nextends: deep%d\n", i + 1);
        write_file(first, name, text);
    }
    expect_no_device("deep0", "8 deep");
}

Test(catalogue, a_relative_parent_lies_beside_its_child)
{
    char path[256];
    write_file(first, "base.yaml", "abstract: true\n" DEVICE("Base"));
    write_file(first, "mine.yaml", "name: Mine\nextends: ./base.yaml\n");
    snprintf(path, sizeof path, "%s/mine.yaml", first);
    cr_assert_eq(device_named(path)->units.count, 10);
}

Test(catalogue, a_circle_of_relative_parents_is_seen_at_once)
{
    char path[256];
    write_file(first, "one.yaml", "name: One\nextends: two.yaml\n");
    write_file(first, "two.yaml", "name: Two\nextends: ././one.yaml\n");
    snprintf(path, sizeof path, "%s/one.yaml", first);
    expect_no_device(path, "two.yaml:2:10: error: extends: \"././one.yaml\" leads back");
}

static const struct device *with(const char *name, const char *setting)
{
    struct string_list settings = {&setting, 1};
    diag = (struct diag){.arena = arena};
    return catalogue_device(&catalogue, &diag, name, &settings);
}

Test(catalogue, settings_lie_over_a_description)
{
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    const struct device *device = with("a", "power.tdp=500 W");
    cr_assert_not_null(device, "%s", first_error());
    cr_assert_eq(device->power.tdp, 500);
    device = with("a", "tiers.hbm.bandwidth=4 TB/s");
    cr_assert_not_null(device, "%s", first_error());
    cr_assert_float_eq(device->tiers[1].bandwidth, 4e12, 1);
    device = with("a", "tiers.1.bandwidth=5 TB/s");
    cr_assert_not_null(device, "%s", first_error());
    cr_assert_float_eq(device->tiers[1].bandwidth, 5e12, 1);
}

Test(catalogue, wrong_settings_are_refused_and_say_which)
{
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    const char *const cases[][2] = {
        {"power.tpd=500 W", "tdp"},
        {"power.tdp", "key=value"},
        {"=3", "key=value"},
        {"tiers.9.bandwidth=1 TB/s", "9"},
        {"tiers.hmb.bandwidth=1 TB/s", "hmb"},
        {"units.count=many", "--set"},
        {"name.x=3", "name"},
        {"tiers.99999999999999999999.name=a", "9999"},
        {"extends=b", "extends cannot be set"},
        {"name=\x1b[31mred", "control"},
        {"name=\xff", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_null(with("a", cases[i][0]), "%s was taken", cases[i][0]);
        cr_assert(strstr(first_error(), cases[i][1]) != NULL, "%s: %s", cases[i][0], first_error());
    }
}

Test(catalogue, a_device_makes_a_system)
{
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    const struct system *system = catalogue_system(&catalogue, &diag, "a", 8, NULL);
    cr_assert_not_null(system, "%s", first_error());
    cr_assert_eq(system->members[0].count, 8);
    cr_assert_str_eq(system->members[0].device->id, "a");
    cr_assert_eq(catalogue_system(&catalogue, &diag, "a", 0, NULL)->members[0].count, 1);
    cr_assert_null(catalogue_system(&catalogue, &diag, "a", -1, NULL));
}

static void write_system(void)
{
    write_file(first, "hardware/a.yaml", DEVICE("A"));
    write_file(first, "hardware/h.yaml", DEVICE("H"));
    write_file(first, "hardware/box.yaml",
               "name: Box\nmembers:\n  - {role: gpu, device: a, count: 8}\n"
               "  - {role: host, device: h}\nextra_power: 800 W\nusd_per_hour: 16 USD/h\n");
}

Test(catalogue, a_system_loads_its_members)
{
    write_system();
    const struct system *system = catalogue_system(&catalogue, &diag, "box", 0, NULL);
    cr_assert_not_null(system, "%s", first_error());
    cr_assert_eq(system->members[0].count, 8);
    cr_assert_str_eq(system->members[1].device->id, "h");
    expect_no_device("box", "is a system");
}

Test(catalogue, half_a_system_costs_half)
{
    write_system();
    const struct system *system = catalogue_system(&catalogue, &diag, "box", 4, NULL);
    cr_assert_not_null(system, "%s", first_error());
    cr_assert_eq(system->members[0].count, 4);
    cr_assert_float_eq(system->extra_power, 400, 1e-9);
    cr_assert_float_eq(system->usd_per_hour, 8, 1e-9);
}

Test(catalogue, settings_reach_the_system_or_a_member)
{
    write_system();
    const char *items[] = {"extra_power=1 kW", "units.count=5", "host.units.count=6",
                           "tiers.hbm.bandwidth=9 TB/s"};
    struct string_list settings = {items, 4};
    const struct system *system = catalogue_system(&catalogue, &diag, "box", 0, &settings);
    cr_assert_not_null(system, "%s", first_error());
    cr_assert_float_eq(system->extra_power, 1000, 1e-9);
    cr_assert_eq(system->members[0].device->units.count, 5);
    cr_assert_eq(system->members[1].device->units.count, 6);
    cr_assert_float_eq(device_memory(system->members[0].device)->bandwidth, 9e12, 1);
    cr_assert_float_eq(device_memory(system->members[1].device)->bandwidth, 1e12, 1);
}

Test(catalogue, a_system_of_systems_is_refused)
{
    write_system();
    write_file(first, "hardware/rack.yaml", "name: R\nmembers: [{role: box, device: box}]\n");
    cr_assert_null(catalogue_system(&catalogue, &diag, "rack", 0, NULL));
    cr_assert(strstr(first_error(), "box is a system") != NULL, "%s", first_error());
}

Test(catalogue, a_hugging_face_name_is_an_alias)
{
    write_file(first, "models/llama.yaml", "name: L\nhf_repo: meta-llama/Llama-3.1-8B\n");
    const char *path, *id;
    cr_assert_not_null(
        catalogue_tree(&catalogue, &diag, CATALOGUE_MODELS, "meta-llama/Llama-3.1-8B", &path, &id), "%s",
        first_error());
    cr_assert_str_eq(id, "llama");
}

Test(catalogue, every_kind_is_read)
{
    write_file(first, "software/s.yaml", "name: S\n");
    write_file(first, "workloads/w.yaml", "name: W\nprompt: 5\noutput: 6\n");
    write_file(first, "techniques/t.yaml", "name: T\nmechanisms: [{name: m}]\n");
    cr_assert_not_null(catalogue_software(&catalogue, &diag, "s", NULL), "%s", first_error());
    cr_assert_not_null(catalogue_workload(&catalogue, &diag, "w", NULL), "%s", first_error());
    cr_assert_not_null(catalogue_technique(&catalogue, &diag, "t"), "%s", first_error());
    cr_assert_null(catalogue_software(&catalogue, &diag, "w", NULL));
}
