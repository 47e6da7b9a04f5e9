/* From a CSV row to operators: what the schemas share. Private to fit/. */
#ifndef RAFTER_FIT_SAMPLE_ROW_H
#define RAFTER_FIT_SAMPLE_ROW_H

#include "fit/samples.h"

/* A row being read. Accessors record the first problem and then return harmless values, so that a schema
 * reads straight through and asks row_ok at the end. */
struct sample_row {
    struct arena *arena;
    struct diag *diag;
    const struct csv_table *table;
    const struct csv_row *row;
    struct graph *graph;
    struct sample *sample;
    const char *dtype; /* set by the schema: names the element types in reports */
    uint64_t shape_hash;
    const char *skip;   /* why the row cannot be modelled; NULL: it can */
    bool failed;        /* a message was given */
    enum regime regime; /* in which the first operator's family is looked up; 0: by the segment */
};

/* The cell, "" when there is no such column. */
const char *row_text(struct sample_row *row, const char *column);
/* A number of at least `least`; otherwise a message with file:line:column. */
double row_number(struct sample_row *row, const char *column, double least);
/* An element type; otherwise the row is skipped, so that a file with newer types still serves. */
struct element_type row_type(struct sample_row *row, const char *column);
/* An element type by a name that is no cell; must exist. */
struct element_type row_type_named(struct sample_row *row, const char *name);
/* A name that stands for the types of two operands. */
struct operand_types {
    const char *dtype, *a, *b;
};

/* The types that a column names: both operands', or those of one of the `count` names. false: the row is
 * skipped or refused as row_type says. */
bool row_operands(struct sample_row *row, const char *column, const struct operand_types *names, size_t count,
                  struct element_type *a, struct element_type *b);
/* The values of these columns, ended by NULL, make up the shape that splits keep together. */
void row_shape(struct sample_row *row, const char *const *columns);
/* The row cannot be modelled. */
void row_skip(struct sample_row *row, const char *reason);

/* A buffer of `rows` x `cols` weights of a type, as operand of ops. */
int row_weights(struct sample_row *row, const struct element_type *type, double rows, double cols);

/* One schema. */
struct sample_schema {
    const char *name;
    const char *const
        *columns; /* all that must be there, ended by NULL; time_us, device and source besides */
    void (*read)(struct sample_row *row);
};

extern const struct sample_schema gemm_samples, attention_samples, moe_samples, mla_samples,
    recurrent_samples, collective_samples, elementwise_samples;

#endif
