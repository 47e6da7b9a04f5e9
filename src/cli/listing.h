/* Listings of one kind of thing. */
#ifndef RAFTER_CLI_LISTING_H
#define RAFTER_CLI_LISTING_H

#include "cli/kinds.h"
#include "report/json.h"

/* NULL with an error. A description that cannot be read keeps its row, and its errors become warnings. */
struct table *listing_table(struct session *session, enum kind kind);
/* The names alone, sorted, abstract ones left out; for an overview of all kinds. false with an error. */
bool listing_names(struct session *session, enum kind kind, struct string_list *names);
/* [{id, name, aliases[]}] */
json_t *listing_json(struct session *session, enum kind kind);

#endif
