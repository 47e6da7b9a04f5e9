#include "cli/commands.h"

#include <criterion/criterion.h>
#include <string.h>

static struct arena *arena;
static struct diag diag;
static struct options parsed;

static void set_up(void)
{
    arena = arena_new(0);
    diag = (struct diag){.arena = arena};
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(options, .init = set_up, .fini = tear_down);

/* Parses words separated by blanks as the command's. */
static bool parse(const struct command *command, const char *line)
{
    const char *words[64];
    int count = 0;
    char *rest = arena_strdup(arena, line);
    diag = (struct diag){.arena = arena};
    for (char *word = strsep(&rest, " "); word != NULL && line[0] != '\0'; word = strsep(&rest, " "))
        words[count++] = word;
    return options_parse(&parsed, arena, &diag, &command->rules, count, words);
}

static void expect_error(const struct command *command, const char *line, const char *part)
{
    cr_expect_not(parse(command, line), "%s: accepted", line);
    cr_expect(strstr(diag_first_error(&diag), part) != NULL, "%s: \"%s\" lacks \"%s\"", line,
              diag_first_error(&diag), part);
}

Test(options, values_by_blank_equals_and_letter)
{
    cr_assert(parse(&command_estimate, "--model a --device=b -s c -n 4 -b8 --sp"));
    cr_expect_str_eq(option_text(&parsed, OPTION_MODEL), "a");
    cr_expect_str_eq(option_text(&parsed, OPTION_DEVICE), "b");
    cr_expect_str_eq(option_text(&parsed, OPTION_SOFTWARE), "c");
    cr_expect_eq(option_number(&parsed, OPTION_DEVICES), 4);
    cr_expect_eq(option_number(&parsed, OPTION_BATCH), 8);
    cr_expect(option_given(&parsed, OPTION_SP));
    cr_expect_not(option_given(&parsed, OPTION_JSON));
    cr_expect_null(option_text(&parsed, OPTION_WORKLOAD));
    cr_expect_eq(option_number(&parsed, OPTION_TP), 0);
}

Test(options, a_value_may_hold_equals_signs)
{
    cr_assert(parse(&command_estimate, "--set=hardware.power.tdp=600W --set a=b=c"));
    cr_expect_eq(parsed.counts[OPTION_SET], 2);
    cr_expect_str_eq(parsed.values[OPTION_SET][0].text, "hardware.power.tdp=600W");
    cr_expect_str_eq(parsed.values[OPTION_SET][1].text, "a=b=c");
}

Test(options, repeats_keep_their_order)
{
    cr_assert(parse(&command_estimate, "--with one --with two"));
    cr_expect_eq(parsed.counts[OPTION_WITH], 2);
    cr_expect_str_eq(parsed.values[OPTION_WITH][0].text, "one");
    cr_expect_str_eq(parsed.values[OPTION_WITH][1].text, "two");
}

Test(options, commas_split_axes_of_compare_only)
{
    cr_assert(parse(&command_compare, "-d a,b -d c --tp 1,2"));
    cr_expect_eq(parsed.counts[OPTION_DEVICE], 3);
    cr_expect_str_eq(parsed.values[OPTION_DEVICE][2].text, "c");
    cr_expect_eq(parsed.values[OPTION_TP][1].number, 2);
    cr_assert(parse(&command_estimate, "-d a,b"));
    cr_expect_str_eq(option_text(&parsed, OPTION_DEVICE), "a,b");
}

Test(options, negative_numbers_are_values_and_words_with_dashes_are_options)
{
    expect_error(&command_estimate, "--batch -1", "--batch");
    expect_error(&command_estimate, "--batch --json", "--batch needs a value");
    expect_error(&command_estimate, "-m -d x", "--model needs a value");
}

Test(options, two_dashes_end_options)
{
    cr_assert(parse(&command_show, "-- --help"));
    cr_expect_eq(parsed.operand_count, 1);
    cr_expect_str_eq(parsed.operands[0], "--help");
}

Test(options, help_wins_over_mistakes)
{
    cr_assert(parse(&command_estimate, "--nonsense --batch nan -h"));
    cr_expect(option_given(&parsed, OPTION_HELP));
    cr_expect_eq(diag.errors, 0);
}

Test(options, every_mistake_is_reported)
{
    cr_expect_not(parse(&command_estimate, "--modle x --batch nan --tp 0"));
    cr_expect_geq(diag.errors, 3);
}

Test(options, bounds)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = &option_table[id];
        if (option->kind != VALUE_NUMBER || (command_estimate.rules.allowed & OPTION_BIT(id)) == 0)
            continue;
        const char *most = arena_printf(arena, "--%s %.0f", option->name, option->max);
        const char *more = arena_printf(arena, "--%s %.0f", option->name, 2 * option->max);
        cr_expect(parse(&command_estimate, most), "%s", most);
        cr_expect_not(parse(&command_estimate, more), "%s", more);
    }
}

Test(options, the_table_is_consistent)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = &option_table[id];
        cr_assert_not_null(option->name);
        cr_expect_not_null(option->help);
        cr_expect_eq(option->kind == VALUE_NONE, option->value[0] == '\0', "--%s", option->name);
        for (int other = 0; other < id; other++) {
            cr_expect_str_neq(option->name, option_table[other].name);
            cr_expect(option->letter == 0 || option->letter != option_table[other].letter, "-%c",
                      option->letter);
        }
    }
}

Test(options, too_many_values_are_refused)
{
    struct text line = {0};
    for (int i = 0; i < VALUES_MOST + 1; i++)
        text_printf(&line, "%s%d", i > 0 ? "," : "-d ", i);
    expect_error(&command_compare, line.data, "more than");
    text_free(&line);
}

Test(options, help_lists_what_a_command_takes_and_nothing_else)
{
    struct text page = {0};
    help_page(&command_show, &page);
    cr_expect_not_null(strstr(page.data, "--json"));
    cr_expect_null(strstr(page.data, "--batch"));
    text_free(&page);
}

Test(options, commands_by_name)
{
    cr_expect_eq(command_find(&diag, "estimate"), &command_estimate);
    cr_expect_eq(command_find(&diag, "--version"), &command_version);
    cr_expect_null(command_find(&diag, "estimat"));
    cr_expect_not_null(strstr(diag_first_error(&diag), "did you mean estimate?"));
}
