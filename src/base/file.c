#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 64 * 1024, TEMPORARY_TRIES = 100 };

static struct source_location whole_file(const char *path)
{
    return (struct source_location){path, 0, 0};
}

static bool system_error(struct diag *diag, const char *path, const char *what, int error)
{
    char buffer[128];
    const char *copy = arena_strdup(diag->arena, path); /* the message outlives the caller's path */
    return diag_error(diag, whole_file(copy), "%s: %s", what, strerror_r(error, buffer, sizeof buffer));
}

static bool refuse(struct diag *diag, const char *path, const char *why)
{
    const char *copy = arena_strdup(diag->arena, path);
    return diag_error(diag, whole_file(copy), "%s", why);
}

static bool too_large(struct diag *diag, const char *path, size_t limit_bytes)
{
    const char *copy = arena_strdup(diag->arena, path);
    return diag_error(diag, whole_file(copy), "larger than the %zu bytes allowed", limit_bytes);
}

/* Reads to the size that stat gave, or in steps to the end where it gave 0 (/proc) or the file shrank
 * meanwhile. */
static char *read_all(struct diag *diag, const char *path, int fd, size_t size, size_t limit_bytes,
                      size_t *length)
{
    char *data = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used == capacity) {
            capacity = capacity == 0 ? READ_STEP : capacity * 2;
            char *larger = realloc(data, capacity);
            if (larger == NULL) {
                refuse(diag, path, "out of memory");
                break;
            }
            data = larger;
        }
        ssize_t got = read(fd, data + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            system_error(diag, path, "cannot read", errno);
            break;
        }
        used += (size_t)got;
        if (used > limit_bytes) {
            too_large(diag, path, limit_bytes);
            break;
        }
        if (got == 0 || (size > 0 && used == size)) {
            *length = used;
            return data;
        }
    }
    free(data);
    return NULL;
}

static bool readable(struct diag *diag, const char *path, int fd, size_t limit_bytes, size_t *size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return system_error(diag, path, "cannot read", errno);
    if (S_ISDIR(status.st_mode))
        return refuse(diag, path, "a folder, expected a file");
    if (!S_ISREG(status.st_mode))
        return refuse(diag, path, "not a regular file");
    if (status.st_size > 0 && (uintmax_t)status.st_size > limit_bytes)
        return too_large(diag, path, limit_bytes);
    *size = (size_t)status.st_size;
    return true;
}

char *file_read(struct arena *arena, struct diag *diag, const char *path, size_t limit_bytes, size_t *length)
{
    *length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0) {
        system_error(diag, path, "cannot open", errno);
        return NULL;
    }
    size_t used = 0, size = 0;
    bool good = readable(diag, path, fd, limit_bytes, &size);
    char *data = good ? read_all(diag, path, fd, size, limit_bytes, &used) : NULL;
    close(fd);
    if (data == NULL)
        return NULL;
    char *copy = arena_strndup(arena, data, used);
    free(data);
    if (copy == NULL)
        refuse(diag, path, "out of memory");
    else
        *length = used;
    return copy;
}

/* 0, or errno. */
static int write_all(int fd, const char *content, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, content, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        content += written;
        length -= (size_t)written;
    }
    return 0;
}

/* fsync where the file system knows it. 0, or errno. */
static int flush(int fd)
{
    if (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS)
        return 0;
    return errno;
}

/* Opens a new file beside target, its name in name[size]. The mode is the old file's, else what umask gives.
 */
static int open_temporary(const char *target, const struct stat *old, char *name, size_t size)
{
    for (int try = 0; try < TEMPORARY_TRIES; try++) {
        int length = snprintf(name, size, "%s.%ld-%d.tmp", target, (long)getpid(), try);
        if (length < 0 || (size_t)length >= size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd >= 0 && old != NULL && fchmod(fd, old->st_mode & 07777) != 0)
            return fd; /* a file system without modes: the content matters more */
        return fd;
    }
    errno = EEXIST;
    return -1;
}

/* Makes the rename last: the folder's entry is on disk only once the folder is. 0, or errno. */
static int flush_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == NULL)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", length == 0 ? 1 : (int)length, path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : errno; /* writable but not readable: nothing to sync through */
    int error = flush(fd);
    close(fd);
    return error;
}

/* ---- writing ---- */

static bool open_stream(struct file_writer *writer, struct diag *diag)
{
    writer->stream = true;
    writer->fd = open(writer->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (writer->fd < 0)
        return system_error(diag, writer->path, "cannot write", errno);
    int flags = fcntl(writer->fd, F_GETFL);
    if (flags >= 0)
        fcntl(writer->fd, F_SETFL, flags & ~O_NONBLOCK);
    return true;
}

/* Opened anew, a redirected stdout would be written from its start again. */
static bool open_standard(struct file_writer *writer, int fd)
{
    writer->stream = writer->borrowed = true;
    writer->fd = fd;
    return true;
}

static bool open_replacement(struct file_writer *writer, struct diag *diag, const struct stat *old)
{
    writer->fd = open_temporary(writer->target, old, writer->temporary, sizeof writer->temporary);
    return writer->fd >= 0 || system_error(diag, writer->path, "cannot write", errno);
}

/* A file that is not there yet, or a symbolic link to nothing. */
static bool open_new(struct file_writer *writer, struct diag *diag)
{
    struct stat link;
    if (lstat(writer->path, &link) == 0 && S_ISLNK(link.st_mode))
        return refuse(diag, writer->path, "cannot write: the symbolic link leads to nothing");
    memcpy(writer->target, writer->path, sizeof writer->target);
    return open_replacement(writer, diag, NULL);
}

static bool open_writer(struct file_writer *writer, struct diag *diag)
{
    struct stat old;
    const char *path = writer->path;
    if (strcmp(path, "/dev/stdout") == 0)
        return open_standard(writer, STDOUT_FILENO);
    if (strcmp(path, "/dev/stderr") == 0)
        return open_standard(writer, STDERR_FILENO);
    if (stat(path, &old) != 0)
        return errno == ENOENT ? open_new(writer, diag) : system_error(diag, path, "cannot write", errno);
    if (S_ISCHR(old.st_mode) || S_ISFIFO(old.st_mode))
        return open_stream(writer, diag);
    if (S_ISDIR(old.st_mode))
        return refuse(diag, path, "cannot write: a folder has this name");
    if (!S_ISREG(old.st_mode))
        return refuse(diag, path, "cannot write: neither a regular file nor a character device");
    if (access(path, W_OK) != 0)
        return system_error(diag, path, "cannot write", errno);
    char target[PATH_MAX];
    if (realpath(path, target) == NULL)
        return system_error(diag, path, "cannot write", errno);
    snprintf(writer->target, sizeof writer->target, "%s", target);
    return open_replacement(writer, diag, &old);
}

bool file_writer_open(struct file_writer *writer, struct diag *diag, const char *path)
{
    *writer = (struct file_writer){.fd = -1};
    if (strlen(path) >= sizeof writer->path) {
        writer->failed = true;
        return system_error(diag, path, "cannot write", ENAMETOOLONG);
    }
    memcpy(writer->path, path, strlen(path) + 1);
    writer->failed = !open_writer(writer, diag);
    return !writer->failed;
}

bool file_writer_add(struct file_writer *writer, struct diag *diag, const char *content, size_t length)
{
    if (writer->failed)
        return false;
    int error = write_all(writer->fd, content, length);
    writer->failed = error != 0;
    return error == 0 || system_error(diag, writer->path, "cannot write", error);
}

/* The temporary file becomes the target. 0, or errno. */
static int put_in_place(struct file_writer *writer)
{
    int error = flush(writer->fd);
    if (close(writer->fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(writer->temporary, writer->target) != 0)
        error = errno;
    if (error != 0)
        unlink(writer->temporary);
    return error;
}

bool file_writer_close(struct file_writer *writer, struct diag *diag, bool keep)
{
    int fd = writer->fd;
    if (fd < 0)
        return false;
    if (writer->stream || writer->failed || !keep) {
        if (!writer->borrowed)
            close(fd);
        if (!writer->stream)
            unlink(writer->temporary);
        writer->fd = -1;
        return !writer->failed;
    }
    int error = put_in_place(writer);
    writer->fd = -1;
    if (error != 0)
        return system_error(diag, writer->path, "cannot write", error);
    error = flush_folder(writer->target);
    return error == 0 || system_error(diag, writer->path, "written, but its folder cannot be synced", error);
}

bool file_write(struct diag *diag, const char *path, const char *content, size_t length)
{
    struct file_writer writer;
    return file_writer_open(&writer, diag, path) && file_writer_add(&writer, diag, content, length)
               ? file_writer_close(&writer, diag, true)
               : file_writer_close(&writer, diag, false);
}
