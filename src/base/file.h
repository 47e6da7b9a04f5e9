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

/* The same in pieces, for what is too large to be held: open, add as often as needed, close. A writer that
 * was opened must be closed; until then the old file stays, and without `keep` for good. After an error
 * further pieces are dropped and close fails too, with nothing more in diag. */
enum { FILE_PATH_MOST = 4096 };
struct file_writer {
    int fd;
    bool failed;
    bool stream;                    /* written straight: nothing to rename */
    bool borrowed;                  /* standard output or error: not ours to close */
    char path[FILE_PATH_MOST];      /* as asked, for messages */
    char target[FILE_PATH_MOST];    /* where links lead */
    char temporary[FILE_PATH_MOST]; /* beside it */
};
bool file_writer_open(struct file_writer *writer, struct diag *diag, const char *path);
bool file_writer_add(struct file_writer *writer, struct diag *diag, const char *content, size_t length);
bool file_writer_close(struct file_writer *writer, struct diag *diag, bool keep);

#endif
