/* Stacks of mechanisms on whole questions: switched off they change nothing, more of them helps no less, they
 * compose, and tokens are conserved. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

struct asking {
    struct question question;
    const char *techniques[4];
    const char *settings[4];
};

static struct answer answer_of(struct asking asking)
{
    struct question *question = &asking.question;
    question->techniques.items = asking.techniques;
    question->settings.items = asking.settings;
    while (question->techniques.count < 4 && asking.techniques[question->techniques.count])
        question->techniques.count++;
    while (question->settings.count < 4 && asking.settings[question->settings.count])
        question->settings.count++;
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static struct asking on_h100(double batch)
{
    return (struct asking){.question = {.model = "llama-3.1-8b",
                                        .device = "h100-sxm",
                                        .software = "vllm",
                                        .batch = batch,
                                        .prompt = 700,
                                        .output = 120}};
}

static void expect_same(const struct answer *a, const struct answer *b)
{
    cr_expect_eq(a->ttft_s, b->ttft_s);
    cr_expect_eq(a->tpot_s, b->tpot_s);
    cr_expect_eq(a->memory.total, b->memory.total);
    cr_expect_eq(a->energy_j, b->energy_j);
}

Test(stacks, off_is_the_baseline_exactly)
{
    struct asking plain = on_h100(8), same = on_h100(8);
    same.question.weights = "bf16";
    same.question.kv = "bf16";
    same.question.activations = "bf16";
    struct answer a = answer_of(plain), b = answer_of(same);
    expect_same(&a, &b);
    /* a prefix of one sequence is shared with nobody */
    struct asking alone = on_h100(1), shared = on_h100(1);
    shared.techniques[0] = "shared-prefix";
    shared.settings[0] = "shared_prefix.prefix_tokens=64";
    a = answer_of(alone);
    b = answer_of(shared);
    cr_expect_eq(a.ttft_s, b.ttft_s);
    cr_expect_eq(a.tpot_s, b.tpot_s);
}

Test(stacks, fewer_bits_read_and_keep_less)
{
    static const char *const types[] = {"bf16", "fp8", "int4-g128", "int3-g128", "int2-g128"};
    double tpot = INFINITY, weights = INFINITY, kv = INFINITY;
    for (int i = 0; i < 5; i++) {
        struct asking asking = on_h100(1);
        asking.question.weights = types[i];
        struct answer answer = answer_of(asking);
        cr_expect(answer.tpot_s <= tpot && answer.memory.weights < weights, "%s", types[i]);
        tpot = answer.tpot_s;
        weights = answer.memory.weights;
        asking = on_h100(64);
        asking.question.kv = types[i];
        answer = answer_of(asking);
        cr_expect(answer.memory.kv < kv, "%s", types[i]);
        kv = answer.memory.kv;
    }
}

Test(stacks, acceptance_only_helps)
{
    static const char *const settings[] = {
        "speculative_decoding.acceptance=0", "speculative_decoding.acceptance=0.5",
        "speculative_decoding.acceptance=0.9", "speculative_decoding.acceptance=1"};
    double tpot = INFINITY;
    for (int i = 0; i < 4; i++) {
        struct asking asking = on_h100(4);
        asking.techniques[0] = "speculative-chain";
        asking.settings[0] = settings[i];
        struct answer answer = answer_of(asking);
        cr_expect(answer.tpot_s < tpot, "%s", settings[i]);
        tpot = answer.tpot_s;
    }
}

Test(stacks, cycles_emit_all_tokens)
{
    static const char *settings[] = {"speculative_decoding.acceptance=0.6",
                                     "speculative_decoding.draft_tokens=3"};
    static const char *techniques[] = {"speculative-chain"};
    struct question question = {.model = "llama-3.1-8b",
                                .device = "h100-sxm",
                                .batch = 1,
                                .prompt = 100,
                                .output = 301,
                                .techniques = {techniques, 1},
                                .settings = {settings, 2}};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    const struct generation *generation = &asked.resolved.deployment.generation;
    double emitted = 1 + 0.6 + 0.36 + 0.216; /* 1 + a + a^2 + a^3 */
    cr_expect(close_to(generation->tokens_per_cycle, emitted, 1e-12));
    const struct phase_cost *decode = phase_of(&asked, "decode"), *draft = phase_of(&asked, "draft");
    cr_assert(decode && draft);
    cr_expect(close_to(decode->steps * emitted, 300, 1e-9), "verifications emit every token but the first");
    cr_expect(close_to(draft->steps, 3 * decode->steps, 1e-12), "three proposals a verification");
    asked_free(&asked);
}

Test(stacks, a_longer_prefix_never_hurts)
{
    static const char *const settings[] = {"shared_prefix.prefix_tokens=1", "shared_prefix.prefix_tokens=100",
                                           "shared_prefix.prefix_tokens=400",
                                           "shared_prefix.prefix_tokens=690"};
    struct answer before = answer_of(on_h100(32));
    for (int i = 0; i < 4; i++) {
        struct asking asking = on_h100(32);
        asking.techniques[0] = "shared-prefix";
        asking.settings[0] = settings[i];
        struct answer answer = answer_of(asking);
        /* one step more than before: a few kernels' fixed costs at most */
        cr_expect(answer.ttft_s < before.ttft_s + (i == 0 ? 0.02 * before.ttft_s : 0), "%s", settings[i]);
        cr_expect(answer.memory.kv < before.memory.kv * 1.001, "%s", settings[i]);
        before = answer;
    }
}

Test(stacks, compose_with_each_other_and_with_tensor_parallelism)
{
    static const int degrees[] = {1, 2, 4};
    for (int i = 0; i < 3; i++) {
        struct asking plain = on_h100(16), stacked = on_h100(16);
        plain.question.devices = stacked.question.devices = degrees[i];
        stacked.techniques[0] = "fp8";
        stacked.techniques[1] = "shared-prefix";
        stacked.settings[0] = "shared_prefix.prefix_tokens=300";
        struct answer before = answer_of(plain), after = answer_of(stacked);
        cr_expect(after.tpot_s < before.tpot_s && after.ttft_s < before.ttft_s, "%d devices", degrees[i]);
        cr_expect(after.memory.kv < 0.6 * before.memory.kv, "%d devices", degrees[i]);
        stacked.techniques[2] =
            "speculative-chain"; /* a draft of its own: more weights, a prefill of its own */
        struct answer drafted = answer_of(stacked);
        cr_expect(drafted.memory.weights > after.memory.weights && drafted.ttft_s > after.ttft_s);
    }
    /* the order of a stack does not matter to what it does */
    struct asking one = on_h100(8), other = on_h100(8);
    one.techniques[0] = other.techniques[1] = "kv8";
    one.techniques[1] = other.techniques[0] = "weight-only-int4";
    struct answer a = answer_of(one), b = answer_of(other);
    expect_same(&a, &b);
}

static void expect_stack_refusal(struct asking asking, const char *model, const char *part)
{
    struct question *question = &asking.question;
    question->model = model;
    question->techniques.items = asking.techniques;
    question->settings.items = asking.settings;
    for (int i = 0; i < 4; i++) {
        question->techniques.count += asking.techniques[i] != NULL;
        question->settings.count += asking.settings[i] != NULL;
    }
    struct asked asked = ask(question);
    cr_expect_not(asked.ok, "expected: %s", part);
    cr_expect(strstr(diag_first_error(&asked.diag), part) != NULL, "found: %s\nexpected: %s",
              diag_first_error(&asked.diag), part);
    asked_free(&asked);
}

Test(stacks, what_makes_no_sense_is_refused)
{
    struct asking asking = on_h100(4);
    asking.techniques[0] = "fp8";
    asking.techniques[1] = "w8a8";
    expect_stack_refusal(asking, "llama-3.1-8b", "both set weight_quantization");
    asking = on_h100(4);
    asking.techniques[0] = "speculative-chain";
    expect_stack_refusal(asking, "llada-8b", "masked-diffusion");
    asking = on_h100(4);
    asking.techniques[0] = "shared-prefix";
    expect_stack_refusal(asking, "llama-3.1-8b", "shared_prefix.prefix_tokens");
    asking.settings[0] = "shared_prefix.prefix_tokens=700";
    expect_stack_refusal(asking, "llama-3.1-8b", "does not leave a token");
    asking = on_h100(4);
    asking.settings[0] = "shared_prefix.prefix_tokens=7";
    expect_stack_refusal(asking, "llama-3.1-8b", "no technique of the stack uses shared_prefix");
    asking.settings[0] = "sharedprefix.prefix_tokens=7";
    expect_stack_refusal(asking, "llama-3.1-8b", "did you mean \"shared_prefix\"");
    asking = on_h100(4);
    asking.question.weights = "int44";
    expect_stack_refusal(asking, "llama-3.1-8b", "did you mean \"int4\"");
    asking = on_h100(4);
    asking.techniques[0] = "speculative-chain";
    asking.settings[0] = "speculative_decoding.acceptance=1.5";
    expect_stack_refusal(asking, "llama-3.1-8b", "acceptance");
}
