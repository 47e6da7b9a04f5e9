/* What the disk under a folder gives past the page cache. */
#ifndef RAFTER_EXEC_PROBE_DISK_H
#define RAFTER_EXEC_PROBE_DISK_H

#include "base/diag.h"

#include <stddef.h>

struct disk_rates {
    double capacity;   /* bytes of the file system */
    double sequential; /* byte/s of reads of 4 MiB, one after the other */
    double random;     /* byte/s of reads of 64 KiB anywhere, one after the other */
    double latency;    /* s of a random read of 4 KiB: the median */
};

/* Writes a temporary file of `bytes` (at least 8 MiB) into the folder, reads it with O_DIRECT for about
 * `seconds`, removes it. false: the file system has no such reads (tmpfs), no room, not writable; *why says
 * which, and no error is given, as a machine without a disk is no failure. */
bool disk_probe(const char *folder, size_t bytes, double seconds, struct disk_rates *rates, const char **why);

#endif
