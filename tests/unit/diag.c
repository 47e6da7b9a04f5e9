#include "base/diag.h"

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

TestSuite(diag, .init = set_up, .fini = tear_down);

static const char *last_line(void)
{
    return diag_line(&diag, diag.last);
}

Test(diag, a_line_tells_file_line_column_and_kind)
{
    cr_expect_not(diag_error(&diag, (struct source_location){"a.yaml", 3, 14}, "found %d", 7));
    cr_expect_str_eq(last_line(), "a.yaml:3:14: error: found 7");
    diag_warning(&diag, (struct source_location){"a.yaml", 3, 14}, "unverified");
    cr_expect_str_eq(last_line(), "a.yaml:3:14: warning: unverified");
    diag_error(&diag, (struct source_location){"a.yaml", 0, 0}, "cannot open");
    cr_expect_str_eq(last_line(), "a.yaml: error: cannot open");
    diag_error(&diag, NOWHERE, "unknown flag");
    cr_expect_str_eq(last_line(), "error: unknown flag");
}

Test(diag, messages_keep_their_order_and_are_counted_by_kind)
{
    diag_warning(&diag, NOWHERE, "one");
    diag_error(&diag, NOWHERE, "two");
    diag_error(&diag, NOWHERE, "three");
    cr_expect_eq(diag.warnings, 1);
    cr_expect_eq(diag.errors, 2);
    cr_expect_str_eq(diag.first->text, "one");
    cr_expect_str_eq(diag.first->next->text, "two");
    cr_expect_str_eq(diag.first->next->next->text, "three");
    cr_expect_null(diag.first->next->next->next);
}

Test(diag, the_first_error_is_found_behind_warnings)
{
    cr_expect_str_eq(diag_first_error(&diag), "");
    diag_warning(&diag, NOWHERE, "careful");
    cr_expect_str_eq(diag_first_error(&diag), "");
    diag_error(&diag, NOWHERE, "wrong");
    diag_error(&diag, NOWHERE, "wrong again");
    cr_expect_str_eq(diag_first_error(&diag), "error: wrong");
}

static int kept(void)
{
    int count = 0;
    for (const struct diag_message *message = diag.first; message != NULL; message = message->next)
        count++;
    return count;
}

Test(diag, further_messages_are_counted_but_not_kept)
{
    for (int i = 0; i < 3 * DIAG_MOST; i++)
        diag_error(&diag, NOWHERE, "error %d", i);
    cr_expect_eq(diag.errors, 3 * DIAG_MOST);
    cr_expect_eq(kept(), DIAG_MOST);
}

Test(diag, many_warnings_do_not_hide_an_error)
{
    for (int i = 0; i < 3 * DIAG_MOST; i++)
        diag_warning(&diag, NOWHERE, "warning %d", i);
    diag_error(&diag, NOWHERE, "wrong");
    cr_expect_str_eq(diag_first_error(&diag), "error: wrong");
}

Test(diag, control_characters_do_not_reach_the_terminal)
{
    diag_error(&diag, (struct source_location){"evil\x1b[2J.yaml", 1, 1},
               "found \"\x1b]0;x\a\n\x7f\xc2\x9b\"");
    cr_expect_str_eq(last_line(),
                     "evil\\x1b[2J.yaml:1:1: error: found \"\\x1b]0;x\\x07\\x0a\\x7f\\xc2\\x9b\"");
    diag_error(&diag, NOWHERE, "5 \xc2\xb5s, \xe6\x97\xa5\xe6\x9c\xac");
    cr_expect_str_eq(last_line(), "error: 5 \xc2\xb5s, \xe6\x97\xa5\xe6\x9c\xac", "other UTF-8 stays");
}

Test(diag, an_endless_message_is_cut_between_characters)
{
    char text[5001] = "";
    for (int shift = 0; shift < 2; shift++) {
        memset(text, 'x', sizeof text - 1);
        for (size_t i = (size_t)shift; i + 1 < sizeof text - 1; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        diag_error(&diag, NOWHERE, "%s", text);
        size_t length = strlen(diag.last->text);
        cr_expect_lt(length, 1001);
        cr_expect_gt(length, 900);
        cr_expect_str_eq(diag.last->text + length - 3, "...");
        cr_expect_eq((unsigned char)diag.last->text[length - 4], 0xa9, "the last character is whole");
    }
}

Test(diag, errors_are_not_lost_when_memory_is_out)
{
    struct arena *full = arena_new(1);
    struct diag poor = {.arena = full};
    cr_expect_not(diag_error(&poor, NOWHERE, "wrong"));
    cr_expect_eq(poor.errors, 1);
    cr_expect_str_eq(diag_first_error(&poor), "error: out of memory");
    arena_free(full);
}

Test(diag, a_file_name_may_go_before_its_message)
{
    char name[] = "a.yaml";
    diag_error(&diag, (struct source_location){name, 1, 2}, "first");
    diag_error(&diag, (struct source_location){name, 3, 4}, "second");
    memset(name, 'x', sizeof name - 1);
    cr_expect_str_eq(diag_line(&diag, diag.first), "a.yaml:1:2: error: first");
    cr_expect_str_eq(last_line(), "a.yaml:3:4: error: second");
}
