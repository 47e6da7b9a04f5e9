#include "base/csv.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 256 };

/* What is left of the file. */
struct scan {
    struct arena *arena;
    struct diag *diag;
    const char *path;
    char *at;
    int line;
};

/* The next line that holds something, NUL-terminated in place; NULL at the end. */
static char *next_line(struct scan *scan)
{
    while (*scan->at != '\0') {
        char *line = scan->at, *end = strchr(line, '\n');
        scan->line++;
        scan->at = end ? end + 1 : line + strlen(line);
        if (end)
            *end = '\0';
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\r')
            line[--length] = '\0';
        if (length > 0 && line[0] != '#')
            return line;
    }
    return NULL;
}

static bool refuse(const struct scan *scan, const char *line, const char *at, const char *problem)
{
    struct source_location where = {scan->path, scan->line, (int)(at - line) + 1};
    return diag_error(scan->diag, where, "%s", problem);
}

/* One quoted field: from its opening quote; doubled quotes are one. Returns what follows the closing quote.
 */
static char *unquote(const struct scan *scan, const char *line, char *field)
{
    char *from = field + 1, *to = field;
    for (; *from != '\0'; from++) {
        if (*from == '"' && *++from != '"') {
            if (*from != ',' && *from != '\0') {
                refuse(scan, line, from, "expected a comma after the closing quote");
                return NULL;
            }
            char *rest = from;
            if (to < rest)
                *to = '\0';
            return rest;
        }
        *to++ = *from;
    }
    refuse(scan, line, field, "a quote that nothing closes");
    return NULL;
}

/* Cuts the line, a copy in the arena, into cells; -1 with a message. */
static int cut(const struct scan *scan, char *line, const char **cells)
{
    int count = 0;
    const char *begin = line;
    for (char *at = line;;) {
        if (count == COLUMNS_MOST) {
            refuse(scan, begin, at, "more than 256 columns");
            return -1;
        }
        cells[count++] = at;
        char *end = *at == '"' ? unquote(scan, begin, at) : at + strcspn(at, ",");
        if (!end)
            return -1;
        bool more = *end == ',';
        *end = '\0';
        if (!more)
            return count;
        at = end + 1;
    }
}

static const char *const *keep(struct arena *arena, const char *const *cells, int count)
{
    const char **kept = ARENA_ARRAY(arena, const char *, (size_t)count + 1);
    if (kept)
        memcpy(kept, cells, (size_t)count * sizeof *cells);
    return kept;
}

static bool read_header(struct scan *scan, struct csv_table *table)
{
    const char *cells[COLUMNS_MOST];
    char *line = next_line(scan);
    if (!line)
        return diag_error(scan->diag, (struct source_location){scan->path, 0, 0},
                          "expected a line of column names, found an empty file");
    int count = cut(scan, line, cells);
    if (count < 0)
        return false;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(cells[i], cells[j]) == 0)
                return diag_error(scan->diag, (struct source_location){scan->path, scan->line, 1},
                                  "column \"%s\" is there twice", cells[i]);
    table->columns = keep(scan->arena, cells, count);
    table->column_count = (size_t)count;
    table->header_line = scan->line;
    return table->columns || diag_error(scan->diag, NOWHERE, "out of memory");
}

static bool read_row(struct scan *scan, char *line, struct csv_table *table)
{
    const char *cells[COLUMNS_MOST];
    struct csv_row *row = &table->rows[table->row_count];
    row->line = scan->line;
    row->text = arena_strdup(scan->arena, line);
    if (!row->text)
        return diag_error(scan->diag, NOWHERE, "out of memory");
    int count = cut(scan, line, cells);
    if (count < 0)
        return false;
    if ((size_t)count != table->column_count)
        return diag_error(scan->diag, (struct source_location){scan->path, scan->line, 1},
                          "found %d cells, expected %zu as in the header", count, table->column_count);
    row->cells = keep(scan->arena, cells, count);
    table->row_count++;
    return row->cells || diag_error(scan->diag, NOWHERE, "out of memory");
}

static size_t count_lines(const char *text)
{
    size_t lines = 1;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        lines++;
    return lines;
}

bool csv_parse(struct csv_table *table, struct arena *arena, struct diag *diag, const char *path, char *text)
{
    bool marked = strncmp(text, "\xef\xbb\xbf", 3) == 0; /* the byte order mark that spreadsheets write */
    struct scan scan = {arena, diag, path, text + (marked ? 3 : 0), 0};
    *table = (struct csv_table){.path = path};
    table->rows = ARENA_ARRAY(arena, struct csv_row, count_lines(text));
    if (!table->rows)
        return diag_error(diag, NOWHERE, "out of memory");
    if (!read_header(&scan, table))
        return false;
    for (char *line; (line = next_line(&scan)) != NULL;)
        if (!read_row(&scan, line, table))
            return false;
    return true;
}

bool csv_read(struct csv_table *table, struct arena *arena, struct diag *diag, const char *path,
              size_t limit_bytes)
{
    *table = (struct csv_table){.path = path};
    size_t length = 0;
    char *text = file_read(arena, diag, path, limit_bytes, &length);
    if (!text)
        return false;
    if (strlen(text) != length)
        return diag_error(diag, (struct source_location){path, 0, 0}, "a NUL byte in a text file");
    return csv_parse(table, arena, diag, path, text);
}

int csv_column(const struct csv_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i], name) == 0)
            return (int)i;
    return CSV_NO_COLUMN;
}

struct source_location csv_where(const struct csv_table *table, const struct csv_row *row, int column)
{
    const char *at = row->text;
    bool quoted = false;
    for (int i = 0; i < column && *at != '\0'; at++) {
        quoted = *at == '"' ? !quoted : quoted;
        i += *at == ',' && !quoted;
    }
    return (struct source_location){table->path, row->line, (int)(at - row->text) + 1};
}

bool csv_number(const struct csv_table *table, const struct csv_row *row, int column, struct diag *diag,
                double *value)
{
    const char *cell = row->cells[column];
    char *end = NULL;
    if (cell[0] != '\0' && cell[strspn(cell, "0123456789+-.eE")] == '\0')
        *value = strtod(cell, &end);
    if (end != NULL && end != cell && *end == '\0' && isfinite(*value))
        return true;
    return diag_error(diag, csv_where(table, row, column), "%s: found \"%s\", expected a number",
                      table->columns[column], cell);
}
