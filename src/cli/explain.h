/* Explaining a figure: for `rafter explain METRIC` and `rafter estimate --explain METRIC`. */
#ifndef RAFTER_CLI_EXPLAIN_H
#define RAFTER_CLI_EXPLAIN_H

#include "cli/session.h"

enum exit_status explain_metric(struct session *session, const struct question *question, const char *metric);

#endif
