/* Reading lengths in tokens; what they mean is in spec/workload.h. */
#ifndef RAFTER_SPEC_LENGTH_H
#define RAFTER_SPEC_LENGTH_H

#include "spec/workload.h"

/* For FIELD_CUSTOM: member is a `struct length`. Lists come out sorted. */
bool length_read(struct reader *reader, const struct yaml_node *node, void *member);

/* The keys of {lognormal: {..}}, for the docs. */
extern const struct schema lognormal_schema;

#endif
