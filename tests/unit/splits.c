/* Parallel splits: work and weights are conserved, communication is what the split needs, and what does not
 * divide is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct asked split(const char *model, int devices, struct parallelism parallel)
{
    struct question question = {.model = model,
                                .device = "h100-sxm",
                                .software = "trtllm",
                                .devices = devices,
                                .parallel = parallel,
                                .batch = 32,
                                .prompt = 256,
                                .output = 20};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

/* FLOPs of all linear layers inside the blocks over the system. */
static double linear_flops(const struct asked *asked)
{
    const struct phase_cost *prefill = phase_of(asked, "prefill");
    const struct plan *plan = prefill->plan;
    double flops = 0;
    for (int i = 0; i < plan->graph.op_count; i++) {
        const struct op *op = &plan->graph.ops[i];
        if (op->kind == OP_GEMM && op->block != OUTSIDE_LAYERS && strcmp(op->name, OP_NAME_ROUTER) != 0)
            flops += prefill->step.ops[i].count * prefill->step.ops[i].each.flops;
    }
    return flops * plan->parallel.tp * plan->parallel.dp;
}

Test(splits, linear_layers_do_the_same_work_in_all)
{
    static const struct parallelism splits[] = {{.tp = 1},
                                                {.tp = 2},
                                                {.tp = 8},
                                                {.tp = 4, .pp = 2},
                                                {.tp = 1, .dp = 8},
                                                {.tp = 2, .dp = 4},
                                                {.tp = 8, .sp = true},
                                                {.tp = 1, .pp = 4}};
    double base = 0;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct asked asked = split("llama-3.1-8b", 0, splits[i]);
        double flops = linear_flops(&asked);
        base = i == 0 ? flops : base;
        cr_expect(close_to(flops, base, 1e-9), "split %zu: %g against %g", i, flops, base);
        asked_free(&asked);
    }
}

Test(splits, experts_do_the_same_work_in_all)
{
    static const struct parallelism splits[] = {{.tp = 1},
                                                {.tp = 4},
                                                {.tp = 4, .ep = 4},
                                                {.tp = 8, .ep = 2},
                                                {.tp = 1, .dp = 8, .ep = 8},
                                                {.tp = 2, .dp = 4, .ep = 8}};
    double base = 0;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct asked asked = split("mixtral-8x7b", 0, splits[i]);
        double flops = linear_flops(&asked);
        base = i == 0 ? flops : base;
        cr_expect(close_to(flops, base, 1e-9), "split %zu: %g against %g", i, flops, base);
        asked_free(&asked);
    }
}

Test(splits, ranks_share_the_weights)
{
    struct asked one = split("llama-3.1-8b", 0, (struct parallelism){.tp = 1});
    struct asked eight = split("llama-3.1-8b", 0, (struct parallelism){.tp = 8});
    struct asked stages = split("llama-3.1-8b", 0, (struct parallelism){.tp = 1, .pp = 4});
    double norms = 65 * 4096 * 2; /* on every rank */
    cr_expect(close_to(8 * (eight.answer.memory.weights - norms), one.answer.memory.weights - norms, 1e-6));
    cr_expect(stages.answer.memory.weights > one.answer.memory.weights / 4);
    cr_expect(stages.answer.memory.weights < one.answer.memory.weights / 3);
    cr_expect(close_to(8 * eight.answer.memory.kv, one.answer.memory.kv, 1e-9));
    cr_expect(close_to(4 * stages.answer.memory.kv, one.answer.memory.kv, 1e-9));
    asked_free(&one);
    asked_free(&eight);
    asked_free(&stages);
}

Test(splits, few_kv_heads_are_replicated)
{
    /* 8 KV heads on 16 ranks: one head each, as on 8 */
    struct asked eight = split("llama-3-70b", 8, (struct parallelism){.tp = 8});
    struct asked sixteen = split("llama-3-70b", 16, (struct parallelism){.tp = 16});
    cr_expect(close_to(eight.answer.memory.kv, sixteen.answer.memory.kv, 1e-12));
    asked_free(&eight);
    asked_free(&sixteen);
}

static double wire_bytes(const struct asked *asked, const char *name)
{
    const struct step_op *op = phase_op(asked, "decode", name, NULL);
    return op ? op->each.bytes[BYTES_WIRE] : 0;
}

Test(splits, sequence_parallel_sends_what_all_reduce_would)
{
    struct asked plain = split("llama-3.1-8b", 0, (struct parallelism){.tp = 8});
    struct asked sequence = split("llama-3.1-8b", 0, (struct parallelism){.tp = 8, .sp = true});
    cr_expect(wire_bytes(&sequence, OP_NAME_FFN_ALLREDUCE) == 0);
    /* (p-1)/p of the message out and as much in: a ring all-reduce's 2 (p-1)/p */
    double message = 32 * 4096 * 2, halves = wire_bytes(&sequence, OP_NAME_FFN_REDUCE_SCATTER) +
                                             wire_bytes(&sequence, OP_NAME_FFN_ALLGATHER);
    cr_expect(close_to(halves, 2 * 7 / 8.0 * message, 1e-9), "%g against %g", halves, 2 * 7 / 8.0 * message);
    cr_expect(wire_bytes(&plain, OP_NAME_FFN_ALLREDUCE) > 0);
    /* norms work on an eighth of the tokens */
    const struct step_op *all = phase_op(&plain, "prefill", OP_NAME_FFN_NORM, NULL);
    const struct step_op *share = phase_op(&sequence, "prefill", OP_NAME_FFN_NORM, NULL);
    cr_expect(close_to(all->each.flops, 8 * share->each.flops, 1e-9));
    asked_free(&plain);
    asked_free(&sequence);
}

Test(splits, tokens_travel_to_their_experts_only_between_attention_groups)
{
    struct asked tensor = split("mixtral-8x7b", 0, (struct parallelism){.tp = 8, .ep = 8});
    struct asked groups = split("mixtral-8x7b", 0, (struct parallelism){.tp = 1, .dp = 8, .ep = 8});
    cr_expect(phase_op(&tensor, "decode", OP_NAME_MOE_DISPATCH, NULL) == NULL);
    cr_expect(phase_op(&tensor, "decode", OP_NAME_FFN_ALLREDUCE, NULL) != NULL);
    cr_expect(phase_op(&groups, "decode", OP_NAME_FFN_ALLREDUCE, NULL) == NULL);
    cr_expect(phase_op(&groups, "decode", OP_NAME_ATTENTION_ALLREDUCE, NULL) == NULL);
    /* 4 tokens of this rank, each once to the 8 (1 - (7/8)^2) ranks that hold its 2 experts, 7 of 8 of them
     * elsewhere */
    double ranks = 8 * (1 - pow(7 / 8.0, 2));
    cr_expect(close_to(wire_bytes(&groups, OP_NAME_MOE_DISPATCH), 4 * ranks * 4096 * 2 * 7 / 8.0, 1e-9));
    asked_free(&tensor);
    asked_free(&groups);
}

Test(splits, popular_experts_make_their_rank_work_more)
{
    struct asked even = split("mixtral-8x7b", 0, (struct parallelism){.tp = 8, .ep = 8});
    struct asked skewed = split("mixtral-8x7b", 0, (struct parallelism){.tp = 8, .ep = 8, .expert_skew = 1});
    cr_expect(linear_flops(&skewed) > 1.5 * linear_flops(&even));
    cr_expect(skewed.answer.ttft_s > even.answer.ttft_s);
    asked_free(&even);
    asked_free(&skewed);
}

Test(splits, pipelines_fill_and_drain)
{
    /* one micro-batch passes all stages: no faster than one device of the same split */
    struct asked one = split("llama-3.1-8b", 0, (struct parallelism){.tp = 1});
    struct asked serial =
        split("llama-3.1-8b", 0, (struct parallelism){.tp = 1, .pp = 4, .micro_batches = 1});
    struct asked piped = split("llama-3.1-8b", 0, (struct parallelism){.tp = 1, .pp = 4, .micro_batches = 4});
    cr_expect(serial.answer.tpot_s >= one.answer.tpot_s);
    const struct plan *plan = piped.resolved.deployment.pools[0].plans[0];
    struct step_cost cost = {.ops = ARENA_ARRAY(piped.arena, struct step_op, (size_t)plan->graph.op_count)};
    struct step step = {.segments = {{.sequences = 8, .new_tokens = 256, .sampled = 1}}, .count = 1};
    plan_step(plan, &step, false, &cost);
    double filled = cost.time + 3 * cost.stage_time;
    cr_expect(close_to(piped.answer.ttft_s - plan->software->host_per_request, filled, 1e-9), "%g against %g",
              piped.answer.ttft_s, filled);
    asked_free(&one);
    asked_free(&serial);
    asked_free(&piped);
}

Test(splits, nodes_talk_over_the_network)
{
    struct asked one = split("llama-3-70b", 8, (struct parallelism){.tp = 8});
    struct asked two = split("llama-3-70b", 16, (struct parallelism){.tp = 16});
    const struct step_op *inside = phase_op(&one, "prefill", OP_NAME_FFN_ALLREDUCE, NULL);
    const struct step_op *across = phase_op(&two, "prefill", OP_NAME_FFN_ALLREDUCE, NULL);
    cr_expect(inside->each.use[RESOURCE_NETWORK] == 0);
    cr_expect(across->each.use[RESOURCE_NETWORK] > 0);
    cr_expect(across->each.time > inside->each.time);
    asked_free(&one);
    asked_free(&two);
}

Test(splits, what_does_not_divide_is_refused)
{
    static const struct {
        const char *model;
        int devices;
        struct parallelism parallel;
        const char *part;
    } wrong[] = {
        {"llama-3.1-8b", 3, {0}, "attention heads do not divide by tp=3"},
        {"llama-3.1-8b", 0, {.tp = 1, .pp = 40}, "pp=40 stages for 32 layers"},
        {"llama-3.1-8b", 0, {.tp = 4, .ep = 2}, "has no experts"},
        {"mixtral-8x7b", 0, {.tp = 4, .ep = 3}, "ep=3 does not divide"},
        {"mixtral-8x7b", 0, {.tp = 16, .ep = 16}, "8 experts do not divide by ep=16"},
        {"llama-3.1-8b", 8, {.tp = 2}, "give -n 2"},
        {"llama-3.1-8b", 0, {.tp = 1, .pp = 65}, "pp 64"},
        {"llama-3.1-8b", 0, {.tp = -1}, "negative"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct question question = {.model = wrong[i].model,
                                    .device = "h100-sxm",
                                    .devices = wrong[i].devices,
                                    .parallel = wrong[i].parallel};
        struct asked asked = ask(&question);
        cr_expect_not(asked.ok);
        cr_expect(strstr(diag_first_error(&asked.diag), wrong[i].part) != NULL, "found: %s\nexpected: %s",
                  diag_first_error(&asked.diag), wrong[i].part);
        asked_free(&asked);
    }
}
