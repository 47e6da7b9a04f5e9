/* The search for stacks of techniques: what it tries, ranks and leaves out, and which of them are lossless.
 */
#include "analyse/recommend.h"
#include "mechanism/mechanism.h"
#include "support/analyst.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct question small = {
    .model = "llama-3.1-8b", .device = "a100-80gb-sxm", .batch = 16, .prompt = 1024, .output = 128};
static const struct recommend_options plain = {.objective = OBJECTIVE_THROUGHPUT, .depth = 1};

static struct analyst analyst;

static void set_up(void)
{
    analyst_open(&analyst);
}

static void tear_down(void)
{
    analyst_close(&analyst);
}

TestSuite(recommend, .init = set_up, .fini = tear_down);

static struct recommendation found_for(const struct question *question, struct recommend_options options)
{
    struct recommendation found;
    cr_assert(recommend(&analyst.evaluator, analyst.arena, &analyst.diag, question, &options, &found), "%s",
              diag_first_error(&analyst.diag));
    return found;
}

static const struct technique *technique(const char *id)
{
    const struct technique *found = catalogue_technique(&analyst.catalogue, &analyst.diag, id);
    cr_assert_not_null(found, "%s: %s", id, diag_first_error(&analyst.diag));
    return found;
}

static bool has(const struct technique_stack *stack, const char *id)
{
    for (int i = 0; i < stack->count; i++)
        if (strcmp(stack->members[i]->id, id) == 0)
            return true;
    return false;
}

static const struct technique_stack *alone(const struct recommendation *found, const char *id)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->stacks[i].count == 1 && has(&found->stacks[i], id))
            return &found->stacks[i];
    return NULL;
}

static bool sets(const struct technique *technique, const char *mechanism)
{
    for (size_t u = 0; u < technique->use_count; u++)
        if (strcmp(technique->uses[u].name, mechanism) == 0)
            return true;
    return false;
}

/* Kept limits first; among them, and among the others, the better first. */
static void expect_ranked(const struct recommendation *found)
{
    for (size_t i = 0; i < found->count; i++) {
        const struct technique_stack *stack = &found->stacks[i], *before = stack - 1;
        cr_expect((stack->strain <= 1) == (i < found->kept), "place %zu of %zu", i, found->kept);
        if (i == 0 || i == found->kept)
            continue;
        if (i < found->kept)
            cr_expect_geq(stack->score, before->score);
        else
            cr_expect_geq(stack->strain, before->strain);
    }
}

/* ---- what is lossless ---- */

/* Of the model itself, not of its draft. */
static bool is_served(const struct mechanism_use *use)
{
    bool served = use->on.count == 0;
    for (size_t i = 0; i < use->on.count; i++)
        served = served || strcmp(use->on.items[i], ROLE_SERVE) == 0;
    return served;
}

static bool loses(const struct technique *technique)
{
    static const char *const lossy[] = {
        "weight_quantization",
        "activation_quantization",
        "kv_quantization",
        "kv_eviction",
        "kv_merging",
        "kv_sparsity",
        "kv_low_rank",
        "kv_rematerialization",
        "weight_pruning",
        "layer_skipping",
        "token_pruning",
        "activation_sparsity",
        "moe_routing",
        "sparse_attention_reads",
        "block_sparse_prefill",
        "prompt_compression",
        "token_budget",
        "decode_elimination",
        "multi_token_generation",
        "block_diffusion",
        "adapters",
        "workflow",
        "multimodal_tokens",
    };
    for (size_t u = 0; u < technique->use_count; u++)
        for (size_t l = 0; l < sizeof lossy / sizeof *lossy; l++)
            if (is_served(&technique->uses[u]) && strcmp(technique->uses[u].name, lossy[l]) == 0)
                return true;
    return false;
}

Test(recommend, what_quantises_evicts_prunes_skips_or_drops_is_not_lossless)
{
    struct catalogue_entry *entries;
    size_t count, lossless = 0, lossy = 0;
    cr_assert(catalogue_list(&analyst.catalogue, &analyst.diag, CATALOGUE_TECHNIQUES, &entries, &count));
    for (size_t i = 0; i < count; i++) {
        const struct technique *one = technique(entries[i].id);
        if (one->use_count == 0)
            continue;
        bool claims = technique_is_lossless(one);
        cr_expect(!(claims && loses(one)), "%s", one->id);
        lossless += claims;
        lossy += !claims;
    }
    cr_expect(lossless > 30 && lossy > 60, "%zu lossless, %zu not", lossless, lossy);
}

Test(recommend, named_techniques_are_lossless)
{
    static const char *const exact[] = {"splitwise",
                                        "sarathi",
                                        "vattention",
                                        "dfloat11",
                                        "hydragen",
                                        "fspad",
                                        "tokenweave",
                                        "prepacking",
                                        "kv-in-host-memory",
                                        "swift",
                                        "speculative-chain",
                                        "flashinfer",
                                        "experts-in-host-memory",
                                        "neupims",
                                        "llmcad"};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        cr_expect(technique_is_lossless(technique(exact[i])), "%s", exact[i]);
}

Test(recommend, named_techniques_are_not)
{
    static const char *const lossy[] = {"medusa",     "hobbit",   "edgemoe", "llm-in-a-flash", "kvcomm",
                                        "skipdecode", "xgrammar", "lserve",  "hogwild",        "s2ft"};
    for (size_t i = 0; i < sizeof lossy / sizeof *lossy; i++)
        cr_expect_not(technique_is_lossless(technique(lossy[i])), "%s", lossy[i]);
}

/* ---- the search ---- */

Test(recommend, alone_tries_each_technique_once)
{
    struct recommendation found = found_for(&small, plain);
    cr_expect(found.has_baseline && found.baseline.count == 0 && found.exhaustive);
    cr_expect_eq(found.techniques, found.count + found.unfit_count);
    cr_expect_eq(found.evaluated, found.techniques + 1);
    cr_expect_gt(found.left_out, 0);
    expect_ranked(&found);
    for (size_t i = 0; i < found.count; i++)
        cr_expect_eq(found.stacks[i].count, 1);
    for (size_t i = 0; i < found.unfit_count; i++)
        cr_expect(found.unfit[i].reason != NULL && found.unfit[i].reason[0] != '\0', "%s",
                  found.unfit[i].technique->id);
    cr_expect_not_null(alone(&found, "kv8"));
}

Test(recommend, answers_are_what_evaluate_says)
{
    struct recommend_options options = plain;
    options.depth = 3;
    options.lossless = true;
    struct recommendation found = found_for(&small, options);
    cr_assert_gt(found.count, 0);
    for (size_t i = 0; i < found.count; i++) {
        const struct technique_stack *stack = &found.stacks[i];
        const char *names[STACK_TECHNIQUES_MOST], *reason;
        struct question question = small;
        struct answer answer;
        for (int m = 0; m < stack->count; m++)
            names[m] = stack->members[m]->id;
        question.techniques = (struct string_list){names, (size_t)stack->count};
        cr_assert(evaluate(&analyst.evaluator, &question, &answer, NULL, &reason), "%s", reason);
        cr_expect(answer.ttft_s == stack->answer.ttft_s && answer.latency_s == stack->answer.latency_s &&
                  answer.memory.total == stack->answer.memory.total);
        cr_expect_eq(stack->score, objective_score(&answer, OBJECTIVE_THROUGHPUT));
    }
}

Test(recommend, stacks_are_as_deep_as_asked)
{
    size_t before = 0;
    for (int depth = 1; depth <= STACK_TECHNIQUES_MOST; depth++) {
        struct recommend_options options = plain;
        options.depth = depth;
        struct recommendation found = found_for(&small, options);
        int deepest = 0;
        for (size_t i = 0; i < found.count; i++)
            deepest = found.stacks[i].count > deepest ? found.stacks[i].count : deepest;
        cr_expect_eq(deepest, depth);
        cr_expect_gt(found.count, before);
        expect_ranked(&found);
        before = found.count;
    }
}

Test(recommend, only_lossless_ones)
{
    struct recommend_options options = plain;
    options.depth = 3;
    options.lossless = true;
    struct recommendation found = found_for(&small, options);
    cr_expect(found.exhaustive && found.helpful > 2 && found.evaluated < 1000);
    for (size_t i = 0; i < found.count; i++)
        for (int m = 0; m < found.stacks[i].count; m++)
            cr_expect(technique_is_lossless(found.stacks[i].members[m]), "%s",
                      found.stacks[i].members[m]->id);
    cr_expect_not_null(alone(&found, "speculative-chain"));
    cr_expect_null(alone(&found, "kv8"));
}

/* The issue's own question: all of the catalogue, in under a second. */
Test(recommend, the_whole_catalogue_stays_within_the_budget)
{
    struct recommend_options options = plain;
    options.depth = 3;
    struct recommendation found = found_for(&small, options);
    cr_expect_leq(found.evaluated, RECOMMEND_BUDGET);
    cr_expect_leq((size_t)analyst.evaluator.evaluations, RECOMMEND_BUDGET);
    cr_expect(found.exhaustive == (found.evaluated < RECOMMEND_BUDGET));
    cr_expect(found.techniques > 80 && found.helpful > 10);
    expect_ranked(&found);
    cr_expect_lt(found.stacks[0].score, found.baseline.score);
    for (size_t i = 0; i < found.count; i++) /* no technique twice, none twice of one mechanism */
        for (int m = 0; m < found.stacks[i].count; m++)
            for (int n = 0; n < m; n++)
                cr_assert(found.stacks[i].members[m] != found.stacks[i].members[n] &&
                          !(sets(found.stacks[i].members[m], "weight_quantization") &&
                            is_served(&found.stacks[i].members[m]->uses[0]) &&
                            sets(found.stacks[i].members[n], "weight_quantization") &&
                            is_served(&found.stacks[i].members[n]->uses[0])));
}

/* A stack that was not tried had no answer: each pair of helpful ones, put directly. */
Test(recommend, pairs_that_contradict_have_no_answer)
{
    struct recommend_options options = plain;
    options.depth = 2;
    struct recommendation found = found_for(&small, options);
    size_t answered = 0, helpful = 0;
    const struct technique *members[256];
    cr_assert_lt(found.helpful, 256);
    for (size_t i = 0; i < found.count && helpful < found.helpful; i++)
        if (found.stacks[i].count == 1) /* ranked: the helpful ones come first */
            members[helpful++] = found.stacks[i].members[0];
    for (size_t a = 0; a < helpful; a++)
        for (size_t b = a + 1; b < helpful; b++) {
            const char *names[] = {members[a]->id, members[b]->id}, *reason;
            struct question question = small;
            struct answer answer;
            question.techniques = (struct string_list){names, 2};
            answered += evaluate(&analyst.evaluator, &question, &answer, NULL, &reason);
        }
    size_t pairs = 0;
    for (size_t i = 0; i < found.count; i++)
        pairs += found.stacks[i].count == 2;
    cr_expect_eq(pairs, answered);
}

Test(recommend, a_budget_that_ends_is_said)
{
    struct recommend_options options = plain;
    struct question huge = small;
    huge.batch = 4096; /* breaks the memory limit: nearly all that saves memory helps */
    huge.prompt = 4096;
    options.depth = 3;
    options.objective = OBJECTIVE_MEMORY;
    options.limits = (struct limits){.any_memory = true};
    struct recommendation found = found_for(&huge, options);
    cr_expect_leq(found.evaluated, RECOMMEND_BUDGET);
    cr_expect(found.exhaustive == (found.evaluated < RECOMMEND_BUDGET));
    expect_ranked(&found);
}

Test(recommend, only_the_family)
{
    struct recommend_options options = plain;
    options.family = "kv_quantization";
    struct recommendation found = found_for(&small, options);
    cr_assert_gt(found.count, 0);
    for (size_t i = 0; i < found.count; i++)
        cr_expect_str_eq(technique_family(found.stacks[i].members[0]), "kv_quantization");
    options.family = "nothing";
    found = found_for(&small, options);
    cr_expect(found.techniques == 0 && found.count == 0 && found.has_baseline);
}

Test(recommend, other_work_is_tried_only_when_named)
{
    struct recommend_options options = plain;
    struct recommendation found = found_for(&small, options);
    size_t plain_techniques = found.techniques;
    static const char *const others[] = {"hogwild",   "hnlpu",    "refrag",   "diffadapt",
                                         "splitwise", "deer-vla", "batchllm", "think-deep-think-fast"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_null(alone(&found, others[i]), "%s", others[i]);

    options.family = "workflow";
    struct recommendation named = found_for(&small, options);
    cr_expect(named.left_out == 0 && alone(&named, "hogwild") != NULL);
    options.family = "shared_prefix"; /* blockrank is of it, but generates nothing */
    named = found_for(&small, options);
    cr_expect(named.left_out == 1 && alone(&named, "blockrank") == NULL && alone(&named, "batchllm") != NULL);

    options.family = NULL;
    options.other_work = true;
    struct recommendation all = found_for(&small, options);
    cr_expect_eq(all.left_out, 0);
    cr_expect_eq(all.techniques, plain_techniques + found.left_out);
    cr_expect_not_null(alone(&all, "hogwild"));
}

Test(recommend, limits_that_nothing_keeps)
{
    struct recommend_options options = plain;
    options.limits.tpot = 1e-6;
    options.depth = 2;
    options.lossless = true;
    struct recommendation found = found_for(&small, options);
    cr_expect(found.kept == 0 && found.count > 0);
    expect_ranked(&found);
    for (size_t i = 0; i < found.count; i++)
        cr_expect(found.stacks[i].strain > 1 && found.stacks[i].tightest == LIMIT_TPOT);
}

/* What brings a question nearer to its limit helps, though it may not better the objective. */
Test(recommend, a_broken_limit_is_what_helps)
{
    struct question full = small;
    struct recommend_options options = plain;
    full.batch = 1024;
    full.prompt = 4096;
    options.depth = 1;
    struct recommendation found = found_for(&full, options);
    cr_assert(found.has_baseline && found.baseline.strain > 1 && found.baseline.tightest == LIMIT_MEMORY);
    size_t nearer = 0;
    for (size_t i = 0; i < found.count; i++)
        nearer += found.stacks[i].strain < found.baseline.strain * (1 - 1e-3);
    cr_expect_eq(found.helpful, nearer);
    cr_expect_lt(alone(&found, "kv8")->strain, found.baseline.strain);
    expect_ranked(&found);
}

Test(recommend, a_question_without_an_answer)
{
    struct question split = small;
    split.devices = 7; /* does not divide the heads */
    struct recommendation found = found_for(&split, plain);
    cr_expect_not(found.has_baseline);
    cr_expect_eq(found.unfit_count + found.count, found.techniques);
}

Test(recommend, on_top_of_the_question_s_own)
{
    const char *own[] = {"weight-only-int4"};
    struct question question = small;
    question.techniques = (struct string_list){own, 1};
    struct recommendation without = found_for(&small, plain), with = found_for(&question, plain);
    cr_expect_not_null(alone(&without, "w8a8"));
    cr_expect_null(alone(&with, "w8a8")); /* both set weight_quantization */
    cr_expect_eq(with.baseline.answer.tpot_s, alone(&without, "weight-only-int4")->answer.tpot_s);
}
