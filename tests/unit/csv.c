/* CSV files: what is read, and what is refused where. */
#include "base/csv.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(csv, .init = set_up, .fini = tear_down);

static bool parse(struct csv_table *table, const char *text)
{
    return csv_parse(table, arena, &diag, "t.csv", arena_strdup(arena, text));
}

static void expect_error(const char *text, const char *part)
{
    struct csv_table table;
    diag = (struct diag){.arena = arena};
    cr_expect_not(parse(&table, text), "taken: %s", text);
    cr_expect(strstr(diag_first_error(&diag), part) != NULL, "\"%s\" does not say \"%s\"",
              diag_first_error(&diag), part);
}

Test(csv, cells_by_column)
{
    struct csv_table table;
    cr_assert(parse(&table, "a,b,c\n1,two,3.5\n,,\n"), "%s", diag_first_error(&diag));
    cr_assert_eq(table.column_count, 3);
    cr_assert_eq(table.row_count, 2);
    cr_assert_eq(csv_column(&table, "b"), 1);
    cr_assert_eq(csv_column(&table, "d"), CSV_NO_COLUMN);
    cr_assert_str_eq(table.rows[0].cells[1], "two");
    cr_assert_str_eq(table.rows[1].cells[2], "");
    cr_assert_str_eq(table.rows[0].text, "1,two,3.5");
    cr_assert_eq(table.rows[0].line, 2);
}

Test(csv, quotes_hold_commas_and_quotes)
{
    struct csv_table table;
    cr_assert(parse(&table, "a,b,c\n\"x, y\",\"say \"\"hi\"\"\",\"\"\n"), "%s", diag_first_error(&diag));
    cr_assert_str_eq(table.rows[0].cells[0], "x, y");
    cr_assert_str_eq(table.rows[0].cells[1], "say \"hi\"");
    cr_assert_str_eq(table.rows[0].cells[2], "");
    cr_assert_eq(csv_where(&table, &table.rows[0], 1).column, 8);
}

Test(csv, line_ends_comments_and_marks_of_spreadsheets)
{
    struct csv_table table;
    cr_assert(parse(&table, "\xef\xbb\xbf# measured\r\n\r\na,b\r\n1,2\r\n# more\r\n3,4"));
    cr_assert_str_eq(table.columns[0], "a");
    cr_assert_eq(table.header_line, 3);
    cr_assert_eq(table.row_count, 2);
    cr_assert_str_eq(table.rows[1].cells[1], "4");
    cr_assert_eq(table.rows[1].line, 6);
}

Test(csv, what_is_refused_says_where)
{
    expect_error("", "empty file");
    expect_error("# nothing\n\n", "empty file");
    expect_error("a,b,a\n", "t.csv:1:1: error: column \"a\" is there twice");
    expect_error("a,b\n1,2\n1\n", "t.csv:3:1: error: found 1 cells, expected 2");
    expect_error("a,b\n1,2,3\n", "found 3 cells, expected 2");
    expect_error("a,b\n1,\"x\n", "t.csv:2:3: error: a quote that nothing closes");
    expect_error("a,b\n\"x\"y,2\n", "expected a comma after the closing quote");
    char wide[600];
    memset(wide, ',', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    expect_error(wide, "more than 256 columns");
}

Test(csv, files_that_are_none)
{
    struct csv_table table;
    cr_assert_not(csv_read(&table, arena, &diag, "/nonesuch.csv", 1 << 20));
    cr_assert(strstr(diag_first_error(&diag), "/nonesuch.csv") != NULL);
    cr_assert_not(csv_read(&table, arena, &diag, "/", 1 << 20));
}

Test(csv, numbers)
{
    struct csv_table table;
    cr_assert(parse(&table, "x,y,a,b,c,d,e,f,g,h\n1.5e3,-2,nan,inf,0x10,1e999,,1 ,1e,--1\n"));
    double value;
    cr_assert(csv_number(&table, &table.rows[0], 0, &diag, &value) && value == 1500);
    cr_assert(csv_number(&table, &table.rows[0], 1, &diag, &value) && value == -2);
    for (int column = 2; column < 10; column++) {
        diag = (struct diag){.arena = arena};
        cr_expect_not(csv_number(&table, &table.rows[0], column, &diag, &value), "column %d: %g", column,
                      value);
        cr_expect(strstr(diag_first_error(&diag), table.columns[column]) != NULL);
    }
    cr_assert_eq(csv_where(&table, &table.rows[0], 1).column, 7);
}
