#include "base/text.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(text, nothing_added_is_null)
{
    struct text text = {0};
    cr_expect_null(text.data);
    text_add(&text, "");
    cr_expect_str_eq(text.data, "");
    text_free(&text);
    cr_expect_null(text.data);
}

Test(text, pieces_join)
{
    struct text text = {0};
    text_add(&text, "decode ");
    text_addn(&text, "batch_", 5);
    text_printf(&text, " %d, %s", 32, "h100");
    cr_expect_str_eq(text.data, "decode batch 32, h100");
    cr_expect_eq(text.length, strlen(text.data));
    text_free(&text);
}

Test(text, grows_over_many_pieces)
{
    struct text text = {0};
    for (int i = 0; i < 10000; i++)
        text_printf(&text, "%04d", i);
    cr_assert_eq(text.length, 40000);
    cr_expect_eq(memcmp(text.data + 4 * 9999, "9999", 5), 0);
    cr_expect_eq(memcmp(text.data + 4 * 64, "0064", 4), 0);
    text_free(&text);
}

Test(text, one_piece_larger_than_the_whole)
{
    struct text text = {0};
    text_printf(&text, "%100000d", 1);
    cr_expect_eq(text.length, 100000);
    cr_expect_not(text.failed);
    text_free(&text);
}

Test(text, a_size_that_cannot_be_is_a_failure_not_a_crash)
{
    struct text text = {0};
    text_add(&text, "kept");
    text_addn(&text, "x", SIZE_MAX / 2);
    cr_expect(text.failed);
    text_add(&text, "dropped");
    cr_expect_str_eq(text.data, "kept");
    text_free(&text);
}

Test(text, columns_count_characters_not_bytes)
{
    cr_expect_eq(text_columns(""), 0);
    cr_expect_eq(text_columns("4.5 us"), 6);
    cr_expect_eq(text_columns("4.5 \xc2\xb5s"), 6);
    cr_expect_eq(text_columns("\xe2\x96\x88\xe2\x96\x8c"), 2);
}

Test(text, plain_is_utf8_without_control_characters)
{
    const char *const plain[] = {
        "", "a b~", "\xc3\xa9\xc2\xb7", "\xe2\x96\x88", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    const char *const other[] = {"a\n",      "\x1b[31m",     "\x7f",         "\xc2\x9b",         "\xff",
                                 "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3",
                                 "\xe2\x96", "a\x80"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        cr_expect(text_is_plain(plain[i]), "plain %zu", i);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        cr_expect_not(text_is_plain(other[i]), "other %zu", i);
}
