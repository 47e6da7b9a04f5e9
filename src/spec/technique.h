/* Techniques: stacks of mechanisms with parameters, as data. Which mechanisms and parameters exist is known
 * to mechanism/registry.c, which checks them; here they are names and values with their places. */
#ifndef RAFTER_SPEC_TECHNIQUE_H
#define RAFTER_SPEC_TECHNIQUE_H

#include "spec/schema.h"
#include "spec/hardware.h"

struct setting {
    const char *key;
    const struct yaml_node *value;
};

struct mechanism_use {
    const char *name;
    struct setting *parameters;
    size_t parameter_count;
    struct string_list on; /* pools or roles it is scoped to; empty: all */
    struct source_location where;
};

struct technique {
    const char *id;
    const char *name;
    const char *extends;
    struct string_list aliases;
    const char *paper; /* "arXiv:2405.04532" */
    const char *summary;
    struct mechanism_use *uses;
    size_t use_count;
    const char *software; /* profile of its baseline; NULL: none named */
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

extern const struct schema technique_schema;
bool technique_read(struct reader *reader, const struct yaml_node *node, const char *id,
                    struct technique *technique);

#endif
