#include "cli/commands.h"

#include "base/suggest.h"

#include <string.h>

const struct command *const commands[] = {
    &command_estimate, &command_ops,       &command_compare,  &command_solve,      &command_sensitivity,
    &command_fit,      &command_measure,   &command_validate, &command_diff,       &command_plot,
    &command_claims,   &command_recommend, &command_list,     &command_show,       &command_import,
    &command_quantize, &command_run,       &command_explain,  &command_completion, &command_help,
    &command_version,
};
const size_t command_count = sizeof commands / sizeof commands[0];

static const char *canonical(const char *name)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return "version";
    return name;
}

const struct command *command_find(struct diag *diag, const char *name)
{
    enum { COMMANDS_MOST = 32 };
    const char *names[COMMANDS_MOST];
    for (size_t i = 0; i < command_count; i++) {
        names[i] = commands[i]->name;
        if (strcmp(canonical(name), names[i]) == 0)
            return commands[i];
    }
    const char *nearest = suggest_nearest(name, names, command_count);
    if (nearest != NULL)
        diag_error(diag, NOWHERE, "unknown command \"%.80s\"; did you mean %s?", name, nearest);
    else
        diag_error(diag, NOWHERE, "unknown command \"%.80s\"; `rafter help` lists them", name);
    return NULL;
}
