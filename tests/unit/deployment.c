/* From phases to the answer: what the figures are made of, what they say about money and objectives, what
 * fits, workflows, masked diffusion; and that asking again and again takes no memory. */
#include "base/text.h"
#include "estimate/phases.h"
#include "support/ask.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <string.h>

static struct question llama(double batch, double prompt, double output)
{
    return (struct question){.model = "llama-3.1-8b",
                             .device = "h100-sxm",
                             .software = "vllm",
                             .batch = batch,
                             .prompt = prompt,
                             .output = output};
}

static struct asked answered(const struct question *question)
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct asked answered_set(struct question question, const char *setting)
{
    question.settings = (struct string_list){&setting, 1};
    return answered(&question);
}

static const struct plan *plan_of(const struct asked *asked)
{
    return asked->resolved.deployment.pools[0].plans[0];
}

/* ---- figures ---- */

Test(deployment, figures_follow_from_each_other)
{
    struct question question = llama(6, 700, 41);
    question.devices = 2;
    struct asked asked = answered(&question);
    const struct answer *a = &asked.answer;
    cr_expect(close_to(a->latency_s, a->ttft_s + 40 * a->tpot_s, 1e-12));
    cr_expect(close_to(a->throughput_tokens_per_s, 6 * 41 / a->latency_s, 1e-12));
    cr_expect(close_to(a->throughput_tokens_per_s_per_device, a->throughput_tokens_per_s / 2, 1e-12));
    cr_expect(close_to(a->requests_per_s, 6 / a->latency_s, 1e-12));
    cr_expect(close_to(a->energy_j, a->power_w * a->latency_s, 1e-12));
    cr_expect(close_to(a->energy_j_per_output_token, a->energy_j / (6 * 41), 1e-12));
    cr_expect(close_to(a->carbon_kg, a->energy_j / 3.6e6 * site_default.pue * site_default.carbon, 1e-12));
    cr_expect(a->ttft_interval.low < a->ttft_s && a->ttft_s < a->ttft_interval.high);
    cr_expect(a->tpot_interval.low < a->tpot_s && a->tpot_s < a->tpot_interval.high);
    cr_expect(close_to(a->ttft_interval.low * a->ttft_interval.high, a->ttft_s * a->ttft_s, 1e-9),
              "symmetric in the log");
    asked_free(&asked);
}

Test(deployment, one_token_has_no_time_between_tokens)
{
    struct question question = llama(2, 100, 1);
    struct asked asked = answered(&question);
    cr_expect(isnan(asked.answer.tpot_s));
    cr_expect(isnan(asked.answer.tpot_interval.low) && isnan(asked.answer.tpot_interval.high));
    cr_expect_float_eq(asked.answer.latency_s, asked.answer.ttft_s, 0);
    cr_expect(phase_of(&asked, "decode") == NULL);
    cr_expect(asked.answer.tpot_met);
    asked_free(&asked);
}

Test(deployment, the_least_questions_are_answered)
{
    static const char *const models[] = {"llama-3.1-8b", "mamba-2.8b", "qwen3-30b-a3b", "gemma-3-27b",
                                         "llada-8b"};
    for (int m = 0; m < 5; m++) {
        struct question question = llama(1, 1, 1);
        question.model = models[m];
        struct asked asked = answered(&question);
        cr_expect(isfinite(asked.answer.latency_s) && asked.answer.latency_s > 0, "%s", models[m]);
        cr_expect(isfinite(asked.answer.memory.total) && asked.answer.energy_j > 0, "%s", models[m]);
        asked_free(&asked);
    }
}

/* ---- types ---- */

static const char *weight_type(const struct asked *asked, const char *op)
{
    const struct graph *graph = &plan_of(asked)->graph;
    for (int i = 0; i < graph->op_count; i++)
        if (strcmp(graph->ops[i].name, op) == 0 && graph->ops[i].weights != BUFFER_NONE)
            return graph->buffers[graph->ops[i].weights].type.name;
    return "";
}

Test(deployment, software_says_which_weights_follow_the_type_that_is_asked)
{
    struct question question = llama(1, 100, 10);
    question.model = "mamba-2.8b";
    question.weights = "int8";
    struct asked gpu = answered(&question);
    cr_expect_str_eq(weight_type(&gpu, OP_NAME_LM_HEAD), "fp16");
    cr_expect_str_eq(weight_type(&gpu, OP_NAME_DT_PROJ), "int8");
    asked_free(&gpu);
    question.device = "13900k";
    question.software = "rafter-exec";
    struct asked cpu = answered(&question);
    cr_expect_str_eq(weight_type(&cpu, OP_NAME_LM_HEAD), "int8");
    cr_expect_str_eq(weight_type(&cpu, OP_NAME_X_PROJ), "int8");
    cr_expect_str_eq(weight_type(&cpu, OP_NAME_DT_PROJ), "fp32");
    asked_free(&cpu);
}

/* ---- money ---- */

Test(deployment, rent_covers_electricity)
{
    struct asked asked = answered_set(llama(1, 100, 50), "hardware.price.usd_per_hour=3.6 USD/h");
    cr_expect(close_to(asked.answer.cost_usd, 0.001 * asked.answer.latency_s, 1e-9), "%g",
              asked.answer.cost_usd);
    cr_expect(
        close_to(asked.answer.cost_usd_per_million_output_tokens, asked.answer.cost_usd / 50 * 1e6, 1e-12));
    asked_free(&asked);
}

Test(deployment, without_rent_the_purchase_is_written_off)
{
    const char *settings[] = {"hardware.price.usd_per_hour=0 USD/h", "hardware.price.launch_usd=10000 USD",
                              "site.lifetime=10000 s", "site.electricity=1 USD/kWh", "site.pue=2"};
    struct question question = llama(1, 100, 50);
    question.settings = (struct string_list){settings, 5};
    struct asked asked = answered(&question);
    double expected = asked.answer.latency_s + asked.answer.energy_j * 2 / 3.6e6;
    cr_expect(close_to(asked.answer.cost_usd, expected, 1e-9), "%g against %g", asked.answer.cost_usd,
              expected);
    asked_free(&asked);
    settings[1] = "hardware.price.launch_usd=0 USD";
    asked = answered(&question);
    cr_expect(isnan(asked.answer.cost_usd) && isnan(asked.answer.cost_usd_per_million_output_tokens),
              "no price");
    cr_expect(asked.answer.carbon_kg > 0);
    asked_free(&asked);
}

/* ---- objectives ---- */

Test(deployment, verdicts_compare_with_objectives)
{
    struct question question = llama(2, 200, 20);
    struct asked asked = answered(&question);
    struct answer answer, now = asked.answer;
    struct slo slo = {.ttft = now.ttft_s * 1.01, .tpot = now.tpot_s * 0.99, .latency = now.latency_s};
    estimate(&asked.resolved.deployment, &asked.resolved.request, &slo, asked.scratch, &answer, NULL);
    cr_expect(answer.ttft_met && !answer.tpot_met && answer.latency_met);
    slo = (struct slo){.ttft = now.ttft_s * 0.99, .latency = now.latency_s * 0.99};
    estimate(&asked.resolved.deployment, &asked.resolved.request, &slo, asked.scratch, &answer, NULL);
    cr_expect(!answer.ttft_met && answer.tpot_met && !answer.latency_met, "none asked of tpot");
    estimate(&asked.resolved.deployment, &asked.resolved.request, NULL, asked.scratch, &answer, NULL);
    cr_expect(answer.ttft_met && answer.tpot_met && answer.latency_met);
    cr_expect_float_eq(answer.latency_s, now.latency_s, 0, "with and without a breakdown");
    asked_free(&asked);
}

/* ---- workflows ---- */

Test(deployment, a_workflow_of_one_request_is_its_estimate)
{
    struct question question = llama(2, 200, 20);
    struct asked asked = answered(&question);
    struct workflow workflow = {.requests = {{.deployment = &asked.resolved.deployment,
                                              .request = asked.resolved.request,
                                              .executions = 1,
                                              .turns = 1}},
                                .count = 1};
    struct answer answer;
    estimate_workflow(&workflow, NULL, asked.scratch, &answer, NULL);
    cr_expect_float_eq(answer.ttft_s, asked.answer.ttft_s, 0);
    cr_expect_float_eq(answer.tpot_s, asked.answer.tpot_s, 0);
    cr_expect_float_eq(answer.latency_s, asked.answer.latency_s, 0);
    cr_expect_float_eq(answer.energy_j, asked.answer.energy_j, 0);
    cr_expect_float_eq(answer.throughput_tokens_per_s, asked.answer.throughput_tokens_per_s, 0);
    asked_free(&asked);
}

Test(deployment, requests_in_turn_add_up_and_side_by_side_do_not)
{
    struct question question = llama(2, 200, 20);
    struct asked asked = answered(&question);
    struct workflow workflow = {.count = 2};
    for (int i = 0; i < 2; i++)
        workflow.requests[i] = (struct workflow_request){.deployment = &asked.resolved.deployment,
                                                         .request = asked.resolved.request,
                                                         .executions = 1,
                                                         .turns = 1};
    workflow.requests[1].request.output = 40;
    workflow.requests[1].after_count = 1; /* waits for request 0 */
    struct answer second, answer;
    estimate(&asked.resolved.deployment, &workflow.requests[1].request, NULL, asked.scratch, &second, NULL);
    struct slo slo = {.latency = asked.answer.latency_s * 1.01};
    estimate_workflow(&workflow, &slo, asked.scratch, &answer, NULL);
    double both = asked.answer.latency_s + second.latency_s;
    cr_expect(close_to(answer.latency_s, both, 1e-12));
    cr_expect(close_to(answer.ttft_s, asked.answer.latency_s + second.ttft_s, 1e-12), "of the last answer");
    cr_expect(close_to(answer.energy_j, asked.answer.energy_j + second.energy_j, 1e-12));
    cr_expect(close_to(answer.throughput_tokens_per_s, 2 * 60 / both, 1e-12));
    cr_expect(close_to(answer.requests_per_s, 4 / both, 1e-12));
    cr_expect(close_to(answer.power_w, answer.energy_j / both, 1e-12));
    cr_expect_not(answer.latency_met, "the first alone meets it, the two in turn do not");
    cr_expect(close_to(answer.memory.total, fmax(asked.answer.memory.total, second.memory.total), 1e-12));
    workflow.requests[1].after_count = 0;
    estimate_workflow(&workflow, NULL, asked.scratch, &answer, NULL);
    cr_expect(close_to(answer.latency_s, both, 1e-12), "one place does one thing after the other");
    workflow.requests[1].place = 1;
    estimate_workflow(&workflow, NULL, asked.scratch, &answer, NULL);
    cr_expect(close_to(answer.latency_s, second.latency_s, 1e-12));
    cr_expect_eq(answer.devices, 2 * asked.answer.devices);
    asked_free(&asked);
}

/* ---- what fits ---- */

static bool fits(struct question question, double batch)
{
    question.batch = batch;
    struct asked asked = answered(&question);
    bool fits = asked.answer.memory.fits;
    asked_free(&asked);
    return fits;
}

static void expect_largest_batch(struct question question)
{
    struct asked asked = answered(&question);
    struct fitting fitting;
    cr_expect_not(asked.answer.memory.fits);
    cr_assert(question_fitting(&asked.resolved, &asked.diag, &asked.catalogue, &fitting));
    cr_expect(fitting.batch > 0 && fitting.batch < question.batch, "%d", fitting.batch);
    cr_expect(fits(question, fitting.batch), "%d fits", fitting.batch);
    cr_expect_not(fits(question, fitting.batch + 1), "%d does not", fitting.batch + 1);
    cr_expect(fitting.devices > 1);
    struct question larger = question;
    larger.devices = fitting.devices;
    cr_expect(fits(larger, question.batch), "on %d devices", fitting.devices);
    larger.devices = fitting.devices / 2;
    cr_expect_not(fits(larger, question.batch));
    asked_free(&asked);
}

Test(deployment, the_largest_batch_fits_and_one_more_does_not)
{
    expect_largest_batch(llama(400, 4000, 100));
    struct question drafted = llama(400, 4000, 100);
    const char *technique = "speculative-chain";
    drafted.techniques = (struct string_list){&technique, 1};
    expect_largest_batch(drafted);
    struct question diffusion = {.model = "llada-8b",
                                 .device = "rtx-4090",
                                 .software = "ideal",
                                 .batch = 4000,
                                 .prompt = 200,
                                 .output = 64};
    struct asked asked = answered(&diffusion);
    struct fitting fitting;
    cr_assert(question_fitting(&asked.resolved, &asked.diag, &asked.catalogue, &fitting));
    cr_expect(fitting.batch == 4000 ? asked.answer.memory.fits : !asked.answer.memory.fits);
    asked_free(&asked);
}

Test(deployment, a_system_given_as_it_is_can_grow)
{
    struct question question = llama(1, 512, 16);
    question.model = "llama-2-70b";
    struct asked named = answered(&question);
    question.system = named.resolved.system;
    question.device = NULL;
    struct asked asked = answered(&question);
    struct fitting fitting;
    cr_assert(question_fitting(&asked.resolved, &asked.diag, &asked.catalogue, &fitting));
    cr_expect_eq(fitting.devices, 2, "%d: 138 GB of weights, 90%% of 80 GiB each", fitting.devices);
    asked_free(&asked);
    asked_free(&named);
}

/* ---- masked diffusion ---- */

Test(deployment, masked_diffusion_runs_the_whole_sequence_each_step)
{
    struct question question = llama(3, 100, 96);
    question.model = "llada-8b";
    struct asked asked = answered(&question);
    const struct plan *plan = plan_of(&asked);
    double block = plan->model->diffusion_block_tokens, steps = plan->model->diffusion_steps_per_block;
    cr_assert(block > 0 && steps > 0);
    double blocks = ceil(96 / block);
    struct step_cost cost = {.ops = ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct step step = {
        .segments = {{.sequences = 3, .new_tokens = 196, .sampled = block, .mask = MASK_FULL}}, .count = 1};
    plan_step(plan, &step, false, &cost);
    double all = blocks * steps * cost.time + plan->software->host_per_request;
    cr_expect(close_to(asked.answer.latency_s, all, 1e-9), "%g against %g", asked.answer.latency_s, all);
    cr_expect(close_to(asked.answer.ttft_s, steps * cost.time + plan->software->host_per_request, 1e-9));
    /* every score: heads x 196 x 196 of each sequence, 2 multiply-adds over 128 values */
    const struct step_op *attention = phase_op(&asked, "prefill", OP_NAME_ATTENTION, NULL);
    cr_assert(attention != NULL);
    cr_expect(close_to(attention->each.flops, 3 * 32 * 196.0 * 196 * 4 * 128, 1e-9), "%g",
              attention->each.flops);
    cr_expect_float_eq(asked.answer.memory.kv, 0, 0, "nothing is cached");
    cr_expect_float_eq(attention->each.bytes[BYTES_KV_READ], 0, 0);
    cr_expect(phase_op(&asked, "prefill", OP_NAME_KV_WRITE, NULL) == NULL);
    asked_free(&asked);
}

/* ---- memory taken by asking ---- */

Test(deployment, asking_again_takes_no_memory)
{
    struct question question = llama(8, 3000, 200);
    const char *technique = "speculative-chain";
    question.techniques = (struct string_list){&technique, 1};
    question.devices = 2;
    struct asked asked = answered(&question);
    const struct plan *plan = plan_of(&asked);
    struct step_cost cost = {.ops = ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct step step = {.segments = {{.sequences = 8, .new_tokens = 1, .context = 1, .sampled = 1}},
                        .count = 1};
    struct answer answer;
    size_t arena = arena_used(asked.arena), heap = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        step.segments[0].context = 1 + i;
        plan_step(plan, &step, i > 0, &cost);
        if (i % 10 == 0) {
            estimate(&asked.resolved.deployment, &asked.resolved.request, NULL, asked.scratch, &answer, NULL);
            estimate(&asked.resolved.deployment, &asked.resolved.request, NULL, asked.scratch, &answer,
                     &asked.breakdown);
        }
    }
    cr_expect_eq(arena_used(asked.arena), arena);
    cr_expect_eq(mallinfo2().uordblks, heap);
    cr_expect_float_eq(answer.latency_s, asked.answer.latency_s, 0, "and gives the same answer");
    asked_free(&asked);
}

/* ---- explanations ---- */

Test(deployment, the_trail_of_memory_names_what_is_there)
{
    struct question question = llama(4, 500, 20);
    const char *technique = "speculative-chain";
    question.techniques = (struct string_list){&technique, 1};
    question.devices = 2;
    question.parallel = (struct parallelism){.tp = 1, .pp = 2};
    struct asked asked = answered(&question);
    struct text out = {0};
    cr_assert(estimate_explain(&asked.resolved, asked.arena, &asked.diag, "memory.total_bytes", &out));
    cr_expect(strstr(out.data, "draft llama-3.2-1b") != NULL, "%s", out.data);
    bool last = asked.answer.memory.worst_stage == 1;
    cr_expect((strstr(out.data, "lm_head:") != NULL) == last, "the head is on the last stage:\n%s", out.data);
    cr_expect((strstr(out.data, "embedding:") != NULL) == !last, "the embedding on the first:\n%s", out.data);
    text_free(&out);
    asked_free(&asked);
}
