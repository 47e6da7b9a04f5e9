/* Parameter declarations of mechanisms: the one place that YAML checks, `rafter show` and the docs come from.
 */
#ifndef RAFTER_MECHANISM_PARAMS_H
#define RAFTER_MECHANISM_PARAMS_H

#include "spec/schema.h"

#include <stddef.h>

/* A field of the mechanism's parameter struct, and what it is. schema_read does the checks. */
struct mechanism_parameters {
    const struct schema *schema;
    const char *const *empirical; /* keys that every output marks as such, ended by NULL; may be NULL */
};

/* Fields of a struct's members, each under its member's name. least, most: in SI; text: the default as a file
 * would have it; words: what it means. */
#define QUANTITY_FIELD(parameters, member, unit, least, most, text, words)                                   \
    {                                                                                                        \
        .key = #member, .kind = FIELD_QUANTITY, .offset = offsetof(struct parameters, member),               \
        .dimension = unit, .min = least, .max = most, .fallback = text, .doc = words                         \
    }
#define FRACTION_FIELD(parameters, member, text, words)                                                      \
    QUANTITY_FIELD(parameters, member, DIM_FRACTION, 0, 1, text, words)
#define BOOL_FIELD(parameters, member, text, words)                                                          \
    {                                                                                                        \
        .key = #member, .kind = FIELD_BOOL, .offset = offsetof(struct parameters, member), .fallback = text, \
        .doc = words                                                                                         \
    }
#define STRING_FIELD(parameters, member, text, words)                                                        \
    {                                                                                                        \
        .key = #member, .kind = FIELD_STRING, .offset = offsetof(struct parameters, member),                 \
        .fallback = text, .doc = words                                                                       \
    }
#define ENUM_FIELD(parameters, member, choices, text, words)                                                 \
    {                                                                                                        \
        .key = #member, .kind = FIELD_ENUM, .offset = offsetof(struct parameters, member), .names = choices, \
        .fallback = text, .doc = words                                                                       \
    }
#define INT_FIELD(parameters, member, least, most, text, words)                                              \
    {                                                                                                        \
        .key = #member, .kind = FIELD_INT, .offset = offsetof(struct parameters, member),                    \
        .dimension = DIM_COUNT, .min = least, .max = most, .fallback = text, .doc = words                    \
    }
#define TYPE_FIELD(parameters, member, words)                                                                \
    {                                                                                                        \
        .key = #member, .kind = FIELD_TYPE, .offset = offsetof(struct parameters, member), .doc = words      \
    }

#endif
