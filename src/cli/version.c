#include "cli/commands.h"
#include "rafter.h"

static enum exit_status run(struct session *session)
{
    text_printf(&session->out, "rafter %s (ABI %d)\n", rafter_version(), rafter_abi_version());
    return STATUS_YES;
}

const struct command command_version = {
    .name = "version",
    .summary = "the version of the program and of its C interface",
    .operands = "",
    .details = "",
    .examples = "  rafter version\n",
    .rules = {.allowed = OPTION_BIT(OPTION_HELP)},
    .run = run,
};
