/* Workflows, token budgets, host time and recurrent states: off is the baseline, more is no less, they
 * compose, tokens are conserved, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 4 };
static char files[FILES][64];
static int next;

static void remove_files(void)
{
    for (int i = 0; i < FILES; i++)
        if (files[i][0] != '\0')
            unlink(files[i]);
}

TestSuite(mechanism_workflow, .fini = remove_files);

/* A technique of one mechanism, written where the question can name it. */
static const char *technique(const char *name, const char *parameters)
{
    char *file = files[next++ % FILES];
    snprintf(file, sizeof files[0], "/tmp/rafter-%d-%d.yaml", (int)getpid(), next % FILES);
    FILE *out = fopen(file, "w");
    cr_assert(out != NULL);
    fprintf(out, "name: T\nmechanisms:\n  - name: %s\n    parameters: {%s}\n", name, parameters);
    fclose(out);
    return file;
}

struct asking {
    struct question question;
    const char *techniques[3];
};

static struct asking on_h100(double batch)
{
    return (struct asking){.question = {.model = "llama-3.1-8b",
                                        .device = "h100-sxm",
                                        .software = "vllm",
                                        .batch = batch,
                                        .prompt = 600,
                                        .output = 200}};
}

static struct asked asked_of(struct asking *asking)
{
    struct question *question = &asking->question;
    question->techniques = (struct string_list){asking->techniques, 0};
    while (question->techniques.count < 3 && asking->techniques[question->techniques.count])
        question->techniques.count++;
    return ask(question);
}

static struct answer answer_of(struct asking asking)
{
    struct asked asked = asked_of(&asking);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static struct answer with(struct asking asking, const char *mechanism, const char *parameters)
{
    asking.techniques[0] = technique(mechanism, parameters);
    return answer_of(asking);
}

static void expect_same(const struct answer *a, const struct answer *b)
{
    cr_expect_eq(a->ttft_s, b->ttft_s);
    cr_expect(a->tpot_s == b->tpot_s || (isnan(a->tpot_s) && isnan(b->tpot_s)));
    cr_expect_eq(a->latency_s, b->latency_s);
    cr_expect_eq(a->memory.total, b->memory.total);
    cr_expect_eq(a->energy_j, b->energy_j);
    cr_expect_eq(a->cost_usd, b->cost_usd);
}

static void expect_refused(struct asking asking, const char *mechanism, const char *parameters,
                           const char *reason)
{
    asking.techniques[0] = technique(mechanism, parameters);
    struct asked asked = asked_of(&asking);
    cr_expect_not(asked.ok, "accepted: %s", parameters);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), reason) != NULL, "\"%s\" has no \"%s\"",
                  diag_first_error(&asked.diag), reason);
    asked_free(&asked);
}

Test(mechanism_workflow, off_is_the_baseline_exactly)
{
    struct answer plain = answer_of(on_h100(4));
    static const char *const off[][2] = {
        {"workflow", "samples: 1"},
        {"workflow", "calls: [{name: only}]"},
        {"workflow", "calls: [{name: only, count: 1, share: 1, shared_prompt: true}]"},
        {"workflow", "workers: 1"},
        {"token_budget", "output_factor: 1"},
        {"token_budget", "output_cap: 200"},
        {"host_overhead", "graph_capture: keep"},
        {"host_overhead", "graph_capture: on, factor: 1"},
    };
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        struct answer same = with(on_h100(4), off[i][0], off[i][1]);
        expect_same(&plain, &same);
    }
    struct asking recurrent = on_h100(4);
    recurrent.question.model = "xlstm-7b";
    plain = answer_of(recurrent);
    struct answer same = with(recurrent, "recurrent_state", "chunk_tokens: 64");
    expect_same(&plain, &same);
}

Test(mechanism_workflow, calls_in_turn_and_side_by_side_add_up)
{
    struct answer one = answer_of(on_h100(2));
    struct answer turn = with(on_h100(2), "workflow", "calls: [{name: a}, {name: b, after: a}]");
    struct answer side = with(on_h100(2), "workflow", "calls: [{name: a}, {name: b}]");
    cr_expect(close_to(turn.latency_s, 2 * one.latency_s, 1e-12));
    cr_expect(close_to(side.latency_s, turn.latency_s, 1e-12), "one place does one thing after the other");
    cr_expect(close_to(turn.ttft_s, one.latency_s + one.ttft_s, 1e-12));
    cr_expect(close_to(turn.energy_j, 2 * one.energy_j, 1e-9));
    cr_expect(close_to(turn.cost_usd, 2 * one.cost_usd, 1e-9));
    cr_expect(close_to(turn.memory.total, one.memory.total, 1e-12), "one model, one cache at a time");
    cr_expect(close_to(turn.requests_per_s, one.requests_per_s / 2, 1e-12), "of the user");
    struct answer apart =
        with(on_h100(2), "workflow", "calls: [{name: a}, {name: b, device: h100-sxm, devices: 1}]");
    cr_expect(close_to(apart.latency_s, one.latency_s, 1e-12));
    cr_expect_eq(apart.devices, 2);
    cr_expect(close_to(apart.energy_j, 2 * one.energy_j, 1e-9));
    struct answer turns = with(on_h100(2), "workflow", "calls: [{name: a, turns: 2, growth: 0}]");
    cr_expect(close_to(turns.latency_s, turn.latency_s, 1e-12));
}

Test(mechanism_workflow, tokens_are_conserved)
{
    struct answer answer = with(on_h100(3), "workflow",
                                "samples: 4, calls: [{name: a, sampled: true}, {name: b, after: a, reads: 1, "
                                "output: 50}, {name: c, after: a, sampled: true, reads: 1, paired: true, "
                                "output_factor: 0.5, share: 0.5}]");
    /* a: 4 x (600, 200); b: 600 + 800 read, 50 written; c: half the requests' 4 x (800, 100) */
    cr_expect(close_to(answer.prompt_tokens, 3 * (4 * 600 + 1400 + 0.5 * 4 * 800), 1e-12), "%g",
              answer.prompt_tokens);
    cr_expect(close_to(answer.output_tokens, 3 * (4 * 200 + 50 + 0.5 * 4 * 100), 1e-12), "%g",
              answer.output_tokens);
    cr_expect(close_to(answer.calls, 3 * (4 + 1 + 0.5 * 4), 1e-12), "%g", answer.calls);
    answer = with(on_h100(1), "workflow", "calls: [{name: turn, turns: 3, output: 10}]");
    cr_expect(close_to(answer.prompt_tokens, 600 + 610 + 620, 1e-12));
    cr_expect(close_to(answer.output_tokens, 30, 1e-12));
    answer = with(on_h100(1), "token_budget", "output_factor: 0.5, probe_tokens: 7");
    cr_expect(close_to(answer.output_tokens, 107, 1e-12));
}

Test(mechanism_workflow, phases_sum_to_the_whole)
{
    struct asking asking = on_h100(2);
    asking.techniques[0] = technique(
        "workflow", "calls: [{name: a, count: 3, shared_prompt: true}, {name: b, after: a, turns: 4, "
                    "share: 0.2, keeps_cache: true, wait: 10 ms}]");
    struct asked asked = asked_of(&asking);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    double phases = 0, host = asked.resolved.deployment.pools[0].plans[0]->software->host_per_request;
    cr_assert_eq(asked.breakdown.count, 4);
    for (int i = 0; i < 4; i++) {
        const struct phase_cost *phase = &asked.breakdown.phases[i];
        double ops = phase->step.host_gap;
        for (int o = 0; o < phase->plan->graph.op_count; o++)
            ops += phase->step.ops[o].exposed;
        cr_expect(close_to(ops, phase->time_s, 1e-9), "%s", phase->name);
        phases += phase->time_s;
    }
    cr_expect_str_eq(asked.breakdown.phases[2].name, "b prefill");
    /* b runs for 0.4 of a sequence: 0.4 times as often for one */
    double outside = host + 0.4 * 4 * (host + 0.010);
    cr_expect(close_to(phases + outside, asked.answer.latency_s, 1e-9), "%g against %g", phases + outside,
              asked.answer.latency_s);
    asked_free(&asked);
}

Test(mechanism_workflow, phases_of_diffusion_models_are_their_own)
{
    struct asking asking = on_h100(1);
    asking.question.model = "llada-8b";
    struct answer one = answer_of(asking);
    asking.techniques[0] =
        technique("workflow", "calls: [{name: a}, {name: b, after: a, output_factor: 0.5}]");
    struct asked asked = asked_of(&asking);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    cr_assert_eq(asked.breakdown.count, 4);
    for (int i = 0; i < 4; i++) {
        const struct phase_cost *phase = &asked.breakdown.phases[i];
        double ops = phase->step.host_gap;
        for (int o = 0; o < phase->plan->graph.op_count; o++)
            ops += phase->step.ops[o].exposed;
        cr_expect(close_to(ops, phase->time_s, 1e-9), "%s", phase->name);
    }
    cr_expect(asked.answer.latency_s > 1.2 * one.latency_s && asked.answer.latency_s < 2 * one.latency_s);
    asked_free(&asked);
}

Test(mechanism_workflow, more_is_no_less)
{
    static const char *const counts[] = {"samples: 1", "samples: 2", "samples: 7", "samples: 40"};
    double latency = 0, memory = 0;
    for (int i = 0; i < 4; i++) {
        char parameters[200];
        snprintf(parameters, sizeof parameters, "%s, calls: [{name: a, sampled: true, shared_prompt: true}]",
                 counts[i]);
        struct answer answer = with(on_h100(3), "workflow", parameters);
        cr_expect(answer.latency_s >= latency && answer.memory.total >= memory, "%s", counts[i]);
        latency = answer.latency_s;
        memory = answer.memory.total;
    }
    static const char *const shares[] = {"0", "0.1", "0.5", "0.9", "1"};
    latency = 0;
    for (int i = 0; i < 5; i++) {
        char parameters[200];
        snprintf(parameters, sizeof parameters, "calls: [{name: a}, {name: b, after: a, share: %s}]",
                 shares[i]);
        struct answer answer = with(on_h100(3), "workflow", parameters);
        cr_expect(answer.latency_s >= latency, "%s", shares[i]);
        latency = answer.latency_s;
    }
    struct answer apart = with(on_h100(2), "workflow", "calls: [{name: a, count: 8}]");
    struct answer shared = with(on_h100(2), "workflow", "calls: [{name: a, count: 8, shared_prompt: true}]");
    cr_expect(shared.latency_s < apart.latency_s && shared.memory.kv < apart.memory.kv);
    struct answer fresh = with(on_h100(2), "workflow", "calls: [{name: a, turns: 5}]");
    struct answer kept = with(on_h100(2), "workflow", "calls: [{name: a, turns: 5, keeps_cache: true}]");
    cr_expect(kept.latency_s < fresh.latency_s);
    cr_expect(close_to(kept.memory.total, fresh.memory.total, 1e-12));
}

Test(mechanism_workflow, other_models_lie_beside_the_questions)
{
    struct asking small = on_h100(1);
    small.question.model = "llama-3.2-1b";
    struct answer large = answer_of(on_h100(1)), little = answer_of(small);
    struct answer cascade =
        with(on_h100(1), "workflow",
             "calls: [{name: small, model: llama-3.2-1b}, {name: large, after: small, share: 0.3}]");
    cr_expect(close_to(cascade.latency_s, little.latency_s + 0.3 * large.latency_s, 1e-12));
    cr_expect(close_to(cascade.memory.weights, little.memory.weights + large.memory.weights, 1e-12));
    cr_expect(close_to(cascade.memory.kv, fmax(little.memory.kv, large.memory.kv), 1e-12));
}

Test(mechanism_workflow, waiting_delays_what_is_behind_it)
{
    struct answer plain = answer_of(on_h100(2));
    struct answer looked_up = with(on_h100(2), "workflow", "calls: [{name: answer, wait: 80 ms}]");
    cr_expect(close_to(looked_up.ttft_s, plain.ttft_s + 0.080, 1e-12));
    cr_expect(close_to(looked_up.latency_s, plain.latency_s + 0.080, 1e-12));
    struct answer longer = with(on_h100(2), "workflow", "calls: [{name: answer, prompt: 4000}]");
    struct asking asking = on_h100(2);
    asking.question.prompt = 4000;
    struct answer asked = answer_of(asking);
    expect_same(&longer, &asked);
}

Test(mechanism_workflow, workers_share_a_step_and_a_cache)
{
    double rate = 0;
    for (int workers = 1; workers <= 8; workers *= 2) {
        char parameters[40];
        snprintf(parameters, sizeof parameters, "workers: %d", workers);
        struct answer answer = with(on_h100(1), "workflow", parameters);
        double now = 1 / answer.tpot_s;
        cr_expect(now > rate && (rate == 0 || now < 2 * rate), "%d workers", workers);
        rate = now;
    }
}

Test(mechanism_workflow, they_compose)
{
    struct asking asking = on_h100(4);
    asking.techniques[0] =
        technique("workflow", "calls: [{name: a, count: 4, shared_prompt: true}, {name: b, "
                              "after: a, model: llama-3.2-3b, reads: 1, output: 1}]");
    struct answer plain = answer_of(asking);
    asking.question.weights = "int4-g128";
    struct answer narrow = answer_of(asking);
    cr_expect(narrow.latency_s < plain.latency_s);
    cr_expect(narrow.memory.weights < 0.5 * plain.memory.weights, "of both models");
    asking.question.devices = 2;
    struct answer cut = answer_of(asking);
    cr_expect(cut.memory.weights < 0.6 * narrow.memory.weights);
    asking.techniques[1] = "speculative-chain";
    struct answer drafted = answer_of(asking);
    cr_expect(isfinite(drafted.latency_s) && drafted.memory.weights > cut.memory.weights);
    struct asking budget = on_h100(4);
    budget.techniques[0] = technique("token_budget", "output_factor: 0.5, latent_share: 0.5");
    budget.techniques[1] = technique("host_overhead", "mask_time: 30 us, mask_overlaps: true");
    budget.question.weights = "int4-g128";
    budget.question.devices = 2;
    struct answer short_one = answer_of(budget);
    cr_expect(short_one.latency_s > 0 && close_to(short_one.output_tokens, 400, 1e-12));
}

Test(mechanism_workflow, latent_steps_read_the_whole_table)
{
    struct asking asking = on_h100(1);
    double tpot = 0;
    static const char *const shares[] = {"0", "0.25", "1"};
    for (int i = 0; i < 3; i++) {
        char parameters[40];
        snprintf(parameters, sizeof parameters, "latent_share: %s", shares[i]);
        asking.techniques[0] = technique("token_budget", parameters);
        struct asked asked = asked_of(&asking);
        cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
        cr_expect(asked.answer.tpot_s > tpot);
        tpot = asked.answer.tpot_s;
        const struct step_op *op = phase_op(&asked, "decode", OP_NAME_SOFT_EMBEDDING, NULL);
        cr_expect_eq(op != NULL, i > 0);
        if (op) {
            cr_expect(close_to(op->each.flops, 2.0 * 128256 * 4096, 1e-12));
            cr_expect(op_bytes(op) >= 2.0 * 128256 * 4096);
        }
        asked_free(&asked);
    }
}

Test(mechanism_workflow, masks_cost_host_time_unless_it_is_hidden)
{
    struct answer plain = answer_of(on_h100(16));
    struct answer serial = with(on_h100(16), "host_overhead", "mask_time: 1 ms");
    struct answer cores = with(on_h100(16), "host_overhead", "mask_time: 1 ms, mask_cores: 16");
    struct answer hidden = with(on_h100(16), "host_overhead", "mask_time: 36 us, mask_overlaps: true");
    struct answer longer = with(on_h100(16), "host_overhead", "mask_time: 10 ms, mask_overlaps: true");
    cr_expect(close_to(serial.tpot_s, plain.tpot_s + 0.016, 1e-9));
    cr_expect(close_to(cores.tpot_s, plain.tpot_s + 0.001, 1e-9));
    cr_expect_eq(hidden.tpot_s, plain.tpot_s);
    cr_expect(close_to(longer.tpot_s, 0.160, 1e-3), "%g", longer.tpot_s);
    struct answer compiled = with(on_h100(16), "host_overhead", "compile_time: 50 ms");
    cr_expect(close_to(compiled.ttft_s, plain.ttft_s + 0.050, 1e-9));
    struct answer eager = with(on_h100(16), "host_overhead", "graph_capture: off, launch_time: 50 us");
    cr_expect(eager.tpot_s > plain.tpot_s);
    struct answer none = with(on_h100(16), "host_overhead", "factor: 0");
    cr_expect(none.ttft_s < plain.ttft_s && none.tpot_s <= plain.tpot_s);
}

Test(mechanism_workflow, states_of_fewer_bits_are_smaller)
{
    struct asking asking = on_h100(64);
    asking.question.model = "xlstm-7b";
    struct answer wide = with(asking, "recurrent_state", "state_type: fp32");
    struct answer narrow = with(asking, "recurrent_state", "state_type: bf16");
    cr_expect(close_to(wide.memory.kv, 2 * narrow.memory.kv, 0.01));
    cr_expect(narrow.tpot_s < wide.tpot_s);
    /* work within chunks grows with their length */
    struct answer chunks = with(asking, "recurrent_state", "chunk_tokens: 128");
    cr_expect(chunks.ttft_s != wide.ttft_s);
}

Test(mechanism_workflow, what_makes_no_sense_is_refused)
{
    struct asking asking = on_h100(1);
    expect_refused(asking, "workflow", "calls: [{name: a}, {name: a}]", "two calls are named a");
    expect_refused(asking, "workflow", "calls: [{name: a, after: b}, {name: b}]", "no call before it");
    expect_refused(asking, "workflow", "calls: [{name: a, reads: 1}]", "waits for none");
    expect_refused(asking, "workflow", "calls: [{name: a, share: 2}]", "share");
    expect_refused(asking, "workflow", "calls: [{name: a, count: 0}]", "count");
    expect_refused(asking, "workflow", "calls: [{name: a, model: no-such}]", "no-such");
    expect_refused(asking, "workflow", "calls: [{name: a, prompt: 131072}]", "context");
    expect_refused(asking, "workflow", "calls: [{name: a, turns: 200, output: 1000}]", "context");
    expect_refused(asking, "workflow", "workers: 17", "workers");
    expect_refused(asking, "token_budget", "output_factor: 0", "output_factor");
    expect_refused(asking, "token_budget", "latent_share: 1.5", "latent_share");
    expect_refused(asking, "host_overhead", "mask_cores: 0", "mask_cores");
    expect_refused(asking, "recurrent_state", "chunk_tokens: 64", "no recurrent layers");
    asking.question.software = "ideal";
    expect_refused(asking, "host_overhead", "factor: 0", "ideal");
    asking.question.model = "falcon-mamba-7b";
    expect_refused(asking, "recurrent_state", "chunk_tokens: 64", "Mamba-1");
    asking.question.model = "llada-8b";
    expect_refused(asking, "workflow", "workers: 2", "decodes a token a step");
    expect_refused(asking, "token_budget", "latent_share: 0.5", "latent");
    asking.question.software = "vllm";
    expect_refused(asking, "workflow", "calls: [{name: a, count: 4, shared_prompt: true}]", "keeps no part");
    asking.question.model = "t5-3b";
    asking.question.prompt = asking.question.output = 100;
    expect_refused(asking, "workflow", "calls: [{name: a, turns: 2, keeps_cache: true}]", "keeps no part");
}
