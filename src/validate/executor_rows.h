/* Runs of the executor that were measured earlier, as --rows-out wrote them: to be predicted again. */
#ifndef RAFTER_VALIDATE_EXECUTOR_ROWS_H
#define RAFTER_VALIDATE_EXECUTOR_ROWS_H

#include "validate/executor_run.h"

/* Fills times [count] of the cases. false with diag: a file that is not what --rows-out writes, a case whose
 * runs it does not have. */
bool executor_rows_read(struct arena *arena, struct diag *diag, const char *path,
                        const struct executor_case *cases, size_t count, struct executor_times *times);

#endif
