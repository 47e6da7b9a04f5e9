/* Pages of `rafter show`. */
#ifndef RAFTER_CLI_PAGE_H
#define RAFTER_CLI_PAGE_H

#include "cli/kinds.h"
#include "mechanism/mechanism.h"

/* The page of a thing of any kind. */
enum exit_status show_page(struct session *session, enum kind kind, const char *name);

enum exit_status show_mechanism(struct session *session, const char *name);
enum exit_status show_type(struct session *session, const char *name);

#endif
