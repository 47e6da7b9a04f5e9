/* Variants: the questions that flags with several values put, one for each combination. */
#ifndef RAFTER_CLI_VARIANTS_H
#define RAFTER_CLI_VARIANTS_H

#include "cli/session.h"

/* Flags that may take several values: option_rules.listed of the commands that compare. */
#define VARIANT_AXES                                                                                         \
    (OPTION_BIT(OPTION_MODEL) | OPTION_BIT(OPTION_DEVICE) | OPTION_BIT(OPTION_DEVICES) |                     \
     OPTION_BIT(OPTION_SOFTWARE) | OPTION_BIT(OPTION_WORKLOAD) | OPTION_BIT(OPTION_TP) |                     \
     OPTION_BIT(OPTION_PP) | OPTION_BIT(OPTION_EP) | OPTION_BIT(OPTION_DP) |                                 \
     OPTION_BIT(OPTION_MICRO_BATCHES) | OPTION_BIT(OPTION_EXPERT_SKEW) | OPTION_BIT(OPTION_BATCH) |          \
     OPTION_BIT(OPTION_PROMPT) | OPTION_BIT(OPTION_OUTPUT) | OPTION_BIT(OPTION_WEIGHTS) |                    \
     OPTION_BIT(OPTION_ACTIVATIONS) | OPTION_BIT(OPTION_KV) | OPTION_BIT(OPTION_WITH))

/* Combinations of the values given, at least 1; counting stops far beyond what any command shows. */
size_t variant_count(const struct options *options);

/* The question of variant 0 .. variant_count - 1; the last flag's values change fastest. */
bool variant_question(struct session *session, size_t variant, struct question *question);

/* What sets a variant apart: "h100-sxm fp8"; "" when there is only one. NULL when memory is out. */
const char *variant_label(struct session *session, size_t variant);

/* Its estimate, which lives in the session's arena. NULL with errors. */
const struct result *variant_estimate(struct session *session, size_t variant);

#endif
