/* What can be validated. */
#ifndef RAFTER_CLI_VALIDATE_H
#define RAFTER_CLI_VALIDATE_H

#include "cli/measured.h"

enum exit_status validate_samples_command(struct session *session);
enum exit_status validate_executor_command(struct session *session);
enum exit_status validate_suite_command(struct session *session);

/* What only `samples` takes. */
#define OPTIONS_VALIDATION                                                                                   \
    (OPTION_BIT(OPTION_FOLDS) | OPTION_BIT(OPTION_HOLD_OUT) | OPTION_BIT(OPTION_FIT_ROWS) |                  \
     OPTION_BIT(OPTION_FIT_ON) | OPTION_BIT(OPTION_MAX_MAPE) | OPTION_BIT(OPTION_ROWS_OUT) |                 \
     OPTION_BIT(OPTION_ROWS_IN))

#endif
