/* Settings of a question, sorted by what they are about. Private to estimate/. */
#ifndef RAFTER_ESTIMATE_SETTINGS_H
#define RAFTER_ESTIMATE_SETTINGS_H

#include "estimate/estimate.h"

enum { SCOPE_HARDWARE, SCOPE_SOFTWARE, SCOPE_MODEL, SCOPE_WORKLOAD, SCOPE_SITE, SCOPE_COUNT };

/* "KEY=VALUE" texts by scope; what names none of the scopes is a mechanism's "MECHANISM.PARAMETER=value". */
struct settings {
    struct string_list by_scope[SCOPE_COUNT];
    struct string_list mechanisms;
};

bool settings_split(struct arena *arena, struct diag *diag, const struct string_list *given,
                    struct settings *settings);
bool settings_read_site(struct arena *arena, struct diag *diag, const struct string_list *settings,
                        struct site *site);

/* A copy of the technique in which settings replace or add parameters; used[i] becomes true for those that
 * found their mechanism. NULL: out of memory. */
struct technique *technique_set(struct arena *arena, const struct technique *technique,
                                const struct string_list *settings, bool *used);
/* Refuses settings that found nothing to set. */
bool settings_check_used(struct diag *diag, const struct string_list *settings, const bool *used);

#endif
