/* low_bit_gemm in whole estimates: off is the baseline, it composes, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *const techniques[] = {SOURCE_DIR "/tests/data/low-bit-gemm.yaml"};

static struct question low_bit(const char *device, const char *weights, const char *kernel)
{
    static const char *settings[8][1];
    static char texts[8][64];
    static int next;
    int at = next++ % 8;
    snprintf(texts[at], sizeof texts[at], "low_bit_gemm.kernel=%s", kernel);
    settings[at][0] = texts[at];
    return (struct question){.model = "llama-2-7b",
                             .device = device,
                             .weights = weights,
                             .batch = 1,
                             .prompt = 256,
                             .output = 8,
                             .techniques = {(const char **)techniques, 1},
                             .settings = {settings[at], 1}};
}

Test(mechanism_low_bit, off_is_the_baseline_exactly)
{
    static const char *const devices[] = {"a100-80gb-sxm", "raspberry-pi-5", "a100-lut-4x"};
    for (int i = 0; i < 3; i++) {
        struct question off = low_bit(devices[i], "int4-g128", "dequantize"), plain = off;
        plain.techniques.count = plain.settings.count = 0;
        struct answer a = answer_to(&off), b = answer_to(&plain);
        cr_expect_float_eq(a.ttft_s, b.ttft_s, 0);
        cr_expect_float_eq(a.tpot_s, b.tpot_s, 0);
        cr_expect_float_eq(a.energy_j, b.energy_j, 0);
        cr_expect_float_eq(a.memory.total, b.memory.total, 0);
    }
}

Test(mechanism_low_bit, best_is_no_slower_than_any_kernel)
{
    static const char *const kernels[] = {"dequantize", "lookup", "expand-first"};
    static const char *const devices[] = {"a100-80gb-sxm", "raspberry-pi-5", "h100-lut-8x"};
    for (int d = 0; d < 3; d++) {
        struct question best = low_bit(devices[d], "int2-g64", "best");
        struct answer fastest = answer_to(&best);
        for (int k = 0; k < 3; k++) {
            struct question one = low_bit(devices[d], "int2-g64", kernels[k]);
            struct answer answer = answer_to(&one);
            cr_expect(fastest.ttft_s <= answer.ttft_s * (1 + 1e-12), "%s %s", devices[d], kernels[k]);
            cr_expect(fastest.tpot_s <= answer.tpot_s * (1 + 1e-12), "%s %s", devices[d], kernels[k]);
        }
    }
}

Test(mechanism_low_bit, fewer_bits_and_more_ranks_are_faster)
{
    struct question two = low_bit("raspberry-pi-5", "int2-g128", "lookup");
    struct question four = low_bit("raspberry-pi-5", "int4-g128", "lookup");
    cr_expect_lt(answer_to(&two).tpot_s, answer_to(&four).tpot_s);
    struct question one = low_bit("a100-80gb-sxm", "int4-g128", "lookup"), ranks = one;
    ranks.devices = 4;
    ranks.parallel.tp = 4;
    double alone = answer_to(&one).ttft_s, shared = answer_to(&ranks).ttft_s;
    cr_expect(shared < alone / 3 && shared > alone / 5, "%g against %g", shared, alone);
}

Test(mechanism_low_bit, bit_planes_take_the_activations_type)
{
    struct question question = low_bit("a100-80gb-sxm", "int2", "bit-serial");
    expect_refusal(question, "no bit planes");
    question.activations = "int8";
    double eight = answer_to(&question).ttft_s;
    question.activations = "int4";
    cr_expect_lt(answer_to(&question).ttft_s, eight);
    question.device = "h100-sxm";
    expect_refusal(question, "no matrix units for 1-bit operands");
}

Test(mechanism_low_bit, expanded_weights_take_memory)
{
    struct question expanded = low_bit("a100-80gb-sxm", "int4-g128", "expand-first");
    struct question looked_up = low_bit("a100-80gb-sxm", "int4-g128", "lookup");
    double more = answer_to(&expanded).memory.total - answer_to(&looked_up).memory.total;
    cr_expect(more >= 2.0 * 4096 * 11008, "%g", more);
}

Test(mechanism_low_bit, what_makes_no_sense_is_refused)
{
    struct question wide = low_bit("a100-80gb-sxm", "bf16", "lookup");
    expect_refusal(wide, "no linear layer has integer weights");
    struct question unknown = low_bit("rk3588", "int4-g128", "lookup");
    expect_refusal(unknown, "no rate of look-ups");
    struct question table = low_bit("a100-80gb-sxm", "int4-g128", "lookup");
    const char *settings[] = {"low_bit_gemm.table=int4"};
    table.settings = (struct string_list){settings, 1};
    expect_refusal(table, "expected int8, fp16, bf16 or fp32");
}
