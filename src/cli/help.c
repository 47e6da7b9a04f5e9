#include "cli/commands.h"

#include <string.h>

static void overview(struct text *out)
{
    text_add(out, "rafter: what a language model costs to serve, operator by operator\n\n"
                  "usage: rafter COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < command_count; i++)
        text_printf(out, "  %-12s%s\n", commands[i]->name, commands[i]->summary);
    text_add(
        out,
        "\nexamples:\n"
        "  rafter estimate -m llama-3.1-8b -d h100-sxm -w chat\n"
        "  rafter compare -m llama-3-70b -d h100-sxm,h200-sxm -n 8 --batch 32\n"
        "  rafter list hardware\n"
        "\n`rafter COMMAND --help` tells more. Exit status: 0 yes, 1 the answer is no (does not fit, an\n"
        "objective is missed), 2 bad usage or input. NO_COLOR turns colours off.\n");
}

void help_page(const struct command *command, struct text *out)
{
    if (command == NULL) {
        overview(out);
        return;
    }
    text_printf(out, "rafter %s: %s\n\nusage: rafter %s%s%s [OPTIONS]\n", command->name, command->summary,
                command->name, command->operands[0] != '\0' ? " " : "", command->operands);
    if (command->details[0] != '\0')
        text_printf(out, "\n%s", command->details);
    options_help(command->rules.allowed, out);
    text_printf(out, "\nexamples:\n%s", command->examples);
}

static enum exit_status run(struct session *session)
{
    const struct command *command = NULL;
    if (session->options.operand_count > 0) {
        command = command_find(&session->diag, session->options.operands[0]);
        if (command == NULL)
            return STATUS_BAD;
    }
    help_page(command, &session->out);
    return STATUS_YES;
}

const struct command command_help = {
    .name = "help",
    .summary = "this overview, or the page of a command",
    .operands = "[COMMAND]",
    .details = "",
    .examples = "  rafter help estimate\n",
    .rules = {.allowed = OPTION_BIT(OPTION_HELP), .operands_most = 1, .operand = "a command's name"},
    .run = run,
};
