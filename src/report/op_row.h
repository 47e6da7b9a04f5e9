/* Op rows: what a table says of one operator in one phase, all its executions on one rank together. */
#ifndef RAFTER_REPORT_OP_ROW_H
#define RAFTER_REPORT_OP_ROW_H

#include "estimate/estimate.h"

struct op_row {
    const char *name;
    const char *kind;
    double count; /* executions */
    double flops;
    double bytes[BYTE_CLASS_COUNT]; /* operand bytes; the wire's are not in `moved` */
    double moved;                   /* operand bytes through memory */
    double intensity;               /* FLOP/byte; NAN when nothing is moved */
    double attainable;              /* FLOP/s: min(peak, intensity * memory bandwidth); NAN without FLOPs */
    double time;                    /* s, alone */
    double exposed;                 /* s it adds to the phase */
    double roof;                    /* time at data-sheet rates / time, 0..1 */
    double share;                   /* exposed / phase */
    double energy;                  /* J above idle, over the system */
    double energy_parts[ENERGY_PART_COUNT]; /* of it, by where it goes */
    char bound[64];                         /* "compute", "memory:hbm", "link:NVLink 4", "host", "latency" */
};

/* The row of op `index` of the phase's plan. */
void op_row_make(struct op_row *row, const struct phase_cost *phase, int index);

/* Whether the op did anything in the phase. */
bool op_row_active(const struct op_row *row);

/* Indices of the phase's active ops by exposed time, longest first, at most `most`; count returned. */
int phase_top_ops(const struct phase_cost *phase, int most, int *indices);

/* Joules above idle over the system and all phases of an answer, by where they go. */
struct result;
void result_energy(const struct result *result, double parts[ENERGY_PART_COUNT]);

/* Exposed times of all ops plus the host gap: what shares are of. */
double phase_rank_time(const struct phase_cost *phase);

#endif
