/* Device files with fitted blocks: what was there stays, what is replaced goes, all of it reads back. */
#include "fit/device_writer.h"
#include "fit/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

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

TestSuite(device_writer, .init = set_up, .fini = tear_down);

static struct calibration block(const char *software, enum family family)
{
    struct calibration made = {.software = software,
                               .version = "0.14.0",
                               .family = family,
                               .format = FORMAT_BF16,
                               .operand = (int)FORMAT_BF16,
                               .provenance = PROVENANCE_FITTED,
                               .residual = 0.0912345678,
                               .parameters = 0.004,
                               .samples = 2500,
                               .source = "gemm.csv: \"quoted\" and \\ back",
                               .date = "2026-11-21"};
    made.values[GEMM_T0] = 4.2103456789e-6;
    made.values[GEMM_BETA] = 1 / 3.0;
    made.standard_errors[GEMM_BETA] = 0.0012345678;
    made.given[GEMM_T0] = made.given[GEMM_BETA] = true;
    return made;
}

static char *written(const char *text, const struct calibration *blocks, size_t count)
{
    struct text out = {0};
    cr_assert(device_write("d.yaml", text, strlen(text), blocks, count, arena, &diag, &out), "%s",
              diag_first_error(&diag));
    char *kept = arena_strdup(arena, out.data);
    text_free(&out);
    return kept;
}

struct list {
    struct calibration *items;
    size_t count;
};

static struct list read_back(const char *text)
{
    struct reader reader = {arena, &diag};
    struct list list = {0};
    const struct yaml_node *root = yaml_parse(arena, &diag, "d.yaml", text, strlen(text));
    cr_assert(root && calibrations_read(&reader, yaml_get(root, "calibration"), &list), "%s",
              diag_first_error(&diag));
    return list;
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

Test(device_writer, appends_to_a_file_without_blocks)
{
    struct calibration one = block("vllm", FAMILY_GEMM);
    const char *text = written("# mine\nextends: h100-sxm # as sold\naliases: [x]", &one, 1);
    cr_assert_eq(strncmp(text, "# mine\nextends: h100-sxm # as sold\naliases: [x]\ncalibration:\n", 60), 0);
    struct list list = read_back(text);
    cr_assert_eq(list.count, 1);
    const struct calibration *back = &list.items[0];
    cr_assert(same_calibration_key(back, &one));
    cr_assert_float_eq(back->values[GEMM_T0] / one.values[GEMM_T0], 1, 1e-5);
    cr_assert_float_eq(back->values[GEMM_BETA] / one.values[GEMM_BETA], 1, 1e-5);
    cr_assert_float_eq(back->standard_errors[GEMM_BETA] / one.standard_errors[GEMM_BETA], 1, 1e-5);
    cr_assert_float_eq(back->residual / one.residual, 1, 1e-5);
    cr_assert(back->given[GEMM_T0] && !back->given[GEMM_EPS]);
    cr_assert_eq(back->samples, 2500);
    cr_assert_str_eq(back->source, one.source);
    cr_assert_str_eq(back->date, "2026-11-21");
}

static const char some[] = "name: X\n"
                           "calibration:\n"
                           "  # of the family\n"
                           "  - {family: gemm, values: {t0: 2 us}} # flow\n"
                           "  # measured here\n"
                           "  - software: vllm\n"
                           "    version: \"0.14.0\"\n"
                           "    family: gemm\n"
                           "    format: bf16\n"
                           "    operand: bf16\n"
                           "    values:\n"
                           "      beta: 0.5\n"
                           "\n"
                           "  - software: trtllm\n"
                           "    family: moe\n"
                           "    values: {t0: 20 us}\n"
                           "# what follows\n"
                           "power: {tdp: 400 W}\n"
                           "# the end\n";

Test(device_writer, replaces_its_block_and_keeps_the_others)
{
    struct calibration one = block("vllm", FAMILY_GEMM);
    const char *text = written(some, &one, 1);
    cr_assert_eq(times(text, "calibration:"), 1);
    cr_assert_eq(times(text, "beta: 0.5"), 0);
    cr_assert_eq(times(text, "# measured here"), 0);
    static const char *const kept[] = {"name: X\n",
                                       "# of the family\n  - {family: gemm, values: {t0: 2 us}} # flow\n",
                                       "  - software: trtllm\n    family: moe\n    values: {t0: 20 us}\n",
                                       "# what follows\npower: {tdp: 400 W}\n# the end\n"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        cr_expect_eq(times(text, kept[i]), 1, "\"%s\" is not in\n%s", kept[i], text);
    struct list list = read_back(text);
    cr_assert_eq(list.count, 3);
    cr_assert(same_calibration_key(&list.items[2], &one));
}

Test(device_writer, twice_is_as_once)
{
    struct calibration two[] = {block("vllm", FAMILY_GEMM), block("nccl", FAMILY_COLLECTIVE)};
    const char *once = written(some, two, 2), *twice = written(once, two, 2);
    cr_assert_str_eq(once, twice);
    cr_assert_eq(read_back(twice).count, 4);
    struct calibration third = block("vllm", FAMILY_MOE);
    cr_assert_eq(read_back(written(twice, &third, 1)).count, 5);
}

Test(device_writer, lists_in_brackets_at_the_margin_and_with_crlf)
{
    struct calibration one = block("vllm", FAMILY_GEMM);
    const char *flow =
        written("calibration: [{family: gemm, values: {t0: 2 us}},\n"
                "  {software: a, family: moe, values: {beta: 0.5}, source: \"x: y\"}]\nname: Y\n",
                &one, 1);
    cr_assert_eq(read_back(flow).count, 3);
    cr_assert_str_eq(read_back(flow).items[1].source, "x: y");
    const char *margin = written("calibration:\n- family: gemm\n  values: {t0: 2 us}\nname: Y\n", &one, 1);
    cr_assert_eq(read_back(margin).count, 2);
    cr_assert_eq(times(margin, "\n- software: \"vllm\""), 1);
    const char *crlf =
        written("name: Y\r\ncalibration:\r\n  - family: gemm\r\n    values: {t0: 2 us}\r\n", &one, 1);
    cr_assert_eq(read_back(crlf).count, 2);
    cr_assert_eq(read_back(written("name: Y\ncalibration:\n", &one, 1)).count, 1);
}

static void expect_refused(const char *text, const char *part)
{
    struct calibration one = block("vllm", FAMILY_GEMM);
    struct text out = {0};
    diag = (struct diag){.arena = arena};
    cr_assert_not(device_write("d.yaml", text, strlen(text), &one, 1, arena, &diag, &out), "%s", out.data);
    cr_assert(strstr(diag_first_error(&diag), part) != NULL, "%s", diag_first_error(&diag));
    text_free(&out);
}

Test(device_writer, what_it_cannot_take_apart_is_refused)
{
    expect_refused("{name: X, year: 2020}\n", "cannot be added to");
    expect_refused("{name: X, calibration: [{family: gemm, values: {t0: 2 us}}]}\n", "cannot be added to");
    expect_refused("name: X\n...\n", "cannot be added to");
    expect_refused("- a\n- b\n", "expected a map");
    expect_refused("name: [\n", "d.yaml");
    expect_refused("calibration: [{family: gem, values: {t0: 2 us}}]\n", "gemm");
}

Test(device_writer, hostile_names_read_back)
{
    struct calibration odd = block("a: b # c", FAMILY_GEMM);
    odd.version = "- \"1\"";
    odd.source = "bytes \xff\xfe and \x1b[31m";
    struct list list = read_back(written("name: X\n", &odd, 1));
    cr_assert_str_eq(list.items[0].software, "a: b # c");
    cr_assert_str_eq(list.items[0].version, "- \"1\"");
}
