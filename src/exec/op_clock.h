/* Times of a run by operator, under graph's names, so that prediction and measurement line up row by row; and
 * a trace of each execution where one is asked for. */
#ifndef RAFTER_EXEC_OP_CLOCK_H
#define RAFTER_EXEC_OP_CLOCK_H

#include "base/diag.h"
#include "base/text.h"
#include "graph/op_names.h"

/* Names beyond the most share the last row, OP_CLOCK_OTHERS; events beyond it are counted as lost. */
enum { OPS_TIMED_MOST = 64, OP_EVENTS_MOST = 1 << 20 };
#define OP_CLOCK_OTHERS "others"

struct op_time {
    const char *name; /* one of graph/op_names.h, by pointer */
    double seconds;
    double count; /* executions */
};

struct op_event {
    const char *name;
    int layer; /* -1: outside */
    int step;
    double begin, end; /* s since the clock was made */
};

struct op_clock {
    struct op_time ops[OPS_TIMED_MOST];
    int count;
    int step;
    struct op_event *events; /* NULL: no trace */
    size_t event_count, event_capacity;
    size_t events_lost;
    double origin;
};

/* A clock that begins now; with `trace` it keeps each execution (48 bytes, at most OP_EVENTS_MOST, memory
 * that is touched only as events come). false with diag: out of memory. */
bool op_clock_start(struct op_clock *clock, struct diag *diag, bool trace);
void op_clock_free(struct op_clock *clock);

/* Adds a run of `name` that began at `begin` (clock_seconds) and ends now; returns now, the next one's
 * beginning. */
double op_clock_add(struct op_clock *clock, const char *name, int layer, double begin);
void op_clock_clear(struct op_clock *clock); /* times only; the trace stays */

/* Chrome's trace event format, which Perfetto reads: complete events in microseconds, operators inside layers
 * inside steps. */
void op_clock_trace(const struct op_clock *clock, struct text *out);

#endif
