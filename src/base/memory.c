#include "base/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

/* MemAvailable of /proc/meminfo (proc_meminfo(5)); infinity: not told. */
static double system_available(void)
{
    char line[128];
    unsigned long long kibibytes;
    double bytes = INFINITY;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return bytes;
    while (fgets(line, sizeof line, file) != NULL)
        // NOLINTNEXTLINE(cert-err34-c): the kernel's own number, in range
        if (sscanf(line, "MemAvailable: %llu kB", &kibibytes) == 1)
            bytes = (double)kibibytes * 1024;
    fclose(file);
    return bytes;
}

/* A number in a file of its own; infinity: no such file, or "max". */
static double read_number(const char *path)
{
    unsigned long long number;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return INFINITY;
    // NOLINTNEXTLINE(cert-err34-c): the kernel's own number, in range
    bool found = fscanf(file, "%llu", &number) == 1;
    fclose(file);
    return found ? (double)number : INFINITY;
}

/* Of a control group, version 2, as a container sees its own: what its processes use counts, what the kernel
 * caches of files does not. */
static double group_available(void)
{
    char line[128];
    unsigned long long used;
    double most = read_number("/sys/fs/cgroup/memory.max"), left = INFINITY;
    FILE *file = isfinite(most) ? fopen("/sys/fs/cgroup/memory.stat", "re") : NULL;
    if (file == NULL)
        return most;
    while (fgets(line, sizeof line, file) != NULL)
        // NOLINTNEXTLINE(cert-err34-c): the kernel's own number, in range
        if (sscanf(line, "anon %llu", &used) == 1)
            left = fmax(most - (double)used, 0);
    fclose(file);
    return fmin(most, left);
}

double memory_available(void)
{
    return fmin(system_available(), group_available());
}
