#include "exec/probe/disk.h"

#include "base/random.h"
#include "exec/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_statistics_double.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CHUNK = 4 << 20, RANDOM = 64 << 10, SMALL = 4 << 10, PAGE = 4096, LATENCIES = 256 };

/* What no disk compresses. */
static bool fill(int fd, char *chunk, size_t bytes)
{
    uint64_t state = 1;
    for (size_t done = 0; done < bytes; done += CHUNK) {
        for (size_t i = 0; i < CHUNK; i += sizeof state) {
            uint64_t word = random_bits(&state);
            memcpy(chunk + i, &word, sizeof word);
        }
        if (pwrite(fd, chunk, CHUNK, (off_t)done) != CHUNK)
            return false;
    }
    return fsync(fd) == 0;
}

/* Byte/s of reads of `size` at offsets that follow each other or are drawn; 0: a read failed. */
static double read_rate(int fd, char *chunk, size_t bytes, size_t size, bool drawn, double seconds)
{
    uint64_t state = 2, slots = bytes > size ? bytes / size : 1;
    double begin = clock_seconds(), now = begin, read = 0;
    for (uint64_t i = 0; now - begin < seconds || i < 2; i++) {
        uint64_t slot = drawn ? random_bits(&state) % slots : i % slots;
        if (pread(fd, chunk, size, (off_t)(slot * size)) != (ssize_t)size)
            return 0;
        read += (double)size;
        now = clock_seconds();
    }
    return read / (now - begin);
}

static double small_latency(int fd, char *chunk, size_t bytes, double seconds)
{
    double taken[LATENCIES], begin = clock_seconds();
    uint64_t state = 3;
    int count = 0;
    while (count < LATENCIES && (count < 3 || clock_seconds() - begin < seconds)) {
        double from = clock_seconds();
        if (pread(fd, chunk, SMALL, (off_t)(random_bits(&state) % (bytes / SMALL) * SMALL)) != SMALL)
            return 0;
        taken[count++] = clock_seconds() - from;
    }
    return gsl_stats_median(taken, 1, (size_t)count);
}

static const char *measure(int fd, const char *path, char *chunk, size_t bytes, double seconds,
                           struct disk_rates *rates)
{
    if (!fill(fd, chunk, bytes))
        return errno == ENOSPC ? "no room for a file to read" : "a file to read cannot be written";
    int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (direct < 0)
        return "its file system has no reads past the page cache";
    rates->sequential = read_rate(direct, chunk, bytes, CHUNK, false, seconds / 2);
    rates->random = read_rate(direct, chunk, bytes, RANDOM, true, seconds / 4);
    rates->latency = small_latency(direct, chunk, bytes, seconds / 4);
    close(direct);
    return rates->sequential > 0 && rates->random > 0 && rates->latency > 0 ? NULL : "reads of it fail";
}

bool disk_probe(const char *folder, size_t bytes, double seconds, struct disk_rates *rates, const char **why)
{
    char path[PATH_MAX];
    void *chunk = NULL;
    struct statvfs system;
    *rates = (struct disk_rates){0};
    int length = snprintf(path, sizeof path, "%s/.rafter-disk-XXXXXX", folder);
    int fd = length > 0 && (size_t)length < sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0) {
        *why = "no file can be made there";
        return false;
    }
    if (statvfs(folder, &system) == 0)
        rates->capacity = (double)system.f_blocks * (double)system.f_frsize;
    *why = posix_memalign(&chunk, PAGE, CHUNK) == 0
               ? measure(fd, path, chunk, bytes / CHUNK * CHUNK, seconds, rates)
               : "out of memory";
    free(chunk);
    close(fd);
    unlink(path);
    return *why == NULL;
}
