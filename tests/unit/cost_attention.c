/* Attention: blocks against a plain loop, decode against its formula, invariants on random heads and steps.
 */
#include "cost_fixture.h"
#include "cost/prepared.h"

/* KV tokens that blocks of `tokens` pass over, and of the longest, by walking them; tiles rounded as the
 * comment in attention_prefill.c says. */
static double walked_tokens(double tokens, double tile, double n, double context, double window,
                            double *longest)
{
    double sum = 0, blocks = ceil(n / tokens), padding = fmax(tile - tokens, 0) / 2;
    double limit = window > 0 ? window + fmax(tokens, tile) : INFINITY;
    for (double i = 1; i <= blocks; i++)
        sum += fmin(context + fmin(i * tokens, n), limit);
    *longest = fmax(*longest, fmax(fmin(context + n, limit) + padding, tile));
    return fmax(sum + blocks * padding, blocks * tile);
}

/* All scalars are 2 us or 0.8 (fixture_calibrate): four fifths of the KV heads are packed. */
Test(cost_attention, prefill_against_a_walk_over_its_blocks)
{
    struct dice dice = {21};
    for (int i = 0; i < 200; i++) {
        struct fixture f;
        fixture_start(&f);
        fixture_calibrate(&f);
        double kv_heads = roll_size(&dice, 1, 8), group = pow(2, floor(4 * roll(&dice)));
        double dim = roll(&dice) < 0.5 ? 128 : 256, tile = dim == 128 ? 64 : 32;
        struct op *op = fixture_attention(&f, kv_heads * group, kv_heads, dim, "bf16");
        op->attention.window = roll(&dice) < 0.5 ? 0 : roll_size(&dice, 1, 5000);
        fixture_prepare(&f);
        double n = roll_size(&dice, 17, 9000), context = roll(&dice) < 0.5 ? 0 : roll_size(&dice, 1, 9000);
        struct op_cost cost = cost_of_segment(&f, 0, 3, n, context);
        double longest = 0, window = op->attention.window, share = group > 1 ? 0.8 : 1;
        double packed = 3 * kv_heads * share, apart = 3 * kv_heads * group * (1 - share);
        double passed = packed * walked_tokens(64 / group, tile, n, context, window, &longest) +
                        apart * walked_tokens(64, tile, n, context, window, &longest);
        double blocks = packed * ceil(n * group / 64) + apart * ceil(n / 64);
        check_close(cost.floor[RESOURCE_COMPUTE] * 312e12, passed * 64 * 4 * dim, 1e-9, "executed");
        double step =
            fmax(64 * fmax(4 * dim / (0.8 * 312e12), 20 / (0.8 * 19.5e12)), dim * 4 / 5e12 / 2) * 108;
        double busy = passed * step + blocks * (2e-6 + 64 * dim * 4 * 108 / (0.8 * 2e12));
        double tail = (2e-6 + longest * step) / 2 * fmax(1 - 108 / blocks, 0);
        double seconds = fmax(2e-6 + longest * step, busy / 108 + tail);
        double tokens = fmin(context + n, window > 0 ? window - 1 + n : INFINITY);
        double bytes = 3 * (tokens * kv_heads * dim * 4) + fmax(0, 3 * n * kv_heads * group * dim * 4 - 20e6);
        check_close(cost.time, 2e-6 + fmax(seconds, bytes / (0.8 * 2e12)), 1e-9, "time");
        fixture_end(&f);
    }
}

Test(cost_attention, prefill_of_one_token_packs_as_that_scalar_says)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    f.calibrations[FAMILY_ATTENTION_PREFILL].values[PREFILL_SINGLE] = 0.001;
    fixture_attention(&f, 32, 4, 128, "bf16");
    fixture_attention(&f, 32, 32, 128, "bf16");
    fixture_prepare(&f);
    double unit = 64 * 64 * 512 / 312e12; /* one tile of one block */
    check_close(cost_of_segment(&f, 0, 10, 1, 0).floor[RESOURCE_COMPUTE], 10 * (0.004 + 31.968) * unit, 1e-9,
                "hardly any block is shared");
    check_close(cost_of_segment(&f, 0, 10, 8, 0).floor[RESOURCE_COMPUTE], 10 * (3.2 + 6.4) * unit, 1e-9,
                "more tokens: as usual");
    check_close(cost_of_segment(&f, 1, 10, 1, 0).floor[RESOURCE_COMPUTE], 10 * 32 * unit, 1e-9,
                "nothing to share");
    fixture_end(&f);
}

Test(cost_attention, what_is_timed_with_it_comes_before_it)
{
    struct fixture f;
    fixture_start(&f);
    fixture_calibrate(&f);
    fixture_attention(&f, 8, 8, 128, "bf16");
    struct op *small = fixture_attention(&f, 8, 8, 128, "bf16"),
              *large = fixture_attention(&f, 8, 8, 128, "bf16");
    small->attention.setup_values = 100;
    small->attention.setup_bytes = 1;
    large->attention.setup_values = 8 * 128;
    large->attention.setup_bytes = 1e6;
    fixture_prepare(&f);
    struct op_cost plain = cost_of_segment(&f, 0, 4, 700, 0), slow = cost_of_segment(&f, 1, 4, 700, 0),
                   wide = cost_of_segment(&f, 2, 4, 700, 0);
    check_close(slow.time - plain.time, 2800 * 2e-6 * 100 / (108 * 2048), 1e-6, "threads");
    check_close(wide.time - plain.time, 2800 * 1e6 / (0.8 * 2e12), 1e-6, "bytes");
    check_close(wide.memory_bytes - plain.memory_bytes, 2800 * 1e6, 1e-9, "they are moved");
    check_cost(&wide, "setup");
    fixture_end(&f);
}

Test(cost_attention, more_units_of_the_same_rate_never_slow_a_prefill)
{
    struct dice dice = {27};
    for (int i = 0; i < 200; i++) {
        struct op_cost cost[2];
        double heads = roll_size(&dice, 1, 64), n = roll_size(&dice, 1, 5000),
               batch = roll_size(&dice, 1, 40);
        double more = 1 + floor(3 * roll(&dice));
        for (int j = 0; j < 2; j++) {
            struct fixture f;
            fixture_start(&f);
            fixture_calibrate(&f);
            double factor = j ? 1 + more / 108 : 1;
            f.device.units.count += j ? (int)more : 0;
            f.device.matrix[FORMAT_BF16].flops *= factor;
            f.device.vector[FORMAT_FP32].flops *= factor;
            f.tiers[0].bandwidth *= factor;
            fixture_attention(&f, heads, heads, 128, "bf16");
            fixture_prepare(&f);
            cost[j] = cost_of_segment(&f, 0, batch, n, 0);
            fixture_end(&f);
        }
        check_not_faster(cost[0].time * (1 + 1e-12), cost[1].time, "units");
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
        double step = fmax(fmax(rows * 512 / (0.8 * 312e12 / units), 512 * units / (0.8 * 5e12)),
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

/* Bytes of K rounded up to the widths that have prefill kernels of their own: 64 and up in powers of two. */
static double tile_class(double bytes)
{
    return fmax(64, exp2(ceil(log2(bytes))));
}

/* The kernels of a library on an architecture. */
static struct op *start_with_library(struct fixture *f, int kernels, const char *family, double heads,
                                     double kv_heads)
{
    fixture_start(f);
    fixture_calibrate(f);
    f->device.family = family;
    f->software.attention_kernels = kernels;
    return fixture_attention(f, heads, kv_heads, 128, "bf16");
}

Test(cost_attention, splits_by_the_libraries_rules)
{
    static const struct decode_kernel fill = {.rule = SPLIT_FILL, .slots = 2},
                                      waves = {.rule = SPLIT_WAVES, .slots = 8},
                                      even = {.rule = SPLIT_EVEN, .slots = 1};
    /* FlashAttention 2 on 108 units: 216 slots. One item: every split fills a wave better, 85% of the best
     * 128. */
    cr_expect_eq(decode_splits(&fill, 108, 1, 16), 16);
    cr_expect_eq(decode_splits(&fill, 108, 1, 1024),
                 114); /* 109 have chunks of 10 tiles, as 103 do; 114 of 9 */
    cr_expect_eq(decode_splits(&fill, 108, 173, 64), 1); /* 0.8 of the slots */
    cr_expect_eq(decode_splits(&fill, 108, 128, 4), 4);  /* 3 splits leave chunks of 2 tiles as 2 splits do */
    /* XQA: tiles, then their square root, then eight waves */
    cr_expect_eq(decode_splits(&waves, 108, 1, 4), 4);
    cr_expect_float_eq(decode_splits(&waves, 108, 1, 128), 32, 1e-12);
    cr_expect_float_eq(decode_splits(&waves, 108, 64, 16), sqrt(128), 1e-12);
    cr_expect_eq(decode_splits(&waves, 108, 64, 64), 13);
    cr_expect_float_eq(decode_splits(&even, 132, 4, 64), 30, 1e-12); /* 132 / (1.1 * 4) */
    cr_expect_eq(decode_splits(&even, 132, 4, 7), 7);
    cr_expect_eq(decode_splits(&even, 132, 200, 64), 1);
}

Test(cost_attention, flash_decode_by_hand)
{
    struct fixture f;
    start_with_library(&f, KERNELS_FLASH, "nvidia-ampere", 8, 2);
    fixture_prepare(&f);
    /* 4 sequences of 128 tokens: one tile, no split; 64 rows; queries gathered by a kernel before */
    double tile = 128 * 64 * 512 / (0.8 * 312e12 / 108), repack = 2e-6 + 2 * 4 * 8 * 128 * 4 / 5e12;
    check_close(cost_of_segment(&f, 0, 4, 1, 127).time, 2e-6 + 2e-6 + tile + repack, 1e-9, "one tile");
    check_close(cost_of_segment(&f, 0, 4, 1, 9).time, 2e-6 + 2e-6 + tile + repack, 1e-9, "a tile at least");
    /* alone nothing is gathered; 8 tiles in 8 splits of one tile */
    double merge = 2e-6 + 8 * 8 * 130 * 8 / 5e12;
    check_close(cost_of_segment(&f, 0, 1, 1, 1023).time, 2e-6 + 2e-6 + tile + merge, 1e-9, "splits");
    fixture_end(&f);
}

Test(cost_attention, library_kernels_keep_floors_and_have_no_steps_in_context)
{
    static const char *const architectures[] = {"nvidia-ampere", "nvidia-hopper", "nvidia-blackwell"};
    struct dice dice = {31};
    for (int i = 0; i < 300; i++) {
        struct fixture f;
        double kv_heads = roll_size(&dice, 1, 16), group = pow(2, floor(7 * roll(&dice)));
        struct op *op = start_with_library(&f, i % 2 ? KERNELS_FLASH : KERNELS_TRTLLM, architectures[i % 3],
                                           kv_heads * group, kv_heads);
        op->attention.window = roll(&dice) < 0.3 ? roll_size(&dice, 1, 4096) : 0;
        fixture_prepare(&f);
        double sequences = roll_size(&dice, 1, 300), context = 3500 + roll_size(&dice, 1, 100000);
        struct op_cost cost = cost_of_segment(&f, 0, sequences, 1, context);
        check_cost(&cost, "library");
        double after = cost_of_segment(&f, 0, sequences, 1, context + 1e-6).time;
        check_close(after, cost.time, 1e-6, "no step");
        fixture_end(&f);
    }
}

Test(cost_attention, one_cache_for_keys_and_values_is_read_once)
{
    struct fixture f;
    start_with_library(&f, KERNELS_TRTLLM, "nvidia-ampere", 32, 8)->attention.one_cache = true;
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    double queries = fmax(64.0 * 32 * 128 * 4 - 20e6, 0);
    double once = cost_of_segment(&f, 0, 64, 1, 8191).memory_bytes - queries;
    check_close(once, 64.0 * 8192 * 8 * 256, 1e-12, "half");
    check_close(cost_of_segment(&f, 1, 64, 1, 8191).memory_bytes - queries, 2 * once, 1e-12, "each");
    fixture_end(&f);
}

Test(cost_attention, repeated_operators_find_small_caches_on_chip)
{
    struct fixture f;
    fixture_start(&f);
    fixture_attention(&f, 32, 8, 128, "bf16");
    fixture_prepare(&f);
    f.target.repeated = f.target.residency = true;
    cr_expect_eq(cost_of_segment(&f, 0, 1, 1, 1023).memory_bytes, 0);
    double all = 16.0 * 1024 * 4096 + 16.0 * 32 * 128 * 4; /* more than 40 MB */
    check_close(cost_of_segment(&f, 0, 16, 1, 1023).memory_bytes, all, 1e-12, "does not fit");
    double some = 7.0 * 1024 * 4096 + 7.0 * 32 * 128 * 4;
    check_close(cost_of_segment(&f, 0, 7, 1, 1023).memory_bytes, 2 * some - 40e6, 1e-12, "in between");
    fixture_end(&f);
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
        double selected = 64 * roll_size(&dice, 1, 64);
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
                                 : i % 7 == 3 ? PART_INDEX
                                              : PART_FUSED;
            op->attention.v_dim = op->attention.part == PART_INDEX ? 0 : op->attention.v_dim;
            op->attention.selected = i % 7 == 4 && window <= 0 ? selected : 0;
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
        double bytes = strcmp(kv, "fp8") == 0 ? 1 : 2;
        if (tile_class(dim * bytes) == tile_class((dim + 16) * bytes)) /* else another kernel runs */
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
