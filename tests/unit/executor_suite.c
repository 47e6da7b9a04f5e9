/* The executor's validation: the matrix as it is read, and the errors it comes to. */
#include "validate/executor_check.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena;
static struct diag diag;

static void open_all(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void close_all(void)
{
    arena_free(arena);
}

TestSuite(executor_suite, .init = open_all, .fini = close_all);

/* A suite of the text, in a file of its own. */
static const struct executor_suite *suite_of(const char *text)
{
    const char *path = arena_printf(arena, "/tmp/rafter-executor-suite-test-%d.yaml", (int)getpid());
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
    const struct executor_suite *suite = executor_suite_read(arena, &diag, path);
    unlink(path);
    return suite;
}

static const char small[] = "name: small\nop_share: 10%\nmax_phase_mape: 20%\nmax_op_mape: 30%\ngroups:\n"
                            "  - name: one\n    models: [gpt2, sub/own.yaml]\n    weights: [bf16, q8_0]\n"
                            "    kv: fp16\n    prompts: [8, 16]\n    outputs: 4\n    batches: [1, 2]\n"
                            "    threads: [1, 2]\n";

Test(executor_suite, cases_are_every_combination_with_weights_together)
{
    const struct executor_suite *suite = suite_of(small);
    size_t count;
    cr_assert(suite, "%s", diag_first_error(&diag));
    struct executor_case *cases = executor_cases(suite, arena, &diag, &count);
    cr_assert(cases);
    cr_assert_eq(count, 2 * 2 * 2 * 2 * 2);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(cases[i].chunk, 0);
        cr_expect_eq(cases[i].output, 4);
        for (size_t j = 0; j < i; j++)
            cr_expect(strcmp(cases[i].model, cases[j].model) != 0 ||
                          strcmp(cases[i].weights, cases[j].weights) != 0 ||
                          cases[i].prompt != cases[j].prompt || cases[i].batch != cases[j].batch ||
                          cases[i].threads != cases[j].threads,
                      "%zu and %zu are the same run", i, j);
    }
    size_t changes = 0;
    for (size_t i = 1; i < count; i++)
        changes += strcmp(cases[i].model, cases[i - 1].model) != 0 ||
                   strcmp(cases[i].weights, cases[i - 1].weights) != 0;
    cr_expect_eq(changes, 3, "each model's each type should come once");
    cr_expect_str_eq(cases[0].model, "gpt2");
    cr_expect_str_eq(cases[count - 1].model, "/tmp/sub/own.yaml");
}

static void refused(const char *from, const char *to, const char *message)
{
    char text[2048];
    const char *at = strstr(small, from);
    cr_assert(at, "%s", from);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - small), small, to, at + strlen(from));
    diag = (struct diag){.arena = arena};
    cr_expect_null(suite_of(text), "accepted: %s", to);
    cr_expect(strstr(diag_first_error(&diag), message), "%s: found \"%s\"", to, diag_first_error(&diag));
}

Test(executor_suite, what_makes_no_run_is_refused)
{
    refused("prompts: [8, 16]", "prompts: [0]", "prompts: found 0, expected at least 1");
    refused("prompts: [8, 16]", "prompts: []", "prompts: the list is empty");
    refused("prompts: [8, 16]", "prompts: [1.5]", "1.5");
    refused("prompts: [8, 16]", "prompts: {a: 1}", "expected a count, or a list of counts");
    refused("weights: [bf16, q8_0]", "weights: [q9_9]", "unknown element type \"q9_9\"");
    refused("kv: fp16", "kx: fp16", "kx");
    refused("max_op_mape: 30%", "max_op_mape: 30", "max_op_mape");
    refused("threads: [1, 2]", "threads: [3000000]", "3000000");
}

Test(executor_suite, too_many_runs_are_refused)
{
    char text[4096] =
        "name: big\ngroups:\n  - name: all\n    models: gpt2\n    weights: bf16\n    kv: fp16\n"
        "    outputs: 1\n    batches: [1,2,3,4,5,6,7,8,9,10]\n    threads: [1,2,3,4,5,6,7,8,9,10]\n"
        "    chunks: [1,2,3,4,5,6,7,8,9,10]\n    prompts: [1,2,3,4,5,6,7,8,9,10,11]\n";
    size_t count;
    const struct executor_suite *suite = suite_of(text);
    cr_assert(suite);
    cr_expect_null(executor_cases(suite, arena, &diag, &count));
    cr_expect(strstr(diag_first_error(&diag), "11000 runs; at most 10000"), "%s", diag_first_error(&diag));
}

static struct executor_times times_of(double prefill, double attention, double norm)
{
    return (struct executor_times){.prefill = {.seconds = prefill,
                                               .ops = {{.name = OP_NAME_ATTENTION, .seconds = attention},
                                                       {.name = OP_NAME_FINAL_NORM, .seconds = norm}},
                                               .op_count = 2},
                                   .runs = 1};
}

/* Prefill 10% over and 20% under; attention twice as long as measured; a norm below the share that is judged.
 */
Test(executor_suite, errors_are_summed_by_operator)
{
    const struct executor_suite *suite = suite_of(small);
    struct executor_case run = {.model = "gpt2", .output = 1};
    struct executor_result result = {.suite = suite};
    struct executor_times measured = times_of(1, 0.5, 0.05);
    struct executor_times over = times_of(1.1, 1, 9), under = times_of(0.8, 1, 9);
    cr_assert(executor_result_add(&result, arena, &diag, &run, &measured, &over));
    cr_assert(executor_result_add(&result, arena, &diag, &run, &measured, &under));
    cr_assert(executor_result_close(&result, arena, &diag));
    cr_assert_eq(result.group_count, 2);
    cr_expect_null(result.groups[0].op);
    cr_expect_float_eq(result.groups[0].error.mean_absolute, 0.15, 1e-12);
    cr_expect_float_eq(result.groups[0].error.bias, -0.05, 1e-12);
    cr_expect_str_eq(result.groups[1].op, OP_NAME_ATTENTION);
    cr_expect_float_eq(result.groups[1].error.mean_absolute, 1, 1e-12);
    cr_expect_eq(result.groups[1].error.count, 2);
    cr_expect_float_eq(result.groups[1].share, 0.5, 1e-12);
    cr_expect_not(result.passed, "attention is 100%% off, 30%% are allowed");
    cr_expect_eq(result.count, 6, "all rows are kept, judged or not");
}

/* An operator that runs and that no estimate knows is an error of 100%, not nothing. */
Test(executor_suite, what_is_not_predicted_counts)
{
    const struct executor_suite *suite = suite_of(small);
    struct executor_case run = {.model = "gpt2", .output = 1};
    struct executor_result result = {.suite = suite};
    struct executor_times measured = times_of(1, 0.5, 0.2), predicted = times_of(1, 0.5, 0.2);
    predicted.prefill.op_count = 1;
    cr_assert(executor_result_add(&result, arena, &diag, &run, &measured, &predicted));
    cr_assert(executor_result_close(&result, arena, &diag));
    cr_assert_eq(result.group_count, 3);
    cr_expect_str_eq(result.groups[2].op, OP_NAME_FINAL_NORM);
    cr_expect_float_eq(result.groups[2].error.mean_absolute, 1, 1e-12);
    cr_expect_not(result.passed);
}

Test(executor_suite, noisy_runs_are_listed_and_not_judged)
{
    const struct executor_suite *suite = suite_of(small);
    struct executor_case run = {.model = "gpt2", .output = 1};
    struct executor_result result = {.suite = suite};
    struct executor_times measured = times_of(1, 0.5, 0.05), far = times_of(9, 9, 9);
    measured.runs = 0;
    cr_assert(executor_result_add(&result, arena, &diag, &run, &measured, &far));
    cr_assert(executor_result_close(&result, arena, &diag));
    cr_expect_eq(result.noisy_runs, 1);
    cr_expect_eq(result.count, 3);
    cr_expect_eq(result.group_count, 0);
    cr_expect_not(result.passed, "nothing was judged");
}
