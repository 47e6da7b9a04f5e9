#include "spec/schema.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "support/machine_schema.h"

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

TestSuite(schema, .init = set_up, .fini = tear_down, .timeout = 20);

static bool read_machine(const char *text, struct machine *machine)
{
    struct reader reader = {arena, &diag};
    const struct yaml_node *root = yaml_parse(arena, &diag, "m.yaml", text, strlen(text));
    memset(machine, 0, sizeof *machine);
    return root != NULL && schema_read(&reader, &machine_schema, root, "", machine);
}

#define MINIMUM "name: m1\nunits: 8\nmemory: {bandwidth: 2 TB/s}\n"

static struct machine read_good(const char *text)
{
    struct machine machine;
    cr_assert(read_machine(text, &machine), "%s", diag_first_error(&diag));
    return machine;
}

Test(schema, every_kind_of_field)
{
    struct machine m =
        read_good("name: m1\n"
                  "aliases: [one, two]\n"
                  "fused: no\n"
                  "units: 132\n"
                  "window: 4096\n"
                  "rate: 989.4 TFLOP/s\n"
                  "efficiency: 85%\n"
                  "topology: torus\n"
                  "type: fp8-block\n"
                  "memory: {name: hbm, capacity: 80 GiB, bandwidth: 3.35 TB/s, latency: 1 us}\n"
                  "power: {tdp: 700 W}\n"
                  "tuning: {reach: 0.5, depth: -1}\n"
                  "links:\n"
                  "  - {name: nvlink, bandwidth: 450 GB/s}\n"
                  "  - {name: pcie, bandwidth: 64 GB/s, latency: 0}\n"
                  "tiers:\n"
                  "  l2: {bandwidth: 5.5 TB/s, capacity: 50 MiB}\n"
                  "notes: {a: 1, b: 2}\n");
    cr_expect_str_eq(m.name, "m1");
    cr_assert_eq(m.aliases.count, 2);
    cr_expect_str_eq(m.aliases.items[1], "two");
    cr_expect_not(m.fused);
    cr_expect_eq(m.units, 132);
    cr_expect_eq(m.window, 4096);
    cr_expect_eq(m.rate, 989.4e12);
    cr_expect_eq(m.efficiency, 0.85);
    cr_expect_eq(m.topology, MACHINE_TORUS);
    cr_expect_str_eq(m.type.name, "fp8-block");
    cr_expect_eq(m.memory.capacity, 80.0 * 1073741824);
    cr_expect_eq(m.memory.latency, 1e-6);
    cr_assert_not_null(m.power);
    cr_expect_eq(m.power->tdp, 700);
    cr_expect_eq(m.power->idle, 60, "a default inside a map that is given");
    cr_expect_eq(m.tuning.depth, -1);
    cr_assert_eq(m.links.count, 2);
    const struct machine_memory *links = m.links.items;
    cr_expect_str_eq(links[1].name, "pcie");
    cr_expect_eq(links[0].latency, 500e-9);
    cr_expect_eq(links[1].latency, 0, "a given zero is not a default");
    cr_assert_eq(m.tiers.count, 1);
    const struct machine_memory *tiers = m.tiers.items;
    cr_expect_str_eq(tiers[0].name, "l2");
    cr_expect_eq(tiers[0].bandwidth, 5.5e12);
    cr_expect_eq(m.notes, 2);
}

Test(schema, what_is_left_out_takes_its_default)
{
    struct machine m = read_good(MINIMUM);
    cr_expect(m.fused);
    cr_expect_eq(m.window, 0);
    cr_expect_eq(m.efficiency, 1);
    cr_expect_eq(m.topology, MACHINE_RING);
    cr_expect_str_eq(m.type.name, "bf16");
    cr_expect_eq(m.memory.latency, 500e-9);
    cr_expect_null(m.power);
    cr_expect_eq(m.tuning.reach, 0.9, "a map that is left out has its keys' defaults");
    cr_expect_eq(m.aliases.count, 0);
    cr_expect_eq(m.links.count, 0);
    cr_expect_eq(diag.errors, 0);
}

Test(schema, null_is_the_same_as_left_out)
{
    struct machine m = read_good(MINIMUM "power: ~\nefficiency:\ntuning: null\nlinks: ~\n");
    cr_expect_null(m.power);
    cr_expect_eq(m.efficiency, 1);
    cr_expect_eq(m.tuning.reach, 0.9);
    cr_expect_not(read_machine("name: ~\nunits: 8\nmemory: {bandwidth: 2 TB/s}\n", &m));
    cr_expect_str_eq(diag_first_error(&diag),
                     "m.yaml:1:1: error: missing key \"name\" (as people write it), expected a text");
}

Test(schema, quoted_null_and_numbers_are_texts)
{
    cr_expect_str_eq(read_good("name: 'null'\nunits: 8\nmemory: {bandwidth: 2 TB/s}\n").name, "null");
    cr_expect_str_eq(read_good("name: 7\nunits: '8'\nmemory: {bandwidth: 2 TB/s}\n").name, "7");
}

Test(schema, one_scalar_is_a_list_of_one)
{
    struct machine m = read_good(MINIMUM "aliases: alone\n");
    cr_assert_eq(m.aliases.count, 1);
    cr_expect_str_eq(m.aliases.items[0], "alone");
}

Test(schema, structs_take_the_place_of_their_map)
{
    struct machine m = read_good(MINIMUM "links:\n  - bandwidth: 1 GB/s\n");
    cr_expect_eq(m.where.line, 1);
    cr_expect_eq(m.memory.where.line, 3);
    cr_expect_eq(m.memory.where.column, 9);
    const struct machine_memory *links = m.links.items;
    cr_expect_eq(links[0].where.line, 5);
    cr_expect_eq(links[0].where.column, 5);
    cr_expect_str_eq(links[0].where.file, "m.yaml");
}

Test(schema, all_problems_are_reported_at_once)
{
    struct machine m;
    cr_expect_not(read_machine("nam: m1\nunits: 0\nmemory: {bandwith: 3}\ntype: bf17\n", &m));
    cr_expect_eq(diag.errors,
                 6); /* unknown nam, missing name, units, unknown bandwith, missing bandwidth, type */
}

Test(schema, many_unknown_keys_do_not_hold_it_up)
{
    struct text text = {0};
    text_add(&text, MINIMUM);
    for (int i = 0; i < 100000; i++)
        text_printf(&text, "an_unknown_key_of_some_length_%d: 1\n", i);
    struct machine m;
    cr_expect_not(read_machine(text.data, &m));
    cr_expect_geq(diag.errors, DIAG_MOST);
    text_free(&text);
}

Test(schema, memory_that_runs_out_is_an_error)
{
    const struct yaml_node *root =
        yaml_parse(arena, &diag, "m.yaml", MINIMUM "aliases: a\n", strlen(MINIMUM) + 11);
    cr_assert_not_null(root);
    struct arena *small = arena_new(8);
    struct reader reader = {small, &diag};
    struct machine m = {0};
    cr_expect_not(schema_read(&reader, &machine_schema, root, "", &m));
    cr_expect_eq(strcmp(diag_first_error(&diag), "m.yaml:4:10: error: out of memory"), 0, "%s",
                 diag_first_error(&diag));
    arena_free(small);
}

Test(schema, messages_name_the_path_they_were_given)
{
    struct reader reader = {arena, &diag};
    const struct yaml_node *root = yaml_parse(arena, &diag, "m.yaml", "bandwidth: 3352\n", 16);
    struct machine_memory memory = {0};
    cr_expect_not(schema_read(&reader, &machine_memory_schema, root, "device.memory", &memory));
    cr_expect_str_eq(diag_first_error(&diag),
                     "m.yaml:1:12: error: device.memory.bandwidth: found \"3352\" without a "
                     "unit, expected a bandwidth such as \"3.35 TB/s\"");
}

Test(schema, the_document_has_every_key_and_every_schema_once)
{
    struct text out = {0};
    schema_document(&machine_schema, &out);
    static const char *const parts[] = {
        "## machine\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
        "| `name` | a text | required | as people write it |\n",
        "| `units` | a whole number, from 1 to 1000 | required | that work independently |\n",
        "| `rate` | a compute rate such as 989.4 TFLOP/s, from 1 MFLOP/s to 1000 EFLOP/s |  | peak |\n",
        "| `efficiency` | a fraction such as 0.92 or 92%, from 0% to 100% | 1 | share of the peak |\n",
        "| `topology` | one of switch, ring, torus | ring | of its links |\n",
        "| `memory` | map: [memory](#memory) | required | main memory |\n",
        "| `links` | list of [memory](#memory) |  | to peers |\n",
        "| `tiers` | map of name to [tier](#tier) |  | by name |\n",
        "| `reach` | a fraction such as 0.92 or 92%, from 0% to 100% | 90% | share \\| reached |\n",
        "## power\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        cr_expect_not_null(strstr(out.data, parts[i]), "%s\nis not in\n%s", parts[i], out.data);
    const char *memory = strstr(out.data, "## memory\n");
    cr_assert_not_null(memory);
    cr_expect_null(strstr(memory + 1, "## memory\n"));
    text_free(&out);
}

/* The corpus: each FILE.yaml is read as a machine and must give exactly the messages of FILE.expected. */
static const char corpus[] = SOURCE_DIR "/tests/bad/yaml";

static const char *all_messages(void)
{
    const char *all = "";
    for (const struct diag_message *message = diag.first; message != NULL; message = message->next)
        all = arena_printf(arena, "%s%s\n", all, diag_line(&diag, message));
    return all;
}

static void check_bad_file(const char *name)
{
    diag = (struct diag){.arena = arena};
    const char *path = arena_printf(arena, "%s/%s", corpus, name);
    size_t length, expected_length;
    const char *text = file_read(arena, &diag, path, 1 << 20, &length);
    const char *stem = arena_strndup(arena, path, strlen(path) - strlen(".yaml"));
    const char *expected =
        file_read(arena, &diag, arena_printf(arena, "%s.expected", stem), 1 << 20, &expected_length);
    cr_assert(text != NULL && expected != NULL, "%s", diag_first_error(&diag));

    struct reader reader = {arena, &diag};
    struct machine machine = {0};
    const struct yaml_node *root = yaml_parse(arena, &diag, name, text, length);
    bool good = root != NULL && schema_read(&reader, &machine_schema, root, "", &machine);
    cr_expect_not(good, "%s is accepted", name);
    cr_expect_str_eq(all_messages(), expected, "%s gives\n%s", name, all_messages());
}

Test(schema, bad_files_give_their_messages)
{
    DIR *directory = opendir(corpus);
    cr_assert_not_null(directory, "%s", corpus);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length <= 5 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        check_bad_file(entry->d_name);
        files++;
    }
    closedir(directory);
    cr_expect_geq(files, 60);
}
