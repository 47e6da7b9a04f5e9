#include "spec/json_file.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;
static struct json_file file;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
    file = (struct json_file){0};
}

static void tear_down(void)
{
    json_file_close(&file);
    arena_free(arena);
}

TestSuite(json_file, .init = set_up, .fini = tear_down);

static bool parse(const char *text)
{
    return json_file_parse(&file, arena, &diag, "a.json", text, strlen(text));
}

static void expect_error(const char *text, const char *line)
{
    cr_assert_not(parse(text));
    cr_expect_str_eq(diag_first_error(&diag), line);
    cr_expect_null(file.root);
}

static void expect_place(const char *path, int line, int column, const char *found)
{
    struct source_location where = json_file_where(&file, path);
    cr_expect(where.line == line && where.column == column, "%s at %d:%d", path, where.line, where.column);
    cr_expect_str_eq(json_file_found(&file, arena, path), found);
}

Test(json_file, places_of_values)
{
    cr_assert(parse(
        "{\n  \"a\": 12 ,\n  \"b{\": \"x}\\\"\",\n  \"c\": {\"a\": [1, {\"d\": 2}],\n\t\"d\": true }\n}"));
    expect_place("a", 2, 8, "12");
    expect_place("b{", 3, 9, "\"x}\\\"\"");
    expect_place("c.a", 4, 14, "[1, {\"d\": 2}]");
    expect_place("c.d", 5, 7, "true");
}

Test(json_file, places_of_what_is_not_there)
{
    cr_assert(parse("{\"a\": {\"b\": 1}, \"c\": 3}"));
    expect_place("b", 0, 0, "nothing");
    expect_place("a.c", 0, 0, "nothing");
    expect_place("c.b", 0, 0, "nothing");
    expect_place("a.b.c", 0, 0, "nothing");
}

Test(json_file, long_values_are_cut)
{
    cr_assert(parse("{\"a\": \"0123456789012345678901234567890123456789012345\"}"));
    cr_expect_str_eq(json_file_found(&file, arena, "a"), "\"012345678901234567890123456789012345678...");
}

Test(json_file, words_of_python_are_no_numbers)
{
    cr_assert(parse("{\"a\": [0.0, Infinity], \"b\": -Infinity, \"c\": NaN, \"d\": \"NaN\"}"));
    cr_expect(json_is_array(json_object_get(file.root, "b")));
    cr_expect(json_is_array(json_object_get(file.root, "c")));
    cr_expect_str_eq(json_string_value(json_object_get(file.root, "d")), "NaN");
    cr_expect_str_eq(json_file_found(&file, arena, "c"), "NaN");
}

Test(json_file, syntax_errors_have_a_place)
{
    expect_error("{\"a\": 1,\n \"b\": }", "a.json:2:7: error: not JSON: unexpected token near '}'");
}

Test(json_file, duplicate_keys)
{
    expect_error("{\"a\": 1,\n \"a\": 2}", "a.json:2:4: error: not JSON: duplicate object key near '\"a\"'");
}

Test(json_file, not_an_object)
{
    expect_error("[1, 2]", "a.json:1:1: error: expected a JSON object {...}");
}

Test(json_file, nothing)
{
    cr_expect_not(parse(""));
    cr_expect_eq(diag.errors, 1);
}

Test(json_file, numbers_out_of_range)
{
    cr_expect_not(parse("{\"a\": 1e999}"));
    cr_expect_not(parse("{\"a\": 99999999999999999999}"));
    cr_expect_eq(diag.errors, 2);
}

Test(json_file, depth)
{
    char text[400] = "{\"a\": ";
    for (int i = 0; i < 63; i++)
        strcat(text, "[");
    for (int i = 0; i < 63; i++)
        strcat(text, "]");
    strcat(text, "}");
    cr_expect(parse(text), "%s", diag_first_error(&diag));
    char *deeper = strchr(text, '[');
    memmove(deeper + 1, deeper, strlen(deeper) + 1);
    json_file_close(&file);
    expect_error(text, "a.json:1:70: error: nested deeper than 64");
}

Test(json_file, size)
{
    size_t length = JSON_BYTES_MOST + 1;
    char *text = arena_alloc(arena, length + 1, 1);
    memset(text, ' ', length);
    cr_expect_not(json_file_parse(&file, arena, &diag, "a.json", text, length));
    cr_expect_str_eq(diag_first_error(&diag),
                     "a.json: error: larger than the 1048576 bytes allowed for JSON");
}

Test(json_file, no_text_breaks_the_walk)
{
    static const char *const texts[] = {"{\"", "{\"a", "{\"a\\",    "{\"a\":", "{\"a\":\"\\",
                                        "{{{", "}}}",  "{\"a\" 1}", "{,}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_file broken = {.name = "a.json", .text = texts[i], .length = strlen(texts[i])};
        json_file_where(&broken, "a.b");
        json_file_found(&broken, arena, "a");
        cr_expect_not(parse(texts[i]), "%s", texts[i]);
    }
}
