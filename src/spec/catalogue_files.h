/* Files parsed once: a listing reads the same parents and members for many descriptions. Private to spec/. */
#ifndef RAFTER_SPEC_CATALOGUE_FILES_H
#define RAFTER_SPEC_CATALOGUE_FILES_H

#include "spec/catalogue.h"

/* The tree of a file: parsed now, or, after catalogue_parse_once, a copy of what was parsed before. NULL with
 * errors. */
struct yaml_node *catalogue_parse(struct catalogue *catalogue, struct diag *diag, const char *path);

#endif
