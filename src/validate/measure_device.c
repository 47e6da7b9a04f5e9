/* What was measured as a device's description. */
#include "validate/measure.h"

#include "base/file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct thread_rates *all_cores(const struct machine_rates *rates)
{
    return &rates->teams[rates->team_count - 1];
}

/* In double quotes; what could end them or is not plain becomes '?'. */
static void add_quoted(struct text *out, const char *string)
{
    text_add(out, "\"");
    for (; *string; string++)
        text_printf(out, "%c",
                    *string >= ' ' && *string <= '~' && *string != '"' && *string != '\\' ? *string : '?');
    text_add(out, "\"");
}

static void add_rate(struct text *out, const char *key, double bytes_per_second)
{
    if (bytes_per_second > 0)
        text_printf(out, ", %s: %.4g GB/s", key, bytes_per_second / 1e9);
}

/* A level that no two cores share is each core's own. */
static void add_cache(struct text *out, const struct machine_rates *rates, int level)
{
    const struct machine *machine = &rates->machine;
    const struct machine_cache *cache = &machine->caches[level];
    const struct thread_rates *all = all_cores(rates), *one = &rates->teams[0];
    const struct bandwidths *bandwidth = &all->bandwidth;
    if (!(bandwidth->read[level] > 0))
        return;
    bool own = cache->instances >= machine->cores;
    double parts = own ? machine->cores : 1;
    text_printf(out, "  - {name: l%d, cache: true, ", level);
    text_printf(out, own ? "per_unit: true, capacity: %.6g KiB" : "capacity: %.6g KiB",
                cache->bytes / 1024 / parts);
    add_rate(out, "bandwidth", bandwidth->read[level] / parts);
    add_rate(out, "write_bandwidth", bandwidth->write[level] / parts);
    if (!own)
        add_rate(out, "unit_bandwidth", fmin(one->bandwidth.read[level], bandwidth->read[level]));
    if (own && level == rates->peer_level)
        add_rate(out, "peer_bandwidth", rates->peer_bandwidth / parts);
    if (!own && rates->admits >= 0)
        text_printf(out, ", admits: %.2f", rates->admits);
    text_add(out, "}\n");
}

static void add_tiers(struct text *out, const struct machine_rates *rates)
{
    const struct bandwidths *all = &all_cores(rates)->bandwidth, *one = &rates->teams[0].bandwidth;
    double dram = rates->dram.count > 0 ? rates->dram.value[0] : all->read[0];
    text_add(out, "tiers:\n");
    for (int level = 1; level <= CACHE_LEVELS; level++)
        add_cache(out, rates, level);
    text_printf(out, "  - {name: dram, capacity: %.4g GiB", rates->machine.memory_bytes / (1 << 30));
    add_rate(out, "bandwidth", dram);
    add_rate(out, "write_bandwidth", all->write[0]);
    add_rate(out, "unit_bandwidth", fmin(one->read[0], dram));
    text_add(out, ", granularity: 64 B}\n");
    if (!(rates->disk.sequential > 0))
        return;
    text_printf(out, "  - {name: disk, capacity: %.4g GB", rates->disk.capacity / 1e9);
    add_rate(out, "bandwidth", rates->disk.sequential);
    text_printf(out, ", latency: %.4g us, granularity: 4 KiB}\n", rates->disk.latency * 1e6);
}

static void add_peaks(struct text *out, const struct thread_rates *all)
{
    static const char *const formats[ARITHMETIC_COUNT] = {"fp32", "bf16", "int8"};
    text_add(out, "vector: {");
    for (int a = 0; a < ARITHMETIC_COUNT; a++)
        if (all->peak[a] > 0)
            text_printf(out, "%s%s: %.4g %s", a > 0 ? ", " : "", formats[a], all->peak[a] / 1e9,
                        a == ARITHMETIC_INT8 ? "GOP/s" : "GFLOP/s");
    text_add(out, "}\n");
}

static void add_modes(struct text *out, const struct modes *modes, size_t probes)
{
    if (modes->count == 0)
        return;
    text_printf(out, "# DRAM, read by all cores, %zu probes: %.4g GB/s", probes, modes->value[0] / 1e9);
    if (modes->count == 2)
        text_printf(out, " (%.0f%% of them) or %.4g GB/s (%.0f%%)", 100 * modes->share[0],
                    modes->value[1] / 1e9, 100 * modes->share[1]);
    text_printf(out, ", scatter %.1f%%\n", 100 * modes->noise);
}

/* All that was measured, as comments: a description has room for one core and for all. */
static void add_table(struct text *out, const struct machine_rates *rates)
{
    static const char *const kinds[] = {"read", "write", "copy"};
    text_add(out,
             "#\n# threads  start   fp32    bf16    int8  GB/s:     l1      l2      l3      l4    dram\n");
    for (int i = 0; i < rates->team_count; i++) {
        const struct thread_rates *team = &rates->teams[i];
        const double *const of[] = {team->bandwidth.read, team->bandwidth.write, team->bandwidth.copy};
        for (int kind = 0; kind < 3; kind++) {
            if (kind == 0)
                text_printf(out, "# %7d %5.2fus %6.5g  %6.5g  %6.5g ", team->threads, team->start_s * 1e6,
                            team->peak[0] / 1e9, team->peak[1] / 1e9, team->peak[2] / 1e9);
            else
                text_printf(out, "# %7s %7s %6s  %6s  %6s ", "", "", "", "", "");
            text_printf(out, "%-5s", kinds[kind]);
            for (int level = 1; level <= CACHE_LEVELS + 1; level++) {
                double rate = of[kind][level % (CACHE_LEVELS + 1)];
                if (rate > 0)
                    text_printf(out, " %7.5g", rate / 1e9);
                else
                    text_add(out, "        ");
            }
            text_add(out, "\n");
        }
    }
}

static void add_sources(struct text *out, const char *date)
{
    static const char *const paths[] = {"units", "vector", "tiers", "launch_floor"};
    text_add(out, "sources:\n");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        text_printf(out, "  %s: [measured on %s by rafter measure]\n", paths[i], date);
}

void measured_yaml(const struct machine_rates *rates, const char *date, struct text *out)
{
    const struct machine *machine = &rates->machine;
    const struct thread_rates *all = all_cores(rates);
    text_printf(
        out,
        "# Measured on %s by rafter measure, %s kernels: the best that the machine gave at the time. Peaks "
        "in\n"
        "# GFLOP/s and GOP/s; writes are ordinary stores; copies count what is read and what is written.\n",
        date, isa_name(cpu_isa()));
    add_modes(out, &rates->dram, rates->dram_count);
    add_table(out, rates);
    text_add(out, "name: ");
    char *name = NULL;
    if (asprintf(&name, "%s, %d core%s", machine->name, machine->cores, machine->cores == 1 ? "" : "s") < 0)
        name = NULL;
    add_quoted(out, name ? name : machine->name);
    free(name);
    text_printf(out, "\nextends: %s\n",
#ifdef __aarch64__
                "cpu-arm"
#else
                "cpu-x86"
#endif
    );
    if (machine->vendor)
        text_printf(out, "vendor: %s\n", machine->vendor);
    text_printf(out, "units: {kind: core, count: %d, threads: %d}\n", machine->cores,
                machine->processors > machine->cores ? machine->processors / machine->cores : 1);
    add_peaks(out, all);
    add_tiers(out, rates);
    text_printf(out, "launch_floor: %.3g us\n", all->start_s * 1e6);
    add_sources(out, date);
}

const struct device *measured_device(struct catalogue *catalogue, struct diag *diag, const char *text,
                                     const char *id)
{
    char folder[] = "/tmp/rafter-measure-XXXXXX", path[PATH_MAX];
    if (!mkdtemp(folder)) {
        diag_error(diag, NOWHERE, "no folder can be made in /tmp to read the description from");
        return NULL;
    }
    snprintf(path, sizeof path, "%s/measured.yaml", folder);
    const struct device *read = NULL;
    if (file_write(diag, path, text, strlen(text)))
        read = catalogue_device(catalogue, diag, path, NULL);
    unlink(path);
    rmdir(folder);
    struct device *device = read ? ARENA_NEW(catalogue->arena, struct device) : NULL;
    if (!device)
        return NULL;
    *device = *read;
    device->id = id;
    return device;
}

size_t measured_warnings(const struct machine_rates *rates, struct arena *arena, const char **lines,
                         size_t most)
{
    const double noisy = 0.08; /* design: runs whose probes differ by more are noisy */
    size_t count = 0;
    const struct modes *dram = &rates->dram;
    if (dram->count == 2 && count < most)
        lines[count++] = arena_printf(arena,
                                      "DRAM has two modes: %.4g GB/s in %.0f%% of %zu probes, %.4g GB/s in "
                                      "%.0f%%; the description has %.4g",
                                      dram->value[0] / 1e9, 100 * dram->share[0], rates->dram_count,
                                      dram->value[1] / 1e9, 100 * dram->share[1], dram->value[0] / 1e9);
    if (dram->noise > noisy && count < most)
        lines[count++] =
            arena_printf(arena, "DRAM probes scatter by %.0f%%: others use this machine", 100 * dram->noise);
    if (rates->pace.count == 2 && count < most)
        lines[count++] = arena_printf(arena,
                                      "the cores have two modes: in %.0f%% of %zu probes they had %.0f%% of "
                                      "their best pace; the description has the best",
                                      100 * rates->pace.share[1], rates->pace_count,
                                      100 * rates->pace.value[1] / rates->pace.value[0]);
    if (rates->noisy_trials > 0 && count < most)
        lines[count++] = arena_printf(arena,
                                      "%zu of %zu kernels were never timed undisturbed: memory or cores were "
                                      "over 15%% below their best",
                                      rates->noisy_trials, rates->trials);
    if (rates->no_disk && count < most)
        lines[count++] = arena_printf(arena, "the disk is left out: %s", rates->no_disk);
    return count;
}
