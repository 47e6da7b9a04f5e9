/* Models with an encoder: T5 and Switch Transformers against figures by hand, and against their own parts. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* T5 3B: 24 + 24 layers, 32 heads of 128, and the rest of its dimensions. */
enum { LAYERS = 24, HIDDEN = 1024, WIDTH = 32 * 128, FFN = 16384, VOCAB = 32128 };
static const double kv_token = 2.0 * LAYERS * WIDTH * 2; /* bytes in bf16 of a token, K and V of all layers */

static struct asked ask_with(struct question question, const char *const *settings, size_t count)
{
    question.settings = (struct string_list){(const char **)settings, count};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

static struct asked t5(const char *software, double batch, double prompt, double output)
{
    return ask_with((struct question){.model = "t5-3b",
                                      .device = "h100-sxm",
                                      .software = software,
                                      .batch = batch,
                                      .prompt = prompt,
                                      .output = output},
                    NULL, 0);
}

static struct asked switch_base(const char *experts, int tp, int dp, int ep, double batch)
{
    struct question question = {.model = experts,
                                .device = "h100-sxm",
                                .software = "vllm",
                                .devices = tp * dp,
                                .parallel = {.tp = tp, .dp = dp, .ep = ep},
                                .batch = batch,
                                .prompt = 512,
                                .output = 2};
    return ask_with(question, NULL, 0);
}

static const struct plan *plan_of(const struct asked *asked)
{
    return asked->resolved.deployment.pools[0].plans[0];
}

static void expect_refused(struct question question, const char *part)
{
    struct asked asked = ask(&question);
    cr_expect_not(asked.ok, "accepted, expected \"%s\"", part);
    const char *found = asked.ok ? "" : diag_first_error(&asked.diag);
    cr_expect_not_null(strstr(found, part), "\"%s\" lacks \"%s\"", found, part);
    asked_free(&asked);
}

/* ---- steps ---- */

static struct step_cost new_cost(struct asked *asked)
{
    return (struct step_cost){
        .ops = ARENA_ARRAY(asked->arena, struct step_op, (size_t)plan_of(asked)->graph.op_count)};
}

static struct segment encoder_segment(const struct asked *asked, double sequences, double prompt)
{
    return (struct segment){.sequences = sequences,
                            .new_tokens = prompt,
                            .mask = MASK_FULL,
                            .layer_last = plan_of(asked)->model->encoder_layers};
}

/* After `context` tokens of output. */
static struct segment decoder_segment(const struct asked *asked, double sequences, double prompt,
                                      double context)
{
    return (struct segment){.sequences = sequences,
                            .new_tokens = 1,
                            .context = context,
                            .source = prompt,
                            .sampled = 1,
                            .layer_first = plan_of(asked)->model->encoder_layers};
}

static struct step_cost run(struct asked *asked, const struct segment *segments, int count)
{
    struct step_cost cost = new_cost(asked);
    struct step step = {.count = count};
    memcpy(step.segments, segments, (size_t)count * sizeof *segments);
    plan_step(plan_of(asked), &step, false, &cost);
    return cost;
}

/* Over the ops of a kind; all their executions on one rank. */
static double flops_of(const struct asked *asked, const struct step_cost *cost, enum op_kind kind)
{
    const struct graph *graph = &plan_of(asked)->graph;
    double sum = 0;
    for (int i = 0; i < graph->op_count; i++)
        if (graph->ops[i].kind == kind)
            sum += cost->ops[i].count * cost->ops[i].each.flops;
    return sum;
}

static double bytes_of(const struct step_cost *cost, int ops, enum byte_class class)
{
    double sum = 0;
    for (int i = 0; i < ops; i++)
        sum += cost->ops[i].count * cost->ops[i].each.bytes[class];
    return sum;
}

static const struct step_op *op_named(const struct asked *asked, const struct step_cost *cost,
                                      const char *name)
{
    const struct graph *graph = &plan_of(asked)->graph;
    for (int i = 0; i < graph->op_count; i++)
        if (strcmp(graph->ops[i].name, name) == 0)
            return &cost->ops[i];
    cr_assert(false, "no %s", name);
    return NULL;
}

/* ---- by hand ---- */

/* Values of the linear layers of one layer that each token of its own stack meets. */
static const double encoder_linear = 4.0 * HIDDEN * WIDTH + 2.0 * HIDDEN * FFN;
static const double decoder_linear = 4.0 * HIDDEN * WIDTH + 2.0 * HIDDEN * WIDTH + 2.0 * HIDDEN * FFN;
static const double cross_kv_linear = 2.0 * HIDDEN * WIDTH;

Test(encoder_decoder, prefill_flops_by_hand)
{
    const double batch = 3, prompt = 300;
    struct asked asked = t5("vllm", batch, prompt, 1);
    const struct step_cost *cost = &phase_of(&asked, "prefill")->step;
    double linear = LAYERS * (prompt * encoder_linear + prompt * cross_kv_linear + decoder_linear) +
                    (double)HIDDEN * VOCAB;
    cr_expect(close_to(flops_of(&asked, cost, OP_GEMM), 2 * batch * linear, 1e-12), "%.12g against %.12g",
              flops_of(&asked, cost, OP_GEMM), 2 * batch * linear);
    /* bidirectional: all pairs of the prompt; the start token sees itself, and the prompt across */
    double pairs = prompt * prompt + 1 + prompt;
    cr_expect(close_to(flops_of(&asked, cost, OP_ATTENTION), batch * LAYERS * 4.0 * WIDTH * pairs, 1e-12));
    asked_free(&asked);
}

Test(encoder_decoder, decode_flops_by_hand)
{
    const double batch = 5, prompt = 200, context = 7;
    struct asked asked = t5("vllm", batch, prompt, 20);
    struct segment segment = decoder_segment(&asked, batch, prompt, context);
    struct step_cost cost = run(&asked, &segment, 1);
    double linear = LAYERS * decoder_linear + (double)HIDDEN * VOCAB;
    cr_expect(close_to(flops_of(&asked, &cost, OP_GEMM), 2 * batch * linear, 1e-12));
    double pairs = context + 1 + prompt;
    cr_expect(close_to(flops_of(&asked, &cost, OP_ATTENTION), batch * LAYERS * 4.0 * WIDTH * pairs, 1e-12));
    cr_expect_eq(cost.regime, REGIME_DECODE);
    asked_free(&asked);
}

Test(encoder_decoder, kv_bytes_by_hand)
{
    const double batch = 4, prompt = 512, output = 64;
    struct asked asked = t5("ideal", batch, prompt, output);
    /* the start token and all output but the last of it; the prompt for cross-attention */
    cr_expect(close_to(asked.answer.memory.kv, batch * kv_token * (output + prompt), 1e-12), "%.12g",
              asked.answer.memory.kv);
    int ops = plan_of(&asked)->graph.op_count;
    struct segment segment = decoder_segment(&asked, batch, prompt, 9);
    struct step_cost cost = run(&asked, &segment, 1);
    cr_expect(close_to(bytes_of(&cost, ops, BYTES_KV_READ), batch * kv_token * (9 + 1 + prompt), 1e-12));
    cr_expect(close_to(bytes_of(&cost, ops, BYTES_KV_WRITE), batch * kv_token, 1e-12));
    segment.context = 0; /* the first step makes the prompt's, too */
    cost = run(&asked, &segment, 1);
    cr_expect(close_to(bytes_of(&cost, ops, BYTES_KV_WRITE), batch * kv_token * (1 + prompt), 1e-12));
    asked_free(&asked);
}

Test(encoder_decoder, weights_that_a_decode_step_reads)
{
    struct asked asked = t5("ideal", 1, 512, 64);
    struct segment segment = decoder_segment(&asked, 1, 512, 10);
    struct step_cost cost = run(&asked, &segment, 1);
    double values =
        LAYERS * (decoder_linear + 3.0 * HIDDEN) + HIDDEN + (double)HIDDEN * VOCAB; /* layers, norms, head */
    double read = bytes_of(&cost, plan_of(&asked)->graph.op_count, BYTES_WEIGHTS);
    cr_expect(close_to(read, 2 * (values + HIDDEN /* the token's row */), 1e-12), "%.12g against %.12g", read,
              2 * (values + HIDDEN));
    asked_free(&asked);
}

/* ---- the whole and its parts ---- */

static void expect_same_op(const struct graph *graph, int i, const struct step_op *a, const struct step_op *b)
{
    cr_expect(a->count == b->count && close_to(a->time, b->time, 1e-12) &&
                  close_to(a->each.flops, b->each.flops, 1e-12),
              "%s: %g of %g s against %g of %g s", graph->ops[i].name, a->count, a->time, b->count, b->time);
}

/* In the prefill's step, each operator is one of the two stacks'. */
Test(encoder_decoder, a_prefill_is_the_encoder_and_the_first_step)
{
    static const char *const stacks[] = {"vllm", "hf-eager", "ideal"};
    for (int s = 0; s < 3; s++) {
        struct asked asked = t5(stacks[s], 2, 333, 1);
        const struct graph *graph = &plan_of(&asked)->graph;
        struct segment segments[] = {encoder_segment(&asked, 2, 333), decoder_segment(&asked, 2, 333, 0)};
        struct step_cost both = run(&asked, segments, 2), encoder = run(&asked, segments, 1),
                         decoder = run(&asked, segments + 1, 1);
        for (int i = 0; i < graph->op_count; i++)
            expect_same_op(graph, i, &both.ops[i], graph->ops[i].encodes ? &encoder.ops[i] : &decoder.ops[i]);
        for (int i = 0; i < graph->op_count; i++)
            cr_expect_eq((graph->ops[i].encodes ? decoder.ops : encoder.ops)[i].time, 0, "%s",
                         graph->ops[i].name);
        cr_expect(close_to(both.device_time, encoder.device_time + decoder.device_time, 1e-12));
        cr_expect(close_to(both.energy, encoder.energy + decoder.energy, 1e-12));
        double prefill = asked.answer.ttft_s - plan_of(&asked)->software->host_per_request;
        cr_expect(close_to(prefill, both.time, 1e-12), "%s: %.12g against %.12g", stacks[s], prefill,
                  both.time);
        asked_free(&asked);
    }
}

/* The encoder's layers do what the same layers do in a model that generates nothing: masked diffusion, whose
 * steps are bidirectional and cache nothing. */
Test(encoder_decoder, an_encoder_costs_what_its_layers_cost_alone)
{
    char path[] = "/tmp/rafter-encoder-XXXXXX.yaml";
    int descriptor = mkstemps(path, 5);
    FILE *file = fdopen(descriptor, "w");
    fprintf(file, "name: Test\nhidden: 1024\nvocab: 32128\nmax_context: 512\ntied_embeddings: true\n"
                  "generation: masked-diffusion\ndiffusion_block_tokens: 1\n"
                  "weight_type: bf16\nactivation_type: bf16\n"
                  "blocks: {layer: {attention: {heads: 32, kv_heads: 32, head_dim: 128}, "
                  "dense: {intermediate: 16384}}}\nlayers: 24\n");
    fclose(file);
    struct asked alone = ask_with(
        (struct question){
            .model = path, .device = "h100-sxm", .software = "vllm", .batch = 2, .prompt = 256, .output = 1},
        NULL, 0);
    unlink(path);
    struct asked asked = t5("vllm", 2, 256, 1);
    struct segment layers = encoder_segment(&asked, 2, 256),
                   same = {.sequences = 2, .new_tokens = 256, .mask = MASK_FULL};
    struct step_cost encoder = run(&asked, &layers, 1), reference = run(&alone, &same, 1);
    static const char *const names[] = {"attention_norm", "qkv_proj", "attention",  "o_proj",
                                        "ffn_norm",       "up_proj",  "activation", "down_proj"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct step_op *ours = op_named(&asked, &encoder, names[i]),
                             *theirs = op_named(&alone, &reference, names[i]);
        cr_expect(ours->count == LAYERS && ours->count == theirs->count && ours->time > 0 &&
                      close_to(ours->time, theirs->time, 1e-12),
                  "%s: %g x, %g s against %g x, %g s", names[i], ours->count, ours->time, theirs->count,
                  theirs->time);
    }
    asked_free(&asked);
    asked_free(&alone);
}

static double every_step(struct asked *asked, double batch, double prompt, double output)
{
    double sum = 0;
    struct step_cost cost = new_cost(asked);
    for (int i = 1; i < output; i++) {
        struct step step = {.segments = {decoder_segment(asked, batch, prompt, i)}, .count = 1};
        plan_step(plan_of(asked), &step, false, &cost);
        sum += cost.time;
    }
    return sum;
}

Test(encoder_decoder, a_decode_is_the_sum_of_its_steps)
{
    static const char *const stacks[] = {"vllm", "hf-eager", "ideal"};
    static const double outputs[] = {2, 5, 40, 512};
    for (int s = 0; s < 3; s++)
        for (int o = 0; o < 4; o++) {
            struct asked asked = t5(stacks[s], 8, 200, outputs[o]);
            double sum = every_step(&asked, 8, 200, outputs[o]),
                   decode = asked.answer.latency_s - asked.answer.ttft_s;
            cr_expect(close_to(sum, decode, 1e-3), "%s, %g tokens: %.9g against %.9g", stacks[s], outputs[o],
                      decode, sum);
            asked_free(&asked);
        }
}

/* What is kept from step to step is what is costed anew. */
Test(encoder_decoder, a_step_of_which_only_the_context_grows)
{
    struct asked asked = t5("vllm", 8, 200, 100);
    struct step step = {.segments = {decoder_segment(&asked, 8, 200, 1)}, .count = 1};
    struct step_cost kept = new_cost(&asked), anew = new_cost(&asked);
    plan_step(plan_of(&asked), &step, false, &kept);
    for (int context = 2; context < 500; context += 61) {
        step.segments[0].context = context;
        plan_step(plan_of(&asked), &step, true, &kept);
        plan_step(plan_of(&asked), &step, false, &anew);
        cr_expect(close_to(kept.time, anew.time, 1e-12) && close_to(kept.flops, anew.flops, 1e-12));
    }
    asked_free(&asked);
}

Test(encoder_decoder, cross_attention_is_the_same_in_every_step)
{
    struct asked asked = t5("vllm", 8, 300, 100);
    struct segment early = decoder_segment(&asked, 8, 300, 1), late = decoder_segment(&asked, 8, 300, 99);
    struct step_cost first = run(&asked, &early, 1), last = run(&asked, &late, 1);
    double before = op_named(&asked, &first, OP_NAME_CROSS_ATTENTION)->time;
    cr_expect(before > 0);
    cr_expect_eq(op_named(&asked, &last, OP_NAME_CROSS_ATTENTION)->time, before);
    cr_expect_eq(op_named(&asked, &last, OP_NAME_CROSS_KV_PROJ)->time, 0);
    cr_expect_eq(op_named(&asked, &last, OP_NAME_CROSS_KV_WRITE)->time, 0);
    asked_free(&asked);
}

/* Unfused attention is three kernels, across too, over the same scores. */
Test(encoder_decoder, unfused_cross_attention)
{
    struct asked asked =
        ask_with((struct question){.model = "t5-3b",
                                   .device = "h100-sxm",
                                   .software = "vllm",
                                   .batch = 2,
                                   .prompt = 100,
                                   .output = 4},
                 (const char *const[]){"software.flash_attention=false", "software.fuse_qkv=false"}, 2);
    struct segment segment = decoder_segment(&asked, 2, 100, 0);
    struct step_cost cost = run(&asked, &segment, 1);
    double product = 2.0 * 2 * WIDTH * 100; /* of one layer: 2 sequences x 100 scores a head */
    cr_expect(close_to(op_named(&asked, &cost, OP_NAME_CROSS_QK)->each.flops, product, 1e-12));
    cr_expect(close_to(op_named(&asked, &cost, OP_NAME_CROSS_PV)->each.flops, product, 1e-12));
    cr_expect(
        close_to(op_named(&asked, &cost, OP_NAME_CROSS_SOFTMAX)->each.flops, 5.0 * 2 * 32 * 100, 1e-12));
    double each = op_named(&asked, &cost, OP_NAME_CROSS_K_PROJ)->each.flops;
    cr_expect(close_to(each, 2.0 * 200 * HIDDEN * WIDTH, 1e-12));
    cr_expect_eq(op_named(&asked, &cost, OP_NAME_CROSS_V_PROJ)->each.flops, each);
    asked_free(&asked);
}

/* ---- requests ---- */

Test(encoder_decoder, dearer_with_each_token_and_sequence)
{
    struct dice dice = {5};
    for (int trial = 0; trial < 60; trial++) {
        double batch = dice_int(&dice, 1, 40), prompt = dice_int(&dice, 1, 400),
               output = dice_int(&dice, 2, 400);
        struct asked base = t5("vllm", batch, prompt, output);
        struct asked more[] = {t5("vllm", batch, prompt + dice_int(&dice, 1, 100), output),
                               t5("vllm", batch, prompt, output + dice_int(&dice, 1, 100)),
                               t5("vllm", batch + dice_int(&dice, 1, 9), prompt, output)};
        static const char *const what[] = {"prompt", "output", "batch"};
        for (int i = 0; i < 3; i++) {
            const struct answer *a = &base.answer, *b = &more[i].answer;
            cr_expect(b->ttft_s >= a->ttft_s * (1 - 1e-12) && b->latency_s >= a->latency_s * (1 - 1e-12),
                      "%s of %g x (%g, %g): %.9g %.9g after %.9g %.9g", what[i], batch, prompt, output,
                      b->ttft_s, b->latency_s, a->ttft_s, a->latency_s);
            cr_expect(b->memory.kv >= a->memory.kv);
            /* a larger batch may run on other tiles, which move fewer bytes through the cache */
            cr_expect(b->energy_j >= a->energy_j * 0.95, "%s: %g J after %g J", what[i], b->energy_j,
                      a->energy_j);
            asked_free(&more[i]);
        }
        asked_free(&base);
    }
}

/* A chunk holds so many whole prompts, one at least. */
Test(encoder_decoder, prompts_are_never_cut)
{
    static const struct {
        const char *chunk;
        int together;
    } cases[] = {{"software.prefill_chunk_tokens=100", 1},
                 {"software.prefill_chunk_tokens=599", 1},
                 {"software.prefill_chunk_tokens=600", 2},
                 {"software.prefill_chunk_tokens=8192", 6}};
    for (int i = 0; i < 4; i++) {
        struct asked asked = ask_with((struct question){.model = "t5-3b",
                                                        .device = "h100-sxm",
                                                        .software = "vllm",
                                                        .batch = 6,
                                                        .prompt = 300,
                                                        .output = 1},
                                      &cases[i].chunk, 1);
        struct segment segments[] = {encoder_segment(&asked, cases[i].together, 300),
                                     decoder_segment(&asked, cases[i].together, 300, 0)};
        struct step_cost step = run(&asked, segments, 2);
        double steps = 6.0 / cases[i].together,
               prefill = asked.answer.ttft_s - plan_of(&asked)->software->host_per_request;
        cr_expect_eq(phase_of(&asked, "prefill")->steps, steps);
        cr_expect(close_to(prefill, steps * step.time, 1e-12), "%s", cases[i].chunk);
        cr_expect_eq(plan_prefill_tokens(plan_of(&asked), &asked.resolved.request), 300 * cases[i].together);
        asked_free(&asked);
    }
}

/* Prompts of two lengths are encoded together, and each sequence attends to its own. */
Test(encoder_decoder, prompts_of_several_lengths)
{
    char path[] = "/tmp/rafter-workload-XXXXXX.yaml";
    int descriptor = mkstemps(path, 5);
    FILE *file = fdopen(descriptor, "w");
    fprintf(file, "name: Test\nbatch: 4\nprompt: {uniform: [100, 300]}\noutput: 3\n");
    fclose(file);
    struct asked asked = ask_with(
        (struct question){.model = "t5-3b", .device = "h100-sxm", .software = "vllm", .workload = path}, NULL,
        0);
    unlink(path);
    const struct request *request = &asked.resolved.request;
    struct segment segments[SEGMENTS_MOST] = {{0}};
    cr_assert(request->strata > 1 && 2 * request->strata <= SEGMENTS_MOST);
    for (int i = 0; i < request->strata; i++) {
        segments[2 * i] = encoder_segment(&asked, 4.0 / request->strata, request->prompt[i]);
        segments[2 * i + 1] = decoder_segment(&asked, 4.0 / request->strata, request->prompt[i], 0);
    }
    struct step_cost cost = run(&asked, segments, 2 * request->strata);
    double prefill = asked.answer.ttft_s - plan_of(&asked)->software->host_per_request;
    cr_expect(close_to(prefill, cost.time, 1e-12), "%.12g against %.12g", prefill, cost.time);
    asked_free(&asked);
}

/* On any device and stack: no resource works faster than its data sheet, and parts sum to the whole. */
Test(encoder_decoder, bounds_and_sums_hold)
{
    static const char *const models[] = {"t5-3b", "switch-base-8", "switch-base-128"};
    static const char *const devices[] = {"h100-sxm", "rtx-4090", "epyc-9654"};
    static const char *const stacks[] = {"vllm", "trtllm", "hf-eager", "ideal"};
    struct dice dice = {11};
    for (int trial = 0; trial < 60; trial++) {
        struct question question = {.model = models[dice_int(&dice, 0, 2)],
                                    .device = devices[dice_int(&dice, 0, 2)],
                                    .software = stacks[dice_int(&dice, 0, 3)],
                                    .batch = dice_int(&dice, 1, 30),
                                    .prompt = dice_int(&dice, 1, 512),
                                    .output = dice_int(&dice, 1, 512)};
        struct asked asked = ask_with(question, NULL, 0);
        double total = plan_of(&asked)->software->host_per_request;
        for (int p = 0; p < asked.breakdown.count; p++) {
            const struct phase_cost *phase = &asked.breakdown.phases[p];
            double sum = phase->step.host_gap;
            for (int i = 0; i < phase->plan->graph.op_count; i++) {
                const struct step_op *op = &phase->step.ops[i];
                sum += op->exposed;
                for (int r = 0; r < RESOURCE_COUNT && op->count > 0; r++)
                    cr_expect(op->each.time >= 0.999999 * op->each.floor[r], "%s on %s with %s: %s",
                              question.model, question.device, question.software,
                              phase->plan->graph.ops[i].name);
            }
            cr_expect(close_to(sum, phase->time_s, 1e-3), "%s: %.9g of %.9g", phase->name, sum,
                      phase->time_s);
            total += phase->time_s;
        }
        cr_expect(close_to(total, asked.answer.latency_s, 1e-9));
        asked_free(&asked);
    }
}

/* ---- ranks and experts ---- */

static double system_flops(const struct asked *asked, enum op_kind kind)
{
    const struct plan *plan = plan_of(asked);
    return flops_of(asked, &phase_of(asked, "prefill")->step, kind) * plan->parallel.tp * plan->parallel.dp;
}

Test(encoder_decoder, cuts_conserve_work)
{
    struct asked one = switch_base("switch-base-8", 1, 1, 1, 8);
    static const struct {
        int tp, dp, ep;
    } cuts[] = {{2, 1, 1}, {4, 1, 1}, {2, 1, 2}, {4, 1, 4}, {1, 2, 1}, {2, 2, 4}};
    for (int i = 0; i < 6; i++) {
        struct asked cut = switch_base("switch-base-8", cuts[i].tp, cuts[i].dp, cuts[i].ep, 8);
        cr_expect(close_to(system_flops(&cut, OP_ATTENTION), system_flops(&one, OP_ATTENTION), 1e-9),
                  "tp %d dp %d", cuts[i].tp, cuts[i].dp);
        /* the router is on every rank */
        cr_expect(close_to(system_flops(&cut, OP_GEMM), system_flops(&one, OP_GEMM), 0.01), "tp %d dp %d",
                  cuts[i].tp, cuts[i].dp);
        cr_expect(close_to(cut.answer.memory.kv * cuts[i].tp * cuts[i].dp, one.answer.memory.kv, 1e-9));
        cr_expect(cut.answer.memory.weights < one.answer.memory.weights);
        asked_free(&cut);
    }
    asked_free(&one);
}

/* One all-reduce after each sub-layer: two in a layer of the encoder, three of the decoder; and one after
 * either embedding. */
Test(encoder_decoder, what_ranks_exchange)
{
    struct asked asked = switch_base("switch-base-8", 2, 1, 1, 4);
    const struct phase_cost *phase = phase_of(&asked, "prefill");
    const double hidden = 768, bytes = 2, tokens = 4 * 512, layers = 12;
    double reduced = 0;
    for (int i = 0; i < phase->plan->graph.op_count; i++) {
        const struct op *op = &phase->plan->graph.ops[i];
        if (op->kind != OP_COLLECTIVE || op->collective.kind != COLLECTIVE_ALL_REDUCE)
            continue;
        double rows = op->encodes ? tokens : 4;
        cr_expect_eq(op->collective.bytes_per_row, hidden * bytes, "%s", op->name);
        reduced += phase->step.ops[i].count * rows;
    }
    cr_expect_eq(reduced, tokens * (2 * layers + 1) + 4 * (3 * layers + 1));
    asked_free(&asked);
}

/* Top-1 of E: one token reads one expert, all together read E (1 - (1 - 1/E)^T). */
Test(encoder_decoder, a_token_meets_one_expert)
{
    static const struct {
        const char *model;
        double experts;
    } models[] = {{"switch-base-8", 8}, {"switch-base-32", 32}, {"switch-base-128", 128}};
    const double expert = 768.0 * 3072 * 2;
    for (int m = 0; m < 3; m++)
        for (double batch = 1; batch <= 16; batch *= 4) {
            struct asked asked = switch_base(models[m].model, 1, 1, 1, batch);
            struct segment segment = decoder_segment(&asked, batch, 512, 1);
            struct step_cost cost = run(&asked, &segment, 1);
            double distinct = models[m].experts * (1 - pow(1 - 1 / models[m].experts, batch)), read = 0;
            const struct graph *graph = &plan_of(&asked)->graph;
            for (int i = 0; i < graph->op_count; i++)
                if (strcmp(graph->ops[i].name, OP_NAME_MOE_GATE_UP) == 0)
                    read += cost.ops[i].count * cost.ops[i].each.bytes[BYTES_WEIGHTS];
            cr_expect(close_to(read, 6 * distinct * expert, 1e-9), "%s, %g tokens: %g experts read",
                      models[m].model, batch, read / (6 * expert));
            asked_free(&asked);
        }
}

/* ---- with other things ---- */

Test(encoder_decoder, narrow_types_reach_cross_attention)
{
    struct question question = {.model = "t5-3b",
                                .device = "h100-sxm",
                                .software = "ideal",
                                .batch = 2,
                                .prompt = 256,
                                .output = 16,
                                .kv = "fp8"};
    struct asked asked = ask_with(question, NULL, 0);
    int caches = 0;
    for (int i = 0; i < plan_of(&asked)->graph.buffer_count; i++) {
        const struct buffer *buffer = &plan_of(&asked)->graph.buffers[i];
        caches += buffer->class == BUFFER_KV && strcmp(buffer->type.name, "fp8") == 0;
    }
    cr_expect_eq(caches, 2);
    asked_free(&asked);
    question.kv = NULL;
    question.activations = "fp8";
    asked = ask_with(question, NULL, 0);
    const struct graph *graph = &plan_of(&asked)->graph;
    for (int i = 1; i < graph->op_count; i++) {
        const struct op *op = &graph->ops[i];
        if (strcmp(op->name, OP_NAME_CROSS_KV_PROJ) != 0)
            continue;
        cr_expect_str_eq(op->gemm.a_type.name, "fp8");
        cr_expect_str_eq(op->gemm.a_from.name, "bf16", "quantised within the call");
    }
    asked_free(&asked);
}

Test(encoder_decoder, what_does_not_go_with_an_encoder)
{
    struct question question = {
        .model = "t5-3b", .device = "h100-sxm", .software = "vllm", .batch = 2, .prompt = 256, .output = 16};
    struct question asked = question;
    asked.devices = 2;
    asked.parallel = (struct parallelism){.tp = 1, .pp = 2};
    expect_refused(asked, "pp must be 1, found 2");
    asked = question;
    asked.devices = 5;
    expect_refused(asked, "32 attention heads do not divide by tp=5");
    asked = question;
    asked.prompt = 513;
    expect_refused(asked, "prompt 513 tokens exceed t5-3b's context of 512 in the encoder");
    asked = question;
    asked.output = 513;
    expect_refused(asked, "output 513 tokens exceed t5-3b's context of 512 in the decoder");

    const char *prefix = "shared_prefix.prefix_tokens=100", *draft = "speculative_decoding.draft_model=t5-3b";
    const char *shared = "shared-prefix", *chain = "speculative-chain";
    asked = question;
    asked.techniques = (struct string_list){&shared, 1};
    asked.settings = (struct string_list){&prefix, 1};
    expect_refused(asked, "no part of a prompt can be reused");
    asked.techniques = (struct string_list){&chain, 1};
    asked.settings = (struct string_list){&draft, 1};
    expect_refused(asked, "drafts for a model with an encoder are not modelled");
    asked.model = "llama-3.1-8b";
    expect_refused(asked, "t5-3b has an encoder: drafts with one are not modelled");
}

Test(encoder_decoder, prompts_and_outputs_have_a_context_each)
{
    struct asked asked = t5("vllm", 1, 512, 512);
    cr_expect(asked.answer.ttft_s > 0);
    asked_free(&asked);
}

/* Parts of prompts that a workload says are cached. */
Test(encoder_decoder, cached_prompts_are_refused)
{
    char path[] = "/tmp/rafter-workload-XXXXXX.yaml";
    int descriptor = mkstemps(path, 5);
    FILE *file = fdopen(descriptor, "w");
    fprintf(file, "name: Test\nbatch: 4\nprompt: 100\noutput: 3\ncached_fraction: 0.5\n");
    fclose(file);
    expect_refused((struct question){.model = "t5-3b", .device = "h100-sxm", .workload = path},
                   "no part of a prompt can be reused");
    unlink(path);
}
