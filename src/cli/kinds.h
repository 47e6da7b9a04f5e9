/* What there is to list and show. */
#ifndef RAFTER_CLI_KINDS_H
#define RAFTER_CLI_KINDS_H

#include "cli/session.h"

enum kind {
    KIND_HARDWARE,
    KIND_MODELS,
    KIND_SOFTWARE,
    KIND_WORKLOADS,
    KIND_TECHNIQUES,
    KIND_MECHANISMS,
    KIND_TYPES,
    KIND_COUNT
};

const char *kind_name(enum kind kind); /* "models" */
/* By "models" or "model"; KIND_COUNT with an error that lists them. */
enum kind kind_parse(struct diag *diag, const char *name);
/* The catalogue of the first five kinds. */
enum catalogue_kind kind_catalogue(enum kind kind);

#endif
