/* CSV files with a header: comma-separated, fields in double quotes where they hold commas or quotes (RFC
 * 4180, but no line breaks inside fields), lines ended by LF or CRLF. Empty lines and lines that begin with #
 * are passed over. */
#ifndef RAFTER_BASE_CSV_H
#define RAFTER_BASE_CSV_H

#include "base/diag.h"

struct csv_row {
    const char *text; /* the line as it stands in the file */
    const char *const *cells;
    int line; /* counts from 1 */
};

struct csv_table {
    const char *path;
    const char *const *columns;
    size_t column_count;
    int header_line; /* counts from 1 */
    struct csv_row *rows;
    size_t row_count;
};

/* Reads a file of at most limit_bytes; false with file:line:column in diag: unreadable, no header, a repeated
 * column, a row with another number of cells, a stray quote. */
bool csv_read(struct csv_table *table, struct arena *arena, struct diag *diag, const char *path,
              size_t limit_bytes);

/* The same of a NUL-terminated text, which is cut up and must live as long as the table; path is for
 * messages. */
bool csv_parse(struct csv_table *table, struct arena *arena, struct diag *diag, const char *path, char *text);

enum { CSV_NO_COLUMN = -1 };
int csv_column(const struct csv_table *table, const char *name);

/* Where a cell is, for messages: the column counts characters of the line up to the cell. */
struct source_location csv_where(const struct csv_table *table, const struct csv_row *row, int column);

/* A finite number in a cell; false with a message that names the column. */
bool csv_number(const struct csv_table *table, const struct csv_row *row, int column, struct diag *diag,
                double *value);

#endif
