#include "base/suggest.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

Test(suggest, distances_of_known_pairs)
{
    static const struct {
        const char *a, *b;
        int distance;
    } pairs[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"bandwidth", "bandwidth", 0},
        {"bandwith", "bandwidth", 1},
        {"bandwdith", "bandwidth", 1}, /* swapped neighbours */
        {"kitten", "sitting", 3},
        {"ca", "abc", 3}, /* optimal string alignment; the unrestricted distance is 2 */
        {"H100_SXM", "h100-sxm", 0},
        {"write bandwidth", "write_bandwidth", 0},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        cr_expect_eq(edit_distance(pairs[i].a, pairs[i].b), pairs[i].distance, "%s, %s: %d", pairs[i].a,
                     pairs[i].b, edit_distance(pairs[i].a, pairs[i].b));
}

Test(suggest, long_names_are_compared_by_their_first_63_bytes)
{
    char a[5000], b[100];
    memset(a, 'a', sizeof a - 1);
    a[sizeof a - 1] = '\0';
    memset(b, 'a', sizeof b - 1);
    b[sizeof b - 1] = '\0';
    cr_expect_eq(edit_distance(a, b), 0);
    b[62] = 'b';
    cr_expect_eq(edit_distance(a, b), 1);
}

/* The definition, by recursion. */
static int plain_distance(const char *a, int i, const char *b, int j)
{
    if (i == 0 || j == 0)
        return i + j;
    int best = plain_distance(a, i - 1, b, j) + 1;
    int other = plain_distance(a, i, b, j - 1) + 1;
    best = other < best ? other : best;
    other = plain_distance(a, i - 1, b, j - 1) + (a[i - 1] != b[j - 1]);
    best = other < best ? other : best;
    if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        other = plain_distance(a, i - 2, b, j - 2) + 1;
        best = other < best ? other : best;
    }
    return best;
}

Test(suggest, distance_agrees_with_its_definition)
{
    srand(7);
    for (int i = 0; i < 2000; i++) {
        char a[7] = "", b[7] = "";
        int m = rand() % 7, n = rand() % 7;
        for (int j = 0; j < m; j++)
            a[j] = (char)('a' + rand() % 3);
        for (int j = 0; j < n; j++)
            b[j] = (char)('a' + rand() % 3);
        cr_assert_eq(edit_distance(a, b), plain_distance(a, m, b, n), "%s, %s", a, b);
        cr_assert_eq(edit_distance(a, b), edit_distance(b, a), "%s, %s", a, b);
    }
}

static const char *const keys[] = {"bandwidth", "write_bandwidth", "capacity",
                                   "latency",   "granularity",     "tdp"};

Test(suggest, nearest_key)
{
    static const struct {
        const char *written, *meant;
    } cases[] = {
        {"bandwith", "bandwidth"},
        {"Bandwidth", "bandwidth"},
        {"write-bandwidth", "write_bandwidth"},
        {"capcity", "capacity"},
        {"cap", "capacity"},
        {"gran", "granularity"},
        {"width", "bandwidth"},
        {"tdp_watts", "tdp"},
        {"color", NULL},
        {"x", NULL},
        {"", NULL},
        {"zzzzzzzzzzzz", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *nearest = suggest_nearest(cases[i].written, keys, COUNT_OF(keys));
        if (cases[i].meant == NULL)
            cr_expect_null(nearest, "%s: %s", cases[i].written, nearest);
        else
            cr_expect(nearest != NULL && strcmp(nearest, cases[i].meant) == 0, "%s: %s", cases[i].written,
                      nearest == NULL ? "nothing" : nearest);
    }
}

Test(suggest, the_start_of_a_name_beats_two_slips)
{
    static const char *const models[] = {"llama-7b", "llama-3.1-8b"};
    cr_expect_str_eq(suggest_nearest("llama-3", models, COUNT_OF(models)), "llama-3.1-8b");
}

Test(suggest, the_first_of_equals_and_nothing_of_none)
{
    static const char *const twins[] = {"h100", "h200"};
    cr_expect_str_eq(suggest_nearest("h300", twins, COUNT_OF(twins)), "h100");
    cr_expect_null(suggest_nearest("h300", NULL, 0));
}
