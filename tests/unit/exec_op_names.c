/* Each operator of a real step is timed under the name that the graph has for it, so that predicted and
 * measured line up row by row. */
#include "support/small_models.h"

#include "exec/kernels/gemm_kernels.h"
#include "exec/runner.h"
#include "graph/graph.h"
#include "spec/catalogue.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT = 40, CONTEXT = 64, NAMES_MOST = 128 };

struct names {
    const char *items[NAMES_MOST];
    int count;
};

static bool has(const struct names *names, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

static void add(struct names *names, const char *name)
{
    if (!has(names, name) && names->count < NAMES_MOST)
        names->items[names->count++] = name;
}

/* The graph's operators of a regime. Sampling follows a step and is timed by whoever generates. */
static struct names graph_names(struct arena *arena, const struct software *software,
                                const struct small_model *small, enum regime regime)
{
    struct diag diag = {.arena = arena};
    struct graph graph;
    struct names names = {0};
    const struct model *model = small_model_read(arena, small);
    const struct parallelism alone = {.tp = 1, .pp = 1, .ep = 1, .dp = 1, .micro_batches = 1};
    const struct graph_types types = graph_default_types(model);
    cr_assert(graph_build(&graph, arena, &diag, model, software, &alone, &types), "%s: %s", small->name,
              diag_first_error(&diag));
    for (int i = 0; i < graph.op_count; i++)
        if (graph.ops[i].regime & regime && strcmp(graph.ops[i].name, OP_NAME_SAMPLE) != 0)
            add(&names, graph.ops[i].name);
    return names;
}

static struct names timed_names(struct runner *runner, struct diag *diag, const int *tokens, int count,
                                float *logits)
{
    struct names names = {0};
    const struct step_part part = {0, tokens, count, 1};
    struct op_clock *clock = runner_clock(runner);
    op_clock_clear(clock);
    cr_assert(runner_step(runner, diag, &part, 1, logits), "%s", diag_first_error(diag));
    for (int i = 0; i < clock->count; i++) {
        add(&names, clock->ops[i].name);
        cr_expect(clock->ops[i].seconds >= 0 && clock->ops[i].count >= 1);
    }
    return names;
}

static void expect_same(const char *model, const char *phase, const struct names *graph,
                        const struct names *timed)
{
    for (int i = 0; i < graph->count; i++)
        cr_expect(has(timed, graph->items[i]), "%s: %s: %s is not timed", model, phase, graph->items[i]);
    for (int i = 0; i < timed->count; i++)
        cr_expect(has(graph, timed->items[i]), "%s: %s: %s is not in the graph", model, phase,
                  timed->items[i]);
    cr_expect(graph->count > 5);
}

static void expect_names(struct arena *arena, const struct software *software,
                         const struct small_model *small)
{
    struct diag diag = {.arena = arena};
    struct weights *weights = small_model_weights(arena, small, WEIGHT_F32, 1);
    const struct runner_options options = {
        .threads = 1, .isa = cpu_isa(), .sequences = 1, .context_tokens = CONTEXT, .step_tokens = PROMPT};
    struct runner *runner = runner_new(arena, &diag, weights, &options);
    cr_assert(runner != NULL, "%s: %s", small->name, diag_first_error(&diag));
    int tokens[PROMPT] = {0};
    float *logits = ARENA_ARRAY(arena, float, (size_t)weights_model(weights)->vocab);
    struct names graph = graph_names(arena, software, small, REGIME_PREFILL);
    struct names timed = timed_names(runner, &diag, tokens, PROMPT, logits);
    expect_same(small->name, "prefill", &graph, &timed);
    graph = graph_names(arena, software, small, REGIME_DECODE);
    timed = timed_names(runner, &diag, tokens, 1, logits);
    expect_same(small->name, "decode", &graph, &timed);
    timed = timed_names(runner, &diag, tokens, DECODE_TOKENS_MOST, logits); /* still decode's kernels */
    expect_same(small->name, "a few tokens", &graph, &timed);
    runner_free(runner);
    weights_close(weights);
}

/* What predictions are told of the executor's code, and what the code does. */
Test(exec_op_names, the_software_profile_states_the_sizes_of_the_code)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    const struct software *software = catalogue_software(&catalogue, &diag, "rafter-exec", NULL);
    cr_assert(software != NULL, "%s", diag_first_error(&diag));
    cr_expect(software->kv_block_tokens == RUNNER_PAGE_TOKENS);
    cr_expect(software->solo_values == RUNNER_VALUES_ALONE);
    cr_expect(software->gemv_rows == DIRECT_ROWS_MOST);
    cr_expect(software->panel_columns == PANEL);
    cr_expect(software->panel_rows == X_ROWS_MOST);
    arena_free(arena);
}

Test(exec_op_names, a_step_times_what_the_graph_lists)
{
    struct arena *arena = arena_new(0);
    struct diag diag = {.arena = arena};
    struct catalogue catalogue;
    setenv("RAFTER_PATH", SOURCE_DIR, 1);
    catalogue_open(&catalogue, arena);
    const struct software *software = catalogue_software(&catalogue, &diag, "rafter-exec", NULL);
    cr_assert(software != NULL, "%s", diag_first_error(&diag));
    for (int i = 0; i < small_model_count; i++)
        expect_names(arena, software, &small_models[i]);
    arena_free(arena);
}
