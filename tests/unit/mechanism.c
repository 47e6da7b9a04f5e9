/* Techniques: switched off they leave the baseline as it is, more of them never hurts what they are for, they
 * compose, and what makes no sense is refused. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static struct question llama(double batch, double prompt, double output)
{
    return (struct question){
        .model = "llama-3.1-8b", .device = "h100-sxm", .batch = batch, .prompt = prompt, .output = output};
}

static struct asked answered(const struct question *question)
{
    struct asked asked = ask(question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

/* ---- hooks ---- */

static int calls[HOOK_COUNT];
#define COUNTING_HOOK(name, hook)                                                                            \
    static bool name(struct rewrite *rewrite, const void *parameters)                                        \
    {                                                                                                        \
        (void)rewrite, (void)parameters;                                                                     \
        calls[hook]++;                                                                                       \
        return true;                                                                                         \
    }
COUNTING_HOOK(count_device, HOOK_DEVICE)
COUNTING_HOOK(count_software, HOOK_SOFTWARE)
COUNTING_HOOK(count_workload, HOOK_WORKLOAD)
COUNTING_HOOK(count_model, HOOK_MODEL)
COUNTING_HOOK(count_ops, HOOK_OPS)
COUNTING_HOOK(count_placement, HOOK_PLACEMENT)
COUNTING_HOOK(count_generation, HOOK_GENERATION)
COUNTING_HOOK(count_schedule, HOOK_SCHEDULE)

static const struct mechanism counting = {.name = "counting",
                                          .on_device = count_device,
                                          .on_software = count_software,
                                          .on_workload = count_workload,
                                          .on_model = count_model,
                                          .on_ops = count_ops,
                                          .on_placement = count_placement,
                                          .on_generation = count_generation,
                                          .on_schedule = count_schedule};

Test(mechanism, every_hook_runs_for_its_role_only)
{
    struct stack stack = {.entries = {{.mechanism = &counting, .role = ROLE_SERVE}}, .count = 1};
    struct rewrite rewrite = {.role = ROLE_SERVE};
    for (int hook = 0; hook < HOOK_COUNT; hook++) {
        cr_expect(stack_run(&stack, (enum hook)hook, &rewrite));
        for (int other = 0; other < HOOK_COUNT; other++)
            cr_expect_eq(calls[other], other <= hook, "hook %d ran %d times after %d", other, calls[other],
                         hook);
    }
    rewrite.role = ROLE_DRAFT;
    for (int hook = 0; hook < HOOK_COUNT; hook++) {
        cr_expect(stack_run(&stack, (enum hook)hook, &rewrite));
        cr_expect_eq(calls[hook], 1);
    }
}

Test(mechanism, planning_runs_the_plans_hooks_once_each)
{
    struct question question = llama(1, 64, 4);
    struct asked asked = answered(&question);
    struct stack stack = {.entries = {{.mechanism = &counting, .role = ROLE_SERVE}}, .count = 1};
    const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
    struct plan again;
    struct plan_request request = {.system = asked.resolved.system,
                                   .model = plan->model,
                                   .software = plan->software,
                                   .parallel = plan->parallel,
                                   .stack = &stack,
                                   .role = ROLE_SERVE};
    cr_assert(plan_resolve(&again, asked.arena, &asked.diag, &request));
    cr_expect_eq(calls[HOOK_DEVICE], 1);
    cr_expect_eq(calls[HOOK_MODEL], 1);
    cr_expect_eq(calls[HOOK_OPS], 1);
    cr_expect_eq(calls[HOOK_PLACEMENT], 1);
    cr_expect_eq(calls[HOOK_SCHEDULE], 1);
    cr_expect_eq(calls[HOOK_WORKLOAD] + calls[HOOK_GENERATION], 0,
                 "these belong to the question, not to a plan");
    asked_free(&asked);
}

static bool double_clock(struct rewrite *rewrite, const void *parameters)
{
    (void)parameters;
    for (size_t i = 0; i < rewrite->device->tier_count; i++) {
        struct memory_tier *tiers =
            ARENA_ARRAY(rewrite->arena, struct memory_tier, rewrite->device->tier_count);
        memcpy(tiers, rewrite->device->tiers, rewrite->device->tier_count * sizeof *tiers);
        tiers[i].bandwidth *= 2;
        rewrite->device->tiers = tiers;
    }
    return true;
}

static bool overlap_all(struct rewrite *rewrite, const void *parameters)
{
    (void)parameters;
    for (int i = 0; i < rewrite->graph->op_count; i++)
        rewrite->graph->ops[i].overlap_group = 1;
    rewrite->graph->overlap_chunks[1] = 1000000;
    return true;
}

static double step_time(struct asked *asked, const struct mechanism *mechanism)
{
    struct stack stack = {.entries = {{.mechanism = mechanism, .role = ROLE_SERVE}},
                          .count = mechanism != NULL};
    const struct plan *plan = asked->resolved.deployment.pools[0].plans[0];
    struct plan again;
    struct plan_request request = {.system = asked->resolved.system,
                                   .model = plan->model,
                                   .software = plan->software,
                                   .parallel = plan->parallel,
                                   .stack = &stack,
                                   .role = ROLE_SERVE};
    cr_assert(plan_resolve(&again, asked->arena, &asked->diag, &request), "%s",
              diag_first_error(&asked->diag));
    struct step_cost cost = {.ops = ARENA_ARRAY(asked->arena, struct step_op, (size_t)again.graph.op_count)};
    struct step step = {.segments = {{.sequences = 8, .new_tokens = 1, .context = 1000, .sampled = 1}},
                        .count = 1};
    plan_step(&again, &step, false, &cost);
    return cost.time;
}

Test(mechanism, a_changed_device_and_a_changed_schedule_change_the_step)
{
    static const struct mechanism faster = {.name = "faster", .on_device = double_clock};
    static const struct mechanism overlapped = {.name = "overlapped", .on_schedule = overlap_all};
    struct question question = llama(1, 64, 4);
    question.software = "ideal";
    question.devices = 2;
    struct asked asked = answered(&question);
    double base = step_time(&asked, NULL), quick = step_time(&asked, &faster);
    cr_expect(quick < 0.7 * base && quick >= 0.499 * base, "%g against %g", quick, base);
    double hidden = step_time(&asked, &overlapped);
    cr_expect(hidden < base && hidden > 0.3 * base, "%g against %g", hidden, base);
    cr_expect_float_eq(step_time(&asked, NULL), base, 0, "the shared device was changed");
    asked_free(&asked);
}

Test(mechanism, inserted_operators_keep_what_others_wait_for)
{
    struct question question = llama(1, 64, 4);
    struct asked asked = answered(&question);
    struct graph graph = asked.resolved.deployment.pools[0].plans[0]->graph;
    cr_assert(graph.op_count > 6);
    graph.ops[5].waits_for = 3;
    graph.ops[2].waits_for = 1;
    graph_insert_op(&graph, 3, OP_NAME_QUANTIZE, OP_TRANSFORM, 0);
    cr_expect_eq(graph.ops[6].waits_for, 4);
    cr_expect_eq(graph.ops[2].waits_for, 1);
    cr_expect_eq(graph.ops[3].waits_for, -1);
    asked_free(&asked);
}

/* ---- off is the baseline ---- */

Test(mechanism, the_baselines_own_type_changes_nothing)
{
    struct question base = llama(4, 300, 40);
    struct answer plain = answer_to(&base);
    struct question types = base;
    types.weights = types.kv = types.activations = "bf16";
    struct answer same = answer_to(&types);
    expect_same_answer(&plain, &same);
    struct question technique = question_with(
        base, LIST("w8a8"), LIST("weight_quantization.type=bf16", "activation_quantization.type=bf16"));
    same = answer_to(&technique);
    expect_same_answer(&plain, &same);
}

Test(mechanism, a_prefix_needs_someone_to_share_it_with)
{
    struct question base = llama(1, 1000, 20);
    struct question shared =
        question_with(base, LIST("shared-prefix"), LIST("shared_prefix.prefix_tokens=500"));
    struct answer alone = answer_to(&base), same = answer_to(&shared);
    expect_same_answer(&alone, &same);
}

/* ---- more is never worse ---- */

Test(mechanism, fewer_bits_decode_no_slower_and_take_no_more_memory)
{
    static const char *const types[] = {"bf16", "fp8", "int4"};
    for (int axis = 0; axis < 2; axis++) {
        struct answer last = {.tpot_s = INFINITY, .memory.total = INFINITY};
        for (int i = 0; i < 3; i++) {
            struct question question = axis == 0 ? llama(1, 100, 30) : llama(32, 8000, 30);
            *(axis == 0 ? &question.weights : &question.kv) = types[i];
            struct answer answer = answer_to(&question);
            cr_expect(answer.tpot_s < last.tpot_s, "%s: %g after %g", types[i], answer.tpot_s, last.tpot_s);
            cr_expect(answer.memory.total < last.memory.total);
            last = answer;
        }
    }
}

Test(mechanism, higher_acceptance_is_never_slower)
{
    static const char *const acceptances[] = {
        "speculative_decoding.acceptance=0", "speculative_decoding.acceptance=0.3",
        "speculative_decoding.acceptance=0.6", "speculative_decoding.acceptance=0.999999999999",
        "speculative_decoding.acceptance=1"};
    double last = INFINITY;
    struct question base = llama(1, 200, 101);
    for (int i = 0; i < 5; i++) {
        struct question question = question_with(base, LIST("speculative-chain"), &acceptances[i], 1);
        struct answer answer = answer_to(&question);
        cr_expect(answer.latency_s <= last * (1 + 1e-12), "%s: %g after %g", acceptances[i], answer.latency_s,
                  last);
        last = answer.latency_s;
    }
    struct answer plain = answer_to(&base);
    cr_expect(last < plain.latency_s, "with every proposal accepted it pays");
    struct question hopeless = question_with(base, LIST("speculative-chain"), &acceptances[0], 1);
    cr_expect(answer_to(&hopeless).latency_s > plain.latency_s, "with none accepted it does not");
}

Test(mechanism, a_longer_shared_prefix_is_never_slower_nor_larger)
{
    static const char *const prefixes[] = {
        "shared_prefix.prefix_tokens=1", "shared_prefix.prefix_tokens=40", "shared_prefix.prefix_tokens=1000",
        "shared_prefix.prefix_tokens=3000", "shared_prefix.prefix_tokens=3999"};
    static const char *const read_once = "shared_prefix.read_once=true";
    struct question base = llama(16, 4000, 50);
    struct answer last = answer_to(&base);
    for (int i = 0; i < 5; i++) {
        const char *settings[] = {prefixes[i], read_once};
        struct question question = question_with(base, LIST("shared-prefix"), settings, 1);
        struct answer answer = answer_to(&question);
        /* a prompt cut in two has one more partly filled block of query rows */
        cr_expect(answer.latency_s <= last.latency_s * (1 + 1e-4), "%s: %g after %g", prefixes[i],
                  answer.latency_s, last.latency_s);
        cr_expect(answer.memory.total <= last.memory.total, "%s", prefixes[i]);
        last = answer;
        question = question_with(base, LIST("shared-prefix"), settings, 2);
        cr_expect(answer_to(&question).tpot_s <= answer.tpot_s * (1 + 1e-12), "%s read once", prefixes[i]);
    }
    struct question cached = question_with(
        base, LIST("shared-prefix"), LIST("shared_prefix.prefix_tokens=3999", "shared_prefix.cached=true"));
    cr_expect(answer_to(&cached).ttft_s < last.ttft_s);
}

/* ---- composition and conservation ---- */

Test(mechanism, techniques_compose_with_each_other_and_with_tensor_parallelism)
{
    struct question base = llama(8, 2000, 65);
    for (int devices = 1; devices <= 4; devices *= 2) {
        base.devices = devices;
        struct question stacked = question_with(base, LIST("fp8", "speculative-chain", "shared-prefix"),
                                                LIST("shared_prefix.prefix_tokens=1000"));
        struct asked asked = answered(&stacked);
        struct answer plain = answer_to(&base), all = asked.answer;
        cr_expect(all.latency_s < plain.latency_s, "%d devices", devices);
        cr_expect(all.memory.kv < plain.memory.kv);
        /* the draft stays in bf16: its weights are beside the halved ones */
        const struct plan *draft = asked.resolved.deployment.pools[0].plans[1];
        cr_expect_str_eq(draft->graph.types.weights.name, "bf16");
        cr_expect_str_eq(asked.resolved.deployment.pools[0].plans[0]->graph.types.weights.name, "fp8");
        asked_free(&asked);
    }
}

Test(mechanism, cycles_emit_the_output)
{
    struct question question =
        question_with(llama(2, 100, 201), LIST("speculative-chain"),
                      LIST("speculative_decoding.acceptance=0.5", "speculative_decoding.draft_tokens=3"));
    struct asked asked = answered(&question);
    const struct phase_cost *decode = phase_of(&asked, "decode"), *draft = phase_of(&asked, "draft");
    cr_assert(decode && draft);
    double tokens = 1 + 0.5 + 0.25 + 0.125; /* 1 + a + a^2 + a^3 */
    cr_expect(close_to(decode->steps * tokens, 200, 1e-12));
    cr_expect(close_to(draft->steps, 3 * decode->steps, 1e-12));
    cr_expect_float_eq(decode->shape.segments[0].new_tokens, 4, 0);
    /* the verification's logits: 4 positions of both sequences */
    const struct step_op *head = phase_op(&asked, "decode", OP_NAME_LM_HEAD, NULL);
    cr_assert(head != NULL);
    cr_expect(close_to(head->each.flops, 2.0 * 4096 * 128256 * 8, 1e-9), "%g", head->each.flops);
    cr_expect(close_to(decode->time_s + draft->time_s, asked.answer.latency_s - asked.answer.ttft_s, 1e-9));
    asked_free(&asked);
}

/* ---- refusals ---- */

Test(mechanism, what_makes_no_sense_is_refused)
{
    struct question base = llama(1, 100, 10);
    struct question q = question_with(base, LIST("fp8", "kv8"), NO_LIST);
    expect_refusal(q, "both set kv_quantization");
    q = question_with(base, LIST("kv8"), NO_LIST);
    q.kv = "int8";
    expect_refusal(q, "both set kv_quantization");
    q = question_with(base, LIST("speculative-chain"), LIST("speculative_decoding.acceptance=1.5"));
    expect_refusal(q, "acceptance");
    q = question_with(base, LIST("speculative-chain"), LIST("speculative_decoding.draft_tokens=0"));
    expect_refusal(q, "draft_tokens");
    q = question_with(base, LIST("speculative-chain"), LIST("speculative_decoding.acceptence=0.5"));
    expect_refusal(q, "acceptance");
    q = question_with(base, LIST("speculative-chain"), LIST("speculative_decoding.draft_model=llada-8b"));
    expect_refusal(q, "masked-diffusion");
    q = question_with(base, LIST("speculative-chain"),
                      LIST("speculative_decoding.draft_model=no-such-model"));
    expect_refusal(q, "no-such-model");
    q.model = "llada-8b";
    expect_refusal(q, "masked-diffusion");
    q = question_with(base, LIST("shared-prefix"), LIST("shared_prefix.prefix_tokens=100"));
    expect_refusal(q, "does not leave a token");
    q = question_with(base, LIST("shared-prefix"), NO_LIST);
    expect_refusal(q, "no shared_prefix");
    q = question_with(base, LIST("shared-prefix"), LIST("shared_prefix.prefix_tokens=10"));
    q.model = "llada-8b";
    expect_refusal(q, "masked-diffusion");
    q = base;
    q.model = "llada-8b";
    q.kv = "fp8";
    expect_refusal(q, "masked-diffusion");
    q = question_with(base, NO_LIST, LIST("speculative_decoding.acceptance=0.5"));
    expect_refusal(q, "no technique of the stack");
    q = question_with(base, NO_LIST, LIST("speculative_decodin.acceptance=0.5"));
    expect_refusal(q, "did you mean \"speculative_decoding\"");
    q = base;
    q.weights = "int5";
    expect_refusal(q, "unknown element type");
}

static bool add(struct stack *stack, struct asked *asked, const char *mechanism, const char *setting)
{
    return stack_add(stack, asked->arena, &asked->diag, mechanism, &setting, 1, "--test");
}

Test(mechanism, an_unknown_mechanism_is_told_the_nearest)
{
    struct asked asked = {.arena = arena_new(0)};
    asked.diag.arena = asked.arena;
    struct stack stack = {.count = 0};
    cr_expect_not(add(&stack, &asked, "wieght_quantization", "type=fp8"));
    cr_expect(strstr(diag_first_error(&asked.diag), "did you mean \"weight_quantization\"") != NULL, "%s",
              diag_first_error(&asked.diag));
    cr_expect(add(&stack, &asked, "weight_quantization", "type=fp8"));
    cr_expect_not(add(&stack, &asked, "weight_quantization", "type=int8"));
    cr_expect_not(add(&stack, &asked, "kv_quantization", "type"));
    cr_expect_eq(stack.count, 1);
    arena_free(asked.arena);
}

Test(mechanism, every_one_in_the_registry_can_be_found_and_shown)
{
    for (size_t i = 0; i < mechanism_count; i++) {
        cr_expect_eq(mechanism_find(mechanisms[i]->name), mechanisms[i]);
        cr_expect(mechanisms[i]->summary && mechanisms[i]->parameters.schema);
        cr_expect_eq(mechanisms[i]->parameters.schema->size, mechanisms[i]->parameter_size);
        if (i > 0)
            cr_expect(strcmp(mechanisms[i - 1]->name, mechanisms[i]->name) < 0, "sorted by name");
    }
    cr_expect_null(mechanism_find("nothing"));
}

/* Techniques that need more than a Llama and 1000 tokens. */
static const struct {
    const char *technique, *model, *setting, *device;
} needs[] = {
    {"multimem-all-reduce", NULL, NULL, "8xh100"},
    {"star-all-reduce", NULL, NULL, "8xh100"},
    {"tokenweave", NULL, NULL, "8xh100"},
    {"tpi-llm", NULL, NULL, "8xtpi-llm-edge"},
    {"waferllm", NULL, NULL, "cerebras-wse-2"},
    {"adablock-dllm", "llada-8b", NULL, NULL},
    {"localleap", "llada-8b", NULL, NULL},
    {"xlstm-7b", "xlstm-7b", NULL, NULL},
    {"fopru", "llava-1.5-7b", NULL, NULL},
    {"free-video-llm", "llava-1.5-7b", "model.max_context=10000", NULL},
    {"hired", "llava-next-7b-vicuna", NULL, NULL},
    {"hydragen", NULL, "shared_prefix.prefix_tokens=400", NULL},
    {"quickvideo", "qwen2-vl-7b", "model.max_context=1000000", NULL},
    {"shared-prefix", NULL, "shared_prefix.prefix_tokens=400", NULL},
    {"retrieval-attention", NULL, NULL, "a100-epyc-7v13"},
    {"flashinfer", NULL, "shared_prefix.prefix_tokens=400", NULL},
};

static void give_what_it_needs(const char *technique, struct question *question)
{
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        if (strcmp(needs[i].technique, technique) != 0)
            continue;
        if (needs[i].model)
            question->model = needs[i].model;
        if (needs[i].device)
            question->device = needs[i].device;
        if (needs[i].setting)
            question->settings = (struct string_list){(const char **)&needs[i].setting, 1};
    }
}

Test(mechanism, every_shipped_technique_runs_on_llama)
{
    struct asked list = {.arena = arena_new(0)};
    list.diag.arena = list.arena;
    struct question base = llama(4, 1000, 20);
    base.device = "a100-80gb-sxm"; /* has units of one bit too */
    struct asked first = answered(&base);
    struct catalogue_entry *entries;
    size_t count;
    cr_assert(catalogue_list(&first.catalogue, &first.diag, CATALOGUE_TECHNIQUES, &entries, &count));
    cr_expect(count >= 6);
    for (size_t i = 0; i < count; i++) {
        struct question question = base;
        const char *id = entries[i].id;
        question.techniques = (struct string_list){&id, 1};
        give_what_it_needs(id, &question);
        struct asked asked = ask(&question);
        /* those that need another member or experts say so */
        const char *refusal = asked.ok ? "" : diag_first_error(&asked.diag);
        bool elsewhere = strstr(refusal, "ask for a system with such a member") != NULL ||
                         strstr(refusal, "has no routed experts") != NULL;
        cr_expect(asked.ok || elsewhere, "%s: %s", id, refusal);
        if (asked.ok)
            cr_expect(isfinite(asked.answer.latency_s) && asked.answer.latency_s > 0, "%s", id);
        asked_free(&asked);
    }
    asked_free(&first);
    arena_free(list.arena);
}

Test(mechanism, empirical_inputs_are_named)
{
    struct question question = question_with(llama(1, 100, 10), LIST("speculative-chain"), NO_LIST);
    struct asked asked = answered(&question);
    const char **lines;
    cr_expect_eq(stack_empirical(&asked.resolved.deployment.stack, asked.arena, &lines), 1);
    cr_expect_str_eq(lines[0], "speculative_decoding.acceptance = 0.7");
    asked_free(&asked);
}
