/* Prefill against its steps costed one by one: chunks, padding, cached and shared parts, strata. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct question llama(double batch, double prompt)
{
    return (struct question){.model = "llama-3.1-8b",
                             .device = "h100-sxm",
                             .software = "vllm",
                             .batch = batch,
                             .prompt = prompt,
                             .output = 1};
}

static struct asked answered_with(struct question *question, const char *const *settings, size_t count)
{
    question->settings = (struct string_list){(const char **)settings, count};
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}
#define WITH(question, ...)                                                                                  \
    answered_with(question, (const char *const[]){__VA_ARGS__},                                              \
                  sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

/* The answer for prompts of a distribution, given as YAML in a workload file of its own. */
static struct asked answered_for(const char *prompt, const char *software, double batch)
{
    char path[] = "/tmp/rafter-workload-XXXXXX.yaml";
    int descriptor = mkstemps(path, 5);
    FILE *file = fdopen(descriptor, "w");
    fprintf(file, "name: Test\nbatch: 1\nprompt: %s\noutput: 4\n", prompt);
    fclose(file);
    struct question question = {.model = "llama-3.1-8b",
                                .device = "h100-sxm",
                                .software = software,
                                .workload = path,
                                .batch = batch};
    struct asked asked = ask(&question);
    unlink(path);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static const struct plan *plan_of(const struct asked *asked)
{
    return asked->resolved.deployment.pools[0].plans[0];
}

static double step_time(struct asked *asked, const struct segment *segments, int count)
{
    const struct plan *plan = plan_of(asked);
    struct step_cost cost = {.ops = ARENA_ARRAY(asked->arena, struct step_op, (size_t)plan->graph.op_count)};
    struct step step = {.count = count};
    memcpy(step.segments, segments, (size_t)count * sizeof *segments);
    plan_step(plan, &step, false, &cost);
    return cost.time;
}

static void expect_prefill(const struct asked *asked, double expected)
{
    double prefill = asked->answer.ttft_s - plan_of(asked)->software->host_per_request;
    cr_expect(close_to(prefill, expected, 1e-9), "%.12g against %.12g", prefill, expected);
}

Test(prefill, a_long_prompt_is_the_sum_of_its_chunks)
{
    struct question question = llama(2, 2300);
    struct asked asked = WITH(&question, "software.prefill_chunk_tokens=1000");
    /* the rests of both prompts, 300 tokens each, share a step; then two full chunks of each */
    struct segment part = {.sequences = 2, .new_tokens = 300};
    double sum = step_time(&asked, &part, 1);
    part = (struct segment){.sequences = 1, .new_tokens = 1000, .context = 300};
    sum += 2 * step_time(&asked, &part, 1);
    part.context = 1300;
    part.sampled = 1;
    sum += 2 * step_time(&asked, &part, 1);
    expect_prefill(&asked, sum);
    cr_expect_float_eq(phase_of(&asked, "prefill")->steps, 5, 0);
    /* logits of the last token only */
    const struct step_op *head = phase_op(&asked, "prefill", OP_NAME_LM_HEAD, NULL);
    cr_assert(head != NULL);
    cr_expect(close_to(head->count * head->each.flops, 2 * 2.0 * 4096 * 128256, 1e-9), "%g x %g", head->count,
              head->each.flops);
    asked_free(&asked);
}

Test(prefill, many_chunks_sum_as_if_one_by_one)
{
    static const char *const models[] = {"llama-3.1-8b", "mistral-7b", "gemma-3-27b"};
    for (int m = 0; m < 3; m++)
        for (double rest = 0; rest < 900; rest += 300) {
            struct question question = llama(2, 29 * 1000 + rest);
            question.model = models[m];
            struct asked asked = WITH(&question, "software.prefill_chunk_tokens=1000");
            struct segment part = {.sequences = 2, .new_tokens = rest};
            double sum = rest > 0 ? (rest > 500 ? 2 : 1) : 0;
            part.sequences = rest > 500 ? 1 : 2;
            sum = rest > 0 ? sum * step_time(&asked, &part, 1) : 0;
            part = (struct segment){.sequences = 1, .new_tokens = 1000};
            for (int i = 0; i < 29; i++) {
                part.context = rest + i * 1000;
                part.sampled = i == 28;
                sum += 2 * step_time(&asked, &part, 1);
            }
            double prefill = phase_of(&asked, "prefill")->time_s;
            cr_expect(close_to(prefill, sum, 1e-3), "%s, rest %g: %g against %g (%+.3f%%)", models[m], rest,
                      prefill, sum, 100 * (prefill / sum - 1));
            cr_expect(close_to(phase_of(&asked, "prefill")->steps, (rest > 0 ? (rest > 500 ? 2 : 1) : 0) + 58,
                               1e-9));
            asked_free(&asked);
        }
}

Test(prefill, whole_chunks_leave_no_rest)
{
    struct question question = llama(1, 2000);
    struct asked asked = WITH(&question, "software.prefill_chunk_tokens=1000");
    struct segment part = {.sequences = 1, .new_tokens = 1000};
    double sum = step_time(&asked, &part, 1);
    part.context = 1000;
    part.sampled = 1;
    expect_prefill(&asked, sum + step_time(&asked, &part, 1));
    asked_free(&asked);
}

Test(prefill, chunking_conserves_work)
{
    struct question question = llama(3, 5000);
    struct asked whole = WITH(&question, "software.prefill_chunk_tokens=1000000");
    struct asked cut = WITH(&question, "software.prefill_chunk_tokens=700");
    const struct phase_cost *a = phase_of(&whole, "prefill"), *b = phase_of(&cut, "prefill");
    cr_expect(close_to(a->flops, b->flops, 2e-3), "%g against %g", a->flops, b->flops);
    cr_expect(b->bytes > a->bytes, "every chunk reads the weights and the cache again");
    cr_expect(cut.answer.ttft_s > whole.answer.ttft_s);
    cr_expect(cut.answer.memory.activations < 0.06 * whole.answer.memory.activations);
    asked_free(&whole);
    asked_free(&cut);
}

Test(prefill, short_prompts_share_steps)
{
    struct question question = llama(10, 300);
    struct asked asked = WITH(&question, "software.prefill_chunk_tokens=1000");
    struct segment part = {.sequences = 10.0 / 3, .new_tokens = 300, .sampled = 1};
    expect_prefill(&asked, 3 * step_time(&asked, &part, 1)); /* 3000 tokens in chunks of 1000 */
    asked_free(&asked);
}

Test(prefill, each_attention_group_has_its_own_chunk)
{
    struct question question = llama(8, 1000);
    question.devices = 4;
    question.parallel = (struct parallelism){.tp = 1, .dp = 4};
    struct asked asked = WITH(&question, "software.prefill_chunk_tokens=1000");
    struct segment part = {.sequences = 4, .new_tokens = 1000, .sampled = 1};
    expect_prefill(&asked, 2 * step_time(&asked, &part, 1));
    asked_free(&asked);
    struct asked longer = WITH(&question, "software.prefill_chunk_tokens=500");
    part = (struct segment){.sequences = 4, .new_tokens = 500};
    double sum = 2 * step_time(&longer, &part, 1);
    part.context = 500;
    part.sampled = 1;
    expect_prefill(&longer, sum + 2 * step_time(&longer, &part, 1));
    asked_free(&longer);
}

Test(prefill, cached_tokens_are_not_computed)
{
    struct question question = llama(4, 1000);
    question.workload = "chat";
    struct asked asked = WITH(&question, "workload.cached_fraction=0.6", "workload.shared_prefix=0");
    struct segment part = {.sequences = 4, .new_tokens = 400, .context = 600, .sampled = 1};
    expect_prefill(&asked, step_time(&asked, &part, 1));
    asked_free(&asked);
    asked = WITH(&question, "workload.cached_fraction=1", "workload.shared_prefix=0");
    part = (struct segment){.sequences = 4, .new_tokens = 1, .context = 999, .sampled = 1};
    expect_prefill(&asked, step_time(&asked, &part, 1)); /* the last token's logits are needed all the same */
    asked_free(&asked);
}

Test(prefill, a_shared_prefix_is_computed_once)
{
    struct question question = llama(4, 1000);
    const char *technique = "shared-prefix";
    question.techniques = (struct string_list){&technique, 1};
    struct asked asked = WITH(&question, "shared_prefix.prefix_tokens=900");
    struct segment parts[] = {
        {.sequences = 1, .new_tokens = 1000, .sampled = 1},
        {.sequences = 3, .new_tokens = 100, .context = 900, .prefix = 900, .sampled = 1}};
    expect_prefill(&asked, step_time(&asked, parts, 2));
    /* 1000 + 3 x 100 tokens of linear layers rather than 4000 */
    const struct step_op *op = phase_op(&asked, "prefill", OP_NAME_DOWN_PROJ, NULL);
    cr_assert(op != NULL);
    cr_expect(close_to(op->each.flops, 2.0 * 1300 * 4096 * 14336, 1e-9));
    asked_free(&asked);
    asked = WITH(&question, "shared_prefix.prefix_tokens=900", "shared_prefix.cached=true");
    parts[1].sequences = 4;
    expect_prefill(&asked, step_time(&asked, &parts[1], 1));
    asked_free(&asked);
}

Test(prefill, a_shared_prefix_takes_its_full_pages_once)
{
    struct question question = llama(4, 1000);
    const char *technique = "shared-prefix";
    question.techniques = (struct string_list){&technique, 1};
    struct asked asked = WITH(&question, "shared_prefix.prefix_tokens=900");
    double token = 32 * 2 * 8 * 128 * 2; /* layers x K and V x heads x dim x bytes */
    /* pages of 16: 56 are full of the prefix, each sequence has its own 104 tokens in 7 */
    cr_expect(close_to(asked.answer.memory.kv, token * 16 * (56 + 4 * 7), 1e-12), "%g",
              asked.answer.memory.kv / token / 16);
    asked_free(&asked);
}

Test(prefill, padded_prompts_all_run_at_the_longest)
{
    struct asked padded = answered_for("{uniform: [100, 900]}", "hf-eager", 8);
    cr_expect_eq(padded.resolved.request.strata, 8);
    cr_expect_float_eq(padded.resolved.request.prompt_max, 900, 0);
    struct segment part = {.sequences = 8, .new_tokens = 900, .sampled = 1};
    double together = step_time(&padded, &part, 1), prefill = phase_of(&padded, "prefill")->time_s;
    cr_expect(prefill >= together * (1 - 1e-9) && prefill < 1.1 * together, "%g against %g", prefill,
              together);
    cr_expect_float_eq(phase_of(&padded, "prefill")->shape.segments[0].new_tokens, 900, 0);
    struct asked ragged = answered_for("{uniform: [100, 900]}", "vllm", 8);
    const struct phase_cost *phase = phase_of(&ragged, "prefill");
    double tokens = 0;
    for (int i = 0; i < phase->shape.count; i++)
        tokens += phase->shape.segments[i].sequences * phase->shape.segments[i].new_tokens;
    cr_expect(close_to(tokens, 8 * 500, 1e-9), "the mean of the distribution: %g", tokens);
    cr_expect(ragged.answer.memory.kv < 0.7 * padded.answer.memory.kv);
    asked_free(&padded);
    asked_free(&ragged);
}

Test(prefill, strata_keep_the_mean_of_a_lognormal)
{
    struct asked asked = answered_for("{lognormal: {median: 400, p95: 2000}}", "vllm", 64);
    const struct request *request = &asked.resolved.request;
    double mean = 0;
    for (int i = 0; i < request->strata; i++) {
        mean += request->prompt[i] / request->strata;
        cr_expect(i == 0 || request->prompt[i] > request->prompt[i - 1]);
    }
    double sigma = log(2000.0 / 400) / 1.6448536269514722;
    cr_expect(close_to(mean, 400 * exp(sigma * sigma / 2), 0.01), "%g", mean);
    cr_expect(isfinite(asked.answer.ttft_s));
    asked_free(&asked);
}

Test(prefill, old_frameworks_compute_all_logits)
{
    struct question question = llama(2, 500);
    question.software = "hf-eager";
    struct asked last = WITH(&question, "software.all_logits=false"),
                 all = WITH(&question, "software.all_logits=true");
    const struct step_op *a = phase_op(&last, "prefill", OP_NAME_LM_HEAD, NULL);
    const struct step_op *b = phase_op(&all, "prefill", OP_NAME_LM_HEAD, NULL);
    cr_assert(a && b);
    cr_expect(close_to(b->each.flops, 500 * a->each.flops, 1e-9));
    /* and hold them: fp32, 128256 of them at 1000 positions rather than 2 */
    cr_expect(
        close_to(all.answer.memory.activations - last.answer.memory.activations, 998.0 * 128256 * 4, 1e-9));
    asked_free(&last);
    asked_free(&all);
}
