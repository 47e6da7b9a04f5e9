/* Operator tables. */
#ifndef RAFTER_REPORT_OPS_H
#define RAFTER_REPORT_OPS_H

#include "report/json.h"
#include "report/op_row.h"
#include "report/table.h"

/* The table of `count` phases, a row an operator that did something, and a last row of the host's gaps where
 * there are any. NULL when memory is out. */
struct table *ops_table(const struct phase_cost *phases, int count, struct arena *arena);

/* "prefill  123.4 ms in 1 step · 132 TFLOP · 16 GiB moved", after an empty line. */
void phase_heading(const struct phase_cost *phase, bool markdown, bool colour, struct arena *arena,
                   struct text *out);

/* {name, kind, count, flops, bytes ... percent_of_roof}, the contract's and more. */
json_t *op_json(const struct op_row *row);
/* {time_s, flops, bytes, steps, ops[]} */
json_t *phase_json(const struct phase_cost *phase);

#endif
