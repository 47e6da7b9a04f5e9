/* Attention: blocks against a plain loop, decode against its formula, invariants on random heads and steps.
 */
#include "cost_fixture.h"

/* Executed prefill FLOPs at one block size by walking the blocks; KV tiles of 128 rounded as the comment in
 * attention_prefill.c says. */
static double walked_flops(double rows, double group, double n, double context, double window, double dim)
{
    double tokens = rows / group, sum = 0, blocks = ceil(n / tokens);
    double padding = tokens < 128 ? (128 - tokens) / 2 : 0,
           limit = window > 0 ? window + fmax(tokens, 128) : INFINITY;
    for (double i = 1; i <= blocks; i++)
        sum += fmin(context + fmin(i * tokens, n), limit);
    return fmax(sum + blocks * padding, blocks * 128) * rows * 4 * dim;
}

Test(cost_attention, prefill_executes_whole_blocks)
{
    static const double sizes[] = {16, 32, 64, 128, 256};
    struct dice dice = {21};
    for (int i = 0; i < 200; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_calibrate(&f);
        double kv_heads = roll_size(&dice, 1, 8), group = pow(2, floor(4 * roll(&dice)));
        struct op *op = fixture_attention(&f, kv_heads * group, kv_heads, 128, "bf16");
        op->attention.window = roll(&dice) < 0.5 ? 0 : roll_size(&dice, 1, 5000);
        fixture_prepare(&f);
        double n = roll_size(&dice, 17, 9000), context = roll(&dice) < 0.5 ? 0 : roll_size(&dice, 1, 9000);
        double executed = cost_of_segment(&f, 0, 3, n, context).floor[RESOURCE_COMPUTE] * 312e12;
        bool found = false;
        for (int j = 0; j < 5; j++) {
            double walked =
                3 * kv_heads * walked_flops(sizes[j], group, n, context, op->attention.window, 128);
            found = found || fabs(executed - walked) < 1e-9 * walked;
        }
        cr_expect(found, "n %g context %g window %g group %g: %g", n, context, op->attention.window, group,
                  executed);
        fixture_end(&f);
    }
}

Test(cost_attention, long_causal_prefill_is_half_of_a_full_one)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 32, 128, "bf16");
    fixture_prepare(&f);
    struct segment causal = {.sequences = 4, .new_tokens = 32768}, full = causal;
    full.mask = MASK_FULL;
    struct op_cost a = cost_of_segments(&f, 0, &causal, 1), b = cost_of_segments(&f, 0, &full, 1);
    check_close(a.flops, 4.0 * 32 * 4 * 128 * (32768.0 * 32769 / 2), 1e-12, "pairs to the token");
    check_close(a.time / b.time, 0.5, 0.02, "half");
    check_not_faster(a.time, a.flops / 312e12, "peak");
    cr_assert_lt(a.time, 1.1 * a.flops / 312e12);
    fixture_end(&f);
}

Test(cost_attention, decode_formula_for_one_segment)
{
    struct dice dice = {23};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_calibrate(&f);
        double kv_heads = roll_size(&dice, 1, 8), group = roll_size(&dice, 1, 16);
        fixture_attention(&f, kv_heads * group, kv_heads, 128, "bf16");
        fixture_prepare(&f);
        double s = roll_size(&dice, 1, 500), context = roll_size(&dice, 1, 100000), kv = context + 1;
        double rows = ceil(group / 16) * 16, units = 108, best = INFINITY;
        double step = fmax(fmax(rows * 512 / (0.8 * 312e12 / units), 512 * units / 5e12),
                           rows * 20 / (19.5e12 / units));
        double bytes = s * kv_heads * kv * 512 + fmax(0, s * kv_heads * group * 128 * 4 - 20e6);
        for (double splits = 1; splits <= 64; splits *= 2) {
            double waves = ceil(s * kv_heads * splits / units);
            double merge = splits > 1 ? 2e-6 + splits * s * kv_heads * group * 130 * 8 / 5e12 : 0;
            best = fmin(best, fmax(waves * (kv / splits * step + 2e-6), bytes / (0.8 * 2e12)) + merge);
        }
        check_close(cost_of_segment(&f, 0, s, 1, context).time, 2e-6 + best, 1e-9, "decode");
        fixture_end(&f);
    }
}

Test(cost_attention, invariants_on_random_heads_and_steps)
{
    struct dice dice = {29};
    for (int i = 0; i < 500; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_shuffle(&f, &dice);
        double kv_heads = roll_size(&dice, 1, 16), group = pow(2, floor(6 * roll(&dice)));
        double dim = 32 * roll_size(&dice, 1, 16), window = roll(&dice) < 0.3 ? roll_size(&dice, 1, 8192) : 0;
        const char *kv = roll(&dice) < 0.3 ? "fp8" : "bf16";
        for (int j = 0; j < 3; j++) { /* as is, more heads of the same kind, wider */
            struct op *op = fixture_attention(&f, (kv_heads + (j == 1)) * group, kv_heads + (j == 1),
                                              dim + 16 * (j == 2), kv);
            op->attention.window = window;
            op->attention.prefix_once = i % 2;
            op->attention.latent = i % 5 == 0;
            op->attention.part = i % 7 == 0   ? PART_QK
                                 : i % 7 == 1 ? PART_SOFTMAX
                                 : i % 7 == 2 ? PART_PV
                                              : PART_FUSED;
        }
        fixture_prepare(&f);
        struct segment segments[3];
        int count = 1 + (int)(3 * roll(&dice));
        for (int j = 0; j < count; j++)
            segments[j] = (struct segment){.sequences = roll_size(&dice, 1, 300),
                                           .new_tokens = roll(&dice) < 0.5 ? roll_size(&dice, 1, 16)
                                                                           : roll_size(&dice, 17, 20000),
                                           .context = roll_size(&dice, 1, 200000),
                                           .prefix = roll(&dice) < 0.5 ? 0 : 200,
                                           .mask = (enum mask)(4 * roll(&dice))};
        struct op_cost cost = cost_of_segments(&f, 0, segments, count);
        check_cost(&cost, "attention");
        check_not_faster(cost_of_segments(&f, 1, segments, count).time, cost.time, "more heads");
        check_not_faster(cost_of_segments(&f, 2, segments, count).time, cost.time, "wider heads");
        int which = (int)(count * roll(&dice));
        struct segment *changed = &segments[which], before = *changed;
        changed->context += roll_size(&dice, 1, 3000);
        check_not_faster(cost_of_segments(&f, 0, segments, count).time, cost.time, "longer context");
        *changed = before;
        changed->sequences += roll_size(&dice, 1, 100);
        check_not_faster(cost_of_segments(&f, 0, segments, count).time, cost.time, "more sequences");
        *changed = before;
        changed->new_tokens += before.new_tokens > 16 ? roll_size(&dice, 1, 500) : 0;
        check_not_faster(cost_of_segments(&f, 0, segments, count).time, cost.time, "more new tokens");
        fixture_end(&f);
    }
}

Test(cost_attention, decode_bytes_are_the_kv_cache)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_attention(&f, 32, 8, 128, "bf16")->attention.window = 1024;
    struct op *latent = fixture_attention(&f, 128, 1, 576, "bf16");
    latent->attention.v_dim = 512;
    latent->attention.latent = latent->attention.mla = true;
    fixture_prepare(&f);
    double kv = 16.0 * 5000 * 2 * 8 * 128 * 2;
    check_close(cost_of_segment(&f, 0, 16, 1, 4999).bytes[BYTES_KV_READ], kv, 1e-12, "K and V once");
    check_close(cost_of_segment(&f, 1, 16, 1, 4999).bytes[BYTES_KV_READ], kv / 5000 * 1024, 1e-12,
                "the window");
    check_close(cost_of_segment(&f, 2, 16, 1, 4999).bytes[BYTES_KV_READ], 16.0 * 5000 * 576 * 2, 1e-12,
                "latent once");
    fixture_end(&f);
}

Test(cost_attention, a_shared_prefix_is_read_once)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 8, 128, "bf16")->attention.prefix_once = true;
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    struct segment segment = {.sequences = 64, .new_tokens = 1, .context = 9000, .prefix = 8000};
    struct op_cost once = cost_of_segments(&f, 0, &segment, 1), each = cost_of_segments(&f, 1, &segment, 1);
    double token = 2 * 8 * 128 * 2;
    check_close(once.bytes[BYTES_KV_READ], (8000 + 64.0 * 1001) * token, 1e-12, "once");
    check_close(each.bytes[BYTES_KV_READ], 64 * 9001.0 * token, 1e-12, "by each");
    check_close(once.flops, each.flops, 1e-12, "the same work");
    cr_assert_lt(once.time, each.time / 3);
    segment.prefix = 0;
    check_close(cost_of_segments(&f, 0, &segment, 1).time, cost_of_segments(&f, 1, &segment, 1).time, 0,
                "off");
    segment.prefix = 8000;
    segment.sequences = 1;
    check_not_faster(cost_of_segments(&f, 1, &segment, 1).time, cost_of_segments(&f, 0, &segment, 1).time,
                     "alone: never worse than plain");
    fixture_end(&f);
}

Test(cost_attention, splits_let_one_sequence_fill_the_device)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    struct op_cost cost = cost_of_segment(&f, 0, 1, 1, 131071);
    double bytes = 131072.0 * 2 * 8 * 128 * 2;
    cr_assert_lt(cost.time, 1.6 * bytes / 2e12); /* 8 heads alone would take 13 times as long */
    fixture_end(&f);
}

Test(cost_attention, decode_is_linear_in_context_between_breakpoints)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    double a = cost_of_segment(&f, 0, 64, 1, 8000).time, b = cost_of_segment(&f, 0, 64, 1, 8001).time,
           c = cost_of_segment(&f, 0, 64, 1, 8002).time;
    check_close(c - b, b - a, 1e-6, "no steps");
    cr_assert_gt(b, a);
    fixture_end(&f);
}

Test(cost_attention, one_segment_or_two_halves)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    for (int prefill = 0; prefill < 2; prefill++) {
        struct segment whole = {.sequences = 50, .new_tokens = prefill ? 700 : 1, .context = 3000};
        struct segment halves[2] = {whole, whole};
        halves[0].sequences = halves[1].sequences = 25;
        check_close(cost_of_segments(&f, 0, &whole, 1).time, cost_of_segments(&f, 0, halves, 2).time, 1e-12,
                    "halves");
    }
    fixture_end(&f);
}

Test(cost_attention, unfused_scores_go_through_memory)
{
    struct fixture f;
    fixture_start(&f);
    static const enum attention_part parts[] = {PART_QK, PART_SOFTMAX, PART_PV};
    for (int i = 0; i < 3; i++)
        fixture_attention(&f, 32, 32, 128, "bf16")->attention.part = parts[i];
    fixture_attention(&f, 32, 32, 128, "bf16");
    fixture_prepare(&f);
    double pairs = 32.0 * 4096 * 4096, unfused = 0;
    for (int i = 0; i < 3; i++)
        unfused += cost_of_segment(&f, i, 1, 4096, 0).time;
    check_close(cost_of_segment(&f, 0, 1, 4096, 0).flops, pairs * 256, 1e-12, "all pairs, mask or not");
    check_close(cost_of_segment(&f, 1, 1, 4096, 0).flops, pairs * 5, 1e-12, "five a score");
    check_close(cost_of_segment(&f, 1, 1, 4096, 0).bytes[BYTES_ACTIVATIONS], pairs * 4, 1e-12,
                "read and written");
    cr_assert_gt(unfused, 3 * cost_of_segment(&f, 3, 1, 4096, 0).time);
    fixture_end(&f);
}

Test(cost_attention, only_segments_of_its_regime)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 8, 128, "bf16")->regime = REGIME_PREFILL;
    fixture_attention(&f, 32, 8, 128, "bf16")->regime = REGIME_DECODE;
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    struct segment both[2] = {{.sequences = 2, .new_tokens = 500},
                              {.sequences = 8, .new_tokens = 1, .context = 900}};
    struct op_cost prefill = cost_of_segments(&f, 0, both, 2), decode = cost_of_segments(&f, 1, both, 2),
                   any = cost_of_segments(&f, 2, both, 2);
    check_close(any.time, prefill.time + decode.time, 1e-12, "one after the other");
    check_close(any.flops, prefill.flops + decode.flops, 1e-12, "flops");
    cr_assert_eq(cost_of_segments(&f, 1, both, 1).time, 0);
    cr_assert_eq(cost_of_segments(&f, 0, both + 1, 1).time, 0);
    cr_assert(cost_follows_context(f.prepared, 0));
    fixture_end(&f);
}

Test(cost_attention, extreme_steps_stay_finite)
{
    static const double tokens[] = {1, 16, 1e5, 1e9}, contexts[] = {0, 1, 1e9}, counts[] = {0.01, 1, 1e9};
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    fixture_attention(&f, 128, 1, 576, "fp8");
    fixture_attention(&f, 1, 1, 1, "bf16")->attention.window = 1;
    fixture_prepare(&f);
    for (int op = 0; op < 2; op++)
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 3; b++)
                for (int c = 0; c < 3; c++) {
                    struct op_cost cost = cost_of_segment(&f, op, counts[c], tokens[a], contexts[b]);
                    check_cost(&cost, "extreme");
                    cr_assert(cost.time > 0);
                }
    fixture_end(&f);
}
