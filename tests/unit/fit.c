/* Fits: scalars that made samples come back from them, within bounds, or a reason why not. */
#include "fit/calibrate.h"
#include "support/measured.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct measured_fixture f;

static void set_up(void)
{
    measured_start(&f, "a100-80gb-sxm");
    cr_assert(measured_add(&f, measured_gemms(f.arena, "a100_sxm", "vllm 0.14.0")), "%s",
              diag_first_error(&f.diag));
}

static void tear_down(void)
{
    measured_end(&f);
}

TestSuite(fit, .init = set_up, .fini = tear_down);

static struct calibration known_gemm(void)
{
    struct calibration known = {.software = "vllm",
                                .version = "0.14.0",
                                .family = FAMILY_GEMM,
                                .format = FORMAT_BF16,
                                .operand = (int)FORMAT_BF16,
                                .provenance = PROVENANCE_FITTED};
    for (int i = 0; i < families[FAMILY_GEMM].count; i++) {
        known.given[i] = true;
        known.values[i] = families[FAMILY_GEMM].scalars[i].start;
    }
    known.values[GEMM_T0] = 4.5e-6;
    known.values[GEMM_BETA] = 0.83;
    known.values[GEMM_EPS] = 0.78;
    return known;
}

static struct calibration fitted(size_t block, size_t take)
{
    size_t *chosen, count = choose_samples(&f.set, block, f.arena, NULL, NULL, &chosen);
    struct calibration fit;
    cr_assert(fit_block(&f.set, block, f.device, chosen, take < count ? take : count, f.arena, &f.diag, &fit),
              "%s", diag_first_error(&f.diag));
    return fit;
}

Test(fit, scalars_that_made_the_times_come_back)
{
    struct calibration known = known_gemm();
    measured_time(&f, &known, 0);
    struct calibration fit = fitted(0, SIZE_MAX);
    cr_expect_float_eq(fit.values[GEMM_T0], known.values[GEMM_T0], 0.05e-6, "t0 %g", fit.values[GEMM_T0]);
    cr_expect_float_eq(fit.values[GEMM_BETA], known.values[GEMM_BETA], 0.01, "beta %g",
                       fit.values[GEMM_BETA]);
    cr_expect_float_eq(fit.values[GEMM_EPS], known.values[GEMM_EPS], 0.01, "eps %g", fit.values[GEMM_EPS]);
    cr_expect(fit.residual < 0.01, "residual %g", fit.residual);
    cr_expect_str_eq(fit.software, "vllm");
    cr_expect_str_eq(fit.version, "0.14.0");
    cr_expect_eq(fit.provenance, PROVENANCE_FITTED);
    cr_expect_eq(fit.samples, 120);
}

Test(fit, noise_becomes_residual_and_standard_errors)
{
    struct calibration known = known_gemm();
    measured_time(&f, &known, 0.1);
    struct calibration fit = fitted(0, SIZE_MAX);
    cr_expect(fit.residual > 0.07 && fit.residual < 0.14, "residual %g of noise 0.1", fit.residual);
    cr_expect(fit.parameters > 0.003 && fit.parameters < 0.06, "parameters %g", fit.parameters);
    for (int i = GEMM_BETA; i <= GEMM_EPS; i++) {
        double error = fit.standard_errors[i];
        cr_expect(error > 1e-4 && error < 0.1, "%s: standard error %g", families[FAMILY_GEMM].scalars[i].name,
                  error);
        cr_expect(fabs(fit.values[i] - known.values[i]) < 5 * error, "%s: %g is not %g within %g",
                  families[FAMILY_GEMM].scalars[i].name, fit.values[i], known.values[i], error);
    }
}

Test(fit, outliers_pull_little)
{
    struct calibration known = known_gemm();
    measured_time(&f, &known, 0);
    for (size_t i = 0; i < f.set.count; i += 12)
        f.set.samples[i].seconds *= 20;
    struct calibration fit = fitted(0, SIZE_MAX);
    cr_expect_float_eq(fit.values[GEMM_BETA], known.values[GEMM_BETA], 0.03, "beta %g",
                       fit.values[GEMM_BETA]);
    cr_expect_float_eq(fit.values[GEMM_EPS], known.values[GEMM_EPS], 0.03, "eps %g", fit.values[GEMM_EPS]);
}

Test(fit, no_efficiency_above_one)
{
    struct calibration known = known_gemm();
    measured_time(&f, &known, 0);
    for (size_t i = 0; i < f.set.count; i++)
        f.set.samples[i].seconds /= 3; /* no device could */
    struct calibration fit = fitted(0, SIZE_MAX);
    for (int i = 0; i < families[FAMILY_GEMM].count; i++) {
        const struct scalar_declaration *scalar = &families[FAMILY_GEMM].scalars[i];
        cr_expect(fit.values[i] >= scalar->min && fit.values[i] <= scalar->max, "%s %g", scalar->name,
                  fit.values[i]);
    }
    cr_expect_eq(fit.values[GEMM_EPS], 1, "eps %.17g", fit.values[GEMM_EPS]);
}

Test(fit, what_no_sample_feels_is_not_given)
{
    struct calibration known = known_gemm();
    measured_time(&f, &known, 0);
    struct calibration fit = fitted(0, SIZE_MAX);
    cr_assert_not(fit.given[GEMM_ROW], "bf16 GEMMs quantise nothing");
    cr_assert(fit.given[GEMM_BETA] && fit.given[GEMM_EPS]);
}

Test(fit, replaces_the_block_of_the_same_key)
{
    struct calibration one = known_gemm(), other = known_gemm();
    one.version = "9.1"; /* which the shipped description does not hold */
    other.version = "9.2";
    const struct device *device = device_with_blocks(f.arena, f.device, &one, 1);
    cr_assert_eq(device->calibration_count, f.device->calibration_count + 1);
    cr_assert_eq(device_with_blocks(f.arena, device, &one, 1)->calibration_count, device->calibration_count);
    cr_assert_eq(device_with_blocks(f.arena, device, &other, 1)->calibration_count,
                 device->calibration_count + 1);
}

static void expect_refused(size_t block, size_t take, const char *part)
{
    size_t *chosen, count = choose_samples(&f.set, block, f.arena, NULL, NULL, &chosen);
    struct calibration fit;
    f.diag = (struct diag){.arena = f.arena};
    cr_assert_not(
        fit_block(&f.set, block, f.device, chosen, take < count ? take : count, f.arena, &f.diag, &fit));
    cr_assert(strstr(diag_first_error(&f.diag), part) != NULL, "%s", diag_first_error(&f.diag));
}

Test(fit, too_few_samples_or_sizes)
{
    struct text same = {0};
    text_add(&same, "device,source,dtype,m,n,k,time_us\n");
    for (int i = 0; i < 40; i++)
        text_printf(&same, "a100_sxm,trtllm 1.0.0,bfloat16,%d,1024,1024,%d\n", 1 + i % 3, 5 + i);
    cr_assert(measured_add(&f, same.data));
    text_free(&same);
    expect_refused(0, 10, "10 samples are too few for");
    expect_refused(0, 0, "0 samples are too few");
    expect_refused(1, SIZE_MAX, "40 samples of 3 different sizes");
}

Test(fit, calibrate_reports_before_and_after)
{
    struct calibration known = known_gemm();
    cr_assert(measured_add(&f, "device,source,dtype,m,n,k,time_us\na100_sxm,trtllm 1,bfloat16,1,64,64,3\n"));
    measured_time(&f, &known, 0.05);
    struct calibrated all;
    struct sample_filter any = {NULL, NULL, NULL};
    cr_assert(calibrate(&f.set, f.device, &any, "2026-11-21", f.arena, &f.diag, NULL, NULL, &all), "%s",
              diag_first_error(&f.diag));
    cr_assert_eq(all.count, 2);
    cr_assert_eq(all.fitted, 1);
    cr_assert_null(all.blocks[0].refused);
    cr_assert(all.blocks[0].after.mean_absolute < 0.06);
    cr_assert(all.blocks[0].before.mean_absolute > all.blocks[0].after.mean_absolute);
    cr_assert_str_eq(all.blocks[0].calibration.date, "2026-11-21");
    cr_assert(strstr(all.blocks[0].calibration.source, "test.csv: vllm 0.14.0 bfloat16, 120 samples") !=
              NULL);
    cr_assert(strstr(all.blocks[1].refused, "trtllm 1, gemm of bfloat16: 1 samples are too few") != NULL,
              "%s", all.blocks[1].refused);
    cr_assert_eq(f.diag.errors, 0);
}

/* "vllm 0.14.0" and "vllm custom 0.14.0" are one software and version: a device has one block for them. */
Test(fit, two_sources_of_one_key_are_not_both_written)
{
    struct calibration known = known_gemm();
    cr_assert(measured_add(&f, measured_gemms(f.arena, "a100_sxm", "vllm custom 0.14.0")));
    measured_time(&f, &known, 0.05);
    struct calibrated all;
    struct sample_filter any = {NULL, NULL, NULL};
    cr_assert(calibrate(&f.set, f.device, &any, "2026-11-21", f.arena, &f.diag, NULL, NULL, &all));
    cr_assert_eq(all.fitted, 1);
    cr_assert(strstr(all.blocks[1].refused, "--source") != NULL);
}
