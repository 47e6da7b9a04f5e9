#include "exec/op_clock.h"

#include "exec/cpu.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

bool op_clock_start(struct op_clock *clock, struct diag *diag, bool trace)
{
    *clock = (struct op_clock){.origin = clock_seconds()};
    if (!trace)
        return true;
    clock->events = calloc(OP_EVENTS_MOST, sizeof *clock->events);
    if (clock->events == NULL)
        return diag_error(diag, NOWHERE, "out of memory for a trace of %d events", OP_EVENTS_MOST);
    clock->event_capacity = OP_EVENTS_MOST;
    return true;
}

void op_clock_free(struct op_clock *clock)
{
    free(clock->events);
    *clock = (struct op_clock){0};
}

void op_clock_clear(struct op_clock *clock)
{
    memset(clock->ops, 0, sizeof clock->ops);
    clock->count = 0;
}

/* ---- adding ---- */

/* Literals of one name may lie at several addresses, so that names are compared where pointers differ. What
 * finds no room shares the last row: the sum stays whole. */
static struct op_time *row(struct op_clock *clock, const char *name)
{
    for (int i = 0; i < clock->count; i++)
        if (clock->ops[i].name == name)
            return &clock->ops[i];
    for (int i = 0; i < clock->count; i++)
        if (strcmp(clock->ops[i].name, name) == 0)
            return &clock->ops[i];
    if (clock->count == OPS_TIMED_MOST)
        return &clock->ops[OPS_TIMED_MOST - 1];
    struct op_time *op = &clock->ops[clock->count++];
    *op = (struct op_time){.name = clock->count == OPS_TIMED_MOST ? OP_CLOCK_OTHERS : name};
    return op;
}

static void add_event(struct op_clock *clock, struct op_event event)
{
    if (clock->events == NULL)
        return;
    if (clock->event_count < clock->event_capacity)
        clock->events[clock->event_count++] = event;
    else
        clock->events_lost++;
}

double op_clock_add(struct op_clock *clock, const char *name, int layer, double begin)
{
    double now = clock_seconds();
    struct op_time *op = row(clock, name);
    op->seconds += now - begin;
    op->count++;
    add_event(clock, (struct op_event){.name = name,
                                       .layer = layer,
                                       .step = clock->step,
                                       .begin = begin - clock->origin,
                                       .end = now - clock->origin});
    return now;
}

/* ---- the trace ---- */

/* Whole nanoseconds, so that rounding cannot make a part stick out of its whole. */
static int64_t nanoseconds(double seconds)
{
    return (int64_t)llround(seconds * 1e9);
}

static void add_microseconds(struct text *out, int64_t ns)
{
    text_printf(out, "%s%" PRId64 ".%03d", ns < 0 ? "-" : "", ns < 0 ? -ns / 1000 : ns / 1000,
                (int)(ns < 0 ? -ns % 1000 : ns % 1000));
}

struct span {
    const char *name;
    int number; /* behind the name; -1: none */
    int layer, step;
    double begin, end;
};

static void add_span(struct text *out, struct span span)
{
    int64_t begin = nanoseconds(span.begin), end = nanoseconds(span.end);
    text_printf(out, ",\n{\"name\":\"%s", span.name);
    if (span.number >= 0)
        text_printf(out, " %d", span.number);
    text_add(out, "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":");
    add_microseconds(out, begin);
    text_add(out, ",\"dur\":");
    add_microseconds(out, end - begin);
    text_printf(out, ",\"args\":{\"step\":%d", span.step);
    if (span.layer >= 0)
        text_printf(out, ",\"layer\":%d", span.layer);
    text_add(out, "}}");
}

/* The events [from, returned) that share the step of `from`, and its layer where that is asked for. */
static size_t run_end(const struct op_clock *clock, size_t from, bool same_layer)
{
    const struct op_event *first = &clock->events[from];
    size_t end = from + 1;
    while (end < clock->event_count && clock->events[end].step == first->step &&
           (!same_layer || clock->events[end].layer == first->layer))
        end++;
    return end;
}

/* A whole around the events [from, to). */
static void add_whole(const struct op_clock *clock, struct text *out, const char *name, int number,
                      size_t from, size_t to)
{
    const struct op_event *first = &clock->events[from];
    struct span span = {name, number, -1, first->step, first->begin, first->end};
    if (strcmp(name, "layer") == 0)
        span.layer = first->layer;
    for (size_t i = from + 1; i < to; i++) {
        span.begin = fmin(span.begin, clock->events[i].begin);
        span.end = fmax(span.end, clock->events[i].end);
    }
    add_span(out, span);
}

static void add_layer(const struct op_clock *clock, struct text *out, size_t from, size_t to)
{
    if (clock->events[from].layer >= 0)
        add_whole(clock, out, "layer", clock->events[from].layer, from, to);
    for (size_t i = from; i < to; i++) {
        const struct op_event *event = &clock->events[i];
        add_span(out, (struct span){event->name, -1, event->layer, event->step, event->begin, event->end});
    }
}

void op_clock_trace(const struct op_clock *clock, struct text *out)
{
    text_add(out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"events_lost\":\"");
    text_printf(out, "%zu\"},\n\"traceEvents\":[\n", clock->events_lost);
    text_add(out,
             "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"rafter\"}}");
    for (size_t step = 0; step < clock->event_count;) {
        size_t step_end = run_end(clock, step, false);
        add_whole(clock, out, "step", clock->events[step].step, step, step_end);
        for (size_t layer = step; layer < step_end;) {
            size_t layer_end = run_end(clock, layer, true);
            add_layer(clock, out, layer, layer_end < step_end ? layer_end : step_end);
            layer = layer_end;
        }
        step = step_end;
    }
    text_add(out, "\n]}\n");
}
