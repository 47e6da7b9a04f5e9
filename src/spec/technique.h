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

/* Whether outputs are the model's own. */
enum lossless { LOSSLESS_BY_MECHANISMS, LOSSLESS_YES, LOSSLESS_NO };

struct technique {
    const char *id;
    const char *name;
    const char *extends;
    struct string_list aliases;
    const char *paper; /* "arXiv:2405.04532" */
    const char *title; /* of the paper */
    int year;
    const char *summary;
    const char *family; /* for lists: a mechanism; NULL: its first */
    struct mechanism_use *uses;
    size_t use_count;
    int lossless;                            /* enum lossless */
    bool other_work;                         /* besides what its mechanisms say of it */
    const char *no_effect;                   /* why it has no mechanisms; NULL: it has */
    struct string_list applies;              /* what hardware, models or workloads it is for */
    struct string_list quality;              /* what the paper says it costs in quality */
    const char *software;                    /* profile of its baseline; NULL: none named */
    const struct yaml_node *setups, *claims; /* read by spec/claim.h when they are asked for */
    struct source_note *sources;
    size_t source_count;
    struct source_location where;
};

/* The technique's family: its own word, its first mechanism, or "none". */
const char *technique_family(const struct technique *technique);

extern const struct schema technique_schema;
bool technique_read(struct reader *reader, const struct yaml_node *node, const char *id,
                    struct technique *technique);

#endif
