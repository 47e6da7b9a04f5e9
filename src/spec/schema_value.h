/* Scalars of a description by their field: used by the reader of schemas and by their documents. */
#ifndef RAFTER_SPEC_SCHEMA_VALUE_H
#define RAFTER_SPEC_SCHEMA_VALUE_H

#include "base/text.h"
#include "spec/schema.h"

/* Reads a STRING, BOOL, INT, QUANTITY, ENUM or TYPE into member. false with an error that begins with path.
 */
bool schema_read_scalar(struct reader *reader, const struct field *field, const struct yaml_node *node,
                        const char *path, void *member);

/* What a node is, for messages: "a map", "a list", or the scalar in quotes, shortened. Returns buffer. */
enum { FOUND_MOST = 64 };
const char *schema_found(const struct yaml_node *node, char buffer[FOUND_MOST]);

/* What a field takes, for messages and documents: "a bandwidth such as \"3.35 TB/s\"", "one of a, b". */
void schema_expected(const struct field *field, struct text *out);

/* A schema's keys: "tdp, idle"; the first 16 of many. */
void schema_keys(const struct schema *schema, struct text *out);

/* Whether the field has bounds; "at least 1", "from 0% to 100%". */
bool schema_has_bounds(const struct field *field);
void schema_bounds(const struct field *field, struct text *out);

#endif
