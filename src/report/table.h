/* Tables: described once, written as aligned text, Markdown or CSV. Text and Markdown show a cell's text, CSV
 * its number, so that what people read is short and what programs read is exact. */
#ifndef RAFTER_REPORT_TABLE_H
#define RAFTER_REPORT_TABLE_H

#include "base/arena.h"
#include "report/tone.h"

enum table_format { TABLE_TEXT, TABLE_MARKDOWN, TABLE_CSV };
enum side { SIDE_LEFT, SIDE_RIGHT };
enum column_use {
    COLUMN_SHOWN = 1,
    COLUMN_DATA = 2,
    COLUMN_BOTH = 3
}; /* in text and Markdown; in CSV; in all */

struct table;

/* A table in the arena; NULL when memory is out, and every function below takes that NULL. */
struct table *table_new(struct arena *arena);

/* Adds a column before any row: its key in CSV ("time_s") and its heading for people ("time"). */
void table_column(struct table *table, const char *key, const char *heading, enum side side,
                  enum column_use use);

/* Starts a row; cells follow in column order, missing ones stay empty, more than columns are dropped. */
void table_row(struct table *table, enum tone tone);
void table_text(struct table *table, const char *text);
/* A number for CSV, NaN: empty, and how it is shown. */
void table_number(struct table *table, double value, const char *shown);
/* The tone of the cell added last. */
void table_tone(struct table *table, enum tone tone);

/* Writes it. indent: spaces before each line of text. Columns are as wide as their widest cell, two spaces
 * apart. false when memory ran out while the table was filled. */
bool table_write(const struct table *table, enum table_format format, bool colour, int indent,
                 struct text *out);

#endif
