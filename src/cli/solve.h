/* The questions of `rafter solve`. */
#ifndef RAFTER_CLI_SOLVE_H
#define RAFTER_CLI_SOLVE_H

#include "analyse/solve.h"
#include "cli/inquiry.h"

enum exit_status solve_unknown(struct inquiry *inquiry, enum unknown unknown);
enum exit_status solve_parallelism(struct inquiry *inquiry);
enum exit_status solve_pareto(struct inquiry *inquiry);

/* Rows to show: --top, else `usual` for people and all for programs. */
size_t solve_rows(const struct session *session, size_t usual);

#endif
