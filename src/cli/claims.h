/* Claims run by the session's options, for tables and charts. */
#ifndef RAFTER_CLI_CLAIMS_H
#define RAFTER_CLI_CLAIMS_H

#include "analyse/claims.h"
#include "cli/commands.h"

/* Runs what the operands from `first` on name (none: all), of --family and --status, in the catalogue or in
 * --file. Results live in the session's arena. draws: of intervals. false with errors. */
bool claims_run(struct session *session, size_t first, int draws, struct claim_result **results,
                size_t *count);

#define OPTIONS_CLAIMS                                                                                       \
    (OPTION_BIT(OPTION_FAMILY) | OPTION_BIT(OPTION_STATUS) | OPTION_BIT(OPTION_CLAIMS_FILE))

#endif
