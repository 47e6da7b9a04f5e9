/* Generation and its schedulers: the greedy tokens are the oracle's, whatever a step consists of. */
#include "support/small_models.h"

#include "exec/generate.h"

#include <criterion/criterion.h>
#include <string.h>

enum { PROMPT = 12, OUTPUT = 8, SEQUENCES = 3 };

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(exec_generate, .init = set_up, .fini = tear_down);

static struct runner *runner_of(const struct weights *weights, int step_tokens)
{
    const struct runner_options options = {.threads = 2,
                                           .isa = cpu_isa(),
                                           .page_tokens = 4,
                                           .sequences = SEQUENCES,
                                           .context_tokens = PROMPT + OUTPUT,
                                           .step_tokens = step_tokens};
    struct runner *runner = runner_new(arena, &diag, weights, &options);
    cr_assert(runner != NULL, "%s", diag_first_error(&diag));
    return runner;
}

static struct generation_request request_of(int sequences)
{
    static int tokens[SEQUENCES][PROMPT];
    static const int *const prompts[] = {tokens[0], tokens[1], tokens[2]};
    static const int lengths[] = {PROMPT, PROMPT - 5, PROMPT - 2};
    for (int s = 0; s < SEQUENCES; s++)
        for (int t = 0; t < PROMPT; t++)
            tokens[s][t] = (s * 97 + t * 31 + t * t) % 320;
    return (struct generation_request){.sequences = sequences,
                                       .prompts = prompts,
                                       .prompt_tokens = lengths,
                                       .output_tokens = OUTPUT,
                                       .end_token = -1,
                                       .sampling = {.top_p = 1}};
}

/* Tokens one by one, each the greatest of the oracle's last logits. */
static void oracle_tokens(const struct weights *weights, const int *prompt, int count, int *out)
{
    int known[PROMPT + OUTPUT];
    size_t vocab = (size_t)weights_model(weights)->vocab;
    memcpy(known, prompt, (size_t)count * sizeof *known);
    for (int i = 0; i < OUTPUT; i++) {
        struct arena *own = arena_new(0);
        double *logits = ARENA_ARRAY(own, double, (size_t)(count + i) * vocab);
        cr_assert(oracle_logits(weights, own, &diag, known, count + i, logits), "%s",
                  diag_first_error(&diag));
        const double *row = logits + (size_t)(count + i - 1) * vocab;
        int best = 0;
        for (int t = 1; t < (int)vocab; t++)
            best = row[t] > row[best] ? t : best;
        out[i] = known[count + i] = best;
        arena_free(own);
    }
}

static void expect_tokens(const char *name, bool chunked, int step_tokens)
{
    struct weights *weights = small_model_weights(arena, small_model_find(name), WEIGHT_F32, 2);
    struct runner *runner = runner_of(weights, step_tokens);
    struct generation_request request = request_of(SEQUENCES);
    struct generated generated;
    struct scheduler scheduler;
    cr_assert((chunked ? scheduler_chunked : scheduler_static)(arena, &diag, step_tokens, &scheduler));
    cr_assert(generate(runner, arena, &diag, &request, &scheduler, &generated), "%s",
              diag_first_error(&diag));
    for (int s = 0; s < SEQUENCES; s++) {
        int expected[OUTPUT];
        oracle_tokens(weights, request.prompts[s], request.prompt_tokens[s], expected);
        cr_expect(generated.counts[s] == OUTPUT);
        cr_expect(memcmp(generated.tokens[s], expected, sizeof expected) == 0,
                  "%s, %s scheduler: sequence %d has other tokens than the oracle", name, scheduler.name, s);
    }
    generation_free(&generated);
    runner_free(runner);
    weights_close(weights);
}

Test(exec_generate, greedy_tokens_are_the_oracles)
{
    static const char *const names[] = {"llama", "gpt2", "moe", "mla", "mamba1", "deltanet"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect_tokens(names[i], false, 64);
        expect_tokens(names[i], true, 5);
    }
}

Test(exec_generate, the_phases_have_all_tokens_and_their_work)
{
    struct weights *weights = small_model_weights(arena, small_model_find("llama"), WEIGHT_F32, 2);
    struct runner *runner = runner_of(weights, 64);
    struct generation_request request = request_of(SEQUENCES);
    struct generated generated;
    struct scheduler scheduler;
    cr_assert(scheduler_static(arena, &diag, 64, &scheduler));
    cr_assert(generate(runner, arena, &diag, &request, &scheduler, &generated));
    const struct phase_times *prefill = &generated.prefill, *decode = &generated.decode;
    double tokens = 3 * PROMPT - 7, layers = 3, hidden = 256, width = 512;
    double linear = layers * (hidden * (256 + 64 + 64 + 256) + 3 * hidden * width);
    cr_expect(prefill->steps == 1 && prefill->tokens == tokens);
    cr_expect(decode->steps == OUTPUT - 1 && decode->tokens == SEQUENCES * (OUTPUT - 1));
    cr_expect_float_eq(prefill->work.linear_flops[WEIGHT_F32],
                       2 * (linear * tokens + hidden * 320 * SEQUENCES), 1);
    cr_expect_float_eq(decode->work.weight_bytes, (OUTPUT - 1) * 4 * (linear + hidden * 320), 1);
    double seen = 0; /* rows of the cache that decodes read: a token's context, itself included */
    for (int s = 0; s < SEQUENCES; s++)
        for (int i = 1; i < OUTPUT; i++)
            seen += request.prompt_tokens[s] + i;
    cr_expect_float_eq(decode->work.cache_bytes, seen * layers * 2 * 64 * 4, 1);
    cr_expect_float_eq(decode->work.other_flops, seen * layers * 2 * 8 * (32 + 32), 1);
    double sum = 0;
    for (int i = 0; i < prefill->op_count; i++)
        sum += prefill->ops[i].seconds;
    cr_expect(sum > 0 && sum <= prefill->seconds * 1.001);
    generation_free(&generated);
    runner_free(runner);
    weights_close(weights);
}

Test(exec_generate, all_logits_have_a_row_after_each_token)
{
    struct weights *weights = small_model_weights(arena, small_model_find("llama"), WEIGHT_F32, 2);
    size_t vocab = (size_t)weights_model(weights)->vocab;
    struct generation_request request = request_of(1);
    request.all_logits = true;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct runner *runner = runner_of(weights, chunked ? 5 : PROMPT);
        struct generated generated;
        struct scheduler scheduler;
        int known[PROMPT + OUTPUT];
        double *expected = ARENA_ARRAY(arena, double, (PROMPT + OUTPUT) * vocab);
        cr_assert((chunked ? scheduler_chunked : scheduler_static)(arena, &diag, 5, &scheduler));
        cr_assert(generate(runner, arena, &diag, &request, &scheduler, &generated), "%s",
                  diag_first_error(&diag));
        cr_assert(generated.logit_rows == PROMPT + OUTPUT);
        memcpy(known, request.prompts[0], PROMPT * sizeof *known);
        memcpy(known + PROMPT, generated.tokens[0], OUTPUT * sizeof *known);
        cr_assert(oracle_logits(weights, arena, &diag, known, PROMPT + OUTPUT, expected));
        for (size_t i = 0; i < (PROMPT + OUTPUT) * vocab; i++)
            cr_assert_float_eq(generated.logits[i], expected[i], 0.02, "row %zu", i / vocab);
        generation_free(&generated);
        runner_free(runner);
    }
    weights_close(weights);
}

Test(exec_generate, an_end_token_ends_its_sequence_only)
{
    struct weights *weights = small_model_weights(arena, small_model_find("llama"), WEIGHT_F32, 2);
    struct runner *runner = runner_of(weights, 64);
    struct generation_request request = request_of(SEQUENCES);
    struct generated whole, ended;
    struct scheduler scheduler;
    cr_assert(scheduler_static(arena, &diag, 64, &scheduler));
    cr_assert(generate(runner, arena, &diag, &request, &scheduler, &whole));
    request.end_token = whole.tokens[1][2];
    cr_assert(generate(runner, arena, &diag, &request, &scheduler, &ended));
    for (int s = 0; s < SEQUENCES; s++) {
        int expected = 0;
        while (expected < OUTPUT && (expected == 0 || whole.tokens[s][expected - 1] != request.end_token))
            expected++;
        cr_expect(ended.counts[s] == expected, "sequence %d: %d tokens, expected %d", s, ended.counts[s],
                  expected);
        cr_expect(memcmp(ended.tokens[s], whole.tokens[s], (size_t)expected * sizeof(int)) == 0);
    }
    cr_expect(ended.counts[1] <= 3);
    runner_free(runner);
    weights_close(weights);
}

/* ---- schedulers alone ---- */

Test(exec_generate, static_steps_are_whole_prompts_then_decodes)
{
    struct scheduler scheduler;
    struct sequence_progress progress[] = {
        {.prompt = 10, .known = 10}, {.prompt = 5, .known = 5}, {.prompt = 8, .known = 8}};
    struct step_choice choices[3];
    cr_assert(scheduler_static(arena, &diag, 15, &scheduler));
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 2);
    cr_expect(choices[0].sequence == 0 && choices[0].tokens == 10 && choices[1].tokens == 5);
    progress[0] = (struct sequence_progress){.prompt = 10, .known = 11, .done = 10};
    progress[1] = (struct sequence_progress){.prompt = 5, .known = 6, .done = 5};
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 1);
    cr_expect(choices[0].sequence == 2 && choices[0].tokens == 8);
    progress[2] = (struct sequence_progress){.prompt = 8, .known = 9, .done = 8, .ended = true};
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 2);
    cr_expect(choices[0].tokens == 1 && choices[1].sequence == 1 && choices[1].tokens == 1);
    progress[0].ended = progress[1].ended = true;
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 0);
}

Test(exec_generate, chunked_steps_are_decodes_and_what_fits_of_prompts)
{
    struct scheduler scheduler;
    struct sequence_progress progress[] = {{.prompt = 10, .known = 11, .done = 10},
                                           {.prompt = 5, .known = 5, .done = 3},
                                           {.prompt = 8, .known = 8}};
    struct step_choice choices[3];
    cr_assert(scheduler_chunked(arena, &diag, 6, &scheduler));
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 3);
    cr_expect(choices[0].sequence == 0 && choices[0].tokens == 1);
    cr_expect(choices[1].sequence == 1 && choices[1].tokens == 2);
    cr_expect(choices[2].sequence == 2 && choices[2].tokens == 3);
}

Test(exec_generate, estimated_steps_are_rests_then_whole_chunks_then_decodes)
{
    struct scheduler scheduler;
    struct sequence_progress progress[] = {
        {.prompt = 10, .known = 10}, {.prompt = 9, .known = 9}, {.prompt = 8, .known = 8}};
    const struct step_choice wanted[] = {{0, 2}, {1, 1}, {0, 4}, {0, 4}, {1, 4}, {1, 4}, {2, 4}, {2, 4}};
    struct step_choice choices[3];
    cr_assert(scheduler_estimated(arena, &diag, 4, &scheduler));
    for (size_t made = 0; made < sizeof wanted / sizeof *wanted;) {
        int count = scheduler.next(scheduler.state, progress, 3, choices);
        cr_assert(count == (made == 0 ? 2 : 1));
        for (int c = 0; c < count; c++, made++) {
            cr_expect(choices[c].sequence == wanted[made].sequence &&
                      choices[c].tokens == wanted[made].tokens);
            progress[choices[c].sequence].done += choices[c].tokens;
        }
    }
    for (int s = 0; s < 3; s++)
        progress[s].known++;
    cr_expect(scheduler.next(scheduler.state, progress, 3, choices) == 3);
    for (int s = 0; s < 3; s++)
        cr_expect(choices[s].sequence == s && choices[s].tokens == 1);
}
