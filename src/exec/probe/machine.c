#include "exec/probe/machine.h"

#include "base/file.h"
#include "base/processors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSORS_MOST = 4096, FILE_BYTES_MOST = 16 << 20, INDICES_MOST = 8 };

/* A file's text without its last newline; NULL: there is none. */
static const char *read_text(struct arena *arena, const char *path)
{
    struct diag quiet = {.arena = arena};
    size_t length;
    char *text = path ? file_read(arena, &quiet, path, FILE_BYTES_MOST, &length) : NULL;
    if (text && length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    return text;
}

/* The value of "key : value" in a text of such lines. */
static const char *line_value(struct arena *arena, const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *colon = line + strcspn(line, ":\n");
        if (strncmp(line, key, length) != 0 || *colon != ':')
            continue;
        if (strspn(line + length, " \t") != (size_t)(colon - line) - length)
            continue;
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        return arena_strndup(arena, value, strcspn(value, "\n"));
    }
    return NULL;
}

static void name_machine(struct machine *machine, struct arena *arena, const char *root)
{
    const char *text = read_text(arena, arena_printf(arena, "%s/proc/cpuinfo", root));
    const char *vendor = text ? line_value(arena, text, "vendor_id") : NULL;
    machine->name = text ? line_value(arena, text, "model name") : NULL;
    if (!machine->name && text)
        machine->name = line_value(arena, text, "Model");
    machine->vendor = !vendor                               ? NULL
                      : strcmp(vendor, "AuthenticAMD") == 0 ? "AMD"
                      : strcmp(vendor, "GenuineIntel") == 0 ? "Intel"
                                                            : NULL;
    const char *memory = read_text(arena, arena_printf(arena, "%s/proc/meminfo", root));
    const char *total = memory ? line_value(arena, memory, "MemTotal") : NULL;
    machine->memory_bytes = total ? strtod(total, NULL) * 1024 : 0;
}

/* "48K", "2048K", "260M" in bytes. */
static double size_of(const char *text)
{
    char *end;
    double size = strtod(text, &end);
    return size * (*end == 'K' ? 1024.0 : *end == 'M' ? 1024.0 * 1024 : 1);
}

/* Names seen so far, so that what processors share counts once. */
struct seen {
    const char *names[PROCESSORS_MOST];
    int count;
};

static bool is_new(struct seen *seen, const char *name)
{
    for (int i = 0; i < seen->count; i++)
        if (strcmp(seen->names[i], name) == 0)
            return false;
    if (seen->count < PROCESSORS_MOST)
        seen->names[seen->count++] = name;
    return true;
}

struct reading {
    struct machine *machine;
    struct arena *arena;
    const char *root;
    struct seen cores, caches[CACHE_LEVELS + 1];
};

static const char *cpu_text(const struct reading *reading, int cpu, const char *file)
{
    return read_text(reading->arena, arena_printf(reading->arena, "%s/sys/devices/system/cpu/cpu%d/%s",
                                                  reading->root, cpu, file));
}

static void add_cache(struct reading *reading, int cpu, int index)
{
    char file[64];
    const char *text[4];
    static const char *const parts[] = {"type", "level", "size", "shared_cpu_list"};
    for (int i = 0; i < 4; i++) {
        snprintf(file, sizeof file, "cache/index%d/%s", index, parts[i]);
        text[i] = cpu_text(reading, cpu, file);
        if (!text[i])
            return;
    }
    long level = strtol(text[1], NULL, 10);
    if (strcmp(text[0], "Instruction") == 0 || level < 1 || level > CACHE_LEVELS)
        return;
    if (!is_new(&reading->caches[level], text[3]))
        return;
    reading->machine->caches[level].bytes += size_of(text[2]);
    reading->machine->caches[level].instances++;
}

static void add_processor(struct reading *reading, int cpu)
{
    const char *siblings = cpu_text(reading, cpu, "topology/thread_siblings_list");
    reading->machine->processors++;
    if (!siblings || is_new(&reading->cores, siblings))
        reading->machine->cores++;
    for (int i = 0; i < INDICES_MOST; i++)
        add_cache(reading, cpu, i);
}

/* Calls for each processor that this process may run on; of another machine's tree, or where that is not
 * known, for all it has. */
static void add_processors(struct reading *reading)
{
    cpu_set_t set;
    bool here = reading->root[0] == '\0', known = here && processors_allowed(&set);
    for (int cpu = 0; cpu < PROCESSORS_MOST; cpu++) {
        if (known ? CPU_ISSET((size_t)cpu, &set)
                  : cpu_text(reading, cpu, "topology/thread_siblings_list") != NULL)
            add_processor(reading, cpu);
        else if (!known)
            break;
    }
}

bool machine_read(struct machine *machine, struct arena *arena, struct diag *diag, const char *root)
{
    *machine = (struct machine){0};
    struct reading *reading = ARENA_NEW(arena, struct reading);
    if (!reading)
        return diag_error(diag, NOWHERE, "out of memory");
    *reading = (struct reading){.machine = machine, .arena = arena, .root = root};
    name_machine(machine, arena, root);
    add_processors(reading);
    if (machine->processors == 0)
        return diag_error(diag, NOWHERE, "%s/sys/devices/system/cpu does not tell which processors there are",
                          root);
    if (!machine->name)
        machine->name = "unknown processor";
    return true;
}
