/* What this machine is: as the kernel (Linux) tells. */
#ifndef RAFTER_EXEC_PROBE_MACHINE_H
#define RAFTER_EXEC_PROBE_MACHINE_H

#include "base/arena.h"
#include "base/diag.h"

enum { CACHE_LEVELS = 4 };

struct machine_cache {
    double bytes;  /* of all instances that the process's processors use; 0: no such level */
    int instances; /* 1: shared by all of them */
};

struct machine {
    const char *name;                              /* "AMD EPYC 9R14 96-Core Processor" */
    const char *vendor;                            /* "AMD", "Intel"; NULL: another */
    int processors;                                /* that this process may run on */
    int cores;                                     /* of them */
    struct machine_cache caches[CACHE_LEVELS + 1]; /* by level, data caches; [0] is unused */
    double memory_bytes;
};

/* root: "" for this machine, else a folder that holds a proc/ and a sys/ of another one, whose processors 0,
 * 1 ... up to the last that sys/devices/system/cpu has are all taken. false with diag: neither model nor
 * processors can be told. */
bool machine_read(struct machine *machine, struct arena *arena, struct diag *diag, const char *root);

#endif
