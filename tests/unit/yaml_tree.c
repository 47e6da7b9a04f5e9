#include "spec/yaml_tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

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

TestSuite(yaml_tree, .init = set_up, .fini = tear_down, .timeout = 20);

static struct yaml_node *parse(const char *text)
{
    struct yaml_node *root = yaml_parse(arena, &diag, "t.yaml", text, strlen(text));
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    return root;
}

static void expect_refused(const char *text, size_t length, const char *message)
{
    diag = (struct diag){.arena = arena};
    cr_expect_null(yaml_parse(arena, &diag, "t.yaml", text, length), "accepted: %.60s", text);
    cr_expect_str_eq(diag_first_error(&diag), message, "%s", diag_first_error(&diag));
}

/* A tree in one line: {a: 1, b: [x, y]}; quoted scalars in quotes. */
static void add_flow(struct text *out, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR) {
        text_printf(out, node->quoted ? "'%s'" : "%s", node->scalar);
        return;
    }
    text_add(out, node->kind == YAML_MAP ? "{" : "[");
    size_t children = 0;
    for (const struct yaml_node *child = node->first; child != NULL; child = child->next, children++) {
        text_add(out, child == node->first ? "" : ", ");
        if (node->kind == YAML_MAP)
            text_printf(out, "%s: ", child->key);
        add_flow(out, child);
    }
    cr_expect_eq(children, node->children);
    text_add(out, node->kind == YAML_MAP ? "}" : "]");
}

static void expect_tree(const struct yaml_node *node, const char *flow)
{
    cr_assert_not_null(node);
    struct text text = {0};
    add_flow(&text, node);
    cr_expect_str_eq(text.data, flow, "%s", text.data);
    text_free(&text);
}

static void expect_place(struct source_location where, int line, int column)
{
    cr_expect_str_eq(where.file, "t.yaml");
    cr_expect(where.line == line && where.column == column, "%d:%d, not %d:%d", where.line, where.column,
              line, column);
}

Test(yaml_tree, maps_lists_and_scalars_keep_their_order)
{
    expect_tree(parse("b: 1\na:\n  - x\n  - {k: 'v w'}\n  - []\nc: \"q\"\n"),
                "{b: 1, a: [x, {k: 'v w'}, []], c: 'q'}");
    expect_tree(parse("- 1\n- 2\n"), "[1, 2]");
    expect_tree(parse("{\"json\": [1, true, null]}"), "{json: [1, true, null]}");
    expect_tree(parse("text: |\n  one\n  two\n"), "{text: 'one\ntwo\n'}");
    expect_tree(parse("---\na: 1\n...\n"), "{a: 1}");
    expect_tree(parse("a: 1\r\nb: 2\r\n"), "{a: 1, b: 2}");
    expect_tree(parse("\xef\xbb\xbf"
                      "a: 1\n"),
                "{a: 1}");
}

Test(yaml_tree, every_node_knows_its_place)
{
    const struct yaml_node *root =
        parse("# comment\nmemory:\n  capacity: 80 GiB\nlist:\n  - one\n  - 'two'\n");
    expect_place(root->where, 2, 1);
    const struct yaml_node *capacity = yaml_path(root, "memory.capacity");
    expect_place(capacity->key_where, 3, 3);
    expect_place(capacity->where, 3, 13);
    expect_place(yaml_path(root, "list.1")->where, 6, 5);
}

Test(yaml_tree, columns_count_characters)
{
    expect_place(yaml_get(parse("{m\xc3\xbcnchen: 1, b: 2}"), "b")->key_where, 1, 14);
    expect_place(yaml_get(parse("\xef\xbb\xbf{a: 1, b: 2}"), "b")->key_where, 1, 8);
}

Test(yaml_tree, look_up_by_key_and_path)
{
    const struct yaml_node *root = parse("a: {b: {c: 7}}\nlist: [x, {k: v}]\n");
    cr_expect_str_eq(yaml_path(root, "a.b.c")->scalar, "7");
    cr_expect_str_eq(yaml_path(root, "list.1.k")->scalar, "v");
    static const char *const wrong[] = {"",       ".",       "a.",      ".a",
                                        "a..b",   "a.b.c.d", "x",       "list.2",
                                        "list.x", "list.-1", "list.1x", "list.99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_null(yaml_path(root, wrong[i]), "%s", wrong[i]);
    cr_expect_null(yaml_get(NULL, "a"));
    cr_expect_null(yaml_get(yaml_path(root, "a.b.c"), "a"));
    cr_expect_null(yaml_path(NULL, "a"));
}

Test(yaml_tree, null_is_what_is_not_quoted)
{
    const struct yaml_node *root = parse("a:\nb: ~\nc: null\nd: 'null'\ne: ''\nf: 0\ng: {}\n");
    static const char *const keys = "abc";
    for (const struct yaml_node *entry = root->first; entry != NULL; entry = entry->next)
        cr_expect_eq(yaml_is_null(entry), strchr(keys, entry->key[0]) != NULL, "%s", entry->key);
    cr_expect_not(yaml_is_null(NULL));
}

Test(yaml_tree, a_child_is_laid_over_its_parent)
{
    static const struct {
        const char *parent, *child, *merged;
    } cases[] = {
        {"{a: 1, b: 2}", "{b: 3, c: 4}", "{a: 1, b: 3, c: 4}"},
        {"{m: {x: 1, y: 2}}", "{m: {y: 3}}", "{m: {x: 1, y: 3}}"},
        {"{l: [1, 2, 3]}", "{l: [4]}", "{l: [4]}"},
        {"{a: 1, b: 2}", "{a: ~}", "{b: 2}"},
        {"{m: {x: 1, y: 2}}", "{m: {x: null}}", "{m: {y: 2}}"},
        {"{a: 1}", "{b: ~}", "{a: 1, b: ~}"},
        {"{a: {x: 1}}", "{a: 5}", "{a: 5}"},
        {"{a: 5}", "{a: {x: 1}}", "{a: {x: 1}}"},
        {"{a: 1}", "{a: 'null'}", "{a: 'null'}"},
        {"{a: 1}", "[2]", "[2]"},
        {"{}", "{}", "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_tree(yaml_merge(arena, parse(cases[i].parent), parse(cases[i].child)), cases[i].merged);
    const struct yaml_node *root = parse("{a: [1, {b: 2}]}");
    expect_tree(yaml_merge(arena, root, root), "{a: [1, {b: 2}]}");
    expect_tree(yaml_merge(arena, root, NULL), "{a: [1, {b: 2}]}");
    expect_tree(yaml_merge(arena, NULL, root), "{a: [1, {b: 2}]}");
    cr_expect_null(yaml_merge(arena, NULL, NULL));
}

Test(yaml_tree, merged_nodes_keep_their_own_places)
{
    const struct yaml_node *parent = yaml_parse(arena, &diag, "parent.yaml", "a: 1\nb: 2\n", 10);
    const struct yaml_node *child = yaml_parse(arena, &diag, "child.yaml", "\nb: 3\n", 6);
    const struct yaml_node *merged = yaml_merge(arena, parent, child);
    cr_expect_str_eq(yaml_get(merged, "a")->where.file, "parent.yaml");
    cr_expect_str_eq(yaml_get(merged, "b")->where.file, "child.yaml");
    cr_expect_eq(yaml_get(merged, "b")->where.line, 2);
}

Test(yaml_tree, what_was_merged_is_left_alone)
{
    struct yaml_node *parent = parse("{m: {x: 1}, l: [{y: 2}]}"), *child = parse("{n: {z: 3}}");
    struct yaml_node *merged = yaml_merge(arena, parent, child);
    cr_expect(yaml_set(arena, &diag, merged, "m.x", "9", NOWHERE));
    cr_expect(yaml_set(arena, &diag, merged, "l.0.y", "9", NOWHERE));
    cr_expect(yaml_set(arena, &diag, merged, "n.z", "9", NOWHERE));
    expect_tree(merged, "{m: {x: 9}, l: [{y: 9}], n: {z: 9}}");
    expect_tree(parent, "{m: {x: 1}, l: [{y: 2}]}");
    expect_tree(child, "{n: {z: 3}}");
}

Test(yaml_tree, set_replaces_adds_and_makes_maps)
{
    static const struct {
        const char *path, *after;
    } cases[] = {
        {"a", "{a: 7, m: {x: 1}, l: [{y: 2}, 3], e: }"},
        {"m.x", "{a: 1, m: {x: 7}, l: [{y: 2}, 3], e: }"},
        {"m.new", "{a: 1, m: {x: 1, new: 7}, l: [{y: 2}, 3], e: }"},
        {"p.q.r", "{a: 1, m: {x: 1}, l: [{y: 2}, 3], e: , p: {q: {r: 7}}}"},
        {"l.0.y", "{a: 1, m: {x: 1}, l: [{y: 7}, 3], e: }"},
        {"l.1", "{a: 1, m: {x: 1}, l: [{y: 2}, 7], e: }"},
        {"m", "{a: 1, m: 7, l: [{y: 2}, 3], e: }"},
        {"e.f", "{a: 1, m: {x: 1}, l: [{y: 2}, 3], e: {f: 7}}"},
    };
    struct source_location where = {"--set", 0, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct yaml_node *root = parse("{a: 1, m: {x: 1}, l: [{y: 2}, 3], e: }");
        cr_expect(yaml_set(arena, &diag, root, cases[i].path, "7", where), "%s", diag_first_error(&diag));
        expect_tree(root, cases[i].after);
        const struct yaml_node *set = yaml_path(root, cases[i].path);
        cr_expect_str_eq(set->where.file, "--set");
        cr_expect_not(set->quoted);
    }
}

Test(yaml_tree, set_refuses_what_it_cannot_reach)
{
    static const struct {
        const char *path, *message;
    } cases[] = {
        {"a.b", "error: cannot set a.b: a is the value \"1\", not a map"},
        {"m.x.y.z", "error: cannot set m.x.y.z: m.x is the value \"1\", not a map"},
        {"l.2", "error: cannot set l.2: l is a list of 2, expected an index below that, found \"2\""},
        {"l.first",
         "error: cannot set l.first: l is a list of 2, expected an index below that, found \"first\""},
        {"", "error: cannot set \"\": expected keys joined by dots such as \"power.tdp\""},
        {"a..b", "error: cannot set \"a..b\": expected keys joined by dots such as \"power.tdp\""},
        {".a", "error: cannot set \".a\": expected keys joined by dots such as \"power.tdp\""},
        {"m.", "error: cannot set \"m.\": expected keys joined by dots such as \"power.tdp\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        diag = (struct diag){.arena = arena};
        struct yaml_node *root = parse("{a: 1, m: {x: 1}, l: [{y: 2}, 3]}");
        cr_expect_not(yaml_set(arena, &diag, root, cases[i].path, "7", NOWHERE), "%s", cases[i].path);
        cr_expect_str_eq(diag_first_error(&diag), cases[i].message, "%s", diag_first_error(&diag));
        expect_tree(root, "{a: 1, m: {x: 1}, l: [{y: 2}, 3]}");
    }
}

Test(yaml_tree, set_does_not_build_towers)
{
    char path[20001];
    for (size_t i = 0; i < sizeof path - 1; i += 2)
        memcpy(path + i, "a.", 2);
    path[sizeof path - 2] = '\0';
    cr_expect_not(yaml_set(arena, &diag, parse("{}"), path, "7", NOWHERE));
    cr_expect_not_null(strstr(diag_first_error(&diag), "more than 64 keys deep"));
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    cr_expect_not(yaml_set(arena, &diag, parse("{}"), path, "7", NOWHERE));
}

static char *repeated(const char *piece, size_t times)
{
    size_t length = strlen(piece);
    char *text = arena_alloc(arena, times, length);
    cr_assert_not_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, piece, length);
    return text;
}

Test(yaml_tree, depth_is_limited)
{
    char text[200] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    cr_expect_not_null(yaml_parse(arena, &diag, "t.yaml", text, 128));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    expect_refused(text, 130, "t.yaml:1:65: error: nested deeper than 64");
    expect_refused(repeated("[", 1 << 20), 1 << 20, "t.yaml:1:65: error: nested deeper than 64");
    expect_refused(repeated("{a: ", 1 << 18), 1 << 20, "t.yaml:1:257: error: nested deeper than 64");
    expect_refused(repeated("- ", 1 << 19), 1 << 20, "t.yaml:1:129: error: nested deeper than 64");
}

Test(yaml_tree, size_is_limited)
{
    size_t length = (4 << 20) + 1;
    expect_refused(repeated(" ", length), length, "t.yaml: error: larger than the 4194304 bytes allowed");
    expect_refused(repeated("- a\n", 250000), 1000000, "t.yaml:200000:3: error: more than 200000 values");
}

Test(yaml_tree, maps_of_many_keys_are_read_and_merged_in_time)
{
    struct text text = {0};
    for (int i = 0; i < 190000; i++)
        text_printf(&text, "k%d: %d\n", i * 7919 % 190000, i);
    const struct yaml_node *root = yaml_parse(arena, &diag, "t.yaml", text.data, text.length);
    cr_assert_not_null(root, "%s", diag_first_error(&diag));
    cr_expect_eq(root->children, 190000);
    const struct yaml_node *merged = yaml_merge(arena, root, root);
    cr_assert_not_null(merged);
    cr_expect_eq(merged->children, 190000);
    text_free(&text);
}

Test(yaml_tree, tag_directives_do_not_hold_it_up)
{
    struct text text = {0};
    text_add(&text, "a: 1\n...\n");
    for (int i = 0; text.length < 4000000; i++)
        text_printf(&text, "%%TAG !a%d! x\n", i);
    expect_refused(text.data, text.length, "t.yaml:3:1: error: the directive %TAG; tags are not read");
    text_free(&text);
}

Test(yaml_tree, memory_is_limited_by_the_arena)
{
    struct arena *small = arena_new(20000);
    char *text = repeated("- a\n", 10000);
    cr_expect_null(yaml_parse(small, &diag, "t.yaml", text, 40000));
    cr_expect_str_eq(diag_first_error(&diag), "t.yaml: error: out of memory");
    arena_free(small);
}

Test(yaml_tree, bytes_that_no_file_in_the_corpus_can_hold)
{
    expect_refused("a: b\0c", 6, "t.yaml:1:5: error: the control character 0x00; expected text");
    expect_refused("\xff\xfe"
                   "a\0",
                   4, "t.yaml:1:1: error: the file is in UTF-16, expected UTF-8");
    expect_refused("a: 1\nb: \xc3(", 10, "t.yaml:2:5: error: not UTF-8: invalid trailing UTF-8 octet");
    expect_refused("", 0, "t.yaml:1:1: error: the file is empty, expected a map of keys");
}

Test(yaml_tree, files_are_read_with_their_path_in_messages)
{
    static const char path[] = "/tmp/rafter-yaml-tree-test.yaml";
    cr_assert(file_write(&diag, path, "a: [1\n", 6));
    cr_expect_null(yaml_parse_file(arena, &diag, path));
    remove(path);
    cr_expect_eq(strncmp(diag_first_error(&diag), "/tmp/rafter-yaml-tree-test.yaml:2:1: error: ", 44), 0,
                 "%s", diag_first_error(&diag));
    diag = (struct diag){.arena = arena};
    cr_expect_null(yaml_parse_file(arena, &diag, path));
    cr_expect_str_eq(diag_first_error(&diag),
                     "/tmp/rafter-yaml-tree-test.yaml: error: cannot open: No such file or directory");
}
