/* The subcommands. */
#ifndef RAFTER_CLI_COMMANDS_H
#define RAFTER_CLI_COMMANDS_H

#include "cli/session.h"

struct command {
    const char *name;
    const char *summary;  /* one line of the overview */
    const char *operands; /* of the usage line: "NAME", "" */
    const char *details;  /* paragraphs of the help page; "" */
    const char *examples; /* command lines */
    struct option_rules rules;
    enum exit_status (*run)(struct session *session);
};

extern const struct command *const commands[];
extern const size_t command_count;

/* The command of that name, NULL with an error that names the nearest. "--help", "-h" and "--version", "-V"
 * are commands too. */
const struct command *command_find(struct diag *diag, const char *name);

extern const struct command command_estimate, command_ops, command_compare, command_solve,
    command_sensitivity, command_fit, command_measure, command_validate, command_diff, command_plot,
    command_list, command_show, command_explain, command_help, command_version, command_completion,
    command_import, command_quantize, command_run, command_claims, command_recommend;

/* The help page of a command; NULL: the overview. */
void help_page(const struct command *command, struct text *out);

/* Option sets that commands share: what puts a question, and what every report takes. */
#define OPTIONS_QUESTION                                                                                     \
    (OPTION_BIT(OPTION_MODEL) | OPTION_BIT(OPTION_DEVICE) | OPTION_BIT(OPTION_DEVICES) |                     \
     OPTION_BIT(OPTION_THREADS) | OPTION_BIT(OPTION_SOFTWARE) | OPTION_BIT(OPTION_TP) |                      \
     OPTION_BIT(OPTION_PP) | OPTION_BIT(OPTION_EP) | OPTION_BIT(OPTION_DP) | OPTION_BIT(OPTION_SP) |         \
     OPTION_BIT(OPTION_MICRO_BATCHES) | OPTION_BIT(OPTION_EXPERT_SKEW) | OPTION_BIT(OPTION_WORKLOAD) |       \
     OPTION_BIT(OPTION_BATCH) | OPTION_BIT(OPTION_PROMPT) | OPTION_BIT(OPTION_OUTPUT) |                      \
     OPTION_BIT(OPTION_WEIGHTS) | OPTION_BIT(OPTION_ACTIVATIONS) | OPTION_BIT(OPTION_KV) |                   \
     OPTION_BIT(OPTION_WITH) | OPTION_BIT(OPTION_SET) | OPTION_BIT(OPTION_NO_RESIDENCY))
#define OPTIONS_FORMAT                                                                                       \
    (OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_CSV) | OPTION_BIT(OPTION_MARKDOWN) |                        \
     OPTION_BIT(OPTION_FILE) | OPTION_BIT(OPTION_HELP))

#endif
