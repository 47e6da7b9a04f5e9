/* Mechanisms of prompts on whole questions: token_pruning, prompt_compression, multimodal_tokens, batching,
 * paged_memory, decode_elimination and the segments and groups of shared_prefix. Off they are the baseline,
 * more of them helps no less, they compose, tokens are conserved, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { LISTED = 6 };

struct asking {
    struct question question;
    const char *techniques[LISTED];
    const char *settings[LISTED];
};

static void take_lists(struct asking *asking)
{
    struct question *question = &asking->question;
    question->techniques.items = asking->techniques;
    question->settings.items = asking->settings;
    while (question->techniques.count < LISTED && asking->techniques[question->techniques.count])
        question->techniques.count++;
    while (question->settings.count < LISTED && asking->settings[question->settings.count])
        question->settings.count++;
}

static struct asked asked_of(struct asking *asking)
{
    take_lists(asking);
    struct asked asked = ask(&asking->question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct answer answer_of(struct asking asking)
{
    struct asked asked = asked_of(&asking);
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static void expect_refused(struct asking asking, const char *reason)
{
    take_lists(&asking);
    struct asked asked = ask(&asking.question);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", reason);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}

static void expect_same(struct asking a, struct asking b)
{
    struct answer with = answer_of(a), without = answer_of(b);
    cr_expect_float_eq(with.ttft_s, without.ttft_s, 0);
    cr_expect_float_eq(with.latency_s, without.latency_s, 0);
    cr_expect_float_eq(with.energy_j, without.energy_j, 0);
    cr_expect_float_eq(with.memory.total, without.memory.total, 0);
}

static struct asking llama(double batch, double prompt, double output)
{
    return (struct asking){.question = {.model = "llama-3.1-8b",
                                        .device = "h100-sxm",
                                        .software = "vllm",
                                        .batch = batch,
                                        .prompt = prompt,
                                        .output = output}};
}

static struct asking with(struct asking asking, const char *technique, const char *setting)
{
    asking.techniques[0] = technique;
    asking.settings[0] = setting;
    return asking;
}

/* ---- off is the baseline ---- */

Test(mechanism_prompts, off_is_the_baseline_exactly)
{
    struct asking plain = llama(4, 700, 20), off = with(plain, "lazyllm", "token_pruning.schedule=0.3:1");
    expect_same(off, plain);
    off = with(plain, "refrag", "prompt_compression.chunk_tokens=1");
    expect_same(off, plain);
    off = with(plain, "aim", "multimodal_tokens.images=0");
    off.settings[1] = "token_pruning.schedule=0.5:1";
    off.settings[2] = "token_pruning.visual_only=false";
    expect_same(off, plain);
    off = with(plain, "prepacking", "batching.layout=ragged");
    expect_same(off, plain);
    off = with(plain, "vattention", "paged_memory.layout=paged"); /* of 16 tokens, as vLLM's are */
    expect_same(off, plain);
    off = with(plain, "kvcomm", "shared_prefix.hit_rate=0");
    expect_same(off, plain);
    struct asking one = llama(4, 700, 1);
    off = with(one, "blockrank", "shared_prefix.segment_tokens=0");
    off.settings[1] = "shared_prefix.hit_rate=0";
    off.techniques[0] = "blockrank";
    struct answer scored = answer_of(off), plain_one = answer_of(one);
    cr_expect_leq(scored.ttft_s, plain_one.ttft_s, "a reused prefix of 64 tokens");
}

/* Several prompts in rows of the longest: only where they differ. */
Test(mechanism_prompts, equal_prompts_are_not_packed)
{
    struct asking plain = llama(4, 700, 5);
    plain.question.software = "hf-eager";
    expect_same(with(plain, "prepacking", NULL), plain);
}

/* ---- more is never worse ---- */

Test(mechanism_prompts, fewer_tokens_in_the_deep_layers_cost_less)
{
    static const char *const schedules[] = {"token_pruning.schedule=0.3:1", "token_pruning.schedule=0.3:0.7",
                                            "token_pruning.schedule=0.3:0.7 0.6:0.3",
                                            "token_pruning.schedule=0.3:0.2 0.6:0.1"};
    struct answer last = {.ttft_s = INFINITY, .tpot_s = INFINITY, .memory.kv = INFINITY};
    for (int i = 0; i < 4; i++) {
        struct answer answer = answer_of(with(llama(2, 6000, 50), "lazyllm", schedules[i]));
        cr_expect_lt(answer.ttft_s, last.ttft_s);
        cr_expect_leq(answer.tpot_s, last.tpot_s);
        cr_expect_lt(answer.memory.kv, last.memory.kv);
        last = answer;
    }
}

Test(mechanism_prompts, tokens_that_come_back_cost_and_are_kept)
{
    static const char *const shares[] = {"token_pruning.computed_at_last=0",
                                         "token_pruning.computed_at_last=0.6",
                                         "token_pruning.computed_at_last=1"};
    struct answer plain = answer_of(llama(1, 6000, 50)), last = {0};
    for (int i = 0; i < 3; i++) {
        struct answer answer = answer_of(with(llama(1, 6000, 50), "lazyllm", shares[i]));
        cr_expect_gt(answer.tpot_s, last.tpot_s);
        cr_expect_gt(answer.memory.kv, last.memory.kv);
        cr_expect_lt(answer.ttft_s, plain.ttft_s);
        last = answer;
    }
    cr_expect(close_to(last.memory.kv, plain.memory.kv, 1e-9), "all tokens are back at the end");
}

Test(mechanism_prompts, longer_chunks_and_cached_embeddings_are_faster)
{
    static const char *const chunks[] = {"prompt_compression.chunk_tokens=1",
                                         "prompt_compression.chunk_tokens=4",
                                         "prompt_compression.chunk_tokens=16"};
    double last = INFINITY;
    for (int i = 0; i < 3; i++) {
        double ttft = answer_of(with(llama(1, 16000, 5), "refrag", chunks[i])).ttft_s;
        cr_expect_lt(ttft, last);
        last = ttft;
    }
    struct asking online = with(llama(1, 16000, 5), "refrag", "prompt_compression.cached=false");
    struct asked asked = asked_of(&online);
    const struct phase_cost *encoder = phase_of(&asked, "encoder");
    cr_assert_not_null(encoder);
    cr_expect(close_to(asked.answer.ttft_s, last + encoder->time_s, 1e-9), "the encoder's time comes on top");
    asked_free(&asked);
}

Test(mechanism_prompts, cached_segments_are_not_computed)
{
    static const char *const shares[] = {"shared_prefix.segments_cached=0",
                                         "shared_prefix.segments_cached=0.5",
                                         "shared_prefix.segments_cached=1"};
    double last = answer_of(llama(1, 8000, 5)).ttft_s;
    for (int i = 0; i < 3; i++) {
        struct asking asking = with(llama(1, 8000, 5), "kvcomm", shares[i]);
        asking.settings[1] = "shared_prefix.moved=0";
        asking.settings[2] = "shared_prefix.match_s=0 s";
        double ttft = answer_of(asking).ttft_s;
        cr_expect_lt(ttft, last);
        last = ttft;
    }
}

Test(mechanism_prompts, more_prefixes_share_less)
{
    static const char *const groups[] = {"shared_prefix.groups=1", "shared_prefix.groups=4",
                                         "shared_prefix.groups=32"};
    struct answer last = {0};
    for (int i = 0; i < 3; i++) {
        struct asking asking = with(llama(32, 4100, 50), "hydragen", "shared_prefix.prefix_tokens=4096");
        asking.settings[1] = groups[i];
        struct answer answer = answer_of(asking);
        cr_expect_gt(answer.tpot_s, last.tpot_s);
        cr_expect_gt(answer.memory.kv, last.memory.kv);
        cr_expect_gt(answer.ttft_s, last.ttft_s);
        last = answer;
    }
    struct answer plain = answer_of(llama(32, 4100, 50));
    cr_expect(close_to(last.memory.kv, plain.memory.kv, 1e-9), "a prefix for each sequence is none");
}

Test(mechanism_prompts, a_tree_stores_each_text_of_each_level_once)
{
    struct asking tree = with(llama(32, 4100, 50), "hydragen", "shared_prefix.levels=2048:1 1024:4 512:16");
    struct answer answer = answer_of(tree);
    double page = 16, token = 32 * 2 * 8 * 128 * 2, own = 4100 + 49 - 3584;
    double tokens = 2048 + 4 * 1024 + 16 * 512 + 32 * ceil(own / page) * page;
    cr_expect(close_to(answer.memory.kv, tokens * token, 1e-9), "%g", answer.memory.kv / token);
    struct asking one = with(llama(32, 4100, 50), "hydragen", "shared_prefix.levels=3584:1"),
                  same = with(llama(32, 4100, 50), "hydragen", "shared_prefix.prefix_tokens=3584");
    expect_same(one, same);
    expect_refused(with(llama(32, 4100, 50), "hydragen", "shared_prefix.levels=2048:4 1024:1"),
                   "TOKENS:TEXTS");
}

Test(mechanism_prompts, what_is_reserved_grows_from_pages_to_the_longest)
{
    static const char *const layouts[] = {"paged_memory.layout=paged", "paged_memory.layout=virtual",
                                          "paged_memory.layout=contiguous"};
    double last = 0;
    for (int i = 0; i < 3; i++) {
        struct asking asking = with(llama(8, 700, 20), "vattention", layouts[i]);
        asking.settings[1] = "paged_memory.max_tokens=8192";
        asking.settings[2] = "paged_memory.page_bytes=2 MiB";
        double kv = answer_of(asking).memory.kv;
        cr_expect_gt(kv, last);
        last = kv;
    }
    double token = 32 * 2 * 8 * 128 * 2; /* layers, K and V, heads, values, bytes */
    cr_expect_float_eq(last, 8 * 8192 * token, 1);
}

Test(mechanism_prompts, slower_kernels_for_pages_slow_long_prompts_only)
{
    struct asking slow = with(llama(1, 60000, 5), "vattention", "paged_memory.prefill_slowdown=1.4");
    struct answer fast = answer_of(with(llama(1, 60000, 5), "vattention", NULL)), paged = answer_of(slow);
    cr_expect_gt(paged.ttft_s, 1.1 * fast.ttft_s);
    cr_expect_lt(paged.ttft_s, 1.4 * fast.ttft_s);
    cr_expect_float_eq(paged.tpot_s, fast.tpot_s, 0);
}

Test(mechanism_prompts, packed_prompts_cost_less_than_padded_and_more_than_ragged)
{
    struct asking padded = llama(64, 0, 1);
    padded.question.software = "hf-eager";
    padded.question.workload = "mmlu";
    struct asking packed = with(padded, "prepacking", NULL),
                  ragged = with(padded, "prepacking", "batching.layout=ragged");
    double slow = answer_of(padded).ttft_s, middle = answer_of(packed).ttft_s,
           fast = answer_of(ragged).ttft_s;
    cr_expect_lt(middle, slow);
    cr_expect_lt(fast, middle);
}

Test(mechanism_prompts, eager_softmax_takes_time_and_memory)
{
    struct asking fused = llama(1, 8000, 2), eager = llama(1, 8000, 2);
    fused.question.software = "hf-eager";
    eager.question.software = "hf-eager-attention";
    struct answer a = answer_of(fused), b = answer_of(eager);
    cr_expect_gt(b.ttft_s, a.ttft_s);
    cr_expect_geq(b.memory.activations - a.memory.activations, 32.0 * 8000 * 8000 * 10);
}

/* ---- images ---- */

static struct asking llava(const char *setting)
{
    struct asking asking = {
        .question = {
            .model = "llava-1.5-7b", .device = "a100-80gb-sxm", .batch = 2, .prompt = 64, .output = 10}};
    return with(asking, "fopru", setting);
}

Test(mechanism_prompts, images_bring_tokens_and_a_tower)
{
    struct asking whole = llava("multimodal_tokens.kept=1"), half = llava("multimodal_tokens.kept=0.5");
    struct asked all = asked_of(&whole), fewer = asked_of(&half);
    cr_expect_eq(all.resolved.request.prompt[0], 64 + 576);
    cr_expect_eq(fewer.resolved.request.prompt[0], 64 + 288);
    cr_expect_lt(fewer.answer.ttft_s, all.answer.ttft_s);
    cr_expect_lt(fewer.answer.memory.kv, all.answer.memory.kv);
    const struct phase_cost *a = phase_of(&all, "vision tower"), *b = phase_of(&fewer, "vision tower");
    cr_assert(a && b);
    cr_expect_eq(a->flops, b->flops, "the tower sees every patch");
    double linear = 2 * 23.0 * (4 * 1024.0 * 1024 + 2 * 1024 * 4096) * 2 * 577;
    cr_expect_geq(a->flops, linear);
    cr_expect_leq(a->flops, 1.1 * linear);
    asked_free(&all);
    asked_free(&fewer);
}

Test(mechanism_prompts, decoding_beside_the_prefill_hides_the_shorter_of_both)
{
    struct asking video = llava("multimodal_tokens.images=5");
    video.settings[1] = "multimodal_tokens.decode_s=100 ms";
    struct asking plain = llava("multimodal_tokens.images=5");
    double alone = answer_of(plain).ttft_s, serial = answer_of(video).ttft_s;
    cr_expect(close_to(serial, alone + 2 * 5 * 0.1, 1e-9), "%g after %g", serial, alone);
    video.settings[2] = "multimodal_tokens.group_images=1";
    double overlapped = answer_of(video).ttft_s;
    cr_expect_lt(overlapped, serial);
    cr_expect_geq(overlapped, 2 * 5 * 0.1);
}

Test(mechanism_prompts, dropped_images_leave_the_text)
{
    struct asking video = {
        .question = {.model = "qwen2-7b", .device = "a100-80gb-sxm", .prompt = 64, .output = 2}};
    video = with(video, "aim", "token_pruning.schedule=0.5:0");
    struct asked asked = asked_of(&video);
    const struct op *op;
    const struct step_op *down = phase_op(&asked, "prefill", "down_proj", &op);
    cr_assert_not_null(down);
    double rows = 14 * (64 + 1568) + 14 * 64.0; /* of 28 layers half see the text alone */
    cr_expect(close_to(down->count * down->each.flops, 2 * rows * op->gemm.n * op->gemm.k, 1e-9));
    asked_free(&asked);
}

/* ---- tokens are conserved ---- */

static double prefill_rows(struct asking asking)
{
    struct asked asked = asked_of(&asking);
    const struct op *op;
    const struct step_op *down = phase_op(&asked, "prefill", "down_proj", &op);
    double rows = down->count * down->each.flops / (2 * op->gemm.n * op->gemm.k);
    asked_free(&asked);
    return rows;
}

Test(mechanism_prompts, segments_are_as_many_tokens_as_the_prompt)
{
    struct asking plain = llama(1, 8032, 1);
    struct asking parts = with(plain, "blockrank", "shared_prefix.prefix_tokens=64");
    cr_expect(close_to(prefill_rows(parts), prefill_rows(plain), 1e-9));
}

Test(mechanism_prompts, segments_of_many_lengths_share_a_step)
{
    struct asking agents = llama(8, 0, 20);
    agents.question.workload = "agent";
    agents = with(agents, "kvcomm", "workload.shared_prefix=0");
    double cached = answer_of(agents).ttft_s;
    agents.settings[1] = "shared_prefix.segments_cached=0.5";
    agents.settings[2] = "shared_prefix.recomputed=0.1";
    cr_expect_lt(cached, answer_of(agents).ttft_s);
    agents.settings[3] = "shared_prefix.hit_rate=0.5";
    cr_expect_lt(cached, answer_of(agents).ttft_s);
}

Test(mechanism_prompts, layers_see_their_share_of_the_prompt)
{
    double all = prefill_rows(llama(1, 8000, 1)); /* 32 layers: 10 see all, 10 seven tenths ... */
    double some = prefill_rows(with(llama(1, 8000, 1), "lazyllm", NULL));
    double share = (10 + 10 * 0.7 + 9 * 0.49 + 3 * 0.343) / 32;
    cr_expect(close_to(some, share * all, 1e-6), "%g of %g, expected %g", some, all, share);
}

/* ---- stacks ---- */

Test(mechanism_prompts, they_compose_with_quantisation_and_tensor_parallelism)
{
    static const char *const names[] = {"lazyllm", "refrag", "blockrank", "kvcomm", "vattention"};
    for (int i = 0; i < 5; i++) {
        struct asking alone = with(llama(4, 4000, 20), names[i], NULL), narrow = alone, wide = alone;
        narrow.question.weights = "int4-g128";
        wide.question.devices = 2;
        struct answer one = answer_of(alone), small = answer_of(narrow), two = answer_of(wide);
        cr_expect_lt(small.memory.weights, one.memory.weights, "%s", names[i]);
        cr_expect_lt(two.memory.weights, one.memory.weights, "%s", names[i]);
        cr_expect_leq(small.latency_s, 1.2 * one.latency_s, "%s", names[i]);
    }
}

Test(mechanism_prompts, what_makes_no_sense_is_refused)
{
    struct asking plain = llama(2, 2000, 10);
    expect_refused(with(plain, "lazyllm", "token_pruning.schedule=0.3"), "DEPTH:SHARE");
    expect_refused(with(plain, "lazyllm", "token_pruning.schedule=0.3:0.5 0.2:0.4"), "depths grow");
    expect_refused(with(plain, "lazyllm", "token_pruning.schedule=0.3:0.5 0.6:0.7"), "shares fall");
    expect_refused(with(plain, "lazyllm", "token_pruning.schedule=0.3:1.5"), "from 0 to 1");
    expect_refused(with(plain, "lazyllm", "token_pruning.visual_only=true"), "no visual tokens");
    expect_refused(with(plain, "hired", NULL), "no vision tower");
    struct asking reserved = with(plain, "vattention", "paged_memory.layout=contiguous");
    reserved.settings[1] = "paged_memory.max_tokens=2000";
    expect_refused(reserved, "reserved");
    struct asking both = with(plain, "lazyllm", NULL);
    both.techniques[1] = "kvcomm";
    expect_refused(both, "drop");
    struct asking exits = with(plain, "lazyllm", NULL);
    exits.techniques[1] = "blockrank";
    expect_refused(exits, "drop");
    struct asking recurrent = with(plain, "lazyllm", NULL);
    recurrent.question.model = "mamba-2.8b";
    expect_refused(recurrent, "recurrent");
    struct asking diffusion = with(plain, "lazyllm", NULL);
    diffusion.question.model = "llada-8b";
    expect_refused(diffusion, "masked-diffusion");
}

Test(mechanism_prompts, scores_need_no_decode_and_not_all_layers)
{
    struct asking scored = with(llama(1, 8032, 40), "blockrank", "decode_elimination.exit_depth=0.5");
    scored.settings[1] = "shared_prefix.hit_rate=0";
    struct asked asked = asked_of(&scored);
    cr_expect_float_eq(asked.answer.latency_s, asked.answer.ttft_s, 0);
    cr_expect_lt(prefill_rows(scored), 0.51 * prefill_rows(llama(1, 8032, 1)));
    cr_expect(!phase_op(&asked, "prefill", "lm_head", NULL) ||
              phase_op(&asked, "prefill", "lm_head", NULL)->count == 0);
    asked_free(&asked);
}
