/* Progress: a line on standard error while long work goes on, on a terminal only, gone before the answer. */
#ifndef RAFTER_CLI_PROGRESS_H
#define RAFTER_CLI_PROGRESS_H

#include <stdbool.h>
#include <time.h>

struct progress {
    bool shown; /* standard error is a terminal */
    bool drawn;
    long steps;
    struct timespec began, last;
};

void progress_begin(struct progress *progress);
/* As evaluator.watch, context a struct progress: one more step; share of the work that is done, 0: not known.
 */
void progress_step(void *context, double share);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
