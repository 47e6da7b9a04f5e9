/* What `recommend` and `compare --techniques` share. */
#ifndef RAFTER_CLI_RECOMMEND_H
#define RAFTER_CLI_RECOMMEND_H

#include "cli/commands.h"

/* Techniques alone, and stacks of up to `depth` of them, put out as a table with `rows` stacks for people
 * unless --top says otherwise. all: those that change the work are tried too, and those without an answer are
 * listed. */
enum exit_status recommend_techniques(struct session *session, int depth, size_t rows, bool all);

#endif
