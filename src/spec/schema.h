/* Schemas: what a description may say, as tables. One table gives the checks, the messages with the nearest
 * valid key, `rafter show`, and docs/schemas.md. */
#ifndef RAFTER_SPEC_SCHEMA_H
#define RAFTER_SPEC_SCHEMA_H

#include "base/quantity.h"
#include "spec/yaml_tree.h"

enum field_kind {
    FIELD_STRING,     /* const char * */
    FIELD_STRINGS,    /* struct string_list: a list of scalars, or one scalar */
    FIELD_BOOL,       /* bool: true, false, yes, no */
    FIELD_INT,        /* int, within [min, max] */
    FIELD_QUANTITY,   /* double in SI of the field's dimension, within [min, max]; a bare number is in it */
    FIELD_ENUM,       /* int: the value of one of names */
    FIELD_TYPE,       /* struct element_type (spec/element_type.h) by name */
    FIELD_OBJECT,     /* a struct, in place, read by the nested schema */
    FIELD_OBJECT_PTR, /* pointer to a struct in the arena, NULL when absent or null */
    FIELD_OBJECTS,    /* struct object_list: a list of maps */
    FIELD_NAMED,      /* struct object_list: a map of name -> map; the name goes to the struct's first member,
                         which must be const char * */
    FIELD_CUSTOM      /* read by the field's function */
};

struct enum_name {
    const char *name;
    int value;
};

struct string_list {
    const char **items;
    size_t count;
};

struct object_list {
    void *items; /* array of the nested schema's struct */
    size_t count;
};

/* What a reading needs at hand. */
struct reader {
    struct arena *arena;
    struct diag *diag;
};

struct schema;

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset; /* of the member in the struct */
    bool required;
    enum dimension dimension;      /* QUANTITY */
    double min, max;               /* INT, QUANTITY: inclusive; both 0: no bounds */
    const struct enum_name *names; /* ENUM: ended by a NULL name */
    const struct schema *object;   /* OBJECT, OBJECT_PTR, OBJECTS, NAMED */
    bool (*custom)(struct reader *reader, const struct yaml_node *node, void *member);
    const char *fallback; /* text of the default, read like a value; NULL: the member stays zero */
    const char *doc;      /* one line: what it means */
};

struct schema {
    const char *name; /* "device", "memory tier": used in messages */
    size_t size;      /* of the struct */
    const struct field *fields;
    size_t count;
    size_t where_offset; /* of a struct source_location member that takes the node's place; 0: none */
};

/* NULL: the schema has no such key. */
const struct field *schema_field(const struct schema *schema, const char *key);

/* Reads a map into out (zeroed by the caller or fresh) by the schema. All problems of the map are reported,
 * not only the first: missing required keys, unknown keys (with the nearest valid one), wrong kinds, units
 * and bounds:
 *
 *   hardware/h100-sxm.yaml:12:14: error: memory.bandwidth: found "3352" without a unit,
 *   expected a bandwidth such as "3.35 TB/s"
 *
 * They come in the order of the file, what a map lacks after what it has. A null value is the same as none;
 * an OBJECT that is left out gets the defaults of its keys. path is the dotted place for messages ("" at the
 * root). false when anything was wrong. */
bool schema_read(struct reader *reader, const struct schema *schema, const struct yaml_node *node,
                 const char *path, void *out);

/* Reads a file that is one description into a fresh struct in the arena, all keys by the schema; NULL with
 * errors. */
void *schema_read_file(struct arena *arena, struct diag *diag, const char *path, const struct schema *schema);

/* Adds the schema as Markdown tables (key, value, default, meaning), nested schemas after it, for
 * docs/schemas.md. */
struct text;
void schema_document(const struct schema *schema, struct text *out);

#endif
