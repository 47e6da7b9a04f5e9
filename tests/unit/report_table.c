#include "report/bar.h"
#include "report/table.h"

#include <criterion/criterion.h>
#include <math.h>

static struct arena *arena;
static struct text out;

static void set_up(void)
{
    arena = arena_new(0);
    out = (struct text){0};
}

static void tear_down(void)
{
    text_free(&out);
    arena_free(arena);
}

TestSuite(report_table, .init = set_up, .fini = tear_down);

static struct table *sample(void)
{
    struct table *table = table_new(arena);
    table_column(table, "name", "name", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "time_s", "time", SIDE_RIGHT, COLUMN_BOTH);
    table_column(table, "raw", "raw", SIDE_RIGHT, COLUMN_DATA);
    table_column(table, "empty", "empty", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "note", "note", SIDE_LEFT, COLUMN_SHOWN);
    table_row(table, TONE_PLAIN);
    table_text(table, "größe");
    table_number(table, 0.1, "100 ms");
    table_number(table, 7, "7");
    table_text(table, "");
    table_text(table, "a|b");
    table_row(table, TONE_PLAIN);
    table_text(table, "say \"hi\", you");
    table_number(table, NAN, "-");
    return table;
}

Test(report_table, text_is_aligned_by_columns_not_bytes)
{
    cr_assert(table_write(sample(), TABLE_TEXT, false, 1, &out));
    cr_expect_str_eq(out.data, " name             time  note\n"
                               " größe          100 ms  a|b\n"
                               " say \"hi\", you       -\n");
}

Test(report_table, markdown_escapes_bars)
{
    cr_assert(table_write(sample(), TABLE_MARKDOWN, false, 0, &out));
    cr_expect_str_eq(out.data, "| name | time | note |\n|---|---:|---|\n| größe | 100 ms | a\\|b |\n"
                               "| say \"hi\", you | - |  |\n");
}

Test(report_table, csv_quotes_and_is_exact)
{
    cr_assert(table_write(sample(), TABLE_CSV, false, 0, &out));
    cr_expect_str_eq(out.data, "name,time_s,raw,empty\ngröße,0.1,7,\n"
                               "\"say \"\"hi\"\", you\",,,\n");
}

Test(report_table, colour_adds_escapes_without_moving_columns)
{
    struct table *table = table_new(arena);
    table_column(table, "a", "", SIDE_LEFT, COLUMN_BOTH);
    table_column(table, "b", "", SIDE_LEFT, COLUMN_BOTH);
    table_row(table, TONE_PLAIN);
    table_text(table, "x");
    table_tone(table, TONE_GOOD);
    table_text(table, "y");
    cr_assert(table_write(table, TABLE_TEXT, true, 0, &out));
    cr_expect_str_eq(out.data, "\x1b[32mx\x1b[0m  y\n");
}

Test(report_table, more_cells_than_columns_are_dropped)
{
    struct table *table = table_new(arena);
    table_column(table, "a", "a", SIDE_LEFT, COLUMN_BOTH);
    table_row(table, TONE_PLAIN);
    table_text(table, "1");
    table_text(table, "2");
    cr_assert(table_write(table, TABLE_CSV, false, 0, &out));
    cr_expect_str_eq(out.data, "a\n1\n");
}

Test(report_table, many_rows)
{
    struct table *table = table_new(arena);
    table_column(table, "a", "a", SIDE_RIGHT, COLUMN_BOTH);
    for (int i = 0; i < 1000; i++) {
        table_row(table, TONE_PLAIN);
        table_number(table, i, arena_printf(arena, "%d", i));
    }
    cr_assert(table_write(table, TABLE_CSV, false, 0, &out));
    cr_expect_eq(out.length, strlen("a\n") + 10 * 2 + 90 * 3 + 900 * 4);
}

Test(report_table, memory_running_out_is_told)
{
    struct arena *small = arena_new(8 * 1024);
    struct table *table = table_new(small);
    table_column(table, "a", "a", SIDE_LEFT, COLUMN_BOTH);
    for (int i = 0; i < 1000; i++) {
        table_row(table, TONE_PLAIN);
        table_text(table, "x");
    }
    cr_expect_not(table_write(table, TABLE_CSV, false, 0, &out));
    arena_free(small);
    cr_expect_not(table_write(NULL, TABLE_TEXT, false, 0, &out));
}

Test(report_table, bars)
{
    cr_expect_str_eq(bar(arena, 0.5, 4), "██");
    cr_expect_str_eq(bar(arena, 0.28125, 4), "█▏");
    cr_expect_str_eq(bar(arena, 1.0, 4), "████");
    cr_expect_str_eq(bar(arena, 7.0, 4), "████▶");
    cr_expect_str_eq(bar(arena, 1e-9, 4), "▏", "what is there is seen");
    cr_expect_str_eq(bar(arena, 0.0, 4), "");
    cr_expect_str_eq(bar(arena, NAN, 4), "");
}
