/* Rotary frequencies against values worked out from the published formulas. */
#include "exec/rope_scaling.h"

#include <criterion/criterion.h>
#include <math.h>

static const double two_pi = 6.283185307179586;

Test(exec_rope, plain_frequencies_are_powers_of_the_base)
{
    struct hyper hyper = hyper_default();
    double f[4];
    cr_expect_float_eq(rope_frequencies(&hyper, 8, false, NULL, f), 1, 0);
    for (int i = 0; i < 4; i++)
        cr_expect_float_eq(f[i], pow(10, -i), 1e-12);
}

Test(exec_rope, layers_with_a_window_may_have_a_base_of_their_own_and_no_scaling)
{
    struct hyper hyper = hyper_default();
    double f[2];
    hyper.rope_scaling = ROPE_LINEAR;
    hyper.rope_factor = 4;
    hyper.rope_theta = 1e6F;
    rope_frequencies(&hyper, 4, true, NULL, f);
    cr_expect_float_eq(f[1], 1e-3 / 4, 1e-12, "no base of their own: as the others");
    hyper.rope_theta_local = 1e4F;
    rope_frequencies(&hyper, 4, true, NULL, f);
    cr_expect_float_eq(f[1], 1e-2, 1e-12);
    rope_frequencies(&hyper, 4, false, NULL, f);
    cr_expect_float_eq(f[1], 1e-3 / 4, 1e-12);
}

/* Llama 3.1: factor 8, low 1, high 4, context 8192, base 500000, heads of 128. */
Test(exec_rope, llama3_keeps_short_waves_and_stretches_long_ones)
{
    struct hyper hyper = hyper_default();
    double f[64];
    hyper.rope_theta = 5e5F;
    hyper.rope_scaling = ROPE_LLAMA3;
    hyper.rope_factor = 8;
    hyper.rope_original_context = 8192;
    hyper.rope_low = 1;
    hyper.rope_high = 4;
    cr_expect_float_eq(rope_frequencies(&hyper, 128, false, NULL, f), 1, 0);
    for (int i = 0; i < 64; i++) {
        double plain = pow(5e5, -i / 64.0), wave = two_pi / plain;
        if (wave < 8192 / 4.0)
            cr_expect_float_eq(f[i] / plain, 1, 1e-9, "pair %d", i);
        else if (wave > 8192)
            cr_expect_float_eq(f[i] / plain, 1 / 8.0, 1e-9, "pair %d", i);
        else
            cr_expect(f[i] < plain && f[i] > plain / 8, "pair %d", i);
    }
    /* pair 30: wave 2948.7, smooth (8192 / 2948.7 - 1) / 3 = 0.5927: 0.5927 + 0.4073 / 8 of the plain one */
    cr_expect_float_eq(f[30] / pow(5e5, -30 / 64.0), 0.6436, 2e-4, "%.6f", f[30] / pow(5e5, -30 / 64.0));
}

/* YaRN as DeepSeek-V2 and -V3 have it: factor 40, 4096 tokens, 64 values, base 10000: the ramp goes from pair
 * floor(64 ln(4096 / (32 2pi)) / (2 ln 1e4)) = 10 to ceil(... 1 ...) = 23. */
Test(exec_rope, yarn_interpolates_what_turns_less_than_once)
{
    struct hyper hyper = hyper_default();
    double f[32];
    hyper.rope_scaling = ROPE_YARN;
    hyper.rope_factor = 40;
    hyper.rope_original_context = 4096;
    cr_expect_float_eq(rope_frequencies(&hyper, 64, false, NULL, f), 0.1 * log(40) + 1, 1e-9);
    for (int i = 0; i <= 10; i++)
        cr_expect_float_eq(f[i] / pow(1e4, -i / 32.0), 1, 1e-9, "pair %d", i);
    for (int i = 23; i < 32; i++)
        cr_expect_float_eq(f[i] / pow(1e4, -i / 32.0), 1 / 40.0, 1e-9, "pair %d", i);
    double half = 6 / 13.0; /* of the ramp, at pair 16 */
    cr_expect_float_eq(f[16] / 1e-2, half / 40 + 1 - half, 1e-9);
    hyper.rope_magnitude = 1;
    cr_expect_float_eq(rope_frequencies(&hyper, 64, false, NULL, f), 1, 0);
}

Test(exec_rope, factors_divide_and_take_llama3s_place)
{
    struct hyper hyper = hyper_default();
    const float factors[] = {1, 2, 4, 8};
    double f[4];
    hyper.rope_scaling = ROPE_LLAMA3;
    hyper.rope_factor = 8;
    hyper.rope_original_context = 8192;
    hyper.rope_low = 1;
    hyper.rope_high = 4;
    rope_frequencies(&hyper, 8, false, factors, f);
    for (int i = 0; i < 4; i++)
        cr_expect_float_eq(f[i], pow(10, -i) / factors[i], 1e-12);
    hyper.rope_scaling = ROPE_LONG;
    hyper.rope_factor = 32;
    hyper.rope_original_context = 4096;
    cr_expect_float_eq(rope_frequencies(&hyper, 8, false, factors, f), 1.1902380714238083, 1e-9,
                       "Phi-3's attention factor");
}
