/* Parameter declarations of mechanisms: the one place that YAML checks, `rafter show` and the docs come from.
 */
#ifndef RAFTER_MECHANISM_PARAMS_H
#define RAFTER_MECHANISM_PARAMS_H

#include "spec/schema.h"

/* A field of the mechanism's parameter struct, and what it is. schema_read does the checks. */
struct mechanism_parameters {
    const struct schema *schema;
    const char *const *empirical; /* keys that every output marks as such, ended by NULL; may be NULL */
};

#endif
