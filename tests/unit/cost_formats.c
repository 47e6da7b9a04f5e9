/* In which format a device multiplies two types. */
#include "cost_fixture.h"

static void expect(const struct device *device, const char *a, const char *b, enum number_format format,
                   bool on_matrix)
{
    struct element_type one = type_named(a), other = type_named(b);
    for (int order = 0; order < 2; order++) {
        bool matrix;
        double peak;
        enum number_format found =
            compute_format(device, order ? &one : &other, order ? &other : &one, &matrix, &peak);
        cr_expect_eq(found, format, "%s x %s: %s", a, b, number_format_name(found));
        cr_expect_eq(matrix, on_matrix, "%s x %s", a, b);
        cr_expect_gt(peak, 0);
    }
}

Test(cost_formats, ampere)
{
    struct fixture f;
    fixture_start(&f);
    const struct device *device = &f.device;
    expect(device, "bf16", "bf16", FORMAT_BF16, true);
    expect(device, "bf16", "int4-g128", FORMAT_BF16, true);
    expect(device, "bf16", "int8", FORMAT_BF16, true);
    expect(device, "bf16", "fp8", FORMAT_BF16, true); /* no fp8 units */
    expect(device, "fp8", "fp8", FORMAT_BF16, true);
    expect(device, "int8", "int8", FORMAT_INT8, true);
    expect(device, "int8", "int4", FORMAT_INT8, true);
    expect(device, "int4", "int4", FORMAT_INT8, true); /* no int4 units: not four times as fast */
    expect(device, "int8", "ternary", FORMAT_INT8, true);
    expect(device, "fp32", "fp32", FORMAT_FP32, false); /* never silently tf32 */
    expect(device, "tf32", "tf32", FORMAT_TF32, true);
    expect(device, "fp16", "q4_k", FORMAT_FP16, true);
    expect(device, "fp8", "int8", FORMAT_BF16, true);
    fixture_end(&f);
}

Test(cost_formats, hopper_and_blackwell)
{
    struct fixture f;
    fixture_start(&f);
    f.device.matrix[FORMAT_FP8].flops = 1979e12;
    expect(&f.device, "fp8", "fp8", FORMAT_FP8, true);
    expect(&f.device, "bf16", "fp8", FORMAT_BF16, true);
    expect(&f.device, "fp8", "mxfp4", FORMAT_FP8, true);
    expect(&f.device, "fp8", "int4", FORMAT_FP8, true);
    expect(&f.device, "nvfp4", "nvfp4", FORMAT_FP8, true);
    f.device.matrix[FORMAT_FP4].flops = 9000e12;
    expect(&f.device, "nvfp4", "nvfp4", FORMAT_FP4, true);
    fixture_end(&f);
}

Test(cost_formats, lanes_of_a_cpu)
{
    struct fixture f;
    fixture_start(&f);
    memset(f.device.matrix, 0, sizeof f.device.matrix);
    memset(f.device.vector, 0, sizeof f.device.vector);
    f.device.vector[FORMAT_FP32].flops = 560e9;
    expect(&f.device, "bf16", "bf16", FORMAT_FP32, false);
    expect(&f.device, "fp16", "q4_0", FORMAT_FP32, false);
    f.device.vector[FORMAT_INT8].flops = 2200e9;
    expect(&f.device, "int8", "q4_0", FORMAT_INT8, false);
    fixture_end(&f);
}

Test(cost_formats, volta_runs_bf16_on_its_fp16_units)
{
    struct fixture f;
    fixture_start(&f);
    f.device.matrix[FORMAT_BF16].flops = f.device.vector[FORMAT_BF16].flops = 0;
    f.device.matrix[FORMAT_TF32].flops = f.device.matrix[FORMAT_INT8].flops = 0;
    expect(&f.device, "bf16", "bf16", FORMAT_FP16, true);
    expect(&f.device, "fp8", "fp8", FORMAT_FP16, true);
    fixture_end(&f);
}

Test(cost_formats, impossible)
{
    struct fixture f;
    fixture_start(&f);
    memset(f.device.matrix, 0, sizeof f.device.matrix);
    memset(f.device.vector, 0, sizeof f.device.vector);
    f.device.vector[FORMAT_INT8].flops = 1e12;
    bool matrix;
    double peak;
    struct element_type bf16 = type_named("bf16");
    cr_assert_eq(compute_format(&f.device, &bf16, &bf16, &matrix, &peak), FORMAT_NONE);
    fixture_gemm(&f, 64, 64, "bf16");
    cr_assert(target_resolve(&f.target, &f.diag, &f.system, &f.software, &f.types));
    cr_assert_null(cost_prepare(f.arena, &f.diag, &f.graph, &f.target));
    cr_assert_str_eq(diag_first_error(&f.diag), "error: op: test-gpu cannot multiply bf16 by bf16");
    fixture_end(&f);
}
