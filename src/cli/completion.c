#include "cli/commands.h"

#include <string.h>

/* Options whose values are names, and what lists them. */
static const struct {
    const char *options; /* a pattern of both shells */
    const char *kind;
} named[] = {
    {"-m|--model", "models"},      {"-d|--device|--fit-on", "hardware"},
    {"-s|--software", "software"}, {"-w|--workload", "workloads"},
    {"--with", "techniques"},      {"--weights|--activations|--kv", "types"},
};
enum { NAMED_COUNT = sizeof named / sizeof named[0] };

#define OBJECTIVES "throughput latency ttft tpot cost"
#define UNKNOWNS   "batch concurrency prompt context output devices bandwidth compute memory parallelism pareto"

/* Words that a command takes beside options. */
static const char *operand_words(const struct command *command)
{
    if (command == &command_solve)
        return UNKNOWNS " ";
    if (command == &command_validate)
        return "samples suite ";
    return command == &command_completion ? "bash zsh " : "";
}

static bool takes_files(const struct command *command)
{
    return command == &command_diff || command == &command_fit || command == &command_validate;
}

/* A case for each command with its options; names are asked of the program itself when they are needed. */
static void command_case(const struct command *command, struct text *out)
{
    text_printf(out, "    %s) words=\"%s", command->name, operand_words(command));
    for (int id = 0; id < OPTION_COUNT; id++)
        if ((command->rules.allowed & OPTION_BIT(id)) != 0)
            text_printf(out, "--%s ", option_table[id].name);
    text_add(out, takes_files(command) ? "$(compgen -f -- \"$word\")\" ;;\n" : "\" ;;\n");
}

static void bash_script(struct text *out)
{
    text_add(out, "# rafter completion bash: source <(rafter completion bash)\n"
                  "_rafter_ids() { rafter list \"$1\" --csv 2>/dev/null | sed -e 1d -e 's/,.*//'; }\n"
                  "_rafter() {\n"
                  "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
                  "  case $before in\n"
                  "    --objective) words=\"" OBJECTIVES "\" ;;\n"
                  "    --hold-out) words=shapes ;;\n");
    for (size_t i = 0; i < NAMED_COUNT; i++)
        text_printf(out, "    %s) words=$(_rafter_ids %s) ;;\n", named[i].options, named[i].kind);
    text_add(out, "    -o|--output-file|--rows-out) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
                  "  esac\n"
                  "  [ -n \"$words\" ] || case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++)
        command_case(commands[i], out);
    text_add(out, "    *) words=\"");
    for (size_t i = 0; i < command_count; i++)
        text_printf(out, "%s ", commands[i]->name);
    text_add(out, "\" ;;\n  esac\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                  "}\n"
                  "complete -F _rafter rafter\n");
}

/* Files as words where the command takes files. */
static void zsh_case(const struct command *command, struct text *out)
{
    text_printf(out, "    %s) ", command->name);
    if (takes_files(command))
        text_add(out, "_files; ");
    text_printf(out, "compadd -- %s", operand_words(command));
    for (int id = 0; id < OPTION_COUNT; id++)
        if ((command->rules.allowed & OPTION_BIT(id)) != 0)
            text_printf(out, "--%s ", option_table[id].name);
    text_add(out, ";;\n");
}

/* Works as a file _rafter of $fpath, where the whole file is the function, and when sourced. */
static void zsh_script(struct text *out)
{
    text_add(out, "#compdef rafter\n"
                  "# rafter completion zsh: source <(rafter completion zsh), or a file _rafter in $fpath\n"
                  "_rafter_ids() {\n"
                  "  local -a ids\n"
                  "  ids=(${(f)\"$(rafter list $1 --csv 2>/dev/null | sed -e 1d -e 's/,.*//')\"})\n"
                  "  compadd -a ids\n"
                  "}\n"
                  "_rafter() {\n"
                  "  case ${words[CURRENT-1]} in\n"
                  "    --objective) compadd " OBJECTIVES "; return ;;\n"
                  "    --hold-out) compadd shapes; return ;;\n");
    for (size_t i = 0; i < NAMED_COUNT; i++)
        text_printf(out, "    %s) _rafter_ids %s; return ;;\n", named[i].options, named[i].kind);
    text_add(out, "    -o|--output-file|--rows-out) _files; return ;;\n"
                  "  esac\n"
                  "  if (( CURRENT == 2 )); then\n"
                  "    compadd ");
    for (size_t i = 0; i < command_count; i++)
        text_printf(out, "%s ", commands[i]->name);
    text_add(out, "\n    return\n  fi\n  case ${words[2]} in\n");
    for (size_t i = 0; i < command_count; i++)
        zsh_case(commands[i], out);
    text_add(out,
             "  esac\n"
             "}\n"
             "if [ \"$funcstack[1]\" = _rafter ]; then _rafter \"$@\"; else compdef _rafter rafter; fi\n");
}

static enum exit_status run(struct session *session)
{
    const struct options *options = &session->options;
    const char *shell = options->operand_count == 1 ? options->operands[0] : "";
    if (strcmp(shell, "bash") == 0)
        bash_script(&session->out);
    else if (strcmp(shell, "zsh") == 0)
        zsh_script(&session->out);
    else
        return session_refuse(session, "which shell? bash or zsh");
    return STATUS_YES;
}

const struct command command_completion = {
    .name = "completion",
    .summary = "a script that completes commands, options and names in the shell",
    .operands = "bash|zsh",
    .details = "",
    .examples = "  source <(rafter completion bash)\n  rafter completion zsh >~/.zfunc/_rafter\n",
    .rules = {.allowed = OPTION_BIT(OPTION_HELP), .operands_most = 1, .operand = "a shell's name"},
    .run = run,
};
