/* What must hold for any model on any device: seeded property tests (docs/methodology.md, "Invariants"). */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char *const model_names[] = {
    "llama-2-7b",    "llama-3.1-8b",   "opt-6.7b",           "mistral-7b",
    "gemma-3-27b",   "mixtral-8x7b",   "qwen3-30b-a3b",      "deepseek-v3",
    "deepseek-v3.2", "gpt-oss-120b",   "mamba-2.8b",         "qwen3-next-80b-a3b",
    "xlstm-7b",      "tinyllama-1.1b", "bitnet-b1.58-2b-4t", "nemotron-3-super-120b-a12b"};
static const char *const device_names[] = {"h100-sxm", "a100-80gb-sxm", "rtx-4090",
                                           "mi300x",   "epyc-9654",     "l40s"};
static const char *const software_names[] = {"ideal", "vllm", "trtllm", "hf-eager"};
#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))
enum { TRIALS = 150 };

static struct question random_question(struct dice *dice)
{
    struct question question = {.model = model_names[dice_int(dice, 0, COUNT(model_names) - 1)],
                                .device = device_names[dice_int(dice, 0, COUNT(device_names) - 1)],
                                .software = software_names[dice_int(dice, 0, COUNT(software_names) - 1)],
                                .devices = 1 << dice_int(dice, 0, 2),
                                .batch = dice_int(dice, 1, 40),
                                .prompt = dice_int(dice, 1, 1500),
                                .output = dice_int(dice, 1, 200)};
    return question;
}

/* A question that resolves: some models do not divide, which is an answer of its own. */
static struct asked random_answer(struct dice *dice, struct question *question)
{
    for (;;) {
        *question = random_question(dice);
        struct asked asked = ask(question);
        if (asked.ok)
            return asked;
        cr_assert(strstr(diag_first_error(&asked.diag), "divide") ||
                      strstr(diag_first_error(&asked.diag), "no link"),
                  "%s on %s: %s", question->model, question->device, diag_first_error(&asked.diag));
        asked_free(&asked);
    }
}

Test(invariants, no_resource_works_faster_than_its_data_sheet)
{
    struct dice dice = {1};
    for (int trial = 0; trial < TRIALS; trial++) {
        struct question question;
        struct asked asked = random_answer(&dice, &question);
        for (int p = 0; p < asked.breakdown.count; p++) {
            const struct phase_cost *phase = &asked.breakdown.phases[p];
            for (int i = 0; i < phase->plan->graph.op_count; i++) {
                const struct step_op *op = &phase->step.ops[i];
                for (int r = 0; r < RESOURCE_COUNT && op->count > 0; r++)
                    cr_expect(op->each.time >= 0.999999 * op->each.floor[r],
                              "%s on %s with %s: %s %s takes %g, resource %d needs %g", question.model,
                              question.device, question.software, phase->name, phase->plan->graph.ops[i].name,
                              op->each.time, r, op->each.floor[r]);
            }
        }
        asked_free(&asked);
    }
}

Test(invariants, figures_are_finite_and_not_negative)
{
    struct dice dice = {2};
    for (int trial = 0; trial < TRIALS; trial++) {
        struct question question;
        struct asked asked = random_answer(&dice, &question);
        const struct answer *a = &asked.answer;
        double figures[] = {a->ttft_s,          a->latency_s,   a->throughput_tokens_per_s,
                            a->memory.weights,  a->memory.kv,   a->memory.activations,
                            a->memory.reserved, a->memory.total};
        for (int i = 0; i < COUNT(figures); i++)
            cr_expect(isfinite(figures[i]) && figures[i] >= 0, "%s on %s: figure %d is %g", question.model,
                      question.device, i, figures[i]);
        cr_expect(question.output > 1 ? a->tpot_s > 0 : isnan(a->tpot_s));
        cr_expect(a->ttft_interval.low <= a->ttft_s && a->ttft_s <= a->ttft_interval.high);
        asked_free(&asked);
    }
}

Test(invariants, parts_sum_to_the_whole)
{
    struct dice dice = {3};
    for (int trial = 0; trial < TRIALS; trial++) {
        struct question question;
        struct asked asked = random_answer(&dice, &question);
        double total = asked.resolved.deployment.pools[0].plans[0]->software->host_per_request;
        for (int p = 0; p < asked.breakdown.count; p++) {
            const struct phase_cost *phase = &asked.breakdown.phases[p];
            double sum = phase->step.host_gap;
            for (int i = 0; i < phase->plan->graph.op_count; i++)
                sum += phase->step.ops[i].exposed;
            cr_expect(sum <= phase->time_s * (1 + 1e-9), "%s: parts %g, whole %g", phase->name, sum,
                      phase->time_s);
            total += phase->time_s;
        }
        cr_expect(close_to(total, asked.answer.latency_s, 1e-9), "%s on %s: %g against %g", question.model,
                  question.device, total, asked.answer.latency_s);
        const struct memory_plan *memory = &asked.answer.memory;
        cr_expect(close_to(memory->total,
                           memory->weights + memory->kv + memory->activations + memory->reserved, 1e-12));
        asked_free(&asked);
    }
}

/* The step that a decode after `context` tokens makes. */
static double decode_time(const struct plan *plan, struct step_cost *cost, double sequences, double context)
{
    struct step step = {
        .segments = {{.sequences = sequences, .new_tokens = 1, .context = context, .sampled = 1}},
        .count = 1};
    plan_step(plan, &step, false, cost);
    return cost->time;
}

static double prefill_time(const struct plan *plan, struct step_cost *cost, double sequences, double tokens,
                           double context)
{
    struct step step = {
        .segments = {{.sequences = sequences, .new_tokens = tokens, .context = context, .sampled = 1}},
        .count = 1};
    plan_step(plan, &step, false, cost);
    return cost->time;
}

Test(invariants, more_work_never_takes_less_time)
{
    struct dice dice = {4};
    for (int trial = 0; trial < TRIALS; trial++) {
        struct question question;
        struct asked asked = random_answer(&dice, &question);
        const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
        struct step_cost cost = {.ops =
                                     ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
        double n = dice_int(&dice, 1, 64), context = dice_int(&dice, 1, 4000),
               tokens = dice_int(&dice, 17, 3000);
        double more = dice_int(&dice, 1, 9), slack = 1 + 1e-12;
        double base = decode_time(plan, &cost, n, context);
        /* where a library's rule picks the split, a little more work may meet a better one */
        bool ruled = plan->graph.software->attention_kernels != KERNELS_PORTABLE;
        double ease = ruled ? 1.25 : slack;
        cr_expect(decode_time(plan, &cost, n + more, context) * ease >= base, "%s on %s: sequences %g + %g",
                  question.model, question.device, n, more);
        cr_expect(decode_time(plan, &cost, n, context + more) * ease >= base, "%s on %s: context %g + %g",
                  question.model, question.device, context, more);
        base = prefill_time(plan, &cost, n, tokens, 0);
        cr_expect(prefill_time(plan, &cost, n, tokens + more, 0) * slack >= base,
                  "%s on %s with %s: tokens %g + %g", question.model, question.device, question.software,
                  tokens, more);
        cr_expect(prefill_time(plan, &cost, n + more, tokens, 0) * slack >= base, "%s on %s: prompts %g + %g",
                  question.model, question.device, n, more);
        base = prefill_time(plan, &cost, n, tokens, context);
        cr_expect(prefill_time(plan, &cost, n, tokens, context + more) * slack >= base,
                  "%s on %s: cached %g + %g", question.model, question.device, context, more);
        asked_free(&asked);
    }
}

Test(invariants, a_faster_device_is_never_slower)
{
    static const char *const faster[] = {
        "hardware.tiers.hbm.bandwidth=9 TB/s", "hardware.matrix.bf16=4000 TFLOP/s",
        "hardware.tiers.l2.bandwidth=40 TB/s", "hardware.vector.fp32=500 TFLOP/s"};
    struct dice dice = {5};
    for (int trial = 0; trial < 60; trial++) {
        struct question question = random_question(&dice);
        question.device = "h100-sxm";
        struct asked base = ask(&question);
        if (!base.ok) {
            asked_free(&base);
            continue;
        }
        const char *setting = faster[trial % COUNT(faster)];
        question.settings = (struct string_list){&setting, 1};
        struct asked better = ask(&question);
        cr_assert(better.ok, "%s: %s", setting, diag_first_error(&better.diag));
        cr_expect(better.answer.latency_s <= base.answer.latency_s * (1 + 1e-12), "%s %s: %g against %g",
                  question.model, setting, better.answer.latency_s, base.answer.latency_s);
        asked_free(&base);
        asked_free(&better);
    }
}

Test(invariants, one_rank_does_not_communicate)
{
    for (int m = 0; m < COUNT(model_names); m++) {
        struct question question = {
            .model = model_names[m], .device = "h100-sxm", .batch = 2, .prompt = 64, .output = 4};
        struct asked asked = ask(&question);
        cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
        const struct graph *graph = &asked.resolved.deployment.pools[0].plans[0]->graph;
        for (int i = 0; i < graph->op_count; i++)
            cr_expect(graph->ops[i].kind != OP_COLLECTIVE && graph->ops[i].kind != OP_TRANSFER, "%s: %s",
                      model_names[m], graph->ops[i].name);
        asked_free(&asked);
    }
}

/* Weights of the linear layers that a token passes, once each. */
static double linear_weights_per_token(const struct plan *plan)
{
    double weights = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct op *op = &plan->graph.ops[i];
        if (op->kind != OP_GEMM || op->block == OUTSIDE_LAYERS || !(op->regime & REGIME_PREFILL))
            continue;
        double used = op->gemm.experts > 0 ? op->gemm.top_k : 1;
        weights += op->gemm.n * op->gemm.k * op->gemm.batch * used * plan->model->block_layers[op->block];
    }
    return weights;
}

Test(invariants, prefill_multiplies_each_weight_once_a_token)
{
    for (int m = 0; m < COUNT(model_names); m++) {
        struct question question = {.model = model_names[m],
                                    .device = "h100-sxm",
                                    .batch = 3,
                                    .prompt = 500,
                                    .output = 1,
                                    .software = "ideal"};
        struct asked asked = ask(&question);
        cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
        const struct phase_cost *prefill = phase_of(&asked, "prefill");
        const struct plan *plan = prefill->plan;
        double flops = 0;
        for (int i = 0; i < plan->graph.op_count; i++)
            if (plan->graph.ops[i].kind == OP_GEMM)
                flops += prefill->step.ops[i].count * prefill->step.ops[i].each.flops;
        double head = 2.0 * plan->model->hidden * plan->model->vocab * 3;
        double expected = 2 * 1500.0 * linear_weights_per_token(plan) + head;
        cr_expect(close_to(flops, expected, 1e-9), "%s: %g against %g", model_names[m], flops, expected);
        /* and those weights are the model's: all parameters but embedding, head, norms and what is no matrix
         */
        struct parameter_count count;
        model_parameters(plan->model, &count);
        double active = count.active - count.embedding - count.head - count.norms;
        cr_expect(close_to(linear_weights_per_token(plan), active, 0.02),
                  "%s: %g linear weights of %g active", model_names[m], linear_weights_per_token(plan),
                  active);
        asked_free(&asked);
    }
}

Test(invariants, decode_reads_each_weight_and_each_cached_value_once)
{
    for (int m = 0; m < COUNT(model_names); m++) {
        struct question question = {.model = model_names[m],
                                    .device = "h100-sxm",
                                    .batch = 1,
                                    .prompt = 999,
                                    .output = 2,
                                    .software = "ideal"};
        struct asked asked = ask(&question);
        cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
        const struct phase_cost *decode = phase_of(&asked, "decode");
        const struct plan *plan = decode->plan;
        double weights = 0, kv = 0, stored = 0, cached = 0;
        for (int i = 0; i < plan->graph.op_count; i++) {
            const struct step_op *op = &decode->step.ops[i];
            weights += op->count * op->each.bytes[BYTES_WEIGHTS];
            kv += op->count * op->each.bytes[BYTES_KV_READ];
        }
        for (int i = 0; i < plan->graph.buffer_count; i++) {
            const struct buffer *buffer = &plan->graph.buffers[i];
            double layers = buffer->block == OUTSIDE_LAYERS ? 1 : plan->model->block_layers[buffer->block];
            bool table = buffer->touched == 0 && !(plan->model->tied_embeddings && buffer->on_last_stage);
            double active = 1;
            for (int o = 0; o < plan->graph.op_count; o++)
                if (plan->graph.ops[o].kind == OP_GEMM && plan->graph.ops[o].gemm.experts > 0 &&
                    (plan->graph.ops[o].weights == i || /* or its bias, the buffer after it */
                     (plan->graph.ops[o].gemm.bias && plan->graph.ops[o].weights + 1 == i)))
                    active = plan->graph.ops[o].gemm.top_k / plan->graph.ops[o].gemm.experts;
            if (buffer->class == BUFFER_WEIGHTS && !table)
                stored += active * layers * buffer_layer_bytes(buffer);
            if (buffer->class == BUFFER_KV)
                cached += layers * buffer_kv_bytes(buffer, 1, 1000);
        }
        cr_expect(close_to(weights, stored, 0.01), "%s: reads %g of %g bytes of weights", model_names[m],
                  weights, stored);
        cr_expect(close_to(kv, cached, 1e-6), "%s: reads %g of %g bytes of cache", model_names[m], kv,
                  cached);
        asked_free(&asked);
    }
}

Test(invariants, nothing_lost_without_caches)
{
    /* with residency off every operator moves all its operands through memory: the plain roofline bound */
    struct dice dice = {6};
    for (int trial = 0; trial < 60; trial++) {
        struct question question = random_question(&dice);
        question.no_residency = true;
        struct asked asked = ask(&question);
        if (!asked.ok) {
            asked_free(&asked);
            continue;
        }
        const struct phase_cost *prefill = phase_of(&asked, "prefill");
        double bandwidth = device_memory(prefill->plan->target.device)->bandwidth;
        for (int i = 0; i < prefill->plan->graph.op_count; i++) {
            const struct step_op *op = &prefill->step.ops[i];
            enum op_kind kind = prefill->plan->graph.ops[i].kind;
            if (op->count > 0 && (kind == OP_GEMM || kind == OP_NORM || kind == OP_ELEMENTWISE))
                cr_expect(op->each.time >= 0.999999 * op_bytes(op) / bandwidth, "%s: %s %g < %g",
                          question.model, prefill->plan->graph.ops[i].name, op->each.time,
                          op_bytes(op) / bandwidth);
        }
        asked_free(&asked);
    }
}

/* ---- steps ---- */

Test(invariants, a_step_split_by_layers_costs_as_much)
{
    struct question question = {
        .model = "gemma-3-27b", .device = "h100-sxm", .batch = 1, .prompt = 64, .output = 2};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
    struct step_cost whole = {.ops = ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct step_cost parts = {.ops = ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct segment segment = {.sequences = 4, .new_tokens = 1, .context = 2000, .sampled = 1};
    struct step one = {.segments = {segment}, .count = 1}, split = one;
    /* the same tokens, written as two segments that meet at layer 30 */
    split.segments[0].layer_last = 30;
    split.segments[1] = segment;
    split.segments[1].layer_first = 30;
    split.count = 2;
    plan_step(plan, &one, false, &whole);
    plan_step(plan, &split, false, &parts);
    cr_expect(close_to(whole.time, parts.time, 1e-9), "%g against %g", whole.time, parts.time);
    /* and tokens that leave early cost less */
    split.count = 1;
    plan_step(plan, &split, false, &parts);
    cr_expect(parts.time < 0.6 * whole.time);
    asked_free(&asked);
}

Test(invariants, mixed_steps_share_the_weights)
{
    struct question question = {
        .model = "llama-3.1-8b", .device = "h100-sxm", .batch = 1, .prompt = 64, .output = 2};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
    struct step_cost cost = {.ops = ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct segment chunk = {.sequences = 1, .new_tokens = 256, .context = 512, .sampled = 0};
    struct segment decodes = {.sequences = 32, .new_tokens = 1, .context = 1000, .sampled = 1};
    struct step a = {.segments = {chunk}, .count = 1}, b = {.segments = {decodes}, .count = 1};
    struct step both = {.segments = {chunk, decodes}, .count = 2};
    plan_step(plan, &a, false, &cost);
    double alone = cost.time;
    plan_step(plan, &b, false, &cost);
    alone += cost.time;
    plan_step(plan, &both, false, &cost);
    cr_expect(cost.time < alone);
    cr_expect(cost.time > 0.4 * alone);
    asked_free(&asked);
}
