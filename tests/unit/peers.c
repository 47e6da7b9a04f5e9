/* Mistakes seen in other tools, each with a test that would catch it here (the list is in
 * docs/methodology.md). */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct question on_h100(const char *model, double batch, double prompt, double output)
{
    return (struct question){.model = model,
                             .device = "h100-sxm",
                             .software = "ideal",
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

static double flops_of(const struct asked *asked, const char *phase, const char *op)
{
    const struct step_op *found = phase_op(asked, phase, op, NULL);
    cr_assert(found != NULL, "%s has no %s", phase, op);
    return found->each.flops;
}

Test(peers, a_gigabyte_is_decimal_and_a_teraflop_too)
{
    double value;
    char error[256];
    cr_assert(quantity_parse("1 GB/s", DIM_BYTES_PER_SECOND, &value, error, sizeof error));
    cr_expect_float_eq(value, 1e9, 0);
    cr_assert(quantity_parse("1 GiB", DIM_BYTES, &value, error, sizeof error));
    cr_expect_float_eq(value, 0x1p30, 0);
    cr_assert(quantity_parse("312 TFLOP/s", DIM_FLOPS, &value, error, sizeof error));
    cr_expect_float_eq(value, 312e12, 0);
}

Test(peers, embedding_is_a_look_up)
{
    struct question question = on_h100("llama-2-7b", 1, 512, 2);
    struct asked asked = answered(&question);
    const struct op *op;
    const struct step_op *embedding = phase_op(&asked, "prefill", OP_NAME_EMBEDDING, &op);
    cr_assert(embedding != NULL);
    cr_expect(op->kind == OP_GATHER);
    cr_expect_float_eq(embedding->each.flops, 0, 0);
    cr_expect(close_to(op_bytes(embedding), 2 * 512.0 * 4096 * 2,
                       1e-12)); /* a row in, a row out, 2 bytes a value */
    asked_free(&asked);
}

Test(peers, logits_only_where_sampled)
{
    struct question question = on_h100("llama-2-7b", 4, 512, 2);
    struct asked asked = answered(&question);
    cr_expect(close_to(flops_of(&asked, "prefill", OP_NAME_LM_HEAD), 2.0 * 4096 * 32000 * 4, 1e-12));
    asked_free(&asked);
}

Test(peers, mixture_of_experts_reads_more_experts_for_larger_batches)
{
    double last = 0;
    double batches[] = {1, 4, 32};
    for (int i = 0; i < 3; i++) {
        struct question question = on_h100("mixtral-8x7b", batches[i], 128, 3);
        question.devices = 2;
        struct asked asked = answered(&question);
        const struct step_op *op = phase_op(&asked, "decode", OP_NAME_MOE_DOWN, NULL);
        cr_assert(op != NULL);
        double bytes = op->each.bytes[BYTES_WEIGHTS];
        /* E (1 - (1 - k/E)^B) experts of 14336/2 x 4096 bf16 */
        double experts = 8 * (1 - pow(1 - 2.0 / 8, batches[i]));
        cr_expect(close_to(bytes, experts * 7168 * 4096 * 2, 1e-9), "batch %g: %g", batches[i], bytes);
        cr_expect(bytes > last);
        last = bytes;
        asked_free(&asked);
    }
}

Test(peers, attention_is_causal_and_knows_grouped_heads)
{
    struct question question = on_h100("llama-3.1-8b", 1, 2048, 2);
    struct asked asked = answered(&question);
    double pairs = 2048.0 * 2049 / 2;
    cr_expect(close_to(flops_of(&asked, "prefill", OP_NAME_ATTENTION), 4 * 32 * 128 * pairs, 1e-12));
    const struct step_op *decode = phase_op(&asked, "decode", OP_NAME_ATTENTION, NULL);
    cr_assert(decode != NULL);
    cr_expect(close_to(decode->each.bytes[BYTES_KV_READ], 2049.0 * 8 * 128 * 2 * 2, 1e-3),
              "8 KV heads, not 32: %g", decode->each.bytes[BYTES_KV_READ]);
    asked_free(&asked);
}

Test(peers, head_and_embedding_are_in_the_memory_once_each)
{
    struct question untied = on_h100("llama-2-7b", 1, 16, 1);
    struct asked asked = answered(&untied);
    struct parameter_count count;
    model_parameters(asked.resolved.deployment.pools[0].plans[0]->model, &count);
    cr_expect(close_to(asked.answer.memory.weights, 2 * count.total, 1e-9), "%g",
              asked.answer.memory.weights / 2);
    asked_free(&asked);
    struct question tied = on_h100("llama-3.2-1b", 1, 16, 1);
    asked = answered(&tied);
    model_parameters(asked.resolved.deployment.pools[0].plans[0]->model, &count);
    cr_expect(close_to(asked.answer.memory.weights, 2 * count.total, 1e-9), "%g",
              asked.answer.memory.weights / 2);
    asked_free(&asked);
}

Test(peers, plain_networks_have_no_gate)
{
    struct question question = on_h100("opt-6.7b", 1, 512, 1);
    struct asked asked = answered(&question);
    cr_expect(phase_op(&asked, "prefill", OP_NAME_GATE_UP_PROJ, NULL) == NULL);
    cr_expect(phase_op(&asked, "prefill", OP_NAME_GATE_PROJ, NULL) == NULL);
    cr_expect(close_to(flops_of(&asked, "prefill", OP_NAME_UP_PROJ), 2.0 * 512 * 4096 * 16384, 1e-12));
    asked_free(&asked);
}

Test(peers, activation_is_as_wide_as_the_intermediate)
{
    struct question question = on_h100("llama-2-7b", 1, 100, 1);
    struct asked asked = answered(&question);
    const struct step_op *op = phase_op(&asked, "prefill", OP_NAME_ACTIVATION, NULL);
    cr_assert(op != NULL);
    cr_expect(close_to(op_bytes(op), 100.0 * 3 * 11008 * 2, 1e-12)); /* gate and up in, product out */
    asked_free(&asked);
}

Test(peers, sliding_windows_bound_what_decode_reads)
{
    struct question question = on_h100("mistral-7b", 1, 16384, 3);
    struct asked asked = answered(&question);
    const struct step_op *op = phase_op(&asked, "decode", OP_NAME_ATTENTION, NULL);
    cr_assert(op != NULL);
    cr_expect(close_to(op->each.bytes[BYTES_KV_READ], 4096.0 * 8 * 128 * 2 * 2, 1e-9), "%g",
              op->each.bytes[BYTES_KV_READ]);
    asked_free(&asked);
}

Test(peers, latent_attention_caches_its_latent)
{
    struct question question = on_h100("deepseek-v3", 1, 1024, 3);
    question.devices = 8;
    struct asked asked = answered(&question);
    /* 512 + 64 values a token and layer in bf16, on every rank; all tokens but the last are cached */
    cr_expect(close_to(asked.answer.memory.kv, 61.0 * 576 * 2 * (1024 + 2), 1e-9), "%g",
              asked.answer.memory.kv);
    asked_free(&asked);
}

Test(peers, head_dimension_is_the_models_own)
{
    struct question question = on_h100("gemma-3-27b", 1, 64, 3);
    struct asked asked = answered(&question);
    const struct op *op;
    cr_assert(phase_op(&asked, "decode", OP_NAME_ATTENTION, &op) != NULL);
    cr_expect_float_eq(op->attention.qk_dim, 128, 0); /* hidden / heads would be 168 */
    asked_free(&asked);
}

Test(peers, tensor_parallelism_divides_attention_and_cache_too)
{
    struct question one = on_h100("llama-2-7b", 8, 1024, 3), four = one;
    four.devices = 4;
    struct asked alone = answered(&one), cut = answered(&four);
    cr_expect(close_to(flops_of(&alone, "prefill", OP_NAME_ATTENTION),
                       4 * flops_of(&cut, "prefill", OP_NAME_ATTENTION), 1e-12));
    cr_expect(close_to(alone.answer.memory.kv, 4 * cut.answer.memory.kv, 1e-12));
    cr_expect(phase_op(&cut, "prefill", OP_NAME_FFN_ALLREDUCE, NULL) != NULL);
    cr_expect(phase_op(&alone, "prefill", OP_NAME_FFN_ALLREDUCE, NULL) == NULL);
    asked_free(&alone);
    asked_free(&cut);
}

Test(peers, pipelines_pass_every_micro_batch)
{
    struct question piped = on_h100("llama-2-7b", 8, 1024, 3), single = piped;
    piped.parallel.pp = 4;
    piped.parallel.tp = 1;
    struct asked pipeline = answered(&piped), alone = answered(&single);
    /* four stages cannot be more than four times as fast, and bubbles make them slower than that */
    cr_expect(pipeline.answer.ttft_s > alone.answer.ttft_s / 4);
    cr_expect(pipeline.answer.ttft_s < alone.answer.ttft_s);
    asked_free(&pipeline);
    asked_free(&alone);
}

Test(peers, four_bit_weights_multiply_no_faster_without_four_bit_units)
{
    struct question wide = on_h100("llama-2-7b", 8, 2048, 1), narrow = wide;
    narrow.weights = "int4-g128";
    struct asked bf16 = answered(&wide), int4 = answered(&narrow);
    const struct step_op *a = phase_op(&bf16, "prefill", OP_NAME_GATE_UP_PROJ, NULL);
    const struct step_op *b = phase_op(&int4, "prefill", OP_NAME_GATE_UP_PROJ, NULL);
    cr_assert(a && b);
    cr_expect(b->each.time >= 0.999 * a->each.time, "%g against %g", b->each.time, a->each.time);
    asked_free(&bf16);
    asked_free(&int4);
}

Test(peers, energy_has_the_right_order)
{
    struct question question = on_h100("llama-2-7b", 8, 2048, 128);
    struct asked asked = answered(&question);
    const struct device *device = asked.resolved.system->members[0].device;
    cr_expect(asked.answer.power_w > device->power.idle);
    cr_expect(asked.answer.power_w < 1.05 * device->power.tdp, "%g W", asked.answer.power_w);
    cr_expect(close_to(asked.answer.energy_j, asked.answer.power_w * asked.answer.latency_s, 1e-9));
    asked_free(&asked);
}

Test(peers, the_table_and_the_answer_are_one_path)
{
    struct question question = on_h100("llama-3.1-8b", 4, 777, 55);
    question.software = "vllm";
    struct asked asked = answered(&question);
    for (int i = 0; i < asked.breakdown.count; i++) {
        const struct phase_cost *phase = &asked.breakdown.phases[i];
        double sum = phase->step.host_gap;
        for (int op = 0; op < phase->plan->graph.op_count; op++)
            sum += phase->step.ops[op].exposed;
        cr_expect(close_to(sum, phase->time_s, 1e-9), "%s: %g against %g", phase->name, sum, phase->time_s);
    }
    double prefill = phase_of(&asked, "prefill")->time_s, decode = phase_of(&asked, "decode")->time_s;
    double host = asked.resolved.deployment.pools[0].plans[0]->software->host_per_request;
    cr_expect(close_to(prefill + host, asked.answer.ttft_s, 1e-9));
    cr_expect(close_to(decode, asked.answer.latency_s - asked.answer.ttft_s, 1e-9));
    asked_free(&asked);
}

Test(peers, no_efficiency_beats_the_hardware)
{
    static const char text[] = "- software: \"*\"\n  family: gemm\n  values: {eps: 1.2}\n";
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct reader reader = {arena, &diag};
    struct {
        struct calibration *blocks;
        size_t count;
    } read = {0};
    struct yaml_node *node = yaml_parse(arena, &diag, "block.yaml", text, sizeof text - 1);
    cr_assert(node != NULL);
    cr_expect_not(calibrations_read(&reader, node, &read));
    cr_expect(strstr(diag_first_error(&diag), "block.yaml:3:") != NULL, "%s", diag_first_error(&diag));
    arena_free(arena);
}

Test(peers, ideal_software_has_no_magic_milliseconds)
{
    struct question question = on_h100("tinyllama-1.1b", 1, 2, 2);
    struct asked asked = answered(&question);
    double weights = 2 * 1.1e9,
           bandwidth = device_memory(asked.resolved.system->members[0].device)->bandwidth;
    cr_expect(asked.answer.tpot_s < 1.1 * weights / bandwidth, "%g", asked.answer.tpot_s);
    asked_free(&asked);
}

Test(peers, answers_are_smooth_between_sizes)
{
    double last = 0;
    for (int prompt = 1000; prompt < 1016; prompt++) {
        struct question question = on_h100("llama-2-7b", 1, prompt, 2);
        question.software = "vllm";
        struct asked asked = answered(&question);
        if (last > 0)
            cr_expect(asked.answer.ttft_s >= last && asked.answer.ttft_s < 1.02 * last, "%d", prompt);
        last = asked.answer.ttft_s;
        asked_free(&asked);
    }
}

Test(peers, what_does_not_fit_is_told_what_would)
{
    struct question question = on_h100("llama-2-70b", 1, 512, 16);
    struct asked asked = answered(&question);
    struct fitting fitting;
    cr_expect_not(asked.answer.memory.fits);
    cr_assert(question_fitting(&asked.resolved, &asked.diag, &asked.catalogue, &fitting));
    cr_expect_eq(fitting.batch, 0);
    cr_expect_eq(fitting.devices, 2);
    asked_free(&asked);
}

Test(peers, any_file_is_a_device)
{
    char path[] = "/tmp/rafter-device-XXXXXX.yaml";
    int descriptor = mkstemps(path, 5);
    static const char text[] =
        "name: Ad hoc\nclass: gpu\nunits: {kind: SM, count: 10, clock: 1 GHz}\n"
        "matrix: {bf16: 100 TFLOP/s}\nvector: {fp32: 10 TFLOP/s}\n"
        "tiers: [{name: hbm, capacity: 64 GiB, bandwidth: 1 TB/s}]\nsources: {units: unverified}\n";
    cr_assert(write(descriptor, text, sizeof text - 1) == sizeof text - 1);
    close(descriptor);
    struct question question = on_h100("llama-2-7b", 1, 128, 8);
    question.device = path;
    struct asked asked = answered(&question);
    cr_expect(asked.answer.tpot_s > 2 * 6.6e9 / 1e12); /* weights over bandwidth */
    asked_free(&asked);
    unlink(path);
}
