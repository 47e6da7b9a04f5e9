#include "rafter.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rafter *handle;

static void set_up(void)
{
    handle = rafter_open(SOURCE_DIR);
    cr_assert_not_null(handle);
}

static void tear_down(void)
{
    rafter_close(handle);
}

TestSuite(api, .init = set_up, .fini = tear_down);

static rafter_question question(void)
{
    rafter_question q = RAFTER_QUESTION_INIT;
    q.model = "llama-3.1-8b";
    q.device = "h100-sxm";
    q.batch = 8;
    q.prompt = 1024;
    q.output = 256;
    return q;
}

static void expect_error(const rafter_question *q, const char *part)
{
    rafter_answer answer;
    cr_expect_eq(rafter_estimate(handle, q, &answer), RAFTER_ERROR, "accepted: %s", part);
    cr_expect_not_null(strstr(rafter_error(handle), part), "\"%s\" lacks \"%s\"", rafter_error(handle), part);
}

Test(api, versions)
{
    cr_expect_eq(rafter_abi_version(), RAFTER_ABI_VERSION);
    cr_expect_geq(strlen(rafter_version()), 5);
}

Test(api, an_answer_holds_together)
{
    rafter_question q = question();
    rafter_answer a;
    cr_assert_eq(rafter_estimate(handle, &q, &a), RAFTER_OK, "%s", rafter_error(handle));
    cr_expect_str_eq(rafter_error(handle), "");
    cr_expect_eq(a.struct_size, sizeof a);
    cr_expect_float_eq(a.tpot_s, (a.latency_s - a.ttft_s) / 255, 1e-9 * a.tpot_s);
    cr_expect_float_eq(a.throughput_tokens_per_s, 8 * 256 / a.latency_s, 1e-6);
    cr_expect_float_eq(a.weights_bytes + a.kv_bytes + a.activation_bytes + a.reserved_bytes, a.total_bytes,
                       1.0);
    cr_expect(a.ttft_low_s < a.ttft_s && a.ttft_s < a.ttft_high_s);
    cr_expect(a.tpot_low_s < a.tpot_s && a.tpot_s < a.tpot_high_s);
    cr_expect(a.fits == 1 && a.total_bytes <= a.capacity_bytes);
    cr_expect_eq(a.devices, 1);
    cr_expect(a.energy_j > 0 && a.cost_usd > 0 && a.carbon_kg > 0);
}

Test(api, what_does_not_fit_is_answered_with_no)
{
    rafter_question q = question();
    rafter_answer a;
    q.model = "llama-3-70b";
    cr_expect_eq(rafter_estimate(handle, &q, &a), RAFTER_NO);
    cr_expect_eq(a.fits, 0);
    cr_expect(a.total_bytes > a.capacity_bytes && a.ttft_s > 0);
}

Test(api, one_output_token_has_no_tpot)
{
    rafter_question q = question();
    rafter_answer a;
    q.output = 1;
    cr_assert_eq(rafter_estimate(handle, &q, &a), RAFTER_OK);
    cr_expect(isnan(a.tpot_s));
    cr_expect_float_eq(a.latency_s, a.ttft_s, 1e-12);
}

Test(api, questions_that_are_refused)
{
    rafter_answer a;
    rafter_question q = question();
    q.model = "lama-3.1-8b";
    expect_error(&q, "did you mean");
    q = question();
    q.model = NULL;
    expect_error(&q, "model");
    q = question();
    q.device = NULL;
    expect_error(&q, "device");
    q = question();
    q.devices = -1;
    expect_error(&q, "devices");
    q = question();
    q.tp = -2;
    expect_error(&q, "negative");
    q = question();
    q.tp = 3;
    expect_error(&q, "3");
    const double bad[] = {NAN, INFINITY, -INFINITY, -1, 0.5, 1e300};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        q = question();
        q.batch = bad[i];
        expect_error(&q, "batch");
        q = question();
        q.prompt = bad[i];
        expect_error(&q, "prompt");
        q = question();
        q.output = bad[i];
        expect_error(&q, "output");
    }
    q = question();
    q.weights = "fp88";
    expect_error(&q, "fp88");
    q = question();
    q.technique_count = 1;
    expect_error(&q, "techniques");
    const char *none = NULL;
    q.techniques = &none;
    expect_error(&q, "techniques");
    q.technique_count = SIZE_MAX;
    expect_error(&q, "techniques");
    q = question();
    q.struct_size = 0;
    expect_error(&q, "RAFTER_QUESTION_INIT");
    q.struct_size = sizeof q + 8;
    expect_error(&q, "newer");
    cr_expect_eq(rafter_estimate(handle, NULL, &a), RAFTER_ERROR);
    cr_expect_eq(rafter_estimate(NULL, &q, &a), RAFTER_ERROR);
    q = question();
    cr_expect_eq(rafter_estimate(handle, &q, NULL), RAFTER_ERROR);
    cr_expect_eq(rafter_estimate(handle, &q, &a), RAFTER_OK, "a handle outlives its errors");
}

Test(api, null_is_allowed_where_the_header_says)
{
    rafter_close(NULL);
    rafter_plan_free(NULL);
    rafter_free(NULL);
    cr_expect_null(rafter_plan_new(NULL, NULL));
    cr_expect_null(rafter_plan_new(handle, NULL));
    cr_expect_null(rafter_estimate_json(handle, NULL));
    cr_expect_neq(rafter_error(handle)[0], '\0');
    cr_expect_neq(rafter_error(NULL)[0], '\0');
    cr_expect_eq(rafter_plan_estimate(NULL, 1, 1, 1, NULL), RAFTER_ERROR);
}

/* A caller built against a shorter struct: what lies behind its end is not read. */
Test(api, an_older_question_is_shorter)
{
    rafter_question q = question();
    rafter_answer whole, shorter;
    cr_assert_eq(rafter_estimate(handle, &q, &whole), RAFTER_OK);
    q.struct_size = offsetof(rafter_question, weights);
    q.weights = "nonsense";
    cr_assert_eq(rafter_estimate(handle, &q, &shorter), RAFTER_OK, "%s", rafter_error(handle));
    cr_expect_eq(whole.ttft_s, shorter.ttft_s);
}

/* On a CPU fewer cores compute for longer; a GPU has no cores to leave out. */
Test(api, threads)
{
    rafter_question q = question();
    rafter_answer all, some;
    q.model = "tinyllama-1.1b";
    q.device = "epyc-9654";
    q.software = "llama-cpp";
    q.weights = q.kv = NULL;
    cr_assert_eq(rafter_estimate(handle, &q, &all), RAFTER_OK, "%s", rafter_error(handle));
    q.threads = 8;
    cr_assert_eq(rafter_estimate(handle, &q, &some), RAFTER_OK, "%s", rafter_error(handle));
    cr_expect_gt(some.ttft_s, 2 * all.ttft_s);
    q.threads = -1;
    expect_error(&q, "threads: found -1");
}

Test(api, a_plan_answers_as_the_question_does)
{
    rafter_question q = question();
    rafter_plan *plan = rafter_plan_new(handle, &q);
    cr_assert_not_null(plan, "%s", rafter_error(handle));
    for (int i = 0; i < 5; i++) {
        rafter_answer by_plan, by_question;
        q.batch = 1 + 7 * i;
        q.prompt = 100 + 999 * i;
        q.output = 1 + 50 * i;
        cr_assert_eq(rafter_estimate(handle, &q, &by_question), RAFTER_OK);
        cr_assert_eq(rafter_plan_estimate(plan, q.batch, q.prompt, q.output, &by_plan), RAFTER_OK);
        cr_expect_eq(by_plan.ttft_s, by_question.ttft_s);
        cr_expect_eq(by_plan.latency_s, by_question.latency_s);
        cr_expect_eq(by_plan.total_bytes, by_question.total_bytes);
        cr_expect_eq(by_plan.energy_j, by_question.energy_j);
    }
}

Test(api, a_plan_keeps_its_own_strings)
{
    char model[] = "llama-3.1-8b", device[] = "h100-sxm", technique[] = "fp8";
    char setting[] = "hardware.launch_floor=2.5 us";
    const char *techniques[] = {technique}, *settings[] = {setting};
    rafter_question q = RAFTER_QUESTION_INIT;
    q.model = model;
    q.device = device;
    q.techniques = techniques;
    q.technique_count = 1;
    q.settings = settings;
    q.setting_count = 1;
    rafter_plan *plan = rafter_plan_new(handle, &q);
    cr_assert_not_null(plan, "%s", rafter_error(handle));
    rafter_answer before, after;
    cr_assert_neq(rafter_plan_estimate(plan, 4, 512, 64, &before), RAFTER_ERROR);
    memset(model, '#', sizeof model - 1);
    memset(device, '#', sizeof device - 1);
    memset(technique, '#', sizeof technique - 1);
    memset(setting, '#', sizeof setting - 1);
    techniques[0] = settings[0] = NULL;
    cr_assert_neq(rafter_plan_estimate(plan, 4, 512, 64, &after), RAFTER_ERROR);
    cr_expect_eq(before.latency_s, after.latency_s);
}

Test(api, plans_check_their_ranges)
{
    rafter_question q = question();
    rafter_plan *plan = rafter_plan_new(handle, &q);
    rafter_answer a;
    cr_assert_not_null(plan);
    const double bad[] = {0, -1, 0.5, NAN, INFINITY, 1e30};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(rafter_plan_estimate(plan, bad[i], 100, 10, &a), RAFTER_ERROR, "batch %g", bad[i]);
        cr_expect_eq(rafter_plan_estimate(plan, 1, bad[i], 10, &a), RAFTER_ERROR, "prompt %g", bad[i]);
        cr_expect_eq(rafter_plan_estimate(plan, 1, 100, bad[i], &a), RAFTER_ERROR, "output %g", bad[i]);
        cr_expect_neq(rafter_error(handle)[0], '\0');
    }
    cr_expect_eq(rafter_plan_estimate(plan, 1, 131072, 1, &a), RAFTER_ERROR);
    cr_expect_not_null(strstr(rafter_error(handle), "context"));
    cr_expect_eq(rafter_plan_estimate(plan, 1, 131071, 1, &a), RAFTER_OK);
    cr_expect_eq(rafter_plan_estimate(plan, 100000, 4096, 128, &a), RAFTER_NO);
}

Test(api, plans_come_and_go_in_any_order)
{
    rafter_question q = question();
    rafter_plan *plans[6];
    rafter_answer first, again;
    for (int i = 0; i < 6; i++)
        cr_assert_not_null(plans[i] = rafter_plan_new(handle, &q));
    cr_assert_eq(rafter_plan_estimate(plans[2], 4, 100, 10, &first), RAFTER_OK);
    rafter_plan_free(plans[0]);
    rafter_plan_free(plans[5]);
    rafter_plan_free(plans[3]);
    q.model = "mixtral-8x7b";
    q.device = "8xh100";
    cr_assert_not_null(rafter_plan_new(handle, &q), "%s", rafter_error(handle));
    cr_assert_eq(rafter_plan_estimate(plans[2], 4, 100, 10, &again), RAFTER_OK);
    cr_expect_eq(first.latency_s, again.latency_s);
    rafter_plan_free(plans[2]); /* the rest goes with the handle */
}

Test(api, settings_change_one_question_only)
{
    rafter_question q = question();
    rafter_answer plain, changed, again;
    const char *settings[] = {"hardware.tiers.hbm.bandwidth=1 TB/s"};
    cr_assert_eq(rafter_estimate(handle, &q, &plain), RAFTER_OK);
    q.settings = settings;
    q.setting_count = 1;
    cr_assert_eq(rafter_estimate(handle, &q, &changed), RAFTER_OK, "%s", rafter_error(handle));
    q.setting_count = 0;
    cr_assert_eq(rafter_estimate(handle, &q, &again), RAFTER_OK);
    cr_expect_gt(changed.tpot_s, 2 * plain.tpot_s);
    cr_expect_eq(again.tpot_s, plain.tpot_s);
}

/* Names that do not exist and settings that differ each time leave nothing behind: memory stays where it was.
 */
Test(api, a_long_life_does_not_grow)
{
    rafter_question q = question();
    rafter_answer a;
    char setting[64];
    const char *settings[] = {setting};
    q.settings = settings;
    q.setting_count = 1;
    for (int i = 0; i < 3000; i++) {
        snprintf(setting, sizeof setting, "hardware.power.tdp=%d W", 500 + i);
        q.device = i % 3 == 0 ? "h100-sxm-x" : "h100-sxm";
        rafter_status status = rafter_estimate(handle, &q, &a);
        cr_assert_eq(status, i % 3 == 0 ? RAFTER_ERROR : RAFTER_OK, "%d: %s", i, rafter_error(handle));
    }
}

Test(api, json_says_what_the_struct_says)
{
    rafter_question q = question();
    rafter_answer a;
    cr_assert_eq(rafter_estimate(handle, &q, &a), RAFTER_OK);
    char *text = rafter_estimate_json(handle, &q);
    cr_assert_not_null(text, "%s", rafter_error(handle));
    json_t *json = json_loads(text, 0, NULL);
    cr_assert_not_null(json);
    cr_expect_eq(json_real_value(json_object_get(json, "ttft_s")), a.ttft_s);
    cr_expect_eq(json_real_value(json_object_get(json, "tpot_s")), a.tpot_s);
    cr_expect_eq(json_real_value(json_object_get(json, "energy_j")), a.energy_j);
    const json_t *memory = json_object_get(json, "memory");
    cr_expect_eq(json_real_value(json_object_get(memory, "total_bytes")), a.total_bytes);
    cr_expect(json_is_true(json_object_get(memory, "fits")));
    json_decref(json);
    rafter_free(text);
}

Test(api, handles_are_independent)
{
    rafter *other = rafter_open(SOURCE_DIR);
    rafter_question q = question();
    rafter_answer a;
    cr_assert_not_null(other);
    q.model = "nonesuch";
    cr_expect_eq(rafter_estimate(other, &q, &a), RAFTER_ERROR);
    cr_expect_str_eq(rafter_error(handle), "");
    rafter_close(other);
}

/* Behind an encoder prompt and output have a context each. */
Test(api, a_context_for_the_prompt_and_one_for_the_output)
{
    rafter_question q = question();
    rafter_answer answer = {.struct_size = sizeof answer};
    q.model = "t5-3b";
    q.prompt = 512;
    rafter_plan *plan = rafter_plan_new(handle, &q);
    cr_assert_not_null(plan, "%s", rafter_error(handle));
    cr_expect_neq(rafter_plan_estimate(plan, 1, 512, 512, &answer), RAFTER_ERROR, "%s", rafter_error(handle));
    cr_expect_eq(rafter_plan_estimate(plan, 1, 513, 1, &answer), RAFTER_ERROR);
    cr_expect_str_eq(rafter_error(handle), "error: prompt 513 or output 1 tokens exceed the context of 512");
    cr_expect_eq(rafter_plan_estimate(plan, 1, 1, 513, &answer), RAFTER_ERROR);
    rafter_plan_free(plan);
}
