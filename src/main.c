/* rafter: dispatches subcommands. */
#include "cli/commands.h"

#include <signal.h>
#include <stdio.h>

static enum exit_status run(struct session *session, int argc, const char *const *argv)
{
    const struct command *command = command_find(&session->diag, argv[1]);
    if (command == NULL)
        return STATUS_BAD;
    if (!options_parse(&session->options, session->arena, &session->diag, &command->rules, argc - 2,
                       argv + 2))
        return STATUS_BAD;
    if (option_given(&session->options, OPTION_HELP)) {
        help_page(command, &session->out);
        return STATUS_YES;
    }
    return session_choose_format(session) ? command->run(session) : STATUS_BAD;
}

int main(int argc, char **argv)
{
    struct session session;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error to report, not a death */
    if (!session_open(&session)) {
        fputs("rafter: error: out of memory\n", stderr);
        return STATUS_BAD;
    }
    if (argc < 2) {
        help_page(NULL, &session.out);
        return session_finish(&session, STATUS_YES);
    }
    return session_finish(&session, run(&session, argc, (const char *const *)argv));
}
