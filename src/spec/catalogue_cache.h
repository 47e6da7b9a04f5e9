/* Descriptions that a catalogue has read, kept for the next look-up. Private to spec/. */
#ifndef RAFTER_SPEC_CATALOGUE_CACHE_H
#define RAFTER_SPEC_CATALOGUE_CACHE_H

#include "spec/catalogue.h"

/* What is looked up. count: devices of a system, else 0. */
struct lookup {
    enum catalogue_kind kind;
    bool system; /* hardware as a system rather than a device */
    const char *name;
    int count;
    const struct string_list *settings;
};

/* Reads a description into catalogue->arena; NULL with errors. */
typedef const void *description_load(struct catalogue *catalogue, struct diag *diag,
                                     const struct lookup *lookup);

/* What was read under the same look-up, or what `load` reads now. Look-ups with settings, and those that had
 * something to report, are read anew each time, into catalogue->arena. */
const void *catalogue_cached(struct catalogue *catalogue, struct diag *diag, const struct lookup *lookup,
                             description_load *load);

#endif
