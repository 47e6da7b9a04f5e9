/* The clock of operators: sums, bounds, and a trace that a viewer can nest. */
#include "exec/op_clock.h"

#include "exec/cpu.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(exec_clock, .init = set_up, .fini = tear_down);

static const struct op_time *row(const struct op_clock *clock, const char *name)
{
    for (int i = 0; i < clock->count; i++)
        if (strcmp(clock->ops[i].name, name) == 0)
            return &clock->ops[i];
    cr_assert_fail("no row %s", name);
    return NULL;
}

Test(exec_clock, sums)
{
    struct op_clock clock;
    cr_assert(op_clock_start(&clock, &diag, false));
    double begin = clock_seconds(), now = begin;
    for (int i = 0; i < 5; i++) {
        now = op_clock_add(&clock, OP_NAME_QKV_PROJ, i, now);
        now = op_clock_add(&clock, OP_NAME_ATTENTION, i, now);
    }
    cr_expect_eq(clock.count, 2);
    cr_expect_eq(row(&clock, "qkv_proj")->count, 5);
    cr_expect_eq(row(&clock, "attention")->count, 5);
    double sum = row(&clock, "qkv_proj")->seconds + row(&clock, "attention")->seconds;
    cr_expect_float_eq(sum, now - begin, 1e-9, "each run begins where the one before ended");
    cr_expect_null(clock.events);
    op_clock_clear(&clock);
    cr_expect_eq(clock.count, 0);
    op_clock_free(&clock);
}

Test(exec_clock, a_run_that_took_long)
{
    struct op_clock clock;
    cr_assert(op_clock_start(&clock, &diag, false));
    op_clock_add(&clock, OP_NAME_ROPE, 0, clock_seconds() - 100);
    cr_expect_geq(row(&clock, "rope")->seconds, 100);
    op_clock_free(&clock);
}

Test(exec_clock, one_name_at_two_addresses)
{
    struct op_clock clock;
    char copy[] = "rope";
    cr_assert(op_clock_start(&clock, &diag, false));
    op_clock_add(&clock, OP_NAME_ROPE, 0, clock_seconds());
    op_clock_add(&clock, copy, 0, clock_seconds());
    cr_expect_eq(clock.count, 1);
    cr_expect_eq(clock.ops[0].count, 2);
    op_clock_free(&clock);
}

Test(exec_clock, more_names_than_rows)
{
    struct op_clock clock;
    double count = 0;
    cr_assert(op_clock_start(&clock, &diag, false));
    for (int i = 0; i < 3 * OPS_TIMED_MOST; i++)
        op_clock_add(&clock, arena_printf(arena, "op%d", i), 0, clock_seconds());
    cr_expect_eq(clock.count, OPS_TIMED_MOST);
    for (int i = 0; i < clock.count; i++)
        count += clock.ops[i].count;
    cr_expect_eq(count, 3 * OPS_TIMED_MOST);
    cr_expect_eq(row(&clock, OP_CLOCK_OTHERS)->count, 2 * OPS_TIMED_MOST + 1);
    op_clock_free(&clock);
}

Test(exec_clock, more_events_than_memory_is_for)
{
    struct op_clock clock;
    cr_assert(op_clock_start(&clock, &diag, true));
    for (int i = 0; i < OP_EVENTS_MOST + 7; i++)
        op_clock_add(&clock, OP_NAME_ROPE, 0, 0);
    cr_expect_eq(clock.event_count, OP_EVENTS_MOST);
    cr_expect_eq(clock.events_lost, 7);
    cr_expect_eq(clock.ops[0].count, OP_EVENTS_MOST + 7);
    op_clock_free(&clock);
    cr_expect_null(clock.events);
}

/* ---- the trace ---- */

struct span {
    const char *name;
    double begin, end; /* us */
    int step, layer;
};

static struct span span_of(const json_t *event)
{
    const json_t *args = json_object_get(event, "args"), *layer = json_object_get(args, "layer");
    double begin = json_number_value(json_object_get(event, "ts"));
    return (struct span){json_string_value(json_object_get(event, "name")), begin,
                         begin + json_number_value(json_object_get(event, "dur")),
                         (int)json_integer_value(json_object_get(args, "step")),
                         layer == NULL ? -1 : (int)json_integer_value(layer)};
}

/* Steps with two layers and something before and after them. */
static void run_steps(struct op_clock *clock, int steps)
{
    for (clock->step = 0; clock->step < steps; clock->step++) {
        double now = op_clock_add(clock, OP_NAME_EMBEDDING, -1, clock_seconds());
        for (int layer = 0; layer < 2; layer++) {
            now = op_clock_add(clock, OP_NAME_QKV_PROJ, layer, now);
            now = op_clock_add(clock, OP_NAME_ATTENTION, layer, now);
        }
        op_clock_add(clock, OP_NAME_LM_HEAD, -1, now);
    }
}

static json_t *trace(const struct op_clock *clock)
{
    struct text out = {0};
    json_error_t error;
    op_clock_trace(clock, &out);
    cr_assert_not(out.failed);
    json_t *root = json_loadb(out.data, out.length, 0, &error);
    cr_assert_not_null(root, "line %d: %s", error.line, error.text);
    text_free(&out);
    return root;
}

/* Whether what comes later lies inside all that are open, or after them: then a viewer stacks them. */
static void expect_nested(const json_t *events)
{
    struct span open[4] = {{0}};
    size_t depth = 0;
    for (size_t i = 1; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        struct span span = span_of(event);
        cr_expect_str_eq(json_string_value(json_object_get(event, "ph")), "X");
        cr_expect_geq(span.end, span.begin);
        while (depth > 0 && open[depth - 1].end < span.end + 1e-4)
            depth--;
        if (depth > 0)
            cr_expect(span.begin > open[depth - 1].begin - 1e-4, "%s sticks out of %s", span.name,
                      open[depth - 1].name);
        cr_assert_lt(depth, 4);
        open[depth++] = span;
    }
}

Test(exec_clock, traces_nest)
{
    struct op_clock clock;
    cr_assert(op_clock_start(&clock, &diag, true));
    run_steps(&clock, 3);
    json_t *root = trace(&clock), *events = json_object_get(root, "traceEvents");
    /* the process, and for each step itself, 2 layers and 6 operators */
    cr_assert_eq(json_array_size(events), 1 + 3 * (1 + 2 + 6));
    expect_nested(events);

    struct span step = span_of(json_array_get(events, 1)), first = span_of(json_array_get(events, 2));
    struct span layer = span_of(json_array_get(events, 3)), inside = span_of(json_array_get(events, 4));
    cr_expect_str_eq(step.name, "step 0");
    cr_expect_str_eq(first.name, "embedding");
    cr_expect_eq(first.layer, -1);
    cr_expect_str_eq(layer.name, "layer 0");
    cr_expect_str_eq(inside.name, "qkv_proj");
    cr_expect_eq(inside.layer, 0);
    cr_expect_eq(span_of(json_array_get(events, 10)).step, 1);
    cr_expect_float_eq(first.end - first.begin, (clock.events[0].end - clock.events[0].begin) * 1e6, 2e-3);
    json_decref(root);
    op_clock_free(&clock);
}

Test(exec_clock, a_trace_of_nothing)
{
    struct op_clock clock;
    cr_assert(op_clock_start(&clock, &diag, false));
    json_t *root = trace(&clock);
    cr_expect_eq(json_array_size(json_object_get(root, "traceEvents")), 1);
    json_decref(root);
    op_clock_free(&clock);
}
