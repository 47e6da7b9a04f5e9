/* Kernels for weights of few bits that convert none of them on the way. Private to cost/. */
#ifndef RAFTER_COST_LOW_BIT_COST_H
#define RAFTER_COST_LOW_BIT_COST_H

#include "cost/gemm_cost.h"

/* What such a kernel does, at data-sheet rates; seconds are of all units together. */
struct low_bit_form {
    enum resource unit;    /* matrix units or lanes */
    double value_s;        /* for one row, column and element of k */
    double lane_value_s;   /* of it on the lanes besides */
    bool lanes_apart;      /* both at once; false: one after the other */
    double row_step;       /* rows are filled up to a multiple of it */
    double depth;          /* elements of k are, too */
    double result_lane_s;  /* for one result and group of scales: planes shifted, scaled, summed */
    double scale_group;    /* elements of k that share a scale; 0: all */
    double prepare_lane_s; /* making the tables (or bit planes) of one activation */
    double prepared_bytes; /* of them */
    enum low_bit_preparation preparation;
};

/* Tiles: few rows share the weights that a unit loads, many columns the tables. */
enum { LOW_BIT_ROWS = 7, LOW_BIT_COLUMNS = 6 };

/* A form with tiles tabulated. Seconds are of one unit, for one element of k of one tile. */
struct low_bit_tiles {
    struct low_bit_form form;
    double work[LOW_BIT_ROWS][LOW_BIT_COLUMNS];   /* INFINITY: too large a tile */
    double unit_s[LOW_BIT_ROWS][LOW_BIT_COLUMNS]; /* of it, the form's unit */
    double lane_s[LOW_BIT_ROWS][LOW_BIT_COLUMNS]; /* of it, the lanes */
    double stream[LOW_BIT_ROWS][LOW_BIT_COLUMNS]; /* through the shared cache */
    double a_bytes;                               /* streamed for one activation */
    double result_s;                              /* for one result and group of scales */
    double pass_row_s; /* s of all lanes, in a kernel of its own; 0: there is none */
    double row_bytes;  /* tables or planes of one row, written and read */
};

struct low_bit_cost {
    const struct low_bit_tiles *lookup, *bit_serial; /* NULL: not allowed */
    const struct prepared_op *expanded;              /* with weights as wide as it computes in; NULL */
    double expanded_bytes;
    bool dequantize; /* the usual kernel is allowed too */
    double peak;     /* FLOP/s of the fastest units that the kernels run on */
};

/* Prepares the kernels that the op allows; false with diag when the device has not what they need. */
bool low_bit_prepare(struct prepared_op *prepared, struct arena *arena, struct diag *diag,
                     const struct element_type *weights);

/* The fastest of them. */
void low_bit_cost(const struct prepared_op *prepared, double rows, struct op_cost *cost);

/* NULL, or why the device and the operands cannot (a message in the arena). form is filled where they can. */
const char *lookup_form(const struct prepared_op *prepared, struct arena *arena,
                        const struct element_type *weights, struct low_bit_form *form);
const char *bit_serial_form(const struct prepared_op *prepared, struct arena *arena,
                            const struct element_type *weights, struct low_bit_form *form);

/* Tabulates the form's tiles; NULL: out of memory. */
const struct low_bit_tiles *low_bit_tiles_prepare(const struct prepared_op *prepared, struct arena *arena,
                                                  const struct low_bit_form *form);
void low_bit_tiles_cost(const struct prepared_op *prepared, const struct low_bit_tiles *tiles, double rows,
                        struct op_cost *cost);

#endif
