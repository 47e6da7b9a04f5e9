/* --interval-method, --draws, --seed: how an answer's intervals are found. */
#ifndef RAFTER_CLI_INTERVALS_H
#define RAFTER_CLI_INTERVALS_H

#include "cli/session.h"

#define OPTIONS_INTERVAL                                                                                     \
    (OPTION_BIT(OPTION_INTERVAL_METHOD) | OPTION_BIT(OPTION_DRAWS) | OPTION_BIT(OPTION_SEED))

/* Replaces the answer's intervals by sampled ones where the options ask for it. false with an error. */
bool intervals_as_asked(struct session *session, const struct question *question, struct result *result);

#endif
