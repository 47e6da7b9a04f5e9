/* Parallelism: cutting a model conserves its work and its weights, ranks exchange what they must, and what
 * does not divide is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct question on_h100s(const char *model, int devices)
{
    return (struct question){.model = model,
                             .device = "h100-sxm",
                             .software = "ideal",
                             .devices = devices,
                             .batch = 8,
                             .prompt = 512,
                             .output = 9};
}

static struct asked answered(const struct question *question)
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static const struct plan *plan_of(const struct asked *asked)
{
    return asked->resolved.deployment.pools[0].plans[0];
}

/* FLOPs of the linear layers inside the blocks on one rank, all layers, one step. */
static double linear_flops(const struct asked *asked, const char *phase)
{
    const struct phase_cost *found = phase_of(asked, phase);
    double flops = 0;
    for (int i = 0; i < found->plan->graph.op_count; i++)
        if (found->plan->graph.ops[i].kind == OP_GEMM && found->plan->graph.ops[i].block != OUTSIDE_LAYERS)
            flops += found->step.ops[i].count * found->step.ops[i].each.flops;
    return flops;
}

/* Rows of the step shown that the op works on; and its collective message in bytes. */
static double rows_of(const struct asked *asked, const char *phase, const char *name)
{
    const struct op *op;
    cr_assert(phase_op(asked, phase, name, &op) != NULL, "%s has no %s", phase, name);
    const struct phase_cost *found = phase_of(asked, phase);
    struct step_totals totals = {0};
    for (int i = 0; i < found->shape.count; i++)
        step_totals_add(&totals, &found->shape.segments[i]);
    return op_rows(op, &totals);
}

static double message(const struct asked *asked, const char *phase, const char *name, enum collective kind,
                      double ranks)
{
    const struct op *op;
    cr_assert(phase_op(asked, phase, name, &op) != NULL, "%s has no %s", phase, name);
    cr_expect_eq(op->collective.kind, kind, "%s", name);
    cr_expect_float_eq(op->collective.ranks, ranks, 0, "%s among %g", name, op->collective.ranks);
    return rows_of(asked, phase, name) * op->collective.bytes_per_row;
}

/* ---- tensor parallelism ---- */

Test(parallel, tensor_parallelism_conserves_flops_and_weights)
{
    struct question whole = on_h100s("llama-3.1-8b", 1);
    struct asked one = answered(&whole);
    double norms = 65 * 4096 * 2; /* on every rank */
    for (int tp = 2; tp <= 8; tp *= 2) {
        struct question question = on_h100s("llama-3.1-8b", tp);
        struct asked cut = answered(&question);
        cr_expect(close_to(tp * linear_flops(&cut, "prefill"), linear_flops(&one, "prefill"), 1e-12), "tp %d",
                  tp);
        cr_expect(close_to(tp * linear_flops(&cut, "decode"), linear_flops(&one, "decode"), 1e-12), "tp %d",
                  tp);
        double weights = tp * (cut.answer.memory.weights - norms) + norms;
        cr_expect(close_to(weights, one.answer.memory.weights, 1e-12), "tp %d: %.12g of %.12g", tp, weights,
                  one.answer.memory.weights);
        cr_expect(close_to(tp * cut.answer.memory.kv, one.answer.memory.kv, 1e-12));
        asked_free(&cut);
    }
    asked_free(&one);
}

Test(parallel, key_value_heads_fewer_than_ranks_are_replicated)
{
    struct question eight = on_h100s("llama-3.1-8b", 8), sixteen = on_h100s("llama-3.1-8b", 16);
    struct asked a = answered(&eight), b = answered(&sixteen);
    cr_expect(close_to(a.answer.memory.kv, b.answer.memory.kv, 1e-12), "one KV head on a rank is the least");
    const struct op *op;
    cr_assert(phase_op(&b, "decode", OP_NAME_ATTENTION, &op) != NULL);
    cr_expect_float_eq(op->attention.heads, 2, 0);
    cr_expect_float_eq(op->attention.kv_heads, 1, 0);
    /* 16 H100s are two nodes: the all-reduce crosses the network */
    const struct step_op *reduce = phase_op(&b, "decode", OP_NAME_FFN_ALLREDUCE, NULL);
    cr_assert(reduce != NULL);
    cr_expect(reduce->each.use[RESOURCE_NETWORK] > 0);
    reduce = phase_op(&a, "decode", OP_NAME_FFN_ALLREDUCE, NULL);
    cr_assert(reduce != NULL);
    cr_expect_float_eq(reduce->each.use[RESOURCE_NETWORK], 0, 0);
    asked_free(&a);
    asked_free(&b);
}

Test(parallel, sequence_parallelism_moves_as_much_and_norms_less)
{
    struct question plain = on_h100s("llama-3.1-8b", 4), cut = plain;
    plain.software = cut.software = "vllm";
    cut.parallel.sp = true;
    struct asked a = answered(&plain), b = answered(&cut);
    double all = message(&a, "prefill", OP_NAME_FFN_ALLREDUCE, COLLECTIVE_ALL_REDUCE, 4);
    cr_expect(close_to(message(&b, "prefill", OP_NAME_FFN_REDUCE_SCATTER, COLLECTIVE_REDUCE_SCATTER, 4), all,
                       1e-12));
    cr_expect(
        close_to(4 * message(&b, "prefill", OP_NAME_FFN_ALLGATHER, COLLECTIVE_ALL_GATHER, 4), all, 1e-12));
    /* a ring all-reduce is the two, one after the other: 2 (p-1)/p of the message */
    double wire = 0;
    static const char *const names[] = {OP_NAME_FFN_REDUCE_SCATTER, OP_NAME_FFN_ALLGATHER};
    for (int i = 0; i < 2; i++)
        wire += phase_op(&b, "prefill", names[i], NULL)->each.bytes[BYTES_WIRE];
    cr_expect(close_to(wire, 2 * 3.0 / 4 * all, 1e-12), "%g of %g", wire, all);
    cr_expect(close_to(4 * rows_of(&b, "prefill", OP_NAME_FFN_NORM), rows_of(&a, "prefill", OP_NAME_FFN_NORM),
                       1e-12));
    cr_expect(phase_op(&b, "prefill", OP_NAME_FFN_ALLREDUCE, NULL) == NULL);
    asked_free(&a);
    asked_free(&b);
}

/* ---- pipeline parallelism ---- */

Test(parallel, pipeline_bubbles_are_as_counted_by_hand)
{
    struct question question = on_h100s("llama-3.1-8b", 4);
    question.software = "vllm";
    question.parallel = (struct parallelism){.tp = 1, .pp = 4};
    for (int micro = 1; micro <= 8; micro *= 2) {
        question.parallel.micro_batches = micro;
        struct asked asked = answered(&question);
        const struct plan *plan = plan_of(&asked);
        struct step_cost cost = {.ops =
                                     ARENA_ARRAY(asked.arena, struct step_op, (size_t)plan->graph.op_count)};
        struct step step = {.segments = {{.sequences = 8.0 / micro, .new_tokens = 512, .sampled = 1}},
                            .count = 1};
        plan_step(plan, &step, false, &cost);
        double prefill = cost.time + (micro - 1) * cost.stage_time;
        cr_expect(close_to(prefill + plan->software->host_per_request, asked.answer.ttft_s, 1e-12), "%d",
                  micro);
        cr_expect(cost.stage_time >= cost.time / 4 * (1 - 1e-9), "the slowest of four stages");
        cr_expect(cost.stage_time <= cost.time);
        step.segments[0] =
            (struct segment){.sequences = 8.0 / micro, .new_tokens = 1, .context = 512 + 3.5, .sampled = 1};
        plan_step(plan, &step, false, &cost);
        double pace = fmax(cost.time, micro * cost.stage_time);
        cr_expect(close_to(asked.answer.tpot_s, pace, 1e-3), "%d: %g against %g", micro, asked.answer.tpot_s,
                  pace);
        asked_free(&asked);
    }
}

Test(parallel, stages_share_layers_and_ends)
{
    struct question question = on_h100s("llama-3.1-8b", 5);
    question.parallel = (struct parallelism){.tp = 1, .pp = 5};
    struct asked asked = answered(&question);
    const struct plan *plan = plan_of(&asked);
    int layers = 0;
    for (int stage = 0; stage < 5; stage++) {
        int here = plan_stage_layers(plan, stage, 0);
        cr_expect(here == 6 || here == 7);
        layers += here;
    }
    cr_expect_eq(layers, 32);
    const struct op *op;
    const struct step_op *transfer = phase_op(&asked, "prefill", OP_NAME_STAGE_TRANSFER, &op);
    cr_assert(transfer != NULL);
    cr_expect_float_eq(op->per_layer, 4, 0);
    cr_expect(transfer->each.bytes[BYTES_WIRE] > 0);
    asked_free(&asked);
}

Test(parallel, one_sequence_fills_one_stage_at_a_time)
{
    struct question question = on_h100s("llama-3.1-8b", 4), single = on_h100s("llama-3.1-8b", 1);
    question.parallel = (struct parallelism){.tp = 1, .pp = 4};
    question.batch = single.batch = 1;
    struct asked piped = answered(&question), alone = answered(&single);
    cr_expect(isfinite(piped.answer.tpot_s));
    cr_expect(piped.answer.tpot_s >= alone.answer.tpot_s, "%g against %g", piped.answer.tpot_s,
              alone.answer.tpot_s);
    cr_expect(piped.answer.memory.weights < 0.4 * alone.answer.memory.weights);
    asked_free(&piped);
    asked_free(&alone);
}

/* ---- experts ---- */

Test(parallel, expert_parallelism_conserves_experts)
{
    struct question columns = on_h100s("qwen3-30b-a3b", 4), experts = columns;
    experts.parallel.ep = 4;
    struct asked a = answered(&columns), b = answered(&experts);
    cr_expect(close_to(linear_flops(&a, "decode"), linear_flops(&b, "decode"), 1e-9));
    cr_expect(close_to(a.answer.memory.weights, b.answer.memory.weights, 1e-9));
    const struct op *op;
    const struct step_op *down = phase_op(&b, "decode", OP_NAME_MOE_DOWN, &op);
    cr_assert(down != NULL);
    cr_expect_float_eq(op->gemm.local_experts, 32, 0);
    cr_expect_float_eq(op->gemm.k, 768, 0); /* whole experts */
    /* 32 of 128 experts, each chosen by one of 8 tokens with 8/128 */
    double distinct = 32 * (1 - pow(1 - 8.0 / 128, 8));
    cr_expect(close_to(down->each.bytes[BYTES_WEIGHTS], distinct * 768 * 2048 * 2, 1e-9));
    asked_free(&a);
    asked_free(&b);
}

Test(parallel, skewed_experts_are_never_faster)
{
    double last = 0;
    for (int i = 0; i < 4; i++) {
        struct question question = on_h100s("qwen3-30b-a3b", 4);
        question.batch = 64;
        question.parallel.ep = 4;
        question.parallel.expert_skew = 0.3 * i;
        struct asked asked = answered(&question);
        const struct step_op *op = phase_op(&asked, "prefill", OP_NAME_MOE_DOWN, NULL);
        cr_assert(op != NULL);
        cr_expect(op->time >= last * (1 - 1e-9), "skew %g: %g after %g", 0.3 * i, op->time, last);
        last = op->time;
        asked_free(&asked);
    }
}

/* ---- data-parallel attention ---- */

static struct question with_groups(const char *model, int tp, int dp, int ep)
{
    struct question question = on_h100s(model, tp * dp);
    question.parallel = (struct parallelism){.tp = tp, .dp = dp, .ep = ep};
    return question;
}

Test(parallel, attention_groups_have_their_own_sequences)
{
    struct question question = with_groups("llama-3.1-8b", 2, 4, 1), tensor = on_h100s("llama-3.1-8b", 8);
    struct asked groups = answered(&question), cut = answered(&tensor);
    /* a quarter of the sequences with half of the heads, against all of them with an eighth */
    cr_expect(close_to(groups.answer.memory.kv, cut.answer.memory.kv, 1e-12));
    cr_expect_float_eq(rows_of(&groups, "decode", OP_NAME_QKV_PROJ), 2, 0);
    cr_expect_float_eq(rows_of(&groups, "decode", OP_NAME_DOWN_PROJ), 8, 0);
    cr_expect(close_to(linear_flops(&groups, "decode"), linear_flops(&cut, "decode"), 1e-12));
    /* each group gathers all tokens, 4096 values of 2 bytes, in shards of 2; the sum comes back to its 8
     * owners, and a group's two ranks make their two tokens whole */
    double row = 4096 * 2;
    cr_expect_float_eq(message(&groups, "decode", OP_NAME_GROUPS_ALLGATHER, COLLECTIVE_ALL_GATHER, 4),
                       2 * row, 1e-9);
    cr_expect_float_eq(
        message(&groups, "decode", OP_NAME_GROUPS_REDUCE_SCATTER, COLLECTIVE_REDUCE_SCATTER, 8), 8 * row,
        1e-9);
    cr_expect_float_eq(message(&groups, "decode", OP_NAME_FFN_ALLGATHER, COLLECTIVE_ALL_GATHER, 2), row,
                       1e-9);
    asked_free(&groups);
    asked_free(&cut);
}

Test(parallel, the_fullest_group_is_costed)
{
    struct question question = with_groups("llama-3.1-8b", 1, 8, 1);
    question.batch = 9;
    struct asked asked = answered(&question);
    cr_expect_float_eq(rows_of(&asked, "decode", OP_NAME_QKV_PROJ), 2, 0);
    cr_expect_float_eq(rows_of(&asked, "decode", OP_NAME_LM_HEAD), 2, 0);
    asked_free(&asked);
    question.batch = 1;
    asked = answered(&question);
    cr_expect_float_eq(rows_of(&asked, "decode", OP_NAME_QKV_PROJ), 1, 0);
    cr_expect(isfinite(asked.answer.latency_s));
    asked_free(&asked);
}

Test(parallel, tokens_travel_to_their_experts_and_back)
{
    struct question question = with_groups("deepseek-v3", 2, 4, 8);
    question.batch = 64;
    struct asked asked = answered(&question);
    /* each rank sends its 8 tokens once to each rank that has one of a token's 8 experts */
    double copies = 8 * (1 - pow(1 - 1.0 / 8, 8)), row = 7168 * 2;
    double sent = message(&asked, "decode", OP_NAME_MOE_DISPATCH, COLLECTIVE_ALL_TO_ALL, 8);
    cr_expect(close_to(sent, 8 * copies * row, 1e-9), "%g", sent);
    cr_expect(close_to(message(&asked, "decode", OP_NAME_MOE_GATHER, COLLECTIVE_ALL_TO_ALL, 8), sent, 1e-12));
    /* the group's 16 tokens are made whole on both of its ranks */
    cr_expect_float_eq(message(&asked, "decode", OP_NAME_FFN_ALLGATHER, COLLECTIVE_ALL_GATHER, 2),
                       16 * row / 2, 1e-9);
    cr_expect(close_to(rows_of(&asked, "decode", OP_NAME_SHARED_DOWN), 8, 1e-12));
    cr_expect(close_to(rows_of(&asked, "decode", OP_NAME_ROUTER), 8, 1e-12));
    const struct op *op;
    cr_assert(phase_op(&asked, "decode", OP_NAME_SHARED_DOWN, &op) != NULL);
    cr_expect_float_eq(op->gemm.k, 2048, 0); /* whole on every rank */
    /* all 64 tokens' chosen experts, an eighth of them here */
    const struct step_op *down = phase_op(&asked, "decode", OP_NAME_MOE_DOWN, NULL);
    cr_assert(down != NULL);
    cr_expect(close_to(down->each.flops, 2.0 * 64 * 8 / 8 * 2048 * 7168, 1e-9), "%g", down->each.flops);
    asked_free(&asked);
}

Test(parallel, experts_cut_in_columns_reach_all_their_ranks)
{
    struct question question = with_groups("qwen3-30b-a3b", 1, 8, 4);
    question.batch = 64;
    struct asked asked = answered(&question);
    double copies = 2 * 4 * (1 - pow(1 - 1.0 / 4, 8)); /* each expert is on two ranks */
    cr_expect(close_to(message(&asked, "decode", OP_NAME_MOE_DISPATCH, COLLECTIVE_ALL_TO_ALL, 8),
                       8 * copies * 2048 * 2, 1e-9));
    struct question tensor = on_h100s("qwen3-30b-a3b", 8);
    tensor.batch = 64;
    tensor.parallel = (struct parallelism){.tp = 4, .dp = 2, .ep = 1};
    struct asked gathered = answered(&tensor);
    const struct step_op *a = phase_op(&asked, "decode", OP_NAME_MOE_DOWN, NULL);
    const struct step_op *b = phase_op(&gathered, "decode", OP_NAME_MOE_DOWN, NULL);
    cr_assert(a && b);
    cr_expect(close_to(a->each.flops, b->each.flops, 1e-9), "the same share of the same work");
    cr_expect_float_eq(rows_of(&gathered, "decode", OP_NAME_ROUTER), 64, 0); /* all tokens, where all are */
    asked_free(&asked);
    asked_free(&gathered);
}

Test(parallel, sequence_parallel_groups_do_not_gather_what_travels)
{
    struct question question = with_groups("qwen3-30b-a3b", 2, 4, 8);
    question.parallel.sp = true;
    struct asked asked = answered(&question);
    cr_expect(phase_op(&asked, "decode", OP_NAME_ATTENTION_REDUCE_SCATTER, NULL) != NULL);
    cr_expect(phase_op(&asked, "decode", OP_NAME_ATTENTION_ALLGATHER, NULL) == NULL);
    cr_expect(phase_op(&asked, "decode", OP_NAME_FFN_ALLGATHER, NULL) != NULL);
    cr_expect(phase_op(&asked, "decode", OP_NAME_FFN_ALLREDUCE, NULL) == NULL);
    asked_free(&asked);
}

/* ---- refusals ---- */

Test(parallel, what_does_not_divide_is_refused)
{
    expect_refusal(on_h100s("llama-3.1-8b", 3), "do not divide by tp=3");
    expect_refusal(on_h100s("llama-3.1-8b", 64), "do not divide by tp=64");
    struct question q = on_h100s("llama-3.1-8b", 40);
    q.parallel = (struct parallelism){.tp = 1, .pp = 40};
    expect_refusal(q, "pp=40 stages for 32 layers");
    q = on_h100s("llama-3.1-8b", 2);
    q.parallel.ep = 2;
    expect_refusal(q, "has no experts");
    q = on_h100s("mixtral-8x7b", 4);
    q.parallel.ep = 3;
    expect_refusal(q, "does not divide");
    q = on_h100s("qwen3-30b-a3b", 2);
    q.parallel.tp = 4;
    expect_refusal(q, "4 devices");
    q = on_h100s("llama-3.1-8b", 1);
    q.prompt = 131072;
    q.output = 1;
    expect_refusal(q, "exceed");
    q.prompt = 1;
    q.parallel.tp = -1;
    expect_refusal(q, "negative");
    q.parallel.tp = 65536;
    q.parallel.dp = 65536;
    q.devices = 0;
    expect_refusal(q, "at most 1000000");
}

Test(parallel, tensor_parallelism_takes_what_stages_and_groups_leave)
{
    struct question question = {.model = "llama-3.1-8b",
                                .device = "8xh100",
                                .parallel = {.pp = 2},
                                .batch = 4,
                                .prompt = 64,
                                .output = 4};
    struct asked asked = answered(&question);
    cr_expect_eq(plan_of(&asked)->parallel.tp, 4);
    asked_free(&asked);
    question.device = "h100-sxm";
    asked = answered(&question);
    cr_expect_eq(plan_of(&asked)->parallel.tp, 1);
    cr_expect_eq(asked.answer.devices, 2);
    asked_free(&asked);
}

Test(parallel, every_way_to_cut_eight_devices_gives_finite_figures)
{
    static const char *const models[] = {"llama-3.1-8b", "qwen3-30b-a3b",      "deepseek-v3", "mamba-2.8b",
                                         "gpt-oss-120b", "qwen3-next-80b-a3b", "gemma-3-27b"};
    int answers = 0;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (int way = 0; way < 64; way++) {
            struct question question = on_h100s(models[m], 8);
            int tp = 1 << (way & 3), dp = 1 << (way >> 2 & 3);
            if (8 % (tp * dp) != 0)
                continue;
            question.parallel = (struct parallelism){
                .tp = tp, .dp = dp, .pp = 8 / (tp * dp), .ep = way & 16 ? tp * dp : 1, .sp = way & 32};
            question.batch = 1 + way % 5;
            struct asked asked = ask(&question);
            if (asked.ok) {
                const struct answer *a = &asked.answer;
                answers++;
                cr_expect(isfinite(a->latency_s) && a->tpot_s > 0 && isfinite(a->memory.total) &&
                              a->energy_j > 0,
                          "%s way %d", models[m], way);
                cr_expect(a->devices == 8);
            }
            asked_free(&asked);
        }
    cr_expect(answers > 100, "%d", answers);
}
