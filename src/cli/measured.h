/* Commands over measured samples: device, files, filters and progress, as fit and validate share them. */
#ifndef RAFTER_CLI_MEASURED_H
#define RAFTER_CLI_MEASURED_H

#include "cli/commands.h"
#include "cli/progress.h"
#include "fit/sample_filter.h"

struct measured {
    struct session *session;
    const struct device *device;
    struct sample_set set;
    struct sample_filter filter;
    struct progress progress;
    double share; /* of the work that is done */
};

/* Reads the device of -d and its rows of the files, operands from `first_file` on. false with errors: no
 * device, no file, no row of the device. measured_close is due either way. */
bool measured_open(struct measured *measured, struct session *session, size_t first_file);
void measured_close(struct measured *measured);

/* The rows of another device in the same files. */
bool measured_read(struct measured *measured, size_t first_file, const struct device *device,
                   struct sample_set *set);

/* For the watchers of fits: context a struct measured. */
void measured_step(void *context);
void measured_share(void *context, double share);

/* Today in UTC, "2026-11-21", or the day of SOURCE_DATE_EPOCH. NULL with an error: that is no time. */
const char *measured_today(struct session *session);

#define OPTIONS_SAMPLES                                                                                      \
    (OPTION_BIT(OPTION_DEVICE) | OPTION_BIT(OPTION_FAMILY) | OPTION_BIT(OPTION_SOURCE) |                     \
     OPTION_BIT(OPTION_DTYPE))

#endif
