/* The graph against the model it is of: every parameter has its place in memory, every cut conserves work. */
#include "support/ask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool one_dtype(const struct plan *plan)
{
    const struct graph_types *types = &plan->graph.types;
    return strcmp(types->weights.name, types->activations.name) == 0 &&
           strcmp(types->experts.name, types->activations.name) == 0 &&
           strcmp(types->embedding.name, types->activations.name) == 0;
}

static void expect_all_parameters(const char *id)
{
    struct question question = {
        .model = id, .device = "h100-sxm", .software = "ideal", .batch = 1, .prompt = 4, .output = 1};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s: %s", id, diag_first_error(&asked.diag));
    const struct plan *plan = asked.resolved.deployment.pools[0].plans[0];
    struct parameter_count count;
    model_parameters(plan->model, &count);
    /* multi-token-prediction layers are not loaded */
    double expected = (count.text + count.vision) * element_bytes_each(&plan->graph.types.activations);
    if (one_dtype(plan))
        cr_expect(close_to(asked.answer.memory.weights, expected, 1e-6),
                  "%s: %.9g bytes of weights, %.9g of parameters", id, asked.answer.memory.weights, expected);
    asked_free(&asked);
}

Test(graph, weights_are_all_of_the_models_parameters)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    struct catalogue_entry *entries;
    size_t count, asked = 0;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    cr_assert(catalogue_list(&catalogue, &diag, CATALOGUE_MODELS, &entries, &count));
    for (size_t i = 0; i < count; i++) {
        if (entries[i].abstract)
            continue;
        expect_all_parameters(entries[i].id);
        asked++;
    }
    cr_expect(asked > 20);
    arena_free(arena);
}

/* ---- steps ---- */

/* (query, key) pairs counted one by one. */
static double pairs_counted(const struct segment *segment, int window)
{
    double pairs = 0;
    for (int q = 0; q < segment->new_tokens; q++)
        for (int k = 0; k < segment->context + segment->new_tokens; k++) {
            int at = (int)segment->context + q;
            if (k <= at && (window == 0 || k > at - window))
                pairs++;
        }
    return pairs;
}

Test(graph, causal_pairs_are_those_one_can_count)
{
    for (int window = 0; window < 12; window += 3)
        for (int context = 0; context < 15; context += 2)
            for (int n = 1; n < 20; n += 3) {
                struct segment segment = {.sequences = 1, .new_tokens = n, .context = context};
                cr_expect_float_eq(segment_pairs(&segment, window), pairs_counted(&segment, window), 1e-9,
                                   "window %d, %d on %d: %g of %g", window, n, context,
                                   segment_pairs(&segment, window), pairs_counted(&segment, window));
                segment.mask = MASK_FULL;
                if (window == 0)
                    cr_expect_float_eq(segment_pairs(&segment, 0), n * (double)(n + context), 0);
            }
}

Test(graph, cached_tokens_that_a_window_leaves_are_read)
{
    struct segment segment = {.sequences = 1, .new_tokens = 4, .context = 100};
    cr_expect_float_eq(segment_kv_tokens(&segment, 0), 104, 0);
    cr_expect_float_eq(segment_kv_tokens(&segment, 10), 13, 0); /* 9 before the first, and the 4 */
    segment.context = 2;
    cr_expect_float_eq(segment_kv_tokens(&segment, 10), 6, 0);
}

Test(graph, a_few_tokens_on_a_cache_decode)
{
    struct segment segment = {.sequences = 1, .new_tokens = 1, .context = 1};
    cr_expect_eq(segment_regime(&segment), REGIME_DECODE);
    segment.new_tokens = DECODE_TOKENS_MOST;
    cr_expect_eq(segment_regime(&segment), REGIME_DECODE);
    segment.new_tokens++;
    cr_expect_eq(segment_regime(&segment), REGIME_PREFILL);
    segment = (struct segment){.sequences = 1, .new_tokens = 1};
    cr_expect_eq(segment_regime(&segment), REGIME_PREFILL, "a prompt of one token");
}

/* ---- rows and buffers ---- */

Test(graph, shares_round_up_and_whole_shares_do_not)
{
    struct op op = {.rows = ROWS_TOKENS, .rows_factor = 1.0 / 8};
    struct step_totals totals = {.tokens = 8};
    cr_expect_float_eq(op_rows(&op, &totals), 1, 0);
    totals.tokens = 9;
    cr_expect_float_eq(op_rows(&op, &totals), 2, 0);
    op.rows_factor = 1.0 / 3;
    totals.tokens = 3e6;
    cr_expect_float_eq(op_rows(&op, &totals), 1e6, 0);
    op.rows_factor = 2;
    totals.tokens = 1.25;
    cr_expect_float_eq(op_rows(&op, &totals), 2.5, 0);
}

Test(graph, cache_bytes_know_windows_and_pages)
{
    struct buffer buffer = {.class = BUFFER_KV, .elements = 10, .page_tokens = 16, .sequence_share = 1};
    cr_assert(element_type_parse("bf16", &buffer.type));
    cr_expect_float_eq(buffer_kv_bytes(&buffer, 3, 17), 3 * 32 * 20, 0);
    buffer.window = 20;
    cr_expect_float_eq(buffer_kv_bytes(&buffer, 1, 1000), 32 * 20, 0);
    buffer.sequence_share = 0.25;
    cr_expect_float_eq(buffer_kv_bytes(&buffer, 5, 1000), 2 * 32 * 20, 0);
    buffer.per_sequence = true;
    cr_expect_float_eq(buffer_kv_bytes(&buffer, 4, 1000), 20, 0);
}

/* ---- what blocks are made of ---- */

static int count_ops(const struct asked *asked, const char *name)
{
    const struct graph *graph = &asked->resolved.deployment.pools[0].plans[0]->graph;
    int count = 0;
    for (int i = 0; i < graph->op_count; i++)
        count += strcmp(graph->ops[i].name, name) == 0;
    return count;
}

static struct asked answered(const char *model)
{
    struct question question = {
        .model = model, .device = "h100-sxm", .software = "vllm", .batch = 1, .prompt = 20, .output = 3};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    return asked;
}

Test(graph, parallel_blocks_have_the_norms_they_are_said_to)
{
    struct asked both = answered("pythia-6.9b"); /* a norm for each branch */
    cr_expect_eq(count_ops(&both, OP_NAME_ATTENTION_NORM), 1);
    cr_expect_eq(count_ops(&both, OP_NAME_FFN_NORM), 1);
    asked_free(&both);
    struct asked one = answered("falcon-7b"); /* one feeds both */
    cr_expect_eq(count_ops(&one, OP_NAME_ATTENTION_NORM), 1);
    cr_expect_eq(count_ops(&one, OP_NAME_FFN_NORM), 0);
    asked_free(&one);
}

Test(graph, a_tied_embedding_is_on_the_first_and_the_last_stage)
{
    struct question question = {.model = "llama-3.2-1b",
                                .device = "h100-sxm",
                                .software = "ideal",
                                .devices = 2,
                                .parallel = {.tp = 1, .pp = 2},
                                .batch = 1,
                                .prompt = 20,
                                .output = 3};
    struct asked asked = ask(&question);
    cr_assert(asked.ok, "%s", diag_first_error(&asked.diag));
    struct parameter_count count;
    model_parameters(asked.resolved.deployment.pools[0].plans[0]->model, &count);
    double layers = (count.text - count.embedding - 2048) / 2; /* of 16, on each of two stages */
    cr_expect(close_to(asked.answer.memory.weights, 2 * (layers + count.embedding + 2048), 1e-6),
              "the last has the final norm: %g of %g", asked.answer.memory.weights,
              2 * (layers + count.embedding));
    cr_expect_eq(asked.answer.memory.worst_stage, 1);
    asked_free(&asked);
}

Test(graph, no_operator_is_without_work)
{
    static const char *const models[] = {
        "llama-3.1-8b", "deepseek-v3",        "deepseek-v3.2",  "gpt-oss-120b", "mamba-2.8b",
        "xlstm-7b",     "qwen3-next-80b-a3b", "jamba-1.5-mini", "opt-6.7b",     "llada-8b"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct asked asked = answered(models[m]);
        for (int p = 0; p < asked.breakdown.count; p++) {
            const struct phase_cost *phase = &asked.breakdown.phases[p];
            for (int i = 0; i < phase->plan->graph.op_count; i++) {
                const struct step_op *op = &phase->step.ops[i];
                bool here = op->count > 0 && op->each.launches > 0;
                cr_expect(!here || op->each.flops + op_bytes(op) > 0, "%s: %s %s", models[m], phase->name,
                          phase->plan->graph.ops[i].name);
                cr_expect(isfinite(op->exposed) && op->exposed >= 0);
            }
        }
        asked_free(&asked);
    }
}
