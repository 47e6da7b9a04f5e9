/* Pieces that share a device, sums of other shapes, machines of other kinds. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct question prefill(double tokens)
{
    return (struct question){.model = "llama-3-70b",
                             .device = "8xh100",
                             .software = "vllm",
                             .batch = 1,
                             .prompt = tokens,
                             .output = 2};
}

static struct asked asked_of(struct question question, const char *technique, const char *setting)
{
    if (technique)
        question.techniques = (struct string_list){&technique, 1};
    if (setting)
        question.settings = (struct string_list){&setting, 1};
    return ask(&question);
}

static struct answer answer_of(struct question question, const char *technique, const char *setting)
{
    struct asked asked = asked_of(question, technique, setting);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct answer answer = asked.answer;
    asked_free(&asked);
    return answer;
}

static void expect_refused(struct question question, const char *technique, const char *setting,
                           const char *why)
{
    struct asked asked = asked_of(question, technique, setting);
    cr_expect_not(asked.ok, "accepted, but expected \"%s\"", why);
    if (!asked.ok)
        cr_expect(strstr(diag_first_error(&asked.diag), why) != NULL, "%s", diag_first_error(&asked.diag));
    asked_free(&asked);
}

Test(overlap, few_tokens_stay_whole)
{
    struct answer fused = answer_of(prefill(512), "tokenweave", NULL);
    struct answer never = answer_of(prefill(512), "tokenweave", "overlap.from_tokens=1000000");
    cr_expect_float_eq(fused.ttft_s, never.ttft_s, 0);
    cr_expect_float_eq(fused.energy_j, never.energy_j, 0);
    cr_expect(answer_of(prefill(4096), "tokenweave", NULL).ttft_s <
              answer_of(prefill(4096), "tokenweave", "overlap.from_tokens=1000000").ttft_s);
}

Test(overlap, hidden_time_is_at_most_all_of_the_links)
{
    struct asked apart = asked_of(prefill(8000), "tokenweave", "overlap.links=false");
    struct asked beside = asked_of(prefill(8000), "tokenweave", NULL);
    cr_assert(apart.ok && beside.ok);
    const struct phase_cost *phase = phase_of(&apart, "prefill");
    double links = 0, sum = 0;
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        if (phase->plan->graph.ops[i].kind == OP_COLLECTIVE)
            links += phase->step.ops[i].exposed;
    double gain = apart.answer.ttft_s - beside.answer.ttft_s;
    cr_expect(gain > 0.5 * links && gain < links, "%g of %g", gain, links);
    phase = phase_of(&beside, "prefill");
    for (int i = 0; i < phase->plan->graph.op_count; i++)
        sum += phase->step.ops[i].exposed;
    cr_expect(close_to(sum + phase->step.host_gap, phase->time_s, 1e-9), "parts sum to the whole");
    asked_free(&apart);
    asked_free(&beside);
}

Test(overlap, more_of_the_device_for_links_leaves_less_for_the_rest)
{
    double last = 0;
    static const char *const shares[] = {"overlap.link_share=0", "overlap.link_share=0.1",
                                         "overlap.link_share=0.5"};
    for (int i = 0; i < 3; i++) {
        double time = answer_of(prefill(8000), "tokenweave", shares[i]).ttft_s;
        cr_expect(time > last);
        last = time;
    }
    cr_expect(answer_of(prefill(8000), "tokenweave", "overlap.link_rate=0.2").ttft_s >
              answer_of(prefill(8000), "tokenweave", NULL).ttft_s);
}

Test(overlap, pieces_read_weights_again)
{
    struct asked whole = asked_of(prefill(4096), "tokenweave", "overlap.from_tokens=1000000");
    struct asked cut = asked_of(prefill(4096), "tokenweave", "overlap.links=false");
    cr_assert(whole.ok && cut.ok);
    const struct step_op *a = phase_op(&whole, "prefill", OP_NAME_DOWN_PROJ, NULL);
    const struct step_op *b = phase_op(&cut, "prefill", OP_NAME_DOWN_PROJ, NULL);
    cr_expect(close_to(b->count, 2 * a->count, 1e-12));
    cr_expect(close_to(b->count * b->each.flops, a->count * a->each.flops, 1e-12));
    cr_expect(close_to(b->count * b->each.bytes[BYTES_WEIGHTS], 2 * a->count * a->each.bytes[BYTES_WEIGHTS],
                       1e-12));
    cr_expect(cut.answer.ttft_s > whole.answer.ttft_s, "and gain nothing by themselves");
    asked_free(&whole);
    asked_free(&cut);
}

Test(overlap, decodes_attend_beside_products)
{
    struct question question = prefill(512);
    question.batch = 256;
    question.output = 512;
    double apart = answer_of(question, "nanoflow", "overlap.decodes=false").throughput_tokens_per_s;
    double beside = answer_of(question, "nanoflow", NULL).throughput_tokens_per_s;
    cr_expect(beside > apart);
    question.weights = "fp8";
    cr_expect(answer_of(question, "nanoflow", NULL).throughput_tokens_per_s > beside);
}

Test(overlap, refuses)
{
    struct question question = prefill(512);
    expect_refused(question, "tokenweave", "overlap.pieces=1", "pieces");
    expect_refused(question, "tokenweave", "overlap.link_rate=0", "link_rate");
    question.device = "h100-sxm";
    question.model = "llama-3.1-8b";
    expect_refused(question, "tokenweave", NULL, "tensor_parallel");
}

/* ---- sums ---- */

Test(tensor_parallel, the_library_s_choice_is_the_baseline)
{
    struct answer plain = answer_of(prefill(2048), NULL, NULL);
    struct answer library =
        answer_of(prefill(2048), "multimem-all-reduce", "tensor_parallel.all_reduce=library");
    cr_expect_float_eq(plain.latency_s, library.latency_s, 0);
    cr_expect_float_eq(plain.energy_j, library.energy_j, 0);
}

Test(tensor_parallel, shapes_differ_as_their_steps_do)
{
    struct question question = {.model = "llama-2-7b",
                                .device = "8xtpi-llm-edge",
                                .weights = "fp32",
                                .batch = 1,
                                .prompt = 8,
                                .output = 4};
    double star = answer_of(question, "star-all-reduce", NULL).tpot_s;
    double ring = answer_of(question, "star-all-reduce", "tensor_parallel.all_reduce=ring").tpot_s;
    double far = answer_of(question, "star-all-reduce", "tensor_parallel.path_links=4").tpot_s;
    /* 64 sums of 16 KB: two steps of 1 ms against fourteen, though a hub takes seven messages */
    cr_expect(star < ring, "%g %g", star, ring);
    cr_expect(close_to(far - star, 64 * 2 * 3e-3, 1e-6), "%g", far - star);
    question.device = "8xa100";
    question.weights = NULL;
    expect_refused(question, "multimem-all-reduce", NULL, "does not sum");
}

/* ---- machines ---- */

Test(custom_hardware, sums_cross_the_mesh)
{
    struct question question = {.model = "llama-3-8b",
                                .device = "cerebras-wse-2",
                                .software = "waferllm",
                                .batch = 1,
                                .prompt = 512,
                                .output = 16};
    double near = answer_of(question, "waferllm", "custom_hardware.mesh_hop=0 s").tpot_s;
    double one = answer_of(question, "waferllm", "custom_hardware.mesh_hop=1 ns").tpot_s;
    double two = answer_of(question, "waferllm", "custom_hardware.mesh_hop=2 ns").tpot_s;
    cr_expect(one > near && close_to(two - one, one - near, 1e-6));
    expect_refused(question, "waferllm", "custom_hardware.mesh_side=2000", "850000");
    expect_refused(question, "waferllm", "custom_hardware.stages=4", "one of");
}

Test(custom_hardware, a_pipeline_in_space_takes_as_many_as_it_has_stages)
{
    struct question question = {.model = "gpt-oss-120b",
                                .device = "hnlpu-16",
                                .software = "ideal",
                                .batch = 1,
                                .prompt = 100,
                                .output = 11};
    struct answer one = answer_of(question, "hnlpu", NULL);
    cr_expect(close_to(one.tpot_s, 216 * 4.0006e-6, 1e-9));
    cr_expect(close_to(one.ttft_s, (100 + 215) * 4.0006e-6, 1e-9));
    question.batch = 216;
    cr_expect(close_to(answer_of(question, "hnlpu", NULL).tpot_s, one.tpot_s, 1e-9));
    question.batch = 432;
    cr_expect(close_to(answer_of(question, "hnlpu", NULL).tpot_s, 2 * one.tpot_s, 1e-9));
}
