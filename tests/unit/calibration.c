#include "spec/calibration.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

struct list {
    struct calibration *items;
    size_t count;
};

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

TestSuite(calibration, .init = set_up, .fini = tear_down);

static bool read_blocks(const char *text, struct list *list)
{
    struct reader reader = {arena, &diag};
    const struct yaml_node *root = yaml_parse(arena, &diag, "test.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    *list = (struct list){0};
    return calibrations_read(&reader, yaml_get(root, "calibration"), list);
}

static void expect_error(const char *text, const char *part)
{
    struct list list;
    diag = (struct diag){.arena = arena};
    cr_assert_not(read_blocks(text, &list), "taken: %s", text);
    cr_assert(strstr(diag_first_error(&diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&diag), part);
}

Test(calibration, families_declare_sound_scalars)
{
    for (int f = 0; f < FAMILY_COUNT; f++) {
        cr_assert(families[f].count >= 3 && families[f].count <= SCALARS_MOST);
        for (int i = 0; i < families[f].count; i++) {
            const struct scalar_declaration *s = &families[f].scalars[i];
            cr_assert(s->min < s->max && s->fallback >= s->min && s->fallback <= s->max, "%s.%s",
                      families[f].name, s->name);
            cr_assert_not_null(s->doc);
            if (s->dimension == DIM_FRACTION)
                cr_assert(s->min > 0, "%s.%s divides", families[f].name, s->name);
        }
    }
    cr_assert_str_eq(families[FAMILY_MOE].scalars[GEMM_DEQUANT].name, "dequant");
    cr_assert_str_eq(families[FAMILY_MLA_DECODE].scalars[ATTENTION_SPLIT].name, "split");
    cr_assert_str_eq(families[FAMILY_COLLECTIVE].scalars[LINK_ALPHA].name, "alpha");
}

Test(calibration, scalars_land_by_family)
{
    struct list list;
    cr_assert(read_blocks("calibration:\n"
                          "  - {family: gemm, format: bf16, software: vllm, provenance: fitted,\n"
                          "     values: {beta: 0.85, t0: 2 us}, standard_errors: {beta: 0.01},\n"
                          "     residual: 0.1, samples: 40, source: x, date: '2026-11'}\n"
                          "  - {family: collective, values: {alpha: 1 us}}\n",
                          &list),
              "%s", diag_first_error(&diag));
    cr_assert_eq(list.count, 2);
    const struct calibration *gemm = &list.items[0], *collective = &list.items[1];
    cr_assert_eq(gemm->family, FAMILY_GEMM);
    cr_assert_eq(gemm->format, FORMAT_BF16);
    cr_assert_eq(gemm->provenance, PROVENANCE_FITTED);
    cr_assert_float_eq(gemm->values[GEMM_T0], 2e-6, 1e-15);
    cr_assert_float_eq(gemm->values[GEMM_BETA], 0.85, 1e-15);
    cr_assert_float_eq(gemm->standard_errors[GEMM_BETA], 0.01, 1e-15);
    cr_assert(gemm->given[GEMM_BETA] && gemm->given[GEMM_T0] && !gemm->given[GEMM_EPS]);
    cr_assert_eq(gemm->samples, 40);
    cr_assert_str_eq(collective->software, "*");
    cr_assert_eq(collective->format, FORMAT_NONE);
    cr_assert_eq(collective->provenance, PROVENANCE_FAMILY_DEFAULT);
    cr_assert_float_eq(collective->values[LINK_ALPHA], 1e-6, 1e-15);
}

Test(calibration, operands_versions_and_correlations)
{
    struct list list;
    cr_assert(
        read_blocks("calibration:\n"
                    "  - {family: gemm, format: bf16, operand: int4, software: vllm, version: '0.14.0',\n"
                    "     values: {beta: 0.85, t0: 2 us}, parameters: 0.02, residual: 0.1,\n"
                    "     correlations: {eps: {t0: -0.25, beta: 0.5}, beta: {t0: 0.125}}}\n"
                    "  - {family: gemm, format: bf16, operand: int8, software: vllm, values: {beta: 0.8}}\n"
                    "  - {family: gemm, format: bf16, software: vllm, values: {beta: 0.8}}\n",
                    &list),
        "%s", diag_first_error(&diag));
    const struct calibration *block = &list.items[0];
    cr_assert_eq(list.count, 3);
    cr_assert_eq(block->operand, (int)FORMAT_INT4);
    cr_assert_str_eq(block->version, "0.14.0");
    cr_assert_null(list.items[1].version);
    cr_assert_eq(list.items[2].operand, OPERAND_ANY);
    cr_assert_eq(block->correlations[GEMM_EPS][GEMM_T0], -0.25);
    cr_assert_eq(block->correlations[GEMM_EPS][GEMM_BETA], 0.5);
    cr_assert_eq(block->correlations[GEMM_BETA][GEMM_T0], 0.125);
    cr_assert_float_eq(calibration_sigma(block), hypot(0.1, 0.02), 1e-12);
    cr_assert_eq(calibration_sigma(&list.items[1]), 0, "not known");
}

Test(calibration, what_is_left_out_is_ideal)
{
    struct list list;
    cr_assert(read_blocks("calibration: [{family: gemm, values: {t0: 2 us}}]", &list));
    cr_assert_eq(list.items[0].values[GEMM_EPS], 1);
    cr_assert_eq(list.items[0].values[GEMM_OMEGA], 0);
}

Test(calibration, wrong_blocks_are_refused)
{
    expect_error("calibration: [{family: gem, values: {t0: 2 us}}]", "gemm");
    expect_error("calibration: [{family: gemm, values: {btea: 0.9}}]", "beta");
    expect_error("calibration: [{family: elementwise, values: {omega: 1 us}}]", "omega");
    expect_error("calibration: [{family: gemm, values: {beta: 1.2}}]", "beta");
    expect_error("calibration: [{family: gemm, values: {beta: 0}}]", "beta");
    expect_error("calibration: [{family: gemm, values: {t0: 2}}]", "t0");
    expect_error("calibration: [{family: gemm, values: {t0: 2 s}}]", "t0");
    expect_error("calibration: [{family: gemm, values: {beta: nan}}]", "beta");
    expect_error("calibration: [{family: gemm, values: {t0: 2 us}, operand: int5}]", "int4");
    expect_error("calibration: [{family: gemm, values: {t0: 2 us}, correlations: {beta: {t0: 1.5}}}]", "t0");
    expect_error("calibration: [{family: gemm, values: {t0: 2 us}, correlations: {beta: {eps: 0.5}}}]",
                 "eps");
    expect_error("calibration: [{family: gemm, values: {t0: 2 us}, correlations: {t0: {beta: 0.5}}}]",
                 "names");
    expect_error("calibration: [{family: gemm, values: {t0: 2 us}, correlations: 3}]", "map");
    expect_error("calibration: [{family: gemm}]", "values");
    expect_error("calibration: [{family: gemm, values: 3}]", "map");
    expect_error("calibration: {family: gemm}", "list");
    expect_error(
        "calibration: [{family: gemm, values: {t0: 2 us}}, {family: gemm, format: any, values: {t0: 3 us}}]",
        "second block");
}
