/* Software that compiles a model on a cache of fixed length, and what hosts take for sequences and processes:
 * in profiles only, so that others stay as they are. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>

static struct asked asked_with(double batch, double prompt, double output, const char *first,
                               const char *second)
{
    const char *settings[2] = {first, second};
    struct question question = {.model = "llama-3.1-8b",
                                .device = "h100-sxm",
                                .software = "vllm",
                                .batch = batch,
                                .prompt = prompt,
                                .output = output,
                                .settings = {settings, (size_t)((first != NULL) + (second != NULL))}};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct answer answer_with(double batch, double prompt, double output, const char *first,
                                 const char *second)
{
    struct asked asked = asked_with(batch, prompt, output, first, second);
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

Test(static_cache, all_of_it_is_read_from_the_first_step_on)
{
    struct answer grows = answer_with(4, 500, 8001, NULL, NULL);
    struct answer fixed = answer_with(4, 500, 8001, "software.static_cache=true", NULL);
    struct answer deep = answer_with(4, 8499, 2, NULL, NULL); /* one step on 8499 tokens and its own */
    cr_expect(fixed.tpot_s > grows.tpot_s);
    cr_expect(close_to(fixed.tpot_s, deep.tpot_s, 1e-3), "%g against %g", fixed.tpot_s, deep.tpot_s);
    cr_expect_eq(fixed.ttft_s, grows.ttft_s);
    cr_expect_eq(fixed.memory.total, grows.memory.total);
}

Test(static_cache, a_mask_in_memory_hides_nothing)
{
    struct asked causal = asked_with(1, 8192, 1, NULL, NULL);
    struct asked masked = asked_with(1, 8192, 1, "software.masked_attention=true", NULL);
    const struct step_op *a = phase_op(&causal, "prefill", OP_NAME_ATTENTION, NULL);
    const struct step_op *b = phase_op(&masked, "prefill", OP_NAME_ATTENTION, NULL);
    cr_assert(a && b);
    cr_expect(close_to(b->each.flops, 2 * a->each.flops, 1e-3), "the square, not its half");
    cr_expect(b->time > 1.5 * a->time && b->time < 2.5 * a->time);
    asked_free(&causal);
    asked_free(&masked);
}

Test(static_cache, a_kernel_that_never_splits_is_slow_on_few_heads)
{
    static const char whole[] = "software.attention_kernels=whole";
    double before = 0;
    for (double prompt = 1000; prompt <= 64000; prompt *= 4) {
        struct answer split = answer_with(1, prompt, 2, NULL, NULL);
        struct answer not_split = answer_with(1, prompt, 2, whole, NULL);
        cr_expect(not_split.tpot_s >= split.tpot_s, "at %g tokens", prompt);
        cr_expect(not_split.tpot_s > before, "monotone");
        before = not_split.tpot_s;
    }
}

Test(static_cache, hosts_take_time_for_sequences_and_processes)
{
    struct answer one = answer_with(1, 100, 10, "software.async_host=false", NULL);
    struct answer many = answer_with(32, 100, 10, "software.async_host=false", NULL);
    struct answer one_more =
        answer_with(1, 100, 10, "software.async_host=false", "software.host_per_sequence=1 ms");
    struct answer many_more =
        answer_with(32, 100, 10, "software.async_host=false", "software.host_per_sequence=1 ms");
    cr_expect(close_to(one_more.tpot_s, one.tpot_s + 0.001, 1e-9));
    cr_expect(close_to(many_more.tpot_s, many.tpot_s + 0.032, 1e-9));
    struct answer alone =
        answer_with(1, 100, 10, "software.async_host=false", "software.host_per_step_parallel=5 ms");
    cr_expect_eq(alone.tpot_s, one.tpot_s, "one process");
}
