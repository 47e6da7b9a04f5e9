/* Which models the executor runs. Of one that sees, the language model: it is given tokens. */
#ifndef RAFTER_EXEC_RUNNER_CHECK_H
#define RAFTER_EXEC_RUNNER_CHECK_H

#include "spec/model.h"

/* false with diag that names what of the model is not run here. */
bool runner_check_model(const struct model *model, struct diag *diag);

/* Rows of the learned position table before that of the first position (OPT keeps two). */
int position_offset(const struct model *model);

#endif
