#include "cli/options.h"

#include <stdio.h>

enum { HELP_COLUMN = 30 };

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_QUESTION] = "What is asked",
    [GROUP_PARALLEL] = "How it is spread over devices",
    [GROUP_TECHNIQUE] = "What is changed",
    [GROUP_LIMIT] = "What the answer must keep to (default: the workload's objectives; memory always)",
    [GROUP_SAMPLES] = "Which samples, and how predictions are tested",
    [GROUP_REPORT] = "What is printed",
};

static void option_line(const struct option *option, struct text *out)
{
    char left[64], letter[8] = "    ";
    if (option->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "  %s--%s %s", letter, option->name, option->value);
    text_printf(out, "%-*s %s\n", HELP_COLUMN, left, option->help);
}

void options_help(option_set allowed, struct text *out)
{
    for (int group = 0; group < GROUP_COUNT; group++) {
        bool titled = false;
        for (int id = 0; id < OPTION_COUNT; id++) {
            if ((allowed & OPTION_BIT(id)) == 0 || (int)option_table[id].group != group)
                continue;
            if (!titled)
                text_printf(out, "\n%s:\n", group_titles[group]);
            titled = true;
            option_line(&option_table[id], out);
        }
    }
}
