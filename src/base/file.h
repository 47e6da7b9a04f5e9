/* Whole files in, whole files out. */
#ifndef RAFTER_BASE_FILE_H
#define RAFTER_BASE_FILE_H

#include "base/arena.h"
#include "base/diag.h"

/* Reads a regular file of at most limit_bytes into the arena, NUL-terminated; *length without the NUL.
 * NULL with an error in diag: missing, a directory, a device, too large, unreadable. */
char *file_read(struct arena *arena, struct diag *diag, const char *path, size_t limit_bytes, size_t *length);

/* Replaces path by content atomically: temporary file beside it, write, fsync, rename, fsync of the folder.
 * On failure the old file stays, the temporary one goes, and diag says why. A symbolic link is followed, and
 * path may be an existing character device such as /dev/stdout, which is written straight. */
bool file_write(struct diag *diag, const char *path, const char *content, size_t length);

#endif
