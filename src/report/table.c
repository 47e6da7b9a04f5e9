#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct column {
    const char *key;
    const char *heading;
    enum side side;
    enum column_use use;
};

struct cell {
    const char *text;
    double number;
    bool is_number;
    enum tone tone;
};

enum { COLUMNS_MOST = 64 };

struct table {
    struct arena *arena;
    struct column columns[COLUMNS_MOST];
    size_t column_count;
    struct cell *cells; /* [rows][column_count] */
    size_t rows, capacity;
    size_t filled; /* cells of the last row */
    enum tone row_tone;
    bool failed;
};

struct table *table_new(struct arena *arena)
{
    struct table *table = ARENA_NEW(arena, struct table);
    if (table != NULL)
        table->arena = arena;
    return table;
}

void table_column(struct table *table, const char *key, const char *heading, enum side side,
                  enum column_use use)
{
    if (table == NULL)
        return;
    if (table->column_count == COLUMNS_MOST || table->rows > 0) {
        table->failed = true;
        return;
    }
    table->columns[table->column_count++] = (struct column){key, heading, side, use};
}

static bool table_grow(struct table *table)
{
    size_t capacity = table->capacity == 0 ? 16 : 2 * table->capacity;
    struct cell *cells = ARENA_ARRAY(table->arena, struct cell, capacity * table->column_count);
    if (cells == NULL)
        return false;
    if (table->rows > 0)
        memcpy(cells, table->cells, table->rows * table->column_count * sizeof *cells);
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

void table_row(struct table *table, enum tone tone)
{
    if (table == NULL || table->failed)
        return;
    if (table->rows == table->capacity && !table_grow(table)) {
        table->failed = true;
        return;
    }
    table->rows++;
    table->filled = 0;
    table->row_tone = tone;
}

static void add_cell(struct table *table, struct cell cell)
{
    if (table == NULL || table->failed || table->rows == 0 || table->filled == table->column_count)
        return;
    cell.tone = table->row_tone;
    table->cells[(table->rows - 1) * table->column_count + table->filled++] = cell;
}

void table_text(struct table *table, const char *text)
{
    add_cell(table, (struct cell){.text = text});
}

void table_number(struct table *table, double value, const char *shown)
{
    add_cell(table, (struct cell){.text = shown, .number = value, .is_number = true});
}

void table_tone(struct table *table, enum tone tone)
{
    if (table == NULL || table->failed || table->rows == 0 || table->filled == 0)
        return;
    table->cells[(table->rows - 1) * table->column_count + table->filled - 1].tone = tone;
}

static const char *shown(const char *text)
{
    return text != NULL ? text : "";
}

static const struct cell *cell_at(const struct table *table, size_t row, size_t column)
{
    return &table->cells[row * table->column_count + column];
}

static void column_widths(const struct table *table, size_t widths[COLUMNS_MOST])
{
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = text_columns(shown(table->columns[c].heading));
        for (size_t r = 0; r < table->rows; r++) {
            size_t width = text_columns(shown(cell_at(table, r, c)->text));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
}

static void add_spaces(struct text *out, size_t count)
{
    static const char spaces[] = "                                ";
    while (count > 0) {
        size_t piece = count < sizeof spaces - 1 ? count : sizeof spaces - 1;
        text_addn(out, spaces, piece);
        count -= piece;
    }
}

/* Padding waits until something follows it, so that lines have no trailing blanks. */
static void write_padded(struct text *out, bool colour, enum tone tone, const char *text, size_t width,
                         enum side side, size_t *owed)
{
    size_t columns = text_columns(text);
    size_t slack = width > columns ? width - columns : 0;
    if (columns == 0) {
        *owed += width;
        return;
    }
    add_spaces(out, *owed + (side == SIDE_RIGHT ? slack : 0));
    tone_add(out, colour, tone, text);
    *owed = side == SIDE_LEFT ? slack : 0;
}

/* For people, a column that nothing was written into is left out. */
static bool is_shown(const struct table *table, size_t column)
{
    if ((table->columns[column].use & COLUMN_SHOWN) == 0)
        return false;
    for (size_t r = 0; r < table->rows; r++)
        if (shown(cell_at(table, r, column)->text)[0] != '\0')
            return true;
    return table->rows == 0;
}

static bool has_headings(const struct table *table)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (is_shown(table, c) && shown(table->columns[c].heading)[0] != '\0')
            return true;
    return false;
}

static void write_text(const struct table *table, bool colour, int indent, struct text *out)
{
    size_t widths[COLUMNS_MOST];
    column_widths(table, widths);
    for (size_t line = has_headings(table) ? 0 : 1; line <= table->rows; line++) {
        size_t owed = (size_t)indent;
        for (size_t c = 0; c < table->column_count; c++) {
            const struct column *column = &table->columns[c];
            if (!is_shown(table, c))
                continue;
            const struct cell *cell = line > 0 ? cell_at(table, line - 1, c) : NULL;
            write_padded(out, colour, cell != NULL ? cell->tone : TONE_MUTED,
                         shown(cell != NULL ? cell->text : column->heading), widths[c], column->side, &owed);
            owed += 2;
        }
        text_add(out, "\n");
    }
}

static void markdown_cell(struct text *out, const char *text)
{
    text_add(out, " ");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|')
            text_add(out, "\\|");
        else if (*c == '\n')
            text_add(out, " ");
        else
            text_addn(out, c, 1);
    }
    text_add(out, " |");
}

static void write_markdown(const struct table *table, struct text *out)
{
    for (size_t line = 0; line <= table->rows; line++) {
        text_add(out, "|");
        for (size_t c = 0; c < table->column_count; c++)
            if (is_shown(table, c))
                markdown_cell(
                    out, shown(line == 0 ? table->columns[c].heading : cell_at(table, line - 1, c)->text));
        text_add(out, "\n");
        if (line > 0)
            continue;
        text_add(out, "|");
        for (size_t c = 0; c < table->column_count; c++)
            if (is_shown(table, c))
                text_add(out, table->columns[c].side == SIDE_RIGHT ? "---:|" : "---|");
        text_add(out, "\n");
    }
}

/* RFC 4180: quoted when it holds a comma, a quote or a line break; quotes doubled. */
static void csv_string(struct text *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        text_add(out, text);
        return;
    }
    text_add(out, "\"");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"')
            text_add(out, "\"");
        text_addn(out, c, 1);
    }
    text_add(out, "\"");
}

/* The fewest digits that read back to the same double. */
static void csv_number(struct text *out, double number)
{
    char digits[32] = "";
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    text_add(out, digits);
}

static void csv_cell(struct text *out, const struct cell *cell)
{
    if (!cell->is_number)
        csv_string(out, shown(cell->text));
    else if (isfinite(cell->number))
        csv_number(out, cell->number);
}

static void write_csv(const struct table *table, struct text *out)
{
    for (size_t line = 0; line <= table->rows; line++) {
        bool first = true;
        for (size_t c = 0; c < table->column_count; c++) {
            if ((table->columns[c].use & COLUMN_DATA) == 0)
                continue;
            if (!first)
                text_add(out, ",");
            first = false;
            if (line == 0)
                csv_string(out, shown(table->columns[c].key));
            else
                csv_cell(out, cell_at(table, line - 1, c));
        }
        text_add(out, "\n");
    }
}

bool table_write(const struct table *table, enum table_format format, bool colour, int indent,
                 struct text *out)
{
    if (table == NULL || table->failed)
        return false;
    if (format == TABLE_MARKDOWN)
        write_markdown(table, out);
    else if (format == TABLE_CSV)
        write_csv(table, out);
    else
        write_text(table, colour, indent, out);
    return true;
}
