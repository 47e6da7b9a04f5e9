/* Validations: statistics by hand, and which rows each split fits and tests. */
#include "support/measured.h"
#include "validate/suite.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct measured_fixture f;

static void set_up(void)
{
    measured_start(&f, "a100-80gb-sxm");
}

static void tear_down(void)
{
    measured_end(&f);
}

TestSuite(validation, .init = set_up, .fini = tear_down);

Test(validation, accuracy_by_hand)
{
    struct sample samples[] = {{.seconds = 1e-6, .variant = "a"},
                               {.seconds = 50e-6, .variant = "b"},
                               {.seconds = 100e-6, .variant = "a"},
                               {.seconds = 1e-3, .variant = "a"}};
    struct tested rows[] = {{&samples[0], 1.1e-6, 0.1, -1}, /* +10% */
                            {&samples[1], 40e-6, 0.1, -1},  /* -20%, outside */
                            {&samples[2], 130e-6, 0.2, -1}, /* +30% */
                            {&samples[3], 0.6e-3, 0, -1}};  /* -40%, no interval */
    struct accuracy all, a;
    cr_assert(accuracy_of(rows, 4, NULL, f.arena, &all));
    cr_expect_eq(all.all.count, 4);
    cr_expect_float_eq(all.all.mean_absolute, 0.25, 1e-12);
    cr_expect_float_eq(all.all.median, 0.25, 1e-12);
    cr_expect_float_eq(all.all.bias, -0.05, 1e-12);
    cr_expect_float_eq(all.all.p90, 0.37, 1e-12);
    cr_expect_eq(all.bands[BAND_SHORT].count, 1);
    cr_expect_eq(all.bands[BAND_MIDDLE].count, 1);
    cr_expect_eq(all.bands[BAND_LONG].count, 2); /* 100 us is not below 100 us */
    cr_expect_float_eq(all.bands[BAND_LONG].mean_absolute, 0.35, 1e-12);
    cr_expect_float_eq(all.coverage, 2 / 3.0, 1e-12);
    cr_assert(accuracy_of(rows, 4, "a", f.arena, &a));
    cr_expect_eq(a.all.count, 3);
    cr_expect_float_eq(a.coverage, 1, 1e-12);
    cr_assert(accuracy_of(rows, 0, NULL, f.arena, &a));
    cr_expect(a.all.count == 0 && isnan(a.coverage));
    size_t worst[2];
    cr_assert_eq(accuracy_worst(rows, 4, worst, 2), 2);
    cr_expect(worst[0] == 3 && worst[1] == 2);
    struct tested again[] = {rows[0], rows[3], rows[3], rows[3], rows[2]};
    again[2].predicted = 0.5e-3;
    cr_assert_eq(accuracy_worst(again, 5, worst, 2), 2);
    cr_expect(worst[0] == 2 && worst[1] == 4, "a sample counts once, as it came out worst");
}

static struct calibration block(void)
{
    struct calibration known = {.software = "vllm", .version = "0.14.0", .family = FAMILY_GEMM};
    for (int i = 0; i < families[FAMILY_GEMM].count; i++) {
        known.given[i] = true;
        known.values[i] = families[FAMILY_GEMM].scalars[i].start;
    }
    return known;
}

static struct validation validated(enum validation_mode mode, size_t fit_rows)
{
    static struct validation_plan plan;
    struct calibration known = block();
    struct validation validation;
    plan = (struct validation_plan){.mode = mode, .fit_rows = fit_rows};
    cr_assert(measured_add(&f, measured_gemms(f.arena, "a100_sxm", "vllm 0.14.0")));
    measured_time(&f, &known, 0.05);
    cr_assert(validate_samples(&f.set, f.device, &plan, f.arena, &f.diag, &validation), "%s",
              diag_first_error(&f.diag));
    cr_assert_eq(validation.group_count, 1);
    return validation;
}

Test(validation, calibrated_tests_each_row_once)
{
    struct validation validation = validated(MODE_CALIBRATED, 0);
    cr_assert_eq(validation.tested, 120);
    cr_assert_eq(validation.groups[0].provenance, PROVENANCE_FITTED, "the shipped calibration");
    cr_assert_eq(validation.groups[0].fits, 0);
}

Test(validation, folds_test_each_row_four_times)
{
    struct validation validation = validated(MODE_FOLDS, 0);
    const struct validation_group *group = &validation.groups[0];
    cr_assert(group->fits >= 1 && group->fits <= FOLDS);
    cr_assert_eq(validation.tested + validation.skipped, 4 * 120);
    for (size_t i = 0; i < group->row_count; i++)
        cr_assert_neq((int)sample_fold(group->rows[i].sample, false), group->rows[i].fold);
    cr_assert(group->all.all.mean_absolute < 0.1, "%g", group->all.all.mean_absolute);
    cr_assert_eq(group->provenance, PROVENANCE_FITTED);
}

Test(validation, held_out_shapes_are_tested_once_by_fits_without_them)
{
    struct validation validation = validated(MODE_SHAPES, 0);
    const struct validation_group *group = &validation.groups[0];
    cr_assert_eq(validation.tested, 120);
    for (size_t i = 0; i < group->row_count; i++)
        cr_assert_eq((int)sample_fold(group->rows[i].sample, true), group->rows[i].fold);
    cr_assert(group->all.all.mean_absolute < 0.1, "%g", group->all.all.mean_absolute);
}

Test(validation, fitted_rows_are_not_tested)
{
    cr_assert_eq(validated(MODE_ROWS, 40).tested, 80);
}

Test(validation, all_rows_fitted_leaves_none)
{
    cr_assert_eq(validated(MODE_ROWS, 500).tested, 0);
}

Test(validation, refused_fits_count_as_skipped)
{
    struct validation validation = validated(MODE_ROWS, 5);
    cr_assert_eq(validation.tested, 0);
    cr_assert_eq(validation.skipped, 115);
    cr_assert(strstr(validation.groups[0].refused, "5 samples are too few") != NULL);
    cr_assert_eq(f.diag.errors, 0);
}

/* The same scalars on both devices: what one teaches is right on the other. */
Test(validation, transfer_takes_scalars_from_one_and_rates_from_the_other)
{
    struct measured_fixture h100;
    struct calibration known = block();
    struct validation validation;
    measured_start(&h100, "h100-sxm");
    cr_assert(measured_add(&h100, measured_gemms(h100.arena, "h100_sxm", "vllm 0.24.0")));
    known.version = "0.24.0";
    measured_time(&h100, &known, 0.02);
    known.version = "0.14.0";
    cr_assert(measured_add(&f, measured_gemms(f.arena, "a100_sxm", "vllm 0.14.0")));
    measured_time(&f, &known, 0.02);
    struct validation_plan plan = {.mode = MODE_TRANSFER, .others = &h100.set};
    cr_assert(validate_samples(&f.set, f.device, &plan, f.arena, &f.diag, &validation), "%s",
              diag_first_error(&f.diag));
    cr_assert_eq(validation.tested, 120);
    cr_assert(validation.groups[0].all.all.mean_absolute < 0.15, "%g",
              validation.groups[0].all.all.mean_absolute);
    cr_assert_eq(validation.groups[0].provenance, PROVENANCE_INHERITED);
    measured_end(&h100);
}

/* Writes a file of a fresh name, to be unlinked. */
static void write_suite(char path[], const char *text)
{
    int descriptor = mkstemp(path);
    cr_assert(descriptor >= 0 && write(descriptor, text, strlen(text)) == (ssize_t)strlen(text));
    close(descriptor);
}

static void expect_bad_suite(const char *text, const char *part)
{
    char path[] = "/tmp/rafter-suite-XXXXXX";
    write_suite(path, text);
    f.diag = (struct diag){.arena = f.arena};
    cr_expect_null(suite_read(f.arena, &f.diag, path), "taken: %s", text);
    cr_expect(strstr(diag_first_error(&f.diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&f.diag), part);
    unlink(path);
}

Test(validation, suites_read)
{
    char path[] = "/tmp/rafter-suite-XXXXXX";
    write_suite(path, "name: S\n"
                      "checks:\n"
                      "  - {name: a, samples: x.csv, device: d, max_mape: 9%}\n"
                      "  - {name: b, samples: [x.csv, y.csv], device: d, mode: transfer, fit_on: e,\n"
                      "     coverage: [85%, 0.95]}\n");
    const struct suite *suite = suite_read(f.arena, &f.diag, path);
    cr_assert_not_null(suite, "%s", diag_first_error(&f.diag));
    const struct suite_check *checks = suite->checks.items;
    cr_assert_eq(suite->checks.count, 2);
    cr_assert_float_eq(checks[0].max_mape, 0.09, 1e-12);
    cr_assert_eq(checks[0].mode, MODE_CALIBRATED);
    cr_assert_eq(checks[0].fit_rows, 200);
    cr_assert_eq(checks[1].samples.count, 2);
    cr_assert_eq(checks[1].mode, MODE_TRANSFER);
    cr_assert_float_eq(checks[1].coverage[0], 0.85, 1e-12);
    unlink(path);
}

Test(validation, bad_suites_are_refused)
{
    expect_bad_suite("name: S\n", "checks");
    expect_bad_suite("name: S\nchecks: []\n", "expected at least one");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d}]\n", "nothing is judged");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, max_mpae: 9%}]\n", "max_mape");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, max_mape: 9, mode: fold}]\n",
                     "folds");
    expect_bad_suite(
        "name: S\nchecks: [{name: a, samples: x.csv, device: d, max_mape: 9%, mode: transfer}]\n", "fit_on");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, max_mape: 9%, fit_on: e}]\n",
                     "mode: transfer");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, coverage: [0.9]}]\n",
                     "two fractions");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, coverage: [0.9, 0.8]}]\n",
                     "within 0");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: x.csv, device: d, coverage: [x, 0.8]}]\n",
                     "coverage");
    expect_bad_suite("name: S\nchecks: [{name: a, samples: [], device: d, max_mape: 9%}]\n",
                     "at least one file");
}
